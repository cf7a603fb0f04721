/*
 * What the files of identity_login.c share: the requests of workers (identity_login_request.c), the logins
 * that are being got for them (identity_login_flight.c), and proofs (identity_login_proof.c). For these
 * alone.
 */
#ifndef PROXY_IDENTITY_LOGIN_ROOM_H
#define PROXY_IDENTITY_LOGIN_ROOM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "config/span.h"
#include "proxy/identity_login.h"
#include "proxy/identity_login_cache.h"
#include "proxy/identity_login_desk.h"
#include "proxy/identity_login_subject.h"
#include "proxy/identity_login_wallet.h"

enum { LOGIN_RENEW_AGAIN_MS = 30 * 1000 }; /* after a renewal that has failed */

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

TAILQ_HEAD(login_request_list, login_request);

/* A login that is being got, for whoever waits for it, or ahead of time. */
struct login_flight {
	struct login_fetch fetch;
	struct wallet_job put;
	struct identity_login *login;
	struct login_entry *entry;
	struct login_request_list waiting;
	bool is_void; /* its owner is out, or another one, by now */
	bool is_renewal;
	int64_t begun_at, valid_until; /* UNIX seconds */
	uint32_t fetch_us;
};

/* identity_login.c */

struct shared_login *login_counts(const struct identity_login *login, enum login_kind kind);
void login_count_cached(struct identity_login *login);
/* One line about a user who gets none, unless there are too many of them. */
void login_log_refused(struct identity_login *login, enum login_kind kind,
	const struct login_subject *subject, const struct login_fault *fault);

/* identity_login_request.c */

/* A worker's query. False when memory has run out, or the worker asks for what it never has to. */
bool login_request_begin(
	struct identity_login *login, struct peer *peer, const struct message *query);
/* Each of these answers the request, and frees it. */
void login_request_give(
	struct login_request *request, int64_t valid_until, uint32_t context, struct span secret);
void login_request_refuse(
	struct login_request *request, enum login_status status, const struct login_fault *fault);
/* Looks once more, as the ticket is not there, or no good any more; refuses with fault at the second time. */
void login_request_retry(struct login_request *request, const struct login_fault *fault);
/* Has a token made of the entry's ticket, and answers with that. */
void login_request_token(struct login_request *request, const struct login_entry *entry);

/* identity_login_flight.c */

/* Begins to get a login for the entry. 0, or -1 with fault filled: the entry has no flight. */
int login_flight_begin(struct identity_login *login, struct login_entry *entry,
	const struct login_subject *subject, struct login_fault *fault);
/* Of the timer that wipes secrets when their time has come. arg: the struct identity_login. */
void login_on_wipe_timer(evutil_socket_t fd, short what, void *arg);

/* identity_login_proof.c; false when memory has run out. */

bool login_proof_begin(
	struct identity_login *login, struct peer *peer, const struct message *message);
bool login_forget_begin(struct identity_login *login, struct peer *peer, uint32_t context);

#endif
