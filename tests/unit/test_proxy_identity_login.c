#include <event2/event.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "auth/user_index.h"
#include "check.h"
#include "config/clock.h"
#include "proxy/identity_login.h"

/*
 * A worker's side of logins, with helpers that do as a script says. The script lies in memory that they
 * share with the test.
 */

enum {
	WAIT_MS = 20 * 1000,
	TICKETS_MAX = 64,
	LIMIT_MS = 10 * 1000,
	HOUR_S = 3600,
	FORGETS_MANY = 20 * 1000
};

enum mood { GIVES, REFUSES, IS_MISCONFIGURED, IS_DOWN, IS_MUTE, DIES, GIVES_NOTHING };

struct script {
	_Atomic int mood; /* of whoever gives tickets or secrets */
	_Atomic int life_s;
	_Atomic int is_held; /* until it is not any more nobody gets anything */
	_Atomic int is_busy; /* likewise nothing is forgotten */
	_Atomic int dies_at_token, hangs_at_token; /* so often */
	_Atomic int fetches, puts, drops, tokens, forgets;
	_Atomic int tokens_pid;
};

static struct script *script;

static struct {
	struct child child;
	struct config config;
	struct config_kerberos realm;
	struct config_endpoint endpoints[2];
	struct shared *shared;
	struct event_base *base;
	struct identity_works works;
	struct identity_login *login;
	struct peers peers;
	int worker, states[LOGIN_KIND_COUNT];
	int64_t ahead_ms; /* the login's clock, of the real one */
	uint64_t last_id;
} it;

/* Helpers */

static void wait_while_held(void)
{
	while (atomic_load(&script->is_held))
		usleep(1000);
}

static int file_with(const char *text)
{
	int fd = memfd_create("easproxy-test", MFD_CLOEXEC);

	if (fd == -1 || write(fd, text, strlen(text)) == -1)
		abort();
	return fd;
}

static void give(const struct message *question, struct message_login_done *done)
{
	int mood = atomic_load(&script->mood);

	atomic_fetch_add(&script->fetches, 1);
	wait_while_held();
	done->valid_until = time(NULL) + atomic_load(&script->life_s);
	if (strncmp(question->u.login_job.subject.mailbox, "nobody", 6) == 0)
		mood = REFUSES;
	if (strncmp(question->u.login_job.subject.mailbox, "poison", 6) == 0)
		mood = IS_DOWN;
	switch ((enum mood)mood) {
	case GIVES:
	case GIVES_NOTHING: done->status = LOGIN_GIVEN; break;
	case REFUSES:
		done->status =
			login_fault_set(&done->fault, LOGIN_REFUSED, "let them in", "not this one");
		break;
	case IS_MISCONFIGURED:
		done->status = login_fault_set(
			&done->fault, LOGIN_MISCONFIGURED, "get a key", "the key is wrong");
		break;
	case IS_DOWN:
		done->status = login_fault_set(
			&done->fault, LOGIN_UNAVAILABLE, "wait", "it does not answer");
		break;
	case IS_MUTE: sleep(600); break;
	case DIES: _exit(1);
	}
}

static void serve_ticket(void *context, const struct message *question, int question_fd,
	struct message *answer, int *answer_fd)
{
	const struct login_subject *subject = &question->u.login_job.subject;
	char ticket[600];

	(void)context;
	(void)question_fd;
	give(question, &answer->u.login_done);
	snprintf(ticket, sizeof(ticket), "%s@%s for %s", subject->account, subject->realm,
		question->u.login_job.service);
	if (answer->u.login_done.status == LOGIN_GIVEN &&
		atomic_load(&script->mood) != GIVES_NOTHING)
		*answer_fd = file_with(ticket);
}

static void serve_secret(void *context, const struct message *question, int question_fd,
	struct message *answer, int *answer_fd)
{
	struct message_login_done *done = &answer->u.login_done;

	(void)context;
	(void)question_fd;
	(void)answer_fd;
	give(question, done);
	done->secret_len =
		(uint32_t)snprintf((char *)done->secret, sizeof(done->secret), "secret %d of %s",
			atomic_load(&script->fetches), question->u.login_job.subject.mailbox);
}

/* In the helper that has the tickets. */
static struct {
	uint64_t keys[TICKETS_MAX];
	char texts[TICKETS_MAX][600];
	uint32_t context; /* the last one */
	bool is_open[TICKETS_MAX];
} wallet;

static size_t find_ticket(uint64_t key)
{
	for (size_t i = 0; i < TICKETS_MAX; i++)
		if (wallet.keys[i] == key)
			return i;
	return TICKETS_MAX;
}

static void put(uint64_t key, int fd)
{
	size_t i = find_ticket(key);

	if (i == TICKETS_MAX)
		i = find_ticket(0);
	atomic_fetch_add(&script->puts, 1);
	memset(wallet.texts[i], 0, sizeof(wallet.texts[i]));
	if (pread(fd, wallet.texts[i], sizeof(wallet.texts[i]) - 1, 0) <= 0)
		_exit(1);
	wallet.keys[i] = key;
}

static void make_token(uint64_t key, struct message_login_done *done)
{
	size_t i = find_ticket(key);

	atomic_fetch_add(&script->tokens, 1);
	if (atomic_load(&script->dies_at_token) > 0) {
		atomic_fetch_sub(&script->dies_at_token, 1);
		_exit(1);
	}
	if (atomic_load(&script->hangs_at_token) > 0) {
		atomic_fetch_sub(&script->hangs_at_token, 1);
		sleep(600);
	}
	if (i == TICKETS_MAX) {
		done->status = login_fault_set(
			&done->fault, LOGIN_UNAVAILABLE, NULL, "there is no such ticket");
		return;
	}
	done->context = ++wallet.context;
	wallet.is_open[done->context] = true;
	done->secret_len = (uint32_t)snprintf(
		(char *)done->secret, sizeof(done->secret), "token of %s", wallet.texts[i]);
}

