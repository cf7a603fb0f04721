/*
 * The event loop of one core: what all connections of a worker share. Everything here runs in the
 * worker process alone and in its one thread.
 */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/revocation_set.h"
#include "auth/user_index.h"
#include "auth/verdict_cache.h"
#include "auth/verify.h"
#include "proxy/child.h"
#include "proxy/device_table.h"
#include "proxy/recheck.h"
#include "proxy/seen.h"
#include "proxy/source_table.h"
#include "proxy/tls.h"
#include "proxy/upstream.h"
#include "proxy/watch.h"
#include "proxy/wheel.h"
#include "proxy/worker_identity.h"
#include "proxy/worker_trim.h"

enum {
	WORKER_BUFFER = 32 * 1024, /* bytes taken from a socket at a time: two TLS records */
	WORKER_QUEUE_MAX =
		64 * 1024 /* more than this queued for a peer, and its source is paused */
};

/* By which version of the worker's world chains are judged, worker_judge.h. */
struct worker_grounds {
	uint32_t number;     /* goes up with each change; 0: none was judged yet */
	int64_t from, until; /* time alone changes nothing in [from, until[; UNIX s */
};

struct worker {
	const struct child *child;
	const struct config *config;
	struct shared_worker *counters;
	struct event_base *base;
	struct watcher *watcher; /* of what connections wait for, and */
	struct wheel *wheel;     /* of their times */
	struct verifier *verifier;
	struct revocation_set revocation;
	uint64_t withdrawn[AUTHORITY_MAX / 64]; /* bit n: authority n is not trusted any more */
	struct worker_grounds grounds;
	struct user_index *users; /* who is out; NULL until control has said */
	struct verdict_cache *verdicts;
	struct tls_server **tls_servers; /* one per config->listeners */
	struct listener *listeners;      /* one per child->sockets */
	struct upstream *upstream;
	struct source_table *sources;
	struct session_list sessions;
	struct session_list closed; /* freed at the end of this turn of the loop, with: */
	struct exchange *over;
	struct exchange_list drowsy; /* looked at then, too: exchange_sleep.h */
	struct event *bury_event;
	struct event *log_event; /* what was logged in this turn is written */
	struct identity_client *identity;
	struct login_table *logins;        /* NULL: requests need none (exchange_login.h) */
	struct login_client *login_client; /* likewise */
	struct ocsp_client *ocsp;
	uint8_t buffer[WORKER_BUFFER];      /* what is read lands here first */
	uint8_t scratch[2 * WORKER_BUFFER]; /* what is written is put together here */
	char id_prefix[12];                 /* of request ids: random for each worker's life */
	uint64_t request_count;
	uint32_t connection_max; /* this worker's share of limits/connections */
	uint32_t connection_count;
	struct event *supervisor_event;
	struct event *recheck_timer;
	int64_t next_change;      /* what it is set for, if that is earlier than usual; UNIX s */
	struct event *tidy_timer; /* memory of replaced indexes is given back */
	struct worker_trim trim;
	struct recheck recheck;
	struct worker_identity reidentify;
	LIST_HEAD(, upstream_test) upstream_tests; /* upstream_test_parts.h */
	struct login_table *test_logins;           /* theirs; NULL until there was one */
	struct traces *traces;                     /* NULL: nobody is followed (worker_trace.h) */
	int control_fd; /* the channel to control; -1: none now (worker_control.h) */
	struct event *control_event;
	struct device_table *devices;
	struct device_index
		*device_index; /* what is held against them; NULL until control has said */
	struct device_client *device_client;
	struct policy *policy;
	struct seen seen;
	uint32_t drain_time_ms;
	bool has_started; /* the supervisor has sent all that is needed to judge phones */
	bool is_draining;
	bool has_foreign_signers; /* of CRLs: keys that are not the authority's own */
};

/* UNIX time in seconds, cached per turn of the loop. */
int64_t worker_now(const struct worker *worker);

/* At that moment (UNIX s) a certificate or what is known of it may cease to be good: open sessions are looked
 * at then, and not only with the next round. INT64_MAX: never. */
void worker_expect_change(struct worker *worker, int64_t moment);

/* Has sessions and exchanges that are over freed once nothing on the stack uses them any more. */
void worker_bury_soon(struct worker *worker);

#endif
