/*
 * Logins on owners' behalf, as the identity process gives them to workers: from the mailbox to the account
 * by the directory, to a login by helpers, which is asked for once however many wait, remembered as long as
 * that is of use, renewed ahead, and dropped when its owner is out. Nothing blocks. For identity.c.
 *
 * What stays here: of Kerberos tickets only that there is one, as they lie in a helper of their own; of
 * certificates and access tokens the secret, for half a minute, because a phone that wakes up
 * opens several connections, which different workers get, and each of these asks. Field assertions are
 * signed anew for whoever asks.
 */
#ifndef PROXY_IDENTITY_LOGIN_H
#define PROXY_IDENTITY_LOGIN_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "proxy/child.h"
#include "proxy/identity_directory.h"
#include "proxy/identity_peer.h"
#include "proxy/identity_work.h"

struct identity_login; /* opaque */

/* What a test may have otherwise. */
struct login_clock {
	int64_t (*ms)(void);  /* never back */
	int64_t (*now)(void); /* UNIX seconds */
};

/* Before there is an event base and before the sandbox is entered: forks the spawners of the works that
 * there are. child, works and clock (NULL: the real one) are borrowed. NULL with err filled. */
struct identity_login *identity_login_open(const struct child *child,
	const struct identity_works *works, const struct login_clock *clock, struct error *err);

/* Begins to start helpers. changed is called when a kind of login is down, or up again. 0, or -1 when
 * memory runs out. */
int identity_login_start(struct identity_login *login, struct event_base *base,
	struct identity_directory *directory, void (*changed)(void *context, enum login_kind kind),
	void *context);

/* A peer's MESSAGE_LOGIN_QUERY, _PROOF, _FORGET or _DROP; answers come by themselves. False: it is another
 * one, or for a service that no endpoint of the configuration has, or memory has run out. */
bool identity_login_take(
	struct identity_login *login, struct peer *peer, const struct message *message);

/* What the directory has just said of a mailbox. True: its account is another one than that which logins were
 * got for; they are dropped, and workers have to be told (peers_tell_drop). */
bool identity_login_note(struct identity_login *login, const struct directory_answer *answer);

/* MESSAGE_USERS: logins of those who are out are dropped, if they are older than that. The descriptor stays
 * the caller's. */
void identity_login_take_users(struct identity_login *login, int fd);

/* Fills MESSAGE_LOGIN_STATE for a kind. */
void identity_login_state(
	const struct identity_login *login, enum login_kind kind, struct message *message);

/* For tests: ends the helpers. Nothing is under way. NULL is allowed. */
void identity_login_close(struct identity_login *login);

#endif
