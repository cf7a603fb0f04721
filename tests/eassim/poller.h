/*
 * A loop over epoll for programs with tens of thousands of connections: 24 bytes each, and no system
 * call when what a connection waits for stays the same.
 */
#ifndef EASSIM_POLLER_H
#define EASSIM_POLLER_H

#include <stdint.h>
#include <sys/epoll.h>

#include "config/error.h"

enum { POLLER_BATCH = 256 };

/* The first member of what it belongs to; on_ready casts it back. */
struct poller_item {
	void (*on_ready)(struct poller_item *item);
	int fd;
	uint32_t wanted; /* EPOLLIN, EPOLLOUT; 0: nothing, and not known to the kernel */
};

struct poller {
	int fd, count, at; /* of the batch under way */
	struct epoll_event batch[POLLER_BATCH];
};

/* 0, or -1 with err. */
int poller_open(struct poller *poller, struct error *err);
void poller_close(struct poller *poller);

/* Waits for this from now on (level-triggered). With 0 the item is forgotten, in the batch under way
 * as well: afterwards it may be freed. 0, or -1: the descriptor cannot be waited for. */
int poller_want(struct poller *poller, struct poller_item *item, uint32_t wanted);

/* Waits at most so long (-1: for ever) and calls those that are ready. A signal ends it early. */
void poller_run(struct poller *poller, int timeout_ms);

#endif
