/*
 * The walk over a worker's open sessions after the world has changed: each one concerned is judged
 * anew, and what is no longer allowed ends. It goes in slices, one a turn of the loop, so that
 * thousands of sessions hold up no request. A change in the middle of a walk starts it anew, for
 * what both changes concern: from where it is and once around, so that changes that come fast cannot
 * keep it from the sessions at the end. For workers.
 */
#ifndef PROXY_RECHECK_H
#define PROXY_RECHECK_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "auth/trust_store.h"

struct credential;
struct session;

TAILQ_HEAD(session_list, session);

/* What a slice may cost, whichever comes first. */
enum { RECHECK_SLICE_SESSIONS = 256, RECHECK_SLICE_US = 500 };

enum recheck_cause {
	RECHECK_TIME,      /* nothing has come, but certificates and CRLs expire */
	RECHECK_CRL,       /* an authority's index */
	RECHECK_USERS,     /* the users that are out */
	RECHECK_TRUST,     /* authorities were withdrawn */
	RECHECK_DIRECTORY, /* mailboxes may be others now */
	RECHECK_OCSP,      /* a responder has spoken of a certificate */
	RECHECK_DEVICES,   /* what is held against devices */
	RECHECK_CAUSE_COUNT
};

/* Judges a session, and closes it where it is not allowed any more, or ends what it asks: true then. */
typedef bool recheck_judge(struct session *session);

struct recheck {
	const struct session_list *sessions; /* new ones come in at its head */
	recheck_judge *judge;
	struct event slice_event;
	bool is_running;
	struct recheck_walk {
		struct session *next; /* to be looked at; NULL: the end of the list */
		bool is_around;       /* has come to the end of the list, and begun at its head */
		struct session *last; /* then: ends before this one; NULL: at the end */

		/* What it is about. */
		unsigned int causes; /* bit n: enum recheck_cause n */
		bool concerns_all;
		uint64_t authorities[AUTHORITY_MAX / 64]; /* unless concerns_all */

		/* For its log line. */
		const char *authority; /* whose news it was, if one authority's alone; borrowed */
		unsigned int changes;
		uint64_t since_us; /* the first of them came */
		uint64_t cut_us;   /* the last session was closed; 0: none */
		uint64_t swap_us;  /* the longest that it took to take one over */
		/* Of a slice: by the clock, in which others may have had the processor, and of our own
		 * work. */
		uint64_t longest_us, longest_cpu_us;
		uint32_t slices, looked_at, closed;
	} walk;
};

/* sessions and judge are kept. 0, or -1 when memory runs out. */
int recheck_init(struct recheck *recheck, struct event_base *base,
	const struct session_list *sessions, recheck_judge *judge);

/* Something has changed: a walk begins. authority: whose certificates are concerned, with its name for
 * the log; -1: everybody's. since_us: when the news came, clock_us(). */
void recheck_begin(struct recheck *recheck, enum recheck_cause cause, int authority,
	const char *name, uint64_t since_us);

/* The session leaves the list. Before it does. */
void recheck_forget(struct recheck *recheck, const struct session *session);

#endif
