/* WBXML to XML in the EXACT dialect: one pass over the reader's events. A start tag stays open until
 * the next event says whether it is empty, or opaque and needs the attribute. */
#include <inttypes.h>
#include <stdio.h>

#include "wbxml/base64.h"
#include "wbxml/utf8.h"
#include "wbxml/xml_parts.h"

struct decoder {
	struct wbxml_reader reader;
	struct span document;
	const struct wbxml_xml_options *options;
	struct wbxml_buffer *out;
	struct error *err;
	bool tag_is_open;
	struct base64_group group;
	/* Of each open element, one bit a level: what has been seen in it. */
	uint64_t has_child, has_text, has_opaque;
	uint8_t pages[WBXML_DEPTH_MAX + 1];
	uint32_t level; /* of the innermost element that has been begun in the XML */
	/* An opaque value that may be text, or the beginning of a message that is masked. */
	struct wbxml_buffer value;
	/* The element under way of which nothing is shown as it is. */
	enum wbxml_mask mask;
	uint32_t mask_level; /* 0: none is */
	bool mask_hides;     /* there is something in it */
	uint64_t mask_len;
	char tail[WBXML_MASK_TAIL]; /* its last bytes */
};

static void put(struct decoder *decoder, const char *text)
{
	wbxml_buffer_append(decoder->out, text, strlen(text));
}

static void put_line(struct decoder *decoder, uint32_t level)
{
	if (!decoder->options->indent || level == 0)
		return;
	put(decoder, "\n");
	while (--level > 0)
		put(decoder, "  ");
}

static void close_tag(struct decoder *decoder)
{
	if (decoder->tag_is_open)
		put(decoder, ">");
	decoder->tag_is_open = false;
}

/* An attribute of ours in the tag that is open. */
static void put_attribute(struct decoder *decoder, const char *name, const char *value)
{
	put(decoder, " xmlns:w=\"" WBXML_OPAQUE_NAMESPACE "\" w:");
	put(decoder, name);
	put(decoder, "=\"");
	put(decoder, value);
	put(decoder, "\"");
}

/* Masks */

static const char *mask_word(enum wbxml_mask mask)
{
	return mask == WBXML_MASK_SECRET || mask == WBXML_MASK_LAST4 ? "secret" : "content";
}

static void mask_begin(struct decoder *decoder, enum wbxml_mask mask)
{
	decoder->mask = mask;
	decoder->mask_level = decoder->reader.depth;
	decoder->mask_hides = false;
	decoder->mask_len = 0;
	decoder->value.len = 0;
}

static void mask_take(struct decoder *decoder, struct span piece)
{
	size_t keep = piece.len < WBXML_MASK_TAIL ? piece.len : WBXML_MASK_TAIL;

	if (piece.len == 0)
		return;
	decoder->mask_hides = true;
	decoder->mask_len += piece.len;
	memmove(decoder->tail, decoder->tail + keep, WBXML_MASK_TAIL - keep);
	memcpy(decoder->tail + WBXML_MASK_TAIL - keep, piece.data + piece.len - keep, keep);
	if (decoder->mask == WBXML_MASK_MIME && decoder->value.len < WBXML_MIME_HEAD_MAX)
		wbxml_buffer_append(&decoder->value, piece.data,
			piece.len < WBXML_MIME_HEAD_MAX ? piece.len : WBXML_MIME_HEAD_MAX);
}

static void put_tail(struct decoder *decoder)
{
	if (decoder->mask_len < WBXML_MASK_TAIL_OF)
		return;
	put(decoder, "\xE2\x80\xA6"); /* … */
	for (size_t i = 0; i < WBXML_MASK_TAIL; i++) {
		char c = decoder->tail[i];
		bool is_plain =
			(c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

		wbxml_buffer_append(decoder->out, is_plain ? &c : "*", 1);
	}
}

static void put_message_head(struct decoder *decoder)
{
	struct wbxml_buffer head = {.limit = WBXML_MIME_HEAD_MAX + 2};

	wbxml_mime_head(span_of(decoder->value.data, decoder->value.len), &head);
	if (head.len > 0) {
		xml_text_append(decoder->out, span_of(head.data, head.len));
		put(decoder, "\n");
	}
	wbxml_buffer_free(&head);
}

/* The masked element's content; its tag is still open. is_cut: the document ends within it. */
static void mask_put(struct decoder *decoder, bool is_cut)
{
	char text[64];

	decoder->mask_level = 0;
	if (!decoder->mask_hides)
		return;
	put_attribute(decoder, "masked", mask_word(decoder->mask));
	close_tag(decoder);
	if (decoder->mask == WBXML_MASK_LAST4 && !is_cut)
		put_tail(decoder);
	if (decoder->mask == WBXML_MASK_MIME)
		put_message_head(decoder);
	if (decoder->mask != WBXML_MASK_MIME && decoder->mask != WBXML_MASK_CONTENT)
		return;
	snprintf(text, sizeof(text), "[%" PRIu64 " bytes%s]", decoder->mask_len,
		is_cut ? " and more" : "");
	put(decoder, text);
}

/* Opaque values */

/* Every CR and every LF is one half of a line's end. */
static bool is_lines(struct span text)
{
	bool has_line = false;

	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '\n')
			return false;
		if (text.data[i] != '\r')
			continue;
		if (++i == text.len || text.data[i] != '\n')
			return false;
		has_line = true;
	}
	return has_line;
}

