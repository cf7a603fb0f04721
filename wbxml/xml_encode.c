/* XML in the EXACT dialect to WBXML: what the parser leaves of the XML goes straight to the writer. */
#include <string.h>

#include "wbxml/base64.h"
#include "wbxml/writer.h"
#include "wbxml/xml_parse.h"
#include "wbxml/xml_parts.h"

struct encoder {
	struct wbxml_writer writer;
	struct wbxml_buffer opaque; /* the bytes of the value under way */
	bool lets_unknown_pass;
	enum xml_opaque due; /* of the element under way, its content is not written yet */
};

static int encode_start(void *context, unsigned int page, const char *name, enum xml_opaque opaque,
	struct error *err)
{
	struct encoder *encoder = context;
	const struct wbxml_tag *tag = wbxml_tag_find_name(page, name, strlen(name));

	uint16_t id = tag != NULL ? tag->id : 0;

	if (id == 0 && encoder->lets_unknown_pass)
		id = xml_unknown_tag(page, name);
	if (id == 0)
		return error_set(err, "no tag %.64s in namespace %s", name, wbxml_page_name(page));
	wbxml_write_start(&encoder->writer, id);
	encoder->due = opaque;
	return 0;
}

/* Each line feed was CR LF. */
static int read_lines(struct span text, struct wbxml_buffer *out)
{
	while (text.len > 0) {
		const uint8_t *feed = memchr(text.data, '\n', text.len);
		size_t len = feed != NULL ? (size_t)(feed - text.data) : text.len;

		if (memchr(text.data, '\r', len) != NULL)
			return -1;
		wbxml_buffer_append(out, text.data, len);
		if (feed == NULL)
			return 0;
		wbxml_buffer_append(out, "\r\n", 2);
		text = span_of(feed + 1, text.len - len - 1);
	}
	return 0;
}

/* The bytes that the text of an opaque element stands for. */
static int read_opaque(struct encoder *encoder, struct span text, struct error *err)
{
	encoder->opaque.len = 0;
	if (encoder->due == XML_OPAQUE_TEXT)
		wbxml_buffer_append(&encoder->opaque, text.data, text.len);
	else if (encoder->due == XML_OPAQUE_LINES && read_lines(text, &encoder->opaque) != 0)
		return error_set(
			err, "a carriage return in opaque lines, which have one at each end");
	else if (encoder->due == XML_OPAQUE_BASE64 && base64_read(text, &encoder->opaque) != 0)
		return error_set(err, "opaque data that is not base64");
	return encoder->opaque.has_failed ? error_set(err, "out of memory") : 0;
}

static int encode_text(void *context, struct span text, struct error *err)
{
	struct encoder *encoder = context;

	if (encoder->due == XML_OPAQUE_NONE) {
		wbxml_write_text(&encoder->writer, text);
		return 0;
	}
	if (read_opaque(encoder, text, err) != 0)
		return -1;
	wbxml_write_opaque(&encoder->writer, span_of(encoder->opaque.data, encoder->opaque.len));
	encoder->due = XML_OPAQUE_NONE;
	return 0;
}

static int encode_end(void *context, struct error *err)
{
	struct encoder *encoder = context;

	(void)err;
	if (encoder->due != XML_OPAQUE_NONE)
		wbxml_write_opaque(&encoder->writer, span_of(NULL, 0));
	encoder->due = XML_OPAQUE_NONE;
	wbxml_write_end(&encoder->writer);
	return 0;
}

int xml_encode_exact(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err)
{
	/* Lines grow on the way back: each by one byte. */
	struct encoder encoder = {.opaque = {.limit = 2 * document.len},
		.lets_unknown_pass = options->limits.lets_unknown_pass};
	struct xml_sink sink = {encode_start, encode_text, encode_end, &encoder};
	struct xml_parse_options parse = {
		.limits = options->limits, .dialect = WBXML_DIALECT_EXACT};
	int result;

	wbxml_write_header(&encoder.writer, out);
	result = xml_parse(document, &parse, &sink, err);
	wbxml_buffer_free(&encoder.opaque);
	if (result == 0 && out->has_failed)
		return error_set(err, "the WBXML would be larger than %zu bytes", out->limit);
	return result;
}
