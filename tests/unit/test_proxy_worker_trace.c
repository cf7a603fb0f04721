/* A worker's traces: who is followed, and what becomes of events that control has no room for. */
#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/worker.h"
#include "proxy/worker_trace.h"

static struct worker worker; /* large, and there is one */
static int control;          /* the other end of its channel */

static void begin(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		abort();
	worker = (struct worker){.control_fd = pair[0]};
	control = pair[1];
}

static void end(void)
{
	worker_trace_forget(&worker);
	CU_ASSERT_PTR_NULL(worker.traces);
	close(worker.control_fd);
	close(control);
}

static void order(uint32_t id, bool is_on, const char *mailbox, const char *device_id)
{
	struct message message = {.type = MESSAGE_TRACE,
		.u.trace = {.id = id, .is_on = is_on, .time_ms = 60000, .body_max = 100}};

	snprintf(message.u.trace.mailbox, sizeof(message.u.trace.mailbox), "%s", mailbox);
	snprintf(message.u.trace.device_id, sizeof(message.u.trace.device_id), "%s", device_id);
	worker_trace_take(&worker, &message);
}

/* What control gets next; false: nothing. */
static bool receive(struct message *message)
{
	int passed;

	return message_receive(control, message, &passed) == 1;
}

static char *text_of(size_t len)
{
	char *text = malloc(len + 1);

	memset(text, 'x', len);
	text[len] = '\0';
	return text;
}

static void test_who_is_followed(void)
{
	begin();
	CU_ASSERT_EQUAL(worker_trace_match(&worker, "bob@contoso.test", "dev1"), 0);
	order(1, true, "", "dev1");
	order(2, true, "bob@contoso.test", "");
	CU_ASSERT_EQUAL(worker_trace_match(&worker, "bob@contoso.test", "DEV1"), 3);
	CU_ASSERT_EQUAL(worker_trace_match(&worker, "alice@contoso.test", "dev1"), 1);
	CU_ASSERT_EQUAL(worker_trace_match(&worker, "bob@contoso.test", ""), 2);
	CU_ASSERT_EQUAL(worker_trace_match(&worker, "alice@contoso.test", "dev2"), 0);
	order(1, false, "", "");
	CU_ASSERT_EQUAL(worker_trace_match(&worker, "bob@contoso.test", "dev1"), 2);
	CU_ASSERT_PTR_NULL(worker_trace_at(&worker, 0));
	order(2, false, "", "");
	CU_ASSERT_PTR_NULL(worker.traces);
	end();
}

static void test_there_are_a_few_places_and_each_trace_has_one(void)
{
	begin();
	for (uint32_t id = 1; id <= TRACES_MAX + 1; id++)
		order(id, true, "", "dev1");
	order(1, true, "", "dev1");
	CU_ASSERT_EQUAL(worker_trace_match(&worker, "", "dev1"), (1U << TRACES_MAX) - 1);
	for (unsigned int place = 0; place < TRACES_MAX; place++)
		CU_ASSERT_EQUAL(worker_trace_at(&worker, place)->id, place + 1);
	order(0, false, "", "");
	CU_ASSERT_EQUAL(worker_trace_match(&worker, "", "dev1"), (1U << TRACES_MAX) - 1);
	end();
}

static void test_a_trace_ends_with_its_time(void)
{
	begin();
	order(1, true, "", "dev1");
	worker_trace_at(&worker, 0)->ends_us = 1;
	CU_ASSERT_EQUAL(worker_trace_match(&worker, "", "dev1"), 0);
	CU_ASSERT_PTR_NULL(worker.traces);
	end();
}

