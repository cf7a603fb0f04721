#include "proxy/ocsp_client.h"

#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "proxy/log.h"
#include "proxy/session.h"
#include "proxy/timeval.h"
#include "tests/unit/test_pki.h"

enum { SESSIONS = 3, WAIT_MS = 6000 };

/* A worker of which OCSP needs little, sessions in the middle of their handshake, and the revocation
 * process's end of the channel. */
static struct {
	struct authority authority;
	char url[32];
	char issuer[32];
	struct trust_store trust;
	struct config config;
	struct child child;
	struct worker *worker;
	struct verdict verdict;
	struct session sessions[SESSIONS];
	int peer; /* -1: none */
	size_t query_count;
	struct message query; /* the last one */
} it;

static struct shared_worker counters;

static void set_up(enum authority_ocsp mode)
{
	memset(&it, 0, sizeof(it));
	memset(&counters, 0, sizeof(counters));
	snprintf(it.url, sizeof(it.url), "http://ocsp.test/");
	snprintf(it.issuer, sizeof(it.issuer), "CN=CA");
	it.authority = (struct authority){.ocsp = mode, .ocsp_url = it.url, .issuer = it.issuer};
	it.trust = (struct trust_store){.count = 1, .authorities = &it.authority};
	it.config.trust.verdict_cache = 10;
	it.config.revocation = (struct config_revocation){
		.retry_ms = 60000, .ocsp_time_limit_ms = 200, .ocsp_refresh_ms = 3600 * 1000};
	it.child = (struct child){.config = &it.config, .trust = &it.trust};
	it.worker = calloc(1, sizeof(*it.worker));
	it.worker->child = &it.child;
	it.worker->config = &it.config;
	it.worker->counters = &counters;
	it.worker->base = event_base_new();
	it.worker->wheel = wheel_new(it.worker->base);
	it.worker->ocsp = ocsp_client_new(it.worker);
	it.peer = -1;
	it.verdict.link_count = 1;
	it.verdict.links[0].serial.octets[19] = 7;
	for (size_t i = 0; i < SESSIONS; i++)
		it.sessions[i] = (struct session){.worker = it.worker, .state = SESSION_HANDSHAKE};
}

static void connect_peer(void)
{
	int pair[2];

	PKI_MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	it.peer = pair[1];
	ocsp_client_attach(it.worker->ocsp, pair[0]);
}

static void disconnect_peer(void)
{
	close(it.peer);
	it.peer = -1;
}

static void tear_down(void)
{
	for (size_t i = 0; i < SESSIONS; i++)
		ocsp_client_leave(&it.sessions[i]);
	if (it.peer != -1)
		close(it.peer);
	ocsp_client_free(it.worker->ocsp);
	wheel_free(it.worker->wheel);
	event_base_free(it.worker->base);
	free(it.worker);
}

/* Lets the loop run, and takes what questions came. */
static void run_for_ms(int time_ms)
{
	struct timeval limit = timeval_of_ms((uint32_t)time_ms);
	struct message message;
	int passed;

	event_base_loopexit(it.worker->base, &limit);
	event_base_dispatch(it.worker->base);
	while (it.peer != -1 && message_receive(it.peer, &message, &passed) == 1) {
		CU_ASSERT_EQUAL(message.type, MESSAGE_OCSP_QUERY);
		it.query_count++;
		it.query = message;
	}
}

static void run_until_queries(size_t count)
{
	for (int i = 0; i < WAIT_MS / 20 && it.query_count < count; i++)
		run_for_ms(20);
	CU_ASSERT_EQUAL(it.query_count, count);
}

static void answer(struct ocsp_result result)
{
	struct message message = {.type = MESSAGE_OCSP_ANSWER,
		.u.ocsp_answer = {.asked_at = (int64_t)time(NULL), .result = result}};

	memcpy(message.u.ocsp_answer.leaf_sha256, it.verdict.leaf_sha256, 32);
	PKI_MUST(message_send(it.peer, &message, -1) == 0);
	run_for_ms(20);
}

/* Given a minute ago, for an hour. */
static void answer_status(enum ocsp_status status)
{
	int64_t now = (int64_t)time(NULL);

	answer((struct ocsp_result){
		.status = status, .this_update = now - 60, .next_update = now + 3600});
}

static enum refusal join_as(struct session *session)
{
	struct accepted *accepted = accepted_new(&it.verdict, 0, 0);
	enum refusal refusal = ocsp_client_join(it.worker->ocsp, session, accepted);

