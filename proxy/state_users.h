/*
 * The users who were revoked, as the state store keeps them. For the control process.
 */
#ifndef PROXY_STATE_USERS_H
#define PROXY_STATE_USERS_H

#include <stddef.h>
#include <stdint.h>

#include "auth/mailbox.h"
#include "config/error.h"
#include "proxy/state_store.h"

enum { STATE_REASON_MAX = 255 };

struct state_user {
	int64_t valid_from; /* UNIX seconds: what was established before is void */
	int64_t revoked_at;
	uint32_t user_id;                  /* who asked for it, on this host */
	char mailbox[MAILBOX_MAX + 1];     /* lower case */
	char reason[STATE_REASON_MAX + 1]; /* "": none was given */
};

/* Writes it; once this has returned 0 it outlives any crash. A user who is revoked already gets the
 * later of both valid-froms, and the new reason where there is one. -1 with err filled: nothing was changed. */
int state_users_revoke(struct state_store *store, const struct state_user *user, struct error *err);

/* Takes it back, as durably. 1, 0 when the user was not revoked, -1 with err filled. */
int state_users_allow(struct state_store *store, const char *mailbox, struct error *err);

/* 1 with *user filled, 0 when the user is not revoked, -1 with err filled. */
int state_users_find(
	struct state_store *store, const char *mailbox, struct state_user *user, struct error *err);

/* At most max whose mailboxes come after that one ("": from the first), in that order. How many, or
 * -1 with err filled. */
int state_users_after(struct state_store *store, const char *mailbox, struct state_user *users,
	size_t max, struct error *err);

/* A number that grows with every change, also by another process. 0, or -1 with err filled. */
int state_users_version(struct state_store *store, int64_t *version, struct error *err);

/* All of them compiled (auth/user_index.h), with the version and the count that they had together. The
 * caller closes the descriptor; -1 with err filled. */
int state_users_index(
	struct state_store *store, int64_t *version, size_t *count, struct error *err);

#endif
