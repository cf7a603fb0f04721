/*
 * The identity process's callers, the workers and control: one channel each, which the supervisor hands
 * to both sides whenever one of them starts. A caller that does not read its answers is not read from
 * either. For the identity process.
 */
#ifndef PROXY_IDENTITY_PEER_H
#define PROXY_IDENTITY_PEER_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "proxy/message.h"

struct peer; /* opaque */

/* A question of a peer that is waited with; part of the callee's struct. */
struct peer_request {
	LIST_ENTRY(peer_request) link;
	struct peer *peer; /* NULL: it has gone meanwhile */
};

LIST_HEAD(peer_list, peer);

struct peers {
	struct event_base *base;
	struct peer_list list;
	/* What a peer says; false: it must not say that, and is given up. */
	bool (*take)(void *context, struct peer *peer, const struct message *message);
	/* Fills MESSAGE_LOGIN_STATE for a kind of login, or the directory (LOGIN_KIND_COUNT). */
	void (*fill_state)(void *context, unsigned int kind, struct message *message);
	void *context;
};

/* The descriptor is taken over; where memory runs out it is closed, and the peer asks in vain. */
void peer_add(struct peers *peers, enum role role, int fd);

/* From here on the request is counted, and the peer's end is told to it. */
void peer_request_begin(struct peer *peer, struct peer_request *request);

/* Sends the answer, or keeps a copy until the channel takes it; nothing where the peer has gone. */
void peer_request_end(struct peer_request *request, const struct message *answer);

/* The same for one that nobody is answered. */
void peer_request_done(struct peer_request *request);

/* Tells all workers that the directory has changed, once each, after all answers that were given before. */
void peers_tell_change(struct peers *peers);

/* Tells all workers that logins of that mailbox are not to be used any more, after all answers that were given
 * before. */
void peers_tell_drop(struct peers *peers, const char *mailbox);

/* Tells control, and each that will come, how that kind is now. */
void peers_tell_state(struct peers *peers, unsigned int kind);

#endif
