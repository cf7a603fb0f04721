/*
 * Helper processes of the identity process: they ask the directory, which may block, one question at
 * a time each. A spawner, forked before the sandbox is entered, starts them, and ends them when they
 * overrun their time. For identity_directory.c alone.
 */
#ifndef PROXY_IDENTITY_HELPERS_H
#define PROXY_IDENTITY_HELPERS_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "auth/directory.h"
#include "proxy/child.h"

/* A question under way; part of the caller's struct, and the caller's until it was answered. */
struct helper_job {
	TAILQ_ENTRY(helper_job) entry; /* while it waits for a helper */
	struct directory_question question;
	struct helper *helper; /* NULL while it waits */
};

/* The answer to a job. UNAVAILABLE when its helper has died. */
typedef void helper_answered(
	void *context, struct helper_job *job, const struct directory_answer *answer);

struct helpers; /* opaque */

/* Forks the spawner: before there is an event base, and before the sandbox. It inherits directory,
 * which the caller may close afterwards. The spawner's channel, or -1 with err filled. */
int helpers_fork(const struct child *child, struct directory *directory, struct error *err);

/* NULL when memory runs out. The channel is taken over. */
struct helpers *helpers_new(struct event_base *base, const struct child *child, int spawner,
	helper_answered *answered, void *context);

/* Queues the job, whose question is filled in. */
void helpers_ask(struct helpers *helpers, struct helper_job *job);

/* The job is not wanted any more: it leaves the queue, or its helper is ended. No answer will come. */
void helpers_cancel(struct helpers *helpers, struct helper_job *job);

/* In the spawner (identity_spawner.c): serves its channel until that ends. Never returns. */
_Noreturn void spawner_run(
	const struct child *child, struct directory *directory, int channel, pid_t parent);

#endif
