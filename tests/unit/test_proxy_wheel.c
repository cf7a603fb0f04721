#include "proxy/wheel.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "config/clock.h"
#include "tests/unit/check.h"

enum {
	MANY = 40000,
	SECOND = 1000,
	HOUR = 3600 * 1000,
	DAY = 24 * HOUR,
};

/* A wheel whose time is the test's, and what its timers have done. */
struct owner {
	struct wheel_timer timer;
	uint64_t not_before_ms; /* it was set for */
	uint64_t fired_ms;      /* 0: not yet */
	unsigned int count;
	struct owner *stops, *sets, *frees; /* when it fires */
	uint32_t again_ms;                  /* when it fires it is set again; 0: no */
};

static struct {
	struct event_base *base;
	struct wheel *wheel;
	uint64_t now_ms;
	unsigned int fired;
} it;

static void set(struct owner *owner, uint32_t time_ms)
{
	owner->not_before_ms = it.now_ms + time_ms;
	wheel_set_at(it.wheel, &owner->timer, it.now_ms, time_ms);
}

static void on_time(struct wheel_timer *timer)
{
	struct owner *owner = (struct owner *)timer; /* its first member */

	CU_ASSERT_FALSE(timer->is_set);
	owner->fired_ms = it.now_ms;
	owner->count++;
	it.fired++;
	if (owner->stops != NULL)
		wheel_stop(it.wheel, &owner->stops->timer);
	if (owner->sets != NULL)
		set(owner->sets, SECOND);
	if (owner->frees != NULL) {
		wheel_stop(it.wheel, &owner->frees->timer);
		free(owner->frees);
	}
	if (owner->again_ms != 0)
		set(owner, owner->again_ms);
}

/* start_ms: what the clock says. */
static void set_up(uint64_t start_ms)
{
	memset(&it, 0, sizeof(it));
	it.base = event_base_new();
	it.wheel = wheel_new(it.base);
	it.now_ms = start_ms;
	for (int kind = 0; kind < WHEEL_KINDS; kind++)
		wheel_on(it.wheel, (enum wheel_kind)kind, on_time);
}

static void tear_down(void)
{
	wheel_free(it.wheel);
	event_base_free(it.base);
}

/* As the loop does it: from one time that the wheel asks for to the next. Returns how often. */
static unsigned int run_until(uint64_t end_ms)
{
	unsigned int turns = 0;
	uint64_t next_ms;

	while ((next_ms = wheel_next_ms(it.wheel)) <= end_ms) {
		if (next_ms > it.now_ms)
			it.now_ms = next_ms;
		wheel_advance(it.wheel, it.now_ms);
		turns++;
	}
	it.now_ms = end_ms;
	wheel_advance(it.wheel, it.now_ms);
	return turns;
}

static void check_in_time(const struct owner *owner)
{
	CU_ASSERT_EQUAL(owner->count, 1);
	CU_ASSERT_TRUE(owner->fired_ms >= owner->not_before_ms);
	CU_ASSERT_TRUE(owner->fired_ms <= owner->not_before_ms + WHEEL_TICK_MS);
}

static void test_a_timer_is_never_early_and_a_tick_late_at_most(void)
{
	static const uint32_t times[] = {0, 1, 49, 50, 51, 999, 3150, 3199, 3200, 3201, 3250, 60000,
		204750, 204799, 204800, 204850, HOUR - 1, HOUR, HOUR + 1, 4 * HOUR, 9 * DAY,
		10 * DAY, INT32_MAX, UINT32_MAX};
	static const uint64_t starts[] = {0, 1, 49, 50, 3149, 3199, 3200, 204799, 204800, 13107199,
		13107200, (UINT64_C(1) << 32) * WHEEL_TICK_MS - 60000};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		for (size_t k = 0; k < sizeof(times) / sizeof(times[0]); k++) {
			struct owner owner = {.count = 0};

			set_up(starts[i]);
			set(&owner, times[k]);
			run_until(starts[i] + times[k] + SECOND);
			check_in_time(&owner);
			CU_ASSERT_EQUAL(wheel_next_ms(it.wheel), UINT64_MAX);
			tear_down();
		}
}

