/*
 * Pieces of memory of one kind that are kept for the next request instead of being freed. Each kind has a
 * set of its own, at most SPARES_MAX pieces, for as long as the process lives. For workers, which have one
 * thread.
 */
#ifndef PROXY_SPARES_H
#define PROXY_SPARES_H

#include <sanitizer/asan_interface.h>
#include <stdint.h>
#include <stdlib.h>

/* As many requests as a busy worker has at a time. */
enum { SPARES_MAX = 32 };

struct spares {
	size_t size; /* of each */
	uint32_t count;
	void *kept[SPARES_MAX];
};

/* Not cleared. NULL when memory runs out. */
static inline void *spares_take(struct spares *spares)
{
	void *piece;

	if (spares->count == 0)
		return malloc(spares->size);
	piece = spares->kept[--spares->count];
	ASAN_UNPOISON_MEMORY_REGION(piece, spares->size);
	return piece;
}

/* From here, or from malloc() in that size; NULL is allowed. Nobody may use it afterwards. */
static inline void spares_give(struct spares *spares, void *piece)
{
	if (piece == NULL)
		return;
	if (spares->count == SPARES_MAX) {
		free(piece);
		return;
	}
	ASAN_POISON_MEMORY_REGION(piece, spares->size);
	spares->kept[spares->count++] = piece;
}

#endif
