#include "auth/directory_cache.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* Found again by the SHA-256 of the question: nobody outside can choose which ones share a bucket. */
struct slot {
	TAILQ_ENTRY(slot) age; /* the most recently used first */
	LIST_ENTRY(slot) bucket;
	uint8_t key[SHA256_DIGEST_LENGTH];
	struct directory_known known;
};

LIST_HEAD(bucket_list, slot);
TAILQ_HEAD(age_list, slot);

struct directory_cache {
	size_t capacity, used, bucket_mask;
	struct bucket_list *buckets;
	struct age_list by_age;
	struct slot *slots;
};

struct directory_cache *directory_cache_new(size_t capacity)
{
	struct directory_cache *cache = calloc(1, sizeof(*cache));
	size_t bucket_count = 1;

	if (cache == NULL)
		return NULL;
	TAILQ_INIT(&cache->by_age);
	if (capacity == 0)
		return cache;
	while (bucket_count < capacity)
		bucket_count *= 2;
	cache->capacity = capacity;
	cache->bucket_mask = bucket_count - 1;
	cache->buckets = calloc(bucket_count, sizeof(*cache->buckets));
	cache->slots = calloc(capacity, sizeof(*cache->slots));
	if (cache->buckets != NULL && cache->slots != NULL)
		return cache;
	directory_cache_free(cache);
	return NULL;
}

void directory_cache_free(struct directory_cache *cache)
{
	if (cache == NULL)
		return;
	free(cache->slots);
	free(cache->buckets);
	free(cache);
}

static void key_of(const struct directory_question *question, uint8_t key[SHA256_DIGEST_LENGTH])
{
	unsigned char text[1 + DIRECTORY_VALUE_MAX + 1];
	size_t len = strlen(question->value);

	text[0] = (unsigned char)question->kind;
	memcpy(text + 1, question->value, len);
	SHA256(text, len + 1, key);
}

static struct bucket_list *bucket_of(
	const struct directory_cache *cache, const uint8_t key[SHA256_DIGEST_LENGTH])
{
	size_t number;

	memcpy(&number, key, sizeof(number));
	return &cache->buckets[number & cache->bucket_mask];
}

static struct slot *find_slot(
	struct directory_cache *cache, const uint8_t key[SHA256_DIGEST_LENGTH])
{
	struct slot *slot;

	LIST_FOREACH(slot, bucket_of(cache, key), bucket)
		if (memcmp(slot->key, key, sizeof(slot->key)) == 0)
			break;
	if (slot == NULL)
		return NULL;
	TAILQ_REMOVE(&cache->by_age, slot, age);
	TAILQ_INSERT_HEAD(&cache->by_age, slot, age);
	return slot;
}

const struct directory_known *directory_cache_find(
	struct directory_cache *cache, const struct directory_question *question)
{
	uint8_t key[SHA256_DIGEST_LENGTH];
	const struct slot *slot;

	if (cache->capacity == 0)
		return NULL;
	key_of(question, key);
	slot = find_slot(cache, key);
	return slot != NULL ? &slot->known : NULL;
}

/* One that is in no list: a fresh one, or the least recently used. */
static struct slot *take_slot(struct directory_cache *cache)
{
	struct slot *slot;

	if (cache->used < cache->capacity)
		return &cache->slots[cache->used++];
	slot = TAILQ_LAST(&cache->by_age, age_list);
	TAILQ_REMOVE(&cache->by_age, slot, age);
	LIST_REMOVE(slot, bucket);
	return slot;
}

void directory_cache_put(struct directory_cache *cache, const struct directory_question *question,
	const struct directory_answer *answer, int64_t now_ms)
{
	uint8_t key[SHA256_DIGEST_LENGTH];
	struct slot *slot;

	if (cache->capacity == 0)
		return;
	key_of(question, key);
	slot = find_slot(cache, key);
	if (slot == NULL) {
		slot = take_slot(cache);
		memcpy(slot->key, key, sizeof(slot->key));
		LIST_INSERT_HEAD(bucket_of(cache, key), slot, bucket);
		TAILQ_INSERT_HEAD(&cache->by_age, slot, age);
	}
	slot->known = (struct directory_known){.answer = *answer, .asked_at_ms = now_ms};
}

size_t directory_cache_count(const struct directory_cache *cache)
{
	return cache->used;
}