static void test_tens_of_thousands_fire_each_in_its_time(void)
{
	struct owner *owners = calloc(MANY, sizeof(*owners));
	unsigned int seed = 4711;

	set_up(123456789);
	/* From milliseconds to weeks, set while others fire. */
	for (size_t i = 0; i < MANY; i++) {
		uint32_t time_ms = (uint32_t)rand_r(&seed) >> (rand_r(&seed) % 25);

		set(&owners[i], time_ms);
		if (i % 16 == 0)
			run_until(it.now_ms + (uint32_t)rand_r(&seed) % 100);
	}
	run_until(it.now_ms + UINT32_MAX);
	CU_ASSERT_EQUAL(it.fired, MANY);
	for (size_t i = 0; i < MANY; i++)
		check_in_time(&owners[i]);
	tear_down();
	free(owners);
}

static void test_the_same_thing_costs_the_same_however_many_there_are(void)
{
	struct owner *owners = calloc(MANY, sizeof(*owners));
	unsigned int turns;

	set_up(1000);
	for (size_t i = 0; i < MANY; i++)
		set(&owners[i], HOUR + (uint32_t)i);
	/* Whoever asks again and again sets his timer each time; nobody is woken for it. */
	for (size_t n = 0; n < 10; n++)
		for (size_t i = 0; i < MANY; i++)
			set(&owners[i], HOUR + (uint32_t)i);
	/* In an hour the loop is woken for what begins on the way, and not for each of them or each tick. */
	turns = run_until(it.now_ms + HOUR - SECOND);
	CU_ASSERT_TRUE(turns < 64);
	CU_ASSERT_EQUAL(it.fired, 0);
	for (size_t i = 0; i < MANY; i++)
		wheel_stop(it.wheel, &owners[i].timer);
	CU_ASSERT_EQUAL(wheel_next_ms(it.wheel), UINT64_MAX);
	tear_down();
	free(owners);
}

static void test_a_timer_that_is_set_again_fires_at_the_later_time_alone(void)
{
	struct owner owner = {.count = 0};

	set_up(70);
	set(&owner, SECOND);
	run_until(it.now_ms + 990);
	set(&owner, 5 * SECOND);
	run_until(it.now_ms + 4990);
	CU_ASSERT_EQUAL(owner.count, 0);
	run_until(it.now_ms + 100);
	check_in_time(&owner);
	/* And at an earlier one. */
	owner.count = 0;
	set(&owner, HOUR);
	set(&owner, SECOND);
	run_until(it.now_ms + UINT64_C(2) * HOUR);
	check_in_time(&owner);
	tear_down();
}

static void test_a_timer_that_is_stopped_does_not_fire(void)
{
	struct owner owner = {.count = 0};

	set_up(70);
	set(&owner, SECOND);
	wheel_stop(it.wheel, &owner.timer);
	wheel_stop(it.wheel, &owner.timer);
	CU_ASSERT_EQUAL(wheel_next_ms(it.wheel), UINT64_MAX);
	run_until(it.now_ms + DAY);
	CU_ASSERT_EQUAL(owner.count, 0);
	tear_down();
}

static void test_timers_may_stop_set_and_free_one_another_as_they_fire(void)
{
	/* All are due at the same tick, and fire in whatever order. */
	struct owner stopper = {.count = 0}, stopped = {.stops = &stopper};
	struct owner setter = {.count = 0}, later = {.count = 0};
	struct owner again = {.again_ms = 1};
	struct owner *gone = calloc(1, sizeof(*gone));
	struct owner freer = {.frees = gone};

	set_up(70);
	stopper.stops = &stopped;
	setter.sets = &later;
	set(&stopper, SECOND);
	set(&stopped, SECOND);
	set(&setter, SECOND);
	set(&again, SECOND);
	set(gone, 2 * SECOND);
	set(&freer, SECOND);
	run_until(it.now_ms + SECOND + WHEEL_TICK_MS);
	/* One of the two has stopped the other. */
	CU_ASSERT_EQUAL(stopper.count + stopped.count, 1);
	CU_ASSERT_EQUAL(later.count, 0);
	/* One that is set again with no time to speak of waits for a tick all the same. */
	CU_ASSERT_TRUE(again.count <= 2);
	again.again_ms = 0;
	run_until(it.now_ms + UINT64_C(2) * SECOND);
	check_in_time(&later);
	CU_ASSERT_EQUAL(wheel_next_ms(it.wheel), UINT64_MAX);
	tear_down();
}

