/*
 * How one device behaves, as one worker sees it: how often it asks, and whether it asks the same thing
 * over and over. 48 bytes in the device's entry; no I/O, no allocation, and the clock is the caller's.
 * For governor.c.
 *
 * Both are leaky buckets. A Sync that is the same as one before, in all its collections and their keys,
 * adds to the bucket of that Sync, and one repetition a minute leaks out of it: a phone that polls its
 * mailbox with long-lived Syncs, and one whose user pulls to refresh now and then, are no loops. Every
 * request adds to the device's own bucket, a Sync that is new but a quarter of what others do, because
 * with a new key a phone gets on: it may be fetching a large mailbox for the first time.
 */
#ifndef PROXY_GOVERNOR_STATE_H
#define PROXY_GOVERNOR_STATE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	GOVERNOR_COLLECTIONS = 8, /* of one poll that are told apart */
	GOVERNOR_KEYS = 4,        /* Syncs that are told apart: loops go over several folders */
	GOVERNOR_RETRY_S = 30,    /* the first Retry-After of a loop; doubled each time */
	GOVERNOR_RETRY_MAX_S = 15 * 60, /* up to here */
	GOVERNOR_DELAY_MAX_MS =
		10 * 1000, /* a request is held so long, but refused if it were longer */
};

/* What a long poll is for, by hashes of the collections' ids; count 0: for everything. */
struct governor_collections {
	uint32_t count;
	uint32_t hashes[GOVERNOR_COLLECTIONS];
};

/* As the configuration has them; 0: no limit. */
struct governor_limits {
	uint32_t repeats;    /* of one Sync in a row: then it is a loop */
	uint32_t per_minute; /* requests of one device */
};

enum governor_loop {
	GOVERNOR_NO_LOOP,
	GOVERNOR_LOOP_KEY = 1,  /* the same Sync over and over */
	GOVERNOR_LOOP_RATE = 2, /* too many requests; bits, as both may be */
};

struct governor_state {
	uint32_t keys[GOVERNOR_KEYS];     /* of Syncs seen lately; 0: an empty place */
	uint16_t repeated[GOVERNOR_KEYS]; /* how often, in the units of governor_state.c */
	uint32_t asked;                   /* the bucket of all requests */
	uint32_t leaked_s;                /* when both were looked at last */
	uint32_t retry_s;                 /* until then the Sync that loops is refused; 0: not */
	uint32_t looping_key;
	uint8_t steps; /* refusals with a Retry-After of its own, in this episode */
	uint8_t loop;  /* enum governor_loop, of the episode under way */
};

_Static_assert(sizeof(struct governor_state) <= 48, "it is kept for every device");

/* What becomes of a request. */
struct governor_ruling {
	uint32_t delay_ms;      /* it is held for so long first; 0: not */
	uint32_t retry_after_s; /* it is refused, and to come again after that; 0: it may pass */
	uint8_t begun, ended;   /* enum governor_loop: episodes that begin or end with it */
};

/*
 * Rules on a request that is whole. key: governor_key() of a Sync that names its collections and
 * their keys, 0 for all else. now_ms never goes back; random: any 32 bits, by which Retry-After is
 * scattered by a quarter to both sides.
 */
struct governor_ruling governor_state_rule(struct governor_state *state,
	const struct governor_limits *limits, uint32_t key, int64_t now_ms, uint32_t random);

/* The mail server was not there for that Sync: that it comes again is no fault of the phone. */
void governor_state_forgive(struct governor_state *state, uint32_t key);

/* Seconds scattered evenly over half to one and a half of `seconds`, at least 1: for our own 503s,
 * so that phones that were sent away together do not come back together. */
uint32_t governor_scatter(uint32_t seconds, uint32_t random);

/* The nearest heartbeat that is allowed, in seconds: asked for `asked`, of which `unit_s` (1, or 60 for
 * a Wait in minutes) makes whole steps. Returned in those units; equal to asked when it is allowed, and
 * where no whole step lies between min_s and max_s, the one below max_s, but at least 1. */
uint32_t governor_heartbeat(uint32_t asked, uint32_t unit_s, uint32_t min_s, uint32_t max_s);

#endif
