/* The ring of a device's last exchanges. */
#include "proxy/history.h"

#include "tests/unit/check.h"

static void add(struct history **history, size_t max, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i <= to; i++)
		history_add(history, max, &(struct history_record){.began_s = i});
}

static void assert_holds(const struct history *history, uint32_t from, uint32_t to)
{
	struct history_record records[HISTORY_MAX + 1];
	size_t count = history_copy(history, records, HISTORY_MAX + 1);

	CU_ASSERT_EQUAL(count, to - from + 1);
	CU_ASSERT_EQUAL(history_count(history), count);
	for (size_t i = 0; i < count; i++)
		CU_ASSERT_EQUAL(records[i].began_s, from + i);
}

static void test_the_newest_are_kept_in_their_order(void)
{
	for (uint32_t max = 1; max <= 40; max++)
		for (uint32_t last = 1; last <= 100; last++) {
			struct history *history = NULL;

			add(&history, max, 1, last);
			assert_holds(history, last > max ? last - max + 1 : 1, last);
			history_free(history);
		}
}

static void test_a_copy_with_less_room_has_the_newest(void)
{
	struct history_record records[3];
	struct history *history = NULL;

	add(&history, 16, 1, 20);
	CU_ASSERT_EQUAL(history_copy(history, records, 3), 3);
	CU_ASSERT_EQUAL(records[0].began_s, 18);
	CU_ASSERT_EQUAL(records[2].began_s, 20);
	history_free(history);
}

static void test_none_is_kept_where_none_is_wanted(void)
{
	struct history *history = NULL;
	struct history_record record;

	add(&history, 0, 1, 3);
	CU_ASSERT_PTR_NULL(history);
	CU_ASSERT_EQUAL(history_copy(history, &record, 1), 0);
	CU_ASSERT_EQUAL(history_count(history), 0);
	history_free(history);
}

static void test_no_more_than_the_most_is_kept(void)
{
	struct history *history = NULL;

	add(&history, 100000, 1, 1000);
	assert_holds(history, 1000 - HISTORY_MAX + 1, 1000);
	history_free(history);
}

static const struct check checks[] = {
	{"the newest are kept in their order", test_the_newest_are_kept_in_their_order},
	{"a copy with less room has the newest", test_a_copy_with_less_room_has_the_newest},
	{"none is kept where none is wanted", test_none_is_kept_where_none_is_wanted},
	{"no more than the most is kept", test_no_more_than_the_most_is_kept},
};

int main(void)
{
	return check_run("proxy/history", checks, sizeof(checks) / sizeof(checks[0]));
}
