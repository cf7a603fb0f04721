/*
 * Storms: after a restart, an outage of the mail server or of a network, thousands of phones come at once.
 * Devices that have not been heard of lately are let in at a rate, all workers together; the others are told
 * when to come back, each at a time of its own, in the order in which they came, so that they come
 * evenly. Who comes at that time is let in: nobody is sent away twice for having waited. No I/O, and the
 * clock is the caller's. For governor.c.
 */
#ifndef PROXY_GOVERNOR_STORM_H
#define PROXY_GOVERNOR_STORM_H

#include <stdatomic.h>
#include <stdint.h>

#include "proxy/device_slots.h"

enum {
	STORM_STAY_S =
		120, /* so long after its last request, or the time it was given, a device is in */
	STORM_RETRY_MAX_S = 15 * 60, /* the longest Retry-After; where more wait it is a guess */
};

/* In memory that all workers share; zeros at first. */
struct governor_storm {
	_Atomic uint64_t next_us;    /* when the next one may come in */
	struct device_slots devices; /* by seconds, since when it is in, or when it may come */
};

/* A device (by its hash) begins a request: 0 when it may come in, else its Retry-After in seconds.
 * rate: devices a second, not 0. now_us: clock_us(). random: any 32 bits. */
uint32_t governor_storm_admit(struct governor_storm *storm, uint32_t rate, uint64_t hash,
	uint64_t now_us, uint32_t random);

/* The mail server could not be reached for it: it has to come in anew, with all the others. */
void governor_storm_forget(struct governor_storm *storm, uint64_t hash);

#endif
