#define OPENSSL_SUPPRESS_DEPRECATED /* see hash() */
#include "auth/user_index.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/user_index_file.h"
#include "config/whole.h"

static const uint8_t magic[8] = "EASUSRIX";

static const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

struct user_index {
	uint8_t *map;
	size_t map_size, count;
	const uint8_t *entries;
};

static void number_put(uint8_t *at, size_t size, uint64_t number)
{
	while (size-- > 0) {
		at[size] = (uint8_t)number;
		number >>= 8;
	}
}

static uint64_t number_get(const uint8_t *at, size_t size)
{
	uint64_t number = 0;

	for (size_t i = 0; i < size; i++)
		number = number << 8 | at[i];
	return number;
}

/* EVP's digests allocate each time that they are begun; the old interface, which the headers call
 * deprecated, works on the stack, and a look-up must. 0 or -1. */
static int hash(const char *mailbox, uint8_t key[USER_FILE_KEY_SIZE])
{
	uint8_t sum[SHA256_DIGEST_LENGTH];
	SHA256_CTX digest;

	if (SHA256_Init(&digest) != 1 || SHA256_Update(&digest, mailbox, strlen(mailbox)) != 1 ||
		SHA256_Final(sum, &digest) != 1)
		return -1;
	memcpy(key, sum, USER_FILE_KEY_SIZE);
	return 0;
}

static int file_sum(const uint8_t *file, size_t size, uint8_t sum[USER_FILE_SUM_SIZE])
{
	SHA256_CTX digest;

	if (SHA256_Init(&digest) == 1 && SHA256_Update(&digest, file, USER_FILE_SUM_AT) == 1 &&
		SHA256_Update(
			&digest, file + USER_FILE_HEADER_SIZE, size - USER_FILE_HEADER_SIZE) == 1 &&
		SHA256_Final(sum, &digest) == 1)
		return 0;
	return -1;
}

/* Writing */

static int compare_entries(const void *a, const void *b)
{
	/* Numbers are big-endian: of one mailbox that is there twice the later valid-from is last. */
	return memcmp(a, b, USER_FILE_ENTRY_SIZE);
}

/* Of entries with the same key only the last. Returns how many are left. */
static size_t drop_repeated(uint8_t *entries, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		const uint8_t *entry = entries + i * USER_FILE_ENTRY_SIZE;

		if (kept > 0 && memcmp(entries + (kept - 1) * USER_FILE_ENTRY_SIZE, entry,
					USER_FILE_KEY_SIZE) == 0)
			kept--;
		memmove(entries + kept * USER_FILE_ENTRY_SIZE, entry, USER_FILE_ENTRY_SIZE);
		kept++;
	}
	return kept;
}

/* Fills the file, which has room for all entries, and returns its size; 0 when the digest fails. */
static size_t file_fill(uint8_t *file, const struct user_entry *entries, size_t count)
{
	uint8_t *at = file + USER_FILE_HEADER_SIZE;
	size_t size;

	for (size_t i = 0; i < count; i++, at += USER_FILE_ENTRY_SIZE) {
		int64_t valid_from = entries[i].valid_from < 0 ? 0 : entries[i].valid_from;

		if (hash(entries[i].mailbox, at) == -1)
			return 0;
		number_put(at + USER_FILE_KEY_SIZE, 8, (uint64_t)valid_from);
	}
	qsort(file + USER_FILE_HEADER_SIZE, count, USER_FILE_ENTRY_SIZE, compare_entries);
	count = drop_repeated(file + USER_FILE_HEADER_SIZE, count);
	memcpy(file, magic, sizeof(magic));
	number_put(file + USER_FILE_VERSION_AT, 4, USER_FILE_VERSION);
	number_put(file + USER_FILE_WIDTH_AT, 4, USER_FILE_ENTRY_SIZE);
	number_put(file + USER_FILE_COUNT_AT, 8, count);
	size = USER_FILE_HEADER_SIZE + count * USER_FILE_ENTRY_SIZE;
	return file_sum(file, size, file + USER_FILE_SUM_AT) == 0 ? size : 0;
}

int user_index_write(const struct user_entry *entries, size_t count, struct error *err)
{
	uint8_t *file;
	size_t size;
	int fd = -1;

	if (count > USER_FILE_ENTRY_MAX)
		return error_set(err,
			"making the user index: %zu users are more than the %d that fit", count,
			USER_FILE_ENTRY_MAX);
	file = calloc(1, USER_FILE_HEADER_SIZE + count * USER_FILE_ENTRY_SIZE);
	if (file == NULL)
		return error_set(err, "making the user index: out of memory");
	size = file_fill(file, entries, count);
	if (size == 0) {
		error_set(err, "making the user index: SHA-256 failed");
		goto out;
	}
	fd = memfd_create("user index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1) {
		error_sys(err, "making a memory file for the user index");
		goto out;
	}
	if (whole_write(fd, file, size) == -1 || fcntl(fd, F_ADD_SEALS, seals) == -1) {
		error_sys(err, "writing the user index");
		close(fd);
		fd = -1;
	}
out:
	free(file);
	return fd;
}

