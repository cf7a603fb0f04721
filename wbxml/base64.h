/*
 * Base64 (RFC 4648 section 4) for opaque values in XML. Used by xml_decode.c and xml_encode.c.
 */
#ifndef WBXML_BASE64_H
#define WBXML_BASE64_H

#include "config/span.h"
#include "wbxml/buffer.h"

/* Bytes that wait for the third of their group. */
struct base64_group {
	uint8_t bytes[3];
	uint8_t count;
};

/* Appends the text of all whole groups; end() appends that of the rest, with padding. */
void base64_write(struct base64_group *group, struct span data, struct wbxml_buffer *out);
void base64_write_end(struct base64_group *group, struct wbxml_buffer *out);

/* Appends the bytes that the text stands for. White space is skipped; padding is required. -1 when
 * it is not base64. */
int base64_read(struct span text, struct wbxml_buffer *out);

#endif
