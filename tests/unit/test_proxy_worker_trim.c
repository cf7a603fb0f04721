/* When memory goes back to the system: once a storm is over, and not for less than one. */
#include "proxy/worker_trim.h"

#include <event2/event.h>

#include "tests/unit/check.h"

static unsigned int trims;

int __wrap_malloc_trim(size_t pad);

int __wrap_malloc_trim(size_t pad)
{
	CU_ASSERT_EQUAL(pad, 0);
	trims++;
	return 1;
}

static void note(struct worker_trim *trim, unsigned int times)
{
	for (unsigned int i = 0; i < times; i++)
		worker_trim_note(trim);
}

/* As if the time of the timer were over. */
static void look(struct event_base *base, struct worker_trim *trim)
{
	CU_ASSERT_TRUE(evtimer_pending(trim->timer, NULL));
	event_active(trim->timer, EV_TIMEOUT, 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void with_trim(void (*run)(struct event_base *, struct worker_trim *))
{
	struct event_base *base = event_base_new();
	struct worker_trim trim;

	CU_ASSERT_PTR_NOT_NULL_FATAL(base);
	CU_ASSERT_EQUAL_FATAL(worker_trim_init(&trim, base), 0);
	trims = 0;
	run(base, &trim);
	worker_trim_end(&trim);
	event_base_free(base);
}

static void storm(struct event_base *base, struct worker_trim *trim)
{
	note(trim, TRIM_LEAST);
	note(trim, TRIM_CALM);
	look(base, trim);
	CU_ASSERT_EQUAL(trims, 0);
	note(trim, TRIM_CALM - 1);
	look(base, trim);
	CU_ASSERT_EQUAL(trims, 1);
	/* And again for the next one only. */
	CU_ASSERT_FALSE(evtimer_pending(trim->timer, NULL));
	note(trim, TRIM_LEAST - 1);
	CU_ASSERT_FALSE(evtimer_pending(trim->timer, NULL));
	note(trim, 1);
	look(base, trim);
	CU_ASSERT_EQUAL(trims, 2);
}

static void few(struct event_base *base, struct worker_trim *trim)
{
	(void)base;
	note(trim, TRIM_LEAST - 1);
	CU_ASSERT_FALSE(evtimer_pending(trim->timer, NULL));
	CU_ASSERT_EQUAL(trims, 0);
}

static void test_memory_goes_back_once_it_is_calm(void)
{
	with_trim(storm);
}

static void test_a_few_phones_are_no_storm(void)
{
	with_trim(few);
}

static void test_without_a_loop_nothing_is_done(void)
{
	struct worker_trim trim = {0};

	trims = 0;
	note(&trim, 2 * TRIM_LEAST);
	CU_ASSERT_EQUAL(trims, 0);
	worker_trim_end(&trim);
}

int main(void)
{
	static const struct check checks[] = {
		{"memory goes back once it is calm", test_memory_goes_back_once_it_is_calm},
		{"a few phones are no storm", test_a_few_phones_are_no_storm},
		{"without a loop nothing is done", test_without_a_loop_nothing_is_done},
	};

	return check_run("proxy/worker_trim", checks, sizeof(checks) / sizeof(checks[0]));
}
