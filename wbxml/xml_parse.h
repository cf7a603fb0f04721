/*
 * Takes XML apart with libxml2's push parser: no network, no entities but the five predefined ones,
 * no declarations, bounded depth and count, and only what WBXML can carry. What is left goes to a
 * sink in document order. Used by xml_encode.c and xml_libwbxml.c.
 */
#ifndef WBXML_XML_PARSE_H
#define WBXML_XML_PARSE_H

#include "config/error.h"
#include "config/span.h"
#include "wbxml/xml.h"

/* What w:opaque says of the content of an element. */
enum xml_opaque { XML_OPAQUE_NONE, XML_OPAQUE_BASE64, XML_OPAQUE_TEXT, XML_OPAQUE_LINES };

/* Each returns 0, or -1 with err filled; the line of the document is put in front. */
struct xml_sink {
	/* The name is NUL-terminated and lives as long as the call. An opaque one has no children
	 * and at most one text. */
	int (*start)(void *context, unsigned int page, const char *name, enum xml_opaque opaque,
		struct error *err);
	/* All the text between two tags, never empty. White space alone beside child elements is
	 * layout and left out. */
	int (*text)(void *context, struct span text, struct error *err);
	int (*end)(void *context, struct error *err);
	void *context;
};

struct xml_parse_options {
	struct wbxml_limits limits;
	/* EXACT has the attribute w:opaque; LIBWBXML a DOCTYPE that declares nothing (it is not
	 * looked at) and "Gal" for the namespace GAL. */
	enum wbxml_dialect dialect;
};

/* sink NULL: just looks whether the document is as it should be. */
int xml_parse(struct span document, const struct xml_parse_options *options,
	const struct xml_sink *sink, struct error *err);

#endif
