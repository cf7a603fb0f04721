#include "proxy/folder_table.h"

#include <assert.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/random.h>

/*
 * A slot: 44 bits of the hash, 16 of the time (in units of 64 s), 4 of the class. 0 is a free one.
 * With the bucket's number, a hash counts with 61 bits.
 */
enum {
	BUCKET_SLOTS = 16, /* 128 bytes: two lines of the cache */
	BUCKET_BITS = 17,
	CLASS_BITS = 4,
	TIME_BITS = 16,
	TAG_SHIFT = CLASS_BITS + TIME_BITS,
	TIME_UNIT_S = 64,
	CLASS_WANTS_ALL = 14,
	CLASS_HAS_ALL = 15
};

static const uint64_t class_mask = (UINT64_C(1) << CLASS_BITS) - 1;
static const uint64_t time_mask = ((UINT64_C(1) << TIME_BITS) - 1);

/* No folder has such an id: it would be no text. */
static const uint8_t hierarchy_id[] = {0};

typedef _Atomic uint64_t folder_slot;

struct folder_table {
	uint64_t key[2];
	_Alignas(64) folder_slot slots[1 << BUCKET_BITS][BUCKET_SLOTS];
};

struct folder_table *folder_table_map(struct error *err)
{
	struct folder_table *table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (table == MAP_FAILED) {
		error_sys(err, "mapping the table of folders");
		return NULL;
	}
	if (getrandom(table->key, sizeof(table->key), 0) != (ssize_t)sizeof(table->key)) {
		error_sys(err, "making the key of the table of folders");
		munmap(table, sizeof(*table));
		return NULL;
	}
	return table;
}

void folder_table_unmap(struct folder_table *table)
{
	if (table != NULL)
		munmap(table, sizeof(*table));
}

/* SipHash-2-4 (Aumasson, Bernstein 2012), because ids are chosen by others: without the key nobody
 * can make two folders meet. */
struct sip {
	uint64_t v0, v1, v2, v3, word;
	uint64_t len;
};

static uint64_t rotate(uint64_t value, unsigned int bits)
{
	return value << bits | value >> (64 - bits);
}

static void sip_round(struct sip *sip)
{
	sip->v0 += sip->v1;
	sip->v1 = rotate(sip->v1, 13) ^ sip->v0;
	sip->v0 = rotate(sip->v0, 32);
	sip->v2 += sip->v3;
	sip->v3 = rotate(sip->v3, 16) ^ sip->v2;
	sip->v0 += sip->v3;
	sip->v3 = rotate(sip->v3, 21) ^ sip->v0;
	sip->v2 += sip->v1;
	sip->v1 = rotate(sip->v1, 17) ^ sip->v2;
	sip->v2 = rotate(sip->v2, 32);
}

static void sip_word(struct sip *sip, uint64_t word)
{
	sip->v3 ^= word;
	sip_round(sip);
	sip_round(sip);
	sip->v0 ^= word;
}

static void sip_add(struct sip *sip, struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		sip->word |= (uint64_t)bytes.data[i] << (8 * (sip->len % 8));
		if (++sip->len % 8 == 0) {
			sip_word(sip, sip->word);
			sip->word = 0;
		}
	}
}

static uint64_t sip_end(struct sip *sip)
{
	sip_word(sip, sip->word | sip->len << 56);
	sip->v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(sip);
	return sip->v0 ^ sip->v1 ^ sip->v2 ^ sip->v3;
}

static uint64_t hash_of(
	const struct folder_table *table, const struct folder_owner *owner, struct span id)
{
	struct sip sip = {.v0 = table->key[0] ^ 0x736f6d6570736575,
		.v1 = table->key[1] ^ 0x646f72616e646f6d,
		.v2 = table->key[0] ^ 0x6c7967656e657261,
		.v3 = table->key[1] ^ 0x7465646279746573};

	/* With their NULs, so that no two owners run into each other. */
	sip_add(&sip, span_of(owner->mailbox, strlen(owner->mailbox) + 1));
	sip_add(&sip, span_of(owner->device_id, strlen(owner->device_id) + 1));
	sip_add(&sip, id);
	return sip_end(&sip);
}

static folder_slot *bucket_of(struct folder_table *table, uint64_t hash)
{
	return table->slots[hash & ((1 << BUCKET_BITS) - 1)];
}

static uint64_t time_of(uint64_t now_s)
{
	return now_s / TIME_UNIT_S & time_mask;
}

static uint64_t slot_of(uint64_t hash, unsigned int class, uint64_t time)
{
	return hash >> TAG_SHIFT << TAG_SHIFT | time << CLASS_BITS | class;
}

