#include "tests/unit/check.h"

#include "proxy/http_name.h"

static void test_every_name_has_its_number_in_any_case(void)
{
	for (unsigned int number = HTTP_NAME_OTHER + 1; number < HTTP_NAME_COUNT; number++) {
		char name[40];
		size_t len = strlen(http_name_text((enum http_name)number));

		memcpy(name, http_name_text((enum http_name)number), len + 1);
		CU_ASSERT_EQUAL(http_name_find(span_of(name, len)), number);
		for (size_t i = 0; i < len; i++) {
			name[i] =
				(char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 0x20 : name[i]);
			CU_ASSERT_EQUAL(http_name_find(span_of(name, len)), number);
		}
	}
}

static void test_a_name_with_one_other_bit_is_another(void)
{
	for (unsigned int number = HTTP_NAME_OTHER + 1; number < HTTP_NAME_COUNT; number++) {
		const char *text = http_name_text((enum http_name)number);
		size_t len = strlen(text);

		for (size_t bit = 0; bit < 8 * len; bit++) {
			uint8_t name[40] = {0};
			bool is_case = (bit & 7) == 5 && text[bit / 8] >= 'a';

			memcpy(name, text, len);
			name[bit / 8] ^= (uint8_t)(1u << (bit & 7));
			CU_ASSERT_EQUAL(http_name_find(span_of(name, len)) == number, is_case);
		}
		CU_ASSERT_NOT_EQUAL(http_name_find(span_of(text, len - 1)), number);
	}
}

static void test_names_of_any_other_length_have_none(void)
{
	static const char text[] = "proxy-authenticating-informations-of-all";

	for (size_t len = 0; len < sizeof(text); len++)
		CU_ASSERT_EQUAL(http_name_find(span_of(text, len)), HTTP_NAME_OTHER);
	CU_ASSERT_EQUAL(http_name_find_like(span_of(text, sizeof(text))), HTTP_NAME_OTHER);
	CU_ASSERT_STRING_EQUAL(http_name_text(HTTP_NAME_OTHER), "");
}

static void test_what_a_server_could_take_for_a_name_resembles_it(void)
{
	static const struct {
		const char *name;
		enum http_name like;
	} rows[] = {{"Content_Length", HTTP_NAME_CONTENT_LENGTH},
		{"X_MS.PolicyKey", HTTP_NAME_POLICY_KEY},
		{"ms asprotocolversion", HTTP_NAME_AS_VERSION}, {"HOST", HTTP_NAME_HOST},
		{"Content+Length", HTTP_NAME_OTHER}, {"_Host", HTTP_NAME_OTHER},
		{"", HTTP_NAME_OTHER}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CU_ASSERT_EQUAL(http_name_find_like(span_of_string(rows[i].name)), rows[i].like);
}

static const struct check checks[] = {
	{"every name has its number in any case", test_every_name_has_its_number_in_any_case},
	{"a name with one other bit is another", test_a_name_with_one_other_bit_is_another},
	{"names of any other length have none", test_names_of_any_other_length_have_none},
	{"what a server could take for a name resembles it",
		test_what_a_server_could_take_for_a_name_resembles_it},
};

int main(void)
{
	return check_run("proxy/http_name", checks, sizeof(checks) / sizeof(checks[0]));
}
