#include "proxy/control_upstream_test.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/clock.h"
#include "proxy/control_arguments.h"
#include "proxy/control_identity.h"
#include "proxy/control_upstream.h"
#include "proxy/state_users.h"
#include "proxy/timeval.h"
#include "proxy/upstream_test.h"

enum {
	TESTS_MAX = 4,
	IDENTITY_TIME_MS = 30 * 1000,
	/* Longer than a worker takes for one. */
	ENDPOINT_TIME_MS = UPSTREAM_TEST_STEPS * UPSTREAM_TEST_STEP_MS + 10 * 1000
};

struct control_upstream_test {
	LIST_ENTRY(control_upstream_test) link;
	struct control *control;
	struct control_client *client;
	const struct control_worker *worker; /* that is asked; NULL: none now */
	struct event *timer;
	struct message order;
	uint64_t asked_us; /* identity */
	bool waits_for_identity;
	size_t next, end; /* endpoints that are still to be tried */
	bool has_failed;
};

/* To the client */

static void send_line(struct control_upstream_test *test, json_t *event)
{
	char *text = event != NULL ? json_dumps(event, JSON_COMPACT) : NULL;

	json_decref(event);
	if (text != NULL)
		(void)control_stream_line(test->client, text, true);
}

/* What another process wrote is ASCII, or is no text. */
static json_t *text_of(const char *text)
{
	json_t *string = json_string(text);

	return string != NULL ? string : json_string("");
}

static void send_step(struct control_upstream_test *test, const char *step, bool is_good,
	uint64_t time_us, const char *text, const char *hint)
{
	json_t *event = json_object();

	test->has_failed |= !is_good;
	json_object_set_new(event, "event", json_string("step"));
	if (test->order.u.upstream_test.endpoint[0] != '\0')
		json_object_set_new(
			event, "endpoint", json_string(test->order.u.upstream_test.endpoint));
	json_object_set_new(event, "step", text_of(step));
	json_object_set_new(event, "good", json_boolean(is_good));
	json_object_set_new(event, "time_us", json_integer((json_int_t)time_us));
	json_object_set_new(event, "text", text_of(text));
	if (hint[0] != '\0')
		json_object_set_new(event, "hint", text_of(hint));
	send_line(test, event);
}

/* The end */

static void test_free(struct control_upstream_test *test)
{
	LIST_REMOVE(test, link);
	if (test->timer != NULL)
		event_free(test->timer);
	free(test);
}

/* With a last line. */
static void test_end(struct control_upstream_test *test)
{
	json_t *event = json_object();

	json_object_set_new(event, "event", json_string("over"));
	json_object_set_new(event, "good", json_boolean(!test->has_failed));
	send_line(test, event);
	control_stream_end(test->client);
	test_free(test);
}

static void test_give_up(struct control_upstream_test *test, const char *text, const char *hint)
{
	send_step(test, "test", false, 0, text, hint);
	test_end(test);
}

static void on_client_gone(void *context)
{
	test_free(context);
}

void control_upstream_test_drain(struct control *control)
{
	struct control_upstream_test *test = LIST_FIRST(&control->upstream_tests);

	while (test != NULL) {
		struct control_upstream_test *next = LIST_NEXT(test, link);

		test_give_up(test, "easproxyd is being reloaded or stopped", "ask again");
		test = next;
	}
}

/* Endpoints */

static void wait_for(struct control_upstream_test *test, uint32_t time_ms)
{
	const struct timeval time = timeval_of_ms(time_ms);

	evtimer_add(test->timer, &time);
}

static void test_endpoint(struct control_upstream_test *test)
{
	const struct config_upstream *upstream = &test->control->child->config->upstream;

	if (test->next == test->end) {
		test_end(test);
		return;
	}
	snprintf(test->order.u.upstream_test.endpoint, sizeof(test->order.u.upstream_test.endpoint),
		"%s", upstream->endpoints[test->next++].text);
	test->worker = control_workers_tell_one(test->control, &test->order);
	if (test->worker == NULL)
		test_give_up(test, "no worker takes the test",
			"see easproxyctl status whether workers run");
	else
		wait_for(test, ENDPOINT_TIME_MS);
}

