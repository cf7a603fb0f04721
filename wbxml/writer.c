#include "wbxml/writer.h"

#include "wbxml/tokens.h"

static void write_byte(struct wbxml_writer *writer, unsigned int byte)
{
	uint8_t value = (uint8_t)byte;

	wbxml_buffer_append(writer->out, &value, 1);
}

/* The element that has just begun is not an empty one after all. */
static void write_content_begins(struct wbxml_writer *writer)
{
	if (writer->tag_is_open && !writer->out->has_failed)
		writer->out->data[writer->out->len - 1] |= TOKEN_HAS_CONTENT;
	writer->tag_is_open = false;
}

void wbxml_write_header(struct wbxml_writer *writer, struct wbxml_buffer *out)
{
	*writer = (struct wbxml_writer){.out = out};
	wbxml_buffer_append(out, wbxml_header, sizeof(wbxml_header));
}

void wbxml_write_start(struct wbxml_writer *writer, uint16_t tag)
{
	uint8_t page = (uint8_t)(tag >> 8);

	write_content_begins(writer);
	if (page != writer->page) {
		write_byte(writer, TOKEN_SWITCH_PAGE);
		write_byte(writer, page);
		writer->page = page;
	}
	write_byte(writer, tag & TOKEN_CODE);
	writer->tag_is_open = true;
}

void wbxml_write_end(struct wbxml_writer *writer)
{
	if (!writer->tag_is_open)
		write_byte(writer, TOKEN_END);
	writer->tag_is_open = false;
}

void wbxml_write_text(struct wbxml_writer *writer, struct span text)
{
	write_content_begins(writer);
	if (text.len > 0 && memchr(text.data, 0, text.len) != NULL) {
		writer->out->has_failed = true;
		return;
	}
	write_byte(writer, TOKEN_STR_I);
	wbxml_buffer_append(writer->out, text.data, text.len);
	write_byte(writer, 0);
}

/* mb_u_int32 in its shortest form. */
static void write_length(struct wbxml_writer *writer, uint32_t len)
{
	int shift = 28;

	while (shift > 0 && len >> shift == 0)
		shift -= 7;
	for (; shift > 0; shift -= 7)
		write_byte(writer, 0x80 | (len >> shift & 0x7F));
	write_byte(writer, len & 0x7F);
}

void wbxml_write_opaque(struct wbxml_writer *writer, struct span data)
{
	write_content_begins(writer);
	if (data.len > UINT32_MAX) {
		writer->out->has_failed = true;
		return;
	}
	write_byte(writer, TOKEN_OPAQUE);
	write_length(writer, (uint32_t)data.len);
	wbxml_buffer_append(writer->out, data.data, data.len);
}

void wbxml_write_element(struct wbxml_writer *writer, uint16_t tag, const char *text)
{
	wbxml_write_start(writer, tag);
	if (text != NULL && *text != '\0')
		wbxml_write_text(writer, span_of_string(text));
	wbxml_write_end(writer);
}
