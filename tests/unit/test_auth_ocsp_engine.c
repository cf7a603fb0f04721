#include "auth/ocsp_engine.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <unistd.h>

#include "check.h"
#include "config/clock.h"
#include "tests/unit/auth_ocsp_maker.h"

enum { TIME_LIMIT_MS = 400, SPARE_MS = 2000 /* sanitizers */, WAIT_MS = 8000, ANSWERS_MAX = 64 };

enum serve {
	SERVE_ANSWER,
	SERVE_NOTHING_YET, /* the question is never answered */
	SERVE_NOT_FOUND,
	SERVE_GARBAGE,
	SERVE_TOO_LARGE,
	SERVE_OTHER_SIGNER,
	SERVE_TRY_LATER,
	SERVE_REDIRECT,
	SERVE_POST_ONLY,
};

struct answer {
	uint8_t tag;
	void *asker;
	struct ocsp_result result;
	int64_t asked_at;
	int64_t after_ms; /* the beginning of the test */
};

/* Everything of one test: two authorities, a responder that is either's, the engine, and what it
 * said. */
static struct {
	struct pki ca, slow_ca;
	struct authority authorities[2];
	struct trust_store store;
	struct config_revocation config;
	struct event_base *base;
	struct evhttp *server;
	uint16_t port;
	enum serve serve;

	struct ocsp_spec spec;
	size_t get_count, post_count;
	char content_type[64];
	struct ocsp_engine *engine;
	char url[64];
	char slow_url[64];
	char no_proxy[1];
	size_t answer_count;
	struct answer answers[ANSWERS_MAX];
	size_t report_count, recovery_count;
	char report[512];
	int64_t began_ms;
} it;

/* The responder */

static void serve_bytes(struct evhttp_request *request, const void *data, size_t len)
{
	struct evbuffer *body = evbuffer_new();

	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
		"application/ocsp-response");
	evbuffer_add(body, data, len);
	evhttp_send_reply(request, 200, "OK", body);
	evbuffer_free(body);
}

static void unescape(char *text)
{
	char *to = text;

	for (; *text != '\0'; text++)
		if (*text == '%') {
			unsigned int octet = 0;

			sscanf(text + 1, "%2x", &octet);
			*to++ = (char)octet;
			text += 2;
		} else {
			*to++ = *text;
		}
	*to = '\0';
}

/* The question's DER, however it was asked. */
static size_t read_question(struct evhttp_request *request, uint8_t der[1024])
{
	const char *uri = evhttp_request_get_uri(request);
	char base64[512];
	size_t len;

	if (evhttp_request_get_command(request) == EVHTTP_REQ_POST) {
		const char *type = evhttp_find_header(
			evhttp_request_get_input_headers(request), "Content-Type");

		it.post_count++;
		snprintf(it.content_type, sizeof(it.content_type), "%s", type != NULL ? type : "");
		return (size_t)evbuffer_remove(evhttp_request_get_input_buffer(request), der, 1024);
	}
	it.get_count++;
	snprintf(base64, sizeof(base64), "%s", strrchr(uri, '/') + 1);
	unescape(base64);
	len = (size_t)EVP_DecodeBlock(der, (const unsigned char *)base64, (int)strlen(base64));
	for (const char *c = base64; *c != '\0'; c++)
		len -= *c == '=' ? 1 : 0;
	return len;
}

static void serve_answer(struct evhttp_request *request, const uint8_t *question, size_t len)
{
	struct ocsp_spec spec = it.spec;
	const uint8_t *at = question;
	OCSP_REQUEST *parsed = d2i_OCSP_REQUEST(NULL, &at, (long)len);
	ASN1_INTEGER *serial = NULL;
	struct ocsp_der der;
	int nonce;

	PKI_MUST(parsed != NULL);
	OCSP_id_get0_info(NULL, NULL, NULL, &serial,
		OCSP_onereq_get0_id(OCSP_request_onereq_get0(parsed, 0)));
	spec.serial = ASN1_INTEGER_get(serial);
	nonce = OCSP_REQUEST_get_ext_by_NID(parsed, NID_id_pkix_OCSP_Nonce, -1);
	if (nonce >= 0)
		spec.nonce = ASN1_STRING_get0_data(
				     X509_EXTENSION_get_data(OCSP_REQUEST_get_ext(parsed, nonce))) +
			     2;
	der = ocsp_make(spec);
	serve_bytes(request, der.data, der.len);
	OPENSSL_free(der.data);
	OCSP_REQUEST_free(parsed);
}

