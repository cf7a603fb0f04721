#include "proxy/identity_login.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auth/user_index.h"
#include "config/clock.h"
#include "proxy/identity_login_cache.h"
#include "proxy/identity_login_desk.h"
#include "proxy/identity_login_subject.h"
#include "proxy/identity_login_wallet.h"
#include "proxy/log.h"
#include "proxy/timeval.h"
#include "proxy/upstream_service.h"

enum {
	KEEP_MS = 30 * 1000,        /* secrets, see the header */
	MARGIN_S = 5,               /* a login is not given in the last moment of its life */
	LIFE_MAX_S = 30 * 86400,    /* beyond it a login is renewed all the same */
	FRESH_MIN_MS = 1000,        /* several workers may find a login wanting at the same time */
	RENEW_AGAIN_MS = 30 * 1000, /* after a renewal that has failed */
	RENEW_PARTS = 5,
	RENEW_AT = 4, /* renewed at four fifths of its life */
	LOG_LINES_MAX = 10,
	LOG_LINE_MS = 1000, /* of refusals: so many at once, then one in this time */
};

/* Lines about single users, of whom there may be many. */
struct log_limit {
	unsigned int used;
	int64_t since_ms;
	int64_t left_out;
};

struct identity_login {
	const struct child *child;
	const struct config *config;
	const struct login_clock *clock;
	const struct helper_work *works[LOGIN_KIND_COUNT];
	const struct helper_work *tokens;
	int spawners[LOGIN_KIND_COUNT], tokens_spawner;
	struct event_base *base;
	struct identity_directory *directory;
	struct login_desk *desks[LOGIN_KIND_COUNT]; /* NULL: the configuration has no such login */
	struct login_wallet *wallet;
	struct login_cache *cache;
	struct event *wipe_timer;
	bool is_wallet_lost; /* nothing has to be dropped there */
	struct log_limit log_limit;
	void (*changed)(void *context, enum login_kind kind);
	void *context;
};

/* A worker's query, from its arrival until its answer. */
struct login_request {
	struct peer_request asked;
	struct identity_login *login;
	TAILQ_ENTRY(login_request) entry; /* while it waits for a flight */
	struct directory_waiter waiter;
	struct directory_question question;
	struct wallet_job token;
	uint64_t id;
	enum login_kind kind;
	bool is_fresh, was_known, was_retried;
	uint64_t begun_us; /* of the step under way */
	uint32_t directory_us, fetch_us, token_us;
	uint64_t number; /* of the entry whose ticket is used */
	int64_t valid_until;
	int64_t account_until;
	struct login_subject subject;
	char mailbox[MAILBOX_MAX + 1];
	char service[LOGIN_SERVICE_MAX + 1];
};

TAILQ_HEAD(request_list, login_request);

/* A login that is being got, for whoever waits for it, or ahead of time. */
struct login_flight {
	struct login_fetch fetch;
	struct wallet_job put;
	struct identity_login *login;
	struct login_entry *entry;
	struct request_list waiting;
	bool is_void; /* its owner is out, or another one, by now */
	bool is_renewal;
	int64_t begun_at, valid_until; /* UNIX seconds */
	uint32_t fetch_us;
};

static int64_t real_now(void)
{
	return time(NULL);
}

static const struct login_clock real_clock = {.ms = clock_ms, .now = real_now};

static struct shared_login *counts_of(const struct identity_login *login, enum login_kind kind)
{
	return &login->child->shared->logins[kind];
}

static void count_cached(struct identity_login *login)
{
	for (unsigned int kind = 0; kind < LOGIN_KIND_COUNT; kind++)
		atomic_store(&counts_of(login, (enum login_kind)kind)->cached,
			login_cache_count(login->cache, (enum login_kind)kind));
}

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

static void request_give(
	struct login_request *request, int64_t valid_until, uint32_t context, struct span secret)
{
	struct shared_login *counts = counts_of(request->login, request->kind);
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

static void request_refuse(
	struct login_request *request, enum login_status status, const struct login_fault *fault)
{
	struct shared_login *counts = counts_of(request->login, request->kind);
	struct message message = {.type = MESSAGE_LOGIN_ANSWER};
	bool is_refused = status == LOGIN_REFUSED;

