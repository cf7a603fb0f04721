/*
 * A worker's query for a login, from its arrival until its answer: whose it is, what is known, and else
 * what is being got.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/clock.h"
#include "proxy/identity_login_room.h"
#include "proxy/log.h"
#include "proxy/upstream_service.h"

enum {
	MARGIN_S = 5,        /* a login is not given in the last moment of its life */
	FRESH_MIN_MS = 1000, /* several workers may find a login wanting at the same time */
};

/* Answers */

/* Frees the request. */
static void request_end(struct login_request *request, struct message *answer)
{
	if (request->asked.peer != NULL)
		peer_request_end(&request->asked, answer);
	message_wipe(answer);
	free(request);
}

static void fill_answer(
	const struct login_request *request, enum refusal refusal, struct message *message)
{
	struct message_login_answer *answer = &message->u.login_answer;

	message->type = MESSAGE_LOGIN_ANSWER;
	answer->id = request->id;
	answer->refusal = refusal;
	answer->account_until = request->account_until;
	answer->was_known = request->was_known;
	answer->directory_us = request->directory_us;
	answer->fetch_us = request->fetch_us;
	answer->token_us = request->token_us;
	login_subject_name(&request->subject, answer->account, sizeof(answer->account));
}

void login_request_give(
	struct login_request *request, int64_t valid_until, uint32_t context, struct span secret)
{
	struct shared_login *counts = login_counts(request->login, request->kind);
	struct message message = {.type = MESSAGE_LOGIN_ANSWER};
	struct message_login_answer *answer = &message.u.login_answer;

	fill_answer(request, REFUSAL_NONE, &message);
	answer->valid_until = valid_until;
	answer->context = context;
	answer->secret_len = (uint32_t)secret.len;
	memcpy(answer->secret, secret.data, secret.len);
	atomic_fetch_add(&counts->given, 1);
	if (request->was_known)
		atomic_fetch_add(&counts->known, 1);
	request_end(request, &message);
}

void login_request_refuse(
	struct login_request *request, enum login_status status, const struct login_fault *fault)
{
	struct shared_login *counts = login_counts(request->login, request->kind);
	struct message message = {.type = MESSAGE_LOGIN_ANSWER};
	bool is_refused = status == LOGIN_REFUSED;

	fill_answer(
		request, is_refused ? REFUSAL_LOGIN_REFUSED : REFUSAL_LOGIN_UNAVAILABLE, &message);
	message.u.login_answer.fault = *fault;
	atomic_fetch_add(is_refused ? &counts->refused : &counts->failed, 1);
	request_end(request, &message);
}

static void login_request_fail(struct login_request *request, const char *text, const char *hint)
{
	struct login_fault fault;

	login_fault_set(&fault, LOGIN_UNAVAILABLE, hint, "%s", text);
	login_request_refuse(request, LOGIN_UNAVAILABLE, &fault);
}

/* Tokens of tickets */

static void request_look(struct login_request *request);

static struct login_request *request_of(struct wallet_job *job)
{
	return (struct login_request *)((char *)job - offsetof(struct login_request, token));
}

/* The ticket is not there, or no good any more: once more with another one. */
void login_request_retry(struct login_request *request, const struct login_fault *fault)
{
	struct identity_login *login = request->login;
	struct login_entry *entry;

	if (request->was_retried) {
		login_request_refuse(request, LOGIN_UNAVAILABLE, fault);
		return;
	}
	request->was_retried = true;
	entry = login_cache_find(login->cache, request->kind, request->mailbox, request->service);
	if (entry != NULL && entry->number == request->number)
		login_entry_forget(login->cache, entry);
	request_look(request);
}

static void on_token(struct wallet_job *job, const struct message_login_done *answer)
{
	struct login_request *request = request_of(job);
	struct login_fault fault;

	request->token_us = (uint32_t)(clock_us() - request->begun_us);
	if (answer == NULL) {
		login_fault_set(&fault, LOGIN_UNAVAILABLE, "the log says how it ended",
			"the process that keeps the tickets has died");
		login_request_retry(request, &fault);
		return;
	}
	switch ((enum login_status)answer->status) {
	case LOGIN_GIVEN:
		if (request->asked.peer == NULL && answer->context != 0)
			wallet_forget(request->login->wallet, answer->context);
		login_request_give(request, request->valid_until, answer->context,
			span_of(answer->secret, answer->secret_len));
		break;
	case LOGIN_UNAVAILABLE: login_request_retry(request, &answer->fault); break;
	default:
		login_request_refuse(request, (enum login_status)answer->status, &answer->fault);
		break;
	}
}

