#include "wbxml/xml.h"

#include "wbxml/xml_parts.h"

int wbxml_to_xml(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err)
{
	if (options->dialect == WBXML_DIALECT_LIBWBXML)
		return xml_decode_libwbxml(document, options, out, err);
	return xml_decode_exact(document, options, out, err);
}

int wbxml_from_xml(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err)
{
	if (options->dialect == WBXML_DIALECT_LIBWBXML)
		return xml_encode_libwbxml(document, options, out, err);
	return xml_encode_exact(document, options, out, err);
}

static const char *text_escape(uint8_t byte)
{
	switch (byte) {
	case '&': return "&amp;";
	case '<': return "&lt;";
	case '>': return "&gt;";
	case '\r': return "&#13;";
	default: return NULL;
	}
}

void xml_text_append(struct wbxml_buffer *out, struct span text)
{
	size_t from = 0;

	for (size_t at = 0; at < text.len; at++) {
		const char *escape = text_escape(text.data[at]);

		if (escape == NULL)
			continue;
		wbxml_buffer_append(out, text.data + from, at - from);
		wbxml_buffer_append(out, escape, strlen(escape));
		from = at + 1;
	}
	if (from < text.len)
		wbxml_buffer_append(out, text.data + from, text.len - from);
}
