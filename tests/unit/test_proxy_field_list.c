#include "tests/unit/check.h"

#include "proxy/field_list.h"

static void test_names_are_found_without_case_and_the_first_one_wins(void)
{
	static const struct {
		const char *name;
		int place;
	} rows[] = {{"via", 0}, {"VIA", 0}, {"vi", -1}, {"via-x", -1}, {"x-user", 1},
		{"X-User-Id", 1}, {"x-use", -1}, {"x-users-own", 1}, {"vary", 3},
		{"X-Original-", 4}, {"8ia", -1}, {"", -1}, {"\x16ia", -1}};
	struct field_list list = {0};

	field_list_add(&list, "via");
	field_list_add(&list, "x-user*");
	field_list_add(&list, "x-users-own");
	field_list_add(&list, "vary");
	field_list_add(&list, "x-original-*");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CU_ASSERT_EQUAL(
			field_list_find(&list, span_of_string(rows[i].name)), rows[i].place);
}

static void test_a_list_may_be_full(void)
{
	static char names[FIELD_LIST_MAX][8];
	struct field_list list = {0};

	for (size_t i = 0; i < FIELD_LIST_MAX; i++) {
		names[i][0] = (char)('a' + i % 3);
		names[i][1] = (char)('a' + i / 26);
		names[i][2] = (char)('a' + i % 26);
		field_list_add(&list, names[i]);
	}
	for (size_t i = 0; i < FIELD_LIST_MAX; i++)
		CU_ASSERT_EQUAL(field_list_find(&list, span_of_string(names[i])), (int)i);
}

static const struct check checks[] = {
	{"names are found without case, and the first one wins",
		test_names_are_found_without_case_and_the_first_one_wins},
	{"a list may be full", test_a_list_may_be_full},
};

int main(void)
{
	return check_run("proxy/field_list", checks, sizeof(checks) / sizeof(checks[0]));
}
