#include "config/hex.h"

#include "tests/unit/check.h"

static const uint8_t octets[] = {0x00, 0x00, 0x0a, 0xff, 0x10};

static void test_octets_are_two_digits_each(void)
{
	char text[2 * sizeof(octets) + 1];

	hex_write(span_of(octets, sizeof(octets)), text);
	CU_ASSERT_STRING_EQUAL(text, "00000aff10");
	hex_write(span_of(octets, 0), text);
	CU_ASSERT_STRING_EQUAL(text, "");
}

static void test_a_number_has_no_zeros_in_front(void)
{
	char text[2 * sizeof(octets) + 1];

	hex_write_number(span_of(octets, sizeof(octets)), text);
	CU_ASSERT_STRING_EQUAL(text, "0aff10");
	hex_write_number(span_of(octets, 2), text);
	CU_ASSERT_STRING_EQUAL(text, "");
}

static void test_digits_are_read_in_either_case(void)
{
	uint8_t read[sizeof(octets)];

	CU_ASSERT_EQUAL(hex_read("00000aFf10", read, sizeof(read)), 0);
	CU_ASSERT_TRUE(memcmp(read, octets, sizeof(read)) == 0);
}

static void test_what_is_not_that_many_digits_is_refused(void)
{
	static const char *const texts[] = {
		"", "0", "00000aff1", "00000aff100", "00000aff1g", "00000aff 1", "0x000aff10"};
	uint8_t read[sizeof(octets)];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		CU_ASSERT_EQUAL(hex_read(texts[i], read, sizeof(read)), -1);
}

static const struct check checks[] = {
	{"octets are two digits each", test_octets_are_two_digits_each},
	{"a number has no zeros in front", test_a_number_has_no_zeros_in_front},
	{"digits are read in either case", test_digits_are_read_in_either_case},
	{"what is not that many digits is refused", test_what_is_not_that_many_digits_is_refused},
};

int main(void)
{
	return check_run("config/hex", checks, sizeof(checks) / sizeof(checks[0]));
}
