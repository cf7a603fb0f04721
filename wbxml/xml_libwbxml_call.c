#include "wbxml/xml_libwbxml_call.h"

#include <stdint.h>
#include <stdlib.h>
#include <wbxml/wbxml.h>

/* Its lengths are 32 bits wide, and signed in places. */
enum { LENGTH_MAX = INT32_MAX / 2 };

static int libwbxml_error(struct error *err, WBXMLError code)
{
	return error_set(err, "libwbxml: %s", (const char *)wbxml_errors_string(code));
}

int libwbxml_to_xml(struct span document, bool wants_indent, struct span *xml, struct error *err)
{
	WBXMLConvWBXML2XML *conversion = NULL;
	WB_UTINY *text = NULL;
	WB_ULONG len = 0;
	WBXMLError code;

	if (document.len > LENGTH_MAX)
		return error_set(err, "the document is too large for libwbxml");
	code = wbxml_conv_wbxml2xml_create(&conversion);
	if (code != WBXML_OK)
		return libwbxml_error(err, code);
	/* Canonical, not compact: it escapes CR, which the other form loses. */
	wbxml_conv_wbxml2xml_set_gen_type(
		conversion, wants_indent ? WBXML_GEN_XML_INDENT : WBXML_GEN_XML_CANONICAL);
	wbxml_conv_wbxml2xml_set_indent(conversion, 2);
	wbxml_conv_wbxml2xml_set_language(conversion, WBXML_LANG_ACTIVESYNC);
	wbxml_conv_wbxml2xml_enable_preserve_whitespaces(conversion);
	code = wbxml_conv_wbxml2xml_run(
		conversion, (WB_UTINY *)document.data, (WB_ULONG)document.len, &text, &len);
	wbxml_conv_wbxml2xml_destroy(conversion);
	if (code != WBXML_OK || text == NULL)
		return libwbxml_error(err, code);
	*xml = span_of(text, len);
	return 0;
}

int libwbxml_from_xml(struct span xml, struct span *document, struct error *err)
{
	WBXMLConvXML2WBXML *conversion = NULL;
	WB_UTINY *bytes = NULL;
	WB_ULONG len = 0;
	WBXMLError code;

	if (xml.len > LENGTH_MAX)
		return error_set(err, "the document is too large for libwbxml");
	code = wbxml_conv_xml2wbxml_create(&conversion);
	if (code != WBXML_OK)
		return libwbxml_error(err, code);
	wbxml_conv_xml2wbxml_set_version(conversion, WBXML_VERSION_13);
	wbxml_conv_xml2wbxml_disable_string_table(conversion);
	wbxml_conv_xml2wbxml_disable_public_id(conversion);
	wbxml_conv_xml2wbxml_enable_preserve_whitespaces(conversion);
	code = wbxml_conv_xml2wbxml_run(
		conversion, (WB_UTINY *)xml.data, (WB_ULONG)xml.len, &bytes, &len);
	wbxml_conv_xml2wbxml_destroy(conversion);
	if (code != WBXML_OK || bytes == NULL)
		return libwbxml_error(err, code);
	*document = span_of(bytes, len);
	return 0;
}

void libwbxml_free(struct span result)
{
	free((void *)result.data);
}
