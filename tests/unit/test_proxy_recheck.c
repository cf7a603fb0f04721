#include "tests/unit/check.h"
#include "tests/unit/credential_maker.h"

#include <event2/event.h>
#include <stdlib.h>

#include "proxy/recheck.h"
#include "proxy/session.h"

enum { MANY = 3 * RECHECK_SLICE_SESSIONS };

/* A worker's list with sessions that have a certificate of one authority, and what the judge says. */
static struct fixture {
	struct event_base *base;
	struct session_list sessions;
	struct recheck recheck;
	struct session *made[MANY + 1];
	int looked_at[MANY + 1];
	bool is_out[MANY + 1];
	size_t count;
	void (*on_look)(size_t number); /* in the middle of the walk */
} f;

static size_t number_of(const struct session *session)
{
	return session->identity_slot;
}

static void leave(size_t number)
{
	recheck_forget(&f.recheck, f.made[number]);
	TAILQ_REMOVE(&f.sessions, f.made[number], entry);
	credential_free(f.made[number]->credential);
	free(f.made[number]);
	f.made[number] = NULL;
}

static bool judge(struct session *session)
{
	size_t number = number_of(session);

	f.looked_at[number]++;
	if (f.on_look != NULL)
		f.on_look(number);
	if (!f.is_out[number])
		return false;
	leave(number);
	return true;
}

static size_t come_in(int authority)
{
	struct session *session = calloc(1, sizeof(*session));
	size_t number = f.count++;

	session->identity_slot = (uint32_t)number;
	if (authority >= -1) {
		struct verdict *verdict = calloc(1, sizeof(*verdict));

		verdict->links[0].authority = (int16_t)authority;
		verdict->link_count = 2;
		session->credential = credential_made(verdict, 0);
		free(verdict);
	}
	f.made[number] = session;
	TAILQ_INSERT_HEAD(&f.sessions, session, entry);
	return number;
}

static void open_with(size_t count)
{
	f = (struct fixture){.base = event_base_new()};
	TAILQ_INIT(&f.sessions);
	CU_ASSERT_EQUAL_FATAL(recheck_init(&f.recheck, f.base, &f.sessions, judge), 0);
	for (size_t i = 0; i < count; i++)
		come_in(1);
}

static void close_all(void)
{
	for (size_t i = 0; i < f.count; i++)
		if (f.made[i] != NULL)
			leave(i);
	event_base_free(f.base);
}

/* Until the walk is over; returns how many turns of the loop it took. */
static unsigned int walk(void)
{
	unsigned int turns = 0;

	while (f.recheck.is_running && turns < 1000) {
		event_base_loop(f.base, EVLOOP_ONCE);
		turns++;
	}
	CU_ASSERT_FALSE(f.recheck.is_running);
	return turns;
}

static void test_each_is_looked_at_once_in_slices(void)
{
	open_with(MANY);
	recheck_begin(&f.recheck, RECHECK_CRL, 1, "CN=A", 1);
	CU_ASSERT_TRUE(walk() >= MANY / RECHECK_SLICE_SESSIONS);
	for (size_t i = 0; i < MANY; i++)
		CU_ASSERT_EQUAL(f.looked_at[i], 1);
	CU_ASSERT_EQUAL(f.recheck.walk.looked_at, MANY);
	CU_ASSERT_EQUAL(f.recheck.walk.closed, 0);
	close_all();
}

static void test_only_those_concerned_are_judged(void)
{
	size_t other, deep, unknown, nobody;

	open_with(1);
	other = come_in(2);
	unknown = come_in(-1); /* issued by an intermediate that is not in the store */
	nobody = come_in(-2);  /* no certificate */
	deep = come_in(3);
	recheck_begin(&f.recheck, RECHECK_CRL, 2, "CN=B", 1);
	walk();
	CU_ASSERT_EQUAL(f.looked_at[0], 0);
	CU_ASSERT_EQUAL(f.looked_at[other], 1);
	recheck_begin(&f.recheck, RECHECK_CRL, 0, "CN=Root", 1);
	walk();
	CU_ASSERT_EQUAL(f.looked_at[deep], 1);
	CU_ASSERT_EQUAL(f.looked_at[unknown], 1);
	recheck_begin(&f.recheck, RECHECK_USERS, -1, NULL, 1);
	walk();
	CU_ASSERT_EQUAL(f.looked_at[unknown], 2);
	CU_ASSERT_EQUAL(f.looked_at[nobody], 0);
	close_all();
}