static struct control_upstream_test *find(const struct control *control, uint64_t id)
{
	struct control_upstream_test *test;

	LIST_FOREACH(test, &control->upstream_tests, link)
		if (test->order.u.upstream_test.id == id)
			return test;
	return NULL;
}

void control_upstream_test_take(
	struct control *control, const struct control_worker *worker, const struct message *message)
{
	struct control_upstream_test *test = find(control, message->u.upstream_step.id);

	if (test == NULL || test->worker != worker)
		return; /* the client has hung up */
	send_step(test, message->u.upstream_step.step, message->u.upstream_step.is_good != 0,
		message->u.upstream_step.time_us, message->u.upstream_step.text,
		message->u.upstream_step.hint);
	if (!message->u.upstream_step.is_last)
		return;
	test->worker = NULL;
	test_endpoint(test);
}

void control_upstream_test_worker_gone(struct control *control, const struct control_worker *worker)
{
	struct control_upstream_test *test, *next;

	for (test = LIST_FIRST(&control->upstream_tests); test != NULL; test = next) {
		next = LIST_NEXT(test, link);
		if (test->worker == worker)
			test_give_up(test, "the worker that ran the test has ended",
				"ask again, and look at the log");
	}
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	struct control_upstream_test *test = arg;

	(void)fd;
	(void)what;
	if (test->waits_for_identity)
		test_give_up(
			test, "the identity process did not answer in time", "look at the log");
	else
		test_give_up(test, "the worker did not answer in time", "look at the log");
}

/* Whose mailbox it is */

/* Whether certificates lead to mailboxes by their address, so that the address can be asked for. */
static bool has_address_name(const struct config *config)
{
	for (size_t i = 0; i < config->mailbox.name_count; i++) {
		if (config->mailbox.names[i] == CONFIG_NAME_RFC822)
			return true;
		if (config->mailbox.names[i] == CONFIG_NAME_PRINCIPAL &&
			config->directory.backend == CONFIG_DIRECTORY_NONE)
			return true;
	}
	return false;
}

static enum identity_kind address_kind(const struct config *config)
{
	for (size_t i = 0; i < config->mailbox.name_count; i++)
		if (config->mailbox.names[i] == CONFIG_NAME_RFC822)
			return IDENTITY_RFC822_NAME;
	return IDENTITY_PRINCIPAL_NAME;
}

static void test_mailbox(struct control_upstream_test *test)
{
	const struct config *config = test->control->child->config;
	const char *mailbox = test->order.u.upstream_test.mailbox;
	struct identity_names names = {.count = 0};

	test->asked_us = clock_us();
	if (!has_address_name(config)) {
		send_step(test, "mailbox", true, 0,
			"not looked up: certificates lead to mailboxes by other names than an "
			"address",
			"");
		test_endpoint(test);
		return;
	}
	if (identity_names_add(&names, address_kind(config), span_of_string(mailbox)) == -1 ||
		!control_identity_ask(test->control, test->order.u.upstream_test.id, &names)) {
		test_give_up(test, "the identity process does not listen", "look at the log");
		return;
	}
	test->waits_for_identity = true;
	wait_for(test, IDENTITY_TIME_MS);
}

/* False: there is no use in going on. */
static bool judge_mailbox(struct control_upstream_test *test, const struct mailbox_answer *found)
{
	const char *mailbox = test->order.u.upstream_test.mailbox;
	uint64_t time_us = clock_us() - test->asked_us;
	enum refusal refusal = (enum refusal)found->refusal;
	struct state_user user;
	struct error err;
	char text[640];

	if (refusal == REFUSAL_AFFINITY_TOO_LOW) {
		send_step(test, "mailbox", true, time_us,
			"not looked up: an address is of too low affinity (mailbox/affinity)", "");
		return true;
	}
	if (refusal != REFUSAL_NONE) {
		snprintf(text, sizeof(text), "%s: %s%s%s", mailbox, refusal_row(refusal)->name,
			found->reason[0] != '\0' ? ": " : "", found->reason);
		send_step(test, "mailbox", false, time_us, text, refusal_row(refusal)->remedy);
		/* Without a directory there is still a way to look at. */
		return refusal == REFUSAL_DIRECTORY_UNAVAILABLE;
	}
	snprintf(text, sizeof(text), "%s%s%s", found->mailbox, found->reason[0] != '\0' ? ": " : "",
		found->reason);
	if (strcmp(found->mailbox, mailbox) != 0) {
		send_step(test, "mailbox", false, time_us, text,
			"this is another name of that mailbox: test as its owner");
		return false;
	}
	send_step(test, "mailbox", true, time_us, text,
		state_users_find(test->control->store, mailbox, &user, &err) == 1
			? "the user was revoked, and phones may be kept out: easproxyctl user "
			  "show"
			: "");
	return true;
}

