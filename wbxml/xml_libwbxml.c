/*
 * The dialect of libwbxml. It recurses on nesting, takes time by the square of the elements, and
 * accepts what is neither WBXML nor XML, so it works between two checks of ours: what goes in has
 * been read (or written) by us as a whole, and what comes out is read by us before it is handed on.
 */
#include "wbxml/utf8.h"
#include "wbxml/xml_libwbxml_call.h"
#include "wbxml/xml_parse.h"
#include "wbxml/xml_parts.h"

enum { LIBWBXML_ELEMENTS = 2000, LIBWBXML_NAME = 64 };

static struct wbxml_limits limits_for_libwbxml(const struct wbxml_xml_options *options)
{
	struct wbxml_limits limits = wbxml_limits_complete(&options->limits);

	if (limits.elements > LIBWBXML_ELEMENTS)
		limits.elements = LIBWBXML_ELEMENTS;
	return limits;
}

/* Outside the tags that are binary by specification, libwbxml writes opaque bytes as they are. */
static int opaque_check(const struct wbxml_reader *reader, struct error *err)
{
	const uint8_t *end = reader->text.data + reader->text.len;
	uint8_t state = UTF8_WHOLE;

	if (reader->tag->is_opaque || reader->text.len == 0)
		return 0;
	if (utf8_scan(reader->text.data, end, &state) == end && state == UTF8_WHOLE)
		return 0;
	return error_set(err, "byte %llu of the WBXML: opaque data that is not text",
		(unsigned long long)wbxml_reader_offset(reader));
}

/* libwbxml would show it. */
static int mask_check(const struct wbxml_reader *reader, unsigned int redact, struct error *err)
{
	if (reader->is_empty || wbxml_mask_of(reader->tag->id, redact) == WBXML_MASK_NONE)
		return 0;
	return error_set(err,
		"byte %llu of the WBXML: %s, which cannot be masked in this dialect; "
		"--show-secrets shows it",
		(unsigned long long)wbxml_reader_offset(reader), reader->tag->name);
}

/* Reads the whole document; from there on libwbxml may see it. */
static int document_check(struct span document, const struct wbxml_limits *limits,
	unsigned int redact, struct error *err)
{
	struct wbxml_reader reader;
	enum wbxml_event event;

	wbxml_reader_init(&reader, limits);
	wbxml_reader_feed(&reader, document.data, document.len);
	while ((event = wbxml_reader_next(&reader)) > WBXML_MORE) {
		if (event == WBXML_OPAQUE && opaque_check(&reader, err) != 0)
			return -1;
		if (event == WBXML_START && mask_check(&reader, redact, err) != 0)
			return -1;
	}
	return wbxml_reader_finish(&reader) == 0 ? 0 : xml_reader_error(&reader, document, err);
}

/* A tag that libwbxml does not know becomes <unknown>; in text, "<" is always escaped. */
static int xml_check(struct span xml, const struct wbxml_limits *limits, struct error *err)
{
	struct xml_parse_options options = {.limits = *limits, .dialect = WBXML_DIALECT_LIBWBXML};
	struct error cause;

	if (memmem(xml.data, xml.len, "<unknown", 8) != NULL)
		return error_set(err, "the document has a tag that libwbxml does not know");
	if (xml_parse(xml, &options, NULL, &cause) != 0)
		return error_set(err, "libwbxml made XML that is wrong: %.400s", cause.text);
	return 0;
}

static int result_take(struct wbxml_buffer *out, struct span result, struct error *err)
{
	wbxml_buffer_append(out, result.data, result.len);
	if (out->has_failed)
		return error_set(err, "the result would be larger than %zu bytes", out->limit);
	return 0;
}

int xml_decode_libwbxml(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err)
{
	struct wbxml_limits limits = limits_for_libwbxml(options);
	struct span xml = {NULL, 0};
	int result = -1;

	if (document_check(document, &limits, options->redact, err) == 0 &&
		libwbxml_to_xml(document, options->indent, &xml, err) == 0 &&
		xml_check(xml, &limits, err) == 0)
		result = result_take(out, xml, err);
	libwbxml_free(xml);
	return result;
}