static void serve_try_later(struct evhttp_request *request)
{
	struct ocsp_der der = ocsp_make_error(OCSP_RESPONSE_STATUS_TRYLATER);

	serve_bytes(request, der.data, der.len);
	OPENSSL_free(der.data);
}

static void on_request(struct evhttp_request *request, void *context)
{
	static const char zeros[OCSP_RESPONSE_MAX + 1];
	uint8_t question[1024];
	size_t len = read_question(request, question);

	(void)context;
	switch (it.serve) {
	case SERVE_OTHER_SIGNER:
	case SERVE_ANSWER: serve_answer(request, question, len); break;
	case SERVE_NOTHING_YET: break;
	case SERVE_POST_ONLY:
		if (evhttp_request_get_command(request) == EVHTTP_REQ_POST)
			serve_answer(request, question, len);
		else
			evhttp_send_error(request, 405, NULL);
		break;
	case SERVE_NOT_FOUND: evhttp_send_error(request, 404, NULL); break;
	case SERVE_GARBAGE: serve_bytes(request, "garbage", 7); break;
	case SERVE_TOO_LARGE: serve_bytes(request, zeros, sizeof(zeros)); break;
	case SERVE_TRY_LATER: serve_try_later(request); break;
	case SERVE_REDIRECT:
		evhttp_add_header(evhttp_request_get_output_headers(request), "Location",
			"file:///etc/passwd");
		evhttp_send_reply(request, 302, "Found", NULL);
		break;
	}
}

/* The engine */

static void on_answer(void *asker, const uint8_t leaf_sha256[32], const struct ocsp_result *result,
	int64_t asked_at)
{
	PKI_MUST(it.answer_count < ANSWERS_MAX);
	it.answers[it.answer_count++] = (struct answer){.tag = leaf_sha256[0],
		.asker = asker,
		.result = *result,
		.asked_at = asked_at,
		.after_ms = clock_ms() - it.began_ms};
}

static void on_report(void *context, const char *responder, const char *text)
{
	(void)context;
	CU_ASSERT_PTR_NOT_NULL(strstr(responder, "http://127.0.0.1:"));
	if (text == NULL) {
		it.recovery_count++;
		return;
	}
	it.report_count++;
	snprintf(it.report, sizeof(it.report), "%s", text);
}

/* A port on which a listener takes connections and reads nothing. */
static int silent_listener(char url[64])
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	PKI_MUST(fd != -1 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		 listen(fd, 64) == 0 && getsockname(fd, (struct sockaddr *)&address, &len) == 0);
	snprintf(url, 64, "http://127.0.0.1:%u/slow", ntohs(address.sin_port));
	return fd;
}

static void set_up(void)
{
	struct evhttp_bound_socket *bound;
	struct sockaddr_in address = {0};
	socklen_t len = sizeof(address);
	struct error err;

	memset(&it, 0, sizeof(it));
	it.began_ms = clock_ms();
	it.ca = pki_make_ca("Issuing CA", NULL);
	it.slow_ca = pki_make_ca("Slow CA", NULL);
	it.base = event_base_new();
	it.server = evhttp_new(it.base);
	evhttp_set_gencb(it.server, on_request, NULL);
	bound = evhttp_bind_socket_with_handle(it.server, "127.0.0.1", 0);
	PKI_MUST(bound != NULL && getsockname(evhttp_bound_socket_get_fd(bound),
					  (struct sockaddr *)&address, &len) == 0);
	snprintf(it.url, sizeof(it.url), "http://127.0.0.1:%u/ocsp", ntohs(address.sin_port));
	it.authorities[0] = (struct authority){
		.certificate = it.ca.certificate, .ocsp = AUTHORITY_OCSP_HARD, .ocsp_url = it.url};
	it.authorities[1] = (struct authority){.certificate = it.slow_ca.certificate,
		.ocsp = AUTHORITY_OCSP_HARD,
		.ocsp_url = it.slow_url};
	it.store = (struct trust_store){.count = 2, .authorities = it.authorities};
	it.config = (struct config_revocation){.proxy = it.no_proxy,
		.ocsp_time_limit_ms = TIME_LIMIT_MS,
		.ocsp_refresh_ms = 3600 * 1000};
	it.spec = (struct ocsp_spec){.issuer = &it.ca, .reason = -1};
	it.engine =
		ocsp_engine_new(it.base, &it.store, &it.config, on_answer, on_report, NULL, &err);
	PKI_MUST(it.engine != NULL);
}

