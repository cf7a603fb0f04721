/*
 * A worker of which a request needs little, its phones without TLS, an endpoint that answers as a test says,
 * and the identity process's end of the channel; all in one loop. What a phone sends is read, judged and
 * forwarded by the real thing.
 */
#ifndef TESTS_UNIT_EXCHANGE_WORLD_H
#define TESTS_UNIT_EXCHANGE_WORLD_H

#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "proxy/device_client.h"
#include "proxy/exchange_login.h"
#include "proxy/exchange_sleep.h"
#include "proxy/identity_client.h"
#include "proxy/login_client.h"
#include "proxy/ocsp_client.h"
#include "proxy/policy.h"
#include "tests/unit/check.h"
#include "tests/unit/config_fixture.h"
#include "tests/unit/credential_maker.h"

enum { WORLD_CONNECTIONS = 16, WORLD_MESSAGES = 64, WORLD_TEXT = 8192, WORLD_TURNS = 2000 };

/* A connection that the endpoint has accepted. */
struct world_connection {
	int fd; /* -1: ended */
	size_t len;
	char text[WORLD_TEXT]; /* of a request that is not whole yet */
	unsigned int requests;
};

/* One that was whole. */
struct world_request {
	unsigned int connection;
	char text[WORLD_TEXT];
};

/* What the endpoint answers to its nth request: a whole answer; "": it hangs up; NULL: nothing. */
typedef const char *world_answer(unsigned int nth, const struct world_request *request);

struct world {
	struct fixture files;
	struct config *config;
	struct shared *shared;
	struct trust_store trust;
	struct child child;
	struct worker *worker;
	int listener;
	uint16_t port;
	struct world_connection connections[WORLD_CONNECTIONS];
	unsigned int connection_count, request_count;
	struct world_request request; /* the last one */
	world_answer *answer;
	int identity; /* its end; -1: none */
	struct message messages[WORLD_MESSAGES];
	unsigned int message_count;
};

static struct world world;

static inline void world_must(bool is_good, const char *what, int line)
{
	if (is_good)
		return;
	fprintf(stderr, "exchange_world.h:%d: %s\n", line, what);
	abort();
}

#define WORLD_MUST(condition) world_must((condition), #condition, __LINE__)

static enum refusal world_judge(void *context, const struct credential *credential)
{
	(void)context;
	return credential->accepted->not_after < (int64_t)time(NULL) ? REFUSAL_CERTIFICATE_REVOKED
								     : REFUSAL_NONE;
}

static void world_drop(void *context, const char *mailbox)
{
	(void)context;
	login_client_drop(world.worker->login_client, mailbox);
}

static void world_forget(void *context, uint32_t login_context)
{
	(void)context;
	login_client_forget(world.worker->login_client, login_context);
}

static void world_bury(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;

	(void)fd;
	(void)what;
	while (worker->over != NULL) {
		struct exchange *exchange = worker->over;

		worker->over = exchange->next_over;
		exchange_free(exchange);
	}
	exchange_sleep_all(worker);
	while (!TAILQ_EMPTY(&worker->closed))
		session_bury(TAILQ_FIRST(&worker->closed));
}

static inline void world_nothing(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

static inline void world_listen(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);

	world.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	WORLD_MUST(bind(world.listener, (struct sockaddr *)&address, len) == 0);
	WORLD_MUST(listen(world.listener, WORLD_CONNECTIONS) == 0);
	WORLD_MUST(getsockname(world.listener, (struct sockaddr *)&address, &len) == 0);
	world.port = ntohs(address.sin_port);
}

static inline void world_configure(void)
{
	char text[1024];

	fixture_begin(&world.files);
	snprintf(text, sizeof(text),
		"listener a {\n  address = \"127.0.0.1:8443\"\n"
		"  certificate b { chain = mail.pem key = mail.key }\n}\n"
		"trust { store = trust.json }\nmailbox { domains = a.test }\n"
		"upstream c { endpoints = \"http://127.0.0.1:%u\" health-interval = 0s\n"
		"headers = \"x-user: %%{mailbox}\" }\nuser = nobody\n",
		(unsigned int)world.port);
	world.config = fixture_load(&world.files, text, NULL);
	if (world.config == NULL)
		fprintf(stderr, "%s", world.files.reports);
	WORLD_MUST(world.config != NULL);
}

