#include "proxy/device_slots.h"

static uint64_t entry_of(uint64_t hash, uint32_t word)
{
	uint64_t tag = hash >> 32;

	return (tag != 0 ? tag : 1) << 32 | word;
}

static bool is_of(uint64_t entry, uint64_t hash)
{
	return entry != 0 && entry >> 32 == entry_of(hash, 0) >> 32;
}

static uint64_t look(const _Atomic uint64_t *slot)
{
	return atomic_load_explicit(slot, memory_order_acquire);
}

uint32_t device_slots_find(const struct device_slots *slots, uint64_t hash)
{
	const _Atomic uint64_t *line = slots->lines[hash % DEVICE_SLOTS_LINES];

	for (int i = 0; i < DEVICE_SLOTS_PER_LINE; i++) {
		uint64_t entry = look(&line[i]);

		if (is_of(entry, hash))
			return (uint32_t)entry;
	}
	return 0;
}

/* The slot of that device; else a free one, or the one with the lowest word. */
static _Atomic uint64_t *choose(_Atomic uint64_t *line, uint64_t hash, uint64_t *entry)
{
	_Atomic uint64_t *chosen = &line[0];

	*entry = look(chosen);
	for (int i = 0; i < DEVICE_SLOTS_PER_LINE; i++) {
		uint64_t here = look(&line[i]);

		if (is_of(here, hash)) {
			*entry = here;
			return &line[i];
		}
		if ((uint32_t)here < (uint32_t)*entry) {
			chosen = &line[i];
			*entry = here;
		}
	}
	return chosen;
}

uint32_t device_slots_put(struct device_slots *slots, uint64_t hash, uint32_t word)
{
	_Atomic uint64_t *line = slots->lines[hash % DEVICE_SLOTS_LINES];
	uint64_t entry;

	/* As often as others may come between: each of them has got on, and there are few workers. */
	for (;;) {
		_Atomic uint64_t *slot = choose(line, hash, &entry);

		if (atomic_compare_exchange_strong(slot, &entry, entry_of(hash, word)))
			return is_of(entry, hash) ? (uint32_t)entry : 0;
	}
}

void device_slots_remove(struct device_slots *slots, uint64_t hash, uint32_t word)
{
	_Atomic uint64_t *line = slots->lines[hash % DEVICE_SLOTS_LINES];

	for (int i = 0; i < DEVICE_SLOTS_PER_LINE; i++) {
		uint64_t entry = entry_of(hash, word);

		if (atomic_compare_exchange_strong(&line[i], &entry, 0))
			return;
	}
}
