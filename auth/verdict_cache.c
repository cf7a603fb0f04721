#include "auth/verdict_cache.h"

#include <stdlib.h>
#include <string.h>

/*
 * Slots are numbered from 1, so that 0 means none and memory of zeros is an empty cache: large
 * arrays come from the kernel as zeros, and take up no memory before they are used.
 */
struct slot {
	struct accepted *accepted; /* a share */
	struct owner *owner;       /* likewise; NULL: none is known */
	uint32_t next;             /* in the same bucket */
	uint32_t newer, older;
};

struct verdict_cache {
	size_t capacity;
	uint64_t evictions;
	size_t used; /* slots; they are only given back all at once */
	size_t bucket_mask;
	uint32_t newest, oldest;
	uint32_t *buckets;
	struct slot *slots;
};

static struct slot *slot_at(struct verdict_cache *cache, uint32_t number)
{
	return &cache->slots[number - 1];
}

static uint32_t *bucket_of(struct verdict_cache *cache, const uint8_t sha256[32])
{
	uint64_t hash;

	/* Any part of a SHA-256 is a good hash. */
	memcpy(&hash, sha256, sizeof(hash));
	return &cache->buckets[hash & cache->bucket_mask];
}

static void slot_empty(struct slot *slot)
{
	accepted_free(slot->accepted);
	owner_free(slot->owner);
	slot->accepted = NULL;
	slot->owner = NULL;
}

struct verdict_cache *verdict_cache_new(size_t capacity)
{
	struct verdict_cache *cache = calloc(1, sizeof(*cache));
	size_t bucket_count = 1;

	if (cache == NULL || capacity == 0)
		return cache;
	if (capacity > INT32_MAX)
		capacity = INT32_MAX;
	while (bucket_count < capacity)
		bucket_count *= 2;
	cache->capacity = capacity;
	cache->bucket_mask = bucket_count - 1;
	cache->buckets = calloc(bucket_count, sizeof(*cache->buckets));
	cache->slots = calloc(capacity, sizeof(*cache->slots));
	if (cache->buckets != NULL && cache->slots != NULL)
		return cache;
	verdict_cache_free(cache);
	return NULL;
}

void verdict_cache_free(struct verdict_cache *cache)
{
	if (cache == NULL)
		return;
	for (size_t i = 0; i < cache->used; i++)
		slot_empty(&cache->slots[i]);
	free(cache->slots);
	free(cache->buckets);
	free(cache);
}

static const uint8_t *sha256_of(const struct slot *slot)
{
	return slot->accepted->leaf_sha256;
}

static void unlink_by_age(struct verdict_cache *cache, struct slot *slot)
{
	if (slot->newer != 0)
		slot_at(cache, slot->newer)->older = slot->older;
	else
		cache->newest = slot->older;
	if (slot->older != 0)
		slot_at(cache, slot->older)->newer = slot->newer;
	else
		cache->oldest = slot->newer;
}

static void link_as_newest(struct verdict_cache *cache, uint32_t number)
{
	struct slot *slot = slot_at(cache, number);

	slot->newer = 0;
	slot->older = cache->newest;
	if (cache->newest != 0)
		slot_at(cache, cache->newest)->newer = number;
	else
		cache->oldest = number;
	cache->newest = number;
}

static void unlink_from_bucket(struct verdict_cache *cache, uint32_t number)
{
	struct slot *slot = slot_at(cache, number);
	uint32_t *link = bucket_of(cache, sha256_of(slot));

	while (*link != number)
		link = &slot_at(cache, *link)->next;
	*link = slot->next;
}

static uint32_t find_number(struct verdict_cache *cache, const uint8_t sha256[32])
{
	uint32_t number;

	if (cache->capacity == 0)
		return 0;
	number = *bucket_of(cache, sha256);
	while (number != 0 && memcmp(sha256_of(slot_at(cache, number)), sha256, 32) != 0)
		number = slot_at(cache, number)->next;
	return number;
}

/* Marked as used; NULL: it is not there. */
static struct slot *find_slot(struct verdict_cache *cache, const uint8_t sha256[32])
{
	uint32_t number = find_number(cache, sha256);

	if (number == 0)
		return NULL;
	unlink_by_age(cache, slot_at(cache, number));
	link_as_newest(cache, number);
	return slot_at(cache, number);
}

struct accepted *verdict_cache_find(struct verdict_cache *cache, const uint8_t sha256[32])
{
	const struct slot *slot = find_slot(cache, sha256);

	return slot != NULL ? slot->accepted : NULL;
}

/* A slot that is in no list: a fresh one, or that of the least recently used verdict. */
static uint32_t take_slot(struct verdict_cache *cache)
{
	uint32_t number = cache->oldest;

	if (cache->used < cache->capacity)
		return (uint32_t)++cache->used;
	unlink_by_age(cache, slot_at(cache, number));
	unlink_from_bucket(cache, number);
	slot_empty(slot_at(cache, number));
	cache->evictions++;
	return number;
}

static struct slot *add_slot(struct verdict_cache *cache, const uint8_t sha256[32])
{
	uint32_t number = take_slot(cache);
	uint32_t *bucket = bucket_of(cache, sha256);

	slot_at(cache, number)->next = *bucket;
	*bucket = number;
	link_as_newest(cache, number);
	return slot_at(cache, number);
}

void verdict_cache_insert(struct verdict_cache *cache, struct accepted *accepted)
{
	struct slot *slot;

	if (cache->capacity == 0)
		return;
	accepted_share(accepted); /* first: it may be the one that goes */
	slot = find_slot(cache, accepted->leaf_sha256);
	if (slot == NULL)
		slot = add_slot(cache, accepted->leaf_sha256);
	else
		slot_empty(slot);
	slot->accepted = accepted;
}

struct owner *verdict_cache_owner(struct verdict_cache *cache, const uint8_t sha256[32])
{
	const struct slot *slot = find_slot(cache, sha256);

	return slot != NULL ? slot->owner : NULL;
}

struct owner *verdict_cache_told(
	struct verdict_cache *cache, const uint8_t sha256[32], const struct owner_words *words)
{
	struct slot *slot = find_slot(cache, sha256);
	struct owner *owner;

	if (slot != NULL && slot->owner != NULL && owner_renew(slot->owner, words))
		return owner_share(slot->owner);
	owner = owner_new(words);
	if (slot == NULL)
		return owner;
	owner_free(slot->owner);
	slot->owner = owner != NULL && words->mailbox[0] != '\0' ? owner_share(owner) : NULL;
	return owner;
}

uint64_t verdict_cache_evictions(const struct verdict_cache *cache)
{
	return cache->evictions;
}
