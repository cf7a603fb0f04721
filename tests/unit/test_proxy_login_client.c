#include "proxy/login_client.h"

#include <sys/socket.h>
#include <unistd.h>

#include "proxy/timeval.h"
#include "tests/unit/check.h"
#include "tests/unit/test_pki.h"

enum { WAITERS = 3 };

/* A worker of which logins need little, those who wait, and the identity process's end of the channel. */
static struct {
	struct config config;
	struct worker *worker;
	struct login_client *client;
	struct login *login;
	int fd, peer;
	struct {
		struct login_waiter waiter;
		unsigned int answers;
		enum refusal refusal;
		char reason[100], token[100];
		uint32_t context;
	} waiters[WAITERS];
	struct message message; /* that came last */
	size_t message_count;
} it;

static enum refusal judge(void *context, const struct credential *credential)
{
	(void)context;
	(void)credential;
	return REFUSAL_NONE;
}

static void drop(void *context, const char *mailbox)
{
	(void)context;
	login_client_drop(it.client, mailbox);
}

static void forget(void *context, uint32_t login_context)
{
	(void)context;
	login_client_forget(it.client, login_context);
}

static void answered(struct login_waiter *waiter, const struct login_result *result)
{
	for (size_t i = 0; i < WAITERS; i++) {
		if (&it.waiters[i].waiter != waiter)
			continue;
		it.waiters[i].answers++;
		it.waiters[i].refusal = result->refusal;
		it.waiters[i].context = result->context;
		snprintf(it.waiters[i].reason, sizeof(it.waiters[i].reason), "%s", result->reason);
		snprintf(it.waiters[i].token, sizeof(it.waiters[i].token), "%.*s",
			(int)result->token.len, (const char *)result->token.data);
	}
}

static void run_for_ms(int time_ms)
{
	struct timeval limit = timeval_of_ms((uint32_t)time_ms);

	event_base_loopexit(it.worker->base, &limit);
	event_base_dispatch(it.worker->base);
}

/* What has come to the identity process. */
static void receive(void)
{
	struct message message;
	int passed;

	while (it.peer != -1 && message_receive(it.peer, &message, &passed) == 1) {
		it.message = message;
		it.message_count++;
	}
}

static void connect_peer(void)
{
	int pair[2];

	PKI_MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	it.fd = pair[0];
	it.peer = pair[1];
	login_client_attach(it.client, it.fd);
}

static void set_up(void)
{
	const struct login_table_calls calls = {judge, drop, forget, NULL};

	memset(&it, 0, sizeof(it));
	it.config.upstream.login_time_ms = 100;
	it.worker = calloc(1, sizeof(*it.worker));
	it.worker->config = &it.config;
	it.worker->base = event_base_new();
	it.worker->logins = login_table_new(it.worker->base, 10, &calls);
	it.client = it.worker->login_client = login_client_new(it.worker);
	it.login = login_table_pin(it.worker->logins, "alice@a.test");
	for (size_t i = 0; i < WAITERS; i++)
		it.waiters[i].waiter.answered = answered;
	connect_peer();
}

static void tear_down(void)
{
	login_client_detach(it.client);
	close(it.fd);
	if (it.peer != -1)
		close(it.peer);
	login_unpin(it.login);
	login_table_free(it.worker->logins);
	login_client_free(it.client);
	event_base_free(it.worker->base);
	free(it.worker);
}

static int want(size_t who)
{
	return login_client_want(it.client, it.login, LOGIN_BEARER, false, &it.waiters[who].waiter);
}

/* As the identity process would answer what came last. */
static void answer(enum refusal refusal, const char *text, uint32_t context)
{
	struct message message = {.type = MESSAGE_LOGIN_ANSWER,
		.u.login_answer = {.id = it.message.u.login_query.id,
			.refusal = refusal,
			.context = context,
			.valid_until = (int64_t)time(NULL) + 3600,
			.account_until = INT64_MAX}};

	if (refusal == REFUSAL_NONE) {
		message.u.login_answer.secret_len = (uint32_t)strlen(text);
		memcpy(message.u.login_answer.secret, text, strlen(text));
	} else {
		snprintf(message.u.login_answer.fault.text,
			sizeof(message.u.login_answer.fault.text), "%s", text);
	}
	login_client_take(it.client, &message);
}

