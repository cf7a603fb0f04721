#include "proxy/device_index.h"

#include <stdlib.h>
#include <string.h>

#include "auth/mailbox.h"
#include "proxy/eas.h"

/* A value: zeros (6), the state that was ordered (1), the state (1), grants (8). */
enum { WIPE_AT = 6, STATE_AT = 7, GRANTS_AT = 8 };

static const struct sealed_index_form form = {
	.magic = "EASDEVIX",
	.name = "the device index",
	.version = DEVICE_INDEX_VERSION,
	.width = DEVICE_INDEX_WIDTH,
};

struct device_index {
	struct sealed_index sealed;
};

/* No mailbox has a NUL, so that it and the id cannot be taken for others. */
int device_index_key(const char *mailbox, const char *id, struct device_key *key)
{
	char name[MAILBOX_MAX + 1 + EAS_DEVICE_ID_MAX];
	size_t mailbox_len = strlen(mailbox), id_len = strlen(id);

	if (mailbox_len > MAILBOX_MAX || id_len > EAS_DEVICE_ID_MAX)
		return -1;
	memcpy(name, mailbox, mailbox_len);
	name[mailbox_len] = '\0';
	memcpy(name + mailbox_len + 1, id, id_len);
	return sealed_index_key(span_of(name, mailbox_len + 1 + id_len), key->octets);
}

/* Writing */

int device_index_list_add(struct device_index_list *list, const char *mailbox, const char *id,
	enum device_state state, enum device_state wipe, uint64_t grants)
{
	struct device_key key;
	uint8_t *entry;

	if (list->count == list->capacity) {
		size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
		uint8_t *entries =
			reallocarray(list->entries, capacity, (size_t)DEVICE_INDEX_WIDTH);

		if (entries == NULL)
			return -1;
		list->entries = entries;
		list->capacity = capacity;
	}
	if (device_index_key(mailbox, id, &key) == -1)
		return -1;
	entry = list->entries + list->count++ * DEVICE_INDEX_WIDTH;
	memset(entry, 0, DEVICE_INDEX_WIDTH);
	memcpy(entry, key.octets, sizeof(key.octets));
	entry[SEALED_INDEX_KEY_SIZE + WIPE_AT] = (uint8_t)wipe;
	entry[SEALED_INDEX_KEY_SIZE + STATE_AT] = (uint8_t)state;
	sealed_index_put(entry + SEALED_INDEX_KEY_SIZE + GRANTS_AT, 8, grants);
	return 0;
}

void device_index_list_free(struct device_index_list *list)
{
	free(list->entries);
	*list = (struct device_index_list){0};
}

int device_index_write(struct device_index_list *list, uint64_t grants, struct error *err)
{
	return sealed_index_write(&form, grants, list->entries, list->count, err);
}

/* Reading */

static bool is_value(const uint8_t *value)
{
	static const uint8_t zeros[WIPE_AT];

	return memcmp(value, zeros, sizeof(zeros)) == 0 && value[WIPE_AT] < DEVICE_STATE_COUNT &&
	       value[STATE_AT] < DEVICE_STATE_COUNT;
}

struct device_index *device_index_open(int fd, struct error *err)
{
	struct device_index *index = calloc(1, sizeof(*index));

	if (index == NULL) {
		error_set(err, "reading the device index: out of memory");
		return NULL;
	}
	if (sealed_index_open(&form, fd, &index->sealed, err) == -1) {
		free(index);
		return NULL;
	}
	for (size_t i = 0; i < index->sealed.count; i++)
		if (!is_value(index->sealed.entries + i * DEVICE_INDEX_WIDTH +
			      SEALED_INDEX_KEY_SIZE)) {
			error_set(err, "reading the device index: a state that there is not");
			device_index_close(index);
			return NULL;
		}
	return index;
}

void device_index_close(struct device_index *index)
{
	if (index == NULL)
		return;
	sealed_index_close(&index->sealed);
	free(index);
}

size_t device_index_count(const struct device_index *index)
{
	return index == NULL ? 0 : index->sealed.count;
}

uint64_t device_index_grants(const struct device_index *index)
{
	return index == NULL ? 0 : index->sealed.number;
}

bool device_index_find(const struct device_index *index, const struct device_key *key,
	struct device_finding *finding)
{
	const uint8_t *value;

	if (index == NULL)
		return false;
	value = sealed_index_find(&index->sealed, key->octets);
	if (value == NULL)
		return false;
	finding->state = (enum device_state)value[STATE_AT];
	finding->wipe = (enum device_state)value[WIPE_AT];
	finding->grants = sealed_index_get(value + GRANTS_AT, 8);
	return true;
}
