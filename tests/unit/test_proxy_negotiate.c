#include "proxy/negotiate.h"

#include "tests/unit/check.h"

enum { TOKEN_MAX = 64 };

static enum negotiate_result read_fields(const char *lines, uint8_t token[TOKEN_MAX], size_t *len)
{
	static char text[1024];
	struct http_head head;

	snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n%s\r\n", lines);
	if (http_answer_parse(&head, text, strlen(text), HTTP_POST) != HTTP_DONE) {
		CU_FAIL("the answer itself is malformed");
		return NEGOTIATE_MALFORMED;
	}
	return negotiate_read(&head, token, TOKEN_MAX, len);
}

static void test_a_token_is_found_among_other_challenges(void)
{
	static const char *const good[] = {
		"WWW-Authenticate: Negotiate aGVsbG8=\r\n",
		"www-authenticate: negotiate \t aGVsbG8= \r\n",
		"WWW-Authenticate: Basic realm=\"a, Negotiate b\", Negotiate aGVsbG8=\r\n",
		"WWW-Authenticate: Basic realm=\"a\\\", b\", Negotiate aGVsbG8=, NTLM\r\n",
		"WWW-Authenticate: NTLM, Negotiate\r\nWWW-Authenticate: ,, Negotiate aGVsbG8=,\r\n",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		uint8_t token[TOKEN_MAX];
		size_t len = 0;

		CU_ASSERT_EQUAL(read_fields(good[i], token, &len), NEGOTIATE_TOKEN);
		CU_ASSERT_TRUE(span_equal(span_of(token, len), span_of_string("hello")));
	}
}

static void test_what_is_no_token_is_none(void)
{
	static const struct {
		const char *lines;
		enum negotiate_result result;
	} cases[] = {
		{"", NEGOTIATE_NO_TOKEN},
		{"WWW-Authenticate: Negotiate\r\n", NEGOTIATE_NO_TOKEN},
		{"WWW-Authenticate: Negotiated aGVsbG8=\r\n", NEGOTIATE_NO_TOKEN},
		{"WWW-Authenticate: Basic realm=\"Negotiate aGVsbG8=\r\n", NEGOTIATE_NO_TOKEN},
		{"Proxy-Authenticate: Negotiate aGVsbG8=\r\n", NEGOTIATE_NO_TOKEN},
		{"WWW-Authenticate: Negotiate aGVsbG8\r\n", NEGOTIATE_MALFORMED},
		{"WWW-Authenticate: Negotiate !!!!\r\n", NEGOTIATE_MALFORMED},
		{"WWW-Authenticate: Negotiate "
		 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		 "AAAA\r\n",
			NEGOTIATE_MALFORMED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t token[TOKEN_MAX];
		size_t len = 0;

		CU_ASSERT_EQUAL(read_fields(cases[i].lines, token, &len), cases[i].result);
	}
}

static const struct check checks[] = {
	{"a token is found among other challenges", test_a_token_is_found_among_other_challenges},
	{"what is no token is none", test_what_is_no_token_is_none},
};

int main(void)
{
	return check_run("proxy/negotiate", checks, sizeof(checks) / sizeof(checks[0]));
}
