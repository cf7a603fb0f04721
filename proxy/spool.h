/*
 * Bytes that wait between a phone and an endpoint: in memory up to a bound, then in an unlinked
 * temporary file. First in, first out. For workers.
 */
#ifndef PROXY_SPOOL_H
#define PROXY_SPOOL_H

#include <stdint.h>

#include "config/span.h"

struct spool {
	uint8_t *memory; /* what it holds stands between begin and end; NULL: nothing */
	size_t memory_begin, memory_end, memory_size;
	uint64_t memory_max; /* beyond it, what follows goes to the file */
	int directory;       /* for the file; -1: memory_max is a hard limit */
	int fd;              /* of the file; -1 without one */
	uint64_t file_len, file_read;
};

/* Nothing is allocated yet. */
void spool_init(struct spool *spool, uint64_t memory_max, int directory);
void spool_free(struct spool *spool);

/* 0, or -1: out of memory, disk full, or over a hard limit. */
int spool_put(struct spool *spool, struct span bytes);

/* Bytes in it. */
uint64_t spool_len(const struct spool *spool);

/* Keeps the first len of the bytes in it and forgets the rest. */
void spool_cut(struct spool *spool, uint64_t len);

/* Takes up to len bytes out, into data. Returns how many; -1 where the file cannot be read. */
int64_t spool_take(struct spool *spool, void *data, size_t len);

#endif
