/*
 * What our readers of XML have in common: libxml2, fed in pieces, with elements and their text alone. Whatever
 * could lead elsewhere or grow (entities, declarations, processing instructions) ends it, and nothing is ever
 * fetched. For wbxml/xml_parse.c and proxy/xml_walk.c, each of which begins its own state with it.
 */
#ifndef WBXML_XML_READING_H
#define WBXML_XML_READING_H

#include <libxml/parser.h>
#include <stdbool.h>

#include "config/error.h"
#include "config/span.h"
#include "wbxml/buffer.h"

struct xml_reading {
	xmlParserCtxtPtr parser;
	struct wbxml_buffer text; /* since the last tag; whoever handles a tag takes it out */
	bool may_have_doctype;    /* its name alone; what it declares is refused in any case */
	bool has_failed;
	struct error *err;
};

/* "line 3: WHAT". The first fault counts; nothing is parsed after it. */
void xml_reading_fail(struct xml_reading *reading, const char *what);

/* Parses the document with these handlers, which get `reading` as their context, and options of libxml2 beside
 * XML_PARSE_NONET. Text is kept up to the length of the document. 0, or -1 with reading->err filled. */
int xml_reading_run(struct xml_reading *reading, startElementNsSAX2Func start,
	endElementNsSAX2Func end, int options, struct span document);

#endif
