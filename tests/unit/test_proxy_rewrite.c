#include <openssl/evp.h>
#include <string.h>

#include "proxy/eas.h"
#include "proxy/rewrite.h"
#include "proxy/template.h"
#include "tests/unit/check.h"

static struct config_header login_headers[] = {
	{.name = (char *)"x-webobjects-remote-user", .value = (char *)"%{mailbox}"}};
static char *identity_headers[] = {(char *)"x-company-user"};

static struct config config_of_test(void)
{
	struct config config = {0};

	config.upstream.login = CONFIG_LOGIN_HEADER;
	config.upstream.header_count = 1;
	config.upstream.headers = login_headers;
	config.upstream.basic_user = (char *)"";
	config.assertion.header = (char *)"Owner-Assertion";
	config.identity_header_count = 1;
	config.identity_headers = identity_headers;
	return config;
}

static const struct template_values values = {
	.mailbox = "alice@contoso.test",
	.device_id = "DEV1",
	.device_type = "iPhone",
	.request_id = "00ff",
	.client_address = "192.0.2.1",
};

/* The rewritten fields of a request with these lines beside Host. */
static const char *rewritten(
	const struct config *config, const char *lines, const char *content_type)
{
	static char out[4096];
	static char in[4096];
	struct http_writer writer = {.data = out, .capacity = sizeof(out) - 1};
	struct http_head head;

	snprintf(in, sizeof(in),
		"POST /Microsoft-Server-ActiveSync?x HTTP/1.1\r\nHost: a\r\n%s\r\n", lines);
	if (http_request_parse(&head, in, strlen(in)) != HTTP_DONE)
		return "not parsed";
	rewrite_request_fields(&writer, config, &head, &values, content_type, NULL);
	if (writer.has_failed)
		return "failed";
	out[writer.len] = '\0';
	return out;
}

static void test_ordinary_fields_pass(void)
{
	struct config config = config_of_test();

	CU_ASSERT_STRING_EQUAL(
		rewritten(&config,
			"User-Agent: Apple-iPhone12C1/1805.1\r\nMS-ASProtocolVersion: 14.1\r\n"
			"X-MS-PolicyKey: 12\r\nCookie: a=b\r\nAccept-Encoding: gzip\r\n"
			"Content-Type: application/vnd.ms-sync.wbxml\r\n",
			NULL),
		"x-webobjects-remote-user: alice@contoso.test\r\n"
		"User-Agent: Apple-iPhone12C1/1805.1\r\nMS-ASProtocolVersion: 14.1\r\n"
		"X-MS-PolicyKey: 12\r\nCookie: a=b\r\nAccept-Encoding: gzip\r\n"
		"Content-Type: application/vnd.ms-sync.wbxml\r\n");
}

static void test_identity_fields_of_a_phone_are_taken_out(void)
{
	static const char *const lines[] = {
		"Authorization: Basic Ym9iOng=\r\n",
		"AUTHORIZATION: Bearer x\r\n",
		"Proxy-Authorization: Basic x\r\n",
		"x-webobjects-remote-user: bob@contoso.test\r\n",
		"X-WebObjects-Remote-User: bob@contoso.test\r\n",
		"X_WebObjects_Remote_User: bob@contoso.test\r\n",
		"x.webobjects.remote.user: bob\r\n",
		"x-webobjects-auth-type: Basic\r\n",
		"Owner-Assertion: e30.e30.e30\r\n",
		"OWNER_ASSERTION: e30.e30.e30\r\n",
		"X-Company-User: bob\r\n",
		"X_Company-User: bob\r\n",
		"Remote-User: bob\r\n",
		"Client-Cert: :AAAA:\r\n",
		"client_cert_chain: :AAAA:\r\n",
		"X-SSL-Client-S-DN: CN=bob\r\n",
		"X-Forwarded-For: 10.0.0.1\r\n",
		"X-Forwarded-User: bob\r\n",
		"Forwarded: for=10.0.0.1\r\n",
		"X-Original-URL: /owa\r\n",
		"X-Rewrite-URL: /owa\r\n",
		"X-HTTP-Method-Override: DELETE\r\n",
		"Connection: x-secret\r\nX-Secret: 1\r\n",
		"TE: trailers\r\n",
		"Expect: 100-continue\r\n",
		"Any~Name: odd\r\n",
		"Content-Length: 3\r\n",
	};
	struct config config = config_of_test();

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const char *out = rewritten(&config, lines[i], NULL);

		if (strcmp(out, "x-webobjects-remote-user: alice@contoso.test\r\n") != 0)
			printf("\n%s -> %s", lines[i], out);
		CU_ASSERT_STRING_EQUAL(out, "x-webobjects-remote-user: alice@contoso.test\r\n");
	}
}

