/* Texts as numbers. */
#include <stdio.h>

#include "config/hash.h"
#include "tests/unit/check.h"

enum { SEED = 12345, IDS = 4096, BUCKETS = 1024 };

static void test_where_a_text_ends_matters(void)
{
	CU_ASSERT_NOT_EQUAL(
		hash_text(hash_text(SEED, "ab"), "c"), hash_text(hash_text(SEED, "a"), "bc"));
	CU_ASSERT_NOT_EQUAL(
		hash_text(hash_text(SEED, ""), "a"), hash_text(hash_text(SEED, "a"), ""));
	CU_ASSERT_NOT_EQUAL(hash_text(SEED, "12345678"), hash_text(SEED, "1234567"));
	CU_ASSERT_EQUAL(hash_text(SEED, "a-longer-text"), hash_text(SEED, "a-longer-text"));
	CU_ASSERT_NOT_EQUAL(hash_text(SEED, "a"), hash_text(SEED + 1, "a"));
}

/* Of the bits that choose a bucket: four of a hundred would share one, and no more than twenty do. */
static void check_spread(size_t len, size_t at)
{
	static unsigned int buckets[BUCKETS];
	unsigned int fullest = 0;

	memset(buckets, 0, sizeof(buckets));
	for (unsigned int i = 0; i < IDS; i++) {
		char text[64], number[8];
		uint64_t hash;

		memset(text, 'A', sizeof(text));
		text[len] = '\0';
		snprintf(number, sizeof(number), "%03x", i);
		memcpy(text + at, number, 3);
		hash = hash_text(SEED, text) % BUCKETS;
		if (++buckets[hash] > fullest)
			fullest = buckets[hash];
	}
	CU_ASSERT_TRUE(fullest <= 20);
}

/* Wherever the number stands that tells phones apart. */
static void test_texts_that_differ_little_lie_apart(void)
{
	for (size_t len = 3; len <= 34; len++)
		for (size_t at = 0; at + 3 <= len; at++)
			check_spread(len, at);
}

/* Whatever the seed is: the highest bits of one word do not make up for those of the next. */
static void test_highest_bits_of_words_reach_all_others(void)
{
	static const uint64_t highest = UINT64_C(1) << 63;

	for (uint64_t seed = 1; seed <= 1000; seed++) {
		uint64_t hash = hash_number(hash_number(seed, 1), 2);

		CU_ASSERT_NOT_EQUAL(hash,
			hash_number(hash_number(seed, 1 ^ highest), 2 ^ highest ^ highest >> 32));
		CU_ASSERT_NOT_EQUAL(hash, hash_number(hash_number(seed, 1 ^ highest), 2 ^ highest));
		CU_ASSERT_NOT_EQUAL(
			hash, hash_number(hash_number(seed, 1 ^ highest), 2 ^ highest >> 32));
	}
}

static const struct check checks[] = {
	{"highest bits of words reach all others", test_highest_bits_of_words_reach_all_others},
	{"where a text ends matters", test_where_a_text_ends_matters},
	{"texts that differ little lie apart", test_texts_that_differ_little_lie_apart},
};

int main(void)
{
	return check_run("config/hash", checks, sizeof(checks) / sizeof(checks[0]));
}
