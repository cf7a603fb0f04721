#include <sys/wait.h>
#include <unistd.h>

#include "proxy/folder_table.h"
#include "tests/unit/check.h"

enum { NOW = 1800000000, EMAIL = 1, CALENDAR = 2 };

static const struct folder_owner anna = {"anna@contoso.com", "PHONE1"};
static const struct folder_owner bob = {"bob@contoso.com", "PHONE1"};
static const struct folder_owner annas_other = {"anna@contoso.com", "PHONE2"};

static struct folder_table *table_new(void)
{
	struct error err = {""};
	struct folder_table *table = folder_table_map(&err);

	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	return table;
}

static void test_a_folder_is_known_to_its_owner_alone(void)
{
	struct folder_table *table = table_new();
	struct span inbox = span_of_string("5");

	CU_ASSERT_EQUAL(folder_table_class(table, &anna, inbox, NOW), 0);
	folder_table_put(table, &anna, inbox, EMAIL, NOW);
	folder_table_put(table, &bob, inbox, CALENDAR, NOW);
	CU_ASSERT_EQUAL(folder_table_class(table, &anna, inbox, NOW), EMAIL);
	CU_ASSERT_EQUAL(folder_table_class(table, &bob, inbox, NOW), CALENDAR);
	CU_ASSERT_EQUAL(folder_table_class(table, &annas_other, inbox, NOW), 0);
	CU_ASSERT_EQUAL(folder_table_class(table, &anna, span_of_string("55"), NOW), 0);
	folder_table_put(table, &anna, inbox, CALENDAR, NOW + 500);
	CU_ASSERT_EQUAL(folder_table_class(table, &anna, inbox, NOW + 500), CALENDAR);
	folder_table_forget(table, &anna, inbox);
	CU_ASSERT_EQUAL(folder_table_class(table, &anna, inbox, NOW), 0);
	CU_ASSERT_EQUAL(folder_table_class(table, &bob, inbox, NOW), CALENDAR);
	folder_table_unmap(table);
}

static void test_names_do_not_run_into_each_other(void)
{
	static const struct folder_owner one = {"ab", "c"}, other = {"a", "bc"};
	struct folder_table *table = table_new();

	folder_table_put(table, &one, span_of_string("d"), EMAIL, NOW);
	CU_ASSERT_EQUAL(folder_table_class(table, &other, span_of_string("d"), NOW), 0);
	folder_table_unmap(table);
}

static struct span id_of(const unsigned int *number)
{
	return span_of(number, sizeof(*number));
}

static void test_many_folders_are_known_and_of_their_class(void)
{
	struct folder_table *table = table_new();
	unsigned int lost = 0, wrong = 0;

	for (unsigned int i = 0; i < 400000; i++)
		folder_table_put(table, &anna, id_of(&i), 1 + i % 7, NOW + i / 1000);
	for (unsigned int i = 0; i < 400000; i++) {
		unsigned int class = folder_table_class(table, &anna, id_of(&i), NOW + 1000);

		lost += class == 0;
		wrong += class != 0 && class != 1 + i % 7;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(lost < 50); /* of a quarter of what there is room for */
	folder_table_unmap(table);
}

static void test_those_asked_for_stay_when_the_table_is_full(void)
{
	struct folder_table *table = table_new();
	unsigned int lost = 0;

	for (unsigned int i = 0; i < 1000; i++)
		folder_table_put(table, &anna, id_of(&i), EMAIL, NOW);
	for (unsigned int round = 1; round <= 8; round++) {
		for (unsigned int i = 0; i < 300000; i++)
			folder_table_put(table, &bob, id_of(&(unsigned int){i + round * 300000}),
				EMAIL, NOW + round * 128);
		for (unsigned int i = 0; i < 1000; i++)
			lost += folder_table_class(table, &anna, id_of(&i), NOW + round * 128) == 0;
	}
	CU_ASSERT(lost < 100); /* of 8,000 looks */
	folder_table_unmap(table);
}

static void test_a_miss_asks_once_for_all_folders(void)
{
	struct folder_table *table = table_new();

	CU_ASSERT_FALSE(folder_table_wants_all(table, &anna, NOW));
	CU_ASSERT_EQUAL(folder_table_miss(table, &anna, NOW), FOLDER_MISS_ASK);
	CU_ASSERT_EQUAL(folder_table_miss(table, &anna, NOW), FOLDER_MISS_ASK);
	CU_ASSERT_TRUE(folder_table_wants_all(table, &anna, NOW + 3600));
	CU_ASSERT_FALSE(folder_table_wants_all(table, &bob, NOW));
	folder_table_has_all(table, &anna, NOW + 3600);
	CU_ASSERT_FALSE(folder_table_wants_all(table, &anna, NOW + 3600));
	CU_ASSERT_EQUAL(folder_table_miss(table, &anna, NOW + 3601), FOLDER_MISS_LOST);
	CU_ASSERT_EQUAL(folder_table_miss(table, &anna, NOW + 3600 + 2 * FOLDER_HIERARCHY_FRESH_S),
		FOLDER_MISS_ASK);
	folder_table_unmap(table);
}

static void test_what_one_process_learns_the_others_know(void)
{
	struct folder_table *table = table_new();
	pid_t child = fork();
	int status = 1;

	if (child == 0) {
		folder_table_put(table, &anna, span_of_string("5"), CALENDAR, NOW);
		_exit(0);
	}
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(folder_table_class(table, &anna, span_of_string("5"), NOW), CALENDAR);
	folder_table_unmap(table);
}

static const struct check checks[] = {
	{"a folder is known to its owner alone", test_a_folder_is_known_to_its_owner_alone},
	{"names do not run into each other", test_names_do_not_run_into_each_other},
	{"many folders are known and of their class",
		test_many_folders_are_known_and_of_their_class},
	{"those asked for stay when the table is full",
		test_those_asked_for_stay_when_the_table_is_full},
	{"a miss asks once for all folders", test_a_miss_asks_once_for_all_folders},
	{"what one process learns the others know", test_what_one_process_learns_the_others_know},
};

int main(void)
{
	return check_run("proxy/folder_table", checks, sizeof(checks) / sizeof(checks[0]));
}
