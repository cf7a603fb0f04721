#include "proxy/history.h"

#include <stdlib.h>

struct history {
	uint16_t capacity, count;
	uint16_t next; /* where the next one goes */
	struct history_record records[];
};

/* Room for more, in order again. NULL: there is none. */
static struct history *history_grown(const struct history *old, size_t max)
{
	size_t capacity = old != NULL ? 2 * (size_t)old->capacity : HISTORY_FIRST_RECORDS;
	struct history *history;

	if (capacity > max)
		capacity = max;
	if (capacity == 0)
		return NULL;
	history = malloc(sizeof(*history) + capacity * sizeof(history->records[0]));
	if (history == NULL)
		return NULL;
	history->capacity = (uint16_t)capacity;
	history->count = (uint16_t)history_copy(old, history->records, capacity);
	history->next = (uint16_t)(history->count % capacity);
	return history;
}

void history_add(struct history **history, size_t max, const struct history_record *record)
{
	struct history *ring = *history;

	if (max > HISTORY_MAX)
		max = HISTORY_MAX;
	if (max == 0)
		return;
	if (ring == NULL || (ring->count == ring->capacity && ring->capacity < max)) {
		struct history *grown = history_grown(ring, max);

		if (grown != NULL) {
			free(ring);
			*history = grown;
			ring = grown;
		}
	}
	if (ring == NULL)
		return;
	ring->records[ring->next] = *record;
	ring->next = ring->next + 1 < ring->capacity ? (uint16_t)(ring->next + 1) : 0;
	if (ring->count < ring->capacity)
		ring->count++;
}

size_t history_count(const struct history *history)
{
	return history != NULL ? history->count : 0;
}

size_t history_copy(const struct history *history, struct history_record *records, size_t max)
{
	size_t count = history_count(history), from;

	if (count > max)
		count = max;
	if (count == 0)
		return 0;
	from = (size_t)history->next + history->capacity - count;
	for (size_t i = 0; i < count; i++)
		records[i] = history->records[(from + i) % history->capacity];
	return count;
}

void history_free(struct history *history)
{
	free(history);
}
