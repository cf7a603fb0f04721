#include "proxy/watch.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/check.h"

enum { PAIRS = 8, CROWD = 400 };

/* One end of a connection is watched, and what its owner does when it is called. */
struct owner {
	struct watch watch;
	int peer;
	unsigned int reads, writes, quiets;
	bool takes;             /* the byte that has come */
	bool leaves_read;       /* does not want to read any more */
	bool writes_again;      /* wants to write once more */
	bool runs_again;        /* wants to be called soon, whenever it is called */
	struct owner *closes;   /* that one */
	struct owner *unwants;  /* for that one reading */
	struct owner *asks;     /* whether that one is quiet */
	struct owner *replaces; /* closes that one, and opens it anew, ready, at the same place */
};

static struct {
	struct event_base *base;
	struct watcher *watcher;
	struct owner owners[PAIRS];
	uint32_t since; /* the turn from which on they are asked to have been quiet */
} it;

static void owner_open(struct owner *owner, enum watch_kind kind)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
		abort();
	owner->watch = watch_of(kind, pair[0]);
	owner->peer = pair[1];
}

static void owner_close(struct owner *owner)
{
	watch_close(it.watcher, &owner->watch);
	if (owner->peer != -1)
		close(owner->peer);
	owner->peer = -1;
}

static void want(struct owner *owner, unsigned int what)
{
	CU_ASSERT_EQUAL(watch_want(it.watcher, &owner->watch, what), 0);
}

/* Its peer speaks. */
static void speak(struct owner *owner)
{
	if (write(owner->peer, "x", 1) != 1)
		abort();
}

static void on_call(struct watch *watch, unsigned int ready)
{
	struct owner *owner = (struct owner *)watch; /* its first member */
	char byte;

	CU_ASSERT_NOT_EQUAL(watch->fd, -1);
	if (ready == WATCH_READ)
		owner->reads++;
	else
		owner->writes++;
	if (owner->takes)
		(void)recv(watch->fd, &byte, 1, 0);
	if (owner->leaves_read)
		watch_unwant(watch, WATCH_READ);
	if (owner->writes_again)
		want(owner, WATCH_WRITE);
	if (owner->runs_again)
		watch_soon(it.watcher, watch);
	if (owner->unwants != NULL)
		watch_unwant(&owner->unwants->watch, WATCH_READ);
	if (owner->asks != NULL)
		owner->quiets += watcher_is_quiet(it.watcher, &owner->asks->watch, it.since);
	if (owner->closes != NULL)
		owner_close(owner->closes);
	if (owner->replaces != NULL && owner->replaces->reads == 0) {
		owner_close(owner->replaces);
		owner_open(owner->replaces, WATCH_ENDPOINT);
		owner->replaces->reads = 100;
	}
}

static void set_up(void)
{
	memset(&it, 0, sizeof(it));
	it.base = event_base_new();
	it.watcher = watcher_new(it.base);
	watcher_on(it.watcher, WATCH_PHONE, on_call);
	watcher_on(it.watcher, WATCH_ENDPOINT, on_call);
	for (int i = 0; i < PAIRS; i++)
		owner_open(&it.owners[i], WATCH_PHONE);
}

static void tear_down(void)
{
	for (int i = 0; i < PAIRS; i++)
		owner_close(&it.owners[i]);
	watcher_free(it.watcher);
	event_base_free(it.base);
}

