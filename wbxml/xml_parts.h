/*
 * What the files behind xml.h share. Private to them.
 */
#ifndef WBXML_XML_PARTS_H
#define WBXML_XML_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "wbxml/xml.h"

_Static_assert(WBXML_DEPTH_MAX <= 64, "one bit a level");

#define WBXML_OPAQUE_NAMESPACE "urn:easproxy:wbxml"

/* libwbxml's name of page 16; the others differ by the colon only. */
#define WBXML_LIBWBXML_GAL "Gal:"

/* What is remembered of each open element is one bit a level, from 1; level 0 has none. */
static inline uint64_t xml_level_bit(uint32_t level)
{
	return level > 0 ? UINT64_C(1) << (level - 1) : 0;
}

/* White space as XML 1.0 2.3 has it. */
static inline bool xml_is_space(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

int xml_decode_exact(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err);
int xml_encode_exact(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err);
int xml_decode_libwbxml(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err);
int xml_encode_libwbxml(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err);

/* What an element is called: by its tag, or, where a page has none for the token, "unknown-3E". Returns
 * text, or the tag's own name. */
enum { XML_NAME_SIZE = 16 };
const char *xml_tag_name(uint16_t tag, char text[XML_NAME_SIZE]);

/* The tag of such a name; 0: it is none, or that of a token that has a tag. */
uint16_t xml_unknown_tag(unsigned int page, const char *name);

/* Appends text with what XML needs escaped; CR too, which a parser would turn into LF. */
void xml_text_append(struct wbxml_buffer *out, struct span text);

/* Fills err with the fault of the reader that was fed the document in one piece: where, what is there,
 * what would be right, and within which elements. Returns -1. (xml_fault.c) */
int xml_reader_error(const struct wbxml_reader *reader, struct span document, struct error *err);

#endif
