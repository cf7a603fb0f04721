/*
 * Between link.c, which has a link once it is ready, and link_connect.c, in whose hands it is before. Private
 * to both.
 */
#ifndef PROXY_LINK_PARTS_H
#define PROXY_LINK_PARTS_H

#include "proxy/link.h"
#include "proxy/upstream.h"

static inline void link_set_timer(struct link *link, uint32_t time_ms)
{
	wheel_set(link->endpoint->upstream->wheel, &link->timer, time_ms);
}

static inline void link_stop_timer(struct link *link)
{
	wheel_stop(link->endpoint->upstream->wheel, &link->timer);
}

/* 0, or -1 with errno set. */
static inline int link_await(struct link *link, unsigned int what)
{
	return watch_want(link->endpoint->upstream->watcher, &link->watch, what);
}

/* link.c */

/* A stage of its way; moves it between its endpoint's lists. */
void link_enter(struct link *link, enum link_state state);

/* Its connection is over, or never was: it has no socket, and no place in line. */
void link_close_socket(struct link *link);

/* Tells the owner, who is no longer, and frees it; reason is copied. */
void link_fail(struct link *link, enum refusal refusal, const char *reason);

/* link_connect.c. While LINK_CONNECTING or LINK_HANDSHAKE: its socket is ready, as far as it was waited for. */
void link_connect_writable(struct link *link);
/* While LINK_HANDSHAKE. */
void link_connect_readable(struct link *link);

/* It was not ready in time, or its turn has not come. */
void link_connect_timed_out(struct link *link);

/* It does not connect any more, or not now: who waits may have its place. */
void link_connect_end(struct link *link);

#endif