static inline void world_make_worker(void)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	struct error err = {""};

	world.shared = calloc(1, sizeof(*world.shared));
	world.child = (struct child){.config = world.config,
		.trust = &world.trust,
		.shared = world.shared,
		.spool_directory = -1,
		.state_directory = -1};
	world.worker = worker;
	worker->child = &world.child;
	worker->config = world.config;
	worker->counters = &world.shared->workers[0];
	worker->control_fd = -1;
	worker->base = event_base_new();
	worker->watcher = watcher_new(worker->base);
	worker->wheel = wheel_new(worker->base);
	session_prepare(worker);
	TAILQ_INIT(&worker->sessions);
	TAILQ_INIT(&worker->closed);
	worker->verdicts = verdict_cache_new(10);
	worker->sources = source_table_new();
	worker->policy = policy_new(world.config, NULL, NULL);
	worker->devices = device_table_new(100);
	worker->device_client = device_client_new(worker);
	worker->identity = identity_client_new(worker);
	worker->ocsp = ocsp_client_new(worker);
	WORLD_MUST(revocation_set_init(&worker->revocation, &world.trust, &err) == 0);
	WORLD_MUST(recheck_init(&worker->recheck, worker->base, &worker->sessions,
			   session_recheck) == 0);
	WORLD_MUST(worker_identity_init(&worker->reidentify, worker->base, &worker->sessions,
			   session_ask_again) == 0);
	worker->bury_event = event_new(worker->base, -1, 0, world_bury, worker);
	worker->recheck_timer = evtimer_new(worker->base, world_nothing, worker);
	worker->next_change = INT64_MIN; /* no timer is set */
	worker->upstream = upstream_new(worker->base, worker->watcher, worker->wheel,
		&world.config->upstream, true, worker->counters, &err);
	WORLD_MUST(worker->upstream != NULL);
	snprintf(worker->id_prefix, sizeof(worker->id_prefix), "test");
}

/* Once for a program: some of a worker is made for as long as its process lives. */
static inline void world_begin(void)
{
	memset(&world, 0, sizeof(world));
	world.identity = -1;
	world_listen();
	world_configure();
	world_make_worker();
}

