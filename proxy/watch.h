/*
 * What connections wait for: a set of descriptors in the kernel (epoll) of which libevent sees one. A
 * connection has 8 bytes for it, and in its steady state no system call is made to say what it waits
 * for. Everything that is not one of many waits by libevent's own events. For workers.
 */
#ifndef PROXY_WATCH_H
#define PROXY_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;

/* Who is called. */
enum watch_kind { WATCH_PHONE, WATCH_ENDPOINT, WATCH_KINDS };

/* What for. A connection that has broken is ready for both. */
enum {
	WATCH_READ = 1,  /* until it is not wanted any more */
	WATCH_WRITE = 2, /* once */
};

enum {
	WATCH_BATCH = 256,     /* connections that are called in one turn of the loop */
	WATCH_FRESH_US = 1000, /* for so long what the kernel has said in a turn counts as news */
};

struct watch {
	int fd;
	uint32_t kind : 2;   /* enum watch_kind */
	uint32_t wanted : 2; /* by its owner */
	uint32_t armed : 2;  /* what the kernel looks for; may be more than what is wanted */
	uint32_t place : 26; /* among those that are called soon, from 1 on; 0: not there */
};

struct watcher;

/* ready is WATCH_READ or WATCH_WRITE, and is called for one after the other. The watch may be closed, and so
 * may any other. */
typedef void watch_call(struct watch *watch, unsigned int ready);

/* NULL when memory or descriptors run out. */
struct watcher *watcher_new(struct event_base *base);
void watcher_free(struct watcher *watcher); /* NULL is allowed */

/* Once for each kind that is used. */
void watcher_on(struct watcher *watcher, enum watch_kind kind, watch_call *call);

/* A number that is another in each turn of the loop. */
uint32_t watcher_turn(const struct watcher *watcher);

/* Whether the kernel, asked in this turn of the loop and just now, knew of nothing to read, for a watch that has
 * wanted to read since an earlier turn, that one. False where that is not certain: then the kernel has to be
 * asked about this one. */
bool watcher_is_quiet(
	const struct watcher *watcher, const struct watch *watch, uint32_t since_turn);

/* A descriptor of which nothing is wanted yet; -1: none. It is owned, see watch_close(). */
struct watch watch_of(enum watch_kind kind, int fd);

/* From now on it is called for this too. -1 with errno set when the kernel cannot do so. */
int watch_want(struct watcher *watcher, struct watch *watch, unsigned int what);

/* It is not called for this any more, not even for what has come already, but for watch_soon(). */
void watch_unwant(struct watch *watch, unsigned int what);

/* Calls it for WATCH_READ, wanted or not, in the next turn of the loop, as if there were something to read:
 * its owner has something left. When memory runs out the connection is shut down instead. */
void watch_soon(struct watcher *watcher, struct watch *watch);

/* It is not called any more, and its descriptor is closed: fd is -1 afterwards. Nothing where it is -1. */
void watch_close(struct watcher *watcher, struct watch *watch);

#endif
