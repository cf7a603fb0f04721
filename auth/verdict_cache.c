#include "auth/verdict_cache.h"

#include <stdlib.h>
#include <string.h>

#include "auth/verdict_packed.h"

/* Behind it its two texts, each with its NUL. */
struct kept_mailbox {
	uint64_t groups;
	int64_t valid_until;
	uint32_t changes;
	char texts[];
};

/*
 * Slots are numbered from 1, so that 0 means none and memory of zeros is an empty cache: large
 * arrays come from the kernel as zeros, and take up no memory before they are used.
 */
struct slot {
	struct verdict_packed *verdict; /* owned */
	struct kept_mailbox *mailbox;   /* owned; NULL: none is known */
	uint32_t next;                  /* in the same bucket */
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
	free(slot->verdict);
	free(slot->mailbox);
	slot->verdict = NULL;
	slot->mailbox = NULL;
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
	return verdict_packed_sha256(slot->verdict);
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

bool verdict_cache_find(
	struct verdict_cache *cache, const uint8_t sha256[32], struct verdict *verdict)
{
	const struct slot *slot = find_slot(cache, sha256);

	if (slot == NULL)
		return false;
	verdict_unpack(slot->verdict, verdict);
	return true;
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

bool verdict_cache_insert(struct verdict_cache *cache, const struct verdict *verdict)
{
	struct verdict_packed *packed;
	struct slot *slot;

	if (cache->capacity == 0 || verdict->refusal != REFUSAL_NONE)
		return false;
	packed = verdict_pack(verdict);
	if (packed == NULL)
		return false;
	slot = find_slot(cache, verdict->leaf_sha256);
	if (slot == NULL)
		slot = add_slot(cache, verdict->leaf_sha256);
	else
		slot_empty(slot);
	slot->verdict = packed;
	return true;
}

bool verdict_cache_mailbox(
	struct verdict_cache *cache, const uint8_t sha256[32], struct verdict_mailbox *mailbox)
{
	const struct slot *slot = find_slot(cache, sha256);
	const struct kept_mailbox *kept = slot != NULL ? slot->mailbox : NULL;

	if (kept == NULL)
		return false;
	*mailbox = (struct verdict_mailbox){.mailbox = kept->texts,
		.users = kept->texts + strlen(kept->texts) + 1,
		.groups = kept->groups,
		.valid_until = kept->valid_until,
		.changes = kept->changes};
	return true;
}

/* NULL when memory runs out: it will be asked for again. */
static struct kept_mailbox *keep(const struct verdict_mailbox *mailbox)
{
	size_t mailbox_size = strlen(mailbox->mailbox) + 1;
	size_t users_size = strlen(mailbox->users) + 1;
	struct kept_mailbox *kept = malloc(sizeof(*kept) + mailbox_size + users_size);

	if (kept == NULL)
		return NULL;
	kept->groups = mailbox->groups;
	kept->valid_until = mailbox->valid_until;
	kept->changes = mailbox->changes;
	memcpy(kept->texts, mailbox->mailbox, mailbox_size);
	memcpy(kept->texts + mailbox_size, mailbox->users, users_size);
	return kept;
}

void verdict_cache_set_mailbox(struct verdict_cache *cache, const uint8_t sha256[32],
	const struct verdict_mailbox *mailbox)
{
	struct slot *slot = find_slot(cache, sha256);

	if (slot == NULL)
		return;
	free(slot->mailbox);
	slot->mailbox = mailbox->mailbox[0] != '\0' ? keep(mailbox) : NULL;
}

uint64_t verdict_cache_evictions(const struct verdict_cache *cache)
{
	return cache->evictions;
}