	accepted_free(accepted);
	return refusal;
}

static enum refusal join(size_t session)
{
	return join_as(&it.sessions[session]);
}

static enum refusal check_first(void)
{
	return ocsp_client_check(&it.sessions[0]);
}

static bool is_waiting(void)
{
	return ocsp_client_is_waiting(&it.sessions[0]);
}

static void test_asked_once_and_awaited(void)
{
	set_up(AUTHORITY_OCSP_HARD);
	connect_peer();
	CU_ASSERT_EQUAL(join(0), REFUSAL_NONE);
	CU_ASSERT(is_waiting());
	join(1);
	run_until_queries(1);
	run_for_ms(30);
	CU_ASSERT_EQUAL(it.query_count, 1);
	CU_ASSERT_EQUAL(it.query.u.ocsp_query.authority, 0);
	CU_ASSERT_EQUAL(it.query.u.ocsp_query.serial.octets[19], 7);
	answer_status(OCSP_GOOD);
	CU_ASSERT(!is_waiting());
	CU_ASSERT_EQUAL(check_first(), REFUSAL_NONE);
	/* Who comes now need not ask. */
	join(2);
	CU_ASSERT(!ocsp_client_is_waiting(&it.sessions[2]));
	run_for_ms(30);
	CU_ASSERT_EQUAL(it.query_count, 1);
	tear_down();
}

