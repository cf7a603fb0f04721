/*
 * What the identity process knows of users' logins: whether there is one, until when, or why there is
 * none; one entry for each kind of login, mailbox and service, bounded, the least recently used one
 * replaced. No I/O, no clock. For identity_login.c and tests.
 */
#ifndef PROXY_IDENTITY_LOGIN_CACHE_H
#define PROXY_IDENTITY_LOGIN_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "auth/login.h"
#include "config/span.h"
#include "proxy/identity_login_subject.h"

enum login_known {
	LOGIN_NOTHING,
	LOGIN_HAVE,   /* Kerberos: the tokens' helper has a ticket; other kinds: secret */
	LOGIN_DENIED, /* fault says why */
};

struct login_flight; /* identity_login.c: a login that is being got, and who waits for it */

struct login_entry {
	LIST_ENTRY(login_entry) bucket;
	TAILQ_ENTRY(login_entry) age;
	TAILQ_ENTRY(login_entry) kept; /* while there is a secret */
	uint64_t number; /* never used again: what its ticket is called in the wallet */
	enum login_kind kind;
	enum login_known known;
	bool has_secret;
	const char *mailbox, *service; /* in text */
	/* Whose login it is. Another account of the mailbox means another login. */
	uint8_t subject[LOGIN_SUBJECT_HASH_SIZE];
	int64_t got_at_ms;         /* the caller's clock */
	int64_t got_at;            /* UNIX seconds */
	int64_t valid_until;       /* likewise */
	int64_t renew_at_ms;       /* the caller's clock: to be got anew if it is used then */
	int64_t denied_until_ms;   /* likewise */
	int64_t kept_until_ms;     /* likewise: the secret is wiped then, and nothing is known */
	struct login_fault *fault; /* of DENIED */
	uint8_t *secret;
	size_t secret_len;
	struct login_flight *flight; /* NULL: none. While there is one the entry stays */
	char text[];
};

struct login_cache; /* opaque */

/* capacity at least 1. dropped is called where an entry that has a login loses it, for whatever reason.
 * NULL when memory runs out. */
struct login_cache *login_cache_new(size_t capacity,
	void (*dropped)(void *context, const struct login_entry *entry), void *context);
void login_cache_free(struct login_cache *cache); /* NULL is allowed */

/* NULL: there is none. It counts as used. */
struct login_entry *login_cache_find(
	struct login_cache *cache, enum login_kind kind, const char *mailbox, const char *service);

/* A new entry, of which nothing is known, where there was none. NULL: memory has run out, or all entries
 * there are have a flight. */
struct login_entry *login_cache_add(
	struct login_cache *cache, enum login_kind kind, const char *mailbox, const char *service);

/* Removes one without a flight. */
void login_cache_remove(struct login_cache *cache, struct login_entry *entry);

/* What became of it, in place of what was known. */
void login_entry_have(struct login_cache *cache, struct login_entry *entry, int64_t valid_until);
void login_entry_deny(
	struct login_cache *cache, struct login_entry *entry, const struct login_fault *fault);
void login_entry_forget(struct login_cache *cache, struct login_entry *entry);

/* As login_entry_have(), with a copy of a secret that is kept until then. Without memory for it nothing is
 * known. */
void login_entry_keep(struct login_cache *cache, struct login_entry *entry, int64_t valid_until,
	struct span secret, int64_t until_ms);

/* Wipes the secrets whose time has come. When the next one's does, INT64_MAX: there is none. Secrets are
 * all kept for the same time, so that the first one that was kept is the next. */
int64_t login_cache_wipe(struct login_cache *cache, int64_t now_ms);

/* Calls visit for every entry, or every one of that mailbox (not NULL). It may forget what is known. */
void login_cache_visit(struct login_cache *cache, const char *mailbox,
	void (*visit)(void *context, struct login_entry *entry), void *context);

size_t login_cache_count(
	const struct login_cache *cache, enum login_kind kind); /* logins there are */
size_t login_cache_size(const struct login_cache *cache);       /* entries */

#endif
