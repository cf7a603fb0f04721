#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/clock.h"
#include "proxy/http.h"
#include "proxy/link.h"
#include "proxy/login_client.h"
#include "proxy/login_fields.h"
#include "proxy/login_table.h"
#include "proxy/negotiate.h"
#include "proxy/rewrite.h"
#include "proxy/timeval.h"
#include "proxy/upstream.h"
#include "proxy/upstream_options.h"
#include "proxy/upstream_test_parts.h"
#include "proxy/worker.h"

enum { REQUEST_MAX = 48 * 1024 };

/* The end */

void upstream_test_free(struct upstream_test *test)
{
	LIST_REMOVE(test, entry);
	event_del(&test->timer);
	login_client_leave(&test->waiter);
	if (test->link != NULL)
		link_release(test->link, false);
	login_fields_negotiate_free(test->negotiate);
	if (test->context != 0)
		login_client_forget(test->worker->login_client, test->context);
	upstream_test_let_login_go(test);
	OPENSSL_cleanse(test->head, test->len);
	free(test);
}

void upstream_test_end_all(struct worker *worker)
{
	struct upstream_test *test = LIST_FIRST(&worker->upstream_tests);

	while (test != NULL) {
		struct upstream_test *next = LIST_NEXT(test, entry);

		upstream_test_free(test);
		test = next;
	}
}

/* Waiting */

void upstream_test_wait_for(struct upstream_test *test, enum upstream_test_stage stage)
{
	const struct timeval time = timeval_of_ms(UPSTREAM_TEST_STEP_MS);

	test->stage = stage;
	test->since_us = clock_us();
	evtimer_add(&test->timer, &time);
}

static const char *step_name(enum upstream_test_stage stage)
{
	switch (stage) {
	case STAGE_LOGIN: return "login";
	case STAGE_CONNECT: return "connection";
	case STAGE_OPTIONS: return "options";
	case STAGE_PROOF: return "proof";
	case STAGE_ANONYMOUS_CONNECT:
	case STAGE_ANONYMOUS_OPTIONS: break;
	}
	return "anonymous";
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	struct upstream_test *test = arg;

	(void)fd;
	(void)what;
	upstream_test_say_last(test, step_name(test->stage), false, "no answer within a minute",
		"see that the server is well, and what stands between");
}

/* Connections */

static bool is_anonymous(const struct upstream_test *test)
{
	return test->stage >= STAGE_ANONYMOUS_CONNECT;
}

/* "URL: reason" without the URL, which control says beside it. */
static const char *without_url(const struct upstream_test *test, const char *reason)
{
	size_t len = strlen(test->endpoint->config->text);

	if (strncmp(reason, test->endpoint->config->text, len) == 0 &&
		strncmp(reason + len, ": ", 2) == 0)
		return reason + len + 2;
	return reason;
}

static void test_failed(struct upstream_test *test, const char *reason)
{
	static const char tls[] = "TLS handshake: ", connecting[] = "connecting: ";

	reason = without_url(test, reason);
	if (is_anonymous(test) && strncmp(reason, connecting, sizeof(connecting) - 1) != 0) {
		/* A server that wants a certificate ends here, which is a refusal. */
		upstream_test_say_last(test, "anonymous", true,
			"refused, as it should be: no answer without a login", "");
	} else if (test->stage == STAGE_OPTIONS) {
		upstream_test_say_last(test, "options", false, reason,
			strstr(reason, "alert") != NULL
				? upstream_test_hint_of_tls(reason)
				: "the server has ended the connection: look at its logs");
	} else if (strncmp(reason, tls, sizeof(tls) - 1) == 0) {
		reason += sizeof(tls) - 1;
		upstream_test_say_last(
			test, "tls", false, reason, upstream_test_hint_of_tls(reason));
	} else {
		upstream_test_say_last(test, "connection", false, reason,
			"see upstream/endpoints, that the server runs, and that no firewall stands "
			"between");
	}
}

static void on_failed(void *owner, enum refusal refusal, const char *reason)
{
	struct upstream_test *test = owner;

	(void)refusal;
	test->link = NULL;
	test_failed(test, reason);
}

/* Whether a server could tell a request with our login from one without. */
static bool asks_for_login(const struct config *config)
{
	return config->upstream.login != CONFIG_LOGIN_NONE || config->assertion.header[0] != '\0';
}

/* OPTIONS */

