#include "config/base64.h"

#include "tests/unit/check.h"

static void test_text_is_decoded(void)
{
	static const struct {
		const char *text, *bytes;
	} rows[] = {{"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYg==", "foob"},
		{"Zm9v\r\n YmFy", "foobar"}, {"+/+/", "\xfb\xff\xbf"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[16];
		size_t len;

		CU_ASSERT_EQUAL(base64_decode(span_of_string(rows[i].text), bytes, &len), 0);
		CU_ASSERT_TRUE(span_equal(span_of(bytes, len), span_of_string(rows[i].bytes)));
	}
}

static void test_text_is_decoded_in_its_own_place(void)
{
	char text[] = "Zm9v YmFyIQ==";
	size_t len;

	CU_ASSERT_EQUAL(base64_decode(span_of_string(text), (uint8_t *)text, &len), 0);
	CU_ASSERT_TRUE(span_equal(span_of(text, len), span_of_string("foobar!")));
}

static void test_what_is_not_base64_is_refused(void)
{
	static const char *const texts[] = {
		"Z", "Zg", "Zg=", "Zg===", "Z===", "Zg==Zg==", "Zm9_", "Zm9-", "Z=g=", "Zm\001v"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint8_t bytes[16];
		size_t len;

		CU_ASSERT_EQUAL(base64_decode(span_of_string(texts[i]), bytes, &len), -1);
	}
	CU_ASSERT_EQUAL(base64_value('\0'), -1);
}

static void test_the_form_for_urls_is_written(void)
{
	static const struct {
		const char *bytes, *text;
	} rows[] = {{"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}, {"foob", "Zm9vYg"},
		{"\xfb\xff\xbf", "-_-_"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span bytes = span_of_string(rows[i].bytes);
		size_t room = (bytes.len + 2) / 3 * 4 + 1;
		char text[16];
		size_t len = base64url_write(bytes, text, room);

		CU_ASSERT_TRUE(span_equal(span_of(text, len), span_of_string(rows[i].text)));
		CU_ASSERT_EQUAL(base64url_write(bytes, text, room - 1), 0);
	}
}

static const struct check checks[] = {
	{"text is decoded", test_text_is_decoded},
	{"text is decoded in its own place", test_text_is_decoded_in_its_own_place},
	{"the form for URLs is written", test_the_form_for_urls_is_written},
	{"what is not base64 is refused", test_what_is_not_base64_is_refused},
};

int main(void)
{
	return check_run("config/base64", checks, sizeof(checks) / sizeof(checks[0]));
}