static void test_a_timer_that_is_due_already_may_still_be_stopped(void)
{
	struct owner first = {.count = 0}, second = {.stops = &first};

	set_up(70);
	first.stops = &second;
	set(&first, SECOND);
	set(&second, SECOND);
	/* The loop was busy for long. */
	it.now_ms += HOUR;
	wheel_advance(it.wheel, it.now_ms);
	CU_ASSERT_EQUAL(first.count + second.count, 1);
	tear_down();
}

static void test_a_crowd_that_is_due_at_once_fires_over_several_turns(void)
{
	struct owner *owners = calloc(MANY, sizeof(*owners));
	unsigned int before = 0;

	set_up(5000);
	for (size_t i = 0; i < MANY; i++)
		set(&owners[i], 60 * SECOND);
	it.now_ms += UINT64_C(61) * SECOND;
	while (wheel_next_ms(it.wheel) != UINT64_MAX) {
		CU_ASSERT_TRUE(wheel_next_ms(it.wheel) <= it.now_ms);
		wheel_advance(it.wheel, it.now_ms);
		CU_ASSERT_TRUE(it.fired - before <= WHEEL_FIRED_MAX);
		before = it.fired;
	}
	CU_ASSERT_EQUAL(it.fired, MANY);
	tear_down();
	free(owners);
}

static uint64_t set_ms, fired_ms;

static void on_real_time(struct wheel_timer *timer)
{
	(void)timer;
	fired_ms = (uint64_t)clock_ms();
	event_base_loopbreak(it.base);
}

static void test_the_loop_drives_it(void)
{
	struct wheel_timer timer = {.kind = WHEEL_ENDPOINT}, other = {.kind = WHEEL_PHONE};

	set_up(0);
	wheel_on(it.wheel, WHEEL_ENDPOINT, on_real_time);
	wheel_set(it.wheel, &other, HOUR);
	set_ms = (uint64_t)clock_ms();
	wheel_set(it.wheel, &timer, 120);
	event_base_dispatch(it.base);
	CU_ASSERT_TRUE(fired_ms >= set_ms + 120);
	CU_ASSERT_TRUE(other.is_set);
	CU_ASSERT_FALSE(timer.is_set);
	wheel_stop(it.wheel, &other);
	tear_down();
}

int main(void)
{
	static const struct check checks[] = {
		{"a timer is never early and a tick late at most",
			test_a_timer_is_never_early_and_a_tick_late_at_most},
		{"tens of thousands fire each in its time",
			test_tens_of_thousands_fire_each_in_its_time},
		{"the same thing costs the same however many there are",
			test_the_same_thing_costs_the_same_however_many_there_are},
		{"a timer that is set again fires at the later time alone",
			test_a_timer_that_is_set_again_fires_at_the_later_time_alone},
		{"a timer that is stopped does not fire",
			test_a_timer_that_is_stopped_does_not_fire},
		{"timers may stop, set and free one another as they fire",
			test_timers_may_stop_set_and_free_one_another_as_they_fire},
		{"a timer that is due already may still be stopped",
			test_a_timer_that_is_due_already_may_still_be_stopped},
		{"a crowd that is due at once fires over several turns",
			test_a_crowd_that_is_due_at_once_fires_over_several_turns},
		{"the loop drives it", test_the_loop_drives_it},
	};

	return check_run("proxy/wheel", checks, sizeof(checks) / sizeof(checks[0]));
}