static void test_modes(void)
{
	static const struct {
		enum authority_ocsp mode;
		enum ocsp_status status;
		enum refusal refusal;
	} cases[] = {
		{AUTHORITY_OCSP_SOFT, OCSP_GOOD, REFUSAL_NONE},
		{AUTHORITY_OCSP_SOFT, OCSP_UNKNOWN, REFUSAL_NONE},
		{AUTHORITY_OCSP_SOFT, OCSP_UNAVAILABLE, REFUSAL_NONE},
		{AUTHORITY_OCSP_SOFT, OCSP_REVOKED, REFUSAL_CERTIFICATE_REVOKED},
		{AUTHORITY_OCSP_HARD, OCSP_GOOD, REFUSAL_NONE},
		{AUTHORITY_OCSP_HARD, OCSP_UNKNOWN, REFUSAL_OCSP_UNAVAILABLE},
		{AUTHORITY_OCSP_HARD, OCSP_UNAVAILABLE, REFUSAL_OCSP_UNAVAILABLE},
		{AUTHORITY_OCSP_HARD, OCSP_REVOKED, REFUSAL_CERTIFICATE_REVOKED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_up(cases[i].mode);
		connect_peer();
		join(0);
		run_until_queries(1);
		answer_status(cases[i].status);
		CU_ASSERT(!is_waiting());
		CU_ASSERT_EQUAL(check_first(), cases[i].refusal);
		/* In the handshake only a revocation is an answer. */
		CU_ASSERT_EQUAL(join(1), cases[i].status == OCSP_REVOKED
						 ? REFUSAL_CERTIFICATE_REVOKED
						 : REFUSAL_NONE);
		tear_down();
	}
}

static void check_not_asked(void)
{
	connect_peer();
	CU_ASSERT_EQUAL(join(0), REFUSAL_NONE);
	CU_ASSERT(!is_waiting());
	CU_ASSERT_EQUAL(check_first(), REFUSAL_NONE);
	run_for_ms(30);
	CU_ASSERT_EQUAL(it.query_count, 0);
	tear_down();
}

static void test_who_is_not_asked_about(void)
{
	set_up(AUTHORITY_OCSP_OFF);
	check_not_asked();
	set_up(AUTHORITY_OCSP_HARD);
	it.authority.check = AUTHORITY_CHECK_NONE;
	check_not_asked();
	set_up(AUTHORITY_OCSP_HARD);
	it.verdict.links[0].authority = -1;
	check_not_asked();
	/* Soft, and neither store nor certificate names a responder. */
	set_up(AUTHORITY_OCSP_SOFT);
	it.authority.ocsp_url[0] = '\0';
	CU_ASSERT_EQUAL(join(0), REFUSAL_NONE);
	CU_ASSERT_PTR_NULL(it.sessions[0].ocsp);
	tear_down();
}

static void test_url_of_the_certificate_is_sent(void)
{
	set_up(AUTHORITY_OCSP_SOFT);
	it.authority.ocsp_url[0] = '\0';
	snprintf(it.verdict.ocsp_url, sizeof(it.verdict.ocsp_url), "http://ocsp.contoso.test/");
	connect_peer();
	join(0);
	run_until_queries(1);
	CU_ASSERT_STRING_EQUAL(it.query.u.ocsp_query.url, "http://ocsp.contoso.test/");
	tear_down();
}

static void test_exemption_ends(void)
{
	set_up(AUTHORITY_OCSP_HARD);
	it.authority.exempt_until = (int64_t)time(NULL) + 3600;
	join(0);
	CU_ASSERT_EQUAL(check_first(), REFUSAL_NONE);
	it.authority.exempt_until = 1;
	CU_ASSERT_EQUAL(check_first(), REFUSAL_OCSP_UNAVAILABLE);
	tear_down();
}

static void test_nobody_waits_without_a_channel(void)
{
	set_up(AUTHORITY_OCSP_SOFT);
	join(0);
	CU_ASSERT(!is_waiting());
	CU_ASSERT_EQUAL(check_first(), REFUSAL_NONE);
	tear_down();
	/* The revocation process ends with a question. */
	set_up(AUTHORITY_OCSP_HARD);
	connect_peer();
	join(0);
	CU_ASSERT(is_waiting());
	disconnect_peer();
	run_for_ms(30);
	CU_ASSERT(!is_waiting());
	CU_ASSERT_EQUAL(check_first(), REFUSAL_OCSP_UNAVAILABLE);
	tear_down();
}

static void test_answer_that_does_not_come(void)
{
	set_up(AUTHORITY_OCSP_HARD);
	connect_peer();
	join(0);
	run_for_ms(500);
	CU_ASSERT(is_waiting());
	run_for_ms(600);
	CU_ASSERT(!is_waiting());
	CU_ASSERT_EQUAL(check_first(), REFUSAL_OCSP_UNAVAILABLE);
	CU_ASSERT_EQUAL(counters.ocsp_questions, 1);
	CU_ASSERT_EQUAL(counters.ocsp_unanswered, 1);
	/* It comes late, and counts. */
	answer_status(OCSP_GOOD);
	CU_ASSERT_EQUAL(check_first(), REFUSAL_NONE);
	tear_down();
}

static void test_revocation_is_remembered(void)
{
	int64_t now = (int64_t)time(NULL);

	set_up(AUTHORITY_OCSP_SOFT);
	connect_peer();
	join(0);
	run_until_queries(1);
	/* It has ended long ago, and there is no newer one. */
	answer((struct ocsp_result){
		.status = OCSP_REVOKED, .this_update = now - 7200, .next_update = now - 3600});
	CU_ASSERT_EQUAL(check_first(), REFUSAL_CERTIFICATE_REVOKED);
	run_until_queries(2);
	answer_status(OCSP_UNAVAILABLE);
	CU_ASSERT_EQUAL(check_first(), REFUSAL_CERTIFICATE_REVOKED);
	/* An older good one, from before. */
	answer((struct ocsp_result){
		.status = OCSP_GOOD, .this_update = now - 10000, .next_update = now + 3600});
	CU_ASSERT_EQUAL(check_first(), REFUSAL_CERTIFICATE_REVOKED);
	/* A newer one: a hold that was lifted. */
	answer_status(OCSP_GOOD);
	CU_ASSERT_EQUAL(check_first(), REFUSAL_NONE);
	tear_down();
}

static void test_good_answer_ends(void)
{
	int64_t now = (int64_t)time(NULL);

	set_up(AUTHORITY_OCSP_HARD);
	connect_peer();
	join(0);
	run_until_queries(1);
	/* 300 seconds more are granted, and one is left of them. */
	answer((struct ocsp_result){
		.status = OCSP_GOOD, .this_update = now - 3600, .next_update = now - 298});
	CU_ASSERT_EQUAL(check_first(), REFUSAL_NONE);
	run_for_ms(3100);
	CU_ASSERT_EQUAL(check_first(), REFUSAL_OCSP_UNAVAILABLE);
	CU_ASSERT(it.query_count >= 2);
	tear_down();
}

static void test_answer_in_use_is_renewed(void)
{
	set_up(AUTHORITY_OCSP_SOFT);
	it.config.revocation.ocsp_refresh_ms = 1000;
	connect_peer();
	join(0);
	run_until_queries(1);
	answer_status(OCSP_GOOD);
	CU_ASSERT(!is_waiting());
	run_until_queries(2);
	/* Nobody waits for the new one meanwhile. */
	CU_ASSERT(!is_waiting());
	answer_status(OCSP_REVOKED);
	CU_ASSERT_EQUAL(check_first(), REFUSAL_CERTIFICATE_REVOKED);
	tear_down();
}

static void test_answer_that_nobody_uses_is_not_renewed(void)
{
	set_up(AUTHORITY_OCSP_SOFT);
	it.config.revocation.ocsp_refresh_ms = 1000;
	connect_peer();
	join(0);
	run_until_queries(1);
	answer_status(OCSP_GOOD);
	ocsp_client_leave(&it.sessions[0]);
	run_for_ms(1500);
	CU_ASSERT_EQUAL(it.query_count, 1);
	/* The next session uses it, and has it renewed. */
	join(1);
	CU_ASSERT(!ocsp_client_is_waiting(&it.sessions[1]));
	run_until_queries(2);
	tear_down();
}

static void test_table_is_bounded(void)
{
	set_up(AUTHORITY_OCSP_SOFT);
	it.config.trust.verdict_cache = 2;
	connect_peer();
	for (uint8_t i = 0; i < 5; i++) {
		it.verdict.leaf_sha256[0] = i;
		join(0);
		run_for_ms(10);
		answer_status(OCSP_GOOD);
		ocsp_client_leave(&it.sessions[0]);
	}
	CU_ASSERT_EQUAL(it.query_count, 5);
	/* The last two are there still, the first is asked about again. */
	it.verdict.leaf_sha256[0] = 4;
	join(0);
	CU_ASSERT(!is_waiting());
	it.verdict.leaf_sha256[0] = 0;
	join(0);
	CU_ASSERT(is_waiting());
	tear_down();
}

static void test_nothing_is_kept_without_a_cache(void)
{
	set_up(AUTHORITY_OCSP_HARD);
	it.config.trust.verdict_cache = 0;
	connect_peer();
	join(0);
	run_until_queries(1);
	ocsp_client_leave(&it.sessions[0]);
	/* The question is out, so the entry is there for the answer, and goes with it. */
	answer_status(OCSP_GOOD);
	join(0);
	CU_ASSERT(is_waiting());
	tear_down();
}

static void test_full_channel_loses_no_question(void)
{
	enum { QUESTIONS = 3000 };
	struct session *sessions = calloc(QUESTIONS, sizeof(*sessions));
	size_t i;

	set_up(AUTHORITY_OCSP_HARD);
	it.config.revocation.ocsp_time_limit_ms = 20000;
	connect_peer();
	for (i = 0; i < QUESTIONS; i++) {
		memcpy(it.verdict.leaf_sha256, &i, sizeof(i));
		sessions[i] = (struct session){.worker = it.worker, .state = SESSION_HANDSHAKE};
		join_as(&sessions[i]);
	}
	run_until_queries(QUESTIONS);
	for (i = 0; i < QUESTIONS; i++)
		ocsp_client_leave(&sessions[i]);
	tear_down();
	free(sessions);
}

static const struct check checks[] = {
	{"a certificate is asked about once, and its sessions wait", test_asked_once_and_awaited},
	{"soft and hard: what each answer means", test_modes},
	{"who is not asked about", test_who_is_not_asked_about},
	{"the certificate's responder goes with the question", test_url_of_the_certificate_is_sent},
	{"an exemption holds until it ends", test_exemption_ends},
	{"nobody waits without a channel", test_nobody_waits_without_a_channel},
	{"an answer that does not come, and comes late", test_answer_that_does_not_come},
	{"a revocation is remembered until a newer answer is good", test_revocation_is_remembered},
	{"a good answer ends", test_good_answer_ends},
	{"an answer in use is renewed without anyone waiting", test_answer_in_use_is_renewed},
	{"an answer that nobody uses is not renewed", test_answer_that_nobody_uses_is_not_renewed},
	{"the table is bounded", test_table_is_bounded},
	{"without a cache nothing is kept", test_nothing_is_kept_without_a_cache},
	{"a full channel loses no question", test_full_channel_loses_no_question},
};

int main(void)
{
	log_open(&(struct config_log){.level = CONFIG_LOG_ERROR}, STDERR_FILENO, "test", -1, NULL);
	return check_run("proxy/ocsp_client", checks, sizeof(checks) / sizeof(checks[0]));
}