static void serve_tokens(void *context, const struct message *question, int question_fd,
	struct message *answer, int *answer_fd)
{
	struct message_login_done *done = &answer->u.login_done;
	uint32_t open;
	size_t i;

	(void)context;
	(void)answer_fd;
	atomic_store(&script->tokens_pid, getpid());
	switch (question->type) {
	case MESSAGE_TICKET_PUT: put(question->u.ticket.key, question_fd); break;
	case MESSAGE_TICKET_DROP:
		atomic_fetch_add(&script->drops, 1);
		i = find_ticket(question->u.ticket.key);
		if (i < TICKETS_MAX)
			wallet.keys[i] = 0;
		break;
	case MESSAGE_TOKEN_JOB: make_token(question->u.ticket.key, done); break;
	case MESSAGE_LOGIN_PROOF:
		open = question->u.login_proof.context;
		done->status = LOGIN_GIVEN;
		if (open >= TICKETS_MAX || !wallet.is_open[open] ||
			question->u.login_proof.len != 4)
			done->status = login_fault_set(
				&done->fault, LOGIN_REFUSED, NULL, "it proves nothing");
		if (open < TICKETS_MAX)
			wallet.is_open[open] = false;
		break;
	case MESSAGE_LOGIN_FORGET:
		while (atomic_load(&script->is_busy))
			usleep(1000);
		atomic_fetch_add(&script->forgets, 1);
		open = question->u.login_forget.context;
		if (open < TICKETS_MAX)
			wallet.is_open[open] = false;
		break;
	default: _exit(1);
	}
}

static const struct helper_work ticket = {.part = PART_TICKET,
	.name = "eas-ticket",
	.count = 1,
	.limit_ms = 60 * 1000,
	.questions = {MESSAGE_LOGIN_JOB},
	.answer = MESSAGE_LOGIN_DONE,
	.serve = serve_ticket};

static const struct helper_work tokens = {.part = PART_TOKENS,
	.name = "eas-tokens",
	.count = 1,
	.limit_ms = 60 * 1000,
	.questions = {MESSAGE_TICKET_PUT, MESSAGE_TICKET_DROP, MESSAGE_TOKEN_JOB,
		MESSAGE_LOGIN_PROOF, MESSAGE_LOGIN_FORGET},
	.answer = MESSAGE_LOGIN_DONE,
	.serve = serve_tokens};

static const struct helper_work bearer = {.part = PART_BEARER,
	.name = "eas-bearer",
	.count = 1,
	.limit_ms = 60 * 1000,
	.questions = {MESSAGE_LOGIN_JOB},
	.answer = MESSAGE_LOGIN_DONE,
	.serve = serve_secret};

/* The identity process */

static int64_t ahead_ms(void)
{
	return clock_ms() + it.ahead_ms;
}

static int64_t ahead_now(void)
{
	return time(NULL) + it.ahead_ms / 1000;
}

static const struct login_clock fake_clock = {.ms = ahead_ms, .now = ahead_now};

static bool take(void *context, struct peer *peer, const struct message *message)
{
	(void)context;
	return identity_login_take(it.login, peer, message);
}

static void on_changed(void *context, enum login_kind kind)
{
	(void)context;
	it.states[kind]++;
}

static void connect_worker(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == -1)
		abort();
	peer_add(&it.peers, ROLE_WORKER, pair[0]);
	it.worker = pair[1];
}

static void set_up(void)
{
	memset(&it, 0, sizeof(it));
	memset(script, 0, sizeof(*script));
	script->life_s = HOUR_S;
	it.realm = (struct config_kerberos){.realm = "CONTOSO.TEST", .keytab.fd = -1};
	it.config.trust.store.fd = it.config.upstream.ca.fd = -1;
	it.config.devices.quarantine_text.fd = -1;
	it.config.kerberos = &it.realm;
	it.config.kerberos_count = 1;
	it.config.bearer.subject = "%{mailbox}";
	it.config.assertion.header = "";
	it.endpoints[0] = (struct config_endpoint){.text = "http://mail", .host = "mail"};
	it.endpoints[1] = (struct config_endpoint){.text = "http://other", .host = "other"};
	it.config.upstream.endpoints = it.endpoints;
	it.config.upstream.endpoint_count = 2;
	it.config.upstream.host = "";
	it.config.upstream.spn = "HTTP/%{host}";
	it.config.upstream.login_user = "%{local-part}";
	it.config.upstream.login_time_ms = LIMIT_MS;
	it.config.upstream.login_cache = 10;
	it.config.upstream.login_queue = 1000;
	it.config.upstream.login_failed_ms = 30 * 1000;
	it.works = (struct identity_works){.ticket = &ticket, .tokens = &tokens, .bearer = &bearer};
	it.shared = calloc(1, sizeof(*it.shared));
	it.child = (struct child){
		.role = ROLE_IDENTITY, .config = &it.config, .shared = it.shared, .supervisor = -1};
}

static void start(void)
{
	struct error err;

	it.login = identity_login_open(&it.child, &it.works, &fake_clock, &err);
	it.base = event_base_new();
	CU_ASSERT_PTR_NOT_NULL_FATAL(it.login);
	CU_ASSERT_EQUAL_FATAL(identity_login_start(it.login, it.base, NULL, on_changed, NULL), 0);
	it.peers = (struct peers){.base = it.base, .take = take};
	connect_worker();
}

