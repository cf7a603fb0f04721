#include <stdlib.h>
#include <string.h>

#include "proxy/autodiscover.h"
#include "tests/unit/check.h"

#define REQUEST_SPACE                                                                              \
	"http://schemas.microsoft.com/exchange/autodiscover/mobilesync/requestschema/2006"
#define ANSWER_SPACE                                                                               \
	"http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006"
#define FRAME_SPACE "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"

#define REQUEST(content)                                                                           \
	"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Autodiscover xmlns=\"" REQUEST_SPACE "\">\n" \
	"<Request>" content "</Request>\n</Autodiscover>\n"
#define SCHEMA  "<AcceptableResponseSchema>" ANSWER_SPACE "</AcceptableResponseSchema>"
#define ADDRESS "<EMailAddress>Bob@Contoso.test</EMailAddress>"

static enum autodiscover_fault read_text(const char *text, char address[IDENTITY_ADDRESS_MAX + 1])
{
	struct error err = {""};
	enum autodiscover_fault fault = autodiscover_read(span_of_string(text), address, &err);

	CU_ASSERT_EQUAL(fault == AUTODISCOVER_NO_FAULT, err.text[0] == '\0');
	return fault;
}

static void test_a_request_gives_the_address(void)
{
	static const char *const texts[] = {
		REQUEST(ADDRESS SCHEMA),
		REQUEST(SCHEMA ADDRESS),
		REQUEST("\n\t<EMailAddress>\n bob@contoso.test </EMailAddress>\n\t" SCHEMA "\n"),
		REQUEST(ADDRESS "<LegacyDN>/o=<b>x</b></LegacyDN>" SCHEMA),
		REQUEST("<EMailAddress>b&#111;b@contoso.test</EMailAddress>" SCHEMA),
		"<a:Autodiscover xmlns:a=\"" REQUEST_SPACE "\"><a:Request><a:EMailAddress>"
		"bob@contoso.test</a:EMailAddress><a:AcceptableResponseSchema>" ANSWER_SPACE
		"</a:AcceptableResponseSchema></a:Request></a:Autodiscover>",
		/* What the declaration says of the encoding is not followed: nothing but UTF-8 is read. */
		"<?xml version=\"1.0\" encoding=\"EUC-JP\"?><Autodiscover xmlns=\"" REQUEST_SPACE
		"\"><Request>" ADDRESS SCHEMA "</Request></Autodiscover>",
	};
	char address[IDENTITY_ADDRESS_MAX + 1];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		CU_ASSERT_EQUAL(read_text(texts[i], address), AUTODISCOVER_NO_FAULT);
		CU_ASSERT_STRING_EQUAL(address, "bob@contoso.test");
	}
}

static void test_what_is_no_request_is_a_fault_in_the_schema(void)
{
	static const struct {
		const char *text;
		enum autodiscover_fault fault;
	} cases[] = {
		{"", AUTODISCOVER_INVALID},
		{"hello", AUTODISCOVER_INVALID},
		{"<Autodiscover xmlns=\"" REQUEST_SPACE "\"><Request>", AUTODISCOVER_INVALID},
		{REQUEST(""), AUTODISCOVER_INVALID},
		{REQUEST(ADDRESS), AUTODISCOVER_INVALID},
		{REQUEST(SCHEMA), AUTODISCOVER_INVALID},
		{REQUEST(ADDRESS ADDRESS SCHEMA), AUTODISCOVER_INVALID},
		{REQUEST(ADDRESS SCHEMA SCHEMA), AUTODISCOVER_INVALID},
		{REQUEST("text" ADDRESS SCHEMA), AUTODISCOVER_INVALID},
		{REQUEST("<EMailAddress>bob</EMailAddress>" SCHEMA), AUTODISCOVER_INVALID},
		{REQUEST("<EMailAddress>CONTOSO\\bob</EMailAddress>" SCHEMA), AUTODISCOVER_INVALID},
		{REQUEST("<EMailAddress>b<i/>ob@contoso.test</EMailAddress>" SCHEMA),
			AUTODISCOVER_INVALID},
		{REQUEST("<EMailAddress>&xxe;</EMailAddress>" SCHEMA), AUTODISCOVER_INVALID},
		{REQUEST("<?php echo 1 ?>" ADDRESS SCHEMA), AUTODISCOVER_INVALID},
		{REQUEST(ADDRESS SCHEMA) "<more/>", AUTODISCOVER_INVALID},
		{"<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>" REQUEST(ADDRESS SCHEMA),
			AUTODISCOVER_INVALID},
		{"<!DOCTYPE Autodiscover><Autodiscover xmlns=\"" REQUEST_SPACE
		 "\"><Request>" ADDRESS SCHEMA "</Request></Autodiscover>",
			AUTODISCOVER_INVALID},
		{"<!DOCTYPE Autodiscover SYSTEM \"http://127.0.0.1:1/x\"><Autodiscover "
		 "xmlns=\"" REQUEST_SPACE "\"/>",
			AUTODISCOVER_INVALID},
		{REQUEST(ADDRESS "<AcceptableResponseSchema>http://schemas.microsoft.com/exchange/"
				 "autodiscover/outlook/responseschema/2006a</"
				 "AcceptableResponseSchema>"),
			AUTODISCOVER_PROVIDER},
		{"<Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/"
		 "requestschema/2006\"><Request>" ADDRESS SCHEMA "</Request></Autodiscover>",
			AUTODISCOVER_PROVIDER},
		{"<Autodiscover><Request/></Autodiscover>", AUTODISCOVER_PROVIDER},
	};
	char address[IDENTITY_ADDRESS_MAX + 1];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum autodiscover_fault fault = read_text(cases[i].text, address);

		if (fault != cases[i].fault)
			printf("\ncase %zu: %d\n", i, (int)fault);
		CU_ASSERT_EQUAL(fault, cases[i].fault);
		CU_ASSERT_STRING_EQUAL(address, "");
	}
}

