/*
 * A small document in XML, element by element, by libxml2's writer, which escapes what has to be. That memory
 * has run out is told once, at the end. For autodiscover_write.c and profile_write.c.
 */
#ifndef PROXY_XML_WRITE_H
#define PROXY_XML_WRITE_H

#include <libxml/xmlwriter.h>
#include <stdbool.h>

#include "wbxml/buffer.h"

struct xml_writing {
	xmlTextWriterPtr writer; /* NULL: memory has run out, and nothing can be written */
	xmlBufferPtr buffer;
	bool has_failed;
};

/* Begins a document. False: there is nothing to write into. xml_write_end() follows in any case. */
bool xml_write_begin(struct xml_writing *writing);

/* Appends all of it to out, and frees what it took. 0, or -1: memory has run out, or out has no room. */
int xml_write_end(struct xml_writing *writing, struct wbxml_buffer *out);

/* Notes what a call of xmlTextWriter…() has returned: a negative number where it has failed. */
void xml_write_check(struct xml_writing *writing, int written);

void xml_element_begin(struct xml_writing *writing, const char *name);
void xml_element_end(struct xml_writing *writing);
void xml_attribute(struct xml_writing *writing, const char *name, const char *value);

/* An element with text in it; NULL: with nothing, and no tag for its end. */
void xml_element(struct xml_writing *writing, const char *name, const char *text);

#endif