void login_request_token(struct login_request *request, const struct login_entry *entry)
{
	request->number = entry->number;
	request->valid_until = entry->valid_until;
	request->begun_us = clock_us();
	request->token.done = on_token;
	if (wallet_token(request->login->wallet, &request->token, entry->number) == -1)
		login_request_fail(request, "memory has run out", NULL);
}

/* Requests */

/* Waits for a login to be got, by a flight that is under way or by another one. */
static void request_fetch(struct login_request *request, struct login_entry *entry)
{
	struct identity_login *login = request->login;
	struct login_fault fault;

	request->was_known = false;
	/* Those who are refused at once take nobody's place in the cache. */
	if ((entry == NULL || entry->flight == NULL) &&
		login_desk_is_down(
			login->desks[request->kind], &request->subject, request->service, &fault)) {
		login_request_refuse(request, LOGIN_UNAVAILABLE, &fault);
		return;
	}
	if (entry == NULL)
		entry = login_cache_add(
			login->cache, request->kind, request->mailbox, request->service);
	if (entry == NULL) {
		login_request_fail(request, "too many logins are being got already",
			"see upstream/login-cache");
		return;
	}
	if (entry->flight == NULL) {
		login_subject_hash(&request->subject, entry->subject);
		if (login_flight_begin(login, entry, &request->subject, &fault) == -1) {
			if (entry->known == LOGIN_NOTHING)
				login_cache_remove(login->cache, entry);
			login_request_refuse(request, LOGIN_UNAVAILABLE, &fault);
			return;
		}
	}
	TAILQ_INSERT_TAIL(&entry->flight->waiting, request, entry);
}

/* Whether what is known may be given. */
static bool is_good(const struct login_request *request, const struct login_entry *entry)
{
	const struct identity_login *login = request->login;
	struct login_fault fault;

	if (entry->known != LOGIN_HAVE || entry->valid_until - MARGIN_S <= login->clock->now())
		return false;
	if (entry->has_secret && entry->kept_until_ms <= login->clock->ms())
		return false;
	return login->config->upstream.login_down != CONFIG_LOGIN_DOWN_REFUSE ||
	       !login_desk_is_down(
		       login->desks[request->kind], &request->subject, request->service, &fault);
}

static void renew_ahead(const struct login_request *request, struct login_entry *entry)
{
	struct identity_login *login = request->login;
	struct login_fault fault;

	if (entry->flight != NULL || login->clock->ms() < entry->renew_at_ms)
		return;
	if (login_flight_begin(login, entry, &request->subject, &fault) == -1)
		entry->renew_at_ms = login->clock->ms() + LOGIN_RENEW_AGAIN_MS;
}

/* Forgets what must not be used for this request. False: it cannot be helped now. */
static bool entry_suits(const struct login_request *request, struct login_entry *entry)
{
	struct identity_login *login = request->login;
	uint8_t subject[LOGIN_SUBJECT_HASH_SIZE];

	login_subject_hash(&request->subject, subject);
	if (memcmp(subject, entry->subject, sizeof(subject)) != 0) {
		login_entry_forget(login->cache, entry);
		if (entry->flight != NULL)
			entry->flight->is_void = true;
	}
	if (request->is_fresh && entry->flight == NULL && entry->known != LOGIN_NOTHING &&
		login->clock->ms() - entry->got_at_ms >= FRESH_MIN_MS)
		login_entry_forget(login->cache, entry);
	return entry->flight == NULL || !entry->flight->is_void;
}