/* Writes XML again in libwbxml's manner, so that its own parser meets nothing but what we wrote:
 * each element with its namespace, no layout, nothing declared. */
struct rewriter {
	struct wbxml_buffer xml;
	struct wbxml_buffer names; /* of the open elements, LIBWBXML_NAME bytes each */
};

static const char doctype[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
			      "<!DOCTYPE ActiveSync PUBLIC \"-//MICROSOFT//DTD ActiveSync//EN\" "
			      "\"http://www.microsoft.com/\">";

static void rewrite(struct rewriter *rewriter, const char *text)
{
	wbxml_buffer_append(&rewriter->xml, text, strlen(text));
}

static void rewrite_namespace(struct rewriter *rewriter, unsigned int page)
{
	rewrite(rewriter, " xmlns=\"");
	if (page == WBXML_GAL_DISPLAYNAME >> 8) {
		rewrite(rewriter, WBXML_LIBWBXML_GAL);
	} else {
		rewrite(rewriter, wbxml_page_name(page));
		rewrite(rewriter, ":");
	}
	rewrite(rewriter, "\">");
}

static int rewrite_start(void *context, unsigned int page, const char *name, enum xml_opaque opaque,
	struct error *err)
{
	struct rewriter *rewriter = context;
	char slot[LIBWBXML_NAME] = {0};
	size_t len = strlen(name);

	(void)opaque;
	if (len >= sizeof(slot))
		return error_set(err, "no tag %.64s in namespace %s", name, wbxml_page_name(page));
	memcpy(slot, name, len + 1);
	wbxml_buffer_append(&rewriter->names, slot, sizeof(slot));
	rewrite(rewriter, "<");
	rewrite(rewriter, name);
	rewrite_namespace(rewriter, page);
	return rewriter->names.has_failed ? error_set(err, "out of memory") : 0;
}

static int rewrite_text(void *context, struct span text, struct error *err)
{
	struct rewriter *rewriter = context;

	(void)err;
	xml_text_append(&rewriter->xml, text);
	return 0;
}

static int rewrite_end(void *context, struct error *err)
{
	struct rewriter *rewriter = context;

	(void)err;
	rewriter->names.len -= LIBWBXML_NAME;
	rewrite(rewriter, "</");
	rewrite(rewriter, (const char *)rewriter->names.data + rewriter->names.len);
	rewrite(rewriter, ">");
	return 0;
}

static int rewrite_document(struct rewriter *rewriter, struct span document,
	const struct wbxml_limits *limits, struct error *err)
{
	struct xml_sink sink = {rewrite_start, rewrite_text, rewrite_end, rewriter};
	struct xml_parse_options options = {.limits = *limits, .dialect = WBXML_DIALECT_LIBWBXML};

	/* A character grows to six bytes at most; a tag, written twice, to its name and namespace. */
	rewriter->xml.limit =
		document.len * 6 + (size_t)LIBWBXML_ELEMENTS * 4 * LIBWBXML_NAME + sizeof(doctype);
	rewriter->names.limit = (size_t)WBXML_DEPTH_MAX * LIBWBXML_NAME;
	rewrite(rewriter, doctype);
	if (xml_parse(document, &options, &sink, err) != 0)
		return -1;
	return rewriter->xml.has_failed ? error_set(err, "out of memory") : 0;
}

int xml_encode_libwbxml(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err)
{
	struct wbxml_limits limits = limits_for_libwbxml(options);
	struct rewriter rewriter = {0};
	struct span wbxml = {NULL, 0};
	struct error cause;
	int result = -1;

	if (rewrite_document(&rewriter, document, &limits, err) != 0)
		goto out;
	if (libwbxml_from_xml(span_of(rewriter.xml.data, rewriter.xml.len), &wbxml, err) != 0)
		goto out;
	if (document_check(wbxml, &limits, 0, &cause) != 0)
		error_set(err, "libwbxml made WBXML that is wrong: %.400s", cause.text);
	else
		result = result_take(out, wbxml, err);
out:
	libwbxml_free(wbxml);
	wbxml_buffer_free(&rewriter.xml);
	wbxml_buffer_free(&rewriter.names);
	return result;
}
