/* What control is told of a test. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "auth/x509_text.h"
#include "config/clock.h"
#include "config/moment.h"
#include "proxy/link.h"
#include "proxy/upstream.h"
#include "proxy/upstream_test_parts.h"
#include "proxy/worker.h"
#include "proxy/worker_control.h"

enum { SOON_S = 14 * 24 * 3600 };

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

void upstream_test_say_timed(struct upstream_test *test, const char *step, bool is_good,
	uint64_t took_us, const char *text, const char *hint)
{
	struct message message = step_of(step, is_good, took_us, text, hint);

	say(test, &message);
}

void upstream_test_say(struct upstream_test *test, const char *step, bool is_good, const char *text,
	const char *hint)
{
	upstream_test_say_timed(test, step, is_good, clock_us() - test->since_us, text, hint);
}

void upstream_test_say_last(struct upstream_test *test, const char *step, bool is_good,
	const char *text, const char *hint)
{
	struct message message = step_of(step, is_good, clock_us() - test->since_us, text, hint);

	message.u.upstream_step.is_last = 1;
	say(test, &message);
	upstream_test_free(test);
}

void upstream_test_say_refused(struct worker *worker, uint64_t id, const char *text)
{
	struct message message = {.type = MESSAGE_UPSTREAM_STEP,
		.u.upstream_step = {.id = id, .is_last = 1, .step = "test"}};

	copy(message.u.upstream_step.text, sizeof(message.u.upstream_step.text), text);
	copy(message.u.upstream_step.hint, sizeof(message.u.upstream_step.hint), "ask again later");
	(void)worker_control_tell(worker, &message);
}

void upstream_test_say_connection(struct upstream_test *test)
{
	char text[ENDPOINT_NAME_MAX + 64];

	snprintf(text, sizeof(text), "to %s, port %u", test->endpoint->config->host,
		(unsigned int)test->endpoint->config->port);
	upstream_test_say_timed(test, "connection", true,
		test->link->connected_us - (uint32_t)test->since_us, text, "");
}

void upstream_test_say_tls(struct upstream_test *test)
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
	upstream_test_say_timed(test, "tls", true, (uint32_t)clock_us() - test->link->connected_us,
		text, until - (int64_t)time(NULL) < SOON_S ? "its certificate ends soon" : "");
}

const char *upstream_test_hint_of_tls(const char *reason)
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