static void turn(void)
{
	event_base_loop(it.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void test_it_is_called_for_what_it_wants(void)
{
	struct owner *owner = &it.owners[0];

	set_up();
	speak(owner);
	turn();
	CU_ASSERT_EQUAL(owner->reads, 0);
	want(owner, WATCH_READ);
	turn();
	turn();
	/* As long as there is something. */
	CU_ASSERT_EQUAL(owner->reads, 2);
	CU_ASSERT_EQUAL(owner->writes, 0);
	owner->takes = true;
	turn();
	turn();
	CU_ASSERT_EQUAL(owner->reads, 3);
	tear_down();
}

static void test_writing_is_wanted_once(void)
{
	struct owner *owner = &it.owners[0];

	set_up();
	want(owner, WATCH_READ);
	want(owner, WATCH_WRITE);
	turn();
	turn();
	turn();
	CU_ASSERT_EQUAL(owner->writes, 1);
	CU_ASSERT_EQUAL(owner->reads, 0);
	/* Unless it wants to again. */
	owner->writes_again = true;
	want(owner, WATCH_WRITE);
	turn();
	turn();
	CU_ASSERT_EQUAL(owner->writes, 3);
	tear_down();
}

static void test_what_is_not_wanted_any_more_is_not_called_for_what_has_come(void)
{
	struct owner *first = &it.owners[0], *second = &it.owners[1];

	set_up();
	/* Both in one turn; each takes the other's wish away. */
	first->unwants = second;
	second->unwants = first;
	want(first, WATCH_READ);
	want(second, WATCH_READ);
	speak(first);
	speak(second);
	turn();
	CU_ASSERT_EQUAL(first->reads + second->reads, 1);
	turn();
	turn();
	CU_ASSERT_TRUE(first->reads == 0 || second->reads == 0);
	/* It was there all the time. */
	first->unwants = second->unwants = NULL;
	first->takes = second->takes = true;
	want(first, WATCH_READ);
	want(second, WATCH_READ);
	first->reads = second->reads = 0;
	turn();
	CU_ASSERT_EQUAL(first->reads, 1);
	CU_ASSERT_EQUAL(second->reads, 1);
	tear_down();
}

static void test_one_that_leaves_and_comes_back_costs_no_system_call(void)
{
	struct owner *owner = &it.owners[0];

	set_up();
	want(owner, WATCH_READ);
	for (int i = 0; i < 5; i++) {
		watch_unwant(&owner->watch, WATCH_READ);
		CU_ASSERT_EQUAL(owner->watch.armed, WATCH_READ);
		turn();
		want(owner, WATCH_READ);
	}
	owner->takes = true;
	speak(owner);
	turn();
	CU_ASSERT_EQUAL(owner->reads, 1);
	tear_down();
}

static void test_a_broken_connection_that_nobody_waits_for_does_not_spin(void)
{
	struct owner *owner = &it.owners[0];
	uint32_t before;

	set_up();
	want(owner, WATCH_READ);
	watch_unwant(&owner->watch, WATCH_READ);
	close(owner->peer);
	owner->peer = -1;
	turn();
	CU_ASSERT_EQUAL(owner->watch.armed, 0);
	before = watcher_turn(it.watcher);
	turn();
	turn();
	CU_ASSERT_EQUAL(watcher_turn(it.watcher), before);
	CU_ASSERT_EQUAL(owner->reads + owner->writes, 0);
	/* Its owner hears of it as soon as he asks. */
	want(owner, WATCH_READ);
	turn();
	CU_ASSERT_EQUAL(owner->reads, 1);
	tear_down();
}

static void test_what_was_closed_in_a_turn_is_not_called_in_it(void)
{
	struct owner *first = &it.owners[0], *second = &it.owners[1];

	set_up();
	first->closes = second;
	second->closes = first;
	want(first, WATCH_READ | WATCH_WRITE);
	want(second, WATCH_READ | WATCH_WRITE);
	speak(first);
	speak(second);
	turn();
	/* One has closed the other, and was still called for both. */
	CU_ASSERT_EQUAL(first->reads + second->reads, 1);
	CU_ASSERT_EQUAL(first->writes + second->writes, 1);
	tear_down();
}

static void test_one_that_closes_itself_to_write_is_not_called_to_read(void)
{
	struct owner *owner = &it.owners[0];

	set_up();
	owner->closes = owner;
	want(owner, WATCH_READ | WATCH_WRITE);
	speak(owner);
	turn();
	turn();
	CU_ASSERT_EQUAL(owner->writes, 1);
	CU_ASSERT_EQUAL(owner->reads, 0);
	tear_down();
}

static void test_a_new_one_at_the_place_of_one_that_was_closed_is_not_called_for_it(void)
{
	struct owner *first = &it.owners[0], *second = &it.owners[1];

	set_up();
	first->replaces = second;
	second->replaces = first;
	want(first, WATCH_READ);
	want(second, WATCH_READ);
	speak(first);
	speak(second);
	turn();
	/* One was called, and the other one is another now, with the same struct and the same descriptor. */
	CU_ASSERT_EQUAL(first->reads + second->reads, 101);
	tear_down();
}

static void test_soon_is_the_next_turn_and_comes_once(void)
{
	struct owner *owner = &it.owners[0];

	set_up();
	watch_soon(it.watcher, &owner->watch);
	watch_soon(it.watcher, &owner->watch);
	CU_ASSERT_EQUAL(owner->reads, 0);
	turn();
	turn();
	CU_ASSERT_EQUAL(owner->reads, 1);
	/* One that asks again and again has one step a turn. */
	owner->runs_again = true;
	watch_soon(it.watcher, &owner->watch);
	turn();
	CU_ASSERT_EQUAL(owner->reads, 2);
	turn();
	CU_ASSERT_EQUAL(owner->reads, 3);
	tear_down();
}

static void test_one_that_would_be_called_soon_may_be_closed(void)
{
	struct owner *first = &it.owners[0], *second = &it.owners[1], *third = &it.owners[2];

	set_up();
	watch_soon(it.watcher, &first->watch);
	watch_soon(it.watcher, &second->watch);
	owner_close(first);
	turn();
	CU_ASSERT_EQUAL(first->reads, 0);
	CU_ASSERT_EQUAL(second->reads, 1);
	/* In the same turn: by the one before it, and one that has asked for the next turn already. */
	third->runs_again = true;
	watch_soon(it.watcher, &third->watch);
	watch_soon(it.watcher, &second->watch);
	second->closes = third;
	turn();
	turn();
	CU_ASSERT_EQUAL(second->reads, 2);
	CU_ASSERT_EQUAL(third->reads, 1);
	owner_open(third, WATCH_ENDPOINT);
	watch_soon(it.watcher, &it.owners[3].watch);
	watch_soon(it.watcher, &third->watch);
	it.owners[3].closes = third;
	turn();
	turn();
	CU_ASSERT_EQUAL(it.owners[3].reads, 1);
	CU_ASSERT_EQUAL(third->reads, 1);
	tear_down();
}

static void test_a_crowd_is_called_over_several_turns_and_nobody_twice(void)
{
	struct owner *crowd = calloc(CROWD, sizeof(*crowd));
	unsigned int called = 0;

	set_up();
	for (int i = 0; i < CROWD; i++) {
		owner_open(&crowd[i], WATCH_ENDPOINT);
		crowd[i].takes = true;
		want(&crowd[i], WATCH_READ);
		speak(&crowd[i]);
	}
	turn();
	for (int i = 0; i < CROWD; i++)
		called += crowd[i].reads;
	CU_ASSERT_EQUAL(called, WATCH_BATCH);
	turn();
	turn();
	for (int i = 0; i < CROWD; i++) {
		CU_ASSERT_EQUAL(crowd[i].reads, 1);
		owner_close(&crowd[i]);
	}
	tear_down();
	free(crowd);
}

/* Whether the second one is quiet, in the first one's call. */
static unsigned int ask_in_turn(bool other_speaks)
{
	struct owner *first = &it.owners[0], *second = &it.owners[1];

	first->quiets = 0;
	first->takes = true;
	first->asks = second;
	second->takes = true;
	second->asks = first;
	second->quiets = 0;
	if (other_speaks)
		speak(second);
	speak(first);
	turn();
	return first->quiets;
}

static void test_one_is_quiet_when_the_kernel_has_just_said_nothing_of_it(void)
{
	struct owner *first = &it.owners[0], *second = &it.owners[1];
	unsigned int certain = 0;

	set_up();
	want(first, WATCH_READ);
	/* The kernel was not asked about one that wants nothing. */
	CU_ASSERT_EQUAL(ask_in_turn(false), 0);
	want(second, WATCH_READ);
	/* With luck in the first try; a busy machine makes it uncertain whether that is still so. */
	for (int i = 0; i < 1000 && certain == 0; i++) {
		it.since = watcher_turn(it.watcher);
		certain = ask_in_turn(false);
	}
	CU_ASSERT_EQUAL(certain, 1);
	/* It has wanted to read since this turn only. */
	it.since = watcher_turn(it.watcher) + 1;
	CU_ASSERT_EQUAL(ask_in_turn(false), 0);
	/* Both have something: whoever is called first finds that of the other one. */
	it.since = 0;
	ask_in_turn(true);
	CU_ASSERT_TRUE(first->quiets == 0 || second->quiets == 0);
	tear_down();
}

static void test_nobody_is_quiet_while_more_is_ready_than_was_said(void)
{
	struct owner *crowd = calloc(CROWD, sizeof(*crowd));
	struct owner *first = &it.owners[0];
	unsigned int quiets = 0;

	set_up();
	want(first, WATCH_READ);
	for (int i = 0; i < CROWD; i++) {
		owner_open(&crowd[i], WATCH_ENDPOINT);
		crowd[i].asks = first;
		want(&crowd[i], WATCH_READ);
		speak(&crowd[i]);
	}
	it.since = UINT32_MAX;
	turn();
	for (int i = 0; i < CROWD; i++) {
		quiets += crowd[i].quiets;
		owner_close(&crowd[i]);
	}
	CU_ASSERT_EQUAL(quiets, 0);
	tear_down();
	free(crowd);
}

static void test_a_descriptor_that_cannot_be_watched_is_an_error(void)
{
	struct watch watch = watch_of(WATCH_PHONE, -1);

	set_up();
	CU_ASSERT_EQUAL(watch_want(it.watcher, &watch, WATCH_READ), -1);
	watch_close(it.watcher, &watch); /* there is nothing to close */
	tear_down();
}

int main(void)
{
	static const struct check checks[] = {
		{"it is called for what it wants", test_it_is_called_for_what_it_wants},
		{"writing is wanted once", test_writing_is_wanted_once},
		{"what is not wanted any more is not called for what has come",
			test_what_is_not_wanted_any_more_is_not_called_for_what_has_come},
		{"one that leaves and comes back costs no system call",
			test_one_that_leaves_and_comes_back_costs_no_system_call},
		{"a broken connection that nobody waits for does not spin",
			test_a_broken_connection_that_nobody_waits_for_does_not_spin},
		{"what was closed in a turn is not called in it",
			test_what_was_closed_in_a_turn_is_not_called_in_it},
		{"one that closes itself to write is not called to read",
			test_one_that_closes_itself_to_write_is_not_called_to_read},
		{"a new one at the place of one that was closed is not called for it",
			test_a_new_one_at_the_place_of_one_that_was_closed_is_not_called_for_it},
		{"soon is the next turn and comes once", test_soon_is_the_next_turn_and_comes_once},
		{"one that would be called soon may be closed",
			test_one_that_would_be_called_soon_may_be_closed},
		{"a crowd is called over several turns, and nobody twice",
			test_a_crowd_is_called_over_several_turns_and_nobody_twice},
		{"one is quiet when the kernel has just said nothing of it",
			test_one_is_quiet_when_the_kernel_has_just_said_nothing_of_it},
		{"nobody is quiet while more is ready than was said",
			test_nobody_is_quiet_while_more_is_ready_than_was_said},
		{"a descriptor that cannot be watched is an error",
			test_a_descriptor_that_cannot_be_watched_is_an_error},
	};

	return check_run("proxy/watch", checks, sizeof(checks) / sizeof(checks[0]));
}
