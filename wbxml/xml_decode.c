/* WBXML to XML in the EXACT dialect: one pass over the reader's events. A start tag stays open until
 * the next event says whether it is empty, or opaque and needs the attribute. */
#include "wbxml/base64.h"
#include "wbxml/xml_parts.h"

struct decoder {
	struct wbxml_reader reader;
	struct wbxml_buffer *out;
	struct error *err;
	bool wants_indent;
	bool tag_is_open;
	struct base64_group group;
	/* Of each open element, one bit a level: what has been seen in it. */
	uint64_t has_child, has_text, has_opaque;
	uint8_t pages[WBXML_DEPTH_MAX + 1];
};

static void put(struct decoder *decoder, const char *text)
{
	wbxml_buffer_append(decoder->out, text, strlen(text));
}

static void put_line(struct decoder *decoder, uint32_t level)
{
	if (!decoder->wants_indent || level == 0)
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

/* The attribute speaks of the whole content of an element. */
static int refuse_mixture(struct decoder *decoder)
{
	return error_set(decoder->err,
		"byte %llu of the WBXML: opaque data beside other content, which XML cannot show",
		(unsigned long long)decoder->reader.offset);
}

static int decode_start(struct decoder *decoder)
{
	uint32_t level = decoder->reader.depth;
	uint64_t parent = xml_level_bit(level - 1), self = xml_level_bit(level);
	uint8_t page = (uint8_t)(decoder->reader.tag->id >> 8);

	if ((decoder->has_opaque & parent) != 0)
		return refuse_mixture(decoder);
	close_tag(decoder);
	if (level > 1 && (decoder->has_text & parent) == 0)
		put_line(decoder, level);
	put(decoder, "<");
	put(decoder, decoder->reader.tag->name);
	if (level == 1 || decoder->pages[level - 1] != page) {
		put(decoder, " xmlns=\"");
		put(decoder, wbxml_page_name(page));
		put(decoder, "\"");
	}
	decoder->has_child = (decoder->has_child | parent) & ~self;
	decoder->has_text &= ~self;
	decoder->has_opaque &= ~self;
	decoder->pages[level] = page;
	decoder->tag_is_open = true;
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

	if (((decoder->has_text | decoder->has_child) & self) != 0)
		return refuse_mixture(decoder);
	if ((decoder->has_opaque & self) == 0)
		put(decoder, " xmlns:w=\"" WBXML_OPAQUE_NAMESPACE "\" w:opaque=\"base64\"");
	decoder->has_opaque |= self;
	if (decoder->reader.text.len == 0)
		return 0;
	close_tag(decoder);
	base64_write(&decoder->group, decoder->reader.text, decoder->out);
	return 0;
}

static int decode_end(struct decoder *decoder)
{
	uint32_t level = decoder->reader.depth + 1;
	uint64_t self = xml_level_bit(level);

	base64_write_end(&decoder->group, decoder->out);
	if (decoder->tag_is_open) {
		put(decoder, "/>");
		decoder->tag_is_open = false;
		return 0;
	}
	if ((decoder->has_child & self) != 0 && (decoder->has_text & self) == 0)
		put_line(decoder, level);
	put(decoder, "</");
	put(decoder, decoder->reader.tag->name);
	put(decoder, ">");
	return 0;
}

static int decode_event(struct decoder *decoder, enum wbxml_event event)
{
	switch (event) {
	case WBXML_START: return decode_start(decoder);
	case WBXML_TEXT: return decode_text(decoder);
	case WBXML_OPAQUE: return decode_opaque(decoder);
	case WBXML_END: return decode_end(decoder);
	case WBXML_ERROR:
	case WBXML_MORE: break;
	}
	return xml_reader_error(&decoder->reader, decoder->err);
}

int xml_decode_exact(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err)
{
	struct decoder decoder = {.out = out, .err = err, .wants_indent = options->indent};
	enum wbxml_event event;

	wbxml_reader_init(&decoder.reader, &options->limits);
	wbxml_reader_feed(&decoder.reader, document.data, document.len);
	put(&decoder, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
	while ((event = wbxml_reader_next(&decoder.reader)) != WBXML_MORE && !out->has_failed)
		if (decode_event(&decoder, event) != 0)
			return -1;
	put(&decoder, "\n");
	if (out->has_failed)
		return error_set(err, "the XML would be larger than %zu bytes", out->limit);
	if (wbxml_reader_finish(&decoder.reader) != 0)
		return xml_reader_error(&decoder.reader, err);
	return 0;
}
