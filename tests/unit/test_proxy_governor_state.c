/* What a device is judged by: how often it repeats a Sync, and how often it asks. The clock is the test's. */
#include "tests/unit/check.h"

#include <string.h>

#include "proxy/governor_state.h"

static const uint32_t middle = 0x80000000;
static const int64_t second = 1000, minute = 60000;

static const struct governor_limits usual = {.repeats = 10, .per_minute = 60};

static struct governor_state state;
static int64_t now_ms;

static void begin(void)
{
	memset(&state, 0, sizeof(state));
	now_ms = 1000 * second;
}

static struct governor_ruling ask(uint32_t key)
{
	return governor_state_rule(&state, &usual, key, now_ms, middle);
}

/* The same Sync once a second, until it is refused; returns how often it passed. */
static int repeat_until_refused(uint32_t key, struct governor_ruling *ruling)
{
	for (int i = 0; i < 100; i++) {
		*ruling = ask(key);
		if (ruling->retry_after_s > 0)
			return i;
		now_ms += second;
	}
	return 100;
}

static void test_the_same_sync_over_and_over_is_refused(void)
{
	struct governor_ruling ruling;

	begin();
	/* Eleven are ten repetitions; what leaks out in ten seconds lets one more pass. */
	CU_ASSERT_EQUAL(repeat_until_refused(7, &ruling), 11);
	CU_ASSERT_EQUAL(ruling.begun, GOVERNOR_LOOP_KEY);
	CU_ASSERT_EQUAL(ruling.retry_after_s, GOVERNOR_RETRY_S);
	CU_ASSERT_NOT_EQUAL(state.loop, GOVERNOR_NO_LOOP);
}

static void test_what_the_mail_server_was_not_there_for_is_no_loop(void)
{
	begin();
	for (int i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(ask(7).retry_after_s, 0);
		governor_state_forgive(&state, 7);
		governor_state_forgive(&state, 8); /* never seen */
		governor_state_forgive(&state, 0);
		now_ms += 5 * second;
	}
	CU_ASSERT_EQUAL(state.loop, GOVERNOR_NO_LOOP);
}

static void test_it_is_refused_until_the_time_that_it_was_told(void)
{
	struct governor_ruling ruling;

	begin();
	repeat_until_refused(7, &ruling);
	now_ms += 10 * second;
	ruling = ask(7);
	CU_ASSERT_EQUAL(ruling.retry_after_s, GOVERNOR_RETRY_S - 10);
	CU_ASSERT_EQUAL(ruling.begun, GOVERNOR_NO_LOOP);
	CU_ASSERT_EQUAL(ask(8).retry_after_s, 0); /* others pass */
	CU_ASSERT_EQUAL(ask(0).retry_after_s, 0);
	now_ms += 20 * second;
	CU_ASSERT_EQUAL(ask(7).retry_after_s, 0);
}

static void test_the_pause_grows_while_it_goes_on(void)
{
	static const uint32_t pauses[] = {30, 60, 120, 240, 480, 900, 900};
	struct governor_ruling ruling;

	begin();
	repeat_until_refused(7, &ruling);
	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		CU_ASSERT_EQUAL(ruling.retry_after_s, pauses[i]);
		now_ms += ruling.retry_after_s * second;
		CU_ASSERT_EQUAL(ask(7).retry_after_s, 0); /* one is let through */
		now_ms += second;
		ruling = ask(7);
		CU_ASSERT_EQUAL(ruling.begun, GOVERNOR_NO_LOOP); /* the same episode */
	}
}

static void test_it_is_over_when_the_phone_gets_on(void)
{
	struct governor_ruling ruling;
	uint8_t ended = 0;

	begin();
	repeat_until_refused(7, &ruling);
	now_ms += ruling.retry_after_s * second;
	ask(7);
	for (uint32_t key = 100; key < 110; key++) {
		now_ms += minute;
		ended |= ask(key).ended;
	}
	CU_ASSERT_EQUAL(ended, GOVERNOR_LOOP_KEY);
	CU_ASSERT_EQUAL(state.loop, GOVERNOR_NO_LOOP);
	CU_ASSERT_TRUE(repeat_until_refused(7, &ruling) >= 8);
	CU_ASSERT_EQUAL(ruling.retry_after_s, GOVERNOR_RETRY_S); /* from the beginning */
}