static void test_basic_login_is_written_from_its_templates(void)
{
	struct config config = config_of_test();
	char password[] = "s3cret:%{local-part}\n";
	FILE *file = tmpfile();

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs(password, file);
	fflush(file);
	config.upstream.header_count = 0;
	config.upstream.login = CONFIG_LOGIN_BASIC;
	config.upstream.basic_user = (char *)"%{mailbox}*master";
	config.upstream.basic_password =
		(struct config_file){.path = (char *)"p", .fd = fileno(file)};
	/* alice@contoso.test*master:s3cret:alice */
	CU_ASSERT_STRING_EQUAL(rewritten(&config, "Authorization: Basic Ym9iOng=\r\n", NULL),
		"Authorization: Basic "
		"YWxpY2VAY29udG9zby50ZXN0Km1hc3RlcjpzM2NyZXQ6YWxpY2U=\r\n");
	fclose(file);
}

static void test_client_certificate_login_without_certificate_fails(void)
{
	struct config config = config_of_test();

	config.upstream.login = CONFIG_LOGIN_CLIENT_CERT;
	CU_ASSERT_STRING_EQUAL(rewritten(&config, "", NULL), "failed");
}

static void test_another_content_type_takes_the_phones_place(void)
{
	struct config config = config_of_test();

	CU_ASSERT_STRING_EQUAL(
		rewritten(&config,
			"Content-Type: application/vnd.ms-sync.wbxml\r\nAccept-Encoding: gzip\r\n",
			"text/xml"),
		"x-webobjects-remote-user: alice@contoso.test\r\nContent-Type: text/xml\r\n");
}

static struct config_endpoint endpoints[] = {
	{.host = (char *)"10.1.2.3"}, {.host = (char *)"mail7.corp.test"}};

static struct config config_of_answers(void)
{
	struct config config = config_of_test();

	config.activesync.min_protocol = 121;
	config.activesync.max_protocol = 160;
	config.activesync.closed_commands = 1U << EAS_SEARCH;
	config.upstream.endpoints = endpoints;
	config.upstream.endpoint_count = 2;
	return config;
}

static void test_an_answer_keeps_inner_names_inside(void)
{
	static const char in[] =
		"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nServer: IIS\r\n"
		"WWW-Authenticate: Negotiate\r\nX-FEServer: EX1\r\nConnection: x-a\r\n"
		"X-A: 1\r\nMS-Server-ActiveSync: 15.2\r\nContent-Length: 5\r\n"
		"Set-Cookie: a=b\r\n\r\n";
	char out[1024];
	struct http_writer writer = {.data = out, .capacity = sizeof(out) - 1};
	struct http_head head;
	struct config config = config_of_answers();
	const struct rewrite_terms terms = {.status = 200, .framing = REWRITE_LENGTH, .length = 5};

	CU_ASSERT_EQUAL_FATAL(http_answer_parse(&head, in, sizeof(in) - 1, HTTP_POST), HTTP_DONE);
	rewrite_answer(&writer, &config, &head, &terms);
	CU_ASSERT_FALSE_FATAL(writer.has_failed);
	out[writer.len] = '\0';
	CU_ASSERT_STRING_EQUAL(out, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
				    "MS-Server-ActiveSync: 15.2\r\n"
				    "Set-Cookie: a=b; Path=/; Secure; HttpOnly\r\n"
				    "Content-Length: 5\r\n\r\n");
}