/* For each test, after world.config says how to log in. */
static inline void world_log_in(world_answer *answer)
{
	const struct login_table_calls calls = {world_judge, world_drop, world_forget, NULL};
	struct worker *worker = world.worker;
	int pair[2];

	WORLD_MUST(login_is_needed(world.config));
	world.answer = answer;
	world.connection_count = world.request_count = world.message_count = 0;
	worker->logins = login_table_new(worker->base, world.config->upstream.login_cache, &calls);
	worker->login_client = login_client_new(worker);
	WORLD_MUST(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	world.identity = pair[1];
	identity_client_attach(worker->identity, pair[0]);
	/* As an endpoint that has shown that it keeps connections. */
	worker->upstream->endpoints[0].keeps_links = true;
	worker->upstream->endpoints[0].logs_in_each = false;
}

/* The identity process has gone. */
static inline void world_lose_identity(void)
{
	if (world.identity != -1)
		close(world.identity);
	world.identity = -1;
	for (int i = 0; i < 50; i++)
		event_base_loop(world.worker->base, EVLOOP_NONBLOCK);
}

/* All phones have left. */
static inline void world_log_out(void)
{
	struct worker *worker = world.worker;
	struct endpoint *endpoint = &worker->upstream->endpoints[0];

	CU_ASSERT_TRUE(TAILQ_EMPTY(&worker->sessions));
	CU_ASSERT_TRUE(TAILQ_EMPTY(&endpoint->busy));
	CU_ASSERT_EQUAL(worker->counters->polls_open, 0);
	while (!TAILQ_EMPTY(&endpoint->idle))
		link_free(TAILQ_FIRST(&endpoint->idle));
	world_lose_identity();
	login_table_free(worker->logins);
	login_client_free(worker->login_client);
	worker->logins = NULL;
	worker->login_client = NULL;
	for (unsigned int i = 0; i < world.connection_count; i++)
		if (world.connections[i].fd != -1)
			close(world.connections[i].fd);
	world.connection_count = 0;
}

static inline void world_end(void)
{
	close(world.listener);
	fixture_end(&world.files);
}

/* The endpoint */

static inline void world_take_request(unsigned int which, size_t len)
{
	struct world_connection *connection = &world.connections[which];
	const char *answer;

	world.request.connection = which;
	memcpy(world.request.text, connection->text, len);
	world.request.text[len] = '\0';
	connection->len -= len;
	memmove(connection->text, connection->text + len, connection->len);
	connection->requests++;
	answer = world.answer(world.request_count++, &world.request);
	if (answer == NULL)
		return;
	if (answer[0] == '\0') {
		close(connection->fd);
		connection->fd = -1;
		return;
	}
	WORLD_MUST(write(connection->fd, answer, strlen(answer)) == (ssize_t)strlen(answer));
}

static inline size_t world_request_len(const struct world_connection *connection)
{
	const char *end = memmem(connection->text, connection->len, "\r\n\r\n", 4);
	const char *length = memmem(connection->text, connection->len, "Content-Length: ", 16);
	size_t head_len;

	if (end == NULL)
		return 0;
	head_len = (size_t)(end + 4 - connection->text);
	if (length != NULL && length < end)
		head_len += strtoul(length + 16, NULL, 10);
	return head_len <= connection->len ? head_len : 0;
}

static inline void world_serve(unsigned int which)
{
	struct world_connection *connection = &world.connections[which];
	ssize_t len = recv(connection->fd, connection->text + connection->len,
		WORLD_TEXT - 1 - connection->len, MSG_DONTWAIT);
	size_t whole;

	if (len == 0) {
		close(connection->fd);
		connection->fd = -1;
		return;
	}
	if (len < 0)
		return;
	connection->len += (size_t)len;
	while (connection->fd != -1 && (whole = world_request_len(connection)) > 0)
		world_take_request(which, whole);
}

static inline void world_turn(void)
{
	struct message message;
	int passed, fd;

	event_base_loop(world.worker->base, EVLOOP_NONBLOCK);
	while (world.connection_count < WORLD_CONNECTIONS &&
		(fd = accept4(world.listener, NULL, NULL, SOCK_CLOEXEC)) != -1)
		world.connections[world.connection_count++] = (struct world_connection){.fd = fd};
	for (unsigned int i = 0; i < world.connection_count; i++)
		if (world.connections[i].fd != -1)
			world_serve(i);
	while (world.identity != -1 && message_receive(world.identity, &message, &passed) == 1) {
		WORLD_MUST(world.message_count < WORLD_MESSAGES);
		world.messages[world.message_count++] = message;
	}
}

static inline void world_run(void)
{
	for (int i = 0; i < 50; i++)
		world_turn();
}

/* How many of the endpoint's connections are open. */
static inline unsigned int world_open(void)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < world.connection_count; i++)
		count += world.connections[i].fd != -1;
	return count;
}

/* The identity process */

/* The nth message; it must be of that type. */
static inline const struct message *world_message(unsigned int nth, enum message_type type)
{
	static const struct message none;

	for (int i = 0; i < WORLD_TURNS && world.message_count <= nth; i++)
		world_turn();
	if (world.message_count <= nth || world.messages[nth].type != (uint32_t)type) {
		CU_FAIL("another message was awaited");
		return &none;
	}
	return &world.messages[nth];
}

static inline void world_say(const struct message *message)
{
	WORLD_MUST(message_send(world.identity, message, -1) == 0);
}

/* Answers the nth message, which asks for a login, with what upstream/mutual may not be content with. */
static inline void world_give_any(unsigned int nth, const char *secret, uint32_t context)
{
	struct message message = {.type = MESSAGE_LOGIN_ANSWER,
		.u.login_answer = {.id = world_message(nth, MESSAGE_LOGIN_QUERY)->u.login_query.id,
			.context = context,
			.valid_until = (int64_t)time(NULL) + 3600,
			.account_until = INT64_MAX,
			.secret_len = (uint32_t)strlen(secret)}};

	memcpy(message.u.login_answer.secret, secret, strlen(secret));
	world_say(&message);
}

/* The same; context 0: no server has to prove itself. */
static inline void world_give(unsigned int nth, const char *secret, uint32_t context)
{
	world.config->upstream.mutual = context != 0;
	world_give_any(nth, secret, context);
}

