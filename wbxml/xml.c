#include "wbxml/xml.h"

#include <stdio.h>

#include "config/hex.h"
#include "wbxml/tokens.h"
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

static const char unknown[] = "unknown-";

const char *xml_tag_name(uint16_t tag, char text[XML_NAME_SIZE])
{
	const struct wbxml_tag *known = wbxml_tag_find(tag >> 8, tag & TOKEN_CODE);

	if (known != NULL)
		return known->name;
	snprintf(text, XML_NAME_SIZE, "%s%02X", unknown, tag & TOKEN_CODE);
	return text;
}

uint16_t xml_unknown_tag(unsigned int page, const char *name)
{
	size_t len = sizeof(unknown) - 1;
	int high, low;
	unsigned int token;

	if (strncmp(name, unknown, len) != 0 || strlen(name) != len + 2)
		return 0;
	high = hex_value(name[len]);
	low = hex_value(name[len + 1]);
	if (high == -1 || low == -1)
		return 0;
	token = (unsigned int)(high << 4 | low);
	if (token < TOKEN_FIRST_TAG || token > TOKEN_CODE || wbxml_tag_find(page, token) != NULL)
		return 0;
	return (uint16_t)(page << 8 | token);
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