/* The head that a phone gets of an answer with these lines. */
static const char *answered(
	const struct config *config, const struct rewrite_terms *terms, const char *lines)
{
	static char out[4096];
	static char in[4096];
	struct http_writer writer = {.data = out, .capacity = sizeof(out) - 1};
	struct http_head head;

	snprintf(in, sizeof(in), "HTTP/1.1 %u Whatever EX1 says\r\n%sContent-Length: 0\r\n\r\n",
		terms->status, lines);
	if (http_answer_parse(&head, in, strlen(in), HTTP_POST) != HTTP_DONE)
		return "not parsed";
	rewrite_answer(&writer, config, &head, terms);
	if (writer.has_failed)
		return "failed";
	out[writer.len] = '\0';
	return out;
}

static void test_fields_change_on_their_way(void)
{
	static const struct {
		unsigned int status, min_protocol;
		const char *lines, *head;
	} cases[] = {
		{200, 0, "MS-ASProtocolVersions: 2.5,12.0,12.1, 14.0 ,14.1,16.0,16.1,17.0\r\n",
			"200 OK\r\nMS-ASProtocolVersions: 12.1,14.0,14.1,16.0\r\n"},
		{200, 141,
			"MS-ASProtocolVersions: 2.5,12.1,14.0,14.1,16.0\r\nX-MS-RP: 14.0,14.1\r\n",
			"200 OK\r\nMS-ASProtocolVersions: 14.1,16.0\r\nX-MS-RP: 14.1\r\n"},
		{200, 0, "X-MS-RP: 2.5,12.0\r\n", "200 OK\r\n"},
		{200, 0, "ms-asprotocolcommands: Sync,Search,Find,Ping,Whatever\r\n",
			"200 OK\r\nms-asprotocolcommands: Sync,Find,Ping\r\n"},
		{200, 0,
			"Set-Cookie: X-BackEndCookie=x!y; expires=Thu, 01-Jan-2026 00:00:00 GMT; "
			"domain=ex1.corp.local; path=/Microsoft-Server-ActiveSync; secure; "
			"HttpOnly\r\n",
			"200 OK\r\nSet-Cookie: X-BackEndCookie=x!y; expires=Thu, 01-Jan-2026 "
			"00:00:00 GMT; Path=/; Secure; HttpOnly\r\n"},
		{200, 0, "Set-Cookie: node=mail7.corp.test\r\n", "200 OK\r\n"},
		{200, 0, "Set-Cookie: nonsense\r\n", "200 OK\r\n"},
		{503, 0, "Retry-After: 120\r\nX-MS-ASThrottle: CommandFrequency\r\n",
			"503 Service Unavailable\r\nRetry-After: 120\r\n"
			"X-MS-ASThrottle: CommandFrequency\r\n"},
		{503, 0, "Retry-After: Sun, 06 Nov 2026 08:49:37 GMT\r\n",
			"503 Service Unavailable\r\nRetry-After: Sun, 06 Nov 2026 08:49:37 "
			"GMT\r\n"},
		{503, 0, "", "503 Service Unavailable\r\nRetry-After: 30\r\n"},
		{503, 0, "Retry-After: soon\r\n", "503 Service Unavailable\r\nRetry-After: 30\r\n"},
		{503, 0, "Retry-After: 86401\r\n",
			"503 Service Unavailable\r\nRetry-After: 30\r\n"},
		{449, 0, "", "449 Retry after sending a PROVISION command\r\n"},
		{403, 0,
			"Location: https://mail7.corp.test/owa\r\nX-MS-Location: https://a/\r\n"
			"X-MS-Credential-Service-Url: https://reset.corp.local\r\n"
			"X-CalculatedBETarget: mail7.corp.test\r\nX-BackEndHttpStatus: 403\r\n"
			"X-Anything: at MAIL7.corp.test:444\r\nX-Other: notmail7.corp.test\r\n",
			"403 Forbidden\r\nX-Other: notmail7.corp.test\r\n"},
	};
	struct config config = config_of_answers();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct rewrite_terms terms = {.status = cases[i].status,
			.min_protocol = cases[i].min_protocol,
			.retry_after_s = 30,
			.framing = REWRITE_NO_LENGTH};
		char wanted[600];

		snprintf(wanted, sizeof(wanted), "HTTP/1.1 %s\r\n", cases[i].head);
		CU_ASSERT_STRING_EQUAL(answered(&config, &terms, cases[i].lines), wanted);
		if (strcmp(answered(&config, &terms, cases[i].lines), wanted) != 0)
			printf("\n%s\ninstead of\n%s", answered(&config, &terms, cases[i].lines),
				wanted);
	}
}

