/*
 * Users' tickets, which lie in a helper process of their own: the identity process has them put there,
 * tokens made of them, and servers' proofs checked. For identity_login.c.
 */
#ifndef PROXY_IDENTITY_LOGIN_WALLET_H
#define PROXY_IDENTITY_LOGIN_WALLET_H

#include <event2/event.h>
#include <stdint.h>

#include "config/span.h"
#include "proxy/identity_helpers.h"

struct login_wallet; /* opaque */

/* Something that the helper is asked; part of the caller's struct, and the caller's until done() is
 * called. */
struct wallet_job {
	/* answer NULL: the helper has died, or takes too long. A context in it is one that
	 * wallet_prove() and wallet_forget() take, and of which a later helper knows nothing. */
	void (*done)(struct wallet_job *job, const struct message_login_done *answer);
	/* The wallet's. */
	struct helper_job job;
	struct login_wallet *wallet;
	struct event *timer;
	uint32_t type; /* of the message */
	uint32_t context;
	uint64_t key;
	int64_t valid_until;
	int fd;
	uint8_t *token;
	size_t token_len;
};

/* lost is called when the helper has died or was ended: it has no tickets any more. limit_ms: of one
 * answer, and of the wait for the helper before that. The spawner's channel (helpers_fork) is taken over. NULL when memory runs
 * out. */
struct login_wallet *login_wallet_new(struct event_base *base, const struct helper_work *work,
	int spawner, uint32_t limit_ms, void (*lost)(void *context), void *context);
void login_wallet_free(struct login_wallet *wallet); /* NULL is allowed; nothing is under way */

/* Each asks, with job->done set, and returns 0; or -1 when memory runs out: done() is not called then.
 * put: the descriptor is taken over in either case. */
int wallet_put(struct login_wallet *wallet, struct wallet_job *job, uint64_t key,
	int64_t valid_until, int fd);
int wallet_token(struct login_wallet *wallet, struct wallet_job *job, uint64_t key);
int wallet_prove(
	struct login_wallet *wallet, struct wallet_job *job, uint32_t context, struct span token);
int wallet_forget_for(struct login_wallet *wallet, struct wallet_job *job, uint32_t context);

/* Without an answer. Where memory runs out for them the helper replaces what is oldest, some day. */
void wallet_drop(struct login_wallet *wallet, uint64_t key);
void wallet_forget(struct login_wallet *wallet, uint32_t context);

#endif
