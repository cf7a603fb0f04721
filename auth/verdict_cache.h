/*
 * Verdicts by the SHA-256 of the leaf, bounded, the least recently used one replaced. One per
 * worker, and with it per trust store: a worker keeps the store that it was started with (a reload
 * starts new workers), so that the SHA-256 alone is key enough. Only paths that hold are kept.
 */
#ifndef AUTH_VERDICT_CACHE_H
#define AUTH_VERDICT_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/mailbox.h"
#include "auth/verify.h"

/* What the directory said of a certificate's owner. */
struct verdict_mailbox {
	const char *mailbox, *users; /* users: other names for its owner (directory.h) */
	uint64_t groups;             /* likewise */
	int64_t valid_until;         /* UNIX seconds */
	uint32_t changes;            /* identity_client_changes() when it was found */
};

struct verdict_cache; /* opaque */

/* capacity 0: nothing is kept. NULL when memory runs out. */
struct verdict_cache *verdict_cache_new(size_t capacity);
void verdict_cache_free(struct verdict_cache *cache);

/* Fills verdict, and marks it as used; false: there is none. */
bool verdict_cache_find(
	struct verdict_cache *cache, const uint8_t sha256[32], struct verdict *verdict);

/* Copies a verdict that is no refusal in, replacing the same leaf's, and its mailbox. False: it is a
 * refusal, nothing is kept, or memory ran out. */
bool verdict_cache_insert(struct verdict_cache *cache, const struct verdict *verdict);

/* The mailbox of a verdict that is in the cache, which is marked as used. False: none is known. Its
 * texts are borrowed until the cache is changed. */
bool verdict_cache_mailbox(
	struct verdict_cache *cache, const uint8_t sha256[32], struct verdict_mailbox *mailbox);

/* Keeps a copy with its verdict, if that is in the cache; mailbox "": none is known any more. */
void verdict_cache_set_mailbox(struct verdict_cache *cache, const uint8_t sha256[32],
	const struct verdict_mailbox *mailbox);

/* How many verdicts had to go, since the cache was made, for others that came. */
uint64_t verdict_cache_evictions(const struct verdict_cache *cache);

#endif
