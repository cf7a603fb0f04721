/* What options say in text. */
#include "tests/eassim/commands.h"

#include "tests/unit/check.h"

static void test_a_range_of_addresses(void)
{
	static const struct {
		const char *text;
		uint32_t first, count; /* count 0: refused */
	} rows[] = {
		{"127.0.0.2", 0x7f000002, 1},
		{"127.0.0.2-127.0.0.2", 0x7f000002, 1},
		{"127.0.0.2-127.0.0.9", 0x7f000002, 8},
		{"127.0.0.250-127.0.1.5", 0x7f0000fa, 12},
		{"127.0.0.9-127.0.0.2", 0, 0},
		{"127.0.0.2-", 0, 0},
		{"-127.0.0.2", 0, 0},
		{"127.0.0", 0, 0},
		{"::1", 0, 0},
		{"", 0, 0},
	};
	struct error err;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t first = 0, count = 0;
		int status = source_range_read(rows[i].text, &first, &count, &err);

		CU_ASSERT_EQUAL(status, rows[i].count > 0 ? 0 : -1);
		CU_ASSERT_EQUAL(count, rows[i].count);
		if (status == 0)
			CU_ASSERT_EQUAL(first, rows[i].first);
	}
}

static void test_no_range_is_any_address(void)
{
	uint32_t first = 0, count = 7;

	CU_ASSERT_EQUAL(source_range_read(NULL, &first, &count, NULL), 0);
	CU_ASSERT_EQUAL(count, 0);
}

static void test_numbers_are_whole_and_within_their_bounds(void)
{
	static const char *const wrong[] = {"", "x", "5x", "-1", "0", "101", "1.5"};
	uint32_t number = 0;

	CU_ASSERT_EQUAL(option_number("1", 1, 100, &number, NULL), 0);
	CU_ASSERT_EQUAL(number, 1);
	CU_ASSERT_EQUAL(option_number("100", 1, 100, &number, NULL), 0);
	CU_ASSERT_EQUAL(number, 100);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CU_ASSERT_EQUAL(option_number(wrong[i], 1, 100, &number, NULL), -1);
}

static const struct check checks[] = {
	{"a range of addresses", test_a_range_of_addresses},
	{"no range is any address", test_no_range_is_any_address},
	{"numbers are whole and within their bounds",
		test_numbers_are_whole_and_within_their_bounds},
};

int main(void)
{
	return check_run("eassim/options", checks, sizeof(checks) / sizeof(checks[0]));
}