static struct shared_login *counts(void)
{
	return &it.shared->logins[LOGIN_KERBEROS];
}

/* Turns the loop until it is so. */
#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		int64_t begun_ms = clock_ms();                                                     \
		while (!(condition)) {                                                             \
			event_base_loop(it.base, EVLOOP_NONBLOCK);                                 \
			if (clock_ms() - begun_ms > WAIT_MS) {                                     \
				fprintf(stderr, "line %d: waited in vain for %s\n", __LINE__,      \
					#condition);                                               \
				exit(1);                                                           \
			}                                                                          \
			usleep(200);                                                               \
		}                                                                                  \
	} while (0)

static uint64_t ask_kind(
	enum login_kind kind, const char *mailbox, const char *service, bool is_fresh)
{
	struct message query = {.type = MESSAGE_LOGIN_QUERY};

	query.u.login_query.id = ++it.last_id;
	query.u.login_query.kind = kind;
	query.u.login_query.is_fresh = is_fresh;
	snprintf(query.u.login_query.mailbox, sizeof(query.u.login_query.mailbox), "%s", mailbox);
	snprintf(query.u.login_query.service, sizeof(query.u.login_query.service), "%s", service);
	if (message_send(it.worker, &query, -1) == -1)
		abort();
	return it.last_id;
}

static uint64_t ask(const char *mailbox)
{
	return ask_kind(LOGIN_KERBEROS, mailbox, "HTTP/mail", false);
}

static bool receive(struct message *message)
{
	int fd = -1;

	return message_receive(it.worker, message, &fd) == 1;
}

static struct message_login_answer answer(void)
{
	struct message message;

	UNTIL(receive(&message));
	CU_ASSERT_EQUAL_FATAL(message.type, MESSAGE_LOGIN_ANSWER);
	return message.u.login_answer;
}

static struct message_login_answer login(const char *mailbox)
{
	struct message_login_answer answered;
	uint64_t id = ask(mailbox);

	answered = answer();
	CU_ASSERT_EQUAL(answered.id, id);
	return answered;
}

static bool is_given(const struct message_login_answer *answered, const char *secret)
{
	return answered->refusal == REFUSAL_NONE && answered->secret_len == strlen(secret) &&
	       memcmp(answered->secret, secret, answered->secret_len) == 0;
}

static void expect_given(const char *mailbox, bool was_known)
{
	struct message_login_answer answered = login(mailbox);

	CU_ASSERT_EQUAL(answered.refusal, REFUSAL_NONE);
	CU_ASSERT_EQUAL(answered.was_known, was_known);
	CU_ASSERT_NOT_EQUAL(answered.context, 0);
}

static void expect_refusal(const char *mailbox, enum refusal refusal, const char *text)
{
	struct message_login_answer answered = login(mailbox);

	CU_ASSERT_EQUAL(answered.refusal, refusal);
	CU_ASSERT_EQUAL(answered.secret_len, 0);
	if (strstr(answered.fault.text, text) == NULL)
		fprintf(stderr, "\"%s\" is not in \"%s\"\n", text, answered.fault.text);
	CU_ASSERT_PTR_NOT_NULL(strstr(answered.fault.text, text));
}

static void drop(const char *mailbox)
{
	struct message message = {.type = MESSAGE_LOGIN_DROP};

	snprintf(message.u.login_drop.mailbox, sizeof(message.u.login_drop.mailbox), "%s", mailbox);
	if (message_send(it.worker, &message, -1) == -1)
		abort();
}

static bool prove(uint32_t context, const char *token)
{
	struct message message = {.type = MESSAGE_LOGIN_PROOF};

	message.u.login_proof.id = 77;
	message.u.login_proof.context = context;
	message.u.login_proof.len = (uint32_t)strlen(token);
	memcpy(message.u.login_proof.token, token, strlen(token));
	if (message_send(it.worker, &message, -1) == -1)
		abort();
	UNTIL(receive(&message));
	CU_ASSERT_EQUAL_FATAL(message.type, MESSAGE_LOGIN_PROVEN);
	CU_ASSERT_EQUAL(message.u.login_proven.id, 77);
	CU_ASSERT_EQUAL(message.u.login_proven.is_proven, message.u.login_proven.reason[0] == '\0');
	return message.u.login_proven.is_proven != 0;
}

static void tear_down(void)
{
	/* The helper that has the tickets works in order: nothing is under way behind this. */
	prove(0, "end");
	close(it.worker);
	UNTIL(LIST_EMPTY(&it.peers.list));
	identity_login_close(it.login);
	event_base_free(it.base);
	free(it.shared);
}

/* Getting and knowing */

static void test_a_login_is_got_once_and_then_known(void)
{
	struct message_login_answer first, second;

	set_up();
	start();
	first = login("alice@contoso.test");
	CU_ASSERT_TRUE(is_given(&first, "token of alice@CONTOSO.TEST for HTTP/mail"));
	CU_ASSERT_STRING_EQUAL(first.account, "alice@CONTOSO.TEST");
	CU_ASSERT_EQUAL(first.was_known, 0);
	CU_ASSERT_TRUE(first.fetch_us > 0);
	second = login("alice@contoso.test");
	CU_ASSERT_TRUE(is_given(&second, "token of alice@CONTOSO.TEST for HTTP/mail"));
	CU_ASSERT_EQUAL(second.was_known, 1);
	CU_ASSERT_EQUAL(second.fetch_us, 0);
	CU_ASSERT_TRUE(second.token_us > 0);
	CU_ASSERT_NOT_EQUAL(first.context, second.context);
	CU_ASSERT_EQUAL(script->fetches, 1);
	CU_ASSERT_EQUAL(script->tokens, 2);
	CU_ASSERT_EQUAL(counts()->given, 2);
	CU_ASSERT_EQUAL(counts()->known, 1);
	CU_ASSERT_EQUAL(counts()->fetched, 1);
	CU_ASSERT_EQUAL(counts()->cached, 1);
	tear_down();
}

