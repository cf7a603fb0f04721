/* Thousands of phones at once, with a clock of the test's own. */
#include "tests/unit/check.h"

#include <string.h>

#include "proxy/governor_storm.h"

enum { PHONES = 5000, RATE = 100 };

static const uint64_t second_us = 1000000;
static struct governor_storm memory, *const storm = &memory;
static uint64_t now_us;

static void begin(void)
{
	memset(storm, 0, sizeof(*storm));
	now_us = 1000 * second_us;
}

static uint64_t phone(uint64_t number)
{
	return number * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

static uint32_t come(uint64_t number)
{
	return governor_storm_admit(storm, RATE, phone(number), now_us, 0x80000000);
}

static void test_phones_come_in_evenly_and_wait_once(void)
{
	static uint32_t wait_s[PHONES];
	uint32_t in_second[PHONES / RATE + 3] = {0};
	uint64_t start_us;

	begin();
	start_us = now_us;
	for (size_t i = 0; i < PHONES; i++)
		wait_s[i] = come(i);
	for (size_t i = 0; i < PHONES; i++) {
		CU_ASSERT_TRUE_FATAL(wait_s[i] < sizeof(in_second) / sizeof(in_second[0]));
		in_second[wait_s[i]]++;
		now_us = start_us + (uint64_t)wait_s[i] * second_us;
		CU_ASSERT_EQUAL(come(i), 0); /* nobody is sent away twice */
	}
	/* A second's worth that was unused, and this second's own. */
	CU_ASSERT_TRUE(in_second[0] >= RATE && in_second[0] <= 2 * RATE + 1);
	for (size_t i = 1; i <= PHONES / RATE - 3; i++)
		CU_ASSERT_TRUE(in_second[i] >= RATE - 1 && in_second[i] <= RATE + 1);
}

static void test_who_comes_too_early_is_told_the_rest(void)
{
	uint32_t first_s, last_s = 0;

	begin();
	for (uint64_t i = 0; i < 1000; i++)
		last_s = come(i);
	first_s = last_s;
	CU_ASSERT_TRUE_FATAL(first_s > 5);
	now_us += 5 * second_us;
	CU_ASSERT_EQUAL(come(999), first_s - 5);
	now_us += (uint64_t)(first_s - 5) * second_us;
	CU_ASSERT_EQUAL(come(999), 0);
}

static void test_who_is_in_stays_in_while_it_asks(void)
{
	begin();
	CU_ASSERT_EQUAL(come(1), 0);
	for (uint64_t i = 100; i < 1000; i++)
		come(i);
	for (int i = 0; i < 20; i++) {
		now_us += (uint64_t)(STORM_STAY_S - 1) * second_us;
		for (uint64_t other = 0; other < 1000; other++)
			come(1000 + 1000 * (uint64_t)i + other); /* always more than fit */
		CU_ASSERT_EQUAL(come(1), 0);
	}
	now_us += (uint64_t)(STORM_STAY_S + 1) * second_us;
	for (uint64_t other = 0; other < 1000; other++)
		come(100000 + other);
	CU_ASSERT_TRUE(come(1) > 0);
}

static void test_after_an_outage_all_come_in_anew(void)
{
	begin();
	CU_ASSERT_EQUAL(come(1), 0);
	governor_storm_forget(storm, phone(1));
	governor_storm_forget(storm, phone(2)); /* was never there */
	for (uint64_t i = 100; i < 1000; i++)
		come(i);
	CU_ASSERT_TRUE(come(1) > 0);
}

static void test_the_longest_wait_is_bounded(void)
{
	uint32_t longest = 0;

	begin();
	for (uint64_t i = 0; i < UINT64_C(1000) * RATE; i++) {
		uint32_t wait_s = come(i);

		longest = wait_s > longest ? wait_s : longest;
	}
	CU_ASSERT_TRUE(longest <= STORM_RETRY_MAX_S);
	/* Beyond it nobody takes a place, so that it does not grow without end. */
	now_us += (uint64_t)(STORM_RETRY_MAX_S + 2) * second_us;
	CU_ASSERT_EQUAL(come(UINT32_MAX), 0);
}

static void test_few_are_never_asked_to_wait(void)
{
	begin();
	for (uint64_t i = 0; i < 10000; i++) {
		CU_ASSERT_EQUAL(come(i), 0);
		now_us += second_us / RATE;
	}
}

static const struct check checks[] = {
	{"phones come in evenly and wait once", test_phones_come_in_evenly_and_wait_once},
	{"who comes too early is told the rest", test_who_comes_too_early_is_told_the_rest},
	{"who is in stays in while it asks", test_who_is_in_stays_in_while_it_asks},
	{"after an outage all come in anew", test_after_an_outage_all_come_in_anew},
	{"the longest wait is bounded", test_the_longest_wait_is_bounded},
	{"few are never asked to wait", test_few_are_never_asked_to_wait},
};

int main(void)
{
	return check_run("proxy/governor_storm", checks, sizeof(checks) / sizeof(checks[0]));
}
