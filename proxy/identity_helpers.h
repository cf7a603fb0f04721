/*
 * Helper processes of the identity process: each does one kind of work that may block, or that needs
 * something which no other process is to hold, one job at a time. A spawner for each kind, forked
 * before the sandbox is entered, starts them, and ends them when they overrun their time. For the
 * identity process.
 */
#ifndef PROXY_IDENTITY_HELPERS_H
#define PROXY_IDENTITY_HELPERS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "config/error.h"
#include "proxy/child.h"
#include "proxy/message.h"

enum {
	HELPER_MAX = 64, /* of one kind */
	HELPER_QUESTIONS_MAX = 8,
};

/* One kind of work. Stays valid for as long as the process lives. */
struct helper_work {
	/* Whose sandbox they get, and whose configured files (child_files()): they keep no other
	 * descriptors, and the identity process keeps none of these. */
	enum child_part part;
	const char *name;  /* of the processes, at most 15 letters: "eas-directory" */
	uint32_t count;    /* of helpers, at most HELPER_MAX */
	uint32_t limit_ms; /* of one job; a helper that takes longer is ended */
	/* Types of the messages. A question of another type ends the helper, another answer too. */
	uint32_t questions[HELPER_QUESTIONS_MAX]; /* 0: no more */
	uint32_t answer;
	void *context; /* of the functions; each process has its own copy of what it points to */
	/* In the spawner, before it enters its sandbox: what helpers can inherit. NULL: nothing. -1 with
	 * err filled: the identity process does not start. */
	int (*prepare)(void *context, struct error *err);
	/* In each helper, in its spawner's sandbox, before it enters its own. NULL: nothing. -1 with
	 * err filled: it is logged, and the helper is started again after a while. */
	int (*open)(void *context, struct error *err);
	/* In a helper: one job. answer is zeroed but for its type, *answer_fd -1. question_fd (-1: none)
	 * and *answer_fd are closed by the caller, who also wipes both messages. */
	void (*serve)(void *context, const struct message *question, int question_fd,
		struct message *answer, int *answer_fd);
	/* In a helper that has sent an answer: whether it is to end, so that another one begins anew. NULL:
	 * it goes on. */
	bool (*is_spent)(const void *context);
};

/* A job under way; part of the caller's struct, and the caller's until it was answered. */
struct helper_job {
	TAILQ_ENTRY(helper_job) entry; /* while it waits for a helper */
	struct helper *helper;         /* NULL while it waits */
};

/* What the identity process has to do with them; all get the context given to helpers_new(). */
struct helper_calls {
	/* A helper is free: fill in the question, which is zeroed but for the type (the first of the work's), and
	 * is wiped once it is sent. *fd is -1; another one is closed once it is sent. */
	void (*ask)(void *context, struct helper_job *job, struct message *question, int *fd);
	/* answer NULL: the helper has died. It is wiped afterwards. fd is the callee's to close. */
	void (*answered)(
		void *context, struct helper_job *job, const struct message *answer, int fd);
	/* A helper has died or is to be ended, and what it knew is gone; called before answered() is for
	 * its job. NULL: nobody needs to know. */
	void (*lost)(void *context);
};

struct helpers; /* opaque */

/* Forks the spawner, before there is an event base and before the sandbox, and waits until it is
 * prepared. Its channel, or -1 with err filled. */
int helpers_fork(const struct child *child, const struct helper_work *work, struct error *err);

/* NULL when memory runs out. The channel is taken over. */
struct helpers *helpers_new(struct event_base *base, const struct helper_work *work, int spawner,
	const struct helper_calls *calls, void *context);

/* Ends them all. What they were asked is not answered any more. NULL is allowed. */
void helpers_free(struct helpers *helpers);

/* Queues the job. */
void helpers_ask(struct helpers *helpers, struct helper_job *job);

/* The job is not wanted any more: it leaves the queue, or its helper is ended. No answer will come. */
void helpers_cancel(struct helpers *helpers, struct helper_job *job);

/* In the spawner (identity_spawner.c): serves its channel until that ends. Never returns. */
_Noreturn void spawner_run(
	const struct child *child, const struct helper_work *work, int channel, pid_t parent);

#endif