static void test_a_redirect_says_where_we_are(void)
{
	struct config config = config_of_answers();
	const struct rewrite_terms terms = {.status = 451,
		.framing = REWRITE_LENGTH,
		.location = "https://phones.test/Microsoft-Server-ActiveSync"};

	CU_ASSERT_STRING_EQUAL(
		answered(&config, &terms, "X-MS-Location: https://ex1.corp.local/x\r\n"),
		"HTTP/1.1 451 Redirect\r\n"
		"X-MS-Location: https://phones.test/Microsoft-Server-ActiveSync\r\n"
		"Content-Length: 0\r\n\r\n");
}

static void test_templates(void)
{
	static const struct {
		const char *template, *text; /* NULL: refused */
	} cases[] = {
		{"%{mailbox}", "alice@contoso.test"},
		{"CONTOSO\\%{local-part}", "CONTOSO\\alice"},
		{"%{domain}/%{device-id}/%{device-type}", "contoso.test/DEV1/iPhone"},
		{"100%% %{request-id} %{client-address}", "100% 00ff 192.0.2.1"},
		{"", ""},
		{"%{nobody}", NULL},
		{"%{mailbox", NULL},
		{"%", NULL},
		{"%m", NULL},
	};
	char text[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = template_fill(cases[i].template, &values, text, sizeof(text));

		CU_ASSERT_EQUAL(status, cases[i].text == NULL ? -1 : 0);
		if (status == 0 && cases[i].text != NULL)
			CU_ASSERT_STRING_EQUAL(text, cases[i].text);
	}
}

static void test_a_template_that_does_not_fit_is_refused(void)
{
	char text[19]; /* alice@contoso.test and its NUL */

	CU_ASSERT_EQUAL(template_fill("%{mailbox}", &values, text, sizeof(text)), 0);
	CU_ASSERT_EQUAL(template_fill("%{mailbox}", &values, text, sizeof(text) - 1), -1);
	CU_ASSERT_EQUAL(template_fill("%{mailbox}x", &values, text, sizeof(text)), -1);
}

static const struct check checks[] = {
	{"ordinary fields pass", test_ordinary_fields_pass},
	{"identity fields of a phone are taken out", test_identity_fields_of_a_phone_are_taken_out},
	{"basic login is written from its templates",
		test_basic_login_is_written_from_its_templates},
	{"client certificate login without certificate fails",
		test_client_certificate_login_without_certificate_fails},
	{"another content type takes the phone's place",
		test_another_content_type_takes_the_phones_place},
	{"an answer keeps inner names inside", test_an_answer_keeps_inner_names_inside},
	{"fields change on their way", test_fields_change_on_their_way},
	{"a redirect says where we are", test_a_redirect_says_where_we_are},
	{"templates", test_templates},
	{"a template that does not fit is refused", test_a_template_that_does_not_fit_is_refused},
};

int main(void)
{
	return check_run("proxy/rewrite", checks, sizeof(checks) / sizeof(checks[0]));
}
