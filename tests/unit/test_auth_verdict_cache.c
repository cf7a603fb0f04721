#include <stdlib.h>
#include <string.h>

#include "auth/verdict_cache.h"
#include "tests/unit/check.h"

/* A verdict that only its number tells apart; collides in every bucket where first is the same. */
static struct verdict verdict_of(unsigned int first, unsigned int number)
{
	struct verdict verdict = {.refusal = REFUSAL_NONE, .link_count = 1, .not_after = number};

	memcpy(verdict.leaf_sha256, &first, sizeof(first));
	memcpy(verdict.leaf_sha256 + 28, &number, sizeof(number));
	return verdict;
}

static struct verdict_entry *insert(struct verdict_cache *cache, unsigned int number)
{
	struct verdict verdict = verdict_of(number, number);

	return verdict_cache_insert(cache, &verdict);
}

static struct verdict_entry *find(struct verdict_cache *cache, unsigned int number)
{
	struct verdict verdict = verdict_of(number, number);

	return verdict_cache_find(cache, verdict.leaf_sha256);
}

static void test_inserted_verdict_is_found(void)
{
	struct verdict_cache *cache = verdict_cache_new(4);
	struct verdict_entry *entry;

	CU_ASSERT_PTR_NULL(find(cache, 1));
	entry = insert(cache, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
	CU_ASSERT_EQUAL(entry->verdict.not_after, 1);
	CU_ASSERT_STRING_EQUAL(entry->mailbox, "");
	strcpy(entry->mailbox, "alice@example.com");
	CU_ASSERT_PTR_EQUAL(find(cache, 1), entry);
	CU_ASSERT_STRING_EQUAL(find(cache, 1)->mailbox, "alice@example.com");
	CU_ASSERT_PTR_NULL(find(cache, 2));
	verdict_cache_free(cache);
}

static void test_inserting_again_replaces(void)
{
	struct verdict_cache *cache = verdict_cache_new(2);
	struct verdict verdict = verdict_of(1, 1);

	strcpy(insert(cache, 1)->mailbox, "alice@example.com");
	verdict.not_after = 99;
	CU_ASSERT_PTR_NOT_NULL(verdict_cache_insert(cache, &verdict));
	CU_ASSERT_EQUAL(find(cache, 1)->verdict.not_after, 99);
	CU_ASSERT_STRING_EQUAL(find(cache, 1)->mailbox, "");
	/* It took no second place. */
	insert(cache, 2);
	CU_ASSERT_PTR_NOT_NULL(find(cache, 1));
	CU_ASSERT_PTR_NOT_NULL(find(cache, 2));
	verdict_cache_free(cache);
}

static void test_least_recently_used_gives_way(void)
{
	struct verdict_cache *cache = verdict_cache_new(3);

	insert(cache, 1);
	insert(cache, 2);
	insert(cache, 3);
	CU_ASSERT_PTR_NOT_NULL(find(cache, 1));
	CU_ASSERT_EQUAL(verdict_cache_evictions(cache), 0);
	insert(cache, 4);
	insert(cache, 4);
	CU_ASSERT_EQUAL(verdict_cache_evictions(cache), 1);
	CU_ASSERT_PTR_NULL(find(cache, 2));
	CU_ASSERT_PTR_NOT_NULL(find(cache, 3));
	insert(cache, 5);
	CU_ASSERT_PTR_NULL(find(cache, 1));
	CU_ASSERT_PTR_NOT_NULL(find(cache, 3));
	CU_ASSERT_PTR_NOT_NULL(find(cache, 4));
	CU_ASSERT_PTR_NOT_NULL(find(cache, 5));
	verdict_cache_free(cache);
}

static void test_a_cache_of_one_holds_the_newest(void)
{
	struct verdict_cache *cache = verdict_cache_new(1);

	for (unsigned int i = 1; i < 5; i++) {
		CU_ASSERT_PTR_NOT_NULL(insert(cache, i));
		CU_ASSERT_PTR_NULL(find(cache, i - 1));
		CU_ASSERT_PTR_NOT_NULL(find(cache, i));
	}
	verdict_cache_free(cache);
}

static void test_equal_beginnings_are_told_apart(void)
{
	struct verdict_cache *cache = verdict_cache_new(5);

	for (unsigned int i = 0; i < 20; i++) {
		struct verdict verdict = verdict_of(7, i);

		CU_ASSERT_PTR_NOT_NULL(verdict_cache_insert(cache, &verdict));
	}
	for (unsigned int i = 0; i < 20; i++) {
		struct verdict verdict = verdict_of(7, i);
		struct verdict_entry *entry = verdict_cache_find(cache, verdict.leaf_sha256);

		CU_ASSERT_EQUAL(entry != NULL, i >= 15);
		if (entry != NULL)
			CU_ASSERT_EQUAL(entry->verdict.not_after, i);
	}
	verdict_cache_free(cache);
}

static void test_a_refusal_is_not_kept(void)
{
	struct verdict_cache *cache = verdict_cache_new(4);
	struct verdict verdict = verdict_of(1, 1);

	verdict.refusal = REFUSAL_CERTIFICATE_UNTRUSTED;
	CU_ASSERT_PTR_NULL(verdict_cache_insert(cache, &verdict));
	CU_ASSERT_PTR_NULL(find(cache, 1));
	verdict_cache_free(cache);
}

static void test_no_capacity_finds_nothing(void)
{
	struct verdict_cache *cache = verdict_cache_new(0);

	CU_ASSERT_PTR_NOT_NULL_FATAL(cache);
	CU_ASSERT_PTR_NULL(insert(cache, 1));
	CU_ASSERT_PTR_NULL(find(cache, 1));
	verdict_cache_clear(cache);
	verdict_cache_free(cache);
	verdict_cache_free(NULL);
}

static void test_a_cleared_cache_begins_anew(void)
{
	struct verdict_cache *cache = verdict_cache_new(3);

	for (unsigned int i = 0; i < 3; i++)
		insert(cache, i);
	verdict_cache_clear(cache);
	for (unsigned int i = 0; i < 3; i++)
		CU_ASSERT_PTR_NULL(find(cache, i));
	for (unsigned int i = 10; i < 14; i++)
		insert(cache, i);
	CU_ASSERT_PTR_NULL(find(cache, 10));
	for (unsigned int i = 11; i < 14; i++)
		CU_ASSERT_PTR_NOT_NULL(find(cache, i));
	verdict_cache_free(cache);
}

/* Against a model that needs no thought: the number and when it was last used. */
static void test_agrees_with_a_simple_model(void)
{
	enum { CAPACITY = 17, NUMBERS = 60, STEPS = 20000 };
	struct verdict_cache *cache = verdict_cache_new(CAPACITY);
	unsigned int used[NUMBERS] = {0}; /* 0: not in it */
	unsigned int random = 12345;
	size_t count = 0;

	for (unsigned int step = 1; step <= STEPS; step++) {
		unsigned int number;
		bool is_found;

		random = random * 1103515245U + 12345U;
		number = (random >> 16) % NUMBERS;
		is_found = find(cache, number) != NULL;
		if (is_found != (used[number] != 0))
			break;
		if (!is_found) {
			unsigned int oldest = NUMBERS;

			for (unsigned int i = 0; i < NUMBERS; i++)
				if (used[i] != 0 && (oldest == NUMBERS || used[i] < used[oldest]))
					oldest = i;
			if (count == CAPACITY)
				used[oldest] = 0;
			else
				count++;
			insert(cache, number);
		}
		used[number] = step;
		if (step == STEPS)
			count = STEPS;
	}
	CU_ASSERT_EQUAL(count, STEPS);
	verdict_cache_free(cache);
}

static const struct check checks[] = {
	{"an inserted verdict is found", test_inserted_verdict_is_found},
	{"inserting again replaces", test_inserting_again_replaces},
	{"the least recently used gives way", test_least_recently_used_gives_way},
	{"a cache of one holds the newest", test_a_cache_of_one_holds_the_newest},
	{"equal beginnings are told apart", test_equal_beginnings_are_told_apart},
	{"a refusal is not kept", test_a_refusal_is_not_kept},
	{"no capacity finds nothing", test_no_capacity_finds_nothing},
	{"a cleared cache begins anew", test_a_cleared_cache_begins_anew},
	{"agrees with a simple model", test_agrees_with_a_simple_model},
};

int main(void)
{
	return check_run("auth/verdict_cache", checks, sizeof(checks) / sizeof(checks[0]));
}
