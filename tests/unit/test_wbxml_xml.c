/* XML in the EXACT dialect: samples there and back, and what is refused. */
#include "tests/unit/check.h"
#include "tests/unit/wbxml_samples.h"
#include "wbxml/writer.h"
#include "wbxml/xml.h"

static const char declaration[] = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";
static const struct wbxml_xml_options exact = {.dialect = WBXML_DIALECT_EXACT};
static const struct wbxml_xml_options indented = {.dialect = WBXML_DIALECT_EXACT, .indent = true};

static struct span span_of_buffer(const struct wbxml_buffer *buffer)
{
	return span_of(buffer->data, buffer->len);
}

static struct wbxml_buffer decode(struct span document, const struct wbxml_xml_options *options)
{
	struct wbxml_buffer xml = {.limit = 1 << 24};
	struct error err = {""};

	if (wbxml_to_xml(document, options, &xml, &err) != 0) {
		printf("\n%s\n", err.text);
		CU_FAIL("cannot be decoded");
	}
	return xml;
}

static struct wbxml_buffer encode(struct span xml, const struct wbxml_xml_options *options)
{
	struct wbxml_buffer document = {.limit = 1 << 24};
	struct error err = {""};

	if (wbxml_from_xml(xml, options, &document, &err) != 0) {
		printf("\n%s\n%.*s\n", err.text, SPAN_PRINT(xml));
		CU_FAIL("cannot be encoded");
	}
	return document;
}

static void check_decode(const char *name)
{
	struct wbxml_buffer document = sample_read("good", name, ".wbxml");
	struct wbxml_buffer expected = sample_read("good", name, ".xml");
	struct wbxml_buffer xml = decode(span_of_buffer(&document), &exact);
	size_t skip = strlen(declaration);

	CU_ASSERT_FATAL(xml.len > skip);
	CU_ASSERT_EQUAL(memcmp(xml.data, declaration, skip), 0);
	if (!span_equal(span_of(xml.data + skip, xml.len - skip), span_of_buffer(&expected))) {
		printf("\n%s: other XML than expected\n%.*s\n", name,
			SPAN_PRINT(span_of_buffer(&xml)));
		CU_FAIL("other XML");
	}
	wbxml_buffer_free(&xml);
	wbxml_buffer_free(&expected);
	wbxml_buffer_free(&document);
}

static void test_samples_decode_to_their_xml_byte_for_byte(void)
{
	CU_ASSERT_EQUAL(sample_each("good", check_decode), 167);
}

/* These say the same in another form than ours: content that is empty, zero-length or in several
 * strings, page switches that switch nothing. */
static const char *const not_canonical[] = {"edge-empty-content", "edge-segments",
	"edge-switch-before-root", "edge-switch-same-page", "sync-client-changes-request",
	"sync-mail-25-response"};

static bool is_canonical(const char *name)
{
	for (size_t i = 0; i < sizeof(not_canonical) / sizeof(not_canonical[0]); i++)
		if (strcmp(not_canonical[i], name) == 0)
			return false;
	return true;
}

static void check_there_and_back(const char *name, const struct wbxml_xml_options *options)
{
	struct wbxml_buffer document = sample_read("good", name, ".wbxml");
	struct wbxml_buffer xml = decode(span_of_buffer(&document), options);
	struct wbxml_buffer back = encode(span_of_buffer(&xml), options);
	struct wbxml_buffer xml_again = decode(span_of_buffer(&back), options);

	CU_ASSERT(span_equal(span_of_buffer(&xml), span_of_buffer(&xml_again)));
	if (span_equal(span_of_buffer(&document), span_of_buffer(&back)) != is_canonical(name)) {
		printf("\n%s: the way back is wrong\n", name);
		CU_FAIL("not the same bytes");
	}
	wbxml_buffer_free(&xml_again);
	wbxml_buffer_free(&back);
	wbxml_buffer_free(&xml);
	wbxml_buffer_free(&document);
}

