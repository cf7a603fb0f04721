/*
 * Who it is: the judgement of a certificate in the middle of the handshake, and the mailbox that it
 * opens, which the directory is asked for once, and again when its answer has become old: before the
 * next request, or in the background where one is under way (worker_identity.h).
 */
#include <openssl/evp.h>
#include <string.h>

#include "auth/x509_text.h"
#include "proxy/exchange_sleep.h"
#include "proxy/identity_client.h"
#include "proxy/ocsp_client.h"
#include "proxy/policy.h"
#include "proxy/session.h"
#include "proxy/worker_judge.h"
#include "proxy/worker_seen.h"

enum { REGROUP_MS = 100 };

/* Builds its path. Where that holds, *accepted is the caller's, and verdict need not be looked at. */
static enum refusal judge_fresh(struct session *session, X509 *leaf, STACK_OF(X509) * sent,
	struct verdict *verdict, struct accepted **accepted)
{
	struct worker *worker = session->worker;
	uint64_t evictions = verdict_cache_evictions(worker->verdicts);

	*accepted = NULL;
	shared_add(&worker->counters->verdict_misses, 1);
	if (verifier_run(worker->verifier, leaf, sent, worker_now(worker), verdict) != REFUSAL_NONE)
		return verdict->refusal;
	*accepted = accepted_new(verdict, mailbox_identity_kinds(&worker->config->mailbox),
		policy_oids_of(worker->policy, leaf));
	if (*accepted == NULL)
		return REFUSAL_INTERNAL;
	/* One that has expired has its path built each time, and takes nobody's place. */
	if (worker_now(worker) <= (*accepted)->not_after)
		verdict_cache_insert(worker->verdicts, *accepted);
	shared_add(&worker->counters->verdict_evictions,
		verdict_cache_evictions(worker->verdicts) - evictions);
	return REFUSAL_NONE;
}

static enum refusal judge_now(const struct worker *worker, const struct accepted *accepted)
{
	const struct verdict_links links = accepted_links(accepted);

	return worker_judge_links(worker, &links);
}

/* Finds it or builds its path, and judges it now. NULL where no path holds: then verdict is filled. */
static struct accepted *find_accepted(struct session *session, const uint8_t sha256[32], X509 *leaf,
	STACK_OF(X509) * sent, struct verdict *verdict)
{
	struct worker *worker = session->worker;
	struct accepted *accepted = verdict_cache_find(worker->verdicts, sha256);

	if (accepted != NULL) {
		shared_add(&worker->counters->verdict_hits, 1);
		session->refusal = judge_now(worker, accepted);
		/* An authority may have been renewed since: another path may hold. */
		if (session->refusal != REFUSAL_CERTIFICATE_EXPIRED)
			return accepted_share(accepted);
	}
	session->refusal = judge_fresh(session, leaf, sent, verdict, &accepted);
	if (accepted != NULL)
		session->refusal = judge_now(worker, accepted);
	return accepted;
}

static bool may_be_wiped(const struct worker *worker, const struct accepted *accepted)
{
	const struct verdict_links links = accepted_links(accepted);

	return worker_may_be_wiped(worker, &links);
}

/* For a line in the log, which few need. */
static void verdict_of(const struct accepted *accepted, X509 *leaf, struct verdict *verdict)
{
	accepted_unpack(accepted, verdict);
	x509_name_format(X509_get_subject_name(leaf), verdict->subject, sizeof(verdict->subject));
}

/* One that was accepted once may have been revoked since, or OCSP knows better. */
static void judge_accepted(struct session *session, const struct accepted *accepted, X509 *leaf)
{
	struct verdict verdict;

	if (session->refusal == REFUSAL_CERTIFICATE_REVOKED &&
		may_be_wiped(session->worker, accepted)) {
		session->is_wipe_only = true;
		session->refusal = REFUSAL_NONE;
		verdict_of(accepted, leaf, &verdict);
		session_log_wipe_only(session, &verdict);
	} else if (session->refusal == REFUSAL_NONE)
		session->refusal = ocsp_client_join(session->worker->ocsp, session, accepted);
}

static void log_refused(struct session *session, const struct accepted *accepted, X509 *leaf,
	struct verdict *verdict)
{
	if (accepted != NULL)
		verdict_of(accepted, leaf, verdict);
	session_log_refused(session, session->refusal, verdict, tls_version(&session->tls));
}

static void take_credential(struct session *session, struct accepted *accepted)
{
	credential_free(session->credential);
	session->credential = accepted != NULL ? credential_new(accepted) : NULL;
	if (session->credential == NULL)
		session->refusal = REFUSAL_INTERNAL;
	else
		worker_expect_change(session->worker, accepted->not_after + 1);
}