static bool is_text(struct span value)
{
	const uint8_t *end = value.data + value.len;
	uint8_t state = UTF8_WHOLE;

	return utf8_scan(value.data, end, &state) == end && state == UTF8_WHOLE;
}

static void put_lines(struct decoder *decoder, struct span text)
{
	size_t from = 0;

	for (size_t at = 0; at < text.len; at++) {
		if (text.data[at] != '\r')
			continue;
		xml_text_append(decoder->out, span_of(text.data + from, at - from));
		from = at + 1;
	}
	xml_text_append(decoder->out, span_of(text.data + from, text.len - from));
}

static void put_value(struct decoder *decoder)
{
	struct span value = span_of(decoder->value.data, decoder->value.len);
	bool as_text = value.len > 0 && is_text(value);
	bool as_lines = as_text && is_lines(value);

	put_attribute(decoder, "opaque", as_lines ? "lines" : as_text ? "text" : "base64");
	decoder->value.len = 0;
	if (value.len == 0)
		return;
	close_tag(decoder);
	if (as_lines)
		put_lines(decoder, value);
	else if (as_text)
		xml_text_append(decoder->out, value);
	else
		base64_write(&decoder->group, value, decoder->out);
}

/* Events */

/* The attribute speaks of the whole content of an element. */
static int refuse_mixture(struct decoder *decoder)
{
	return error_set(decoder->err,
		"byte %" PRIu64
		" of the WBXML: opaque data beside other content, which XML cannot show",
		wbxml_reader_offset(&decoder->reader));
}

static int decode_start(struct decoder *decoder)
{
	uint32_t level = decoder->reader.depth;
	uint64_t parent = xml_level_bit(level - 1), self = xml_level_bit(level);
	uint16_t tag = decoder->reader.tag->id;
	uint8_t page = (uint8_t)(tag >> 8);
	enum wbxml_mask mask = wbxml_mask_of(tag, decoder->options->redact);
	char name[XML_NAME_SIZE];

	if ((decoder->has_opaque & parent) != 0)
		return refuse_mixture(decoder);
	close_tag(decoder);
	if (level > 1 && (decoder->has_text & parent) == 0)
		put_line(decoder, level);
	put(decoder, "<");
	put(decoder, xml_tag_name(tag, name));
	if (level == 1 || decoder->pages[level - 1] != page) {
		put(decoder, " xmlns=\"");
		put(decoder, wbxml_page_name(page));
		put(decoder, "\"");
	}
	decoder->has_child = (decoder->has_child | parent) & ~self;
	decoder->has_text &= ~self;
	decoder->has_opaque &= ~self;
	decoder->pages[level] = page;
	decoder->level = level;
	decoder->tag_is_open = true;
	if (mask != WBXML_MASK_NONE)
		mask_begin(decoder, mask);
	return 0;
}

static int decode_text(struct decoder *decoder)
{
	uint64_t self = xml_level_bit(decoder->reader.depth);

	if ((decoder->has_opaque & self) != 0)
		return refuse_mixture(decoder);
	if (decoder->reader.text.len == 0)
		return 0;
	close_tag(decoder);
	decoder->has_text |= self;
	xml_text_append(decoder->out, decoder->reader.text);
	return 0;
}

