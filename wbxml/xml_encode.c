/* XML in the EXACT dialect to WBXML: what the parser leaves of the XML goes straight to the writer. */
#include "wbxml/base64.h"
#include "wbxml/writer.h"
#include "wbxml/xml_parse.h"
#include "wbxml/xml_parts.h"

struct encoder {
	struct wbxml_writer writer;
	struct wbxml_buffer opaque; /* the bytes of the value under way */
	bool opaque_is_due;
};

static int encode_start(
	void *context, unsigned int page, const char *name, bool is_opaque, struct error *err)
{
	struct encoder *encoder = context;
	const struct wbxml_tag *tag = wbxml_tag_find_name(page, name, strlen(name));

	if (tag == NULL)
		return error_set(err, "no tag %.64s in namespace %s", name, wbxml_page_name(page));
	wbxml_write_start(&encoder->writer, tag->id);
	encoder->opaque_is_due = is_opaque;
	return 0;
}

static int encode_text(void *context, struct span text, struct error *err)
{
	struct encoder *encoder = context;

	if (!encoder->opaque_is_due) {
		wbxml_write_text(&encoder->writer, text);
		return 0;
	}
	encoder->opaque.len = 0;
	if (base64_read(text, &encoder->opaque) != 0)
		return error_set(err, "opaque data that is not base64");
	if (encoder->opaque.has_failed)
		return error_set(err, "out of memory");
	wbxml_write_opaque(&encoder->writer, span_of(encoder->opaque.data, encoder->opaque.len));
	encoder->opaque_is_due = false;
	return 0;
}

static int encode_end(void *context, struct error *err)
{
	struct encoder *encoder = context;

	(void)err;
	if (encoder->opaque_is_due)
		wbxml_write_opaque(&encoder->writer, span_of(NULL, 0));
	encoder->opaque_is_due = false;
	wbxml_write_end(&encoder->writer);
	return 0;
}

int xml_encode_exact(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err)
{
	struct encoder encoder = {.opaque = {.limit = document.len}};
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
