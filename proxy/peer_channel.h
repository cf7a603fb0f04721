/*
 * The asking end of a channel to another child, which the supervisor hands to both sides (MESSAGE_PEER),
 * and anew whenever the other side was started again. For workers and control; the answering ends are in
 * identity.c and revocation_ocsp.c.
 */
#ifndef PROXY_PEER_CHANNEL_H
#define PROXY_PEER_CHANNEL_H

#include <event2/event.h>
#include <stdbool.h>

#include "proxy/message.h"

struct peer_channel {
	int fd; /* -1: none */
	struct event *readable;
	void (*take)(void *owner, const struct message *message);
	void (*gone)(void *owner); /* the other side has: detach it */
	void *owner;
};

/* There is no channel yet. */
void peer_channel_init(struct peer_channel *channel, void *owner,
	void (*take)(void *owner, const struct message *message), void (*gone)(void *owner));

/* Takes fd over, in the place of an older one. 0, or -1 when memory runs out: there is none then. */
int peer_channel_attach(struct peer_channel *channel, struct event_base *base, int fd);

/* Closes what there is, and says nothing. */
void peer_channel_detach(struct peer_channel *channel);

/* False with errno: EAGAIN where it is full, ENOTCONN where there is none. */
bool peer_channel_send(const struct peer_channel *channel, const struct message *message);

#endif