static void test_a_sync_that_polls_is_no_loop(void)
{
	begin();
	for (int i = 0; i < 500; i++) {
		CU_ASSERT_EQUAL(ask(7).retry_after_s, 0);
		now_ms += minute;
	}
}

static void test_a_loop_over_several_folders_is_one(void)
{
	int refused = 0;

	begin();
	for (int i = 0; i < 100; i++) {
		refused += ask(1 + (uint32_t)i % 4).retry_after_s > 0;
		now_ms += 2 * second;
	}
	CU_ASSERT_TRUE(refused > 0);
}

static void test_a_first_fetch_of_many_folders_is_none(void)
{
	begin();
	for (uint32_t i = 0; i < 600; i++) { /* two a second, for five minutes */
		struct governor_ruling ruling = ask(1000 + i);

		CU_ASSERT_EQUAL(ruling.retry_after_s, 0);
		CU_ASSERT_EQUAL(ruling.delay_ms, 0);
		now_ms += second / 2;
	}
	CU_ASSERT_EQUAL(state.loop, GOVERNOR_NO_LOOP);
}

static void test_sixty_requests_a_minute_pass(void)
{
	begin();
	for (int i = 0; i < 600; i++) {
		CU_ASSERT_EQUAL(ask(0).delay_ms, 0);
		now_ms += second;
	}
}

static void test_more_are_slowed_down_to_that(void)
{
	int64_t began_ms;
	int passed = 0;
	uint8_t begun = 0;

	begin();
	began_ms = now_ms;
	/* One after the other, each as soon as the last is answered. */
	while (now_ms < began_ms + 10 * minute) {
		struct governor_ruling ruling = ask(0);

		CU_ASSERT_EQUAL(ruling.retry_after_s, 0);
		begun |= ruling.begun;
		now_ms += ruling.delay_ms + 10;
		passed++;
	}
	CU_ASSERT_EQUAL(begun, GOVERNOR_LOOP_RATE);
	CU_ASSERT_TRUE(passed <= 60 * 11 + 5);
	CU_ASSERT_TRUE(passed >= 60 * 10);
}

static void test_many_at_once_are_refused_but_some(void)
{
	int held = 0, refused = 0;

	begin();
	for (int i = 0; i < 200; i++) {
		struct governor_ruling ruling = ask(0);

		CU_ASSERT_TRUE(ruling.delay_ms <= GOVERNOR_DELAY_MAX_MS);
		held += ruling.delay_ms > 0;
		refused += ruling.retry_after_s > 0;
	}
	CU_ASSERT_EQUAL(held, 10); /* a second each */
	CU_ASSERT_EQUAL(refused, 200 - 60 - 10);
	now_ms += minute;
	CU_ASSERT_EQUAL(ask(0).retry_after_s, 0);
}

static void test_asking_too_often_is_over_with_a_pause(void)
{
	begin();
	for (int i = 0; i < 100; i++)
		ask(0);
	CU_ASSERT_NOT_EQUAL(state.loop, GOVERNOR_NO_LOOP);
	now_ms += minute;
	CU_ASSERT_EQUAL(ask(0).ended, GOVERNOR_LOOP_RATE);
	CU_ASSERT_EQUAL(state.loop, GOVERNOR_NO_LOOP);
}

static void test_without_limits_all_passes(void)
{
	static const struct governor_limits none = {0};

	begin();
	for (int i = 0; i < 10000; i++) {
		struct governor_ruling ruling =
			governor_state_rule(&state, &none, 7, now_ms, UINT32_MAX);

		CU_ASSERT_EQUAL(ruling.delay_ms, 0);
		CU_ASSERT_EQUAL(ruling.retry_after_s, 0);
	}
}