static void check_compact(const char *name)
{
	check_there_and_back(name, &exact);
}

static void check_indented(const char *name)
{
	check_there_and_back(name, &indented);
}

static void test_samples_come_back_byte_for_byte(void)
{
	CU_ASSERT_EQUAL(sample_each("good", check_compact), 167);
}

static void test_indenting_changes_nothing_that_comes_back(void)
{
	CU_ASSERT_EQUAL(sample_each("good", check_indented), 167);
}

static void test_indented_xml_has_two_blanks_a_level(void)
{
	static const uint8_t ping[] = {0x03, 0x01, 0x6A, 0x00, 0x00, 0x0D, 0x45, 0x48, 0x03, '6',
		'0', 0x00, 0x01, 0x49, 0x0A, 0x01, 0x01};
	struct wbxml_buffer xml = decode(span_of(ping, sizeof(ping)), &indented);

	CU_ASSERT(span_equal(
		span_of_buffer(&xml), span_of_string("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
						     "<Ping xmlns=\"Ping\">\n"
						     "  <HeartbeatInterval>60</HeartbeatInterval>\n"
						     "  <Folders>\n"
						     "    <Folder/>\n"
						     "  </Folders>\n"
						     "</Ping>\n")));
	wbxml_buffer_free(&xml);
}

static const struct {
	const char *what, *xml, *message;
} refused[] = {
	{"no XML", "Sync", "line 1: "},
	{"nothing", "", "line 1: "},
	{"an end too few", "<Sync xmlns='AirSync'>", "line 1: "},
	{"two roots", "<Sync xmlns='AirSync'/><Sync xmlns='AirSync'/>", "line 1: Extra content"},
	{"an unknown tag", "<Sync xmlns='AirSync'>\n\n<Foo/></Sync>",
		"line 3: no tag Foo in namespace AirSync"},
	{"a tag of another page", "<Sync xmlns='Ping'/>", "line 1: no tag Sync in namespace Ping"},
	{"no namespace", "<Sync/>", "line 1: an element without a namespace"},
	{"an unknown namespace", "<Sync xmlns='Bla'/>", "line 1: a namespace that is no code page"},
	{"an unbound prefix", "<a:Sync/>", "line 1: an element without a namespace"},
	{"an attribute", "<Sync xmlns='AirSync' a='b'/>", "line 1: an attribute"},
	{"opaque not in base64 by its name",
		"<Sync xmlns='AirSync' xmlns:w='urn:easproxy:wbxml' w:opaque='hex'/>",
		"line 1: an attribute w:opaque that is not base64, text or lines"},
	{"a masked value",
		"<Sync xmlns='AirSync' xmlns:w='urn:easproxy:wbxml'>\n"
		"<Status w:masked='secret'/></Sync>",
		"line 2: a masked value, of which the bytes are not there"},
	{"opaque lines with a CR",
		"<Sync xmlns='AirSync' xmlns:w='urn:easproxy:wbxml' w:opaque='lines'>a&#13;\n"
		"</Sync>",
		"line 2: a carriage return in opaque lines"},
	{"opaque of another namespace", "<Sync xmlns='AirSync' xmlns:w='w' w:opaque='base64'/>",
		"line 1: an attribute"},
	{"opaque not in base64",
		"<Sync xmlns='AirSync' xmlns:w='urn:easproxy:wbxml' w:opaque='base64'>A=</Sync>",
		"line 1: opaque data that is not base64"},
	{"an element in opaque",
		"<Sync xmlns='AirSync' xmlns:w='urn:easproxy:wbxml' w:opaque='base64'>"
		"<Status/></Sync>",
		"line 1: an element inside opaque data"},
	{"a DOCTYPE", "<!DOCTYPE Sync><Sync xmlns='AirSync'/>", "line 1: a DOCTYPE"},
	{"a DOCTYPE of libwbxml",
		"<!DOCTYPE ActiveSync PUBLIC \"-//MICROSOFT//DTD ActiveSync//EN\" "
		"\"http://www.microsoft.com/\"><Sync xmlns='AirSync'/>",
		"line 1: a DOCTYPE"},
	{"entities",
		"<!DOCTYPE Sync [<!ENTITY a 'aaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>"
		"<Sync xmlns='AirSync'>&b;</Sync>",
		"line 1: a DOCTYPE"},
	{"an unknown entity", "<Sync xmlns='AirSync'>&nbsp;</Sync>", "line 1: Entity 'nbsp'"},
	{"a processing instruction", "<?php x?><Sync xmlns='AirSync'/>",
		"line 1: a processing instruction"},
	{"a character that is none", "<Sync xmlns='AirSync'>&#0;</Sync>",
		"line 1: xmlParseCharRef"},
	{"bytes that are not UTF-8", "<Sync xmlns='AirSync'>\xFF</Sync>", "line 1: "},
};

