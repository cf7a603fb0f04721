/* What an endpoint's answer to OPTIONS tells an operator, and what of it is never shown. */
#include <string.h>

#include "proxy/upstream_options.h"
#include "tests/unit/check.h"

static struct http_head parsed(const char *text)
{
	struct http_head head;

	CU_ASSERT_EQUAL_FATAL(
		http_answer_parse(&head, text, strlen(text), HTTP_OPTIONS), HTTP_DONE);
	return head;
}

static struct upstream_options judged(const char *text, enum config_login login)
{
	const struct http_head head = parsed(text);
	struct upstream_options options;

	upstream_options_judge(&head, login, &options);
	return options;
}

static bool has(const char *text, const char *part)
{
	bool found = strstr(text, part) != NULL;

	if (!found)
		printf("\n    \"%s\" is not in: %s", part, text);
	return found;
}

static void test_exchange_is_recognized(void)
{
	const struct upstream_options options =
		judged("HTTP/1.1 200 OK\r\nServer: Microsoft-IIS/10.0\r\n"
		       "MS-ASProtocolVersions: 2.5,14.1,16.1\r\nX-FEServer: EX1\r\n"
		       "X-CalculatedBETarget: ex2.contoso.test\r\nContent-Length: 0\r\n\r\n",
			CONFIG_LOGIN_KERBEROS);

	CU_ASSERT_TRUE(options.is_good);
	CU_ASSERT_STRING_EQUAL(options.hint, "");
	CU_ASSERT_STRING_EQUAL(options.text,
		"200, versions 2.5,14.1,16.1, server Microsoft-IIS/10.0, X-FEServer EX1, "
		"X-CalculatedBETarget ex2.contoso.test");
}

static void test_another_server_is_no_success(void)
{
	const struct upstream_options options = judged(
		"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 0\r\n\r\n", CONFIG_LOGIN_HEADER);

	CU_ASSERT_FALSE(options.is_good);
	CU_ASSERT_TRUE(has(options.text, "no ActiveSync server"));
	CU_ASSERT_TRUE(has(options.hint, "upstream/endpoints"));
}