static void test_whoever_asks_at_the_same_time_waits_for_the_same_ticket(void)
{
	enum { ASKED = 20 };

	uint32_t contexts[ASKED];

	set_up();
	start();
	script->is_held = 1;
	for (int i = 0; i < ASKED; i++)
		ask("alice@contoso.test");
	UNTIL(script->fetches == 1);
	script->is_held = 0;
	for (int i = 0; i < ASKED; i++) {
		struct message_login_answer answered = answer();

		CU_ASSERT_EQUAL(answered.refusal, REFUSAL_NONE);
		contexts[i] = answered.context;
		for (int j = 0; j < i; j++)
			CU_ASSERT_NOT_EQUAL(contexts[i], contexts[j]);
	}
	CU_ASSERT_EQUAL(script->fetches, 1);
	tear_down();
}

static void test_nobody_gets_anothers_ticket(void)
{
	static const char *const users[] = {"alice", "bob", "carol", "dave", "eve"};
	struct message_login_answer answered;
	char mailbox[64], expected[96];

	set_up();
	start();
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
			snprintf(mailbox, sizeof(mailbox), "%s@contoso.test", users[i]);
			snprintf(expected, sizeof(expected),
				"token of %s@CONTOSO.TEST for HTTP/mail", users[i]);
			answered = login(mailbox);
			CU_ASSERT_TRUE(is_given(&answered, expected));
		}
	ask_kind(LOGIN_KERBEROS, "alice@contoso.test", "HTTP/other", false);
	answered = answer();
	CU_ASSERT_TRUE(is_given(&answered, "token of alice@CONTOSO.TEST for HTTP/other"));
	CU_ASSERT_EQUAL(script->fetches, 6);
	tear_down();
}

static void test_a_login_that_was_found_wanting_is_got_anew(void)
{
	set_up();
	start();
	expect_given("alice@contoso.test", false);
	it.ahead_ms += 2000;
	ask_kind(LOGIN_KERBEROS, "alice@contoso.test", "HTTP/mail", true);
	CU_ASSERT_EQUAL(answer().was_known, 0);
	CU_ASSERT_EQUAL(script->fetches, 2);
	/* Another worker, which has found the old one wanting at the same time. */
	ask_kind(LOGIN_KERBEROS, "alice@contoso.test", "HTTP/mail", true);
	CU_ASSERT_EQUAL(answer().was_known, 1);
	CU_ASSERT_EQUAL(script->fetches, 2);
	tear_down();
}

static void test_a_ticket_is_renewed_ahead_while_it_is_used(void)
{
	set_up();
	script->life_s = 1000;
	start();
	expect_given("alice@contoso.test", false);
	it.ahead_ms += INT64_C(790000);
	expect_given("alice@contoso.test", true);
	CU_ASSERT_EQUAL(script->fetches, 1);
	it.ahead_ms += INT64_C(20000);
	script->life_s = 2000;
	expect_given("alice@contoso.test", true); /* without a wait */
	UNTIL(counts()->renewed == 1);
	it.ahead_ms += INT64_C(500000); /* the first one has ended */
	expect_given("alice@contoso.test", true);
	CU_ASSERT_EQUAL(script->fetches, 2);
	CU_ASSERT_EQUAL(counts()->cached, 1);
	tear_down();
}

static void test_a_renewal_that_fails_leaves_what_there_is(void)
{
	set_up();
	script->life_s = 1000;
	start();
	expect_given("alice@contoso.test", false);
	it.ahead_ms += INT64_C(810000);
	script->mood = IS_DOWN;
	expect_given("alice@contoso.test", true);
	UNTIL(script->fetches == 2);
	expect_given("alice@contoso.test", true);
	expect_given("alice@contoso.test", true);
	CU_ASSERT_EQUAL(script->fetches, 2); /* not at every question */
	it.ahead_ms += INT64_C(31000);
	script->mood = GIVES;
	expect_given("alice@contoso.test", true);
	UNTIL(counts()->renewed == 1);
	tear_down();
}

static void test_a_renewal_that_is_refused_ends_what_there_is(void)
{
	set_up();
	script->life_s = 1000;
	start();
	expect_given("alice@contoso.test", false);
	it.ahead_ms += INT64_C(810000);
	script->mood = REFUSES;
	expect_given("alice@contoso.test", true);
	UNTIL(script->drops == 1);
	expect_refusal("alice@contoso.test", REFUSAL_LOGIN_REFUSED, "not this one");
	tear_down();
}

static void test_a_ticket_that_has_ended_is_not_used(void)
{
	set_up();
	script->life_s = 1000;
	start();
	expect_given("alice@contoso.test", false);
	it.ahead_ms += INT64_C(996000);
	script->life_s = 3000;
	expect_given("alice@contoso.test", false);
	CU_ASSERT_EQUAL(script->fetches, 2);
	tear_down();
}

