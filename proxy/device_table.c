#include "proxy/device_table.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "config/hash.h"
#include "config/slab.h"
#include "proxy/device_facts.h"
#include "proxy/eas.h"

TAILQ_HEAD(device_uses, device_entry);

struct device_table {
	size_t max, count;
	uint64_t seed;           /* so that nobody can choose ids that share a bucket */
	struct device_uses uses; /* those that nobody has pinned */
	size_t mask;
	struct device_entry **buckets;
};

static void entry_free(struct device_entry *entry)
{
	history_free(entry->history);
	slab_free(entry->rare);
	slab_free(entry->governor);
	slab_free(entry->texts);
	slab_free(entry);
}

struct device_table *device_table_new(size_t max)
{
	struct device_table *table = calloc(1, sizeof(*table));
	size_t buckets = 16;

	while (buckets < max)
		buckets *= 2;
	if (table == NULL)
		return NULL;
	table->max = max;
	table->mask = buckets - 1;
	table->buckets = calloc(buckets, sizeof(*table->buckets));
	TAILQ_INIT(&table->uses);
	if (table->buckets == NULL ||
		getrandom(&table->seed, sizeof(table->seed), 0) != (ssize_t)sizeof(table->seed)) {
		device_table_free(table);
		return NULL;
	}
	return table;
}

/* One that nobody has pinned: it stands among those that may go. */
static void entry_drop(struct device_table *table, struct device_entry *entry)
{
	struct device_entry **link = &table->buckets[entry->hash & table->mask];

	while (*link != entry)
		link = &(*link)->next;
	*link = entry->next;
	TAILQ_REMOVE(&table->uses, entry, use_link);
	table->count--;
	entry_free(entry);
}

void device_table_free(struct device_table *table)
{
	struct device_entry *entry, *next;

	if (table == NULL)
		return;
	for (entry = TAILQ_FIRST(&table->uses); entry != NULL; entry = next) {
		next = TAILQ_NEXT(entry, use_link);
		entry_free(entry);
	}
	free(table->buckets);
	free(table);
}

static uint32_t hash_of(const struct device_table *table, const char *mailbox, const char *id)
{
	return (uint32_t)hash_text(hash_text(table->seed, mailbox), id);
}

static struct device_entry *entry_find(
	const struct device_table *table, uint32_t hash, const char *mailbox, const char *id)
{
	struct device_entry *entry;

	for (entry = table->buckets[hash & table->mask]; entry != NULL; entry = entry->next)
		if (entry->hash == hash && strcmp(device_entry_mailbox(entry), mailbox) == 0 &&
			strcmp(device_entry_id(entry), id) == 0)
			return entry;
	return NULL;
}

static struct device_entry *entry_new(
	struct device_table *table, uint32_t hash, const char *mailbox, const char *id)
{
	size_t mailbox_len = strlen(mailbox), id_len = strlen(id);
	struct device_entry *entry =
		slab_new(offsetof(struct device_entry, names) + mailbox_len + id_len + 2);

	if (entry == NULL)
		return NULL;
	if (table->count >= table->max && !TAILQ_EMPTY(&table->uses))
		entry_drop(table, TAILQ_LAST(&table->uses, device_uses));
	entry->hash = hash;
	entry->mailbox_len = (uint16_t)mailbox_len;
	memcpy(entry->names, mailbox, mailbox_len + 1);
	memcpy(entry->names + mailbox_len + 1, id, id_len + 1);
	entry->next = table->buckets[hash & table->mask];
	table->buckets[hash & table->mask] = entry;
	TAILQ_INSERT_HEAD(&table->uses, entry, use_link);
	table->count++;
	return entry;
}

struct device_entry *device_table_pin(
	struct device_table *table, const char *mailbox, const char *device_id)
{
	char id[EAS_DEVICE_ID_MAX + 1];
	struct device_entry *entry;
	uint32_t hash;

	device_id_fold(device_id, id);
	hash = hash_of(table, mailbox, id);
	entry = entry_find(table, hash, mailbox, id);
	if (entry == NULL)
		entry = entry_new(table, hash, mailbox, id);
	if (entry == NULL)
		return NULL;
	if (entry->pins++ == 0) {
		TAILQ_REMOVE(&table->uses, entry, use_link);
		entry->polls[DEVICE_PING] = entry->polls[DEVICE_SYNC] = NULL;
	}
	return entry;
}