	fill_answer(
		request, is_refused ? REFUSAL_LOGIN_REFUSED : REFUSAL_LOGIN_UNAVAILABLE, &message);
	message.u.login_answer.fault = *fault;
	atomic_fetch_add(is_refused ? &counts->refused : &counts->failed, 1);
	request_end(request, &message);
}

static void request_fail(struct login_request *request, const char *text, const char *hint)
{
	struct login_fault fault;

	login_fault_set(&fault, LOGIN_UNAVAILABLE, hint, "%s", text);
	request_refuse(request, LOGIN_UNAVAILABLE, &fault);
}

static void log_refused(struct identity_login *login, enum login_kind kind,
	const struct login_subject *subject, const struct login_fault *fault)
{
	struct log_limit *limit = &login->log_limit;
	int64_t now = login->clock->ms();
	struct log_line line;

	while (limit->used > 0 && now - limit->since_ms >= LOG_LINE_MS) {
		limit->used--;
		limit->since_ms += LOG_LINE_MS;
	}
	if (limit->used == 0)
		limit->since_ms = now;
	if (limit->used == LOG_LINES_MAX) {
		limit->left_out++;
		return;
	}
	limit->used++;
	log_begin(&line, CONFIG_LOG_WARNING, "login-failed");
	log_text(&line, "login", login_kind_name(kind));
	log_text(&line, "mailbox", subject->mailbox);
	log_text(&line, "account", subject->account);
	log_text(&line, "realm", subject->realm);
	log_text(&line, "message", fault->text);
	log_text(&line, "hint", fault->hint);
	if (limit->left_out > 0)
		log_number(&line, "left_out", limit->left_out);
	limit->left_out = 0;
	log_end(&line);
}

/* Tokens of tickets */

static void request_look(struct login_request *request);

static struct login_request *request_of(struct wallet_job *job)
{
	return (struct login_request *)((char *)job - offsetof(struct login_request, token));
}

/* The ticket is not there, or no good any more: once more with another one. */
static void request_retry(struct login_request *request, const struct login_fault *fault)
{
	struct identity_login *login = request->login;
	struct login_entry *entry;

	if (request->was_retried) {
		request_refuse(request, LOGIN_UNAVAILABLE, fault);
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
		request_retry(request, &fault);
		return;
	}
	switch ((enum login_status)answer->status) {
	case LOGIN_GIVEN:
		if (request->asked.peer == NULL && answer->context != 0)
			wallet_forget(request->login->wallet, answer->context);
		request_give(request, request->valid_until, answer->context,
			span_of(answer->secret, answer->secret_len));
		break;
	case LOGIN_UNAVAILABLE: request_retry(request, &answer->fault); break;
	default: request_refuse(request, (enum login_status)answer->status, &answer->fault); break;
	}
}

static void request_token(struct login_request *request, const struct login_entry *entry)
{
	request->number = entry->number;
	request->valid_until = entry->valid_until;
	request->begun_us = clock_us();
	request->token.done = on_token;
	if (wallet_token(request->login->wallet, &request->token, entry->number) == -1)
		request_fail(request, "memory has run out", NULL);
}

/* Flights */

static struct login_flight *flight_of(struct login_fetch *fetch)
{
	return (struct login_flight *)((char *)fetch - offsetof(struct login_flight, fetch));
}

static struct login_request *flight_next(struct login_flight *flight)
{
	struct login_request *request = TAILQ_FIRST(&flight->waiting);

	if (request == NULL)
		return NULL;
	TAILQ_REMOVE(&flight->waiting, request, entry);
	request->fetch_us = flight->fetch_us;
	return request;
}

/* Whoever waits gets none. */
static void flight_fail(
	struct login_flight *flight, enum login_status status, const struct login_fault *fault)
{
	struct login_request *request;

