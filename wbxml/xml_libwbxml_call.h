/*
 * The calls of libwbxml, apart because its headers and ours use the same names for different things
 * (WBXML_END). Checks nothing: for xml_libwbxml.c alone, which does.
 */
#ifndef WBXML_XML_LIBWBXML_CALL_H
#define WBXML_XML_LIBWBXML_CALL_H

#include <stdbool.h>

#include "config/error.h"
#include "config/span.h"

/* The result is freed by libwbxml_free(). 0, or -1 with err. */
int libwbxml_to_xml(struct span document, bool wants_indent, struct span *xml, struct error *err);
int libwbxml_from_xml(struct span xml, struct span *document, struct error *err);

void libwbxml_free(struct span result);

#endif