static void test_refused_xml_is_named_with_its_line(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct wbxml_buffer document = {.limit = 4096};
		struct error err = {""};
		int result =
			wbxml_from_xml(span_of_string(refused[i].xml), &exact, &document, &err);

		CU_ASSERT_EQUAL(result, -1);
		if (result != -1 ||
			strncmp(err.text, refused[i].message, strlen(refused[i].message)) != 0) {
			printf("\n%s: \"%s\"\n", refused[i].what, err.text);
			CU_FAIL("other message");
		}
		wbxml_buffer_free(&document);
	}
}

static void assert_encodes(const char *xml, const void *body, size_t len)
{
	struct wbxml_buffer document = encode(span_of_string(xml), &exact);

	CU_ASSERT_FATAL(document.len >= 4);
	if (!span_equal(span_of(document.data + 4, document.len - 4), span_of(body, len))) {
		printf("\n%s\n", xml);
		CU_FAIL("other bytes");
	}
	wbxml_buffer_free(&document);
}

static void test_xml_is_read_as_xml(void)
{
	static const uint8_t key[] = {0x45, 0x4B, 0x03, '1', 0x00, 0x01, 0x01};
	static const uint8_t text[] = {
		0x45, 0x03, '<', '&', '>', '\r', '\n', '\n', ' ', 0x00, 0x01};
	static const uint8_t umlaut[] = {0x45, 0x03, 0xC3, 0xA4, 0x00, 0x01};

	assert_encodes(
		"<a:Sync xmlns:a='AirSync'><a:SyncKey>1</a:SyncKey></a:Sync>", key, sizeof(key));
	assert_encodes("<Sync xmlns='AirSync:'>\n <SyncKey>1</SyncKey>\n</Sync>", key, sizeof(key));
	assert_encodes("<Sync xmlns='AirSync'><!-- x --><SyncKey><![CDATA[1]]></SyncKey></Sync>",
		key, sizeof(key));
	assert_encodes("<Sync xmlns='AirSync'>&lt;&amp;<![CDATA[>]]>&#13;\n\r\n </Sync>", text,
		sizeof(text));
	assert_encodes(
		"<?xml version='1.0' encoding='iso-8859-1'?><Sync xmlns='AirSync'>\xE4</Sync>",
		umlaut, sizeof(umlaut));
}

