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

static void insert_verdict(struct verdict_cache *cache, const struct verdict *verdict)
{
	struct accepted *accepted = accepted_new(verdict, UINT32_MAX, 0);

	CU_ASSERT_PTR_NOT_NULL_FATAL(accepted);
	verdict_cache_insert(cache, accepted);
	accepted_free(accepted);
}

static void insert(struct verdict_cache *cache, unsigned int number)
{
	struct verdict verdict = verdict_of(number, number);

	insert_verdict(cache, &verdict);
}

static bool find(struct verdict_cache *cache, unsigned int number)
{
	struct verdict verdict = verdict_of(number, number);

	return verdict_cache_find(cache, verdict.leaf_sha256) != NULL;
}

static void set_mailbox(struct verdict_cache *cache, unsigned int number, const char *mailbox)
{
	struct verdict verdict = verdict_of(number, number);

	owner_free(verdict_cache_told(cache, verdict.leaf_sha256,
		&(struct owner_words){.mailbox = mailbox,
			.users = "CONTOSO\\alice",
			.valid_until = 7,
			.changes = 3}));
}

/* NULL: none is known. */
static struct owner *owner_of(struct verdict_cache *cache, unsigned int number)
{
	struct verdict verdict = verdict_of(number, number);

	return verdict_cache_owner(cache, verdict.leaf_sha256);
}

static void test_inserted_verdict_is_found(void)
{
	struct verdict_cache *cache = verdict_cache_new(4);
	struct verdict verdict = verdict_of(1, 1);
	const struct accepted *found;

	CU_ASSERT_FALSE(find(cache, 1));
	insert(cache, 1);
	found = verdict_cache_find(cache, verdict.leaf_sha256);
	CU_ASSERT_PTR_NOT_NULL_FATAL(found);
	CU_ASSERT_EQUAL(found->not_after, 1);
	CU_ASSERT_FALSE(find(cache, 2));
	verdict_cache_free(cache);
}

