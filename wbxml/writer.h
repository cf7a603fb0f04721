/*
 * Writes EAS WBXML: the header, page switches and tokens, into a growing buffer. The document is
 * good when buffer->has_failed is false and every start had its end. For every process.
 *
 *	struct wbxml_buffer out = {.limit = 4096};
 *	wbxml_write_header(&w, &out);
 *	wbxml_write_start(&w, WBXML_PING_PING);
 *	wbxml_write_element(&w, WBXML_PING_STATUS, "1");
 *	wbxml_write_end(&w);
 */
#ifndef WBXML_WRITER_H
#define WBXML_WRITER_H

#include "config/span.h"
#include "wbxml/buffer.h"
#include "wbxml/codepages.h"

struct wbxml_writer {
	struct wbxml_buffer *out; /* borrowed */
	uint8_t page;
	bool tag_is_open; /* the last token is a tag whose content bit is not decided yet */
};

void wbxml_write_header(struct wbxml_writer *writer, struct wbxml_buffer *out);

/* tag: an enum wbxml_tag_id. An element that ends at once becomes an empty tag. */
void wbxml_write_start(struct wbxml_writer *writer, uint16_t tag);
void wbxml_write_end(struct wbxml_writer *writer);

/* An inline string. Bytes 00 cannot be held: the buffer is marked failed. */
void wbxml_write_text(struct wbxml_writer *writer, struct span text);
void wbxml_write_opaque(struct wbxml_writer *writer, struct span data);

/* Start, text, end; with NULL or "" an empty tag. */
void wbxml_write_element(struct wbxml_writer *writer, uint16_t tag, const char *text);

#endif