static void write_request(struct upstream_test *test, struct http_writer *writer)
{
	static const struct http_head nothing = {.field_count = 0};
	const struct config *config = test->worker->config;
	struct config without = *config;
	const struct template_values values = {.mailbox = test->mailbox,
		.device_id = "easproxyctl",
		.device_type = "easproxyctl",
		.request_id = "easproxyctl",
		.client_address = "127.0.0.1"};

	http_write_request_line(writer, HTTP_OPTIONS,
		span_of_string(test->endpoint->config->path_prefix),
		span_of_string("/Microsoft-Server-ActiveSync"), (struct span){0});
	http_write_field_text(writer, "Host", test->endpoint->host);
	/* There is no phone whose certificate could be passed on. */
	if (without.upstream.login == CONFIG_LOGIN_CLIENT_CERT)
		without.upstream.login = CONFIG_LOGIN_HEADER;
	if (!is_anonymous(test)) {
		rewrite_request_fields(writer, &without, &nothing, &values, NULL, NULL);
		if (test->login != NULL)
			login_fields_write(writer, config, test->login, test->negotiate);
	}
	http_write_field_text(writer, "User-Agent", "easproxyctl/" EASPROXY_VERSION);
	http_write_field_text(writer, "Connection", "close");
	http_write_end(writer);
}

static void test_ask(struct upstream_test *test)
{
	struct http_writer writer = {.data = malloc(REQUEST_MAX), .capacity = REQUEST_MAX};
	int written = -1;

	test->len = test->scanned = 0;
	upstream_test_wait_for(test, is_anonymous(test) ? STAGE_ANONYMOUS_OPTIONS : STAGE_OPTIONS);
	if (writer.data != NULL)
		write_request(test, &writer);
	if (writer.data != NULL && !writer.has_failed)
		written = link_write(test->link, writer.data, writer.len);
	if (writer.data != NULL)
		OPENSSL_cleanse(writer.data, writer.len);
	free(writer.data);
	if (written != 0)
		test_failed(test, "the request cannot be sent");
}

static void on_ready(void *owner)
{
	struct upstream_test *test = owner;

	if (!is_anonymous(test)) {
		upstream_test_say_connection(test);
		upstream_test_say_tls(test);
	}
	test->since_us = clock_us();
	if (test->lacks_login)
		upstream_test_say_last(
			test, "options", false, "not asked, as there is no login to ask with", "");
	else
		test_ask(test);
}

static void close_link(struct upstream_test *test)
{
	if (test->link != NULL)
		link_release(test->link, false);
	test->link = NULL;
}

static void test_without_login(struct upstream_test *test)
{
	close_link(test);
	upstream_test_wait_for(test, STAGE_ANONYMOUS_CONNECT);
	upstream_test_connect(test);
}

/* The server's own token is with the answer; the connection ends here, as far as we are concerned. */
static void test_prove(struct upstream_test *test, const struct http_head *head)
{
	static const char hint[] =
		"something between takes WWW-Authenticate out of the answer, or another server "
		"stands there";
	uint32_t context = test->link->login_context;
	uint8_t token[LOGIN_PROOF_MAX];
	size_t len = 0;

	upstream_test_wait_for(test, STAGE_PROOF);
	switch (negotiate_read(head, token, sizeof(token), &len)) {
	case NEGOTIATE_NO_TOKEN:
		upstream_test_say_last(
			test, "proof", false, "the answer has no token of the server's", hint);
		return;
	case NEGOTIATE_MALFORMED:
		upstream_test_say_last(
			test, "proof", false, "the server's token is no base64, or too long", hint);
		return;
	case NEGOTIATE_TOKEN: break;
	}
	link_want_read(test->link, false);
	test->link->login_context = 0; /* used up by the question */
	if (login_client_prove(test->worker->login_client, test->login, context,
		    span_of(token, len), &test->waiter) != 0)
		upstream_test_say_last(test, "proof", false, "the identity process cannot be asked",
			"look at the log");
	OPENSSL_cleanse(token, len);
}

static void take_proof(struct upstream_test *test, const struct login_result *result)
{
	if (result->refusal != REFUSAL_NONE) {
		upstream_test_say_last(test, "proof", false, result->reason,
			"another server stands there, or it has another key than that of its SPN");
		return;
	}
	upstream_test_say(
		test, "proof", true, "the server has shown that it has the service's key", "");
	test_without_login(test);
}

static void test_judge(struct upstream_test *test, const struct http_head *head)
{
	enum config_login login = test->worker->config->upstream.login;
	struct upstream_options options;

	if (is_anonymous(test)) {
		upstream_options_judge_anonymous(head, &options);
		upstream_test_say_last(
			test, "anonymous", options.is_good, options.text, options.hint);
		return;
	}
	upstream_options_judge(head, login, &options);
	if (!options.is_good || !asks_for_login(test->worker->config)) {
		upstream_test_say_last(
			test, "options", options.is_good, options.text, options.hint);
		return;
	}
	upstream_test_say(test, "options", true, options.text, options.hint);
	if (test->link->login_context != 0)
		test_prove(test, head);
	else
		test_without_login(test);
}