static void test_documents_are_bounded(void)
{
	static char text[AUTODISCOVER_SIZE_MAX + 2000];
	static const char head[] = "<Autodiscover xmlns=\"" REQUEST_SPACE "\">";
	char address[IDENTITY_ADDRESS_MAX + 1];
	size_t len = sizeof(head) - 1;

	memcpy(text, head, len);
	for (int i = 0; i < 20; i++, len += 3)
		memcpy(text + len, "<a>", 4);
	CU_ASSERT_EQUAL(read_text(text, address), AUTODISCOVER_INVALID);
	len = sizeof(head) - 1;
	for (int i = 0; i < 2000; i++, len += 4)
		memcpy(text + len, "<a/>", 5);
	CU_ASSERT_EQUAL(read_text(text, address), AUTODISCOVER_INVALID);
	memset(text, ' ', sizeof(text) - 1);
	memcpy(text, REQUEST(ADDRESS SCHEMA), sizeof(REQUEST(ADDRESS SCHEMA)) - 1);
	CU_ASSERT_EQUAL(read_text(text, address), AUTODISCOVER_INVALID);
	text[AUTODISCOVER_SIZE_MAX] = '\0';
	CU_ASSERT_EQUAL(read_text(text, address), AUTODISCOVER_NO_FAULT);
}

/* UTF-16 and EBCDIC would have libxml2 load converters. */
static void test_other_encodings_are_refused_before_libxml2_sees_them(void)
{
	static const uint8_t utf16[] = {0xff, 0xfe, '<', 0, 'a', 0, '/', 0, '>', 0};
	static const uint8_t ebcdic[] = {0x4c, 0x6f, 0xa7, 0x94, 0x93};
	char address[IDENTITY_ADDRESS_MAX + 1];
	struct error err;

	CU_ASSERT_EQUAL(autodiscover_read(span_of(utf16, sizeof(utf16)), address, &err),
		AUTODISCOVER_INVALID);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "UTF-8"));
	CU_ASSERT_EQUAL(autodiscover_read(span_of(ebcdic, sizeof(ebcdic)), address, &err),
		AUTODISCOVER_INVALID);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "UTF-8"));
}

static const char *written(const struct autodiscover_answer *answer)
{
	static char text[4096];
	struct wbxml_buffer out = {.limit = sizeof(text) - 1};

	CU_ASSERT_EQUAL_FATAL(autodiscover_write(answer, &out), 0);
	memcpy(text, out.data, out.len);
	text[out.len] = '\0';
	wbxml_buffer_free(&out);
	return text;
}

#define ANSWER(content)                                                                            \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Autodiscover xmlns=\"" FRAME_SPACE           \
	"\"><Response xmlns=\"" ANSWER_SPACE "\">" content "</Response></Autodiscover>\n"