static void test_what_several_need_is_asked_once(void)
{
	set_up();
	for (size_t i = 0; i < WAITERS; i++)
		CU_ASSERT_EQUAL(want(i), 0);
	login_client_leave(&it.waiters[1].waiter);
	receive();
	CU_ASSERT_EQUAL(it.message_count, 1);
	CU_ASSERT_EQUAL(it.message.type, MESSAGE_LOGIN_QUERY);
	CU_ASSERT_EQUAL(it.message.u.login_query.kind, LOGIN_BEARER);
	CU_ASSERT_EQUAL(it.message.u.login_query.is_fresh, 0);
	CU_ASSERT_STRING_EQUAL(it.message.u.login_query.mailbox, "alice@a.test");
	CU_ASSERT_STRING_EQUAL(it.message.u.login_query.service, "");
	answer(REFUSAL_NONE, "token", 0);
	CU_ASSERT_EQUAL(it.waiters[0].answers, 1);
	CU_ASSERT_EQUAL(it.waiters[1].answers, 0);
	CU_ASSERT_EQUAL(it.waiters[2].answers, 1);
	CU_ASSERT_EQUAL(it.waiters[0].refusal, REFUSAL_NONE);
	CU_ASSERT_TRUE(span_equal(login_secret(it.login, LOGIN_BEARER), span_of_string("token")));
	/* The same answer again is nobody's. */
	answer(REFUSAL_NONE, "other", 0);
	CU_ASSERT_TRUE(span_equal(login_secret(it.login, LOGIN_BEARER), span_of_string("token")));
	tear_down();
}

static void test_one_that_is_no_good_is_asked_for_beside_one_under_way(void)
{
	set_up();
	CU_ASSERT_EQUAL(want(0), 0);
	CU_ASSERT_EQUAL(
		login_client_want(it.client, it.login, LOGIN_BEARER, true, &it.waiters[1].waiter),
		0);
	CU_ASSERT_EQUAL(want(2), 0);
	receive();
	CU_ASSERT_EQUAL(it.message_count, 2);
	CU_ASSERT_EQUAL(it.message.u.login_query.is_fresh, 1);
	answer(REFUSAL_NONE, "fresh", 0);
	CU_ASSERT_EQUAL(it.waiters[0].answers, 0);
	CU_ASSERT_EQUAL(it.waiters[1].answers, 1);
	CU_ASSERT_EQUAL(it.waiters[2].answers, 1);
	tear_down();
}

