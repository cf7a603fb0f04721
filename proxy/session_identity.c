/*
 * Who it is: the judgement of a certificate in the middle of the handshake, the mailbox that it opens,
 * and the same judgement again whenever the world has changed.
 */
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "proxy/exchange.h"
#include "proxy/identity_client.h"
#include "proxy/log.h"
#include "proxy/session.h"
#include "proxy/worker_judge.h"

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
	if (verdict != NULL) {
		char serial[41] = "";

		if (verdict->link_count > 0)
			serial_format(&verdict->links[0].serial, serial);
		log_text(&line, "reason", verdict->reason);
		log_text(&line, "subject", verdict->subject);
		log_text(&line, "issuer", verdict->issuer);
		log_text(&line, "serial", serial);
	}
	log_end(&line);
}

static enum refusal judge_fresh(
	struct session *session, X509 *leaf, STACK_OF(X509) * sent, struct verdict *verdict)
{
	struct worker *worker = session->worker;

	shared_add(&worker->counters->verdict_misses, 1);
	verifier_run(worker->verifier, leaf, sent, worker_now(worker), verdict);
	if (verdict->refusal == REFUSAL_NONE)
		verdict_cache_insert(worker->verdicts, verdict);
	return verdict->refusal;
}

/* In the middle of the handshake: the tls_judge of every listener. */
enum refusal session_judge(void *owner, X509 *leaf, STACK_OF(X509) * sent)
{
	struct session *session = owner;
	struct worker *worker = session->worker;
	struct verdict_entry *entry;
	struct verdict fresh;
	const struct verdict *verdict = &fresh;
	uint8_t sha256[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (X509_digest(leaf, EVP_sha256(), sha256, &len) != 1 || len != 32) {
		session->refusal = REFUSAL_CERTIFICATE_UNREADABLE;
		return session->refusal;
	}
	entry = verdict_cache_find(worker->verdicts, sha256);
	if (entry != NULL) {
		shared_add(&worker->counters->verdict_hits, 1);
		verdict = &entry->verdict;
	} else {
		judge_fresh(session, leaf, sent, &fresh);
	}
	session->refusal = worker_judge_verdict(worker, verdict);
	if (session->refusal == REFUSAL_CERTIFICATE_EXPIRED && verdict != &fresh) {
		/* An authority may have been renewed since: another path may hold. */
		verdict = &fresh;
		judge_fresh(session, leaf, sent, &fresh);
		session->refusal = worker_judge_verdict(worker, verdict);
	}
	if (session->refusal != REFUSAL_NONE) {
		session_log_refused(session, session->refusal, verdict, tls_version(&session->tls));
		return session->refusal;
	}
	credential_free(session->credential);
	session->credential = credential_new(verdict);
	if (session->credential == NULL)
		session->refusal = REFUSAL_INTERNAL;
	return session->refusal;
}

/* The certificate is good; whose mailbox is it? */
void session_identify(struct session *session)
{
	struct credential *credential = session->credential;
	struct worker *worker = session->worker;
	struct verdict_entry *entry;

	if (credential == NULL || credential->refusal != REFUSAL_NONE) {
		session_await_head(session);
		return;
	}
	entry = verdict_cache_find(worker->verdicts, credential->leaf_sha256);
	if (entry != NULL && entry->mailbox[0] != '\0' &&
		entry->mailbox_valid_until > worker_now(worker) &&
		entry->mailbox_changes == identity_client_changes(worker->identity)) {
		if (credential_set_mailbox(credential, entry->mailbox) != 0)
			credential->refusal = REFUSAL_INTERNAL;
		session_await_head(session);
		return;
	}
	if (identity_client_ask(worker->identity, session, credential->names) != 0) {
		credential->refusal = REFUSAL_DIRECTORY_UNAVAILABLE;
		session_await_head(session);
		return;
	}
	session_enter(session, SESSION_IDENTIFY);
	session_set_timer(session, worker->config->limits.handshake_time_ms);
	session_update_events(session);
}

void session_identified(struct session *session, const struct mailbox_answer *answer)
{
	struct credential *credential = session->credential;
	enum refusal refusal = (enum refusal)answer->refusal;
	struct verdict_entry *entry;

	if (refusal == REFUSAL_NONE && answer->mailbox[0] == '\0')
		refusal = REFUSAL_INTERNAL;
	credential->refusal = refusal;
	if (refusal == REFUSAL_NONE) {
		if (credential_set_mailbox(credential, answer->mailbox) != 0)
			credential->refusal = REFUSAL_INTERNAL;
		entry = verdict_cache_find(session->worker->verdicts, credential->leaf_sha256);
		if (entry != NULL) {
			snprintf(entry->mailbox, sizeof(entry->mailbox), "%s", credential->mailbox);
			entry->mailbox_valid_until = answer->valid_until;
			entry->mailbox_changes = identity_client_changes(session->worker->identity);
		}
	}
	session_await_head(session);
}

enum refusal session_check(const struct session *session)
{
	const struct credential *credential = session->credential;
	enum refusal refusal;

	if (credential == NULL)
		return REFUSAL_CERTIFICATE_MISSING;
	refusal = worker_judge_credential(session->worker, credential);
	if (refusal == REFUSAL_NONE)
		refusal = credential->refusal;
	if (refusal == REFUSAL_NONE && credential->mailbox[0] == '\0')
		refusal = REFUSAL_INTERNAL;
	return refusal;
}

/* Who was put out, and by what. What it was asking has a line of its own. */
static void log_shut_out(const struct session *session, enum refusal refusal)
{
	const struct credential *credential = session->credential;
	char address[INET6_ADDRSTRLEN], serial[41] = "";
	struct log_line line;

	log_begin(&line, CONFIG_LOG_INFO, "shut-out");
	session_address(session, address);
	if (credential->link_count > 0)
		serial_format(&credential->links[0].serial, serial);
	log_text(&line, "client", address);
	log_number(&line, "port", ntohs(session->port));
	log_text(&line, "refusal", refusal_row(refusal)->name);
	log_text(&line, "mailbox", credential->mailbox);
	log_text(&line, "serial", serial);
	log_text(&line, "issuer", credential->issuer);
	log_end(&line);
}

/* Ends it at once, whatever it is doing. */
static void shut_out(struct session *session, enum refusal refusal)
{
	struct worker *worker = session->worker;

	log_shut_out(session, refusal);
	shared_add(&worker->counters->sessions_shut_out, 1);
	if (session->exchange != NULL)
		exchange_abort(
			session->exchange, refusal, "the certificate may not come in any more");
	else
		shared_add(&worker->counters->refusals[refusal], 1);
	session_close(session);
}

bool session_recheck(struct session *session)
{
	enum refusal refusal;

	if (session->credential == NULL || session->state == SESSION_CLOSED)
		return false;
	refusal = worker_judge_credential(session->worker, session->credential);
	if (refusal == REFUSAL_NONE)
		return false;
	shut_out(session, refusal);
	return true;
}