static inline void world_give_none(unsigned int nth, enum refusal refusal, const char *why)
{
	struct message message = {.type = MESSAGE_LOGIN_ANSWER,
		.u.login_answer = {.id = world_message(nth, MESSAGE_LOGIN_QUERY)->u.login_query.id,
			.refusal = refusal}};

	snprintf(message.u.login_answer.fault.text, sizeof(message.u.login_answer.fault.text), "%s",
		why);
	world_say(&message);
}

static inline void world_prove(unsigned int nth, bool is_proven)
{
	struct message message = {.type = MESSAGE_LOGIN_PROVEN,
		.u.login_proven = {.id = world_message(nth, MESSAGE_LOGIN_PROOF)->u.login_proof.id,
			.is_proven = is_proven,
			.reason = "another key"}};

	world_say(&message);
}

/* Phones */

struct phone {
	int fd; /* -1: it has gone */
	struct session *session;
	struct credential *credential; /* shared with the session */
	char user[32];
	size_t len;
	char text[WORLD_TEXT]; /* what it got */
};

/* Its certificate has been looked at, and leads to the mailbox. */
static inline void phone_connect(struct phone *phone, const char *mailbox)
{
	struct sockaddr_storage address = {.ss_family = AF_INET};
	struct verdict *verdict = calloc(1, sizeof(*verdict));
	int pair[2];

	*phone = (struct phone){.fd = -1};
	snprintf(phone->user, sizeof(phone->user), "%s", mailbox);
	WORLD_MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	WORLD_MUST(session_open(world.worker, 0, pair[0], &address,
			   source_take(world.worker->sources, &address, 100)) == 0);
	phone->fd = pair[1];
	phone->session = TAILQ_FIRST(&world.worker->sessions);
	verdict->not_after = INT64_MAX;
	verdict->link_count = 1;
	verdict->links[0].authority = -1;
	snprintf((char *)verdict->leaf_sha256, sizeof(verdict->leaf_sha256), "%.31s", mailbox);
	verdict->names_refusal = REFUSAL_NAME_INVALID; /* no directory is asked */
	phone->credential = credential_made(verdict, UINT32_MAX);
	WORLD_MUST(credential_set_mailbox(phone->credential, mailbox) == 0);
	phone->credential->refusal = REFUSAL_NONE;
	phone->session->credential = credential_share(phone->credential);
	free(verdict);
	session_await_head(phone->session);
}

static inline void phone_say(struct phone *phone, const char *command, const void *body, size_t len)
{
	char text[1024];
	int at = snprintf(text, sizeof(text),
		"POST /Microsoft-Server-ActiveSync?Cmd=%s&User=%s&DeviceId=D1&DeviceType=T "
		"HTTP/1.1\r\nHost: mail.test\r\nMS-ASProtocolVersion: 14.1\r\n"
		"Content-Type: application/vnd.ms-sync.wbxml\r\nAuthorization: Basic "
		"b3duOm93bg==\r\n"
		"Content-Length: %zu\r\n\r\n",
		command, phone->user, len);

	memcpy(text + at, body, len);
	phone->len = 0;
	WORLD_MUST(write(phone->fd, text, (size_t)at + len) == at + (ssize_t)len);
}

/* Its answer, when it is there: the status; 0: none came. */
static inline unsigned int phone_hear(struct phone *phone)
{
	unsigned int status = 0;

	for (int i = 0; i < WORLD_TURNS && status == 0; i++) {
		ssize_t len;

		world_turn();
		len = recv(phone->fd, phone->text + phone->len, WORLD_TEXT - 1 - phone->len,
			MSG_DONTWAIT);
		if (len > 0)
			phone->len += (size_t)len;
		phone->text[phone->len] = '\0';
		if (strstr(phone->text, "\r\n\r\n") != NULL)
			sscanf(phone->text, "HTTP/1.1 %u", &status);
	}
	world_run();
	return status;
}

static inline void phone_leave(struct phone *phone)
{
	if (phone->fd != -1)
		close(phone->fd);
	phone->fd = -1;
	world_run();
}

/* After it has left. */
static inline void phone_end(struct phone *phone)
{
	phone_leave(phone);
	credential_free(phone->credential);
}

#endif
