/*
 * Verdicts by the SHA-256 of the leaf, bounded, the least recently used one replaced. One per
 * worker, and with it per trust store: a worker keeps the store that it was started with (a reload
 * starts new workers), so that the SHA-256 alone is key enough. Only paths that hold are kept.
 */
#ifndef AUTH_VERDICT_CACHE_H
#define AUTH_VERDICT_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "auth/mailbox.h"
#include "auth/verify.h"

struct verdict_entry {
	struct verdict verdict;
	char mailbox[MAILBOX_MAX + 1];       /* "" until the identity process has answered */
	char users[DIRECTORY_USERS_MAX + 1]; /* other names for its owner (directory.h) */
	int64_t mailbox_valid_until;         /* UNIX seconds */
	uint32_t mailbox_changes;            /* identity_client_changes() when it was found */
};

struct verdict_cache; /* opaque */

/* NULL when memory runs out. capacity 0: never finds anything. */
struct verdict_cache *verdict_cache_new(size_t capacity);
void verdict_cache_free(struct verdict_cache *cache);

/* The entry, or NULL. It stays valid until the next insert or clear. */
struct verdict_entry *verdict_cache_find(struct verdict_cache *cache, const uint8_t sha256[32]);

/* Inserts a copy of verdict, with no mailbox, and returns it, replacing what was known of the same
 * leaf; NULL when the verdict is a refusal or the capacity 0. Allocates nothing. */
struct verdict_entry *verdict_cache_insert(
	struct verdict_cache *cache, const struct verdict *verdict);

void verdict_cache_clear(struct verdict_cache *cache);

/* How many verdicts had to go, since the cache was made, for others that came. */
uint64_t verdict_cache_evictions(const struct verdict_cache *cache);

#endif
