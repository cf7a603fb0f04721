/*
 * On whose behalf a worker is logged in: one entry for each mailbox, with what its requests show to the
 * mail server (tokens, a certificate) and the idle connections that stand for it. Of a fixed number of
 * entries; the one used least recently makes room. Each lives on the grounds of the certificate that it was
 * last used for: when that may not come in any more, secrets are wiped and connections closed. For
 * workers.
 */
#ifndef PROXY_LOGIN_TABLE_H
#define PROXY_LOGIN_TABLE_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "auth/login.h"
#include "config/span.h"
#include "proxy/credential.h"
#include "proxy/link.h"
#include "proxy/tls.h"

struct login_question;
struct login_table; /* opaque */

LIST_HEAD(login_links, link);

struct login {
	struct login_table *table;
	struct login_links idle; /* connections that stand for it, and nobody uses */
	struct login_question *questions[LOGIN_KIND_COUNT]; /* of login_client.c, under way */
	uint64_t renewed_us; /* a login that the mail server did not take was got anew; 0: never */

	/* Private to login_table.c. */
	struct login_secret *secrets[LOGIN_KIND_COUNT];
	struct credential *credential; /* shared with its sessions; NULL until used */
	LIST_ENTRY(login) bucket_link;
	TAILQ_ENTRY(login) entry;    /* among all */
	TAILQ_ENTRY(login) use_link; /* while not pinned: the one used last stands first */
	uint64_t hash;
	uint32_t pins;
	bool is_over;
	char mailbox[];
};

struct login_table_calls {
	/* Whether a certificate may still come in. */
	enum refusal (*judge)(void *context, const struct credential *credential);
	/* What is known for the mailbox outside of this worker is not to be used any more. */
	void (*drop)(void *context, const char *mailbox);
	/* A connection has ended before its server proved itself. */
	void (*forget)(void *context, uint32_t login_context);
	void *context;
};

/* At most max entries, and as many more as are pinned. calls is copied. NULL when memory runs out. */
struct login_table *login_table_new(
	struct event_base *base, size_t max, const struct login_table_calls *calls);
void login_table_free(struct login_table *table); /* NULL is allowed; nothing may be pinned */
size_t login_table_count(const struct login_table *table);

/* The login, made if there is none, and pinned: it stays until login_unpin(). The mailbox is in lower
 * case. NULL when memory runs out. */
struct login *login_table_pin(struct login_table *table, const char *mailbox);
/* The same without making or pinning one; NULL: there is none. */
struct login *login_table_find(const struct login_table *table, const char *mailbox);
void login_pin(struct login *login);
void login_unpin(struct login *login);

/* It is used for this certificate now, which is shared. */
void login_use(struct login *login, struct credential *credential);

/* False: it is not to be used any more, and who comes next gets another one. */
bool login_is_in_use(const struct login *login);

/* UNIX seconds, of this turn of the loop. */
int64_t login_now(const struct login *login);

/* Ends it: wipes its secrets and closes its idle connections. The others are closed as they are given
 * back. */
void login_end(struct login *login);

/* This certificate may not come in any more, because of refusal: ends the login if it was last used for it,
 * and has others drop it where the refusal is about its owner. */
void login_table_put_out(
	struct login_table *table, const struct credential *credential, enum refusal refusal);

/* Closes the connections that nobody uses. */
void login_close_idle(struct login *login);

/* Ends all: what they were for may not be so any more. */
void login_table_end_all(struct login_table *table);

/* The world has changed: every login is looked at, in slices, one a turn of the loop; those whose certificate
 * may not come in any more end. */
void login_table_recheck(struct login_table *table);

/* Secrets */

/* Keeps a copy, valid until then (UNIX seconds). MINTED: PEM, of which a certificate is made. 0, or -1
 * with err filled. */
int login_keep_secret(struct login *login, enum login_kind kind, struct span secret,
	int64_t valid_until, struct error *err);

/* Whether there is one that can still be used. *wants_renewal: it is time to get another one ahead. */
bool login_has_secret(const struct login *login, enum login_kind kind, bool *wants_renewal);
/* Its text, borrowed; not of MINTED. data NULL: there is none that can be used. */
struct span login_secret(const struct login *login, enum login_kind kind);
/* UNIX seconds: until when it is used. INT64_MIN: not at all. */
int64_t login_valid_until(const struct login *login, enum login_kind kind);
/* clock_us() when it came; 0: there is none. */
uint64_t login_secret_since(const struct login *login, enum login_kind kind);

/* From now on connections show a certificate of the user's, and none is made without one. */
void login_table_set_needs_identity(struct login_table *table);
bool login_needs_identity(const struct login *login);
/* NULL: there is none now. */
const struct tls_identity *login_identity(const struct login *login);

/* For links: the life of a connection that stands for it. Those in use pin it. */
void login_begin_link(struct login *login, struct link *link);
void login_keep_link(struct login *login, struct link *link); /* may free both */
void login_take_link(struct login *login, struct link *link);
void login_end_link(struct login *login, struct link *link);

#endif