static uint64_t slot_time(uint64_t slot)
{
	return slot >> CLASS_BITS & time_mask;
}

static unsigned int slot_class(uint64_t slot)
{
	return (unsigned int)(slot & class_mask);
}

static bool slot_is_of(uint64_t slot, uint64_t hash)
{
	return slot != 0 && slot >> TAG_SHIFT == hash >> TAG_SHIFT;
}

static void table_put(struct folder_table *table, const struct folder_owner *owner, struct span id,
	unsigned int class, uint64_t now_s)
{
	uint64_t hash = hash_of(table, owner, id);
	uint64_t time = time_of(now_s);
	folder_slot *bucket = bucket_of(table, hash);
	folder_slot *chosen = NULL;
	uint64_t chosen_age = 0;

	for (unsigned int i = 0; i < BUCKET_SLOTS; i++) {
		uint64_t slot = atomic_load_explicit(&bucket[i], memory_order_relaxed);
		/* A free one is older than all. */
		uint64_t age = slot == 0 ? time_mask + 1 : (time - slot_time(slot)) & time_mask;

		if (slot_is_of(slot, hash)) {
			chosen = &bucket[i];
			break;
		}
		if (chosen == NULL || age > chosen_age) {
			chosen = &bucket[i];
			chosen_age = age;
		}
	}
	atomic_store_explicit(chosen, slot_of(hash, class, time), memory_order_relaxed);
}

/* The slot, or 0. Who asks for it keeps it in. */
static uint64_t table_find(struct folder_table *table, const struct folder_owner *owner,
	struct span id, uint64_t now_s, bool is_kept_in)
{
	uint64_t hash = hash_of(table, owner, id);
	folder_slot *bucket = bucket_of(table, hash);

	for (unsigned int i = 0; i < BUCKET_SLOTS; i++) {
		uint64_t slot = atomic_load_explicit(&bucket[i], memory_order_relaxed);

		if (!slot_is_of(slot, hash))
			continue;
		if (is_kept_in && slot_time(slot) != time_of(now_s))
			/* Not where another worker has changed it meanwhile. */
			atomic_compare_exchange_strong_explicit(&bucket[i], &(uint64_t){slot},
				slot_of(hash, slot_class(slot), time_of(now_s)),
				memory_order_relaxed, memory_order_relaxed);
		return slot;
	}
	return 0;
}

void folder_table_put(struct folder_table *table, const struct folder_owner *owner, struct span id,
	unsigned int class, uint64_t now_s)
{
	assert(class > 0 && class <= FOLDER_CLASS_MAX);
	table_put(table, owner, id, class, now_s);
}

unsigned int folder_table_class(struct folder_table *table, const struct folder_owner *owner,
	struct span id, uint64_t now_s)
{
	return slot_class(table_find(table, owner, id, now_s, true));
}

void folder_table_forget(
	struct folder_table *table, const struct folder_owner *owner, struct span id)
{
	uint64_t hash = hash_of(table, owner, id);
	folder_slot *bucket = bucket_of(table, hash);

	for (unsigned int i = 0; i < BUCKET_SLOTS; i++) {
		uint64_t slot = atomic_load_explicit(&bucket[i], memory_order_relaxed);

		if (slot_is_of(slot, hash))
			atomic_compare_exchange_strong_explicit(
				&bucket[i], &slot, 0, memory_order_relaxed, memory_order_relaxed);
	}
}

static struct span hierarchy(void)
{
	return span_of(hierarchy_id, sizeof(hierarchy_id));
}

enum folder_miss folder_table_miss(
	struct folder_table *table, const struct folder_owner *owner, uint64_t now_s)
{
	uint64_t slot = table_find(table, owner, hierarchy(), now_s, false);
	uint64_t age_s = ((time_of(now_s) - slot_time(slot)) & time_mask) * TIME_UNIT_S;

	if (slot_class(slot) == CLASS_HAS_ALL && age_s < FOLDER_HIERARCHY_FRESH_S)
		return FOLDER_MISS_LOST;
	table_put(table, owner, hierarchy(), CLASS_WANTS_ALL, now_s);
	return FOLDER_MISS_ASK;
}

bool folder_table_wants_all(
	struct folder_table *table, const struct folder_owner *owner, uint64_t now_s)
{
	uint64_t slot = table_find(table, owner, hierarchy(), now_s, true);

	return slot_class(slot) == CLASS_WANTS_ALL;
}

void folder_table_has_all(
	struct folder_table *table, const struct folder_owner *owner, uint64_t now_s)
{
	table_put(table, owner, hierarchy(), CLASS_HAS_ALL, now_s);
}
