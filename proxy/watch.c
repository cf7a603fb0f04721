#include "proxy/watch.h"

#include <assert.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/clock.h"

/* Watches that are called soon. Those that were closed meanwhile are NULL. */
struct soon {
	struct watch **watches;
	uint32_t count, capacity;
};

struct watcher {
	int epoll;
	struct event *ready_event; /* something in the set is ready */
	struct event *soon_event;  /* pending while soon is not empty */
	uint32_t turn;
	uint64_t asked_us; /* when the kernel was asked for this turn */
	watch_call *calls[WATCH_KINDS];
	/* Those of this turn: [batch_at, batch_count) are still to be called, the first one just now. */
	int batch_at, batch_count;
	struct epoll_event batch[WATCH_BATCH];
	struct soon soon;     /* for the next turn */
	struct soon soon_now; /* of this one */
};

static_assert(sizeof(struct watch) <= 8, "a sleeping phone has two of them");

struct watch watch_of(enum watch_kind kind, int fd)
{
	return (struct watch){.fd = fd, .kind = (uint32_t)kind & 3u};
}

/* Has the kernel look for exactly what is wanted. */
static int watcher_tell(struct watcher *watcher, struct watch *watch)
{
	struct epoll_event event = {.data.ptr = watch};
	int how = EPOLL_CTL_MOD;

	if (watch->armed == watch->wanted)
		return 0;
	if (watch->armed == 0)
		how = EPOLL_CTL_ADD;
	else if (watch->wanted == 0)
		how = EPOLL_CTL_DEL; /* else a broken connection would be reported for ever */
	event.events = ((watch->wanted & WATCH_READ) != 0 ? EPOLLIN : 0u) |
		       ((watch->wanted & WATCH_WRITE) != 0 ? EPOLLOUT : 0u);
	if (epoll_ctl(watcher->epoll, how, watch->fd, &event) != 0)
		return -1;
	watch->armed = watch->wanted;
	return 0;
}

/* What is not wanted any more stays armed until it comes. As a rule it is wanted again before. */
int watch_want(struct watcher *watcher, struct watch *watch, unsigned int what)
{
	watch->wanted |= what & 3u;
	return (what & ~watch->armed) == 0 ? 0 : watcher_tell(watcher, watch);
}

void watch_unwant(struct watch *watch, unsigned int what)
{
	watch->wanted &= ~what & 3u;
}

/* Calling */

static unsigned int ready_of(uint32_t events)
{
	if ((events & (EPOLLERR | EPOLLHUP)) != 0)
		return WATCH_READ | WATCH_WRITE;
	return ((events & EPOLLIN) != 0 ? WATCH_READ : 0u) |
	       ((events & EPOLLOUT) != 0 ? WATCH_WRITE : 0u);
}

/* The event's pointer becomes NULL when the watch is closed. */
static void watcher_call(struct watcher *watcher, const struct epoll_event *event)
{
	struct watch *watch = event->data.ptr;
	unsigned int ready;

	if (watch == NULL)
		return;
	ready = ready_of(event->events);
	/* It would come again and again. */
	if (watch->wanted == 0 || (ready & watch->armed & ~watch->wanted) != 0)
		(void)watcher_tell(watcher, watch);
	if ((ready & watch->wanted & WATCH_WRITE) != 0) {
		watch->wanted &= WATCH_READ;
		watcher->calls[watch->kind](watch, WATCH_WRITE);
		if (event->data.ptr == NULL)
			return;
		if ((watch->wanted & WATCH_WRITE) == 0)
			(void)watcher_tell(watcher, watch);
	}
	if ((ready & watch->wanted & WATCH_READ) != 0)
		watcher->calls[watch->kind](watch, WATCH_READ);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct watcher *watcher = arg;

	(void)what;
	watcher->turn++;
	watcher->asked_us = clock_us();
	watcher->batch_count = epoll_wait(fd, watcher->batch, WATCH_BATCH, 0);
	for (watcher->batch_at = 0; watcher->batch_at < watcher->batch_count; watcher->batch_at++)
		watcher_call(watcher, &watcher->batch[watcher->batch_at]);
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
	struct watcher *watcher = arg;
	struct soon now = watcher->soon;

	(void)fd;
	(void)what;
	watcher->soon = watcher->soon_now;
	watcher->soon_now = now;
	for (uint32_t i = 0; i < now.count; i++) {
		struct watch *watch = now.watches[i];

		if (watch == NULL)
			continue;
		watch->place = 0;
		watcher->calls[watch->kind](watch, WATCH_READ);
	}
	watcher->soon_now.count = 0;
}