static void test_settings_name_one_server(void)
{
	const struct autodiscover_answer answer = {.address = "bob@contoso.test",
		.display_name = "Bob & <Co>",
		.url = "https://mail.contoso.test/Microsoft-Server-ActiveSync"};

	CU_ASSERT_STRING_EQUAL(written(&answer),
		ANSWER("<Culture>en:us</Culture><User><DisplayName>Bob &amp; &lt;Co&gt;"
		       "</DisplayName><EMailAddress>bob@contoso.test</EMailAddress></User>"
		       "<Action><Settings><Server><Type>MobileSync</Type>"
		       "<Url>https://mail.contoso.test/Microsoft-Server-ActiveSync</Url>"
		       "<Name>https://mail.contoso.test/Microsoft-Server-ActiveSync</Name>"
		       "</Server></Settings></Action>"));
}

static void test_redirect_and_faults_have_their_places(void)
{
	const struct autodiscover_answer redirect = {.redirect = "bob@fabrikam.test"};
	const struct autodiscover_answer protocol = {.fault = AUTODISCOVER_PROTOCOL};
	const struct autodiscover_answer invalid = {.fault = AUTODISCOVER_INVALID,
		.now_us = ((13 * 60 + 7) * 60 + 5) * UINT64_C(1000000) + 42000,
		.id = 77};

	CU_ASSERT_STRING_EQUAL(written(&redirect),
		ANSWER("<Culture>en:us</Culture><Action><Redirect>bob@fabrikam.test</Redirect>"
		       "</Action>"));
	CU_ASSERT_STRING_EQUAL(written(&protocol),
		ANSWER("<Culture>en:us</Culture><Action><Error><Status>2</Status>"
		       "<Message>The certificate is not for this address</Message><DebugData/>"
		       "</Error></Action>"));
	CU_ASSERT_STRING_EQUAL(written(&invalid),
		ANSWER("<Error Time=\"13:07:05.042\" Id=\"77\"><ErrorCode>600</ErrorCode>"
		       "<Message>Invalid request</Message><DebugData/></Error>"));
}

static void test_of_an_endpoints_answer_no_url_is_read(void)
{
	static const char text[] = ANSWER(
		"<Culture>de:de</Culture><User><DisplayName>Bob</DisplayName>"
		"<EMailAddress>bob@contoso.test</EMailAddress></User><Action><Settings><Server>"
		"<Type>MobileSync</Type><Url>https://ex1.corp.local/x</Url>"
		"<Name>https://ex1.corp.local/x</Name></Server><Server><Type>CertEnroll</Type>"
		"<Url>https://ca.corp.local/certsrv</Url><ServerData>EasUser</ServerData></Server>"
		"</Settings></Action>");
	struct autodiscover_forwarded forwarded;
	struct error err;

	CU_ASSERT_EQUAL_FATAL(autodiscover_read_answer(span_of_string(text), &forwarded, &err), 0);
	CU_ASSERT_TRUE(forwarded.has_server);
	CU_ASSERT_STRING_EQUAL(forwarded.address, "bob@contoso.test");
	CU_ASSERT_STRING_EQUAL(forwarded.display_name, "Bob");
	CU_ASSERT_EQUAL(forwarded.fault, AUTODISCOVER_NO_FAULT);
	CU_ASSERT_EQUAL(memmem(&forwarded, sizeof(forwarded), "corp.local", 10), NULL);
}

