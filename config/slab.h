/*
 * Memory for small things that stay for long beside work that needs much for a moment: a phone that
 * sleeps keeps a few pieces of some hundred bytes for an hour, and the handshake that made them
 * needed 60 kB for a millisecond. From one heap the pieces would lie where the handshakes have been,
 * one in each page, and what was free between them would be of no use to anybody. Here pieces of a
 * size lie side by side in chunks of their own, without a header each, and a chunk of which nothing
 * is left goes back to the system.
 *
 * For one thread. Where it is told that a piece is freed which is not there (twice, or not at its
 * beginning), it ends the process. Builds with AddressSanitizer have each piece from calloc(), so
 * that it sees every byte.
 */
#ifndef CONFIG_SLAB_H
#define CONFIG_SLAB_H

#include <stddef.h>

enum {
	SLAB_MAX = 512,    /* what is larger comes from calloc() */
	SLAB_CHUNK = 16384 /* bytes */
};

/* Zeroed, and aligned to 8 bytes; NULL when memory runs out. Freed by slab_free(), by nothing else. */
void *slab_new(size_t size);

/* NULL is allowed. */
void slab_free(void *piece);

/* Bytes of the chunks that hold something, or are kept for what comes next. */
size_t slab_bytes(void);

#endif