static void test_the_least_recently_used_ticket_makes_room(void)
{
	set_up();
	it.config.upstream.login_cache = 2;
	start();
	expect_given("alice@contoso.test", false);
	expect_given("bob@contoso.test", false);
	expect_given("alice@contoso.test", true);
	expect_given("carol@contoso.test", false);
	CU_ASSERT_EQUAL(script->drops, 1);
	CU_ASSERT_EQUAL(counts()->cached, 2);
	CU_ASSERT_EQUAL(counts()->dropped, 0); /* nobody was revoked */
	expect_given("alice@contoso.test", true);
	expect_given("bob@contoso.test", false);
	tear_down();
}

/* Failing */

static void test_a_refusal_is_remembered_for_a_while(void)
{
	set_up();
	start();
	expect_refusal("nobody@contoso.test", REFUSAL_LOGIN_REFUSED, "not this one");
	expect_refusal("nobody@contoso.test", REFUSAL_LOGIN_REFUSED, "not this one");
	CU_ASSERT_EQUAL(script->fetches, 1);
	expect_given("alice@contoso.test", false);
	it.ahead_ms += INT64_C(31000);
	expect_refusal("nobody@contoso.test", REFUSAL_LOGIN_REFUSED, "not this one");
	CU_ASSERT_EQUAL(script->fetches, 3);
	CU_ASSERT_EQUAL(counts()->refused, 3);
	CU_ASSERT_EQUAL(counts()->is_down, 0);
	tear_down();
}

static void test_more_than_the_queue_holds_is_not_begun(void)
{
	unsigned int refused = 0;

	set_up();
	it.config.upstream.login_queue = 2;
	start();
	script->is_held = 1;
	ask("user0@contoso.test");
	UNTIL(script->fetches == 1);
	for (int i = 1; i < 5; i++) {
		char mailbox[32];

		snprintf(mailbox, sizeof(mailbox), "user%d@contoso.test", i);
		ask(mailbox);
	}
	for (int i = 0; i < 2; i++) {
		struct message_login_answer answered = answer();

		CU_ASSERT_EQUAL(answered.refusal, REFUSAL_LOGIN_UNAVAILABLE);
		CU_ASSERT_PTR_NOT_NULL(strstr(answered.fault.hint, "login-queue"));
	}
	CU_ASSERT_EQUAL(counts()->waiting, 2);
	script->is_held = 0;
	for (int i = 0; i < 3; i++)
		refused += answer().refusal != REFUSAL_NONE;
	CU_ASSERT_EQUAL(refused, 0);
	CU_ASSERT_EQUAL(counts()->waiting, 0);
	tear_down();
}

static void test_a_helper_that_takes_too_long_is_replaced(void)
{
	set_up();
	it.config.upstream.login_time_ms = 1500;
	start();
	script->mood = IS_MUTE;
	expect_refusal("alice@contoso.test", REFUSAL_LOGIN_UNAVAILABLE, "in time");
	script->mood = GIVES;
	expect_given("alice@contoso.test", false);
	CU_ASSERT_EQUAL(counts()->failed, 1);
	tear_down();
}

static void test_a_helper_that_dies_is_replaced(void)
{
	set_up();
	start();
	script->mood = DIES;
	expect_refusal("alice@contoso.test", REFUSAL_LOGIN_UNAVAILABLE, "died");
	script->mood = GIVES;
	expect_given("alice@contoso.test", false);
	tear_down();
}

static void test_who_gives_a_ticket_without_one_is_not_believed(void)
{
	set_up();
	start();
	script->mood = GIVES_NOTHING;
	expect_refusal("alice@contoso.test", REFUSAL_LOGIN_UNAVAILABLE, "lost");
	tear_down();
}

static void go_down(enum mood mood)
{
	script->mood = mood;
	while (counts()->is_down == 0)
		CU_ASSERT_EQUAL(login("someone@contoso.test").refusal, REFUSAL_LOGIN_UNAVAILABLE);
}

static void test_who_does_not_answer_is_left_alone_and_tried_again(void)
{
	int64_t since;
	struct message state = {0};
	int fetches;

	set_up();
	start();
	go_down(IS_DOWN);
	CU_ASSERT_EQUAL(script->fetches, 3);
	CU_ASSERT_EQUAL(it.states[LOGIN_KERBEROS], 1);
	identity_login_state(it.login, LOGIN_KERBEROS, &state);
	CU_ASSERT_EQUAL(state.u.login_state.is_down, 1);
	CU_ASSERT_STRING_EQUAL(state.u.login_state.fault.text, "it does not answer");
	since = state.u.login_state.since;
	CU_ASSERT_TRUE(since > 0 && (uint64_t)since == counts()->since);
	expect_refusal("alice@contoso.test", REFUSAL_LOGIN_UNAVAILABLE, "it does not answer");
	expect_refusal("bob@contoso.test", REFUSAL_LOGIN_UNAVAILABLE, "it does not answer");
	CU_ASSERT_EQUAL(script->fetches, 3);
	UNTIL(script->fetches == 4); /* by itself, and in vain */
	CU_ASSERT_EQUAL(counts()->is_down, 1);
	script->mood = GIVES;
	UNTIL(counts()->is_down == 0);
	fetches = script->fetches;
	CU_ASSERT_EQUAL(it.states[LOGIN_KERBEROS], 2);
	expect_given("alice@contoso.test", false);
	CU_ASSERT_EQUAL(script->fetches, fetches + 1);
	tear_down();
}

