/*
 * Who it is: the judgement of a certificate in the middle of the handshake, and the mailbox that it
 * opens, which the directory is asked for once, and again when its answer has become old: before the
 * next request, or in the background where one is under way (worker_identity.h).
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "proxy/exchange_sleep.h"
#include "proxy/identity_client.h"
#include "proxy/ocsp_client.h"
#include "proxy/policy.h"
#include "proxy/session.h"
#include "proxy/worker_judge.h"
#include "proxy/worker_seen.h"

enum { REGROUP_MS = 100 };

static enum refusal judge_fresh(
	struct session *session, X509 *leaf, STACK_OF(X509) * sent, struct verdict *verdict)
{
	struct worker *worker = session->worker;
	uint64_t evictions = verdict_cache_evictions(worker->verdicts);

	shared_add(&worker->counters->verdict_misses, 1);
	verifier_run(worker->verifier, leaf, sent, worker_now(worker), verdict);
	if (verdict->refusal == REFUSAL_NONE)
		verdict_cache_insert(worker->verdicts, verdict);
	shared_add(&worker->counters->verdict_evictions,
		verdict_cache_evictions(worker->verdicts) - evictions);
	return verdict->refusal;
}

static bool may_be_wiped(const struct worker *worker, const struct verdict *verdict)
{
	const struct verdict_links links = verdict_links_of(verdict);

	return verdict->refusal == REFUSAL_NONE && worker_may_be_wiped(worker, &links);
}

/* In the middle of the handshake: the tls_judge of every listener. */
enum refusal session_judge(void *owner, X509 *leaf, STACK_OF(X509) * sent)
{
	struct session *session = owner;
	struct worker *worker = session->worker;
	struct verdict verdict;
	bool is_known;
	uint8_t sha256[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (X509_digest(leaf, EVP_sha256(), sha256, &len) != 1 || len != 32) {
		session->refusal = REFUSAL_CERTIFICATE_UNREADABLE;
		return session->refusal;
	}
	is_known = verdict_cache_find(worker->verdicts, sha256, &verdict);
	if (is_known)
		shared_add(&worker->counters->verdict_hits, 1);
	else
		judge_fresh(session, leaf, sent, &verdict);
	session->refusal = worker_judge_verdict(worker, &verdict);
	if (session->refusal == REFUSAL_CERTIFICATE_EXPIRED && is_known) {
		/* An authority may have been renewed since: another path may hold. */
		judge_fresh(session, leaf, sent, &verdict);
		session->refusal = worker_judge_verdict(worker, &verdict);
	}
	if (session->refusal == REFUSAL_CERTIFICATE_REVOKED && may_be_wiped(worker, &verdict)) {
		session->is_wipe_only = true;
		session->refusal = REFUSAL_NONE;
		session_log_wipe_only(session, &verdict);
	} else if (session->refusal == REFUSAL_NONE)
		session->refusal = ocsp_client_join(worker->ocsp, session, &verdict);
	if (session->refusal != REFUSAL_NONE) {
		session_log_refused(
			session, session->refusal, &verdict, tls_version(&session->tls));
		worker_seen(worker, sha256, session->refusal, "", leaf, sent);
		return session->refusal;
	}
	credential_free(session->credential);
	session->credential =
		credential_new(&verdict, mailbox_identity_kinds(&worker->config->mailbox));
	if (session->credential == NULL) {
		session->refusal = REFUSAL_INTERNAL;
	} else {
		session->credential->policy_oids = policy_oids_of(worker->policy, leaf);
		worker_expect_change(worker, session->credential->not_after + 1);
	}
	return session->refusal;
}

/* The mailbox */

/* An issuer that is not in the store cannot be told what it may vouch for, so one above it that is told
 * has not been asked. */
static bool issuers_allow(const struct worker *worker, const struct credential *credential)
{
	const struct trust_store *trust = worker->child->trust;

	for (uint32_t i = 0; i < credential->link_count; i++) {
		int authority = credential->links[i].authority;

		if (authority >= 0 && (size_t)authority < trust->count)
			return trust_rules_allow(&trust->authorities[authority],
				i == 0 ? credential->rules : 0, credential->mailbox);
	}
	return true;
}

/* What the directory says, or is known to have said, as of changes. */
static void credential_take_mailbox(const struct worker *worker, struct credential *credential,
	enum refusal refusal, const struct verdict_mailbox *said)
{
	if (refusal == REFUSAL_NONE && said->mailbox[0] == '\0')
		refusal = REFUSAL_INTERNAL;
	if (refusal == REFUSAL_NONE && strcmp(credential->mailbox, said->mailbox) != 0 &&
		credential_set_mailbox(credential, said->mailbox) != 0)
		refusal = REFUSAL_INTERNAL;
	if (refusal == REFUSAL_NONE && credential_set_users(credential, said->users) != 0)
		refusal = REFUSAL_INTERNAL;
	if (refusal == REFUSAL_NONE && !issuers_allow(worker, credential))
		refusal = REFUSAL_ISSUER_NOT_ALLOWED;
	credential->groups = said->groups;
	credential->refusal = refusal;
	credential->valid_until = said->valid_until;
	credential->changes = said->changes;
}

/* Nobody could be asked. What was known is too old; the next request asks again. */
static void credential_miss_directory(struct credential *credential)
{
	credential->refusal = REFUSAL_DIRECTORY_UNAVAILABLE;
	credential->valid_until = INT64_MIN;
}

/* What another session of the same certificate was told, where that still holds. */
static bool find_known_mailbox(const struct session *session, struct verdict_mailbox *known)
{
	const struct worker *worker = session->worker;

	return verdict_cache_mailbox(worker->verdicts, session->credential->leaf_sha256, known) &&
	       known->valid_until > worker_now(worker) &&
	       known->changes == identity_client_changes(worker->identity);
}

static int ask_directory(struct session *session)
{
	struct identity_names names;

	identity_names_unpack(session->credential->names, &names);
	return identity_client_ask(session->worker->identity, session, &names);
}

static bool is_mailbox_old(const struct session *session)
{
	const struct worker *worker = session->worker;
	const struct credential *credential = session->credential;

	/* What is wrong with the names themselves no directory can change. */
	return credential != NULL && credential->has_usable_names &&
	       (worker_now(worker) >= credential->valid_until ||
		       credential->changes != identity_client_changes(worker->identity));
}

/* Asks, and waits for the answer: true. Or the answer is there already. */
static bool session_wait_for_mailbox(struct session *session)
{
	struct verdict_mailbox known;

	session_forget_question(session);
	if (find_known_mailbox(session, &known)) {
		credential_take_mailbox(session->worker, session->credential, REFUSAL_NONE, &known);
		return false;
	}
	if (ask_directory(session) != 0) {
		credential_miss_directory(session->credential);
		return false;
	}
	session_enter(session, SESSION_IDENTIFY);
	session_set_timer(session, session->worker->config->limits.handshake_time_ms);
	session_update_events(session);
	return true;
}

/* Tells control who has come in, or would have but for that. The certificate is not needed any more
 * once somebody has. */
static void session_report(struct session *session)
{
	const struct credential *credential = session->credential;

	if (credential != NULL)
		worker_seen(session->worker, credential->leaf_sha256,
			session->is_wipe_only ? REFUSAL_CERTIFICATE_REVOKED
					      : session_check(session),
			credential->mailbox, tls_peer(&session->tls),
			tls_peer_chain(&session->tls));
	if (credential == NULL || credential->mailbox[0] != '\0')
		tls_forget_peer(&session->tls);
}

void session_identify(struct session *session)
{
	if (is_mailbox_old(session) && session_wait_for_mailbox(session))
		return;
	session_report(session);
	session_await_head(session);
}

bool session_identify_again(struct session *session)
{
	/* Once for each request, however short a time the answer is good for. */
	if (session->has_asked_again) {
		session->has_asked_again = false;
		return false;
	}
	session->has_asked_again = is_mailbox_old(session) && session_wait_for_mailbox(session);
	return session->has_asked_again;
}

void session_identify_timed_out(struct session *session)
{
	identity_client_forget(session->worker->identity, session);
	credential_miss_directory(session->credential);
	session_await_head(session);
}

/* In the background */

/* The mailbox of a request under way may be somebody else's now, or nobody's; or its owner is in other
 * groups, by which it would be judged otherwise: a long poll ends, and the phone asks anew. */
static void session_told_again(
	struct session *session, enum refusal refusal, const struct verdict_mailbox *said)
{
	struct credential *credential = session->credential;
	uint64_t groups = credential->groups;

