/*
 * One connection to an endpoint, plain or TLS. It serves one exchange at a time and may be kept for
 * the next one. Connecting tries other addresses and endpoints by itself, because nothing was sent
 * yet; afterwards a failure is the owner's. For workers.
 */
#ifndef PROXY_LINK_H
#define PROXY_LINK_H

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "config/refusal.h"
#include "proxy/tls.h"
#include "proxy/watch.h"
#include "proxy/wheel.h"

struct endpoint;
struct login;
struct upstream;

/* What the owner of a link is told. */
struct link_calls {
	/* Connected: writing may begin. */
	void (*ready)(void *owner);
	/* The link has ended by itself and is already freed. */
	void (*failed)(void *owner, enum refusal refusal, const char *reason);
	/* link_read() will give something. */
	void (*readable)(void *owner);
	/* All that was queued is written. */
	void (*drained)(void *owner);
};

enum {
	/* An idle link that is still open after this time shows that its endpoint keeps them. */
	LINK_PROOF_MS = 1000,
	/* Connected to an endpoint at the same time by one worker; others wait in line. Hundreds at once
	 * would keep each other waiting so long that the endpoint seemed to be away. */
	LINK_DIALS_MAX = 16,
	/* Steps of TLS handshakes in one turn of the loop: each takes a millisecond or more, in which nobody
	 * else is served. */
	LINK_STEPS_MAX = 2,
};

enum link_state { LINK_WAITING, LINK_CONNECTING, LINK_HANDSHAKE, LINK_READY, LINK_IDLE };

struct link {
	TAILQ_ENTRY(link) entry; /* in its endpoint's idle or busy list */
	struct endpoint *endpoint;
	struct tls tls;
	struct watch watch;
	struct wheel_timer timer;
	union {
		TAILQ_ENTRY(link) line_entry; /* in its endpoint's line, while LINK_WAITING */
		LIST_ENTRY(link) login_entry; /* in login->idle, while idle */
	};
	struct evbuffer *queue; /* NULL while nothing waits to be written */
	const struct link_calls *calls;
	void *owner;
	struct login
		*login; /* whose connection it is from its first byte to its last; NULL: one for
				everybody, which says with each request whom it is for */
	int64_t login_until; /* UNIX seconds: not reused afterwards */
	uint32_t
		login_context; /* of a login that the endpoint has yet to prove itself for; 0: none */
	union {
		uint32_t connected_us; /* of a probe: clock_us() when a TLS handshake could begin */
		uint32_t idle_turn;    /* of all others: of the loop, in which it was given back */
	};
	uint16_t tries;
	enum link_state state : 8;
	bool is_probe : 1;     /* it never goes to another endpoint: a health check, or a test */
	bool is_bare : 1;      /* ready once it is connected, without TLS */
	bool is_dialing : 1;   /* one of the endpoint's dialing_count */
	bool has_stayed : 1;   /* idle for LINK_PROOF_MS, and not ended by the endpoint */
	bool is_logged_in : 1; /* the endpoint has taken login for whoever asks on it */
};

/* True when writing may begin at once: `ready` is not called then. */
bool link_is_ready(const struct link *link);

/* Whom it tells from now on. */
void link_set_owner(struct link *link, const struct link_calls *calls, void *owner);

/* Queues what cannot be written at once. 0, or -1 when the link is broken (the owner releases it). */
int link_write(struct link *link, const void *data, size_t len);

/* The same for bytes in several places, which an unencrypted link takes in one call and without a copy. */
enum { LINK_PARTS_MAX = 4 };
int link_write_parts(struct link *link, const struct span *parts, size_t count);
bool link_is_plain(const struct link *link);

/* Bytes that wait to be written. */
static inline size_t link_queued(const struct link *link)
{
	return link->queue != NULL ? evbuffer_get_length(link->queue) : 0;
}

/* As tls_read(). */
enum tls_result link_read(struct link *link, void *data, size_t capacity, size_t *len);

/* After link_write() has failed: why, as far as the endpoint has said so before it hung up, else
 * "connection lost". Valid until the link is used again. */
const char *link_why_lost(struct link *link);

/* Whether `readable` is called. */
void link_want_read(struct link *link, bool wanted);

/* Gives the link back: kept for the next one (of the same login) where is_reusable, else closed. */
void link_release(struct link *link, bool is_reusable);

/* Whether it is still open, and the endpoint has said nothing that nobody has read. */
bool link_is_silent(struct link *link);

/* For upstream.c, once, before the first one: has the watcher and the wheel call links. */
void link_prepare(struct upstream *upstream);

/* For upstream.c: begins to connect to endpoint. login: whose connection it will be; NULL: everybody's. NULL
 * when memory or descriptors run out. */
struct link *link_connect(struct endpoint *endpoint, struct login *login,
	const struct link_calls *calls, void *owner);
/* For upstream.c and upstream_test.c: the same for a health check or a test, which try this endpoint alone.
 * NULL: it has failed already. */
struct link *link_probe(struct endpoint *endpoint, struct login *login,
	const struct link_calls *calls, void *owner);
/* For upstream.c: gives an idle link a new owner. False: the endpoint has ended it, or spoken without
 * being asked, or it is another login's, and it is freed. */
bool link_take(
	struct link *link, const struct login *login, const struct link_calls *calls, void *owner);
/* For upstream.c, the callback of endpoint->next_dial: connects those whose turn it is. arg: the endpoint. */
void link_dial_next(evutil_socket_t fd, short what, void *arg);
/* For upstream.c: closes without a word to the owner. */
void link_free(struct link *link);

#endif