static void test_what_is_our_own_fault_is_said_to_be(void)
{
	struct message_login_answer answered;

	set_up();
	start();
	go_down(IS_MISCONFIGURED);
	answered = login("alice@contoso.test");
	CU_ASSERT_EQUAL(answered.refusal, REFUSAL_LOGIN_UNAVAILABLE);
	CU_ASSERT_STRING_EQUAL(answered.fault.text, "the key is wrong");
	CU_ASSERT_STRING_EQUAL(answered.fault.hint, "get a key");
	tear_down();
}

static void test_one_service_that_cannot_be_had_leaves_the_others_alone(void)
{
	set_up();
	start();
	go_down(IS_DOWN);
	script->mood = GIVES;
	script->is_held = 1; /* so that nobody finds out yet */
	ask_kind(LOGIN_KERBEROS, "alice@contoso.test", "HTTP/other", false);
	UNTIL(script->fetches == 4);
	CU_ASSERT_EQUAL(counts()->is_down, 1);
	script->is_held = 0;
	CU_ASSERT_EQUAL(answer().refusal, REFUSAL_NONE);
	UNTIL(counts()->is_down == 0);
	tear_down();
}

static void test_one_user_who_cannot_be_helped_keeps_nobody_out_for_long(void)
{
	set_up();
	start();
	while (counts()->is_down == 0)
		expect_refusal("poison@contoso.test", REFUSAL_LOGIN_UNAVAILABLE, "not answer");
	expect_refusal("alice@contoso.test", REFUSAL_LOGIN_UNAVAILABLE, "not answer");
	UNTIL(counts()->is_down == 0);
	expect_given("alice@contoso.test", false);
	tear_down();
}

static void test_known_logins_are_used_while_nobody_gives_others(void)
{
	set_up();
	start();
	expect_given("alice@contoso.test", false);
	go_down(IS_DOWN);
	expect_given("alice@contoso.test", true);
	tear_down();
}

static void test_known_logins_are_not_used_where_that_is_not_wanted(void)
{
	set_up();
	it.config.upstream.login_down = CONFIG_LOGIN_DOWN_REFUSE;
	start();
	expect_given("alice@contoso.test", false);
	go_down(IS_DOWN);
	expect_refusal("alice@contoso.test", REFUSAL_LOGIN_UNAVAILABLE, "it does not answer");
	script->mood = GIVES;
	UNTIL(counts()->is_down == 0);
	expect_given("alice@contoso.test", true);
	tear_down();
}

/* Dropping */

static void test_what_is_dropped_is_not_used_again(void)
{
	set_up();
	start();
	expect_given("alice@contoso.test", false);
	expect_given("bob@contoso.test", false);
	drop("alice@contoso.test");
	UNTIL(script->drops == 1);
	CU_ASSERT_EQUAL(counts()->dropped, 1);
	CU_ASSERT_EQUAL(counts()->cached, 1);
	expect_given("alice@contoso.test", false);
	expect_given("bob@contoso.test", true);
	tear_down();
}

static void test_what_is_dropped_while_it_is_got_is_given_to_nobody(void)
{
	set_up();
	start();
	script->is_held = 1;
	ask("alice@contoso.test");
	UNTIL(script->fetches == 1);
	drop("alice@contoso.test");
	ask("alice@contoso.test");
	CU_ASSERT_EQUAL(answer().refusal, REFUSAL_LOGIN_UNAVAILABLE);
	script->is_held = 0;
	CU_ASSERT_EQUAL(answer().refusal, REFUSAL_LOGIN_UNAVAILABLE);
	CU_ASSERT_EQUAL(script->puts, 0);
	expect_given("alice@contoso.test", false);
	CU_ASSERT_EQUAL(script->fetches, 2);
	tear_down();
}

static void take_users(const char *mailbox, int64_t valid_from)
{
	const struct user_entry user = {.mailbox = mailbox, .valid_from = valid_from};
	struct error err;
	int fd = user_index_write(&user, 1, &err);

	identity_login_take_users(it.login, fd);
	close(fd);
}

static void test_logins_of_users_who_are_out_are_dropped(void)
{
	set_up();
	start();
	expect_given("alice@contoso.test", false);
	expect_given("bob@contoso.test", false);
	take_users("alice@contoso.test", ahead_now() - 100); /* and in again before this login */
	expect_given("alice@contoso.test", true);
	take_users("alice@contoso.test", ahead_now() + 1);
	UNTIL(script->drops == 1);
	expect_given("bob@contoso.test", true);
	it.ahead_ms += 5000;
	expect_given("alice@contoso.test", false);
	take_users("alice@contoso.test", ahead_now() - 4);
	expect_given("alice@contoso.test", true);
	tear_down();
}

/* The helper that has the tickets */

static void test_tickets_that_died_with_their_helper_are_got_anew(void)
{
	struct message_login_answer answered;

	set_up();
	start();
	answered = login("alice@contoso.test");
	expect_given("bob@contoso.test", false);
	CU_ASSERT_EQUAL(kill(script->tokens_pid, SIGKILL), 0);
	UNTIL(counts()->cached == 0);
	CU_ASSERT_FALSE(prove(answered.context, "good"));
	CU_ASSERT_EQUAL(counts()->unproven, 1);
	expect_given("alice@contoso.test", false);
	CU_ASSERT_EQUAL(script->fetches, 3);
	CU_ASSERT_EQUAL(script->drops, 0); /* there is nothing to drop */
	tear_down();
}

static void test_a_helper_that_dies_of_a_token_is_tried_once_more(void)
{
	set_up();
	start();
	expect_given("alice@contoso.test", false);
	script->dies_at_token = 1;
	expect_given("alice@contoso.test", false);
	CU_ASSERT_EQUAL(script->fetches, 2);
	script->dies_at_token = 2;
	expect_refusal("alice@contoso.test", REFUSAL_LOGIN_UNAVAILABLE, "died");
	CU_ASSERT_EQUAL(script->dies_at_token, 0);
	expect_given("alice@contoso.test", false);
	tear_down();
}

