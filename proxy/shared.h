/*
 * The memory that all processes share: one page of counters per worker, written by its owner alone
 * and read by anyone; and what workers have to know of each other's devices. Mapped by the supervisor
 * before the first fork.
 */
#ifndef PROXY_SHARED_H
#define PROXY_SHARED_H

#include <stdatomic.h>
#include <stdint.h>

#include "auth/login.h"
#include "config/refusal.h"
#include "proxy/device_slots.h"
#include "proxy/governor_storm.h"

enum { WORKER_MAX = 256, ENDPOINT_MAX = 64 };

/* COUNTER(name, help). Names as easproxyctl status shows them. */
#define SHARED_COUNTERS(COUNTER)                                                                   \
	COUNTER(connections_accepted, "connections accepted")                                      \
	COUNTER(connections_open, "connections open now")                                          \
	COUNTER(handshakes, "TLS handshakes finished")                                             \
	COUNTER(handshakes_deep, "of them whose connections sleep deep afterwards")                \
	COUNTER(verdict_hits, "certificate verdicts found in the cache")                           \
	COUNTER(verdict_misses, "certificate paths built")                                         \
	COUNTER(verdict_evictions, "certificate verdicts pushed out of the cache")                 \
	COUNTER(sessions_shut_out, "open connections ended because they were allowed no more")     \
	COUNTER(seen_dropped, "reports of certificates that control had no room for")              \
	COUNTER(device_questions, "questions to control whether a device may come in")             \
	COUNTER(device_reports_dropped, "reports of devices that control had no room for")         \
	COUNTER(ocsp_questions, "questions about certificates to OCSP")                            \
	COUNTER(ocsp_unanswered, "of them without an answer that counts")                          \
	COUNTER(requests, "requests read")                                                         \
	COUNTER(requests_forwarded, "requests sent to an endpoint, to their end")                  \
	COUNTER(answers_malformed, "answers whose WBXML was malformed")                            \
	COUNTER(polls_open, "long polls under way now")                                            \
	COUNTER(polls_superseded, "long polls ended because the device began another")             \
	COUNTER(heartbeats_corrected, "heartbeats answered with the nearest one allowed")          \
	COUNTER(requests_held, "requests held for a moment, of devices that ask too often")        \
	COUNTER(device_loops, "times that a device was found in a loop")                           \
	COUNTER(upstream_connections_open, "connections to endpoints open now")                    \
	COUNTER(upstream_connects, "connections to endpoints made")                                \
	COUNTER(upstream_failures, "connections to endpoints failed")                              \
	COUNTER(bytes_from_phones, "bytes of content from phones")                                 \
	COUNTER(bytes_to_phones, "bytes of content to phones")                                     \
	COUNTER(log_lines_dropped, "log lines dropped because the log was not writable")

/* One endpoint as one worker sees it; by its place in the configuration. */
struct shared_endpoint {
	_Atomic uint64_t is_down;  /* 0 or 1 */
	_Atomic uint64_t busy;     /* connections in use */
	_Atomic uint64_t failures; /* since the worker's start */
};

struct shared_worker {
	_Alignas(64) _Atomic uint64_t pid; /* 0: no worker in this slot */
#define COUNTER(name, help) _Atomic uint64_t name;
	SHARED_COUNTERS(COUNTER)
#undef COUNTER
	_Atomic uint64_t refusals[REFUSAL_COUNT];
	struct shared_endpoint endpoints[ENDPOINT_MAX];
};

/* Logins, as the identity process counts them; by enum login_kind. */
#define SHARED_LOGIN_COUNTERS(COUNTER)                                                             \
	COUNTER(given, "logins given to workers")                                                  \
	COUNTER(known, "of them from what was known")                                              \
	COUNTER(fetched, "logins got from outside")                                                \
	COUNTER(renewed, "of them ahead of time")                                                  \
	COUNTER(refused, "refused for the user in question")                                       \
	COUNTER(failed, "failed, late, or not to be had")                                          \
	COUNTER(dropped, "thrown away because the user or certificate was revoked")                \
	COUNTER(unproven, "servers that did not prove who they are")                               \
	COUNTER(cached, "users whose login is known now")                                          \
	COUNTER(waiting, "waiting for a helper now")

struct shared_login {
	_Atomic uint64_t is_down;    /* 0 or 1 */
	_Atomic uint64_t since;      /* UNIX seconds: up or down for so long */
	_Atomic uint64_t fetched_us; /* all time that getting them has taken */
#define COUNTER(name, help) _Atomic uint64_t name;
	SHARED_LOGIN_COUNTERS(COUNTER)
#undef COUNTER
};

struct shared {
	_Atomic uint64_t generation;  /* of the configuration; counts reloads */
	_Atomic uint64_t started_at;  /* UNIX seconds */
	_Atomic uint64_t restarts[8]; /* of children, by enum role */
	uint64_t seed; /* of hashes of devices, so that nobody can choose which ones meet */
	/* Written by the identity process alone. */
	struct shared_login logins[LOGIN_KIND_COUNT];
	_Atomic uint64_t directory_is_down, directory_since;
	struct governor_storm storm;
	struct device_slots polls; /* which worker has a device's long poll, governor.c */
	struct shared_worker workers[WORKER_MAX]; /* a draining worker of the last generation keeps
						     its slot until it has gone */
};

/* For the owner of a counter only: no other process writes it. */
static inline void shared_add(_Atomic uint64_t *counter, uint64_t amount)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + amount,
		memory_order_relaxed);
}

static inline void shared_subtract(_Atomic uint64_t *counter, uint64_t amount)
{
	shared_add(counter, 0 - amount);
}

#endif