	if (refusal == REFUSAL_NONE && credential->mailbox[0] != '\0' &&
		strcmp(credential->mailbox, said->mailbox) != 0) {
		session_shut_out(
			session, REFUSAL_NONE, "the certificate leads to another mailbox now");
		return;
	}
	credential_take_mailbox(session->worker, credential, refusal, said);
	if (credential->refusal != REFUSAL_NONE)
		session_shut_out(session, credential->refusal,
			"the directory has no mailbox for the certificate any more");
	else if (credential->groups != groups)
		session_end_poll(session, REGROUP_MS, POLL_REGROUPED);
}

bool session_ask_again(struct session *session)
{
	struct verdict_mailbox known;

	session_forget_question(session);
	if (!session_has_exchange(session) || !is_mailbox_old(session))
		return false;
	if (find_known_mailbox(session, &known)) {
		session_told_again(session, REFUSAL_NONE, &known);
		return false;
	}
	session->is_asking = ask_directory(session) == 0;
	return session->is_asking;
}

void session_forget_question(struct session *session)
{
	if (!session->is_asking)
		return;
	session->is_asking = false;
	identity_client_forget(session->worker->identity, session);
	worker_identity_answered(&session->worker->reidentify);
}

void session_identified(struct session *session, const struct mailbox_answer *answer)
{
	struct worker *worker = session->worker;
	struct credential *credential = session->credential;
	enum refusal refusal = (enum refusal)answer->refusal;
	const struct verdict_mailbox said = {.mailbox = answer->mailbox,
		.users = answer->users,
		.groups = answer->groups,
		.valid_until = answer->valid_until,
		.changes = identity_client_changes(worker->identity)};
	bool is_first = credential->mailbox[0] == '\0';

	/* For the next session of the same certificate. */
	verdict_cache_set_mailbox(worker->verdicts, credential->leaf_sha256, &said);
	if (refusal != REFUSAL_NONE)
		session_log_no_mailbox(session, refusal, answer->reason);
	if (session->is_asking) {
		session->is_asking = false;
		worker_identity_answered(&worker->reidentify);
		session_told_again(session, refusal, &said);
		return;
	}
	credential_take_mailbox(worker, credential, refusal, &said);
	if (is_first)
		session_report(session);
	session_await_head(session);
}
