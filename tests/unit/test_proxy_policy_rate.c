/* How often a device may come. */
#include "proxy/policy_rate.h"
#include "tests/unit/check.h"

#define SECOND UINT64_C(1000000)

static const uint64_t begin_us = UINT64_C(1700000000) * SECOND;

static void test_so_many_may_come_at_once_and_then_one_at_a_time(void)
{
	const struct policy_rate rate = {.count = 6, .time_s = 60, .slot = 1};
	struct policy_buckets buckets = {{0}};

	for (int i = 0; i < 6; i++)
		CU_ASSERT_EQUAL(policy_rate_take(&rate, &buckets, begin_us), 0);
	CU_ASSERT_EQUAL(policy_rate_take(&rate, &buckets, begin_us), 10);
	CU_ASSERT_EQUAL(policy_rate_take(&rate, &buckets, begin_us + 9 * SECOND), 1);
	CU_ASSERT_EQUAL(policy_rate_take(&rate, &buckets, begin_us + 10 * SECOND), 0);
	CU_ASSERT_EQUAL(policy_rate_take(&rate, &buckets, begin_us + 10 * SECOND), 10);
}

static void test_who_stays_away_may_come_as_often_as_at_first_and_no_more(void)
{
	const struct policy_rate rate = {.count = 3, .time_s = 3600};
	struct policy_buckets buckets = {{0}};

	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(policy_rate_take(&rate, &buckets, begin_us), 0);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(
			policy_rate_take(&rate, &buckets, begin_us + UINT64_C(86400) * SECOND), 0);
	CU_ASSERT_EQUAL(
		policy_rate_take(&rate, &buckets, begin_us + UINT64_C(86400) * SECOND), 1200);
}

static void test_rules_count_for_themselves(void)
{
	const struct policy_rate one = {.count = 1, .time_s = 60, .slot = 0};
	const struct policy_rate other = {.count = 1, .time_s = 60, .slot = 3};
	struct policy_buckets buckets = {{0}};

	CU_ASSERT_EQUAL(policy_rate_take(&one, &buckets, begin_us), 0);
	CU_ASSERT_EQUAL(policy_rate_take(&one, &buckets, begin_us), 60);
	CU_ASSERT_EQUAL(policy_rate_take(&other, &buckets, begin_us), 0);
}

static const struct check checks[] = {
	{"so many may come at once and then one at a time",
		test_so_many_may_come_at_once_and_then_one_at_a_time},
	{"who stays away may come as often as at first and no more",
		test_who_stays_away_may_come_as_often_as_at_first_and_no_more},
	{"rules count for themselves", test_rules_count_for_themselves},
};

int main(void)
{
	return check_run("proxy/policy_rate", checks, sizeof(checks) / sizeof(checks[0]));
}
