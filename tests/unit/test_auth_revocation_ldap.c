#include "auth/revocation_ldap.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

/* Decodes a copy that is exactly as large. */
static int decode(const char *text, char *value, struct error *err)
{
	size_t len = strlen(text);
	uint8_t *copy = malloc(len == 0 ? 1 : len);
	struct span span = {0};
	int result;

	if (copy == NULL)
		abort();
	memcpy(copy, text, len);
	err->text[0] = '\0';
	result = revocation_ldap_decode(copy, len, &span, err);
	if (result == 0) {
		CU_ASSERT(span.data >= copy && span.data + span.len <= copy + len);
		memcpy(value, span.data, span.len);
		value[span.len] = '\0';
	}
	free(copy);
	return result;
}

static void test_the_first_binary_value_is_found(void)
{
	static const struct {
		const char *text, *value;
	} cases[] = {
		{"DN: CN=CA,O=Test\n\tcertificateRevocationList;binary:: aGVsbG8=\n\n", "hello"},
		{"DN: CN=CA\n\tcn: CA\n\tcRL;binary:: aGVsbA==\n\tcRL;binary:: eA==\n", "hell"},
		{"DN: CN=x:: eA==\n\tcRL;binary:: aGVs", "hel"},
		{"DN: a\n\tcRL;binary:: +/+/\n", "\xfb\xff\xbf"},
	};
	struct error err;
	char value[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(decode(cases[i].text, value, &err), 0);
		CU_ASSERT_STRING_EQUAL(value, cases[i].value);
	}
}

static void test_an_answer_without_one_says_why(void)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "no such entry"},
		{"DN: CN=CA\n", "no such attribute"},
		{"DN: CN=CA\n\tcn: CA\n\tcRL;binary:\n", "no such attribute"},
		{"\n\n\n", "no such attribute"},
		{"\tcRL;binary:: ", "no such attribute"},
		{"\tcRL;binary:: a\n", "cannot be decoded"},
		{"\tcRL;binary:: aGV!bG8=\n", "cannot be decoded"},
		{"\tcRL;binary:: aG=sbG8=\n", "cannot be decoded"},
		{"\tcRL;binary:: ====\n", "cannot be decoded"},
	};
	struct error err;
	char value[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(decode(cases[i].text, value, &err), -1);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i].why));
	}
}

static void test_the_text_may_be_as_long_as_its_value_makes_it(void)
{
	CU_ASSERT(revocation_ldap_text_size(0) >= 16384);
	CU_ASSERT(revocation_ldap_text_size(UINT64_C(3) << 30) >= (UINT64_C(4) << 30) + 16384);
}

int main(void)
{
	static const struct check checks[] = {
		{"the first binary value is found", test_the_first_binary_value_is_found},
		{"an answer without one says why", test_an_answer_without_one_says_why},
		{"the text may be as long as its value makes it",
			test_the_text_may_be_as_long_as_its_value_makes_it},
	};

	return check_run("auth/revocation_ldap", checks, sizeof(checks) / sizeof(checks[0]));
}
