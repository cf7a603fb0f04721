#include "tests/unit/check.h"

#include <event2/event.h>
#include <stdlib.h>

#include "proxy/session.h"
#include "proxy/worker_identity.h"

enum { MANY = 200 };

static struct fixture {
	struct event_base *base;
	struct session_list sessions;
	struct worker_identity walk;
	struct session *made[MANY];
	int asked[MANY];
	bool is_fresh[MANY]; /* needs no question */
	size_t count;
} f;

static bool ask(struct session *session)
{
	size_t number = session->identity_slot;

	f.asked[number]++;
	return !f.is_fresh[number];
}

static void open_with(size_t count)
{
	f = (struct fixture){.base = event_base_new(), .count = count};
	TAILQ_INIT(&f.sessions);
	CU_ASSERT_EQUAL_FATAL(worker_identity_init(&f.walk, f.base, &f.sessions, ask), 0);
	for (size_t i = 0; i < count; i++) {
		f.made[i] = calloc(1, sizeof(*f.made[i]));
		f.made[i]->identity_slot = (uint32_t)i;
		TAILQ_INSERT_TAIL(&f.sessions, f.made[i], entry);
	}
}

static void leave(size_t number)
{
	worker_identity_forget(&f.walk, f.made[number]);
	TAILQ_REMOVE(&f.sessions, f.made[number], entry);
	free(f.made[number]);
	f.made[number] = NULL;
}

static void close_all(void)
{
	for (size_t i = 0; i < f.count; i++)
		if (f.made[i] != NULL)
			leave(i);
	event_base_free(f.base);
}

/* As many turns of the loop as there is something to do. */
static void turn(void)
{
	for (int i = 0; i < 100; i++)
		event_base_loop(f.base, EVLOOP_NONBLOCK);
}

static size_t asked_so_far(void)
{
	size_t sum = 0;

	for (size_t i = 0; i < f.count; i++)
		sum += (size_t)f.asked[i];
	return sum;
}

static void test_a_few_at_a_time_and_on_with_each_answer(void)
{
	open_with(MANY);
	worker_identity_begin(&f.walk);
	turn();
	CU_ASSERT_EQUAL(asked_so_far(), REIDENTIFY_ASKED_MAX);
	worker_identity_answered(&f.walk);
	worker_identity_answered(&f.walk);
	turn();
	CU_ASSERT_EQUAL(asked_so_far(), REIDENTIFY_ASKED_MAX + 2);
	for (int i = 0; i < MANY; i++) {
		worker_identity_answered(&f.walk);
		turn();
	}
	for (size_t i = 0; i < MANY; i++)
		CU_ASSERT_EQUAL(f.asked[i], 1);
	close_all();
}

static void test_those_that_need_no_question_hold_nothing_up(void)
{
	open_with(MANY);
	for (size_t i = 0; i < MANY; i++)
		f.is_fresh[i] = true;
	worker_identity_begin(&f.walk);
	turn();
	CU_ASSERT_EQUAL(asked_so_far(), MANY);
	close_all();
}

static void test_anew_when_answers_never_come(void)
{
	open_with((size_t)2 * REIDENTIFY_ASKED_MAX);
	worker_identity_begin(&f.walk);
	turn();
	worker_identity_begin(&f.walk);
	turn();
	CU_ASSERT_EQUAL(f.asked[0], 2);
	CU_ASSERT_EQUAL(asked_so_far(), (size_t)2 * REIDENTIFY_ASKED_MAX);
	close_all();
}

static void test_who_is_next_may_leave(void)
{
	open_with(MANY);
	worker_identity_begin(&f.walk);
	turn();
	leave(REIDENTIFY_ASKED_MAX);
	worker_identity_answered(&f.walk);
	turn();
	CU_ASSERT_EQUAL(f.asked[REIDENTIFY_ASKED_MAX], 0);
	CU_ASSERT_EQUAL(f.asked[REIDENTIFY_ASKED_MAX + 1], 1);
	close_all();
}

static void test_answers_without_a_walk_do_nothing(void)
{
	open_with(0);
	worker_identity_answered(&f.walk);
	worker_identity_begin(&f.walk);
	turn();
	CU_ASSERT_EQUAL(f.walk.asked, 0);
	close_all();
}

static const struct check checks[] = {
	{"a few at a time, and on with each answer", test_a_few_at_a_time_and_on_with_each_answer},
	{"those that need no question hold nothing up",
		test_those_that_need_no_question_hold_nothing_up},
	{"anew when answers never come", test_anew_when_answers_never_come},
	{"who is next may leave", test_who_is_next_may_leave},
	{"answers without a walk do nothing", test_answers_without_a_walk_do_nothing},
};

int main(void)
{
	return check_run("proxy/worker_identity", checks, sizeof(checks) / sizeof(checks[0]));
}
