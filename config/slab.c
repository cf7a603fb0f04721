#include "config/slab.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>

#ifndef SLAB_PLAIN
#if defined(__SANITIZE_ADDRESS__)
#define SLAB_PLAIN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_PLAIN 1
#endif
#endif
#endif
#ifndef SLAB_PLAIN
#define SLAB_PLAIN 0
#endif

enum {
	STEP = 8, /* sizes are rounded up to it */
	LEAST = 24,
	WORDS = (SLAB_CHUNK / LEAST + 63) / 64,
	/* Addresses are set aside once, which takes no memory; they are made usable so many chunks at
	 * a time. What does not fit comes from calloc(). */
	CHUNKS = 262144,
	CHUNKS_AT_A_TIME = 64,
};

/* The beginning of SLAB_CHUNK bytes; the rest are its pieces. */
struct chunk {
	LIST_ENTRY(chunk) link; /* while it has room, in rooms[] */
	uint16_t size;          /* of a piece; 0: nobody's */
	uint16_t count, used;   /* pieces */
	uint64_t free[WORDS];   /* bit n: piece n is */
};

static struct {
	uint8_t *begin; /* aligned to SLAB_CHUNK */
	bool is_refused;
	uint32_t usable, taken;     /* chunks */
	uint32_t lowest;            /* below it no chunk is free */
	uint64_t free[CHUNKS / 64]; /* bit n: chunk n is usable, and nobody's */
	LIST_HEAD(, chunk) rooms[SLAB_MAX / STEP + 1];
} slab;

static void take_addresses(void)
{
	size_t size = (size_t)CHUNKS * SLAB_CHUNK;
	uint8_t *at = mmap(NULL, size + SLAB_CHUNK, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		slab.is_refused = true;
	else
		slab.begin = at + (SLAB_CHUNK - (uintptr_t)at % SLAB_CHUNK) % SLAB_CHUNK;
}

static bool make_usable(void)
{
	uint8_t *at = slab.begin + (size_t)slab.usable * SLAB_CHUNK;

	if (slab.usable == CHUNKS ||
		mprotect(at, (size_t)CHUNKS_AT_A_TIME * SLAB_CHUNK, PROT_READ | PROT_WRITE) != 0)
		return false;
	slab.free[slab.usable / 64] = UINT64_MAX;
	slab.usable += CHUNKS_AT_A_TIME;
	return true;
}

/* The free chunk with the lowest address, so that the higher ones are the first to be empty. */
static struct chunk *take_chunk(void)
{
	uint32_t word = slab.lowest / 64, bit;

	if (slab.begin == NULL && !slab.is_refused)
		take_addresses();
	if (slab.begin == NULL)
		return NULL;
	while (word < slab.usable / 64 && slab.free[word] == 0)
		word++;
	slab.lowest = word * 64;
	if (word == slab.usable / 64 && !make_usable())
		return NULL;
	bit = (uint32_t)__builtin_ctzll(slab.free[word]);
	slab.free[word] &= ~(UINT64_C(1) << bit);
	slab.taken++;
	return (struct chunk *)(void *)(slab.begin + ((size_t)word * 64 + bit) * SLAB_CHUNK);
}

static void give_chunk_back(struct chunk *chunk)
{
	uint32_t number = (uint32_t)((size_t)((uint8_t *)chunk - slab.begin) / SLAB_CHUNK);

	/* Where the system does not take its pages they stay, and are used again all the same. */
	chunk->size = 0;
	(void)madvise(chunk, SLAB_CHUNK, MADV_DONTNEED);
	slab.free[number / 64] |= UINT64_C(1) << number % 64;
	slab.taken--;
	if (number < slab.lowest)
		slab.lowest = number;
}

static struct chunk *chunk_new(uint16_t size)
{
	struct chunk *chunk = take_chunk();

	if (chunk == NULL)
		return NULL;
	chunk->size = size;
	chunk->count = (uint16_t)((SLAB_CHUNK - sizeof(*chunk)) / size);
	chunk->used = 0;
	memset(chunk->free, 0, sizeof(chunk->free));
	for (unsigned int i = 0; i < chunk->count; i++)
		chunk->free[i / 64] |= UINT64_C(1) << i % 64;
	LIST_INSERT_HEAD(&slab.rooms[size / STEP], chunk, link);
	return chunk;
}

void *slab_new(size_t size)
{
	struct chunk *chunk;
	unsigned int word = 0, bit;
	uint8_t *piece;

	if (SLAB_PLAIN || size > SLAB_MAX)
		return calloc(1, size);
	size = size < LEAST ? LEAST : (size + STEP - 1) / STEP * STEP;
	chunk = LIST_FIRST(&slab.rooms[size / STEP]);
	if (chunk == NULL)
		chunk = chunk_new((uint16_t)size);
	if (chunk == NULL)
		return calloc(1, size);
	while (chunk->free[word] == 0)
		word++;
	bit = (unsigned int)__builtin_ctzll(chunk->free[word]);
	chunk->free[word] &= ~(UINT64_C(1) << bit);
	chunk->used++;
	if (chunk->used == chunk->count)
		LIST_REMOVE(chunk, link);
	piece = (uint8_t *)(chunk + 1) + (word * 64 + bit) * size;
	return memset(piece, 0, size);
}

static void chunk_free_piece(struct chunk *chunk, size_t offset)
{
	size_t number;
	uint64_t bit;

	if (chunk->size == 0 || offset < sizeof(*chunk) ||
		(offset - sizeof(*chunk)) % chunk->size != 0)
		abort();
	number = (offset - sizeof(*chunk)) / chunk->size;
	bit = UINT64_C(1) << number % 64;
	if (number >= chunk->count || (chunk->free[number / 64] & bit) != 0)
		abort();
	chunk->free[number / 64] |= bit;
	/* What has just become free is nearly full: it comes first, so that others become empty. */
	if (chunk->used == chunk->count)
		LIST_INSERT_HEAD(&slab.rooms[chunk->size / STEP], chunk, link);
	chunk->used--;
	/* The last one with room for its size stays: the next piece of it may come at once. */
	if (chunk->used > 0 || (LIST_FIRST(&slab.rooms[chunk->size / STEP]) == chunk &&
				       LIST_NEXT(chunk, link) == NULL))
		return;
	LIST_REMOVE(chunk, link);
	give_chunk_back(chunk);
}

void slab_free(void *piece)
{
	size_t offset = (size_t)((uintptr_t)piece - (uintptr_t)slab.begin);

	if (SLAB_PLAIN || slab.begin == NULL || offset >= (size_t)CHUNKS * SLAB_CHUNK)
		free(piece);
	else
		chunk_free_piece((struct chunk *)(void *)((uint8_t *)piece - offset % SLAB_CHUNK),
			offset % SLAB_CHUNK);
}

size_t slab_bytes(void)
{
	return (size_t)slab.taken * SLAB_CHUNK;
}
