#include "proxy/wheel.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>

#include "config/clock.h"
#include "proxy/timeval.h"

/*
 * Each level has 64 slots, and a slot of one level covers all slots of the one below. A timer waits in
 * the finest level that reaches as far as it; when the time has come to where its slot begins it moves
 * down. Five levels reach 621 days, and a time is 50 days at most.
 */
enum { LEVELS = 5, LEVEL_BITS = 6, SLOTS = 1 << LEVEL_BITS };

LIST_HEAD(timer_list, wheel_timer);

struct wheel {
	struct event *event;
	uint64_t armed; /* the tick that event fires for; UINT64_MAX: none */
	uint64_t tick;  /* up to here, all that was due has been taken out of the slots */
	uint32_t count; /* of timers that are set */
	wheel_call *calls[WHEEL_KINDS];
	struct timer_list due;   /* taken out, and to be fired */
	uint64_t filled[LEVELS]; /* bit n: there may be something in slot n */
	struct timer_list slots[LEVELS][SLOTS];
};

static_assert(sizeof(struct wheel_timer) <= 24, "a sleeping phone has two of them");

/* Ticks are counted in 64 bits, of which a timer keeps the lower half: it is never further away. */
static uint64_t timer_tick(const struct wheel *wheel, const struct wheel_timer *timer)
{
	return wheel->tick + (uint32_t)(timer->due - (uint32_t)wheel->tick);
}

static unsigned int level_of(uint64_t distance)
{
	unsigned int level = 0;

	while (level < LEVELS - 1 && distance >> (LEVEL_BITS * (level + 1)) != 0)
		level++;
	return level;
}

/* Returns the tick at which its slot is come to. */
static uint64_t wheel_put(struct wheel *wheel, struct wheel_timer *timer)
{
	uint64_t tick = timer_tick(wheel, timer);
	unsigned int level = level_of(tick - wheel->tick);
	uint64_t place = tick >> (LEVEL_BITS * level);
	unsigned int slot = (unsigned int)(place % SLOTS);

	LIST_INSERT_HEAD(&wheel->slots[level][slot], timer, entry);
	wheel->filled[level] |= UINT64_C(1) << slot;
	return place << (LEVEL_BITS * level);
}

/* Its timers wait in finer slots from now on. */
static void wheel_move_down(struct wheel *wheel, unsigned int level, unsigned int slot)
{
	struct timer_list *list = &wheel->slots[level][slot];
	struct wheel_timer *timer;

	while ((timer = LIST_FIRST(list)) != NULL) {
		LIST_REMOVE(timer, entry);
		wheel_put(wheel, timer);
	}
	wheel->filled[level] &= ~(UINT64_C(1) << slot);
}

/* The time is tick: whatever begins there is moved, and what is due taken out. */
static void wheel_reach(struct wheel *wheel, uint64_t tick)
{
	unsigned int slot = (unsigned int)(tick % SLOTS);

	assert(LIST_EMPTY(&wheel->due)); /* it is all fired before more is taken out */
	wheel->tick = tick;
	for (unsigned int level = LEVELS - 1; level > 0; level--)
		if (tick % (UINT64_C(1) << (LEVEL_BITS * level)) == 0)
			wheel_move_down(wheel, level,
				(unsigned int)((tick >> (LEVEL_BITS * level)) % SLOTS));
	wheel->due = wheel->slots[0][slot];
	if (!LIST_EMPTY(&wheel->due))
		LIST_FIRST(&wheel->due)->entry.le_prev = &wheel->due.lh_first;
	LIST_INIT(&wheel->slots[0][slot]);
	wheel->filled[0] &= ~(UINT64_C(1) << slot);
}

/* How many slots ahead of the present one the next filled one is, from 1 to SLOTS; 0: none is. Bits of slots
 * that have been emptied by stopping are cleared. */
static unsigned int wheel_ahead(struct wheel *wheel, unsigned int level)
{
	unsigned int present = (unsigned int)((wheel->tick >> (LEVEL_BITS * level)) % SLOTS);

	while (wheel->filled[level] != 0) {
		unsigned int first = (present + 1) % SLOTS;
		uint64_t ahead = wheel->filled[level] >> first |
				 wheel->filled[level] << ((SLOTS - first) % SLOTS);
		unsigned int distance = (unsigned int)__builtin_ctzll(ahead);
		unsigned int slot = (first + distance) % SLOTS;

		if (!LIST_EMPTY(&wheel->slots[level][slot]))
			return distance + 1;
		wheel->filled[level] &= ~(UINT64_C(1) << slot);
	}
	return 0;
}

