/*
 * Certificates that were accepted, by the SHA-256 of the leaf, each with what the directory said of
 * its owner; bounded, the least recently used one replaced. One per worker, and with it per trust
 * store: a worker keeps the store that it was started with (a reload starts new workers), so that
 * the SHA-256 alone is key enough.
 *
 * What it gives out is its own (accepted.h, owner.h): who keeps it takes a share, and so a session
 * and the cache together need the memory of one.
 */
#ifndef AUTH_VERDICT_CACHE_H
#define AUTH_VERDICT_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/accepted.h"
#include "auth/owner.h"

struct verdict_cache; /* opaque */

/* capacity 0: nothing is kept. NULL when memory runs out. */
struct verdict_cache *verdict_cache_new(size_t capacity);
void verdict_cache_free(struct verdict_cache *cache);

/* Marks it as used; borrowed. NULL: there is none. */
struct accepted *verdict_cache_find(struct verdict_cache *cache, const uint8_t sha256[32]);

/* Takes a share of it, in the place of the same leaf's and its owner. */
void verdict_cache_insert(struct verdict_cache *cache, struct accepted *accepted);

/* The owner of one that is in the cache, which is marked as used; borrowed until the cache is changed.
 * NULL: none is known. */
struct owner *verdict_cache_owner(struct verdict_cache *cache, const uint8_t sha256[32]);

/* The directory has answered: what stands in the cache from now on, if the leaf does, renewed where
 * the words are the same. With mailbox "" none is known any more. The caller gets a share in any case;
 * NULL when memory runs out. */
struct owner *verdict_cache_told(
	struct verdict_cache *cache, const uint8_t sha256[32], const struct owner_words *words);

/* How many had to go, since the cache was made, for others that came. */
uint64_t verdict_cache_evictions(const struct verdict_cache *cache);

#endif