	flight->entry->flight = NULL;
	while ((request = flight_next(flight)) != NULL)
		request_refuse(request, status, fault);
	free(flight);
}

static void note_have(const struct login_flight *flight)
{
	struct identity_login *login = flight->login;
	struct login_entry *entry = flight->entry;
	int64_t life_s;

	entry->got_at = login->clock->now();
	entry->got_at_ms = login->clock->ms();
	life_s = flight->valid_until - entry->got_at;
	if (life_s > LIFE_MAX_S)
		life_s = LIFE_MAX_S;
	entry->renew_at_ms = entry->got_at_ms + life_s * 1000 / RENEW_PARTS * RENEW_AT;
	if (flight->is_renewal)
		atomic_fetch_add(&counts_of(login, entry->kind)->renewed, 1);
}

/* The ticket is in the wallet, or is not. */
static void on_put(struct wallet_job *job, const struct message_login_done *answer)
{
	struct login_flight *flight =
		(struct login_flight *)((char *)job - offsetof(struct login_flight, put));
	struct identity_login *login = flight->login;
	struct login_entry *entry = flight->entry;
	struct login_request *request;
	struct login_fault fault;

	if (flight->is_void) {
		wallet_drop(login->wallet, entry->number);
		login_fault_set(&fault, LOGIN_UNAVAILABLE, NULL,
			"the login was dropped while it was being got");
		flight_fail(flight, LOGIN_UNAVAILABLE, &fault);
		return;
	}
	entry->flight = NULL;
	if (answer != NULL && answer->status == LOGIN_GIVEN) {
		login_entry_have(login->cache, entry, flight->valid_until);
		note_have(flight);
		while ((request = flight_next(flight)) != NULL)
			request_token(request, entry);
	} else {
		if (answer != NULL)
			fault = answer->fault;
		else
			login_fault_set(&fault, LOGIN_UNAVAILABLE, "the log says how it ended",
				"the process that keeps the tickets has died");
		login_entry_forget(login->cache, entry);
		/* The entry may be gone after the first of them. */
		while ((request = flight_next(flight)) != NULL) {
			request->number = 0;
			request_retry(request, &fault);
		}
	}
	count_cached(login);
	free(flight);
}

static void wipe_later(struct identity_login *login)
{
	int64_t due = login_cache_wipe(login->cache, login->clock->ms());
	int64_t wait_ms = due == INT64_MAX ? 0 : due - login->clock->ms();
	struct timeval wait = timeval_of_ms((uint32_t)(wait_ms > 0 ? wait_ms : 1));

	if (due != INT64_MAX)
		evtimer_add(login->wipe_timer, &wait);
}

static void on_wipe_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	wipe_later(arg);
	count_cached(arg);
}

/* The secret is in the answer: all who wait have the same. */
static void flight_share(struct login_flight *flight, const struct message_login_done *answer)
{
	struct identity_login *login = flight->login;
	struct login_entry *entry = flight->entry;
	struct span secret = span_of(answer->secret, answer->secret_len);
	struct login_request *request;

	if (entry->kind != LOGIN_ASSERTION) {
		login_entry_keep(login->cache, entry, flight->valid_until, secret,
			login->clock->ms() + KEEP_MS);
		note_have(flight);
		if (!evtimer_pending(login->wipe_timer, NULL))
			wipe_later(login);
	}
	entry->flight = NULL;
	while ((request = flight_next(flight)) != NULL)
		request_give(request, flight->valid_until, 0, secret);
	count_cached(login);
	free(flight);
}

static void flight_given(
	struct login_flight *flight, const struct message_login_done *answer, int fd)
{
	struct login_fault fault;

	flight->valid_until = answer->valid_until;
	if (flight->entry->kind != LOGIN_KERBEROS) {
		if (fd != -1)
			close(fd);
		flight_share(flight, answer);
		return;
	}
	flight->put.done = on_put;
	if (fd != -1 && wallet_put(flight->login->wallet, &flight->put, flight->entry->number,
				flight->valid_until, fd) == 0)
		return;
	login_fault_set(&fault, LOGIN_UNAVAILABLE, NULL, "the ticket has got lost on its way");
	flight_fail(flight, LOGIN_UNAVAILABLE, &fault);
}

