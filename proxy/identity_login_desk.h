/*
 * Where logins of one kind are got: by helper processes that may block, with a bounded queue before them
 * and a limit of time for each login, and not at all for a while where they cannot be had. For
 * identity_login.c.
 */
#ifndef PROXY_IDENTITY_LOGIN_DESK_H
#define PROXY_IDENTITY_LOGIN_DESK_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "auth/login.h"
#include "proxy/identity_helpers.h"
#include "proxy/shared.h"

struct login_desk; /* opaque */

/* A login to be got; part of the caller's struct, and the caller's until done() is called. */
struct login_fetch {
	struct helper_job job;
	struct login_desk *desk;
	struct login_subject subject;
	char service[LOGIN_SERVICE_MAX + 1];
	/* answer NULL: there is no login, and fault says why; else it is a MESSAGE_LOGIN_DONE with
	 * LOGIN_GIVEN, and fd (-1: none) the callee's to close. took_us: the helper's time and the wait
	 * for it. */
	void (*done)(struct login_fetch *fetch, enum login_status status,
		const struct login_fault *fault, const struct message *answer, int fd,
		uint64_t took_us);
	/* The desk's. */
	struct event *timer;
	struct login_place *place;
	uint64_t begun_us;
	bool is_probe;
};

struct login_desk_terms {
	enum login_kind kind;
	const struct helper_work *work;
	uint32_t limit_ms;      /* of one login, and of the wait for a helper */
	uint32_t queue;         /* logins that may wait for a helper */
	int64_t (*clock)(void); /* milliseconds, never back */
	struct shared_login *counts;
	/* All is well again, or not any more. */
	void (*changed)(void *context, enum login_kind kind);
	void *context;
};

/* The spawner's channel (helpers_fork) is taken over. NULL when memory runs out. */
struct login_desk *login_desk_new(
	struct event_base *base, const struct login_desk_terms *terms, int spawner);
void login_desk_free(struct login_desk *desk); /* NULL is allowed; nothing is under way */

/* Whether logins for the subject's realm and that service cannot be had at present; fault says why then. The
 * next try may be this subject's. */
bool login_desk_is_down(struct login_desk *desk, const struct login_subject *subject,
	const char *service, struct login_fault *fault);

/* Whether they cannot be had for any realm or service, with why, and since when (UNIX seconds) it is so
 * or not so. */
bool login_desk_state(const struct login_desk *desk, int64_t *since, struct login_fault *fault);

/* Begins, with subject, service and done filled in. 0; or -1 with fault filled where it is not to be tried
 * now, or nothing more can wait: done() is not called then. */
int login_desk_fetch(struct login_desk *desk, struct login_fetch *fetch, struct login_fault *fault);

#endif
