#include "proxy/identity_login_cache.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

LIST_HEAD(bucket_list, login_entry);
TAILQ_HEAD(entry_list, login_entry);

struct login_cache {
	size_t capacity, size, bucket_mask;
	size_t counts[LOGIN_KIND_COUNT]; /* of logins that there are */
	uint64_t last_number;
	void (*dropped)(void *context, const struct login_entry *entry);
	void *context;
	struct entry_list by_age; /* the most recently used first */
	struct entry_list kept;   /* with a secret, the oldest first */
	struct bucket_list *buckets;
};

struct login_cache *login_cache_new(size_t capacity,
	void (*dropped)(void *context, const struct login_entry *entry), void *context)
{
	struct login_cache *cache = calloc(1, sizeof(*cache));
	size_t bucket_count = 1;

	if (cache == NULL)
		return NULL;
	while (bucket_count < capacity)
		bucket_count *= 2;
	cache->capacity = capacity;
	cache->bucket_mask = bucket_count - 1;
	cache->dropped = dropped;
	cache->context = context;
	TAILQ_INIT(&cache->by_age);
	TAILQ_INIT(&cache->kept);
	cache->buckets = calloc(bucket_count, sizeof(*cache->buckets));
	if (cache->buckets != NULL)
		return cache;
	free(cache);
	return NULL;
}

/* All entries of a mailbox are in one, found by its SHA-256: nobody outside can choose which ones share
 * a bucket. */
static struct bucket_list *bucket_of(const struct login_cache *cache, const char *mailbox)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	size_t number;

	SHA256((const unsigned char *)mailbox, strlen(mailbox), hash);
	memcpy(&number, hash, sizeof(number));
	return &cache->buckets[number & cache->bucket_mask];
}

/* What is known */

static void wipe_secret(struct login_cache *cache, struct login_entry *entry)
{
	if (!entry->has_secret)
		return;
	TAILQ_REMOVE(&cache->kept, entry, kept);
	OPENSSL_cleanse(entry->secret, entry->secret_len);
	free(entry->secret);
	entry->secret = NULL;
	entry->secret_len = 0;
	entry->has_secret = false;
}

void login_entry_forget(struct login_cache *cache, struct login_entry *entry)
{
	wipe_secret(cache, entry);
	free(entry->fault);
	entry->fault = NULL;
	if (entry->known == LOGIN_HAVE) {
		entry->known = LOGIN_NOTHING;
		cache->counts[entry->kind]--;
		cache->dropped(cache->context, entry);
	}
	entry->known = LOGIN_NOTHING;
}

void login_entry_have(struct login_cache *cache, struct login_entry *entry, int64_t valid_until)
{
	/* A new ticket takes the old one's place in the wallet: nothing is dropped. */
	if (entry->known != LOGIN_HAVE) {
		login_entry_forget(cache, entry);
		cache->counts[entry->kind]++;
	}
	entry->known = LOGIN_HAVE;
	entry->valid_until = valid_until;
}

void login_entry_deny(
	struct login_cache *cache, struct login_entry *entry, const struct login_fault *fault)
{
	login_entry_forget(cache, entry);
	/* Without memory for the reason it is asked for again. */
	entry->fault = malloc(sizeof(*entry->fault));
	if (entry->fault == NULL)
		return;
	*entry->fault = *fault;
	entry->known = LOGIN_DENIED;
}

void login_entry_keep(struct login_cache *cache, struct login_entry *entry, int64_t valid_until,
	struct span secret, int64_t until_ms)
{
	uint8_t *copy = malloc(secret.len > 0 ? secret.len : 1);

	if (copy == NULL) {
		login_entry_forget(cache, entry);
		return;
	}
	memcpy(copy, secret.data, secret.len);
	login_entry_have(cache, entry, valid_until);
	wipe_secret(cache, entry);
	entry->secret = copy;
	entry->secret_len = secret.len;
	entry->has_secret = true;
	entry->kept_until_ms = until_ms;
	TAILQ_INSERT_TAIL(&cache->kept, entry, kept);
}

int64_t login_cache_wipe(struct login_cache *cache, int64_t now_ms)
{
	struct login_entry *entry;

	while ((entry = TAILQ_FIRST(&cache->kept)) != NULL) {
		if (entry->kept_until_ms > now_ms)
			return entry->kept_until_ms;
		login_entry_forget(cache, entry);
	}
	return INT64_MAX;
}

/* Entries */

void login_cache_remove(struct login_cache *cache, struct login_entry *entry)
{
	login_entry_forget(cache, entry);
	LIST_REMOVE(entry, bucket);
	TAILQ_REMOVE(&cache->by_age, entry, age);
	cache->size--;
	free(entry);
}

void login_cache_free(struct login_cache *cache)
{
	struct login_entry *entry, *next;

	if (cache == NULL)
		return;
	for (entry = TAILQ_FIRST(&cache->by_age); entry != NULL; entry = next) {
		next = TAILQ_NEXT(entry, age);
		login_cache_remove(cache, entry);
	}
	free(cache->buckets);
	free(cache);
}

struct login_entry *login_cache_find(
	struct login_cache *cache, enum login_kind kind, const char *mailbox, const char *service)
{
	struct login_entry *entry;

	LIST_FOREACH(entry, bucket_of(cache, mailbox), bucket)
		if (entry->kind == kind && strcmp(entry->mailbox, mailbox) == 0 &&
			strcmp(entry->service, service) == 0)
			break;
	if (entry == NULL)
		return NULL;
	TAILQ_REMOVE(&cache->by_age, entry, age);
	TAILQ_INSERT_HEAD(&cache->by_age, entry, age);
	return entry;
}

static bool make_room(struct login_cache *cache)
{
	struct login_entry *entry;

	if (cache->size < cache->capacity)
		return true;
	TAILQ_FOREACH_REVERSE(entry, &cache->by_age, entry_list, age)
	if (entry->flight == NULL) {
		login_cache_remove(cache, entry);
		return true;
	}
	return false;
}

struct login_entry *login_cache_add(
	struct login_cache *cache, enum login_kind kind, const char *mailbox, const char *service)
{
	size_t mailbox_size = strlen(mailbox) + 1, service_size = strlen(service) + 1;
	struct login_entry *entry;

	if (!make_room(cache))
		return NULL;
	entry = calloc(1, sizeof(*entry) + mailbox_size + service_size);
	if (entry == NULL)
		return NULL;
	memcpy(entry->text, mailbox, mailbox_size);
	memcpy(entry->text + mailbox_size, service, service_size);
	entry->mailbox = entry->text;
	entry->service = entry->text + mailbox_size;
	entry->kind = kind;
	entry->number = ++cache->last_number;
	LIST_INSERT_HEAD(bucket_of(cache, mailbox), entry, bucket);
	TAILQ_INSERT_HEAD(&cache->by_age, entry, age);
	cache->size++;
	return entry;
}

void login_cache_visit(struct login_cache *cache, const char *mailbox,
	void (*visit)(void *context, struct login_entry *entry), void *context)
{
	struct login_entry *entry;

	if (mailbox == NULL) {
		TAILQ_FOREACH(entry, &cache->by_age, age)
			visit(context, entry);
		return;
	}
	LIST_FOREACH(entry, bucket_of(cache, mailbox), bucket)
		if (strcmp(entry->mailbox, mailbox) == 0)
			visit(context, entry);
}

size_t login_cache_count(const struct login_cache *cache, enum login_kind kind)
{
	return cache->counts[kind];
}

size_t login_cache_size(const struct login_cache *cache)
{
	return cache->size;
}