static void flight_refused(struct login_flight *flight, const struct login_fault *fault)
{
	struct identity_login *login = flight->login;
	struct login_entry *entry = flight->entry;

	log_refused(login, entry->kind, &flight->fetch.subject, fault);
	/* Also where an older login would be good for a while: the user may not have one any more. */
	login_entry_deny(login->cache, entry, fault);
	entry->got_at = login->clock->now();
	entry->got_at_ms = login->clock->ms();
	entry->denied_until_ms = entry->got_at_ms + login->config->upstream.login_failed_ms;
	count_cached(login);
	flight_fail(flight, LOGIN_REFUSED, fault);
}

static void on_fetched(struct login_fetch *fetch, enum login_status status,
	const struct login_fault *fault, const struct message *answer, int fd, uint64_t took_us)
{
	struct login_flight *flight = flight_of(fetch);
	struct login_fault dropped;

	flight->fetch_us = (uint32_t)took_us;
	if (flight->is_void) {
		if (fd != -1)
			close(fd);
		login_fault_set(&dropped, LOGIN_UNAVAILABLE, NULL,
			"the login was dropped while it was being got");
		flight_fail(flight, LOGIN_UNAVAILABLE, &dropped);
		return;
	}
	switch (status) {
	case LOGIN_GIVEN: flight_given(flight, &answer->u.login_done, fd); break;
	case LOGIN_REFUSED: flight_refused(flight, fault); break;
	default:
		flight->entry->renew_at_ms = flight->login->clock->ms() + RENEW_AGAIN_MS;
		flight_fail(flight, status, fault);
		break;
	}
}

/* 0, or -1 with fault filled: the entry has no flight. */
static int flight_begin(struct identity_login *login, struct login_entry *entry,
	const struct login_subject *subject, struct login_fault *fault)
{
	struct login_flight *flight = calloc(1, sizeof(*flight));

	if (flight == NULL) {
		login_fault_set(fault, LOGIN_UNAVAILABLE, NULL, "memory has run out");
		return -1;
	}
	flight->login = login;
	flight->entry = entry;
	flight->is_renewal = entry->known == LOGIN_HAVE;
	flight->begun_at = login->clock->now();
	TAILQ_INIT(&flight->waiting);
	flight->fetch.subject = *subject;
	flight->fetch.done = on_fetched;
	memcpy(flight->fetch.service, entry->service, strlen(entry->service) + 1);
	if (login_desk_fetch(login->desks[entry->kind], &flight->fetch, fault) == -1) {
		free(flight);
		return -1;
	}
	entry->flight = flight;
	return 0;
}

/* Requests */

static void hash_subject(const struct login_subject *subject, uint8_t hash[LOGIN_SUBJECT_HASH_SIZE])
{
	char text[sizeof(*subject) + 4];
	int len = snprintf(text, sizeof(text), "%s\n%s\n%s\n%s", subject->account, subject->realm,
		subject->upn, subject->sid);

	static_assert(LOGIN_SUBJECT_HASH_SIZE == SHA256_DIGEST_LENGTH, "one is the other");
	SHA256((const unsigned char *)text, (size_t)len, hash);
}

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
		request_refuse(request, LOGIN_UNAVAILABLE, &fault);
		return;
	}
	if (entry == NULL)
		entry = login_cache_add(
			login->cache, request->kind, request->mailbox, request->service);
	if (entry == NULL) {
		request_fail(request, "too many logins are being got already",
			"see upstream/login-cache");
		return;
	}
	if (entry->flight == NULL) {
		hash_subject(&request->subject, entry->subject);
		if (flight_begin(login, entry, &request->subject, &fault) == -1) {
			if (entry->known == LOGIN_NOTHING)
				login_cache_remove(login->cache, entry);
			request_refuse(request, LOGIN_UNAVAILABLE, &fault);
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
	if (flight_begin(login, entry, &request->subject, &fault) == -1)
		entry->renew_at_ms = login->clock->ms() + RENEW_AGAIN_MS;
}

/* Forgets what must not be used for this request. False: it cannot be helped now. */
static bool entry_suits(const struct login_request *request, struct login_entry *entry)
{
	struct identity_login *login = request->login;
	uint8_t subject[LOGIN_SUBJECT_HASH_SIZE];

	hash_subject(&request->subject, subject);
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
		request_fail(request, "another login for it was dropped a moment ago", NULL);
		return;
	}
	if (entry != NULL && entry->known == LOGIN_DENIED &&
		login->clock->ms() < entry->denied_until_ms) {
		request_refuse(request, LOGIN_REFUSED, entry->fault);
		return;
	}
	if (entry == NULL || !is_good(request, entry)) {
		request_fetch(request, entry);
		return;
	}
	request->was_known = true;
	renew_ahead(request, entry);
	if (request->kind == LOGIN_KERBEROS)
		request_token(request, entry);
	else
		request_give(
			request, entry->valid_until, 0, span_of(entry->secret, entry->secret_len));
}

