/*
 * The walk that asks the directory again, in the background, about the mailboxes of requests that are
 * under way: a sleeping Ping would never ask by itself. A few questions at a time, so that the channel
 * to the identity process stays free for phones that come in. For workers.
 */
#ifndef PROXY_WORKER_IDENTITY_H
#define PROXY_WORKER_IDENTITY_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "proxy/recheck.h"

enum { REIDENTIFY_ASKED_MAX = 16, REIDENTIFY_SLICE = 64 };

/* Asks about a session whose mailbox is old, and has a request under way: true then, and
 * worker_identity_answered() follows. */
typedef bool worker_identity_ask(struct session *session);

struct worker_identity {
	const struct session_list *sessions;
	worker_identity_ask *ask;
	struct event event;
	struct session *next; /* NULL: no walk under way */
	uint32_t asked;       /* questions without an answer */
};

/* sessions and ask are kept. 0, or -1 when memory runs out. */
int worker_identity_init(struct worker_identity *walk, struct event_base *base,
	const struct session_list *sessions, worker_identity_ask *ask);

/* Time has passed, or the directory has changed: walks over all sessions, anew where it is walking. */
void worker_identity_begin(struct worker_identity *walk);

/* A question has been answered, or is not waited for any more. */
void worker_identity_answered(struct worker_identity *walk);

/* The session leaves the list. Before it does. */
void worker_identity_forget(struct worker_identity *walk, const struct session *session);

#endif