static void tear_down(void)
{
	ocsp_engine_free(it.engine);
	evhttp_free(it.server);
	event_base_free(it.base);
	pki_free(&it.ca);
	pki_free(&it.slow_ca);
}

static void ask_about(uint32_t authority, long serial, const char *url, void *asker)
{
	struct ocsp_question question = {.authority = authority, .url = url};
	uint8_t leaf_sha256[32] = {(uint8_t)serial};

	question.serial.octets[19] = (uint8_t)serial;
	ocsp_engine_ask(it.engine, &question, asker, leaf_sha256);
}

static void ask(long serial)
{
	ask_about(0, serial, "", &it);
}

static void run_for_ms(int time_ms)
{
	struct timeval limit = {
		.tv_sec = time_ms / 1000, .tv_usec = (suseconds_t)(time_ms % 1000) * 1000};

	event_base_loopexit(it.base, &limit);
	event_base_dispatch(it.base);
}

static bool run_until_answers(size_t count)
{
	int64_t deadline = clock_ms() + WAIT_MS;

	while (it.answer_count < count && clock_ms() < deadline)
		run_for_ms(5);
	return it.answer_count >= count;
}

static enum ocsp_status last_status(void)
{
	return it.answers[it.answer_count - 1].result.status;
}

static size_t question_count(void)
{
	return it.get_count + it.post_count;
}

static void test_answer_is_asked_for_and_remembered(void)
{
	set_up();
	ask(5);
	CU_ASSERT(run_until_answers(1));
	CU_ASSERT_EQUAL(last_status(), OCSP_GOOD);
	CU_ASSERT_EQUAL(it.answers[0].tag, 5);
	CU_ASSERT(it.answers[0].asked_at >= (int64_t)time(NULL) - 2);
	CU_ASSERT_EQUAL(it.get_count, 1);
	ask(5);
	CU_ASSERT_EQUAL(it.answer_count, 2); /* at once */
	CU_ASSERT_EQUAL(last_status(), OCSP_GOOD);
	CU_ASSERT_EQUAL(question_count(), 1);
	CU_ASSERT_EQUAL(it.report_count, 0);
	tear_down();
}

static void test_revoked_and_unknown_are_passed_on(void)
{
	set_up();
	it.spec.status = V_OCSP_CERTSTATUS_REVOKED;
	ask(5);
	CU_ASSERT(run_until_answers(1));
	CU_ASSERT_EQUAL(last_status(), OCSP_REVOKED);
	it.spec.status = V_OCSP_CERTSTATUS_UNKNOWN;
	ask(6);
	CU_ASSERT(run_until_answers(2));
	CU_ASSERT_EQUAL(last_status(), OCSP_UNKNOWN);
	tear_down();
}

static void test_one_question_for_all_who_ask(void)
{
	static int askers[3];

	set_up();
	for (int i = 0; i < 3; i++)
		ask_about(0, 5, "", &askers[i]);
	ask_about(0, 5, "", &askers[0]); /* and once more */
	CU_ASSERT(run_until_answers(3));
	run_for_ms(50);
	CU_ASSERT_EQUAL(it.answer_count, 3);
	CU_ASSERT_EQUAL(question_count(), 1);
	tear_down();
}

static void test_asker_that_has_gone_is_not_told(void)
{
	static int gone;

	set_up();
	ask_about(0, 5, "", &gone);
	ask(5);
	ocsp_engine_forget(it.engine, &gone);
	CU_ASSERT(run_until_answers(1));
	run_for_ms(50);
	CU_ASSERT_EQUAL(it.answer_count, 1);
	CU_ASSERT_PTR_EQUAL(it.answers[0].asker, &it);
	tear_down();
}

static void test_question_is_posted_with_a_nonce(void)
{
	set_up();
	it.config.ocsp_nonce = true;
	ask(5);
	CU_ASSERT(run_until_answers(1));
	CU_ASSERT_EQUAL(last_status(), OCSP_GOOD);
	CU_ASSERT_EQUAL(it.post_count, 1);
	CU_ASSERT_EQUAL(it.get_count, 0);
	CU_ASSERT_STRING_EQUAL(it.content_type, "application/ocsp-request");
	tear_down();
}