static void test_a_helper_that_hangs_at_a_token_is_replaced(void)
{
	set_up();
	it.config.upstream.login_time_ms = 1500;
	start();
	expect_given("alice@contoso.test", false);
	script->hangs_at_token = 1;
	expect_given("alice@contoso.test", false);
	CU_ASSERT_EQUAL(script->fetches, 2);
	expect_given("alice@contoso.test", true);
	tear_down();
}

static void test_a_server_proves_itself_once(void)
{
	struct message_login_answer first, second;

	set_up();
	start();
	first = login("alice@contoso.test");
	second = login("alice@contoso.test");
	CU_ASSERT_TRUE(prove(first.context, "good"));
	CU_ASSERT_FALSE(prove(first.context, "good"));
	CU_ASSERT_FALSE(prove(second.context, "not so good"));
	CU_ASSERT_FALSE(prove(12345, "good"));
	tear_down();
}

static void test_contexts_that_nobody_needs_are_forgotten(void)
{
	struct message message = {.type = MESSAGE_LOGIN_FORGET};

	set_up();
	start();
	message.u.login_forget.context = login("alice@contoso.test").context;
	CU_ASSERT_EQUAL(message_send(it.worker, &message, -1), 0);
	UNTIL(script->forgets == 1);
	CU_ASSERT_FALSE(prove(message.u.login_forget.context, "good"));
	/* The worker dies while it waits. */
	script->is_held = 1;
	ask("bob@contoso.test");
	UNTIL(script->fetches == 2);
	close(it.worker);
	UNTIL(LIST_EMPTY(&it.peers.list));
	script->is_held = 0;
	UNTIL(script->forgets == 2);
	connect_worker();
	expect_given("bob@contoso.test", true);
	tear_down();
}

static void test_a_worker_is_not_heard_while_more_is_to_be_forgotten_than_can_be_kept(void)
{
	const struct message message = {
		.type = MESSAGE_LOGIN_FORGET, .u.login_forget = {.context = 1}};
	int sent = 0, waits = 0;

	set_up();
	start();
	expect_given("alice@contoso.test", false);
	script->is_busy = 1;
	while (sent < FORGETS_MANY && waits < 100) {
		if (message_send(it.worker, &message, -1) == 0) {
			sent++;
			waits = 0;
		} else {
			waits++;
			event_base_loop(it.base, EVLOOP_NONBLOCK);
		}
	}
	CU_ASSERT(sent < FORGETS_MANY);
	script->is_busy = 0;
	UNTIL(script->forgets == sent);
	expect_given("alice@contoso.test", true);
	tear_down();
}

/* Another account */

static void test_a_mailbox_whose_account_is_another_one_now_is_dropped(void)
{
	static struct directory_answer said = {.status = DIRECTORY_FOUND,
		.mailbox = "alice@contoso.test",
		.account = "alice",
		.realm = "CONTOSO.TEST"};
	struct message message;

	set_up();
	start();
	expect_given("alice@contoso.test", false);
	expect_given("bob@contoso.test", false);
	it.config.upstream.login_user = "";
	it.config.directory.backend = CONFIG_DIRECTORY_LDAP;
	CU_ASSERT_FALSE(identity_login_note(it.login, &said));
	strcpy(said.account, "alice2");
	CU_ASSERT_TRUE(identity_login_note(it.login, &said));
	CU_ASSERT_FALSE(identity_login_note(it.login, &said));
	UNTIL(script->drops == 1);
	CU_ASSERT_EQUAL(counts()->cached, 1);
	peers_tell_drop(&it.peers, "alice@contoso.test");
	UNTIL(receive(&message));
	CU_ASSERT_EQUAL(message.type, MESSAGE_LOGIN_DROP);
	CU_ASSERT_STRING_EQUAL(message.u.login_drop.mailbox, "alice@contoso.test");
	tear_down();
}

/* What workers may not say */

static void expect_given_up(enum login_kind kind, const char *service)
{
	ask_kind(kind, "alice@contoso.test", service, false);
	UNTIL(LIST_EMPTY(&it.peers.list));
	CU_ASSERT_EQUAL(script->fetches, 0);
	close(it.worker);
	connect_worker();
}

static void test_logins_are_for_the_services_of_the_configuration_alone(void)
{
	set_up();
	start();
	expect_given_up(LOGIN_KERBEROS, "cifs/mail");
	expect_given_up(LOGIN_KERBEROS, "HTTP/elsewhere");
	expect_given_up(LOGIN_KERBEROS, "");
	expect_given_up(LOGIN_BEARER, "HTTP/mail");
	expect_given("alice@contoso.test", false);
	tear_down();
}

/* Secrets */

static struct message_login_answer get_secret(const char *mailbox)
{
	ask_kind(LOGIN_BEARER, mailbox, "", false);
	return answer();
}