static bool soon_add(struct soon *soon, struct watch *watch)
{
	if (soon->count == soon->capacity) {
		uint32_t capacity = soon->capacity == 0 ? 32 : soon->capacity * 2;
		struct watch **grown = realloc(soon->watches, capacity * sizeof(struct watch *));

		if (grown == NULL)
			return false;
		soon->watches = grown;
		soon->capacity = capacity;
	}
	soon->watches[soon->count++] = watch;
	watch->place = soon->count & 0x3ffffffu;
	return true;
}

void watch_soon(struct watcher *watcher, struct watch *watch)
{
	/* Not in this turn again, as event_active() would have it: others come in between. */
	static const struct timeval at_once = {0, 0};

	if (watch->place != 0)
		return;
	if ((watcher->soon.count == 0 && event_add(watcher->soon_event, &at_once) != 0) ||
		!soon_add(&watcher->soon, watch))
		shutdown(watch->fd, SHUT_RDWR);
}

bool watcher_is_quiet(const struct watcher *watcher, const struct watch *watch, uint32_t since_turn)
{
	/* Where the batch is full, more is ready than has been said. */
	if (since_turn == watcher->turn || (watch->armed & watch->wanted & WATCH_READ) == 0 ||
		watch->place != 0 || watcher->batch_count == WATCH_BATCH ||
		clock_us() - watcher->asked_us >= WATCH_FRESH_US)
		return false;
	for (int i = watcher->batch_at; i < watcher->batch_count; i++)
		if (watcher->batch[i].data.ptr == watch)
			return false;
	return true;
}

/* Closing */

static void soon_forget(struct watcher *watcher, struct watch *watch)
{
	struct soon *soon = &watcher->soon;

	if (watch->place == 0)
		return;
	if (watch->place > soon->count || soon->watches[watch->place - 1] != watch)
		soon = &watcher->soon_now;
	soon->watches[watch->place - 1] = NULL;
	watch->place = 0;
}

void watch_close(struct watcher *watcher, struct watch *watch)
{
	if (watch->fd == -1)
		return;
	soon_forget(watcher, watch);
	for (int i = watcher->batch_at; i < watcher->batch_count; i++)
		if (watcher->batch[i].data.ptr == watch)
			watcher->batch[i].data.ptr = NULL;
	/* Nobody else has the descriptor, and so it leaves the set with this. */
	close(watch->fd);
	*watch = watch_of(watch->kind, -1);
}

/* Life */

struct watcher *watcher_new(struct event_base *base)
{
	struct watcher *watcher = calloc(1, sizeof(*watcher));

	if (watcher == NULL)
		return NULL;
	watcher->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (watcher->epoll != -1)
		watcher->ready_event =
			event_new(base, watcher->epoll, EV_READ | EV_PERSIST, on_ready, watcher);
	watcher->soon_event = evtimer_new(base, on_soon, watcher);
	if (watcher->ready_event == NULL || watcher->soon_event == NULL ||
		event_add(watcher->ready_event, NULL) != 0) {
		watcher_free(watcher);
		return NULL;
	}
	return watcher;
}

void watcher_free(struct watcher *watcher)
{
	if (watcher == NULL)
		return;
	if (watcher->ready_event != NULL)
		event_free(watcher->ready_event);
	if (watcher->soon_event != NULL)
		event_free(watcher->soon_event);
	if (watcher->epoll != -1)
		close(watcher->epoll);
	free(watcher->soon.watches);
	free(watcher->soon_now.watches);
	free(watcher);
}

void watcher_on(struct watcher *watcher, enum watch_kind kind, watch_call *call)
{
	watcher->calls[kind] = call;
}

uint32_t watcher_turn(const struct watcher *watcher)
{
	return watcher->turn;
}