/* In the middle of the handshake: the tls_judge of every listener. */
enum refusal session_judge(void *owner, X509 *leaf, STACK_OF(X509) * sent)
{
	struct session *session = owner;
	struct verdict verdict;
	struct accepted *accepted;
	uint8_t sha256[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (X509_digest(leaf, EVP_sha256(), sha256, &len) != 1 || len != 32) {
		session->refusal = REFUSAL_CERTIFICATE_UNREADABLE;
		return session->refusal;
	}
	accepted = find_accepted(session, sha256, leaf, sent, &verdict);
	if (accepted != NULL)
		judge_accepted(session, accepted, leaf);
	if (session->refusal == REFUSAL_NONE) {
		take_credential(session, accepted);
	} else {
		log_refused(session, accepted, leaf, &verdict);
		worker_seen(session->worker, sha256, session->refusal, "", leaf, sent);
	}
	accepted_free(accepted);
	return session->refusal;
}

/* The mailbox */

/* An issuer that is not in the store cannot be told what it may vouch for, so one above it that is told
 * has not been asked. */
static bool issuers_allow(const struct worker *worker, const struct credential *credential)
{
	const struct trust_store *trust = worker->child->trust;
	const struct verdict_links links = credential_links(credential);

	for (uint32_t i = 0; i < links.count; i++) {
		int authority = verdict_link_at(&links, i)->authority;

		if (authority >= 0 && (size_t)authority < trust->count)
			return trust_rules_allow(&trust->authorities[authority],
				i == 0 ? accepted_rules(credential->accepted) : 0,
				credential->mailbox);
	}
	return true;
}

/* What the directory says, or is known to have said. owner NULL: memory has run out, and it has to be
 * asked again. */
static void credential_take_owner(const struct worker *worker, struct credential *credential,
	enum refusal refusal, struct owner *owner)
{
	if (owner != NULL)
		credential_set_owner(credential, owner);
	if (refusal == REFUSAL_NONE && (owner == NULL || owner->mailbox[0] == '\0'))
		refusal = REFUSAL_INTERNAL;
	if (refusal == REFUSAL_NONE && !issuers_allow(worker, credential))
		refusal = REFUSAL_ISSUER_NOT_ALLOWED;
	credential->refusal = refusal;
	credential->is_unasked = owner == NULL;
}

/* Nobody could be asked. What was known is too old; the next request asks again. */
static void credential_miss_directory(struct credential *credential)
{
	credential->refusal = REFUSAL_DIRECTORY_UNAVAILABLE;
	credential->is_unasked = true;
}

static bool is_owner_current(const struct worker *worker, const struct owner *owner)
{
	return owner != NULL && worker_now(worker) < owner->valid_until &&
	       owner->changes == identity_client_changes(worker->identity);
}

/* What another session of the same certificate was told, where that still holds; borrowed. */
static struct owner *find_known_owner(const struct session *session)
{
	const struct worker *worker = session->worker;
	struct owner *known =
		verdict_cache_owner(worker->verdicts, session->credential->accepted->leaf_sha256);

	return is_owner_current(worker, known) ? known : NULL;
}

static int ask_directory(struct session *session)
{
	struct identity_names names;

	identity_names_unpack(session->credential->accepted->names, &names);
	return identity_client_ask(session->worker->identity, session, &names);
}

static bool is_mailbox_old(const struct session *session)
{
	const struct credential *credential = session->credential;

	/* What is wrong with the names themselves no directory can change. */
	return credential != NULL && credential_has_usable_names(credential) &&
	       (credential->is_unasked ||
		       !is_owner_current(session->worker, credential_owner(credential)));
}

/* Asks, and waits for the answer: true. Or the answer is there already. */
static bool session_wait_for_mailbox(struct session *session)
{
	struct owner *known;

	session_forget_question(session);
	known = find_known_owner(session);
	if (known != NULL) {
		credential_take_owner(session->worker, session->credential, REFUSAL_NONE, known);
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
		worker_seen(session->worker, credential->accepted->leaf_sha256,
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
static void session_told_again(struct session *session, enum refusal refusal, struct owner *owner)
{
	struct credential *credential = session->credential;
	uint64_t groups = credential_groups(credential);

	if (refusal == REFUSAL_NONE && owner != NULL && credential->mailbox[0] != '\0' &&
		strcmp(credential->mailbox, owner->mailbox) != 0) {
		session_shut_out(
			session, REFUSAL_NONE, "the certificate leads to another mailbox now");
		return;
	}
	credential_take_owner(session->worker, credential, refusal, owner);
	if (credential->refusal != REFUSAL_NONE)
		session_shut_out(session, credential->refusal,
			"the directory has no mailbox for the certificate any more");
	else if (credential_groups(credential) != groups)
		session_end_poll(session, REGROUP_MS, POLL_REGROUPED);
}

bool session_ask_again(struct session *session)
{
	struct owner *known;

	session_forget_question(session);
	if (!session_has_exchange(session) || !is_mailbox_old(session))
		return false;
	known = find_known_owner(session);
	if (known != NULL) {
		session_told_again(session, REFUSAL_NONE, known);
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

/* For this session, and the next one of the same certificate. A refusal leaves the mailbox as it was
 * known, so that log lines say whose it is. The caller's; NULL when memory runs out. */
static struct owner *take_answer(
	const struct session *session, const struct mailbox_answer *answer, enum refusal refusal)
{
	struct worker *worker = session->worker;
	const struct credential *credential = session->credential;
	const struct owner *former = credential_owner(credential);
	struct owner_words words = {.mailbox = answer->mailbox,
		.users = answer->users,
		.groups = answer->groups,
		.valid_until = answer->valid_until,
		.changes = identity_client_changes(worker->identity)};
	struct owner *owner =
		verdict_cache_told(worker->verdicts, credential->accepted->leaf_sha256, &words);

	if (refusal == REFUSAL_NONE)
		return owner;
	owner_free(owner);
	words.mailbox = credential->mailbox;
	words.users = former != NULL ? owner_users(former) : "";
	return owner_new(&words);
}

void session_identified(struct session *session, const struct mailbox_answer *answer)
{
	struct worker *worker = session->worker;
	struct credential *credential = session->credential;
	enum refusal refusal = (enum refusal)answer->refusal;
	bool is_first = credential->mailbox[0] == '\0';
	struct owner *owner = take_answer(session, answer, refusal);

	if (refusal != REFUSAL_NONE)
		session_log_no_mailbox(session, refusal, answer->reason);
	if (session->is_asking) {
		session->is_asking = false;
		worker_identity_answered(&worker->reidentify);
		session_told_again(session, refusal, owner);
		owner_free(owner);
		return;
	}
	credential_take_owner(worker, credential, refusal, owner);
	owner_free(owner);
	if (is_first)
		session_report(session);
	session_await_head(session);
}