/* With the subject known: gives what there is, or has it got. */
static void request_look(struct login_request *request)
{
	struct identity_login *login = request->login;
	struct login_entry *entry =
		login_cache_find(login->cache, request->kind, request->mailbox, request->service);

	if (entry != NULL && !entry_suits(request, entry)) {
		login_request_fail(request, "another login for it was dropped a moment ago", NULL);
		return;
	}
	if (entry != NULL && entry->known == LOGIN_DENIED &&
		login->clock->ms() < entry->denied_until_ms) {
		login_request_refuse(request, LOGIN_REFUSED, entry->fault);
		return;
	}
	if (entry == NULL || !is_good(request, entry)) {
		request_fetch(request, entry);
		return;
	}
	request->was_known = true;
	renew_ahead(request, entry);
	if (request->kind == LOGIN_KERBEROS)
		login_request_token(request, entry);
	else
		login_request_give(
			request, entry->valid_until, 0, span_of(entry->secret, entry->secret_len));
}

static void request_resolved(struct login_request *request, const struct directory_answer *answer)
{
	struct identity_login *login = request->login;
	struct login_fault fault;
	enum login_status status = login_subject_fill(
		login->config, request->kind, request->mailbox, answer, &request->subject, &fault);

	if (status == LOGIN_GIVEN) {
		request_look(request);
		return;
	}
	if (status == LOGIN_REFUSED)
		login_log_refused(login, request->kind, &request->subject, &fault);
	login_request_refuse(request, status, &fault);
}

static void on_directory_answered(
	struct directory_waiter *waiter, const struct directory_answer *answer, int64_t valid_until)
{
	struct login_request *request =
		(struct login_request *)((char *)waiter - offsetof(struct login_request, waiter));

	if (request->asked.peer == NULL) {
		free(request);
		return;
	}
	request->account_until = valid_until;
	request->directory_us = (uint32_t)(clock_us() - request->begun_us);
	request_resolved(request, answer);
}

/* Whoever rules a worker is not to get logins to other servers that our account may delegate to, nor to wear
 * the KDC out with names. */
static bool is_service(const struct config *config, const struct message *query)
{
	const struct config_upstream *upstream = &config->upstream;
	const char *wanted = query->u.login_query.service;
	char service[LOGIN_SERVICE_MAX + 1];

	if (query->u.login_query.kind != LOGIN_KERBEROS)
		return wanted[0] == '\0';
	for (size_t i = 0; i < upstream->endpoint_count; i++)
		if (upstream_service(upstream, &upstream->endpoints[i], service) == 0 &&
			strcmp(service, wanted) == 0)
			return true;
	return false;
}

bool login_request_begin(
	struct identity_login *login, struct peer *peer, const struct message *query)
{
	struct login_request *request = calloc(1, sizeof(*request));
	struct directory_answer answer;
	int64_t valid_until;

	if (request == NULL)
		return false;
	if (!is_service(login->config, query)) {
		log_message(CONFIG_LOG_ERROR, "login",
			"a worker asks for a login to a service that is not in the configuration; "
			"it is not heard any more");
		free(request);
		return false;
	}
	request->login = login;
	request->id = query->u.login_query.id;
	request->kind = (enum login_kind)query->u.login_query.kind;
	request->is_fresh = query->u.login_query.is_fresh != 0;
	memcpy(request->mailbox, query->u.login_query.mailbox, sizeof(request->mailbox));
	memcpy(request->service, query->u.login_query.service, sizeof(request->service));
	request->account_until = INT64_MAX;
	peer_request_begin(peer, &request->asked);
	if (login->desks[request->kind] == NULL) {
		login_request_fail(request, "the configuration has no such login",
			"this is a fault of easproxyd's own");
		return true;
	}
	if (!login_subject_needs_directory(login->config, request->kind)) {
		request_resolved(request, NULL);
		return true;
	}
	request->begun_us = clock_us();
	request->waiter.answered = on_directory_answered;
	request->question.kind = CONFIG_NAME_RFC822;
	snprintf(request->question.value, sizeof(request->question.value), "%s", request->mailbox);
	if (identity_directory_ask(login->directory, &request->question, &request->waiter, &answer,
		    &valid_until) == 1)
		on_directory_answered(&request->waiter, &answer, valid_until);
	return true;
}
