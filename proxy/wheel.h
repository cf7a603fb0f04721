/*
 * Timers of connections: tens of thousands, most of which are set anew or stopped long before they
 * fire. A timer is 24 bytes inside its owner, and setting, stopping and firing one costs the same
 * however many there are. They are coarse: never early, and late by WHEEL_TICK_MS at most, as far as
 * the loop is not busy. One timer of libevent's drives them all. For workers.
 */
#ifndef PROXY_WHEEL_H
#define PROXY_WHEEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct event_base;

enum {
	WHEEL_TICK_MS = 50,
	WHEEL_FIRED_MAX = 256, /* in one turn of the loop; then others have theirs */
};

/* Whose timer it is: who is called when it fires. */
enum wheel_kind { WHEEL_PHONE, WHEEL_ENDPOINT, WHEEL_OCSP, WHEEL_KINDS };

/* All zero but for its kind, it is stopped. */
struct wheel_timer {
	LIST_ENTRY(wheel_timer) entry;
	uint32_t due; /* the tick */
	uint8_t kind; /* enum wheel_kind */
	bool is_set;
};

struct wheel;

/* It is stopped by then, and may be set again, as any other may be set or stopped. */
typedef void wheel_call(struct wheel_timer *timer);

/* NULL when memory runs out. */
struct wheel *wheel_new(struct event_base *base);
/* Timers that are set never fire. NULL is allowed. */
void wheel_free(struct wheel *wheel);

/* Once for each kind that is used. */
void wheel_on(struct wheel *wheel, enum wheel_kind kind, wheel_call *call);

/* Fires it once, so many milliseconds from now, and not at a time that it was set for before. */
void wheel_set(struct wheel *wheel, struct wheel_timer *timer, uint32_t time_ms);
/* Nothing where it is stopped already. */
void wheel_stop(struct wheel *wheel, struct wheel_timer *timer);

/* What the two above and libevent's timer are made of, with the time from outside: milliseconds of a clock
 * that never goes back. For tests. */
void wheel_set_at(
	struct wheel *wheel, struct wheel_timer *timer, uint64_t now_ms, uint32_t time_ms);
/* Fires what is due, WHEEL_FIRED_MAX at most. */
void wheel_advance(struct wheel *wheel, uint64_t now_ms);
/* When to do so next, at the latest; UINT64_MAX: there is no need. */
uint64_t wheel_next_ms(struct wheel *wheel);

#endif
