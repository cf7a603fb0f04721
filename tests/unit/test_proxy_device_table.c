/* The table of devices: one entry for each pair of names, bounded, those in use stay. */
#include "tests/unit/check.h"

#include <stdio.h>

#include "proxy/device_table.h"

static struct device_table *table;

static struct device_entry *use(const char *mailbox, const char *device_id)
{
	struct device_entry *entry = device_table_pin(table, mailbox, device_id);

	CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
	device_table_unpin(table, entry);
	return entry;
}

static void begin(size_t max)
{
	table = device_table_new(max);
	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
}

static void test_the_same_names_are_the_same_device(void)
{
	struct device_entry *entry;

	begin(10);
	entry = device_table_pin(table, "anna@example.com", "AppleX1");
	entry->state = DEVICE_BLOCKED;
	CU_ASSERT_STRING_EQUAL(device_entry_mailbox(entry), "anna@example.com");
	CU_ASSERT_STRING_EQUAL(device_entry_id(entry), "applex1");
	CU_ASSERT_PTR_EQUAL(device_table_pin(table, "anna@example.com", "APPLEx1"), entry);
	CU_ASSERT_PTR_EQUAL(device_table_find(table, "anna@example.com", "applex1"), entry);
	CU_ASSERT_EQUAL(device_table_count(table), 1);
	device_table_unpin(table, entry);
	device_table_unpin(table, entry);
	device_table_free(table);
}

static void test_what_a_device_says_is_kept_beside_its_other_words(void)
{
	struct device_entry *entry;

	begin(10);
	entry = use("anna@example.com", "d1");
	CU_ASSERT_STRING_EQUAL(device_entry_text(entry, DEVICE_NAME), "");
	CU_ASSERT_EQUAL(device_entry_set_text(entry, DEVICE_OS, "Android 14", 7), 0);
	CU_ASSERT_EQUAL(device_entry_set_text(entry, DEVICE_NAME, "Anna's", 63), 0);
	CU_ASSERT_EQUAL(device_entry_set_text(entry, DEVICE_USER_AGENT, "Mail/1", 127), 0);
	CU_ASSERT_EQUAL(device_entry_set_text(entry, DEVICE_OS, "iOS", 63), 0);
	CU_ASSERT_STRING_EQUAL(device_entry_text(entry, DEVICE_USER_AGENT), "Mail/1");
	CU_ASSERT_STRING_EQUAL(device_entry_text(entry, DEVICE_MODEL), "");
	CU_ASSERT_STRING_EQUAL(device_entry_text(entry, DEVICE_OS), "iOS");
	CU_ASSERT_STRING_EQUAL(device_entry_text(entry, DEVICE_NAME), "Anna's");
	CU_ASSERT_EQUAL(device_entry_set_text(entry, DEVICE_NAME, "", 63), 0);
	CU_ASSERT_STRING_EQUAL(device_entry_text(entry, DEVICE_NAME), "");
	CU_ASSERT_STRING_EQUAL(device_entry_text(entry, DEVICE_OS), "iOS");
	device_table_free(table);
}

static void test_one_that_nobody_uses_has_no_poll(void)
{
	struct device_entry *entry;

	begin(10);
	entry = use("anna@example.com", "d1");
	CU_ASSERT_PTR_NULL(device_entry_poll(entry, DEVICE_PING));
	device_table_pin(table, "anna@example.com", "d1");
	CU_ASSERT_PTR_NOT_NULL_FATAL(device_entry_poll(entry, DEVICE_SYNC));
	CU_ASSERT_PTR_NULL(*device_entry_poll(entry, DEVICE_SYNC));
	device_table_unpin(table, entry);
	device_table_free(table);
}

static void test_another_mailbox_is_another_device(void)
{
	begin(10);
	CU_ASSERT_PTR_NOT_EQUAL(use("anna@example.com", "d1"), use("bert@example.com", "d1"));
	CU_ASSERT_PTR_NULL(device_table_find(table, "anna@example.comd", "1"));
	CU_ASSERT_EQUAL(device_table_count(table), 2);
	device_table_free(table);
}

static void test_who_asked_longest_ago_makes_room(void)
{
	begin(2);
	use("a", "1");
	use("a", "2");
	use("a", "1");
	use("a", "3");
	CU_ASSERT_PTR_NOT_NULL(device_table_find(table, "a", "1"));
	CU_ASSERT_PTR_NULL(device_table_find(table, "a", "2"));
	CU_ASSERT_PTR_NOT_NULL(device_table_find(table, "a", "3"));
	device_table_free(table);
}

static void test_those_in_use_stay_beyond_the_bound(void)
{
	struct device_entry *pinned[5];
	char id[8];

	begin(2);
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof(id), "%d", i);
		pinned[i] = device_table_pin(table, "a", id);
	}
	CU_ASSERT_EQUAL(device_table_count(table), 5);
	for (int i = 0; i < 5; i++)
		device_table_unpin(table, pinned[i]);
	CU_ASSERT_EQUAL(device_table_count(table), 2);
	device_table_free(table);
}

static void count(void *context, struct device_entry *entry)
{
	(void)entry;
	++*(int *)context;
}

static void test_every_entry_is_visited_once(void)
{
	struct device_entry *pinned;
	int visits = 0;

	begin(10);
	use("a", "1");
	use("b", "1");
	pinned = device_table_pin(table, "c", "1");
	device_table_each(table, count, &visits);
	CU_ASSERT_EQUAL(visits, 3);
	device_table_unpin(table, pinned);
	device_table_free(table);
}

static const struct check checks[] = {
	{"the same names are the same device", test_the_same_names_are_the_same_device},
	{"what a device says is kept beside its other words",
		test_what_a_device_says_is_kept_beside_its_other_words},
	{"one that nobody uses has no poll", test_one_that_nobody_uses_has_no_poll},
	{"another mailbox is another device", test_another_mailbox_is_another_device},
	{"who asked longest ago makes room", test_who_asked_longest_ago_makes_room},
	{"those in use stay beyond the bound", test_those_in_use_stay_beyond_the_bound},
	{"every entry is visited once", test_every_entry_is_visited_once},
};

int main(void)
{
	return check_run("proxy/device_table", checks, sizeof(checks) / sizeof(checks[0]));
}