static void test_answered(struct upstream_test *test, size_t head_len)
{
	static struct http_head head; /* large */

	if (http_answer_parse(&head, test->head, head_len, HTTP_OPTIONS) != HTTP_DONE) {
		upstream_test_say_last(test, step_name(test->stage), false, "the answer is no HTTP",
			"see that upstream/endpoints leads to a mail server");
		return;
	}
	if (head.status < 200) {
		/* An interim answer: what follows counts. */
		test->len -= head_len;
		memmove(test->head, test->head + head_len, test->len);
		test->scanned = 0;
		return;
	}
	test_judge(test, &head);
}

static void on_readable(void *owner)
{
	struct upstream_test *test = owner;
	size_t len = 0, head_len = 0;
	enum tls_result result =
		link_read(test->link, test->head + test->len, sizeof(test->head) - test->len, &len);

	if (result == TLS_WANTS_READ || result == TLS_WANTS_WRITE)
		return;
	if (result != TLS_DONE) {
		const char *reason = result == TLS_EOF
					     ? "the connection was ended without an answer"
					     : tls_failure(&test->link->tls);
		char copied[160];

		snprintf(copied, sizeof(copied), "%s", reason);
		test_failed(test, copied);
		return;
	}
	test->len += len;
	switch (http_head_find_end(test->head, test->len, &test->scanned, &head_len)) {
	case HTTP_DONE: test_answered(test, head_len); return;
	case HTTP_REFUSED: test_answered(test, test->len); return;
	case HTTP_MORE: break;
	}
	if (test->len == sizeof(test->head))
		test_answered(test, test->len);
}

static void on_drained(void *owner)
{
	(void)owner;
}

/* Whose connection it is, where it stands for somebody. */
static struct login *link_login(const struct upstream_test *test)
{
	enum config_login login = test->worker->config->upstream.login;
	bool is_own = login == CONFIG_LOGIN_KERBEROS || login == CONFIG_LOGIN_MINTED;

	return is_own && !is_anonymous(test) && !test->lacks_login ? test->login : NULL;
}

static const struct link_calls calls = {on_ready, on_failed, on_readable, on_drained};

void upstream_test_connect(struct upstream_test *test)
{
	char reason[160];

	errno = 0;
	test->link = link_probe(test->endpoint, link_login(test), &calls, test);
	if (test->link != NULL) {
		/* Whoever ends the connection before the proof has it forgotten. */
		if (test->link->login != NULL) {
			test->link->login_context = test->context;
			test->context = 0;
		}
		return;
	}
	snprintf(reason, sizeof(reason), "connecting: %s",
		test->endpoint->address_count == 0 ? "its name cannot be resolved"
						   : strerror(errno));
	test_failed(test, reason);
}

static void on_login(struct login_waiter *waiter, const struct login_result *result)
{
	struct upstream_test *test = (struct upstream_test *)waiter;

	if (test->stage == STAGE_PROOF)
		take_proof(test, result);
	else
		upstream_test_take_login(test, result);
}

/* The beginning */

static struct endpoint *endpoint_of(struct upstream *upstream, const char *url)
{
	for (size_t i = 0; i < upstream->config->endpoint_count; i++)
		if (strcmp(upstream->endpoints[i].config->text, url) == 0)
			return &upstream->endpoints[i];
	return NULL;
}

static unsigned int count_of(const struct worker *worker)
{
	const struct upstream_test *test;
	unsigned int count = 0;

	LIST_FOREACH(test, &worker->upstream_tests, entry)
		count++;
	return count;
}

void upstream_test_take(struct worker *worker, const struct message *message)
{
	uint64_t id = message->u.upstream_test.id;
	struct endpoint *endpoint =
		endpoint_of(worker->upstream, message->u.upstream_test.endpoint);
	struct upstream_test *test = NULL;

	if (count_of(worker) < UPSTREAM_TESTS_MAX && !worker->is_draining && endpoint != NULL)
		test = calloc(1, sizeof(*test));
	if (test == NULL) {
		upstream_test_say_refused(worker, id,
			worker->is_draining ? "this worker is ending" : "this worker is busy");
		return;
	}
	LIST_INSERT_HEAD(&worker->upstream_tests, test, entry);
	test->worker = worker;
	test->endpoint = endpoint;
	test->id = id;
	snprintf(test->mailbox, sizeof(test->mailbox), "%s", message->u.upstream_test.mailbox);
	test->waiter.answered = on_login;
	evtimer_assign(&test->timer, worker->base, on_time, test);
	test->since_us = clock_us();
	if (upstream_test_pin_login(test))
		upstream_test_log_in(test, 0);
	else
		upstream_test_say_last(test, "test", false, "out of memory", "");
}