static void test_an_event_comes_in_pieces_as_control_takes_them(void)
{
	enum { LEN = 6 * MESSAGE_TRACED_BYTES + 1 };
	struct message message;
	uint32_t at = 0;

	begin();
	order(1, true, "", "dev1");
	worker_trace_send(&worker, worker_trace_at(&worker, 0), text_of(LEN));
	for (int i = 0; i < 4; i++, at += message.u.traced.len) {
		CU_ASSERT(receive(&message));
		CU_ASSERT_EQUAL(message.u.traced.offset, at);
		CU_ASSERT_EQUAL(message.u.traced.total, LEN);
	}
	CU_ASSERT(!receive(&message));
	for (int i = 0; i < 3; i++, at += message.u.traced.len) {
		worker_trace_more(&worker);
		CU_ASSERT(receive(&message));
		CU_ASSERT_EQUAL(message.u.traced.offset, at);
	}
	CU_ASSERT_EQUAL(at, LEN);
	end();
}

static void test_what_does_not_fit_is_dropped_and_counted(void)
{
	struct message message;
	struct trace *trace;
	uint32_t events = 0, dropped = 0;

	begin();
	order(1, true, "", "dev1");
	trace = worker_trace_at(&worker, 0);
	for (int i = 0; i < 10; i++)
		worker_trace_send(&worker, trace, text_of(1000000));
	CU_ASSERT_EQUAL(trace->dropped, 6);
	worker_trace_send(&worker, trace, NULL);
	worker_trace_send(&worker, trace, text_of(TRACE_EVENT_MAX + 1));
	CU_ASSERT_EQUAL(trace->dropped, 8);
	while (receive(&message)) {
		if (message.u.traced.offset == 0) {
			events++;
			dropped += message.u.traced.dropped;
		}
		worker_trace_more(&worker);
	}
	/* The last of them says what was lost after the others. */
	CU_ASSERT_EQUAL(events, 5);
	CU_ASSERT_EQUAL(dropped, 8);
	CU_ASSERT_EQUAL(trace->dropped, 0);
	end();
}

static void test_without_control_nobody_is_followed(void)
{
	begin();
	order(1, true, "", "dev1");
	close(control);
	worker_trace_send(&worker, worker_trace_at(&worker, 0), text_of(10));
	CU_ASSERT_PTR_NULL(worker.traces);
	CU_ASSERT_EQUAL(worker.control_fd, -1);
	CU_ASSERT_PTR_NULL(worker_trace_at(&worker, 0));
	worker_trace_more(&worker);
	worker_trace_leave(&worker);
}

/* Who followed by the number of a control process that has ended is not taken for who follows now. */
static void test_a_later_trace_of_the_same_number_is_another_one(void)
{
	uint32_t serial;

	begin();
	order(1, true, "", "dev1");
	serial = worker_trace_at(&worker, 0)->serial;
	worker_trace_forget(&worker);
	order(1, true, "", "dev2");
	CU_ASSERT_NOT_EQUAL(worker_trace_at(&worker, 0)->serial, serial);
	end();
}

static void test_copies_of_bodies_are_few(void)
{
	unsigned int entered = 0;

	begin();
	CU_ASSERT(!worker_trace_enter(&worker));
	order(1, true, "", "dev1");
	while (worker_trace_enter(&worker))
		entered++;
	CU_ASSERT_EQUAL(entered, 64);
	worker_trace_leave(&worker);
	CU_ASSERT(worker_trace_enter(&worker));
	end();
}

static const struct check checks[] = {
	{"who is followed", test_who_is_followed},
	{"there are a few places and each trace has one",
		test_there_are_a_few_places_and_each_trace_has_one},
	{"a trace ends with its time", test_a_trace_ends_with_its_time},
	{"an event comes in pieces as control takes them",
		test_an_event_comes_in_pieces_as_control_takes_them},
	{"what does not fit is dropped and counted", test_what_does_not_fit_is_dropped_and_counted},
	{"without control nobody is followed", test_without_control_nobody_is_followed},
	{"a later trace of the same number is another one",
		test_a_later_trace_of_the_same_number_is_another_one},
	{"copies of bodies are few", test_copies_of_bodies_are_few},
};

int main(void)
{
	return check_run("proxy/worker_trace", checks, sizeof(checks) / sizeof(checks[0]));
}
