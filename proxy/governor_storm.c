#include "proxy/governor_storm.h"

enum {
	SECOND_US = 1000 * 1000,
	TOUCH_S =
		10 /* a device that is in is not written down again more often: lines are shared */
};

/* When the next one may come in, which is taken; beyond longest_us nothing is taken. A second's worth
 * that was not used is there for those who come together. */
static uint64_t take_place(
	struct governor_storm *storm, uint32_t rate, uint64_t now_us, uint64_t longest_us)
{
	uint64_t step_us = SECOND_US / rate > 0 ? SECOND_US / rate : 1;
	uint64_t next = atomic_load_explicit(&storm->next_us, memory_order_relaxed);
	uint64_t place;

	do {
		uint64_t earliest = now_us > SECOND_US ? now_us - SECOND_US : 0;

		place = next > earliest ? next : earliest;
		if (place > now_us + longest_us)
			return place;
	} while (!atomic_compare_exchange_weak_explicit(&storm->next_us, &next, place + step_us,
		memory_order_relaxed, memory_order_relaxed));
	return place;
}

static uint32_t second_of(uint64_t us)
{
	return (uint32_t)(us / SECOND_US) + 1; /* never 0 */
}

/* Whether it is in, or its time has come; *wait_s: how long it has to wait still, 0 if it has no place. */
static bool is_in(struct governor_storm *storm, uint64_t hash, uint32_t now_s, uint32_t *wait_s)
{
	uint32_t since_s = device_slots_find(&storm->devices, hash);

	*wait_s = since_s > now_s ? since_s - now_s : 0;
	if (since_s == 0 || since_s > now_s || now_s - since_s > STORM_STAY_S)
		return false;
	if (now_s - since_s >= TOUCH_S)
		device_slots_put(&storm->devices, hash, now_s);
	return true;
}

uint32_t governor_storm_admit(struct governor_storm *storm, uint32_t rate, uint64_t hash,
	uint64_t now_us, uint32_t random)
{
	uint64_t longest_us = (uint64_t)STORM_RETRY_MAX_S * SECOND_US, place;
	uint32_t now_s = second_of(now_us), wait_s;

	if (is_in(storm, hash, now_s, &wait_s))
		return 0;
	if (wait_s > 0)
		return wait_s;
	place = take_place(storm, rate, now_us, longest_us);
	if (place > now_us + longest_us)
		return STORM_RETRY_MAX_S / 2 +
		       (uint32_t)((uint64_t)random * (STORM_RETRY_MAX_S / 2 + 1) >> 32);
	if (second_of(place) <= now_s) {
		device_slots_put(&storm->devices, hash, now_s);
		return 0;
	}
	device_slots_put(&storm->devices, hash, second_of(place));
	return second_of(place) - now_s;
}

void governor_storm_forget(struct governor_storm *storm, uint64_t hash)
{
	uint32_t since_s = device_slots_find(&storm->devices, hash);

	if (since_s != 0)
		device_slots_remove(&storm->devices, hash, since_s);
}