static void test_a_token_is_for_one_connection(void)
{
	set_up();
	for (size_t i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(login_client_token(it.client, it.login, "HTTP/mail.a.test", false,
					&it.waiters[i].waiter),
			0);
	receive();
	CU_ASSERT_EQUAL(it.message_count, 2);
	CU_ASSERT_EQUAL(it.message.u.login_query.kind, LOGIN_KERBEROS);
	CU_ASSERT_STRING_EQUAL(it.message.u.login_query.service, "HTTP/mail.a.test");
	answer(REFUSAL_NONE, "one", 5);
	CU_ASSERT_EQUAL(it.waiters[0].answers, 0);
	CU_ASSERT_EQUAL(it.waiters[1].answers, 1);
	CU_ASSERT_STRING_EQUAL(it.waiters[1].token, "one");
	CU_ASSERT_EQUAL(it.waiters[1].context, 5);
	CU_ASSERT_PTR_NULL(login_secret(it.login, LOGIN_KERBEROS).data);
	tear_down();
}

static void test_a_token_that_nobody_waits_for_any_more_is_forgotten(void)
{
	set_up();
	CU_ASSERT_EQUAL(
		login_client_token(it.client, it.login, "HTTP/m", false, &it.waiters[0].waiter), 0);
	receive();
	login_client_leave(&it.waiters[0].waiter);
	login_client_leave(&it.waiters[0].waiter);
	answer(REFUSAL_NONE, "one", 9);
	CU_ASSERT_EQUAL(it.waiters[0].answers, 0);
	receive();
	CU_ASSERT_EQUAL(it.message.type, MESSAGE_LOGIN_FORGET);
	CU_ASSERT_EQUAL(it.message.u.login_forget.context, 9);
	tear_down();
}

static void test_a_login_that_was_ended_meanwhile_gets_nothing(void)
{
	set_up();
	CU_ASSERT_EQUAL(want(0), 0);
	receive();
	login_end(it.login);
	answer(REFUSAL_NONE, "token", 0);
	CU_ASSERT_EQUAL(it.waiters[0].refusal, REFUSAL_LOGIN_UNAVAILABLE);
	CU_ASSERT_PTR_NULL(login_secret(it.login, LOGIN_BEARER).data);
	tear_down();
}

static void test_a_refusal_comes_with_its_reason(void)
{
	set_up();
	CU_ASSERT_EQUAL(want(0), 0);
	receive();
	answer(REFUSAL_LOGIN_REFUSED, "the account is disabled", 0);
	CU_ASSERT_EQUAL(it.waiters[0].refusal, REFUSAL_LOGIN_REFUSED);
	CU_ASSERT_STRING_EQUAL(it.waiters[0].reason, "the account is disabled");
	tear_down();
}

static void test_the_endpoints_token_is_checked(void)
{
	struct message message = {.type = MESSAGE_LOGIN_PROVEN};

	set_up();
	for (size_t i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(login_client_prove(it.client, it.login, 3 + (uint32_t)i,
					span_of_string("server"), &it.waiters[i].waiter),
			0);
		receive();
		CU_ASSERT_EQUAL(it.message.type, MESSAGE_LOGIN_PROOF);
		CU_ASSERT_EQUAL(it.message.u.login_proof.context, 3 + i);
		CU_ASSERT_TRUE(span_equal(
			span_of(it.message.u.login_proof.token, it.message.u.login_proof.len),
			span_of_string("server")));
		message.u.login_proven.id = it.message.u.login_proof.id;
		message.u.login_proven.is_proven = i == 0;
		login_client_take(it.client, &message);
	}
	CU_ASSERT_EQUAL(it.waiters[0].refusal, REFUSAL_NONE);
	CU_ASSERT_EQUAL(it.waiters[0].answers, 1);
	CU_ASSERT_EQUAL(it.waiters[1].refusal, REFUSAL_UPSTREAM_UNPROVEN);
	tear_down();
}

static void test_nobody_waits_for_ever(void)
{
	set_up();
	CU_ASSERT_EQUAL(want(0), 0);
	for (int i = 0; i < 100 && it.waiters[0].answers == 0; i++)
		run_for_ms(20);
	CU_ASSERT_EQUAL(it.waiters[0].answers, 1);
	CU_ASSERT_EQUAL(it.waiters[0].refusal, REFUSAL_LOGIN_UNAVAILABLE);
	tear_down();
}

static void test_without_an_identity_process_nobody_waits(void)
{
	set_up();
	CU_ASSERT_EQUAL(want(0), 0);
	login_client_detach(it.client);
	CU_ASSERT_EQUAL(it.waiters[0].refusal, REFUSAL_LOGIN_UNAVAILABLE);
	CU_ASSERT_EQUAL(it.waiters[0].answers, 1);
	CU_ASSERT_EQUAL(want(1), -1);
	CU_ASSERT_PTR_NULL(it.waiters[1].waiter.question);
	login_client_attach(it.client, it.fd);
	CU_ASSERT_EQUAL(want(1), 0);
	tear_down();
}

/* As many phones wake at once as the channel has no room for. */
static void test_a_full_channel_loses_nothing(void)
{
	enum { MANY = 2000 };
	size_t count = 0;

	set_up();
	for (size_t i = 0; i < MANY; i++)
		CU_ASSERT_EQUAL(login_client_token(it.client, it.login, "HTTP/m", false, NULL), 0);
	login_client_drop(it.client, "alice@a.test");
	receive();
	CU_ASSERT_TRUE(it.message_count < MANY);
	for (int i = 0; i < 1000 && count != it.message_count; i++) {
		count = it.message_count;
		event_base_loop(it.worker->base, EVLOOP_NONBLOCK);
		receive();
	}
	CU_ASSERT_EQUAL(it.message_count, MANY + 1);
	CU_ASSERT_EQUAL(it.message.type, MESSAGE_LOGIN_DROP);
	tear_down();
}

static const struct check checks[] = {
	{"what several need is asked once", test_what_several_need_is_asked_once},
	{"one that is no good is asked for beside one under way",
		test_one_that_is_no_good_is_asked_for_beside_one_under_way},
	{"a token is for one connection", test_a_token_is_for_one_connection},
	{"a token that nobody waits for any more is forgotten",
		test_a_token_that_nobody_waits_for_any_more_is_forgotten},
	{"a login that was ended meanwhile gets nothing",
		test_a_login_that_was_ended_meanwhile_gets_nothing},
	{"a refusal comes with its reason", test_a_refusal_comes_with_its_reason},
	{"the endpoint's token is checked", test_the_endpoints_token_is_checked},
	{"nobody waits for ever", test_nobody_waits_for_ever},
	{"without an identity process nobody waits", test_without_an_identity_process_nobody_waits},
	{"a full channel loses nothing", test_a_full_channel_loses_nothing},
};

int main(void)
{
	return check_run("proxy/login_client", checks, sizeof(checks) / sizeof(checks[0]));
}