static void test_those_who_are_out_leave_in_the_middle_of_the_walk(void)
{
	open_with(MANY);
	for (size_t i = 0; i < MANY; i += 3)
		f.is_out[i] = true;
	recheck_begin(&f.recheck, RECHECK_CRL, 1, "CN=A", 1);
	walk();
	for (size_t i = 0; i < MANY; i++) {
		CU_ASSERT_EQUAL(f.looked_at[i], 1);
		CU_ASSERT_EQUAL(f.made[i] == NULL, i % 3 == 0);
	}
	CU_ASSERT_EQUAL(f.recheck.walk.closed, MANY / 3);
	close_all();
}

/* The next one to be looked at, and one after it, go by themselves. */
static void leave_before_their_turn(size_t number)
{
	if (number != 5)
		return;
	leave(4);
	leave(2);
}

static void test_others_may_leave_in_the_middle_of_the_walk(void)
{
	open_with(8);
	f.on_look = leave_before_their_turn;
	recheck_begin(&f.recheck, RECHECK_CRL, 1, "CN=A", 1);
	walk();
	for (size_t i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(f.looked_at[i], i == 4 || i == 2 ? 0 : 1);
	close_all();
}

static void change_again(size_t number)
{
	if (number == 3 && f.looked_at[number] == 1)
		recheck_begin(&f.recheck, RECHECK_USERS, -1, NULL, 1);
}

static void test_a_change_in_the_middle_begins_anew_for_all(void)
{
	size_t other;

	open_with(8);
	other = come_in(7);
	f.on_look = change_again;
	recheck_begin(&f.recheck, RECHECK_CRL, 1, "CN=A", 1);
	walk();
	/* Who was looked at before the second change is looked at again, all others once. */
	for (size_t i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(f.looked_at[i], i >= 3 ? 2 : 1);
	CU_ASSERT_EQUAL(f.looked_at[other], 1);
	CU_ASSERT_EQUAL(f.recheck.walk.changes, 2);
	CU_ASSERT_PTR_NULL(f.recheck.walk.authority);
	close_all();
}

static void change_and_leave(size_t number)
{
	if (number == 3 && f.looked_at[number] == 1) {
		recheck_begin(&f.recheck, RECHECK_CRL, 1, "CN=A", 1);
		leave(2); /* where the second round would have ended */
		leave(0);
	}
}

static void test_where_the_round_ends_may_leave(void)
{
	open_with(8);
	f.on_look = change_and_leave;
	recheck_begin(&f.recheck, RECHECK_CRL, 1, "CN=A", 1);
	walk();
	CU_ASSERT_EQUAL(f.looked_at[1], 1);
	for (size_t i = 3; i < 8; i++)
		CU_ASSERT_TRUE(f.looked_at[i] >= 2);
	close_all();
}

static int endless;

/* News with each session that is looked at. */
static void change_always(size_t number)
{
	(void)number;
	if (endless-- > 0)
		recheck_begin(&f.recheck, RECHECK_CRL, 1, "CN=A", 1);
}

static void test_changes_without_end_keep_nobody_from_their_turn(void)
{
	open_with(MANY);
	endless = 2 * MANY;
	f.is_out[0] = true; /* the last of the list */
	f.on_look = change_always;
	recheck_begin(&f.recheck, RECHECK_CRL, 1, "CN=A", 1);
	while (f.made[0] != NULL && endless > 0)
		event_base_loop(f.base, EVLOOP_ONCE);
	CU_ASSERT_TRUE(endless > 0);
	CU_ASSERT_PTR_NULL(f.made[0]);
	endless = 0;
	walk();
	close_all();
}

static void test_nobody_there(void)
{
	open_with(0);
	recheck_begin(&f.recheck, RECHECK_TIME, -1, NULL, 1);
	CU_ASSERT_EQUAL(walk(), 1);
	close_all();
}

static const struct check checks[] = {
	{"each is looked at once, in slices", test_each_is_looked_at_once_in_slices},
	{"only those concerned are judged", test_only_those_concerned_are_judged},
	{"those who are out leave in the middle of the walk",
		test_those_who_are_out_leave_in_the_middle_of_the_walk},
	{"others may leave in the middle of the walk",
		test_others_may_leave_in_the_middle_of_the_walk},
	{"a change in the middle begins anew for all",
		test_a_change_in_the_middle_begins_anew_for_all},
	{"where the round ends may leave", test_where_the_round_ends_may_leave},
	{"changes without end keep nobody from their turn",
		test_changes_without_end_keep_nobody_from_their_turn},
	{"nobody there", test_nobody_there},
};

int main(void)
{
	return check_run("proxy/recheck", checks, sizeof(checks) / sizeof(checks[0]));
}