static void test_responder_that_knows_no_get(void)
{
	set_up();
	it.serve = SERVE_POST_ONLY;
	ask(5);
	CU_ASSERT(run_until_answers(1));
	CU_ASSERT_EQUAL(last_status(), OCSP_UNAVAILABLE);
	for (long serial = 6; serial < 10; serial++)
		ask(serial);
	CU_ASSERT(run_until_answers(5));
	CU_ASSERT_EQUAL(last_status(), OCSP_GOOD);
	CU_ASSERT_EQUAL(it.get_count, 1);
	CU_ASSERT_EQUAL(it.post_count, 4);
	tear_down();
}

static void test_certificate_names_the_responder(void)
{
	set_up();
	it.authorities[0].ocsp_url = (char[]){""};
	ask_about(0, 5, it.url, &it);
	CU_ASSERT(run_until_answers(1));
	CU_ASSERT_EQUAL(last_status(), OCSP_GOOD);
	tear_down();
}

static void test_questions_that_nobody_can_be_asked(void)
{
	set_up();
	it.authorities[0].ocsp_url = (char[]){""};
	ask_about(0, 5, "", &it);
	ask_about(0, 5, "https://127.0.0.1/", &it);
	ask_about(0, 5, "file:///etc/passwd", &it);
	ask_about(2, 5, it.url, &it); /* there is no such authority */
	it.authorities[0].ocsp = AUTHORITY_OCSP_OFF;
	ask_about(0, 5, it.url, &it);
	CU_ASSERT_EQUAL(it.answer_count, 5); /* at once */
	for (size_t i = 0; i < it.answer_count; i++)
		CU_ASSERT_EQUAL(it.answers[i].result.status, OCSP_UNAVAILABLE);
	CU_ASSERT_EQUAL(question_count(), 0);
	tear_down();
}

static void check_failing(enum serve serve, const char *reason)
{
	set_up();
	it.serve = serve;
	if (serve == SERVE_OTHER_SIGNER)
		it.spec.signer = &it.slow_ca;
	ask(5);
	CU_ASSERT(run_until_answers(1));
	CU_ASSERT_EQUAL(last_status(), OCSP_UNAVAILABLE);
	CU_ASSERT_EQUAL(it.answers[0].asked_at, 0);
	CU_ASSERT_EQUAL(it.report_count, 1);
	if (strstr(it.report, reason) == NULL) {
		fprintf(stderr, "\nexpected \"%s\", got \"%s\"\n", reason, it.report);
		CU_FAIL("another reason");
	}
	/* For a few seconds that is remembered. */
	ask(5);
	CU_ASSERT_EQUAL(it.answer_count, 2);
	CU_ASSERT_EQUAL(question_count(), 1);
	/* Another certificate is asked about all the same, and its good answer ends the outage. */
	it.serve = SERVE_ANSWER;
	it.spec.signer = NULL;
	ask(6);
	CU_ASSERT(run_until_answers(3));
	CU_ASSERT_EQUAL(last_status(), OCSP_GOOD);
	CU_ASSERT_EQUAL(it.recovery_count, 1);
	tear_down();
}

static void test_answers_that_are_none(void)
{
	check_failing(SERVE_NOTHING_YET, "timed out");
	check_failing(SERVE_NOT_FOUND, "404");
	check_failing(SERVE_GARBAGE, "not an OCSP response");
	check_failing(SERVE_TOO_LARGE, "65536");
	check_failing(SERVE_OTHER_SIGNER, "not issued by the authority");
	check_failing(SERVE_TRY_LATER, "trylater");
	check_failing(SERVE_REDIRECT, "Protocol \"file\"");
}

static void test_current_answer_outlives_an_outage(void)
{
	set_up();
	it.config.ocsp_refresh_ms = 1000;
	ask(5);
	CU_ASSERT(run_until_answers(1));
	run_for_ms(1100);
	it.serve = SERVE_NOT_FOUND;
	ask(5);
	CU_ASSERT(run_until_answers(2));
	CU_ASSERT_EQUAL(question_count(), 2);
	CU_ASSERT_EQUAL(last_status(), OCSP_GOOD);
	CU_ASSERT_EQUAL(it.answers[1].asked_at, it.answers[0].asked_at);
	tear_down();
}

static void test_older_answer_is_not_taken(void)
{
	set_up();
	it.config.ocsp_refresh_ms = 1000;
	it.spec.status = V_OCSP_CERTSTATUS_REVOKED;
	ask(5);
	CU_ASSERT(run_until_answers(1));
	run_for_ms(1100);
	/* From before the revocation, and current still. */
	it.spec.status = V_OCSP_CERTSTATUS_GOOD;
	it.spec.this_update = -600;
	ask(5);
	CU_ASSERT(run_until_answers(2));
	CU_ASSERT_EQUAL(question_count(), 2);
	CU_ASSERT_EQUAL(last_status(), OCSP_REVOKED);
	CU_ASSERT_PTR_NOT_NULL(strstr(it.report, "older"));
	tear_down();
}

