#include "tests/unit/check.h"

#include <pthread.h>
#include <string.h>

#include "proxy/device_slots.h"

static struct device_slots memory, *const slots = &memory;

static void begin(void)
{
	memset(slots, 0, sizeof(*slots));
}

/* The nth hash of one line. */
static uint64_t in_line(uint64_t line, uint64_t nth)
{
	return (nth + 1) << 32 | line;
}

static void test_a_word_is_found_until_it_is_removed(void)
{
	begin();
	CU_ASSERT_EQUAL(device_slots_find(slots, in_line(3, 1)), 0);
	CU_ASSERT_EQUAL(device_slots_put(slots, in_line(3, 1), 17), 0);
	CU_ASSERT_EQUAL(device_slots_put(slots, in_line(3, 2), 18), 0);
	CU_ASSERT_EQUAL(device_slots_find(slots, in_line(3, 1)), 17);
	CU_ASSERT_EQUAL(device_slots_find(slots, in_line(4, 1)), 0);
	device_slots_remove(slots, in_line(3, 1), 17);
	CU_ASSERT_EQUAL(device_slots_find(slots, in_line(3, 1)), 0);
	CU_ASSERT_EQUAL(device_slots_find(slots, in_line(3, 2)), 18);
}

static void test_a_new_word_takes_the_old_ones_place(void)
{
	begin();
	device_slots_put(slots, in_line(3, 1), 17);
	CU_ASSERT_EQUAL(device_slots_put(slots, in_line(3, 1), 19), 17);
	device_slots_remove(slots, in_line(3, 1), 17); /* by who had it before: too late */
	CU_ASSERT_EQUAL(device_slots_find(slots, in_line(3, 1)), 19);
}

static void test_in_a_full_line_the_lowest_word_goes(void)
{
	begin();
	for (uint32_t i = 0; i < DEVICE_SLOTS_PER_LINE; i++)
		device_slots_put(slots, in_line(9, i), 100 + (i + 5) % DEVICE_SLOTS_PER_LINE);
	CU_ASSERT_EQUAL(device_slots_put(slots, in_line(9, 77), 200), 0);
	CU_ASSERT_EQUAL(device_slots_find(slots, in_line(9, 77)), 200);
	CU_ASSERT_EQUAL(device_slots_find(slots, in_line(9, 3)), 0); /* it had 100 */
	CU_ASSERT_EQUAL(device_slots_find(slots, in_line(9, 4)), 101);
}

static void test_a_hash_without_an_upper_half_is_one_too(void)
{
	begin();
	device_slots_put(slots, 5, 1);
	CU_ASSERT_EQUAL(device_slots_find(slots, 5), 1);
	device_slots_remove(slots, 5, 1);
	CU_ASSERT_EQUAL(device_slots_find(slots, 5), 0);
}

static void *put_and_remove(void *arg)
{
	uint32_t word = *(const uint32_t *)arg;

	for (uint64_t i = 0; i < 20000; i++) {
		device_slots_put(slots, in_line(1, i % 4), word);
		device_slots_remove(slots, in_line(1, i % 4), word);
	}
	return NULL;
}

static void test_workers_may_change_a_line_at_once(void)
{
	uint32_t words[] = {1, 2};
	pthread_t threads[2];

	begin();
	for (size_t i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&threads[i], NULL, put_and_remove, &words[i]), 0);
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (uint64_t i = 0; i < 4; i++) {
		uint32_t left = device_slots_find(slots, in_line(1, i));

		CU_ASSERT_TRUE(left <= 2); /* never anything that nobody has put there */
	}
}

static const struct check checks[] = {
	{"a word is found until it is removed", test_a_word_is_found_until_it_is_removed},
	{"a new word takes the old one's place", test_a_new_word_takes_the_old_ones_place},
	{"in a full line the lowest word goes", test_in_a_full_line_the_lowest_word_goes},
	{"a hash without an upper half is one too", test_a_hash_without_an_upper_half_is_one_too},
	{"workers may change a line at once", test_workers_may_change_a_line_at_once},
};

int main(void)
{
	return check_run("proxy/device_slots", checks, sizeof(checks) / sizeof(checks[0]));
}
