#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"
#include "wbxml/utf8.h"

enum { TEXT_LEN = 160 }; /* longer than two of the largest blocks that are looked at together */

/* One byte at a time, no block is ever looked at. */
static size_t scan_slowly(const uint8_t *text, size_t len, uint8_t *state)
{
	size_t at = 0;

	while (at < len && utf8_scan(text + at, text + at + 1, state) != text + at)
		at++;
	return at;
}

/* In memory of its own, so that a sanitizer sees what is looked at beyond its end. */
static bool is_scanned_alike(const char *text, size_t len)
{
	uint8_t state = UTF8_WHOLE, slow_state = UTF8_WHOLE;
	uint8_t *copy = malloc(len > 0 ? len : 1);
	bool is_alike;

	if (copy == NULL)
		return false;
	memcpy(copy, text, len);
	is_alike = (size_t)(utf8_scan(copy, copy + len, &state) - copy) ==
			   scan_slowly(copy, len, &slow_state) &&
		   state == slow_state;
	free(copy);
	return is_alike;
}

static const char *const pieces[] = {
	"\n",
	"\r\n",
	"\t",
	"\x7F",
	"\xC2\x80",
	"\xDF\xBF",
	"\xE0\xA0\x80",
	"\xED\x9F\xBF",
	"\xEE\x80\x80",
	"\xEF\xBF\xBD",
	"\xF0\x90\x80\x80",
	"\xF4\x8F\xBF\xBF",
	/* Alone, overlong, surrogates, what XML 1.0 cannot hold, beyond Unicode. */
	"\x01",
	"\x1F",
	"\x80",
	"\xC1\xBF",
	"\xC3\xC3",
	"\xE0\x9F\xBF",
	"\xED\xA0\x80",
	"\xEF\xBF\xBE",
	"\xF4\x90\x80\x80",
	"\xFF",
};

static void test_what_stands_in_a_text_is_seen_wherever_it_stands(void)
{
	char text[TEXT_LEN];

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		size_t len = strlen(pieces[i]);
		bool is_alike = true;

		for (size_t at = 0; at + len <= TEXT_LEN; at++) {
			memset(text, 'a', sizeof(text));
			memcpy(text + at, pieces[i], len);
			is_alike = is_alike && is_scanned_alike(text, sizeof(text));
		}
		CU_ASSERT(is_alike);
	}
}

static void test_a_text_may_end_anywhere(void)
{
	char text[TEXT_LEN];

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		bool is_alike = true;

		memset(text, 'a', sizeof(text));
		for (size_t at = 0; at < TEXT_LEN; at++)
			text[at] = pieces[i][at % strlen(pieces[i])];
		for (size_t len = 0; len <= TEXT_LEN; len++)
			is_alike = is_alike && is_scanned_alike(text, len);
		CU_ASSERT(is_alike);
	}
}

static void test_the_first_wrong_byte_of_a_long_text_is_found(void)
{
	uint8_t text[4 * TEXT_LEN];
	uint8_t state = UTF8_WHOLE;

	for (size_t at = 0; at + 1 < sizeof(text); at += 2)
		memcpy(text + at, "\xC3\xBC", 2);
	CU_ASSERT_PTR_EQUAL(utf8_scan(text, text + sizeof(text), &state), text + sizeof(text));
	CU_ASSERT_EQUAL(state, UTF8_WHOLE);
	text[401] = 0;
	CU_ASSERT_PTR_EQUAL(utf8_scan(text, text + sizeof(text), &state), text + 401);
	CU_ASSERT_NOT_EQUAL(state, UTF8_WHOLE);
}

static const struct check checks[] = {
	{"what stands in a text is seen wherever it stands",
		test_what_stands_in_a_text_is_seen_wherever_it_stands},
	{"a text may end anywhere", test_a_text_may_end_anywhere},
	{"the first wrong byte of a long text is found",
		test_the_first_wrong_byte_of_a_long_text_is_found},
};

int main(void)
{
	return check_run("wbxml/utf8", checks, sizeof(checks) / sizeof(checks[0]));
}
