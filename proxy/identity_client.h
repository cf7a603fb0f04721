/*
 * A worker's side of its channel to the identity process: sessions that wait to hear whose mailbox
 * their certificate leads to. For workers.
 */
#ifndef PROXY_IDENTITY_CLIENT_H
#define PROXY_IDENTITY_CLIENT_H

#include "auth/identity_names.h"
#include "proxy/worker.h"

struct identity_client;

/* NULL when memory runs out. There is no channel yet. */
struct identity_client *identity_client_new(struct worker *worker);

/* Takes a channel over (closing an older one). Questions that were asked on the older one are asked
 * again by the sessions' timers. */
void identity_client_attach(struct identity_client *client, int fd);

/* Asks for a session, whose identity_slot is set. session_identified() is called with the answer. 0,
 * or -1: there is no channel, or it is full. */
int identity_client_ask(struct identity_client *client, struct session *session,
	const struct identity_names *names);

/* How often the directory has changed so far: a mailbox that was found at another count may be another
 * one now. */
uint32_t identity_client_changes(const struct identity_client *client);

/* The session does not wait any more. */
void identity_client_forget(struct identity_client *client, const struct session *session);

#endif