static void test_a_secret_is_kept_for_half_a_minute(void)
{
	struct message_login_answer answered;

	set_up();
	it.config.upstream.login_user = "";
	start();
	answered = get_secret("alice@contoso.test");
	CU_ASSERT_TRUE(is_given(&answered, "secret 1 of alice@contoso.test"));
	CU_ASSERT_EQUAL(answered.context, 0);
	it.ahead_ms += INT64_C(29000);
	answered = get_secret("alice@contoso.test");
	CU_ASSERT_TRUE(is_given(&answered, "secret 1 of alice@contoso.test"));
	CU_ASSERT_EQUAL(answered.was_known, 1);
	it.ahead_ms += 2000;
	answered = get_secret("alice@contoso.test");
	CU_ASSERT_TRUE(is_given(&answered, "secret 2 of alice@contoso.test"));
	drop("alice@contoso.test");
	answered = get_secret("alice@contoso.test");
	CU_ASSERT_TRUE(is_given(&answered, "secret 3 of alice@contoso.test"));
	CU_ASSERT_EQUAL(it.shared->logins[LOGIN_BEARER].fetched, 3);
	CU_ASSERT_EQUAL(script->drops, 0); /* of tickets */
	tear_down();
}

static void test_whoever_asks_at_the_same_time_gets_the_same_secret(void)
{
	set_up();
	it.config.upstream.login_user = "";
	start();
	script->is_held = 1;
	for (int i = 0; i < 8; i++)
		ask_kind(LOGIN_BEARER, "alice@contoso.test", "", false);
	UNTIL(script->fetches == 1);
	script->is_held = 0;
	for (int i = 0; i < 8; i++) {
		struct message_login_answer answered = answer();

		CU_ASSERT_TRUE(is_given(&answered, "secret 1 of alice@contoso.test"));
	}
	tear_down();
}

static void test_a_login_that_is_not_configured_is_not_to_be_had(void)
{
	set_up();
	start();
	ask_kind(LOGIN_MINTED, "alice@contoso.test", "", false);
	CU_ASSERT_EQUAL(answer().refusal, REFUSAL_LOGIN_UNAVAILABLE);
	tear_down();
}

int main(void)
{
	static const struct check checks[] = {
		{"a login is got once and then known", test_a_login_is_got_once_and_then_known},
		{"whoever asks at the same time waits for the same ticket",
			test_whoever_asks_at_the_same_time_waits_for_the_same_ticket},
		{"nobody gets another's ticket", test_nobody_gets_anothers_ticket},
		{"a login that was found wanting is got anew",
			test_a_login_that_was_found_wanting_is_got_anew},
		{"a ticket is renewed ahead while it is used",
			test_a_ticket_is_renewed_ahead_while_it_is_used},
		{"a renewal that fails leaves what there is",
			test_a_renewal_that_fails_leaves_what_there_is},
		{"a renewal that is refused ends what there is",
			test_a_renewal_that_is_refused_ends_what_there_is},
		{"a ticket that has ended is not used", test_a_ticket_that_has_ended_is_not_used},
		{"the least recently used ticket makes room",
			test_the_least_recently_used_ticket_makes_room},
		{"a refusal is remembered for a while", test_a_refusal_is_remembered_for_a_while},
		{"more than the queue holds is not begun",
			test_more_than_the_queue_holds_is_not_begun},
		{"a helper that takes too long is replaced",
			test_a_helper_that_takes_too_long_is_replaced},
		{"a helper that dies is replaced", test_a_helper_that_dies_is_replaced},
		{"who gives a ticket without one is not believed",
			test_who_gives_a_ticket_without_one_is_not_believed},
		{"who does not answer is left alone and tried again",
			test_who_does_not_answer_is_left_alone_and_tried_again},
		{"what is our own fault is said to be", test_what_is_our_own_fault_is_said_to_be},
		{"one service that cannot be had leaves the others alone",
			test_one_service_that_cannot_be_had_leaves_the_others_alone},
		{"one user who cannot be helped keeps nobody out for long",
			test_one_user_who_cannot_be_helped_keeps_nobody_out_for_long},
		{"known logins are used while nobody gives others",
			test_known_logins_are_used_while_nobody_gives_others},
		{"known logins are not used where that is not wanted",
			test_known_logins_are_not_used_where_that_is_not_wanted},
		{"what is dropped is not used again", test_what_is_dropped_is_not_used_again},
		{"what is dropped while it is got is given to nobody",
			test_what_is_dropped_while_it_is_got_is_given_to_nobody},
		{"logins of users who are out are dropped",
			test_logins_of_users_who_are_out_are_dropped},
		{"tickets that died with their helper are got anew",
			test_tickets_that_died_with_their_helper_are_got_anew},
		{"a helper that dies of a token is tried once more",
			test_a_helper_that_dies_of_a_token_is_tried_once_more},
		{"a helper that hangs at a token is replaced",
			test_a_helper_that_hangs_at_a_token_is_replaced},
		{"a server proves itself once", test_a_server_proves_itself_once},
		{"contexts that nobody needs are forgotten",
			test_contexts_that_nobody_needs_are_forgotten},
		{"a worker is not heard while more is to be forgotten than can be kept",
			test_a_worker_is_not_heard_while_more_is_to_be_forgotten_than_can_be_kept},
		{"a mailbox whose account is another one now is dropped",
			test_a_mailbox_whose_account_is_another_one_now_is_dropped},
		{"logins are for the services of the configuration alone",
			test_logins_are_for_the_services_of_the_configuration_alone},
		{"a secret is kept for half a minute", test_a_secret_is_kept_for_half_a_minute},
		{"whoever asks at the same time gets the same secret",
			test_whoever_asks_at_the_same_time_gets_the_same_secret},
		{"a login that is not configured is not to be had",
			test_a_login_that_is_not_configured_is_not_to_be_had},
	};

	script = mmap(
		NULL, sizeof(*script), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (script == MAP_FAILED)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	return check_run("proxy/identity_login", checks, sizeof(checks) / sizeof(checks[0]));
}
