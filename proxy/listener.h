/*
 * Accepts phones' connections, within the limits, and hands them to sessions. For workers.
 */
#ifndef PROXY_LISTENER_H
#define PROXY_LISTENER_H

#include "config/error.h"
#include "proxy/worker.h"

struct listener {
	struct worker *worker;
	const struct child_socket *socket;
	struct event *event;
	int64_t logged_at;   /* the second of the last line about refused connections */
	uint32_t unlogged;   /* refused since then */
	uint32_t turn;       /* of the loop, when connections came last */
	uint32_t batch;      /* at most so many were taken then; 0: none have come yet */
	struct event *pause; /* runs while accepting rests, because descriptors ran out */
};

/* 0, or -1 with err filled. */
int listener_start(struct listener *listener, struct worker *worker,
	const struct child_socket *socket, struct error *err);

/* Stops accepting; the socket itself is the supervisor's and stays open there. */
void listener_stop(struct listener *listener);

#endif