bool control_upstream_test_identified(struct control *control, const struct mailbox_answer *found)
{
	struct control_upstream_test *test = find(control, found->id);

	if (test == NULL)
		return false;
	if (!test->waits_for_identity)
		return true;
	test->waits_for_identity = false;
	evtimer_del(test->timer);
	if (judge_mailbox(test, found))
		test_endpoint(test);
	else
		test_end(test);
	return true;
}

/* The beginning */

static unsigned int count_of(const struct control *control)
{
	const struct control_upstream_test *test;
	unsigned int count = 0;

	LIST_FOREACH(test, &control->upstream_tests, link)
		count++;
	return count;
}

/* Which endpoints are tried. False: the client has been told that there is no such one. */
static bool read_endpoint(struct control_upstream_test *test, struct control_client *client,
	const struct control_request *request)
{
	const struct config_upstream *upstream = &test->control->child->config->upstream;
	const char *wanted = control_argument(request, "endpoint");

	test->end = upstream->endpoint_count;
	if (wanted == NULL)
		return true;
	for (size_t i = 0; i < upstream->endpoint_count; i++)
		if (strcmp(upstream->endpoints[i].text, wanted) == 0) {
			test->next = i;
			test->end = i + 1;
			return true;
		}
	control_answer_error(client,
		"\"%.256s\" is no endpoint of upstream %s: easproxyctl upstream list shows them",
		wanted, upstream->name);
	return false;
}

static struct control_upstream_test *test_new(struct control *control)
{
	struct control_upstream_test *test = calloc(1, sizeof(*test));

	if (test == NULL)
		return NULL;
	LIST_INSERT_HEAD(&control->upstream_tests, test, link);
	test->control = control;
	test->order.type = MESSAGE_UPSTREAM_TEST;
	test->order.u.upstream_test.id = ++control->last_number;
	test->timer = evtimer_new(control->base, on_time, test);
	if (test->timer != NULL)
		return test;
	test_free(test);
	return NULL;
}

static void test_begin(struct control_upstream_test *test, struct control_client *client)
{
	const struct config_upstream *upstream = &test->control->child->config->upstream;
	json_t *event = json_object();

	test->client = client;
	control_stream_begin(client, on_client_gone, test);
	json_object_set_new(event, "ok", json_true());
	json_object_set_new(event, "event", json_string("test"));
	json_object_set_new(event, "upstream", json_string(upstream->name));
	json_object_set_new(event, "login", json_string(control_login_name(upstream->login)));
	json_object_set_new(event, "mailbox", json_string(test->order.u.upstream_test.mailbox));
	send_line(test, event);
	test_mailbox(test);
}

void control_request_upstream_test(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	char mailbox[MAILBOX_MAX + 1];
	struct control_upstream_test *test;

	if (!control_read_mailbox(control, client, request, mailbox))
		return;
	if (count_of(control) >= TESTS_MAX) {
		control_answer_error(
			client, "%d tests are running already; wait for one of them", TESTS_MAX);
		return;
	}
	test = test_new(control);
	if (test == NULL) {
		control_answer_error(client, "out of memory");
		return;
	}
	snprintf(test->order.u.upstream_test.mailbox, sizeof(test->order.u.upstream_test.mailbox),
		"%s", mailbox);
	if (read_endpoint(test, client, request))
		test_begin(test, client);
	else
		test_free(test);
}