/* Reading */

/* A zero or repeated step would let the binary search miss an entry. */
static bool is_ascending(const uint8_t *entries, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (memcmp(entries + (i - 1) * USER_FILE_ENTRY_SIZE,
			    entries + i * USER_FILE_ENTRY_SIZE, USER_FILE_KEY_SIZE) >= 0)
			return false;
	return true;
}

static int index_check(struct user_index *index, struct error *err)
{
	static const uint8_t zeros[USER_FILE_HEADER_SIZE - USER_FILE_ZEROS_AT];
	uint8_t sum[USER_FILE_SUM_SIZE];
	uint64_t count = number_get(index->map + USER_FILE_COUNT_AT, 8);

	if (memcmp(index->map, magic, sizeof(magic)) != 0 ||
		number_get(index->map + USER_FILE_VERSION_AT, 4) != USER_FILE_VERSION ||
		number_get(index->map + USER_FILE_WIDTH_AT, 4) != USER_FILE_ENTRY_SIZE ||
		memcmp(index->map + USER_FILE_ZEROS_AT, zeros, sizeof(zeros)) != 0)
		return error_set(err, "reading the user index: not an index of this version");
	if (count > USER_FILE_ENTRY_MAX ||
		index->map_size != USER_FILE_HEADER_SIZE + count * USER_FILE_ENTRY_SIZE)
		return error_set(err,
			"reading the user index: %zu bytes long, which %llu entries are not",
			index->map_size, (unsigned long long)count);
	index->count = (size_t)count;
	index->entries = index->map + USER_FILE_HEADER_SIZE;
	if (file_sum(index->map, index->map_size, sum) == -1 ||
		memcmp(sum, index->map + USER_FILE_SUM_AT, sizeof(sum)) != 0)
		return error_set(err, "reading the user index: wrong checksum");
	if (!is_ascending(index->entries, index->count))
		return error_set(err, "reading the user index: entries out of order");
	return 0;
}

struct user_index *user_index_open(int fd, struct error *err)
{
	int has = fcntl(fd, F_GET_SEALS);
	struct user_index *index;
	struct stat st;

	/* A file that could be cut or changed under the mapping is none. */
	if (has == -1 || (has & (F_SEAL_WRITE | F_SEAL_SHRINK)) != (F_SEAL_WRITE | F_SEAL_SHRINK)) {
		error_set(err, "reading the user index: not a sealed memory file");
		return NULL;
	}
	if (fstat(fd, &st) == -1 || st.st_size < USER_FILE_HEADER_SIZE) {
		error_set(err, "reading the user index: it is too short");
		return NULL;
	}
	index = calloc(1, sizeof(*index));
	if (index == NULL) {
		error_set(err, "reading the user index: out of memory");
		return NULL;
	}
	index->map_size = (size_t)st.st_size;
	/* Kernels before 6.7 allow no shared mapping of a file sealed against writing. */
	index->map = mmap(NULL, index->map_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (index->map == MAP_FAILED) {
		index->map = NULL;
		error_sys(err, "mapping the user index");
		user_index_close(index);
		return NULL;
	}
	if (index_check(index, err) == -1) {
		user_index_close(index);
		return NULL;
	}
	return index;
}

void user_index_close(struct user_index *index)
{
	if (index == NULL)
		return;
	if (index->map != NULL)
		munmap(index->map, index->map_size);
	free(index);
}

size_t user_index_count(const struct user_index *index)
{
	return index == NULL ? 0 : index->count;
}

bool user_index_find(const struct user_index *index, const char *mailbox, int64_t *valid_from)
{
	uint8_t key[USER_FILE_KEY_SIZE];
	size_t low = 0, high = user_index_count(index);

	if (high == 0)
		return false;
	if (hash(mailbox, key) == -1) {
		*valid_from = INT64_MAX; /* what cannot be known is refused */
		return true;
	}
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const uint8_t *entry = index->entries + middle * USER_FILE_ENTRY_SIZE;
		int order = memcmp(key, entry, sizeof(key));

		if (order == 0) {
			uint64_t number = number_get(entry + USER_FILE_KEY_SIZE, 8);

			*valid_from = number > INT64_MAX ? INT64_MAX : (int64_t)number;
			return true;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}