/* The next tick at which something begins; UINT64_MAX: none. */
static uint64_t wheel_next(struct wheel *wheel)
{
	uint64_t next = UINT64_MAX;

	for (unsigned int level = 0; level < LEVELS; level++) {
		unsigned int ahead = wheel_ahead(wheel, level);
		uint64_t begins = ((wheel->tick >> (LEVEL_BITS * level)) + ahead)
				  << (LEVEL_BITS * level);

		if (ahead != 0 && begins < next)
			next = begins;
	}
	return next;
}

static unsigned int wheel_fire(struct wheel *wheel, unsigned int max)
{
	struct wheel_timer *timer;
	unsigned int count = 0;

	while (count < max && (timer = LIST_FIRST(&wheel->due)) != NULL) {
		wheel_stop(wheel, timer);
		wheel->calls[timer->kind](timer);
		count++;
	}
	return count;
}

void wheel_advance(struct wheel *wheel, uint64_t now_ms)
{
	uint64_t now = now_ms / WHEEL_TICK_MS;
	unsigned int room = WHEEL_FIRED_MAX;

	room -= wheel_fire(wheel, room);
	while (LIST_EMPTY(&wheel->due)) {
		uint64_t next = wheel_next(wheel);

		if (next > now) {
			wheel->tick = now > wheel->tick ? now : wheel->tick;
			return;
		}
		wheel_reach(wheel, next);
		room -= wheel_fire(wheel, room);
	}
}

uint64_t wheel_next_ms(struct wheel *wheel)
{
	uint64_t next = LIST_EMPTY(&wheel->due) ? wheel_next(wheel) : wheel->tick;

	return next == UINT64_MAX ? UINT64_MAX : next * WHEEL_TICK_MS;
}

/* Returns the tick at which its slot is come to. */
static uint64_t wheel_insert(
	struct wheel *wheel, struct wheel_timer *timer, uint64_t now_ms, uint32_t time_ms)
{
	wheel_stop(wheel, timer);
	if (wheel->count == 0 && now_ms / WHEEL_TICK_MS > wheel->tick)
		wheel->tick = now_ms / WHEEL_TICK_MS;
	/* now_ms may be nearly a millisecond ago: the tick begins after the last one that it could be. */
	timer->due = (uint32_t)((now_ms + time_ms) / WHEEL_TICK_MS + 1);
	timer->is_set = true;
	wheel->count++;
	return wheel_put(wheel, timer);
}

void wheel_set_at(struct wheel *wheel, struct wheel_timer *timer, uint64_t now_ms, uint32_t time_ms)
{
	wheel_insert(wheel, timer, now_ms, time_ms);
}

void wheel_stop(struct wheel *wheel, struct wheel_timer *timer)
{
	if (!timer->is_set)
		return;
	LIST_REMOVE(timer, entry);
	timer->is_set = false;
	wheel->count--;
}

/* Time */

static void wheel_arm(struct wheel *wheel)
{
	uint64_t next_ms = wheel_next_ms(wheel);
	uint64_t now_ms = (uint64_t)clock_ms();
	struct timeval wait;

	wheel->armed = UINT64_MAX;
	if (next_ms == UINT64_MAX)
		return;
	wait = timeval_of_ms(next_ms > now_ms ? (uint32_t)(next_ms - now_ms) : 0);
	if (event_add(wheel->event, &wait) == 0)
		wheel->armed = next_ms / WHEEL_TICK_MS;
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	struct wheel *wheel = arg;

	(void)fd;
	(void)what;
	wheel->armed = 0; /* whatever is set meanwhile is looked at in the end */
	wheel_advance(wheel, (uint64_t)clock_ms());
	wheel_arm(wheel);
}

void wheel_set(struct wheel *wheel, struct wheel_timer *timer, uint32_t time_ms)
{
	if (wheel_insert(wheel, timer, (uint64_t)clock_ms(), time_ms) < wheel->armed)
		wheel_arm(wheel);
}

struct wheel *wheel_new(struct event_base *base)
{
	struct wheel *wheel = calloc(1, sizeof(*wheel));

	if (wheel == NULL)
		return NULL;
	wheel->armed = UINT64_MAX;
	wheel->event = evtimer_new(base, on_time, wheel);
	if (wheel->event == NULL) {
		free(wheel);
		return NULL;
	}
	return wheel;
}

void wheel_free(struct wheel *wheel)
{
	if (wheel == NULL)
		return;
	event_free(wheel->event);
	free(wheel);
}

void wheel_on(struct wheel *wheel, enum wheel_kind kind, wheel_call *call)
{
	wheel->calls[kind] = call;
}
