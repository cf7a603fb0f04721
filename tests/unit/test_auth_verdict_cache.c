#include <stdlib.h>
#include <string.h>

#include "auth/verdict_cache.h"
#include "config/span.h"
#include "tests/unit/check.h"

/* A verdict that only its number tells apart; collides in every bucket where first is the same. */
static struct verdict verdict_of(unsigned int first, unsigned int number)
{
	struct verdict verdict = {.refusal = REFUSAL_NONE, .link_count = 1, .not_after = number};

	memcpy(verdict.leaf_sha256, &first, sizeof(first));
	memcpy(verdict.leaf_sha256 + 28, &number, sizeof(number));
	return verdict;
}

static bool insert(struct verdict_cache *cache, unsigned int number)
{
	struct verdict verdict = verdict_of(number, number);

	return verdict_cache_insert(cache, &verdict);
}

static bool find(struct verdict_cache *cache, unsigned int number)
{
	struct verdict verdict = verdict_of(number, number);

	return verdict_cache_find(cache, verdict.leaf_sha256, &verdict);
}

static void set_mailbox(struct verdict_cache *cache, unsigned int number, const char *mailbox)
{
	struct verdict verdict = verdict_of(number, number);

	verdict_cache_set_mailbox(cache, verdict.leaf_sha256,
		&(struct verdict_mailbox){.mailbox = mailbox,
			.users = "CONTOSO\\alice",
			.valid_until = 7,
			.changes = 3});
}

/* NULL: none is known. */
static const char *mailbox_of(struct verdict_cache *cache, unsigned int number)
{
	struct verdict verdict = verdict_of(number, number);
	struct verdict_mailbox mailbox;

	return verdict_cache_mailbox(cache, verdict.leaf_sha256, &mailbox) ? mailbox.mailbox : NULL;
}

static void test_inserted_verdict_is_found(void)
{
	struct verdict_cache *cache = verdict_cache_new(4);
	struct verdict verdict = verdict_of(1, 1);

	CU_ASSERT_FALSE(find(cache, 1));
	CU_ASSERT_TRUE_FATAL(insert(cache, 1));
	CU_ASSERT_TRUE(verdict_cache_find(cache, verdict.leaf_sha256, &verdict));
	CU_ASSERT_EQUAL(verdict.not_after, 1);
	CU_ASSERT_FALSE(find(cache, 2));
	verdict_cache_free(cache);
}

static void test_a_mailbox_is_kept_beside_its_verdict(void)
{
	struct verdict_cache *cache = verdict_cache_new(4);
	struct verdict verdict = verdict_of(1, 1);
	struct verdict_mailbox mailbox;

	insert(cache, 1);
	CU_ASSERT_PTR_NULL(mailbox_of(cache, 1));
	set_mailbox(cache, 1, "alice@example.com");
	set_mailbox(cache, 2, "bob@example.com");
	CU_ASSERT_TRUE_FATAL(verdict_cache_mailbox(cache, verdict.leaf_sha256, &mailbox));
	CU_ASSERT_STRING_EQUAL(mailbox.mailbox, "alice@example.com");
	CU_ASSERT_STRING_EQUAL(mailbox.users, "CONTOSO\\alice");
	CU_ASSERT_EQUAL(mailbox.valid_until, 7);
	CU_ASSERT_EQUAL(mailbox.changes, 3);
	CU_ASSERT_PTR_NULL(mailbox_of(cache, 2));
	set_mailbox(cache, 1, "");
	CU_ASSERT_PTR_NULL(mailbox_of(cache, 1));
	verdict_cache_free(cache);
}

static void test_inserting_again_replaces(void)
{
	struct verdict_cache *cache = verdict_cache_new(2);
	struct verdict verdict = verdict_of(1, 1);

	insert(cache, 1);
	set_mailbox(cache, 1, "alice@example.com");
	verdict.not_after = 99;
	CU_ASSERT_TRUE(verdict_cache_insert(cache, &verdict));
	CU_ASSERT_TRUE(verdict_cache_find(cache, verdict.leaf_sha256, &verdict));
	CU_ASSERT_EQUAL(verdict.not_after, 99);
	CU_ASSERT_PTR_NULL(mailbox_of(cache, 1));
	/* It took no second place. */
	insert(cache, 2);
	CU_ASSERT_TRUE(find(cache, 1));
	CU_ASSERT_TRUE(find(cache, 2));
	verdict_cache_free(cache);
}

/* Every byte that is in use is another one than its neighbours. */
static void fill(void *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)at)[i] = (uint8_t)(i % 251 + 1);
}