static int decode_opaque(struct decoder *decoder)
{
	uint64_t self = xml_level_bit(decoder->reader.depth);
	struct span piece = decoder->reader.text;

	if (((decoder->has_text | decoder->has_child) & self) != 0)
		return refuse_mixture(decoder);
	if (!decoder->options->shows_opaque_text && (decoder->has_opaque & self) == 0)
		put_attribute(decoder, "opaque", "base64");
	if (decoder->options->shows_opaque_text && (decoder->has_opaque & self) == 0)
		decoder->value.len = 0;
	decoder->has_opaque |= self;
	if (piece.len == 0)
		return 0;
	if (decoder->options->shows_opaque_text) {
		wbxml_buffer_append(&decoder->value, piece.data, piece.len);
		return decoder->value.has_failed ? error_set(decoder->err, "out of memory") : 0;
	}
	close_tag(decoder);
	base64_write(&decoder->group, piece, decoder->out);
	return 0;
}

/* What of the element at this level is held back until its end is known. */
static void put_held_back(struct decoder *decoder, uint32_t level, bool is_cut)
{
	uint64_t self = xml_level_bit(level);

	if (decoder->mask_level == level)
		mask_put(decoder, is_cut);
	else if (decoder->options->shows_opaque_text && (decoder->has_opaque & self) != 0)
		put_value(decoder);
	base64_write_end(&decoder->group, decoder->out);
}

static void put_end(struct decoder *decoder, uint32_t level, uint16_t tag)
{
	char name[XML_NAME_SIZE];
	uint64_t self = xml_level_bit(level);

	if (decoder->tag_is_open) {
		put(decoder, "/>");
		decoder->tag_is_open = false;
		return;
	}
	if ((decoder->has_child & self) != 0 && (decoder->has_text & self) == 0)
		put_line(decoder, level);
	put(decoder, "</");
	put(decoder, xml_tag_name(tag, name));
	put(decoder, ">");
}

static int decode_end(struct decoder *decoder)
{
	uint32_t level = decoder->reader.depth + 1;

	put_held_back(decoder, level, false);
	put_end(decoder, level, decoder->reader.tag->id);
	decoder->level = level - 1;
	return 0;
}

/* Within an element that is masked. */
static int decode_masked(struct decoder *decoder, enum wbxml_event event)
{
	switch (event) {
	case WBXML_START: decoder->mask_hides = true; return 0;
	case WBXML_TEXT:
	case WBXML_OPAQUE: mask_take(decoder, decoder->reader.text); return 0;
	case WBXML_END:
		return decoder->reader.depth < decoder->mask_level ? decode_end(decoder) : 0;
	case WBXML_ERROR:
	case WBXML_MORE: break;
	}
	return xml_reader_error(&decoder->reader, decoder->document, decoder->err);
}

static int decode_event(struct decoder *decoder, enum wbxml_event event)
{
	if (decoder->mask_level != 0)
		return decode_masked(decoder, event);
	switch (event) {
	case WBXML_START: return decode_start(decoder);
	case WBXML_TEXT: return decode_text(decoder);
	case WBXML_OPAQUE: return decode_opaque(decoder);
	case WBXML_END: return decode_end(decoder);
	case WBXML_ERROR:
	case WBXML_MORE: break;
	}
	return xml_reader_error(&decoder->reader, decoder->document, decoder->err);
}

static int decode_events(struct decoder *decoder)
{
	enum wbxml_event event;

	while ((event = wbxml_reader_next(&decoder->reader)) != WBXML_MORE &&
		!decoder->out->has_failed)
		if (decode_event(decoder, event) != 0)
			return -1;
	if (decoder->out->has_failed)
		return error_set(decoder->err, "the XML would be larger than %zu bytes",
			decoder->out->limit);
	if (wbxml_reader_finish(&decoder->reader) != 0)
		return xml_reader_error(&decoder->reader, decoder->document, decoder->err);
	return 0;
}

/* A faulty document as far as it goes. */
static void close_elements(struct decoder *decoder)
{
	for (uint32_t level = decoder->level; level > 0; level--) {
		uint16_t tag = wbxml_reader_open(&decoder->reader, level - 1);

		put_held_back(decoder, level, true);
		put_end(decoder, level, tag);
	}
	put(decoder, "\n");
}

int xml_decode_exact(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err)
{
	struct decoder decoder = {.out = out,
		.err = err,
		.document = document,
		.options = options,
		.value = {.limit = document.len + WBXML_MIME_HEAD_MAX}};
	int result;

	wbxml_reader_init(&decoder.reader, &options->limits);
	wbxml_reader_feed(&decoder.reader, document.data, document.len);
	put(&decoder, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
	result = decode_events(&decoder);
	if (result == 0)
		put(&decoder, "\n");
	else if (options->shows_faulty && !out->has_failed)
		close_elements(&decoder);
	wbxml_buffer_free(&decoder.value);
	if (result == 0 && out->has_failed)
		return error_set(err, "the XML would be larger than %zu bytes", out->limit);
	return result;
}
