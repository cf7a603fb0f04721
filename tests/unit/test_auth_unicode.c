/* One form of a text, to compare. */
#include <string.h>
#include <unictype.h>
#include <unistr.h>

#include "auth/unicode.h"
#include "tests/unit/check.h"

enum { TEXT_MAX = 64, CHARACTERS = 0x110000 };

static void check_folded(const char *text, const char *folded)
{
	char out[TEXT_MAX];

	CU_ASSERT_EQUAL(unicode_fold(span_of_string(text), out, sizeof(out)), (int)strlen(folded));
	CU_ASSERT_STRING_EQUAL(out, folded);
}

static void test_a_text_has_one_form(void)
{
	check_folded("", "");
	check_folded("Alice.Ames", "alice.ames");
	check_folded("Mu\xcc\x88ller", "m\xc3\xbcller");   /* u, U+0308: U+00FC */
	check_folded("M\xc3\xbcller", "m\xc3\xbcller");    /* U+00FC */
	check_folded("\xc3\x84", "\xc3\x84");              /* other capitals stay: U+00C4 */
	check_folded("\xe2\x84\xaa", "k");                 /* U+212A KELVIN SIGN */
	check_folded("a\xcc\xa3\xcc\x82", "\xe1\xba\xad"); /* a, U+0323, U+0302: U+1EAD */
	check_folded("J\xcc\x8c", "\xc7\xb0");             /* J, U+030C: U+01F0 has no capital */
	check_folded("j\xcc\x8c", "\xc7\xb0");
	check_folded("W\xcc\x8a", "\xe1\xba\x98"); /* W, U+030A: U+1E98 */
}

static void test_what_is_no_utf8_or_does_not_fit_has_none(void)
{
	char out[4];

	CU_ASSERT_EQUAL(unicode_fold(span_of_string("abc"), out, sizeof(out)), 3);
	CU_ASSERT_EQUAL(unicode_fold(span_of_string("abcd"), out, sizeof(out)), -1);
	CU_ASSERT_EQUAL(unicode_fold(span_of_string("\xc3\xbc"), out, sizeof(out)), 2);
	CU_ASSERT_EQUAL(unicode_fold(span_of_string("\xc3\xbc\xc3\xbc"), out, sizeof(out)), -1);
	CU_ASSERT_EQUAL(unicode_fold(span_of_string("\xc3"), out, sizeof(out)), -1);
	CU_ASSERT_EQUAL(unicode_fold(span_of_string("a"), out, 0), -1);
	/* U+0958 becomes two characters of three bytes each. */
	CU_ASSERT_EQUAL(unicode_fold(span_of_string("\xe0\xa5\x98"), out, sizeof(out)), -1);
}

static size_t put(char *text, size_t len, ucs4_t c)
{
	int put = u8_uctomb((uint8_t *)text + len, c, (ptrdiff_t)(TEXT_MAX - 1 - len));

	CU_ASSERT_TRUE_FATAL(put > 0);
	text[len + (size_t)put] = '\0';
	return len + (size_t)put;
}

/* Counts what does not stay as it is when it is folded again, or has a form of its own in capitals. */
static unsigned int count_unstable(const ucs4_t *characters, size_t count)
{
	char text[TEXT_MAX], once[TEXT_MAX], twice[TEXT_MAX], small[TEXT_MAX];
	size_t len = 0;
	int once_len, twice_len;

	for (size_t i = 0; i < count; i++)
		len = put(text, len, characters[i]);
	once_len = unicode_fold(span_of(text, len), once, sizeof(once));
	if (once_len == -1)
		return 1;
	twice_len = unicode_fold(span_of(once, (size_t)once_len), twice, sizeof(twice));
	if (text[0] >= 'A' && text[0] <= 'Z')
		text[0] |= 0x20;
	unicode_fold(span_of(text, len), small, sizeof(small));
	return twice_len != once_len || strcmp(once, twice) != 0 || strcmp(once, small) != 0;
}

/* Each letter of ASCII and KELVIN SIGN under each mark, and under two of those that are in use with
 * Latin letters. */
static void test_what_is_folded_stays_as_it_is(void)
{
	unsigned int unstable = 0;

	for (ucs4_t mark = 0x80; mark < CHARACTERS; mark++) {
		if (uc_combining_class(mark) == 0)
			continue;
		for (ucs4_t letter = 'A'; letter <= 'Z'; letter++)
			unstable += count_unstable((ucs4_t[]){letter, mark}, 2);
		unstable += count_unstable((ucs4_t[]){0x212a, mark}, 2);
	}
	for (ucs4_t first = 0x300; first < 0x370; first++)
		for (ucs4_t second = 0x300; second < 0x370; second++)
			for (ucs4_t letter = 'A'; letter <= 'Z'; letter++)
				unstable += count_unstable((ucs4_t[]){letter, first, second}, 3);
	CU_ASSERT_EQUAL(unstable, 0);
}

/* By itself, whatever it is. */
static void test_each_character_has_one_form(void)
{
	unsigned int unstable = 0;

	for (ucs4_t c = 1; c < CHARACTERS; c++)
		if (c < 0xd800 || c > 0xdfff)
			unstable += count_unstable(&c, 1);
	CU_ASSERT_EQUAL(unstable, 0);
}

static const struct check checks[] = {
	{"a text has one form", test_a_text_has_one_form},
	{"what is no UTF-8 or does not fit has none",
		test_what_is_no_utf8_or_does_not_fit_has_none},
	{"what is folded stays as it is", test_what_is_folded_stays_as_it_is},
	{"each character has one form", test_each_character_has_one_form},
};

int main(void)
{
	return check_run("auth/unicode", checks, sizeof(checks) / sizeof(checks[0]));
}
