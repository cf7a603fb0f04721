#include "check.h"
#include "proxy/identity_breaker.h"

static struct breaker breaker;

static enum breaker_news fail(int64_t now_ms)
{
	return breaker_end(&breaker, false, BREAKER_FAILED, now_ms);
}

static void go_down(int64_t now_ms)
{
	breaker = (struct breaker){0};
	while (fail(now_ms) != BREAKER_DOWN)
		continue;
}

static void test_three_failures_in_a_row_are_down(void)
{
	breaker = (struct breaker){0};
	CU_ASSERT_EQUAL(fail(0), BREAKER_FAILS);
	CU_ASSERT_EQUAL(fail(0), BREAKER_FAILS);
	CU_ASSERT_FALSE(breaker_is_resting(&breaker, 0));
	CU_ASSERT_EQUAL(fail(0), BREAKER_DOWN);
	CU_ASSERT_TRUE(breaker_is_resting(&breaker, 0));
}

static void test_an_answer_between_them_makes_good(void)
{
	breaker = (struct breaker){0};
	for (int i = 0; i < 10; i++) {
		CU_ASSERT_EQUAL(fail(0), BREAKER_FAILS);
		CU_ASSERT_EQUAL(fail(0), BREAKER_FAILS);
		CU_ASSERT_EQUAL(breaker_end(&breaker, false, BREAKER_ANSWERED, 0), BREAKER_SAME);
	}
}

static void test_silence_counts_twice_and_who_was_not_asked_not_at_all(void)
{
	breaker = (struct breaker){0};
	CU_ASSERT_EQUAL(breaker_end(&breaker, false, BREAKER_OVERRUN, 0), BREAKER_FAILS);
	for (int i = 0; i < 10; i++)
		CU_ASSERT_EQUAL(breaker_end(&breaker, false, BREAKER_NOT_ASKED, 0), BREAKER_SAME);
	CU_ASSERT_EQUAL(breaker_end(&breaker, false, BREAKER_OVERRUN, 0), BREAKER_DOWN);
}

static void test_one_at_a_time_tries_it_after_a_pause_that_grows(void)
{
	int64_t now = 0;

	go_down(now);
	for (int64_t pause = 500; pause < 100000; pause *= 2) {
		int64_t expected = pause < 15000 ? pause : 15000;

		CU_ASSERT_TRUE(breaker_is_resting(&breaker, now + expected - 1));
		now += expected;
		CU_ASSERT_FALSE(breaker_is_resting(&breaker, now));
		CU_ASSERT_TRUE(breaker_begin(&breaker));
		CU_ASSERT_TRUE(breaker_is_resting(&breaker, now));
		CU_ASSERT_EQUAL(breaker_end(&breaker, true, BREAKER_FAILED, now), BREAKER_SAME);
	}
}

static void test_what_was_under_way_says_nothing_new(void)
{
	go_down(0);
	CU_ASSERT_EQUAL(fail(400), BREAKER_SAME);
	CU_ASSERT_FALSE(breaker_is_resting(&breaker, 500));
}

static void test_any_answer_means_that_it_is_up(void)
{
	go_down(0);
	CU_ASSERT_EQUAL(breaker_end(&breaker, false, BREAKER_ANSWERED, 1), BREAKER_UP);
	CU_ASSERT_FALSE(breaker_is_resting(&breaker, 1));
	CU_ASSERT_FALSE(breaker_begin(&breaker));
	go_down(0);
	breaker_begin(&breaker);
	CU_ASSERT_EQUAL(breaker_end(&breaker, true, BREAKER_ANSWERED, 600), BREAKER_UP);
	CU_ASSERT_EQUAL(fail(700), BREAKER_FAILS);
}

static void test_a_probe_that_nobody_could_make_is_made_again(void)
{
	go_down(0);
	breaker_begin(&breaker);
	CU_ASSERT_EQUAL(breaker_end(&breaker, true, BREAKER_NOT_ASKED, 600), BREAKER_SAME);
	CU_ASSERT_FALSE(breaker_is_resting(&breaker, 600));
}

int main(void)
{
	static const struct check checks[] = {
		{"three failures in a row are down", test_three_failures_in_a_row_are_down},
		{"an answer between them makes good", test_an_answer_between_them_makes_good},
		{"silence counts twice, and who was not asked not at all",
			test_silence_counts_twice_and_who_was_not_asked_not_at_all},
		{"one at a time tries it after a pause that grows",
			test_one_at_a_time_tries_it_after_a_pause_that_grows},
		{"what was under way says nothing new", test_what_was_under_way_says_nothing_new},
		{"any answer means that it is up", test_any_answer_means_that_it_is_up},
		{"a probe that nobody could make is made again",
			test_a_probe_that_nobody_could_make_is_made_again},
	};

	return check_run("proxy/identity_breaker", checks, sizeof(checks) / sizeof(checks[0]));
}