static void test_401_says_what_is_offered_and_what_to_do(void)
{
	static const struct {
		enum config_login login;
		const char *offered, *hint;
	} rows[] = {
		{CONFIG_LOGIN_KERBEROS, "Negotiate", "upstream/spn"},
		{CONFIG_LOGIN_KERBEROS, "Basic", "WindowsAuthEnabled"},
		{CONFIG_LOGIN_BEARER, "Bearer", "bearer/audience"},
		{CONFIG_LOGIN_BEARER, "Negotiate", "modern authentication"},
		{CONFIG_LOGIN_BASIC, "Basic", "upstream/basic-user"},
		{CONFIG_LOGIN_HEADER, "Negotiate", "upstream/login"},
		{CONFIG_LOGIN_MINTED, "Negotiate", "handshake"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct upstream_options options;
		char text[200];

		snprintf(text, sizeof(text),
			"HTTP/1.1 401 No\r\nWWW-Authenticate: %s\r\nContent-Length: 0\r\n\r\n",
			rows[i].offered);
		options = judged(text, rows[i].login);
		CU_ASSERT_FALSE(options.is_good);
		CU_ASSERT_TRUE(has(options.text, rows[i].offered));
		CU_ASSERT_TRUE(has(options.hint, rows[i].hint));
	}
}

static void test_of_what_is_offered_only_the_names_are_shown(void)
{
	static const struct {
		const char *fields, *schemes;
	} rows[] = {
		{"WWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n", "Negotiate, NTLM"},
		{"WWW-Authenticate: Negotiate oYG2MIGzoAMKAQChCwYJKoZIgvcSAQICooGe==\r\n",
			"Negotiate"},
		{"WWW-Authenticate: Basic realm=\"a, b\\\", Secret c\", Digest nonce=\"x\", "
		 "qop=auth\r\n",
			"Basic, Digest"},
		{"WWW-Authenticate: Bearer client_id=\"0002\", trusted_issuers=\"1@2,3@4\", "
		 "token_types=\"app_asserted_user_v1\", authorization_uri=\"https://x/\"\r\n",
			"Bearer"},
		{"WWW-Authenticate: negotiate, Negotiate , , Basic realm = \"x\"\r\n",
			"negotiate, Basic"},
		{"WWW-Authenticate: \"\\\r\n", ""},
		{"WWW-Authenticate: ,,=,\"\r\n", ""},
		{"X: y\r\n", ""},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_head head;
		char text[400], schemes[100];

		snprintf(text, sizeof(text), "HTTP/1.1 401 No\r\n%sContent-Length: 0\r\n\r\n",
			rows[i].fields);
		head = parsed(text);
		upstream_options_schemes(&head, schemes, sizeof(schemes));
		CU_ASSERT_STRING_EQUAL(schemes, rows[i].schemes);
	}
}

static void test_other_statuses_say_what_to_do(void)
{
	static const struct {
		const char *answer;
		enum config_login login;
		bool is_good;
		const char *hint;
	} rows[] = {
		{"302 Found\r\nLocation: https://x/owa", CONFIG_LOGIN_HEADER, false, "sign in"},
		{"400 Bad Request", CONFIG_LOGIN_KERBEROS, false, "MaxFieldLength"},
		{"400 Bad Request", CONFIG_LOGIN_MINTED, false, "minted-certificate/issuer"},
		{"403 Forbidden", CONFIG_LOGIN_KERBEROS, false, "ActiveSyncEnabled"},
		{"404 Not Found", CONFIG_LOGIN_NONE, false, "Microsoft-Server-ActiveSync"},
		{"451 Redirect\r\nX-MS-Location: https://y/Microsoft-Server-ActiveSync",
			CONFIG_LOGIN_KERBEROS, true, "upstream/endpoints"},
		{"503 Busy", CONFIG_LOGIN_HEADER, false, "logs"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct upstream_options options;
		char text[300];

		snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n",
			rows[i].answer);
		options = judged(text, rows[i].login);
		CU_ASSERT_EQUAL(options.is_good, rows[i].is_good);
		CU_ASSERT_TRUE(has(options.hint, rows[i].hint));
	}
}

static void test_a_server_that_lets_everybody_in_is_a_warning(void)
{
	struct http_head head = parsed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	struct upstream_options options;

	upstream_options_judge_anonymous(&head, &options);
	CU_ASSERT_TRUE(options.is_good);
	CU_ASSERT_TRUE(has(options.text, "without a login"));
	CU_ASSERT_TRUE(has(options.hint, "nothing but easproxyd"));
	head = parsed(
		"HTTP/1.1 401 No\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n");
	upstream_options_judge_anonymous(&head, &options);
	CU_ASSERT_TRUE(options.is_good);
	CU_ASSERT_STRING_EQUAL(options.hint, "");
	CU_ASSERT_TRUE(has(options.text, "Negotiate"));
}

static void test_what_is_shown_is_printable_and_bounded(void)
{
	struct upstream_options options;
	char text[2000];

	snprintf(text, sizeof(text),
		"HTTP/1.1 200 OK\r\nMS-ASProtocolVersions: %0900d\r\nServer: a\xc3\xa4\tb\r\n"
		"Content-Length: 0\r\n\r\n",
		1);
	options = judged(text, CONFIG_LOGIN_NONE);
	CU_ASSERT_EQUAL(strlen(options.text), UPSTREAM_TEXT_MAX);
	options = judged("HTTP/1.1 200 OK\r\nMS-ASProtocolVersions: 1\r\nServer: a\xc3\xa4\tb\r\n"
			 "Content-Length: 0\r\n\r\n",
		CONFIG_LOGIN_NONE);
	CU_ASSERT_STRING_EQUAL(options.text, "200, versions 1, server a???b");
}

static const struct check checks[] = {
	{"Exchange is recognized by its answer", test_exchange_is_recognized},
	{"another server's 200 is no success", test_another_server_is_no_success},
	{"a 401 says what is offered, and what to do",
		test_401_says_what_is_offered_and_what_to_do},
	{"of what is offered only the names are shown",
		test_of_what_is_offered_only_the_names_are_shown},
	{"other statuses say what to do", test_other_statuses_say_what_to_do},
	{"a server that lets everybody in is a warning",
		test_a_server_that_lets_everybody_in_is_a_warning},
	{"what is shown is printable and bounded", test_what_is_shown_is_printable_and_bounded},
};

int main(void)
{
	return check_run("proxy/upstream_options", checks, sizeof(checks) / sizeof(checks[0]));
}