static void test_what_an_endpoint_may_not_answer(void)
{
	static const struct {
		const char *text;
		int status;
		enum autodiscover_fault fault;
	} cases[] = {
		{ANSWER("<Action><Redirect>bob@fabrikam.test</Redirect></Action>"), 0,
			AUTODISCOVER_NO_FAULT},
		{ANSWER("<Action><Error><Status>2</Status><Message>EX1 is down</Message></Error>"
			"</Action>"),
			0, AUTODISCOVER_PROTOCOL},
		{ANSWER("<Error Time=\"1\" Id=\"2\"><ErrorCode>600</ErrorCode></Error>"), 0,
			AUTODISCOVER_INVALID},
		{ANSWER("<Error><ErrorCode>601</ErrorCode></Error>"), 0, AUTODISCOVER_PROVIDER},
		{"<html><body>Sign in</body></html>", -1, AUTODISCOVER_NO_FAULT},
		{ANSWER(""), -1, AUTODISCOVER_NO_FAULT},
		{ANSWER("<Action><Settings/></Action>"), -1, AUTODISCOVER_NO_FAULT},
		{ANSWER("<Action><Settings><Server><Type>CertEnroll</Type></Server></Settings>"
			"</Action>"),
			-1, AUTODISCOVER_NO_FAULT},
		{ANSWER("<Action><Redirect>https://ex1.corp.local</Redirect></Action>"), -1,
			AUTODISCOVER_NO_FAULT},
		{"<!DOCTYPE a>" ANSWER("<Action/>"), -1, AUTODISCOVER_NO_FAULT},
	};
	struct autodiscover_forwarded forwarded;
	struct error err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(
			autodiscover_read_answer(span_of_string(cases[i].text), &forwarded, &err),
			cases[i].status);
		CU_ASSERT_EQUAL(forwarded.fault, cases[i].fault);
	}
}

static void test_json_is_the_same_for_every_address(void)
{
	static const struct {
		const char *query, *json;
		unsigned int status;
	} cases[] = {
		{"Email=bob@contoso.test&Protocol=ActiveSync&RedirectCount=1",
			"{\"Protocol\":\"ActiveSync\",\"Url\":\"https://mail.contoso.test/"
			"Microsoft-Server-ActiveSync\"}",
			200},
		{"protocol=activesync",
			"{\"Protocol\":\"ActiveSync\",\"Url\":\"https://mail.contoso.test/"
			"Microsoft-Server-ActiveSync\"}",
			200},
		{"Email=x&Protocol=AutodiscoverV1",
			"{\"Protocol\":\"AutodiscoverV1\",\"Url\":\"https://mail.contoso.test/"
			"autodiscover/autodiscover.xml\"}",
			200},
		{"Protocol=EWS", "{\"ErrorCode\":\"InvalidProtocol\"", 400},
		{"Protocol=ActiveSync&Protocol=EWS", "{\"ErrorCode\":\"MandatoryParameterMissing\"",
			400},
		{"", "{\"ErrorCode\":\"MandatoryParameterMissing\"", 400},
		{"&&=&Protocol", "{\"ErrorCode\":\"MandatoryParameterMissing\"", 400},
	};
	char json[AUTODISCOVER_JSON_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(autodiscover_write_json(span_of_string(cases[i].query),
					"https://mail.contoso.test", json),
			cases[i].status);
		CU_ASSERT_EQUAL(strncmp(json, cases[i].json, strlen(cases[i].json)), 0);
	}
}

static void test_paths_of_the_second_version(void)
{
	static const struct {
		const char *path;
		bool is_one;
	} cases[] = {
		{"/autodiscover/autodiscover.json", true},
		{"/Autodiscover/AutoDiscover.json", true},
		{"/autodiscover/autodiscover.json/v1.0/bob@contoso.test", true},
		{"/autodiscover/autodiscover.json/v1.0/bob%40contoso.test", true},
		{"/autodiscover/autodiscover.json/v1.0/a/b", false},
		{"/autodiscover/autodiscover.jsonx", false},
		{"/autodiscover/autodiscover.xml", false},
		{"/autodiscover/autodiscover%2ejson", false},
		{"/", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(
			autodiscover_is_json_path(span_of_string(cases[i].path)), cases[i].is_one);
}

static const struct check checks[] = {
	{"a request gives the address", test_a_request_gives_the_address},
	{"what is no request is a fault in the schema",
		test_what_is_no_request_is_a_fault_in_the_schema},
	{"documents are bounded", test_documents_are_bounded},
	{"other encodings are refused before libxml2 sees them",
		test_other_encodings_are_refused_before_libxml2_sees_them},
	{"settings name one server", test_settings_name_one_server},
	{"redirect and faults have their places", test_redirect_and_faults_have_their_places},
	{"of an endpoint's answer no URL is read", test_of_an_endpoints_answer_no_url_is_read},
	{"what an endpoint may not answer", test_what_an_endpoint_may_not_answer},
	{"JSON is the same for every address", test_json_is_the_same_for_every_address},
	{"paths of the second version", test_paths_of_the_second_version},
};

int main(void)
{
	return check_run("proxy/autodiscover", checks, sizeof(checks) / sizeof(checks[0]));
}
