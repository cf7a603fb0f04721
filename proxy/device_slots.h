/*
 * A word about each device that all workers share: who has its long poll, or when it may come in. A
 * table of fixed size in memory that the supervisor maps before the first fork; a device is found by a
 * hash, in one cache line of eight slots, each changed in one atomic step. It may forget: where a line is
 * full an entry goes, so that nothing that has to hold may depend on it. For workers.
 */
#ifndef PROXY_DEVICE_SLOTS_H
#define PROXY_DEVICE_SLOTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { DEVICE_SLOTS_PER_LINE = 8, DEVICE_SLOTS_LINES = 32 * 1024 };

struct device_slots {
	/* The upper half of a slot is a part of the hash, the lower half the word; 0: free. */
	_Alignas(64) _Atomic uint64_t lines[DEVICE_SLOTS_LINES][DEVICE_SLOTS_PER_LINE];
};

/* The word of that device; 0: none is known. */
uint32_t device_slots_find(const struct device_slots *slots, uint64_t hash);

/* Puts the word (not 0) in the place of the one that was known, which is returned; 0: none was. In a
 * full line the entry with the lowest word goes. */
uint32_t device_slots_put(struct device_slots *slots, uint64_t hash, uint32_t word);

/* Takes the device out, if that is still its word. */
void device_slots_remove(struct device_slots *slots, uint64_t hash, uint32_t word);

#endif
