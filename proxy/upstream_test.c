#include "proxy/upstream_test.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/x509_text.h"
#include "config/clock.h"
#include "config/moment.h"
#include "proxy/exchange_login.h"
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
#include "proxy/upstream_service.h"
#include "proxy/worker.h"
#include "proxy/worker_control.h"

enum { HEAD_MAX = 64 * 1024, REQUEST_MAX = 48 * 1024, SOON_S = 14 * 24 * 3600 };

/* In the order in which a test meets them. */
enum stage {
	STAGE_LOGIN,
	STAGE_CONNECT,
	STAGE_OPTIONS, /* with the login */
	STAGE_PROOF,   /* of the server's */
	STAGE_ANONYMOUS_CONNECT,
	STAGE_ANONYMOUS_OPTIONS, /* without */
};

struct upstream_test {
	struct login_waiter waiter;
	LIST_ENTRY(upstream_test) entry;
	struct worker *worker;
	struct endpoint *endpoint;
	uint64_t id;
	char mailbox[MAILBOX_MAX + 1];
	enum stage stage;
	enum login_kind kind; /* of the credential that is got */
	uint64_t since_us;    /* of what is being waited for */
	struct login *
		login; /* pinned, of no phone's; NULL: the mail server wants none that has to be got */
	char *negotiate;   /* the field's value with a token; NULL: none */
	uint32_t context;  /* that the server's proof will be for, until link has it; 0: none */
	bool lacks_login;  /* it could not be got: what follows is tried as far as that goes */
	struct link *link; /* NULL: none */
	struct event timer;
	size_t len, scanned;
	char head[HEAD_MAX]; /* of the answer */
};

/* What control is told */

static void say(struct upstream_test *test, struct message *message)
{
	message->type = MESSAGE_UPSTREAM_STEP;
	message->u.upstream_step.id = test->id;
	/* Where it cannot be told, it gives up by itself. */
	(void)worker_control_tell(test->worker, message);
}

static void copy(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text);
	for (; *to != '\0'; to++)
		if (*to < ' ' || *to > '~')
			*to = '?';
}

static struct message step_of(
	const char *step, bool is_good, uint64_t took_us, const char *text, const char *hint)
{
	struct message message = {
		.u.upstream_step = {.is_good = is_good,
			.time_us = took_us < UINT32_MAX ? (uint32_t)took_us : UINT32_MAX}};

	copy(message.u.upstream_step.step, sizeof(message.u.upstream_step.step), step);
	copy(message.u.upstream_step.text, sizeof(message.u.upstream_step.text), text);
	copy(message.u.upstream_step.hint, sizeof(message.u.upstream_step.hint), hint);
	return message;
}

static void say_timed(struct upstream_test *test, const char *step, bool is_good, uint64_t took_us,
	const char *text, const char *hint)
{
	struct message message = step_of(step, is_good, took_us, text, hint);

	say(test, &message);
}

/* It took the time since the wait began. */
static void say_step(struct upstream_test *test, const char *step, bool is_good, const char *text,
	const char *hint)
{
	say_timed(test, step, is_good, clock_us() - test->since_us, text, hint);
}

/* The end */

/* Its secrets are wiped, unless another test of the same user is under way. */
static void let_login_go(struct upstream_test *test)
{
	const struct upstream_test *other;

	if (test->login == NULL)
		return;
	LIST_FOREACH(other, &test->worker->upstream_tests, entry)
		if (other->login == test->login)
			break;
	if (other == NULL)
		login_end(test->login);
	login_unpin(test->login);
}

static void test_free(struct upstream_test *test)
{
	LIST_REMOVE(test, entry);
	event_del(&test->timer);
	login_client_leave(&test->waiter);
	if (test->link != NULL)
		link_release(test->link, false);
	login_fields_negotiate_free(test->negotiate);
	if (test->context != 0)
		login_client_forget(test->worker->login_client, test->context);
	let_login_go(test);
	OPENSSL_cleanse(test->head, test->len);
	free(test);
}

static void say_last(struct upstream_test *test, const char *step, bool is_good, const char *text,
	const char *hint)
{
	struct message message = step_of(step, is_good, clock_us() - test->since_us, text, hint);

	message.u.upstream_step.is_last = 1;
	say(test, &message);
	test_free(test);
}