static void test_an_unknown_tag_is_known_by_its_token_where_it_may_pass(void)
{
	static const uint8_t body[] = {
		0x03, 0x01, 0x6A, 0x00, 0x45, 0x7F, 0x03, 'a', 0x00, 0x4B, 0x3E, 0x01, 0x01, 0x01};
	const struct wbxml_xml_options lenient = {.limits = {.lets_unknown_pass = true}};
	struct wbxml_buffer xml = decode(span_of(body, sizeof(body)), &lenient);
	struct wbxml_buffer back = encode(span_of_buffer(&xml), &lenient);
	struct wbxml_buffer none = {.limit = 4096};
	size_t skip = strlen(declaration);
	struct error err;

	CU_ASSERT_FATAL(xml.len > skip);
	CU_ASSERT(span_equal(span_of(xml.data + skip, xml.len - skip),
		span_of_string(
			"<Sync xmlns=\"AirSync\"><unknown-3F>a<SyncKey><unknown-3E/></SyncKey>"
			"</unknown-3F></Sync>\n")));
	CU_ASSERT(span_equal(span_of_buffer(&back), span_of(body, sizeof(body))));
	CU_ASSERT_EQUAL(wbxml_from_xml(span_of_buffer(&xml), &exact, &none, &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text, "line 2: no tag unknown-3F in namespace AirSync");
	CU_ASSERT_EQUAL(wbxml_from_xml(span_of_string("<unknown-05 xmlns='AirSync'/>"), &lenient,
				&none, &err),
		-1);
	CU_ASSERT_EQUAL(wbxml_from_xml(span_of_string("<unknown-40 xmlns='AirSync'/>"), &lenient,
				&none, &err),
		-1);
	wbxml_buffer_free(&none);
	wbxml_buffer_free(&back);
	wbxml_buffer_free(&xml);
}

static void test_white_space_alone_is_kept_where_there_is_no_child(void)
{
	static const uint8_t body[] = {0x45, 0x4B, 0x03, ' ', '\t', 0x00, 0x01, 0x01};

	assert_encodes(
		"<Sync xmlns='AirSync'>  <SyncKey> \t</SyncKey>  </Sync>", body, sizeof(body));
}

static void test_limits_hold_for_xml(void)
{
	const struct wbxml_xml_options small = {.limits = {.depth = 2, .elements = 3}};
	struct wbxml_buffer document = {.limit = 4096};
	struct error err = {""};

	CU_ASSERT_EQUAL(wbxml_from_xml(span_of_string("<Sync xmlns='AirSync'><Add/><Add/></Sync>"),
				&small, &document, &err),
		0);
	CU_ASSERT_EQUAL(
		wbxml_from_xml(span_of_string("<Sync xmlns='AirSync'><Add><Add/></Add></Sync>"),
			&small, &document, &err),
		-1);
	CU_ASSERT_STRING_EQUAL(err.text, "line 1: elements nested too deep");
	CU_ASSERT_EQUAL(
		wbxml_from_xml(span_of_string("<Sync xmlns='AirSync'><Add/><Add/><Add/></Sync>"),
			&small, &document, &err),
		-1);
	CU_ASSERT_STRING_EQUAL(err.text, "line 1: too many elements");
	wbxml_buffer_free(&document);
}

static void test_the_limit_of_the_buffer_ends_the_work(void)
{
	struct wbxml_buffer document = sample_read("malformed", "flood-amplify", ".wbxml");
	struct wbxml_buffer xml = {.limit = 4096}, wbxml = {.limit = 8};
	struct error err = {""};

	CU_ASSERT_EQUAL(wbxml_to_xml(span_of_buffer(&document), &exact, &xml, &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text, "the XML would be larger than 4096 bytes");
	CU_ASSERT(xml.capacity <= 4096);
	CU_ASSERT_EQUAL(wbxml_from_xml(span_of_string("<Sync xmlns='AirSync'>12345</Sync>"), &exact,
				&wbxml, &err),
		-1);
	CU_ASSERT_STRING_EQUAL(err.text, "the WBXML would be larger than 8 bytes");
	wbxml_buffer_free(&wbxml);
	wbxml_buffer_free(&xml);
	wbxml_buffer_free(&document);
}

static void test_refused_wbxml_is_named_with_its_byte(void)
{
	static const uint8_t bad[] = {0x03, 0x01, 0x6A, 0x00, 0x45, 0x7F, 0x01, 0x01};
	static const uint8_t mixed[] = {
		0x03, 0x01, 0x6A, 0x00, 0x45, 0x03, 'a', 0x00, 0xC3, 0x01, 'b', 0x01};
	struct wbxml_buffer xml = {.limit = 4096};
	struct error err = {""};

	CU_ASSERT_EQUAL(wbxml_to_xml(span_of(bad, sizeof(bad)), &exact, &xml, &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text, "byte 5 of the WBXML: unknown tag: 7f, not one of code "
					 "page 0 (AirSync), in AirSync:Sync");
	CU_ASSERT_EQUAL(wbxml_to_xml(span_of(bad, 5), &exact, &xml, &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text,
		"byte 5 of the WBXML: the document ends too early; expected content, or 01 for the "
		"end of an element, in AirSync:Sync");
	CU_ASSERT_EQUAL(wbxml_to_xml(span_of(mixed, sizeof(mixed)), &exact, &xml, &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text,
		"byte 11 of the WBXML: opaque data beside other content, which XML cannot show");
	wbxml_buffer_free(&xml);
}

static void test_opaque_values_in_a_row_are_one(void)
{
	static const uint8_t row[] = {0x03, 0x01, 0x6A, 0x00, 0x45, 0xC3, 0x01, 'a', 0xC3, 0x00,
		0xC3, 0x03, 'b', 'c', 'd', 0x01};
	struct wbxml_buffer xml = decode(span_of(row, sizeof(row)), &exact);

	CU_ASSERT(span_equal(span_of_buffer(&xml),
		span_of_string("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
			       "<Sync xmlns=\"AirSync\" xmlns:w=\"urn:easproxy:wbxml\" "
			       "w:opaque=\"base64\">YWJjZA==</Sync>\n")));
	wbxml_buffer_free(&xml);
}

static const struct wbxml_xml_options as_text = {.shows_opaque_text = true};

/* SendMail/Mime with an opaque value in several pieces. */
static void assert_opaque_shown(const char *value, size_t len, const char *shown)
{
	struct wbxml_buffer document = {.limit = 4096}, xml, back;
	struct wbxml_writer writer;
	char expected[512];

	wbxml_write_header(&writer, &document);
	wbxml_write_start(&writer, WBXML_COMPOSEMAIL_SENDMAIL);
	wbxml_write_start(&writer, WBXML_COMPOSEMAIL_MIME);
	wbxml_write_opaque(&writer, span_of(value, len));
	wbxml_write_end(&writer);
	wbxml_write_end(&writer);
	xml = decode(span_of_buffer(&document), &as_text);
	snprintf(expected, sizeof(expected),
		"%s<SendMail xmlns=\"ComposeMail\"><Mime xmlns:w=\"urn:easproxy:wbxml\" "
		"w:opaque=%s</SendMail>\n",
		declaration, shown);
	if (!span_equal(span_of_buffer(&xml), span_of_string(expected))) {
		printf("\n%.*s\n", SPAN_PRINT(span_of_buffer(&xml)));
		CU_FAIL("shown otherwise");
	}
	back = encode(span_of_buffer(&xml), &as_text);
	CU_ASSERT(span_equal(span_of_buffer(&back), span_of_buffer(&document)));
	wbxml_buffer_free(&back);
	wbxml_buffer_free(&xml);
	wbxml_buffer_free(&document);
}

static void test_opaque_text_is_shown_as_text_and_comes_back(void)
{
	static const struct {
		const char *value;
		size_t len;
		const char *shown;
	} values[] = {
		{"To: a\r\n\r\n<b> & c\r\n", 18, "\"lines\">To: a\n\n&lt;b&gt; &amp; c\n</Mime>"},
		{"\r\n", 2, "\"lines\">\n</Mime>"},
		{"no line", 7, "\"text\">no line</Mime>"},
		{" \t", 2, "\"text\"> \t</Mime>"},
		{"a\r\nb\nc", 6, "\"text\">a&#13;\nb\nc</Mime>"},
		{"a\r\n\r", 4, "\"text\">a&#13;\n&#13;</Mime>"},
		{"\xC3\xA4]]>", 5, "\"text\">\xC3\xA4]]&gt;</Mime>"},
		{"\xC3\xA4\xC3", 3, "\"base64\">w6TD</Mime>"},
		{"a\0b", 3, "\"base64\">YQBi</Mime>"},
		{"\x01", 1, "\"base64\">AQ==</Mime>"},
		{"", 0, "\"base64\"/>"},
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		assert_opaque_shown(values[i].value, values[i].len, values[i].shown);
}

static void check_as_text(const char *name)
{
	check_there_and_back(name, &as_text);
}

static void test_samples_come_back_from_text_byte_for_byte(void)
{
	CU_ASSERT_EQUAL(sample_each("good", check_as_text), 167);
}

static const struct wbxml_xml_options faulty = {.shows_faulty = true, .indent = true};

static void test_a_faulty_document_is_shown_up_to_its_fault(void)
{
	static const uint8_t cut[] = {0x03, 0x01, 0x6A, 0x00, 0x45, 0x5C, 0x4F, 0x4B, 0x03, '1'};
	static const uint8_t child_in_opaque[] = {
		0x03, 0x01, 0x6A, 0x00, 0x45, 0x4B, 0xC3, 0x01, 'a', 0x0E, 0x01, 0x01};
	static const struct {
		struct span document;
		const char *xml;
	} cases[] = {
		{{cut, sizeof(cut)}, "<Sync xmlns=\"AirSync\">\n  <Collections>\n    <Collection>\n"
				     "      <SyncKey>1</SyncKey>\n    </Collection>\n"
				     "  </Collections>\n</Sync>\n"},
		{{child_in_opaque, sizeof(child_in_opaque)},
			"<Sync xmlns=\"AirSync\">\n  <SyncKey xmlns:w=\"urn:easproxy:wbxml\" "
			"w:opaque=\"base64\">YQ==</SyncKey>\n</Sync>\n"},
		{{cut, 3}, "\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wbxml_buffer xml = {.limit = 4096};
		struct error err;
		size_t skip = strlen(declaration);

		CU_ASSERT_EQUAL(wbxml_to_xml(cases[i].document, &faulty, &xml, &err), -1);
		CU_ASSERT_FATAL(xml.len >= skip);
		if (!span_equal(span_of(xml.data + skip, xml.len - skip),
			    span_of_string(cases[i].xml))) {
			printf("\n%.*s\n", SPAN_PRINT(span_of_buffer(&xml)));
			CU_FAIL("shown otherwise");
		}
		wbxml_buffer_free(&xml);
	}
}

static const struct check checks[] = {
	{"samples decode to their XML byte for byte",
		test_samples_decode_to_their_xml_byte_for_byte},
	{"samples come back byte for byte", test_samples_come_back_byte_for_byte},
	{"indenting changes nothing that comes back",
		test_indenting_changes_nothing_that_comes_back},
	{"indented XML has two blanks a level", test_indented_xml_has_two_blanks_a_level},
	{"refused XML is named with its line", test_refused_xml_is_named_with_its_line},
	{"XML is read as XML", test_xml_is_read_as_xml},
	{"an unknown tag is known by its token where it may pass",
		test_an_unknown_tag_is_known_by_its_token_where_it_may_pass},
	{"white space alone is kept where there is no child",
		test_white_space_alone_is_kept_where_there_is_no_child},
	{"limits hold for XML", test_limits_hold_for_xml},
	{"the limit of the buffer ends the work", test_the_limit_of_the_buffer_ends_the_work},
	{"refused WBXML is named with its byte", test_refused_wbxml_is_named_with_its_byte},
	{"opaque values in a row are one", test_opaque_values_in_a_row_are_one},
	{"opaque text is shown as text and comes back",
		test_opaque_text_is_shown_as_text_and_comes_back},
	{"samples come back from text byte for byte",
		test_samples_come_back_from_text_byte_for_byte},
	{"a faulty document is shown up to its fault",
		test_a_faulty_document_is_shown_up_to_its_fault},
};

int main(void)
{
	return check_run("wbxml/xml", checks, sizeof(checks) / sizeof(checks[0]));
}