void device_table_unpin(struct device_table *table, struct device_entry *entry)
{
	if (--entry->pins > 0)
		return;
	TAILQ_INSERT_HEAD(&table->uses, entry, use_link);
	if (table->count > table->max)
		entry_drop(table, TAILQ_LAST(&table->uses, device_uses));
}

struct device_entry *device_table_find(
	struct device_table *table, const char *mailbox, const char *device_id)
{
	char id[EAS_DEVICE_ID_MAX + 1];

	device_id_fold(device_id, id);
	return entry_find(table, hash_of(table, mailbox, id), mailbox, id);
}

void device_table_each(struct device_table *table, device_table_visit *visit, void *context)
{
	struct device_entry *entry;

	for (size_t i = 0; i <= table->mask; i++)
		for (entry = table->buckets[i]; entry != NULL; entry = entry->next)
			visit(context, entry);
}

struct session **device_entry_poll(struct device_entry *entry, enum device_poll kind)
{
	return entry->pins > 0 ? &entry->polls[kind] : NULL;
}

void device_entry_governor(const struct device_entry *entry, struct governor_state *state)
{
	if (entry->governor != NULL)
		*state = *entry->governor;
	else
		*state =
			(struct governor_state){.asked = entry->asked, .leaked_s = entry->leaked_s};
}

/* Whether there is more in it than the rate. */
static bool has_syncs(const struct governor_state *state)
{
	uint32_t any = state->retry_s | state->looping_key | state->steps | state->loop;

	for (int i = 0; i < GOVERNOR_KEYS; i++)
		any |= state->keys[i] | state->repeated[i];
	return any != 0;
}

void device_entry_set_governor(struct device_entry *entry, const struct governor_state *state)
{
	entry->asked = state->asked;
	entry->leaked_s = state->leaked_s;
	if (!has_syncs(state)) {
		slab_free(entry->governor);
		entry->governor = NULL;
		return;
	}
	if (entry->governor == NULL)
		entry->governor = slab_new(sizeof(*entry->governor));
	if (entry->governor != NULL)
		*entry->governor = *state;
}

struct device_rare *device_entry_rare(struct device_entry *entry)
{
	if (entry->rare == NULL)
		entry->rare = slab_new(sizeof(*entry->rare));
	return entry->rare;
}

void device_entry_tidy(struct device_entry *entry)
{
	struct device_rare *rare = entry->rare;

	if (rare == NULL || rare->number != 0 || rare->refusal != REFUSAL_NONE ||
		!LIST_EMPTY(&rare->waiting) || rare->has_key || rare->has_buckets)
		return;
	entry->rare = NULL;
	slab_free(rare);
}

const char *device_entry_text(const struct device_entry *entry, enum device_text which)
{
	const char *text = entry->texts;

	if (text == NULL)
		return "";
	for (unsigned int i = 0; i < (unsigned int)which; i++)
		text += strlen(text) + 1;
	return text;
}

int device_entry_set_text(
	struct device_entry *entry, enum device_text which, const char *text, size_t max)
{
	size_t lengths[DEVICE_TEXT_COUNT], size = 0;
	char *texts, *at;

	if (entry->texts == NULL && text[0] == '\0')
		return 0;
	for (unsigned int i = 0; i < DEVICE_TEXT_COUNT; i++) {
		lengths[i] = i == (unsigned int)which
				     ? strnlen(text, max)
				     : strlen(device_entry_text(entry, (enum device_text)i));
		size += lengths[i] + 1;
	}
	texts = at = slab_new(size);
	if (texts == NULL)
		return -1;
	for (unsigned int i = 0; i < DEVICE_TEXT_COUNT; i++) {
		memcpy(at,
			i == (unsigned int)which ? text
						 : device_entry_text(entry, (enum device_text)i),
			lengths[i]);
		at[lengths[i]] = '\0';
		at += lengths[i] + 1;
	}
	slab_free(entry->texts);
	entry->texts = texts;
	return 0;
}

const char *device_entry_mailbox(const struct device_entry *entry)
{
	return entry->names;
}

const char *device_entry_id(const struct device_entry *entry)
{
	return entry->names + entry->mailbox_len + 1;
}

size_t device_table_count(const struct device_table *table)
{
	return table->count;
}