static void test_answer_is_renewed_when_it_is_old(void)
{
	set_up();
	it.config.ocsp_refresh_ms = 1000;
	ask(5);
	CU_ASSERT(run_until_answers(1));
	run_for_ms(1100);
	it.spec.status = V_OCSP_CERTSTATUS_REVOKED;
	it.spec.this_update = -1;
	ask(5);
	CU_ASSERT(run_until_answers(2));
	CU_ASSERT_EQUAL(last_status(), OCSP_REVOKED);
	tear_down();
}

static void test_silent_responder_delays_nobody_else(void)
{
	int64_t asked_ms;
	int listener;

	set_up();
	listener = silent_listener(it.slow_url);
	for (long serial = 1; serial <= 40; serial++)
		ask_about(1, serial, "", &it);
	asked_ms = clock_ms() - it.began_ms;
	ask(200);
	CU_ASSERT(run_until_answers(1));
	CU_ASSERT_EQUAL(it.answers[0].tag, 200);
	CU_ASSERT_EQUAL(it.answers[0].result.status, OCSP_GOOD);
	CU_ASSERT(it.answers[0].after_ms - asked_ms < TIME_LIMIT_MS);
	/* Those in the queue hear of it when the first ones have failed. */
	CU_ASSERT(run_until_answers(41));
	CU_ASSERT(it.answers[40].after_ms - asked_ms < 2 * TIME_LIMIT_MS + SPARE_MS);
	/* And who comes later hears at once. */
	ask_about(1, 41, "", &it);
	CU_ASSERT_EQUAL(it.answer_count, 42);
	CU_ASSERT_EQUAL(last_status(), OCSP_UNAVAILABLE);
	CU_ASSERT_EQUAL(it.report_count, 1);
	close(listener);
	tear_down();
}

static void test_bad_answers_do_not_have_a_responder_left_alone(void)
{
	set_up();
	it.serve = SERVE_GARBAGE;
	for (long serial = 1; serial <= 10; serial++)
		ask(serial);
	CU_ASSERT(run_until_answers(10));
	it.serve = SERVE_ANSWER;
	ask(11);
	CU_ASSERT(run_until_answers(11));
	CU_ASSERT_EQUAL(last_status(), OCSP_GOOD);
	tear_down();
}

static void test_many_questions_are_all_answered(void)
{
	set_up();
	it.config.ocsp_time_limit_ms =
		WAIT_MS; /* it is not about time, and sanitizers take theirs */
	for (long serial = 1; serial <= 60; serial++)
		ask(serial);
	CU_ASSERT(run_until_answers(60));
	for (size_t i = 0; i < it.answer_count; i++)
		CU_ASSERT_EQUAL(it.answers[i].result.status, OCSP_GOOD);
	CU_ASSERT_EQUAL(question_count(), 60);
	tear_down();
}

static const struct check checks[] = {
	{"an answer is asked for, and remembered", test_answer_is_asked_for_and_remembered},
	{"revoked and unknown are passed on", test_revoked_and_unknown_are_passed_on},
	{"one question for all who ask", test_one_question_for_all_who_ask},
	{"an asker that has gone is not told", test_asker_that_has_gone_is_not_told},
	{"a question with a nonce is POSTed", test_question_is_posted_with_a_nonce},
	{"a responder that knows no GET gets POSTs", test_responder_that_knows_no_get},
	{"without a configured responder the certificate's is asked",
		test_certificate_names_the_responder},
	{"a question that nobody can be asked is answered at once",
		test_questions_that_nobody_can_be_asked},
	{"what is no answer is said, and remembered for a while", test_answers_that_are_none},
	{"a current answer outlives an outage", test_current_answer_outlives_an_outage},
	{"an answer older than the last one is not taken", test_older_answer_is_not_taken},
	{"an answer is renewed when it is old", test_answer_is_renewed_when_it_is_old},
	{"a silent responder delays nobody else, and those under it once",
		test_silent_responder_delays_nobody_else},
	{"bad answers do not have a responder left alone",
		test_bad_answers_do_not_have_a_responder_left_alone},
	{"many questions are all answered", test_many_questions_are_all_answered},
};

int main(void)
{
	return check_run("auth/ocsp_engine", checks, sizeof(checks) / sizeof(checks[0]));
}
