/* Any bytes as WBXML and as XML, in both dialects. What comes out of one converter goes through the
 * other, and after one way there and back nothing changes any more. */
#include <assert.h>
#include <string.h>

#include "wbxml/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct span span_of_buffer(const struct wbxml_buffer *buffer)
{
	return span_of(buffer->data, buffer->len);
}

/* Bytes of WBXML that we accept: their XML must be ours to read, and mean the same from then on. */
static void check_exact(struct span document, bool indent)
{
	const struct wbxml_xml_options options = {.indent = indent,
		.shows_opaque_text = indent,
		.limits = {.lets_unknown_pass = indent}};
	struct wbxml_buffer xml = {.limit = 1 << 22}, back = xml, again = xml, last = xml;
	struct error err;

	if (wbxml_to_xml(document, &options, &xml, &err) == 0) {
		assert(wbxml_from_xml(span_of_buffer(&xml), &options, &back, &err) == 0);
		assert(wbxml_to_xml(span_of_buffer(&back), &options, &again, &err) == 0);
		assert(wbxml_from_xml(span_of_buffer(&again), &options, &last, &err) == 0);
		assert(span_equal(span_of_buffer(&back), span_of_buffer(&last)));
	}
	wbxml_buffer_free(&xml);
	wbxml_buffer_free(&back);
	wbxml_buffer_free(&again);
	wbxml_buffer_free(&last);
}

/* Any bytes, masked and as far as they go: what comes out is XML, and is never taken for the document. */
static void check_masked(struct span document)
{
	const struct wbxml_xml_options options = {.indent = true,
		.shows_opaque_text = true,
		.shows_faulty = true,
		.redact = WBXML_REDACT_SECRETS | WBXML_REDACT_CONTENT};
	const struct wbxml_xml_options exact = {.indent = false};
	struct wbxml_buffer xml = {.limit = 1 << 22}, back = xml;
	struct error err;

	(void)wbxml_to_xml(document, &options, &xml, &err);
	/* In text, ">" is written otherwise. */
	if (memmem(xml.data, xml.len, " w:masked=\"secret\">", 19) != NULL ||
		memmem(xml.data, xml.len, " w:masked=\"content\">", 20) != NULL)
		assert(wbxml_from_xml(span_of_buffer(&xml), &exact, &back, &err) == -1);
	wbxml_buffer_free(&xml);
	wbxml_buffer_free(&back);
}

static void check_libwbxml(struct span document)
{
	const struct wbxml_xml_options options = {.dialect = WBXML_DIALECT_LIBWBXML};
	struct wbxml_buffer xml = {.limit = 1 << 22}, back = xml;
	struct error err;

	if (wbxml_to_xml(document, &options, &xml, &err) == 0)
		wbxml_from_xml(span_of_buffer(&xml), &options, &back, &err);
	wbxml_buffer_free(&xml);
	wbxml_buffer_free(&back);
}

static void check_xml(struct span xml, enum wbxml_dialect dialect)
{
	const struct wbxml_xml_options options = {.dialect = dialect}, exact = {.indent = false};
	struct wbxml_buffer document = {.limit = 1 << 22}, back = document;
	struct error err;

	if (wbxml_from_xml(xml, &options, &document, &err) == 0)
		assert(wbxml_to_xml(span_of_buffer(&document), &exact, &back, &err) == 0);
	wbxml_buffer_free(&document);
	wbxml_buffer_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span input = span_of(data, size);

	if (size > 1 << 14)
		return 0;
	if (size > 0 && data[0] == 0x03) {
		check_exact(input, false);
		check_exact(input, true);
		check_masked(input);
		check_libwbxml(input);
		return 0;
	}
	check_xml(input, WBXML_DIALECT_EXACT);
	check_xml(input, WBXML_DIALECT_LIBWBXML);
	return 0;
}