static void test_all_of_a_verdict_comes_back(void)
{
	static const struct {
		uint32_t links, points;
		uint16_t names, text;
		size_t string;
	} sizes[] = {{1, 0, 0, 0, 0}, {2, 3, 4, 100, 40},
		{VERDICT_CHAIN_MAX, VERDICT_POINT_MAX, IDENTITY_COUNT_MAX, IDENTITY_TEXT_SIZE,
			159}};
	struct verdict_cache *cache = verdict_cache_new(2);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct verdict verdict = verdict_of(1, (unsigned int)i), found;

		verdict.not_before = 1234567890123;
		verdict.rules = 0xaabbccdd;
		verdict.names_refusal = REFUSAL_NAME_INVALID;
		verdict.link_count = sizes[i].links;
		fill(verdict.links, sizes[i].links * sizeof(verdict.links[0]));
		verdict.point_count = sizes[i].points;
		fill(verdict.points, sizes[i].points * sizeof(verdict.points[0]));
		verdict.names.count = sizes[i].names;
		verdict.names.used = sizes[i].text;
		fill(verdict.names.names, sizes[i].names * sizeof(verdict.names.names[0]));
		fill(verdict.names.text, sizes[i].text);
		fill(verdict.ocsp_url, sizes[i].string * 3);
		fill(verdict.subject, sizes[i].string);
		fill(verdict.issuer, sizes[i].string + sizes[i].string / 2);
		fill(verdict.reason, sizes[i].string);
		CU_ASSERT_TRUE(verdict_cache_insert(cache, &verdict));
		memset(&found, 0xff, sizeof(found));
		CU_ASSERT_TRUE(verdict_cache_find(cache, verdict.leaf_sha256, &found));
		CU_ASSERT_TRUE(span_equal(
			span_of(&found, sizeof(found)), span_of(&verdict, sizeof(verdict))));
	}
	verdict_cache_free(cache);
}

static void test_least_recently_used_gives_way(void)
{
	struct verdict_cache *cache = verdict_cache_new(3);

	insert(cache, 1);
	insert(cache, 2);
	insert(cache, 3);
	CU_ASSERT_TRUE(find(cache, 1));
	CU_ASSERT_EQUAL(verdict_cache_evictions(cache), 0);
	insert(cache, 4);
	insert(cache, 4);
	CU_ASSERT_EQUAL(verdict_cache_evictions(cache), 1);
	CU_ASSERT_FALSE(find(cache, 2));
	CU_ASSERT_TRUE(find(cache, 3));
	insert(cache, 5);
	CU_ASSERT_FALSE(find(cache, 1));
	CU_ASSERT_TRUE(find(cache, 3));
	CU_ASSERT_TRUE(find(cache, 4));
	CU_ASSERT_TRUE(find(cache, 5));
	verdict_cache_free(cache);
}

static void test_a_cache_of_one_holds_the_newest(void)
{
	struct verdict_cache *cache = verdict_cache_new(1);

	for (unsigned int i = 1; i < 5; i++) {
		CU_ASSERT_TRUE(insert(cache, i));
		CU_ASSERT_FALSE(find(cache, i - 1));
		CU_ASSERT_TRUE(find(cache, i));
	}
	verdict_cache_free(cache);
}

static void test_equal_beginnings_are_told_apart(void)
{
	struct verdict_cache *cache = verdict_cache_new(5);

	for (unsigned int i = 0; i < 20; i++) {
		struct verdict verdict = verdict_of(7, i);

		CU_ASSERT_TRUE(verdict_cache_insert(cache, &verdict));
	}
	for (unsigned int i = 0; i < 20; i++) {
		struct verdict verdict = verdict_of(7, i);
		bool is_found = verdict_cache_find(cache, verdict.leaf_sha256, &verdict);

		CU_ASSERT_EQUAL(is_found, i >= 15);
		CU_ASSERT_EQUAL(verdict.not_after, i);
	}
	verdict_cache_free(cache);
}

static void test_a_refusal_is_not_kept(void)
{
	struct verdict_cache *cache = verdict_cache_new(4);
	struct verdict verdict = verdict_of(1, 1);

	verdict.refusal = REFUSAL_CERTIFICATE_UNTRUSTED;
	CU_ASSERT_FALSE(verdict_cache_insert(cache, &verdict));
	CU_ASSERT_FALSE(find(cache, 1));
	verdict_cache_free(cache);
}

static void test_no_capacity_finds_nothing(void)
{
	struct verdict_cache *cache = verdict_cache_new(0);

	CU_ASSERT_PTR_NOT_NULL_FATAL(cache);
	CU_ASSERT_FALSE(insert(cache, 1));
	CU_ASSERT_FALSE(find(cache, 1));
	verdict_cache_free(cache);
	verdict_cache_free(NULL);
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
		is_found = find(cache, number);
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
	{"a mailbox is kept beside its verdict", test_a_mailbox_is_kept_beside_its_verdict},
	{"all of a verdict comes back", test_all_of_a_verdict_comes_back},
	{"inserting again replaces", test_inserting_again_replaces},
	{"the least recently used gives way", test_least_recently_used_gives_way},
	{"a cache of one holds the newest", test_a_cache_of_one_holds_the_newest},
	{"equal beginnings are told apart", test_equal_beginnings_are_told_apart},
	{"a refusal is not kept", test_a_refusal_is_not_kept},
	{"no capacity finds nothing", test_no_capacity_finds_nothing},
	{"agrees with a simple model", test_agrees_with_a_simple_model},
};

int main(void)
{
	return check_run("auth/verdict_cache", checks, sizeof(checks) / sizeof(checks[0]));
}