static void test_the_largest_limits_are_sound(void)
{
	static const struct governor_limits huge = {.repeats = UINT32_MAX, .per_minute = 600000};
	struct governor_ruling ruling = {0};
	int i;

	begin();
	for (i = 0; i < 3000 && ruling.retry_after_s == 0; i++)
		ruling = governor_state_rule(&state, &huge, 7, now_ms, 0);
	CU_ASSERT_TRUE(i > 1000 && i < 1100); /* a thousand repetitions are a loop in any case */
}

static void test_retry_after_is_scattered(void)
{
	struct governor_ruling ruling;

	for (uint32_t random = 0, seen = 0; seen < 5; seen++, random += UINT32_MAX / 4) {
		begin();
		do {
			ruling = governor_state_rule(&state, &usual, 7, now_ms, random);
		} while (ruling.retry_after_s == 0);
		CU_ASSERT_TRUE(ruling.retry_after_s >= 23 && ruling.retry_after_s <= 38);
	}
	CU_ASSERT_EQUAL(governor_scatter(30, 0), 15);
	CU_ASSERT_EQUAL(governor_scatter(30, UINT32_MAX), 45);
	CU_ASSERT_EQUAL(governor_scatter(30, middle), 30);
	CU_ASSERT_EQUAL(governor_scatter(1, 0), 1);
	CU_ASSERT_EQUAL(governor_scatter(0, 0), 1);
}

static void test_the_nearest_heartbeat(void)
{
	static const struct {
		uint32_t asked, unit_s, min_s, max_s, nearest;
	} cases[] = {
		{60, 1, 60, 3540, 60},
		{3540, 1, 60, 3540, 3540},
		{59, 1, 60, 3540, 60},
		{1, 1, 60, 3540, 60},
		{3541, 1, 60, 3540, 3540},
		{UINT32_MAX, 1, 60, 3540, 3540},
		{1, 60, 60, 3540, 1},
		{59, 60, 60, 3540, 59},
		{60, 60, 60, 3540, 59},
		{1, 60, 90, 3540, 2}, /* one minute is too short, two are the next step */
		{30, 60, 60, 899, 14},
		{5, 60, 61, 119, 1}, /* no whole minute lies between them: the shorter one */
		{5, 60, 5, 30, 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(governor_heartbeat(cases[i].asked, cases[i].unit_s, cases[i].min_s,
					cases[i].max_s),
			cases[i].nearest);
}

static const struct check checks[] = {
	{"the same Sync over and over is refused", test_the_same_sync_over_and_over_is_refused},
	{"what the mail server was not there for is no loop",
		test_what_the_mail_server_was_not_there_for_is_no_loop},
	{"it is refused until the time that it was told",
		test_it_is_refused_until_the_time_that_it_was_told},
	{"the pause grows while it goes on", test_the_pause_grows_while_it_goes_on},
	{"it is over when the phone gets on", test_it_is_over_when_the_phone_gets_on},
	{"a Sync that polls is no loop", test_a_sync_that_polls_is_no_loop},
	{"a loop over several folders is one", test_a_loop_over_several_folders_is_one},
	{"a first fetch of many folders is none", test_a_first_fetch_of_many_folders_is_none},
	{"sixty requests a minute pass", test_sixty_requests_a_minute_pass},
	{"more are slowed down to that", test_more_are_slowed_down_to_that},
	{"many at once are refused but some", test_many_at_once_are_refused_but_some},
	{"asking too often is over with a pause", test_asking_too_often_is_over_with_a_pause},
	{"without limits all passes", test_without_limits_all_passes},
	{"the largest limits are sound", test_the_largest_limits_are_sound},
	{"Retry-After is scattered", test_retry_after_is_scattered},
	{"the nearest heartbeat", test_the_nearest_heartbeat},
};

int main(void)
{
	return check_run("proxy/governor_state", checks, sizeof(checks) / sizeof(checks[0]));
}
