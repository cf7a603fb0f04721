/*
 * Answers of the directory by what was asked, bounded, the least recently used one replaced. How long
 * an answer is good is the caller's matter: old ones stay until they are replaced, for the time when
 * the directory is down. In the identity process.
 */
#ifndef AUTH_DIRECTORY_CACHE_H
#define AUTH_DIRECTORY_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "auth/directory.h"

struct directory_known {
	struct directory_answer answer;
	int64_t asked_at_ms; /* the caller's clock */
};

struct directory_cache; /* opaque */

/* NULL when memory runs out. capacity 0: never finds anything. */
struct directory_cache *directory_cache_new(size_t capacity);
void directory_cache_free(struct directory_cache *cache); /* NULL is allowed */

/* NULL: not known. Valid until the next call. */
const struct directory_known *directory_cache_find(
	struct directory_cache *cache, const struct directory_question *question);

/* Keeps a copy, in place of what was known. */
void directory_cache_put(struct directory_cache *cache, const struct directory_question *question,
	const struct directory_answer *answer, int64_t now_ms);

size_t directory_cache_count(const struct directory_cache *cache);

#endif
