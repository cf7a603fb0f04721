/*
 * What the files behind xml.h share. Private to them.
 */
#ifndef WBXML_XML_PARTS_H
#define WBXML_XML_PARTS_H

#include "wbxml/xml.h"

#define WBXML_OPAQUE_NAMESPACE "urn:eas-sample:wbxml"

/* libwbxml's name of page 16; the others differ by the colon only. */
#define WBXML_LIBWBXML_GAL "Gal:"

int xml_decode_exact(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err);
int xml_encode_exact(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err);
int xml_decode_libwbxml(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err);
int xml_encode_libwbxml(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err);

/* Appends text with what XML needs escaped; CR too, which a parser would turn into LF. */
void xml_text_append(struct wbxml_buffer *out, struct span text);

/* Fills err with the fault and the place where the reader stands; returns -1. */
int xml_reader_error(const struct wbxml_reader *reader, struct error *err);

#endif
