#include "auth/user_index.h"

#include <stdlib.h>
#include <string.h>

#include "auth/sealed_index.h"
#include "auth/user_index_file.h"

static const struct sealed_index_form form = {
	.magic = "EASUSRIX",
	.name = "the user index",
	.version = USER_FILE_VERSION,
	.width = USER_FILE_ENTRY_SIZE,
};

struct user_index {
	struct sealed_index sealed;
};

int user_index_write(const struct user_entry *entries, size_t count, struct error *err)
{
	uint8_t *file, *at;
	int fd;

	if (count > SEALED_INDEX_ENTRY_MAX)
		return error_set(err,
			"making the user index: %zu users are more than the %d that fit", count,
			SEALED_INDEX_ENTRY_MAX);
	file = at = calloc(count + 1, USER_FILE_ENTRY_SIZE);
	if (file == NULL)
		return error_set(err, "making the user index: out of memory");
	for (size_t i = 0; i < count; i++, at += USER_FILE_ENTRY_SIZE) {
		int64_t valid_from = entries[i].valid_from < 0 ? 0 : entries[i].valid_from;

		if (sealed_index_key(span_of_string(entries[i].mailbox), at) == -1) {
			free(file);
			return error_set(err, "making the user index: SHA-256 failed");
		}
		sealed_index_put(at + SEALED_INDEX_KEY_SIZE, 8, (uint64_t)valid_from);
	}
	fd = sealed_index_write(&form, 0, file, count, err);
	free(file);
	return fd;
}

struct user_index *user_index_open(int fd, struct error *err)
{
	struct user_index *index = calloc(1, sizeof(*index));

	if (index == NULL) {
		error_set(err, "reading the user index: out of memory");
		return NULL;
	}
	if (sealed_index_open(&form, fd, &index->sealed, err) == 0)
		return index;
	free(index);
	return NULL;
}

void user_index_close(struct user_index *index)
{
	if (index == NULL)
		return;
	sealed_index_close(&index->sealed);
	free(index);
}

size_t user_index_count(const struct user_index *index)
{
	return index == NULL ? 0 : index->sealed.count;
}

bool user_index_find(const struct user_index *index, const char *mailbox, int64_t *valid_from)
{
	uint8_t key[SEALED_INDEX_KEY_SIZE];
	const uint8_t *value;
	uint64_t number;

	if (user_index_count(index) == 0)
		return false;
	if (sealed_index_key(span_of_string(mailbox), key) == -1) {
		*valid_from = INT64_MAX; /* what cannot be known is refused */
		return true;
	}
	value = sealed_index_find(&index->sealed, key);
	if (value == NULL)
		return false;
	number = sealed_index_get(value, 8);
	*valid_from = number > INT64_MAX ? INT64_MAX : (int64_t)number;
	return true;
}
