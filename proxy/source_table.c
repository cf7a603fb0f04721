#include "proxy/source_table.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

enum { BUCKETS = 8192 };

struct source {
	LIST_ENTRY(source) entry;
	uint64_t key[2];
	uint32_t count;
};

LIST_HEAD(bucket, source);

struct source_table {
	uint64_t seed[2]; /* so that nobody can choose addresses that share a bucket */
	struct bucket buckets[BUCKETS];
};

struct source_table *source_table_new(void)
{
	struct source_table *table = calloc(1, sizeof(*table));

	if (table == NULL)
		return NULL;
	if (getrandom(table->seed, sizeof(table->seed), 0) != (ssize_t)sizeof(table->seed)) {
		free(table);
		return NULL;
	}
	return table;
}

void source_table_free(struct source_table *table)
{
	if (table == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (!LIST_EMPTY(&table->buckets[i])) {
			struct source *source = LIST_FIRST(&table->buckets[i]);

			LIST_REMOVE(source, entry);
			free(source);
		}
	}
	free(table);
}

static void source_key(const struct sockaddr_storage *address, uint64_t key[2])
{
	key[0] = 0;
	key[1] = 0;
	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;

		key[0] = in->sin_addr.s_addr;
		key[1] = 1;
	} else if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

		memcpy(key, &in6->sin6_addr, 8);
	}
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	return x ^ x >> 32;
}

static struct bucket *bucket_of(struct source_table *table, const uint64_t key[2])
{
	uint64_t hash = mix(mix(key[0] ^ table->seed[0]) + (key[1] ^ table->seed[1]));

	return &table->buckets[hash % BUCKETS];
}

struct source *source_take(
	struct source_table *table, const struct sockaddr_storage *address, uint32_t limit)
{
	struct bucket *bucket;
	struct source *source;
	uint64_t key[2];

	source_key(address, key);
	bucket = bucket_of(table, key);
	LIST_FOREACH(source, bucket, entry) {
		if (source->key[0] != key[0] || source->key[1] != key[1])
			continue;
		if (source->count >= limit)
			return NULL;
		source->count++;
		return source;
	}
	source = calloc(1, sizeof(*source));
	if (source == NULL || limit == 0) {
		free(source);
		return NULL;
	}
	memcpy(source->key, key, sizeof(key));
	source->count = 1;
	LIST_INSERT_HEAD(bucket, source, entry);
	return source;
}

void source_give(struct source *source)
{
	if (--source->count > 0)
		return;
	LIST_REMOVE(source, entry);
	free(source);
}