void upstream_test_end_all(struct worker *worker)
{
	struct upstream_test *test = LIST_FIRST(&worker->upstream_tests);

	while (test != NULL) {
		struct upstream_test *next = LIST_NEXT(test, entry);

		test_free(test);
		test = next;
	}
}

/* Waiting */

static void wait_for(struct upstream_test *test, enum stage stage)
{
	const struct timeval time = timeval_of_ms(UPSTREAM_TEST_STEP_MS);

	test->stage = stage;
	test->since_us = clock_us();
	evtimer_add(&test->timer, &time);
}

static const char *step_name(enum stage stage)
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
	say_last(test, step_name(test->stage), false, "no answer within a minute",
		"see that the server is well, and what stands between");
}

/* Connections */

static bool is_anonymous(const struct upstream_test *test)
{
	return test->stage >= STAGE_ANONYMOUS_CONNECT;
}

static const char *hint_of_tls(const char *reason)
{
	static const struct {
		const char *part, *hint;
	} rows[] = {
		{"ostname mismatch", "its certificate is for another name: see upstream/host and "
				     "upstream/endpoints"},
		{"IP address mismatch", "its certificate does not name this address: use a name, "
					"or upstream/host"},
		{"self-signed", "its authority is not known here: put it into upstream/ca"},
		{"unable to get", "its authority is not known here: put it into upstream/ca, and "
				  "have the server send its intermediates"},
		{"expired", "its certificate has to be renewed, or a clock is wrong"},
		{"not yet valid", "a clock is wrong: here, or where the certificate was issued"},
		{"wrong version number", "this port does not speak TLS: see upstream/endpoints"},
		{"alert unknown ca",
			"the server does not know who issued our certificate: it has to "
			"trust minted-certificate/issuer"},
		{"alert bad certificate", "the server does not take our certificate: look at its "
					  "logs"},
		{"alert certificate", "the server does not take our certificate, or wants one: "
				      "look at its logs"},
		{"certificate required", "the server wants a certificate: see upstream/login"},
		{"unsupported protocol", "it speaks nothing newer than TLS 1.1: enable TLS 1.2"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strstr(reason, rows[i].part) != NULL)
			return rows[i].hint;
	return "see the server's own log of TLS";
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
		say_last(test, "anonymous", true,
			"refused, as it should be: no answer without a login", "");
	} else if (test->stage == STAGE_OPTIONS) {
		say_last(test, "options", false, reason,
			strstr(reason, "alert") != NULL
				? hint_of_tls(reason)
				: "the server has ended the connection: look at its logs");
	} else if (strncmp(reason, tls, sizeof(tls) - 1) == 0) {
		reason += sizeof(tls) - 1;
		say_last(test, "tls", false, reason, hint_of_tls(reason));
	} else {
		say_last(test, "connection", false, reason,
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

static void say_connection(struct upstream_test *test)
{
	char text[ENDPOINT_NAME_MAX + 64];

	snprintf(text, sizeof(text), "to %s, port %u", test->endpoint->config->host,
		(unsigned int)test->endpoint->config->port);
	say_timed(test, "connection", true, test->link->connected_us - (uint32_t)test->since_us,
		text, "");
}

/* Where there is TLS: what was agreed on, and whose certificate it is until when. */
static void say_tls(struct upstream_test *test)
{
	struct tls *tls = &test->link->tls;
	X509 *peer = tls_peer(tls);
	char name[160] = "", moment[MOMENT_TEXT_SIZE] = "", host[ENDPOINT_NAME_MAX], text[640];
	int64_t until = 0;

	if (peer == NULL)
		return;
	x509_name_format(X509_get_subject_name(peer), name, sizeof(name));
	if (x509_time_read(X509_get0_notAfter(peer), &until) == 0)
		moment_write(until, moment);
	endpoint_tls_name(test->endpoint, host);
	snprintf(text, sizeof(text), "%s; it is %s, by a certificate of \"%s\" until %s",
		tls_version(tls), host, name, moment);
	say_timed(test, "tls", true, (uint32_t)clock_us() - test->link->connected_us, text,
		until - (int64_t)time(NULL) < SOON_S ? "its certificate ends soon" : "");
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
	wait_for(test, is_anonymous(test) ? STAGE_ANONYMOUS_OPTIONS : STAGE_OPTIONS);
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
		say_connection(test);
		say_tls(test);
	}
	test->since_us = clock_us();
	if (test->lacks_login)
		say_last(test, "options", false, "not asked, as there is no login to ask with", "");
	else
		test_ask(test);
}

static void test_connect(struct upstream_test *test);

static void close_link(struct upstream_test *test)
{
	if (test->link != NULL)
		link_release(test->link, false);
	test->link = NULL;
}

static void test_without_login(struct upstream_test *test)
{
	close_link(test);
	wait_for(test, STAGE_ANONYMOUS_CONNECT);
	test_connect(test);
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

	wait_for(test, STAGE_PROOF);
	switch (negotiate_read(head, token, sizeof(token), &len)) {
	case NEGOTIATE_NO_TOKEN:
		say_last(test, "proof", false, "the answer has no token of the server's", hint);
		return;
	case NEGOTIATE_MALFORMED:
		say_last(
			test, "proof", false, "the server's token is no base64, or too long", hint);
		return;
	case NEGOTIATE_TOKEN: break;
	}
	link_want_read(test->link, false);
	test->link->login_context = 0; /* used up by the question */
	if (login_client_prove(test->worker->login_client, test->login, context,
		    span_of(token, len), &test->waiter) != 0)
		say_last(test, "proof", false, "the identity process cannot be asked",
			"look at the log");
	OPENSSL_cleanse(token, len);
}

static void take_proof(struct upstream_test *test, const struct login_result *result)
{
	if (result->refusal != REFUSAL_NONE) {
		say_last(test, "proof", false, result->reason,
			"another server stands there, or it has another key than that of its SPN");
		return;
	}
	say_step(test, "proof", true, "the server has shown that it has the service's key", "");
	test_without_login(test);
}

static void test_judge(struct upstream_test *test, const struct http_head *head)
{
	enum config_login login = test->worker->config->upstream.login;
	struct upstream_options options;

	if (is_anonymous(test)) {
		upstream_options_judge_anonymous(head, &options);
		say_last(test, "anonymous", options.is_good, options.text, options.hint);
		return;
	}
	upstream_options_judge(head, login, &options);
	if (!options.is_good || !asks_for_login(test->worker->config)) {
		say_last(test, "options", options.is_good, options.text, options.hint);
		return;
	}
	say_step(test, "options", true, options.text, options.hint);
	if (test->link->login_context != 0)
		test_prove(test, head);
	else
		test_without_login(test);
}

static void test_answered(struct upstream_test *test, size_t head_len)
{
	static struct http_head head; /* large */

	if (http_answer_parse(&head, test->head, head_len, HTTP_OPTIONS) != HTTP_DONE) {
		say_last(test, step_name(test->stage), false, "the answer is no HTTP",
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

static void test_connect(struct upstream_test *test)
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

/* Logins */

static const char *kind_step(enum login_kind kind)
{
	switch (kind) {
	case LOGIN_KERBEROS: return "ticket";
	case LOGIN_MINTED: return "certificate";
	case LOGIN_BEARER: return "token";
	default: return "assertion";
	}
}

/* Asks for the first kind from that one on that is wanted, or goes on without any more. */
static void test_log_in(struct upstream_test *test, unsigned int kind)
{
	struct login_client *client = test->worker->login_client;
	const struct config *config = test->worker->config;
	char service[LOGIN_SERVICE_MAX + 1];
	int asked;

	while (kind < LOGIN_KIND_COUNT && !login_kind_is_used(config, kind))
		kind++;
	if (kind == LOGIN_KIND_COUNT || test->lacks_login) {
		wait_for(test, STAGE_CONNECT);
		test_connect(test);
		return;
	}
	test->kind = (enum login_kind)kind;
	wait_for(test, STAGE_LOGIN);
	if (kind == LOGIN_KERBEROS)
		asked = upstream_service(&config->upstream, test->endpoint->config, service) == 0
				? login_client_token(
					  client, test->login, service, true, &test->waiter)
				: -1;
	else
		asked = login_client_want(client, test->login, test->kind, true, &test->waiter);
	if (asked != 0)
		say_last(test, kind_step(test->kind), false, "the identity process cannot be asked",
			"look at the log");
}

/* Whether what went wrong is that it is not known whose account it is. */
static bool is_about_directory(enum refusal refusal)
{
	return refusal == REFUSAL_DIRECTORY_UNAVAILABLE || refusal == REFUSAL_USER_UNKNOWN ||
	       refusal == REFUSAL_USER_DISABLED || refusal == REFUSAL_NAME_AMBIGUOUS;
}

static void say_login(struct upstream_test *test, const struct login_result *result)
{
	const struct message_login_answer *answer = result->answer;
	const char *known = answer != NULL && answer->was_known ? " (got a moment ago)" : "";
	char moment[MOMENT_TEXT_SIZE], text[LOGIN_SERVICE_MAX + 120],
		service[LOGIN_SERVICE_MAX + 1];

	if (answer == NULL) {
		say_step(test, kind_step(test->kind), true, "it is there", "");
		return;
	}
	if (answer->account[0] != '\0')
		say_timed(test, "directory", true, answer->directory_us, answer->account, "");
	moment_write(answer->valid_until, moment);
	if (test->kind == LOGIN_KERBEROS && upstream_service(&test->worker->config->upstream,
						    test->endpoint->config, service) == 0)
		snprintf(text, sizeof(text), "for %s, until %s%s; a token of %u bytes", service,
			moment, known, (unsigned int)answer->secret_len);
	else
		snprintf(text, sizeof(text), "until %s%s; %u bytes", moment, known,
			(unsigned int)answer->secret_len);
	say_timed(test, kind_step(test->kind), true, (uint64_t)answer->fetch_us + answer->token_us,
		text, "");
}

static void take_login(struct upstream_test *test, const struct login_result *result)
{
	if (result->refusal != REFUSAL_NONE) {
		say_step(test,
			is_about_directory(result->refusal) ? "directory" : kind_step(test->kind),
			false, result->reason,
			result->hint[0] != '\0' ? result->hint
						: refusal_row(result->refusal)->remedy);
		test->lacks_login = true;
	} else {
		say_login(test, result);
		if (result->token.len > 0)
			test->negotiate = login_fields_negotiate(result->token);
		test->context = result->context;
	}
	test_log_in(test, test->kind + 1U);
}

static void on_login(struct login_waiter *waiter, const struct login_result *result)
{
	struct upstream_test *test = (struct upstream_test *)waiter;

	if (test->stage == STAGE_PROOF)
		take_proof(test, result);
	else
		take_login(test, result);
}

static enum refusal judge_nobody(void *context, const struct credential *credential)
{
	(void)context;
	(void)credential;
	return REFUSAL_NONE;
}

static void drop_nothing(void *context, const char *mailbox)
{
	(void)context;
	(void)mailbox;
}

static void forget_context(void *context, uint32_t login_context)
{
	struct worker *worker = context;

	login_client_forget(worker->login_client, login_context);
}

/* Logins of no phone's: what was got for a test is never used for anybody, and wiped with it. False when
 * memory runs out. */
static bool pin_login(struct upstream_test *test)
{
	struct worker *worker = test->worker;
	const struct login_table_calls table_calls = {.judge = judge_nobody,
		.drop = drop_nothing,
		.forget = forget_context,
		.context = worker};

	if (!login_is_needed(worker->config))
		return true;
	if (worker->test_logins == NULL) {
		worker->test_logins = login_table_new(worker->base, 1, &table_calls);
		if (worker->test_logins == NULL)
			return false;
		if (worker->config->upstream.login == CONFIG_LOGIN_MINTED)
			login_table_set_needs_identity(worker->test_logins);
	}
	test->login = login_table_pin(worker->test_logins, test->mailbox);
	return test->login != NULL;
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

static void say_refused(struct worker *worker, uint64_t id, const char *text)
{
	struct message message = {.type = MESSAGE_UPSTREAM_STEP,
		.u.upstream_step = {.id = id, .is_last = 1, .step = "test"}};

	copy(message.u.upstream_step.text, sizeof(message.u.upstream_step.text), text);
	copy(message.u.upstream_step.hint, sizeof(message.u.upstream_step.hint), "ask again later");
	(void)worker_control_tell(worker, &message);
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
		say_refused(worker, id,
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
	if (pin_login(test))
		test_log_in(test, 0);
	else
		say_last(test, "test", false, "out of memory", "");
}