static void test_a_mailbox_is_kept_beside_its_verdict(void)
{
	struct verdict_cache *cache = verdict_cache_new(4);
	const struct owner *owner;

	insert(cache, 1);
	CU_ASSERT_PTR_NULL(owner_of(cache, 1));
	set_mailbox(cache, 1, "alice@example.com");
	set_mailbox(cache, 2, "bob@example.com");
	owner = owner_of(cache, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(owner);
	CU_ASSERT_STRING_EQUAL(owner->mailbox, "alice@example.com");
	CU_ASSERT_STRING_EQUAL(owner_users(owner), "CONTOSO\\alice");
	CU_ASSERT_EQUAL(owner->valid_until, 7);
	CU_ASSERT_EQUAL(owner->changes, 3);
	CU_ASSERT_PTR_NULL(owner_of(cache, 2));
	set_mailbox(cache, 1, "");
	CU_ASSERT_PTR_NULL(owner_of(cache, 1));
	verdict_cache_free(cache);
}

/* The owner that a session holds is not changed under its hands, but for how long it holds. */
static void test_other_words_are_another_owner(void)
{
	struct verdict_cache *cache = verdict_cache_new(4);
	struct owner *held;

	insert(cache, 1);
	set_mailbox(cache, 1, "alice@example.com");
	held = owner_share(owner_of(cache, 1));
	held->valid_until = 1;
	set_mailbox(cache, 1, "alice@example.com");
	CU_ASSERT_PTR_EQUAL(owner_of(cache, 1), held);
	CU_ASSERT_EQUAL(held->valid_until, 7);
	set_mailbox(cache, 1, "bob@example.com");
	CU_ASSERT_STRING_EQUAL(owner_of(cache, 1)->mailbox, "bob@example.com");
	CU_ASSERT_STRING_EQUAL(held->mailbox, "alice@example.com");
	CU_ASSERT_EQUAL(held->uses, 1);
	verdict_cache_free(cache);
	owner_free(held);
}

static void test_what_somebody_holds_outlives_the_cache(void)
{
	struct verdict_cache *cache = verdict_cache_new(1);
	struct verdict verdict = verdict_of(1, 1);
	struct accepted *held;

	strcpy(verdict.issuer, "CN=CA");
	insert_verdict(cache, &verdict);
	held = accepted_share(verdict_cache_find(cache, verdict.leaf_sha256));
	insert(cache, 2);
	CU_ASSERT_FALSE(find(cache, 1));
	verdict_cache_free(cache);
	CU_ASSERT_EQUAL(held->uses, 1);
	CU_ASSERT_STRING_EQUAL(accepted_issuer(held), "CN=CA");
	accepted_free(held);
}

/* What an authority's certificates have in common is there once, and what is different is not mixed up. */
static void test_certificates_of_an_authority_share_what_they_have_in_common(void)
{
	struct verdict verdict = verdict_of(1, 1);
	struct accepted *first, *second, *other;

	strcpy(verdict.issuer, "CN=CA");
	verdict.not_before = verdict.leaf_not_before = 10;
	first = accepted_new(&verdict, 0, 5);
	verdict.leaf_sha256[0] = 2;
	verdict.not_before = verdict.leaf_not_before = 20;
	second = accepted_new(&verdict, 0, 5);
	other = accepted_new(&verdict, 0, 6);
	CU_ASSERT_PTR_EQUAL(first->kind, second->kind);
	CU_ASSERT_PTR_NOT_EQUAL(first->kind, other->kind);
	accepted_free(first);
	CU_ASSERT_STRING_EQUAL(accepted_issuer(second), "CN=CA");
	CU_ASSERT_EQUAL(accepted_links(second).not_before, 20);
	CU_ASSERT_EQUAL(accepted_policy_oids(second), 5);
	CU_ASSERT_EQUAL(accepted_policy_oids(other), 6);
	accepted_free(second);
	accepted_free(other);
}

static void test_inserting_again_replaces(void)
{
	struct verdict_cache *cache = verdict_cache_new(2);
	struct verdict verdict = verdict_of(1, 1);

	insert(cache, 1);
	set_mailbox(cache, 1, "alice@example.com");
	verdict.not_after = 99;
	insert_verdict(cache, &verdict);
	CU_ASSERT_EQUAL(verdict_cache_find(cache, verdict.leaf_sha256)->not_after, 99);
	CU_ASSERT_PTR_NULL(owner_of(cache, 1));
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

static void check_names(const struct accepted *accepted, const struct identity_names *wanted)
{
	struct identity_names names;

	identity_names_unpack(accepted->names, &names);
	CU_ASSERT_EQUAL_FATAL(names.count, wanted->count);
	for (size_t i = 0; i < names.count; i++) {
		CU_ASSERT_EQUAL(names.names[i].kind, wanted->names[i].kind);
		CU_ASSERT_STRING_EQUAL(
			identity_names_text(&names, i), identity_names_text(wanted, i));
	}
}

/* The names by themselves, and the rest without what is not kept. */
static void test_all_of_a_verdict_comes_back(void)
{
	static const struct {
		uint32_t links, points, names;
		size_t string;
	} sizes[] = {{1, 0, 0, 0}, {2, 3, 4, 40},
		{VERDICT_CHAIN_MAX, VERDICT_POINT_MAX, IDENTITY_COUNT_MAX, 159}};
	struct verdict_cache *cache = verdict_cache_new(2);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct verdict verdict = verdict_of(1, (unsigned int)i), found;
		char text[160] = "";

		verdict.not_before = 1234567890123;
		verdict.leaf_not_before = 1234567890;
		verdict.rules = 0xaabbccdd;
		verdict.names_refusal = REFUSAL_NAME_INVALID;
		verdict.link_count = sizes[i].links;
		fill(verdict.links, sizes[i].links * sizeof(verdict.links[0]));
		verdict.point_count = sizes[i].points;
		fill(verdict.points, sizes[i].points * sizeof(verdict.points[0]));
		fill(verdict.ocsp_url, sizes[i].string * 3);
		fill(verdict.issuer, sizes[i].string + sizes[i].string / 2);
		fill(text, sizes[i].string);
		for (uint32_t n = 0; n < sizes[i].names; n++)
			identity_names_add(
				&verdict.names, n % IDENTITY_KIND_COUNT, span_of_string(text + n));
		insert_verdict(cache, &verdict);
		memset(&found, 0xff, sizeof(found));
		check_names(verdict_cache_find(cache, verdict.leaf_sha256), &verdict.names);
		accepted_unpack(verdict_cache_find(cache, verdict.leaf_sha256), &found);
		memset(&verdict.names, 0, sizeof(verdict.names));
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
		insert(cache, i);
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

		insert_verdict(cache, &verdict);
	}
	for (unsigned int i = 0; i < 20; i++) {
		struct verdict verdict = verdict_of(7, i);
		const struct accepted *found = verdict_cache_find(cache, verdict.leaf_sha256);

		CU_ASSERT_EQUAL(found != NULL, i >= 15);
		CU_ASSERT_TRUE(found == NULL || found->not_after == i);
	}
	verdict_cache_free(cache);
}

static void test_no_capacity_finds_nothing(void)
{
	struct verdict_cache *cache = verdict_cache_new(0);

	CU_ASSERT_PTR_NOT_NULL_FATAL(cache);
	insert(cache, 1);
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
	{"other words are another owner", test_other_words_are_another_owner},
	{"what somebody holds outlives the cache", test_what_somebody_holds_outlives_the_cache},
	{"certificates of an authority share what they have in common",
		test_certificates_of_an_authority_share_what_they_have_in_common},
	{"all of a verdict comes back", test_all_of_a_verdict_comes_back},
	{"inserting again replaces", test_inserting_again_replaces},
	{"the least recently used gives way", test_least_recently_used_gives_way},
	{"a cache of one holds the newest", test_a_cache_of_one_holds_the_newest},
	{"equal beginnings are told apart", test_equal_beginnings_are_told_apart},
	{"no capacity finds nothing", test_no_capacity_finds_nothing},
	{"agrees with a simple model", test_agrees_with_a_simple_model},
};

int main(void)
{
	return check_run("auth/verdict_cache", checks, sizeof(checks) / sizeof(checks[0]));
}