static void forget_entry(struct identity_login *login, struct login_entry *entry)
{
	if (entry->known == LOGIN_HAVE)
		atomic_fetch_add(&counts_of(login, entry->kind)->dropped, 1);
	login_entry_forget(login->cache, entry);
}

struct account_visit {
	struct identity_login *login;
	const struct directory_answer *answer;
	bool is_other;
};

static void visit_account(void *context, struct login_entry *entry)
{
	struct account_visit *visit = context;
	const struct config *config = visit->login->config;
	uint8_t hash[LOGIN_SUBJECT_HASH_SIZE];
	struct login_subject subject;
	struct login_fault ignored;

	if (!login_subject_needs_directory(config, entry->kind) ||
		login_subject_fill(config, entry->kind, entry->mailbox, visit->answer, &subject,
			&ignored) != LOGIN_GIVEN)
		return;
	hash_subject(&subject, hash);
	if (memcmp(hash, entry->subject, sizeof(hash)) == 0)
		return;
	visit->is_other = true;
	forget_entry(visit->login, entry);
	if (entry->flight != NULL)
		entry->flight->is_void = true;
	memcpy(entry->subject, hash, sizeof(hash));
}

bool identity_login_note(struct identity_login *login, const struct directory_answer *answer)
{
	struct account_visit visit = {.login = login, .answer = answer};

	if (answer->status != DIRECTORY_FOUND)
		return false;
	login_cache_visit(login->cache, answer->mailbox, visit_account, &visit);
	if (visit.is_other)
		count_cached(login);
	return visit.is_other;
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
		log_refused(login, request->kind, &request->subject, &fault);
	request_refuse(request, status, &fault);
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

static bool request_begin(
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
		request_fail(request, "the configuration has no such login",
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

/* Proofs */

struct proof {
	struct peer_request asked;
	struct wallet_job job;
	struct identity_login *login;
	uint64_t id;
};

static void proof_end(struct proof *proof, bool is_proven, const char *reason)
{
	struct message message = {.type = MESSAGE_LOGIN_PROVEN,
		.u.login_proven = {.id = proof->id, .is_proven = is_proven}};

	snprintf(
		message.u.login_proven.reason, sizeof(message.u.login_proven.reason), "%s", reason);
	if (!is_proven)
		atomic_fetch_add(&counts_of(proof->login, LOGIN_KERBEROS)->unproven, 1);
	peer_request_end(&proof->asked, &message);
	free(proof);
}

static void on_proved(struct wallet_job *job, const struct message_login_done *answer)
{
	struct proof *proof = (struct proof *)((char *)job - offsetof(struct proof, job));

	if (answer == NULL)
		proof_end(proof, false, "the process that could check the proof has died");
	else
		proof_end(proof, answer->status == LOGIN_GIVEN, answer->fault.text);
}

static bool proof_begin(
	struct identity_login *login, struct peer *peer, const struct message *message)
{
	struct proof *proof = calloc(1, sizeof(*proof));

	if (proof == NULL)
		return false;
	proof->login = login;
	proof->id = message->u.login_proof.id;
	proof->job.done = on_proved;
	peer_request_begin(peer, &proof->asked);
	if (login->wallet == NULL ||
		wallet_prove(login->wallet, &proof->job, message->u.login_proof.context,
			span_of(message->u.login_proof.token, message->u.login_proof.len)) == -1)
		proof_end(proof, false, "nobody here could check it");
	return true;
}

/* Counted as a question is: a worker that says so faster than it is done is not heard meanwhile. */
struct forgetting {
	struct peer_request asked;
	struct wallet_job job;
};

static void on_forgotten(struct wallet_job *job, const struct message_login_done *answer)
{
	struct forgetting *forgetting =
		(struct forgetting *)((char *)job - offsetof(struct forgetting, job));

	(void)answer;
	peer_request_done(&forgetting->asked);
	free(forgetting);
}

static bool forget_begin(struct identity_login *login, struct peer *peer, uint32_t context)
{
	struct forgetting *forgetting;

	if (login->wallet == NULL)
		return true;
	forgetting = calloc(1, sizeof(*forgetting));
	if (forgetting == NULL)
		return false;
	forgetting->job.done = on_forgotten;
	peer_request_begin(peer, &forgetting->asked);
	if (wallet_forget_for(login->wallet, &forgetting->job, context) == -1)
		on_forgotten(&forgetting->job, NULL);
	return true;
}

/* Drops */

static void on_entry_dropped(void *context, const struct login_entry *entry)
{
	struct identity_login *login = context;

	if (entry->kind == LOGIN_KERBEROS && !login->is_wallet_lost)
		wallet_drop(login->wallet, entry->number);
}

static void visit_to_drop(void *context, struct login_entry *entry)
{
	forget_entry(context, entry);
	if (entry->flight != NULL)
		entry->flight->is_void = true;
}

static void drop_mailbox(struct identity_login *login, const char *mailbox)
{
	login_cache_visit(login->cache, mailbox, visit_to_drop, login);
	count_cached(login);
}

struct users_visit {
	struct identity_login *login;
	const struct user_index *index;
};

static void visit_user(void *context, struct login_entry *entry)
{
	const struct users_visit *visit = context;
	int64_t valid_from;

	if (!user_index_find(visit->index, entry->mailbox, &valid_from))
		return;
	/* Whoever came in again after that has a login of after that. */
	if (entry->flight != NULL && entry->flight->begun_at <= valid_from)
		entry->flight->is_void = true;
	if (entry->known != LOGIN_NOTHING && entry->got_at <= valid_from)
		forget_entry(visit->login, entry);
}

void identity_login_take_users(struct identity_login *login, int fd)
{
	struct users_visit visit = {.login = login};
	struct error err;
	struct user_index *index = user_index_open(fd, &err);

	if (index == NULL) {
		log_message(CONFIG_LOG_ERROR, "users", "%s", err.text);
		return;
	}
	visit.index = index;
	login_cache_visit(login->cache, NULL, visit_user, &visit);
	user_index_close(index);
	count_cached(login);
}

static void visit_lost(void *context, struct login_entry *entry)
{
	struct identity_login *login = context;

	if (entry->kind == LOGIN_KERBEROS && entry->known == LOGIN_HAVE)
		login_entry_forget(login->cache, entry);
}

static void on_wallet_lost(void *context)
{
	struct identity_login *login = context;

	login->is_wallet_lost = true;
	login_cache_visit(login->cache, NULL, visit_lost, login);
	login->is_wallet_lost = false;
	count_cached(login);
}

/* What workers say */

bool identity_login_take(
	struct identity_login *login, struct peer *peer, const struct message *message)
{
	switch (message->type) {
	case MESSAGE_LOGIN_QUERY: return request_begin(login, peer, message);
	case MESSAGE_LOGIN_PROOF: return proof_begin(login, peer, message);
	case MESSAGE_LOGIN_FORGET:
		return forget_begin(login, peer, message->u.login_forget.context);
	case MESSAGE_LOGIN_DROP: drop_mailbox(login, message->u.login_drop.mailbox); return true;
	default: return false;
	}
}

/* Start-up */

static int fork_spawners(struct identity_login *login, struct error *err)
{
	for (unsigned int kind = 0; kind < LOGIN_KIND_COUNT; kind++) {
		if (login->works[kind] == NULL)
			continue;
		login->spawners[kind] = helpers_fork(login->child, login->works[kind], err);
		if (login->spawners[kind] == -1)
			return -1;
	}
	if (login->tokens == NULL)
		return 0;
	login->tokens_spawner = helpers_fork(login->child, login->tokens, err);
	return login->tokens_spawner != -1 ? 0 : -1;
}

struct identity_login *identity_login_open(const struct child *child,
	const struct identity_works *works, const struct login_clock *clock, struct error *err)
{
	struct identity_login *login = calloc(1, sizeof(*login));

	if (login == NULL) {
		error_sys(err, "preparing logins");
		return NULL;
	}
	assert((works->ticket == NULL) == (works->tokens == NULL));
	assert(works->tokens == NULL || works->tokens->count == 1);
	login->child = child;
	login->config = child->config;
	login->clock = clock != NULL ? clock : &real_clock;
	login->works[LOGIN_KERBEROS] = works->ticket;
	login->works[LOGIN_MINTED] = works->minter;
	login->works[LOGIN_BEARER] = works->bearer;
	login->works[LOGIN_ASSERTION] = works->signer;
	login->tokens = works->tokens;
	if (fork_spawners(login, err) == 0)
		return login;
	free(login);
	return NULL;
}

static int start_desk(struct identity_login *login, enum login_kind kind)
{
	const struct config_upstream *config = &login->config->upstream;
	struct shared_login *counts = counts_of(login, kind);
	const struct login_desk_terms terms = {
		.kind = kind,
		.work = login->works[kind],
		.limit_ms = config->login_time_ms,
		.queue = config->login_queue,
		.clock = login->clock->ms,
		.counts = counts,
		.changed = login->changed,
		.context = login->context,
	};

	/* What an identity process before this one has left behind. */
	atomic_store(&counts->is_down, 0);
	atomic_store(&counts->since, (uint64_t)time(NULL));
	atomic_store(&counts->cached, 0);
	atomic_store(&counts->waiting, 0);
	login->desks[kind] = login_desk_new(login->base, &terms, login->spawners[kind]);
	return login->desks[kind] != NULL ? 0 : -1;
}

int identity_login_start(struct identity_login *login, struct event_base *base,
	struct identity_directory *directory, void (*changed)(void *context, enum login_kind kind),
	void *context)
{
	login->base = base;
	login->directory = directory;
	login->changed = changed;
	login->context = context;
	login->cache =
		login_cache_new(login->config->upstream.login_cache, on_entry_dropped, login);
	login->wipe_timer = evtimer_new(base, on_wipe_timer, login);
	if (login->cache == NULL || login->wipe_timer == NULL)
		return -1;
	for (unsigned int kind = 0; kind < LOGIN_KIND_COUNT; kind++)
		if (login->works[kind] != NULL && start_desk(login, kind) == -1)
			return -1;
	if (login->tokens == NULL)
		return 0;
	login->wallet = login_wallet_new(base, login->tokens, login->tokens_spawner,
		login->config->upstream.login_time_ms, on_wallet_lost, login);
	return login->wallet != NULL ? 0 : -1;
}

void identity_login_state(
	const struct identity_login *login, enum login_kind kind, struct message *message)
{
	message->type = MESSAGE_LOGIN_STATE;
	message->u.login_state.kind = kind;
	if (login->desks[kind] != NULL)
		message->u.login_state.is_down = login_desk_state(login->desks[kind],
			&message->u.login_state.since, &message->u.login_state.fault);
}

void identity_login_close(struct identity_login *login)
{
	if (login == NULL)
		return;
	for (unsigned int kind = 0; kind < LOGIN_KIND_COUNT; kind++)
		login_desk_free(login->desks[kind]);
	login->is_wallet_lost = true;
	login_cache_free(login->cache);
	login_wallet_free(login->wallet);
	if (login->wipe_timer != NULL)
		event_free(login->wipe_timer);
	free(login);
}
