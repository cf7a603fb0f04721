/*
 * Whether it may stay: asked for every request, and of every open session when the world has changed;
 * and the words in the log about who may not.
 */
#include <arpa/inet.h>

#include "proxy/device_client.h"
#include "proxy/exchange_sleep.h"
#include "proxy/log.h"
#include "proxy/login_table.h"
#include "proxy/ocsp_client.h"
#include "proxy/session.h"
#include "proxy/worker_judge.h"

static void log_verdict(struct log_line *line, const struct session *session, enum refusal refusal,
	const struct verdict *verdict)
{
	const struct verdict_links links = verdict_links_of(verdict);
	char serial[41] = "";

	if (verdict->link_count > 0)
		serial_format(&verdict->links[0].serial, serial);
	log_text(line, "reason", verdict->reason);
	log_text(line, "subject", verdict->subject);
	log_text(line, "issuer", verdict->issuer);
	log_text(line, "serial", serial);
	worker_log_grounds(session->worker, line, refusal, &links);
}

void session_log_refused(const struct session *session, enum refusal refusal,
	const struct verdict *verdict, const char *tls)
{
	char address[INET6_ADDRSTRLEN];
	struct log_line line;

	log_begin(&line, CONFIG_LOG_INFO, "refused");
	session_address(session, address);
	log_text(&line, "client", address);
	log_text(&line, "refusal", refusal_row(refusal)->name);
	log_text(&line, "tls", tls);
	log_text(&line, "server_name", tls_server_name(&session->tls));
	if (verdict != NULL)
		log_verdict(&line, session, refusal, verdict);
	log_end(&line);
}

void session_log_wipe_only(const struct session *session, const struct verdict *verdict)
{
	char address[INET6_ADDRSTRLEN];
	struct log_line line;

	log_begin(&line, CONFIG_LOG_INFO, "wipe-only");
	session_address(session, address);
	log_text(&line, "client", address);
	log_verdict(&line, session, REFUSAL_CERTIFICATE_REVOKED, verdict);
	log_end(&line);
}

static void log_whose(struct log_line *line, const struct session *session, enum refusal refusal,
	const char *reason)
{
	const struct credential *credential = session->credential;
	char address[INET6_ADDRSTRLEN], serial[41] = "";

	session_address(session, address);
	if (credential_serial(credential) != NULL)
		serial_format(credential_serial(credential), serial);
	log_text(line, "client", address);
	log_number(line, "port", ntohs(session->port));
	if (refusal != REFUSAL_NONE)
		log_text(line, "refusal", refusal_row(refusal)->name);
	log_text(line, "reason", reason);
	log_text(line, "mailbox", credential->mailbox);
	log_text(line, "serial", serial);
	log_text(line, "issuer", credential_issuer(credential));
}

void session_log_no_mailbox(const struct session *session, enum refusal refusal, const char *reason)
{
	struct log_line line;

	log_begin(&line, CONFIG_LOG_INFO, "no-mailbox");
	log_whose(&line, session, refusal, reason);
	log_end(&line);
}

/* Who was put out, and why. What it was asking has a line of its own. */
static void log_shut_out(const struct session *session, enum refusal refusal, const char *reason)
{
	const struct verdict_links links = credential_links(session->credential);
	struct log_line line;

	log_begin(&line, CONFIG_LOG_INFO, "shut-out");
	log_whose(&line, session, refusal, reason);
	worker_log_grounds(session->worker, &line, refusal, &links);
	log_end(&line);
}

void session_shut_out(struct session *session, enum refusal refusal, const char *reason)
{
	struct worker *worker = session->worker;
	struct exchange *exchange;

	log_shut_out(session, refusal, reason);
	if (worker->logins != NULL && refusal != REFUSAL_DIRECTORY_UNAVAILABLE)
		login_table_put_out(worker->logins, session->credential, refusal);
	shared_add(&worker->counters->sessions_shut_out, 1);
	exchange = exchange_wake(session);
	if (exchange != NULL)
		exchange_abort(exchange, refusal, reason);
	else if (refusal != REFUSAL_NONE)
		shared_add(&worker->counters->refusals[refusal], 1);
	session_close(session);
}

/* Of one that is only there to be wiped: not once it is good again, either. It comes back then. */
static enum refusal judge_credential(struct session *session)
{
	struct worker *worker = session->worker;
	struct verdict_links links;

	if (!session->is_wipe_only && session->is_first_request)
		return worker_judge_credential(worker, session->credential);
	if (!session->is_wipe_only)
		return worker_judge_again(worker, session->credential, &session->good_by);
	links = credential_links(session->credential);
	return worker_may_be_wiped(worker, &links) ? REFUSAL_NONE : REFUSAL_CERTIFICATE_REVOKED;
}

enum refusal session_check(struct session *session)
{
	const struct credential *credential = session->credential;
	enum refusal refusal;

	if (credential == NULL)
		return REFUSAL_CERTIFICATE_MISSING;
	refusal = judge_credential(session);
	if (refusal == REFUSAL_NONE)
		refusal = ocsp_client_check(session);
	if (refusal == REFUSAL_NONE)
		refusal = credential->refusal;
	if (refusal == REFUSAL_NONE && credential->mailbox[0] == '\0')
		refusal = REFUSAL_INTERNAL;
	return refusal;
}

bool session_recheck(struct session *session)
{
	enum refusal refusal;

	if (session->credential == NULL || session->state == SESSION_CLOSED)
		return false;
	refusal = judge_credential(session);
	if (refusal == REFUSAL_NONE)
		refusal = ocsp_client_check(session);
	/* Responders come back: who asks for nothing now is told so at the next request. */
	if (refusal == REFUSAL_NONE ||
		(refusal == REFUSAL_OCSP_UNAVAILABLE && session->sleeper == NULL &&
			(session->exchange == NULL ||
				session->exchange->refusal != REFUSAL_NONE))) {
		worker_expect_change(session->worker, session->credential->accepted->not_after + 1);
		return device_client_recheck(session);
	}
	session_shut_out(session, refusal, "the certificate may not come in any more");
	return true;
}
