/*
 * The directory as the identity process sees it: nothing blocks, answers are remembered, the same
 * question is asked once however many wait for it, and a directory that is down costs no time. For
 * identity.c alone.
 */
#ifndef PROXY_IDENTITY_DIRECTORY_H
#define PROXY_IDENTITY_DIRECTORY_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "auth/directory.h"
#include "proxy/child.h"

/* Somebody who waits for an answer; part of the caller's struct. */
struct directory_waiter {
	TAILQ_ENTRY(directory_waiter) entry;
	void (*answered)(struct directory_waiter *waiter, const struct directory_answer *answer,
		int64_t valid_until);
};

struct identity_directory; /* opaque */

/* What has to be done before there is an event base and before the sandbox is entered: opens files,
 * forks the spawner of helpers. NULL with err filled. */
struct identity_directory *identity_directory_open(const struct child *child, struct error *err);

struct identity_directory_calls {
	void (*changed)(void *context);       /* what was answered may be another answer now */
	void (*state_changed)(void *context); /* it is down, or up again */
};

/* Begins to watch and to start helpers. calls are borrowed. 0, or -1 when memory runs out. */
int identity_directory_start(struct identity_directory *directory, struct event_base *base,
	const struct identity_directory_calls *calls, void *context);

/* Whether it is down, with why, and since when (UNIX seconds) it is so or not so. */
bool identity_directory_is_down(
	const struct identity_directory *directory, int64_t *since, const char **why);

/* 1: answer and *valid_until (UNIX seconds) are filled; 0: waiter's function will be called, later. */
int identity_directory_ask(struct identity_directory *directory,
	const struct directory_question *question, struct directory_waiter *waiter,
	struct directory_answer *answer, int64_t *valid_until);

#endif
