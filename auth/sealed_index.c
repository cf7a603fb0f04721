#define OPENSSL_SUPPRESS_DEPRECATED /* see sealed_index_key() */
#include "auth/sealed_index.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/whole.h"

enum { MAGIC_SIZE = 8, SUM_SIZE = 32 };

static const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

void sealed_index_put(uint8_t *at, size_t size, uint64_t number)
{
	while (size-- > 0) {
		at[size] = (uint8_t)number;
		number >>= 8;
	}
}

uint64_t sealed_index_get(const uint8_t *at, size_t size)
{
	uint64_t number = 0;

	for (size_t i = 0; i < size; i++)
		number = number << 8 | at[i];
	return number;
}

/* EVP's digests allocate each time that they are begun; the old interface, which the headers call
 * deprecated, works on the stack, and a look-up must. */
int sealed_index_key(struct span name, uint8_t key[SEALED_INDEX_KEY_SIZE])
{
	uint8_t sum[SHA256_DIGEST_LENGTH];
	SHA256_CTX digest;

	if (SHA256_Init(&digest) != 1 || SHA256_Update(&digest, name.data, name.len) != 1 ||
		SHA256_Final(sum, &digest) != 1)
		return -1;
	memcpy(key, sum, SEALED_INDEX_KEY_SIZE);
	return 0;
}

/* Of all but itself. */
static int file_sum(const uint8_t *file, size_t size, uint8_t sum[SUM_SIZE])
{
	SHA256_CTX digest;

	if (SHA256_Init(&digest) == 1 && SHA256_Update(&digest, file, SEALED_INDEX_SUM_AT) == 1 &&
		SHA256_Update(&digest, file + SEALED_INDEX_NUMBER_AT,
			size - SEALED_INDEX_NUMBER_AT) == 1 &&
		SHA256_Final(sum, &digest) == 1)
		return 0;
	return -1;
}

/* Writing */

/* Numbers are big-endian: of entries with one key the highest is last. */
static int compare_entries(const void *a, const void *b, void *width)
{
	return memcmp(a, b, *(const uint32_t *)width);
}

/* Of entries with the same key only the last. Returns how many are left. */
static size_t drop_repeated(uint8_t *entries, size_t count, size_t width)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		const uint8_t *entry = entries + i * width;

		if (kept > 0 &&
			memcmp(entries + (kept - 1) * width, entry, SEALED_INDEX_KEY_SIZE) == 0)
			kept--;
		memmove(entries + kept * width, entry, width);
		kept++;
	}
	return kept;
}

static void fill_header(uint8_t header[SEALED_INDEX_HEADER_SIZE],
	const struct sealed_index_form *form, uint64_t number, size_t count)
{
	memcpy(header, form->magic, MAGIC_SIZE);
	sealed_index_put(header + SEALED_INDEX_VERSION_AT, 4, form->version);
	sealed_index_put(header + SEALED_INDEX_WIDTH_AT, 4, form->width);
	sealed_index_put(header + SEALED_INDEX_COUNT_AT, 8, count);
	sealed_index_put(header + SEALED_INDEX_NUMBER_AT, 8, number);
}

static int write_file(
	const struct sealed_index_form *form, const uint8_t *file, size_t size, struct error *err)
{
	int fd = memfd_create(form->name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1)
		return error_sys(err, "making a memory file for %s", form->name);
	if (whole_write(fd, file, size) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0)
		return fd;
	error_sys(err, "writing %s", form->name);
	close(fd);
	return -1;
}

int sealed_index_write(const struct sealed_index_form *form, uint64_t number, uint8_t *entries,
	size_t count, struct error *err)
{
	uint32_t width = form->width;
	uint8_t *file;
	size_t size;
	int fd = -1;

	if (count > SEALED_INDEX_ENTRY_MAX)
		return error_set(err, "making %s: %zu entries are more than the %d that fit",
			form->name, count, SEALED_INDEX_ENTRY_MAX);
	if (count > 0) {
		qsort_r(entries, count, width, compare_entries, &width);
		count = drop_repeated(entries, count, width);
	}
	size = SEALED_INDEX_HEADER_SIZE + count * width;
	file = calloc(1, size);
	if (file == NULL)
		return error_set(err, "making %s: out of memory", form->name);
	fill_header(file, form, number, count);
	if (count > 0)
		memcpy(file + SEALED_INDEX_HEADER_SIZE, entries, count * width);
	if (file_sum(file, size, file + SEALED_INDEX_SUM_AT) == -1)
		error_set(err, "making %s: SHA-256 failed", form->name);
	else
		fd = write_file(form, file, size, err);
	free(file);
	return fd;
}

/* Reading */

/* A repeated step, or one back, would let the binary search miss an entry. */
static bool is_ascending(const struct sealed_index *index)
{
	size_t width = index->form->width;

	for (size_t i = 1; i < index->count; i++)
		if (memcmp(index->entries + (i - 1) * width, index->entries + i * width,
			    SEALED_INDEX_KEY_SIZE) >= 0)
			return false;
	return true;
}

static int check(struct sealed_index *index, struct error *err)
{
	const struct sealed_index_form *form = index->form;
	uint64_t count = sealed_index_get(index->map + SEALED_INDEX_COUNT_AT, 8);
	uint8_t sum[SUM_SIZE];

	if (memcmp(index->map, form->magic, MAGIC_SIZE) != 0 ||
		sealed_index_get(index->map + SEALED_INDEX_VERSION_AT, 4) != form->version ||
		sealed_index_get(index->map + SEALED_INDEX_WIDTH_AT, 4) != form->width)
		return error_set(err, "reading %s: not an index of this version", form->name);
	if (count > SEALED_INDEX_ENTRY_MAX ||
		index->map_size != SEALED_INDEX_HEADER_SIZE + count * form->width)
		return error_set(err, "reading %s: %zu bytes long, which %llu entries are not",
			form->name, index->map_size, (unsigned long long)count);
	index->count = (size_t)count;
	index->number = sealed_index_get(index->map + SEALED_INDEX_NUMBER_AT, 8);
	index->entries = index->map + SEALED_INDEX_HEADER_SIZE;
	if (file_sum(index->map, index->map_size, sum) == -1 ||
		memcmp(sum, index->map + SEALED_INDEX_SUM_AT, sizeof(sum)) != 0)
		return error_set(err, "reading %s: wrong checksum", form->name);
	if (!is_ascending(index))
		return error_set(err, "reading %s: entries out of order", form->name);
	return 0;
}

int sealed_index_open(
	const struct sealed_index_form *form, int fd, struct sealed_index *index, struct error *err)
{
	int has = fcntl(fd, F_GET_SEALS);
	struct stat st;

	*index = (struct sealed_index){.form = form};
	/* A file that could be cut or changed under the mapping is none. */
	if (has == -1 || (has & (F_SEAL_WRITE | F_SEAL_SHRINK)) != (F_SEAL_WRITE | F_SEAL_SHRINK))
		return error_set(err, "reading %s: not a sealed memory file", form->name);
	if (fstat(fd, &st) == -1 || st.st_size < SEALED_INDEX_HEADER_SIZE)
		return error_set(err, "reading %s: it is too short", form->name);
	index->map_size = (size_t)st.st_size;
	/* Kernels before 6.7 allow no shared mapping of a file sealed against writing. */
	index->map = mmap(NULL, index->map_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (index->map == MAP_FAILED) {
		index->map = NULL;
		return error_sys(err, "mapping %s", form->name);
	}
	if (check(index, err) == 0)
		return 0;
	sealed_index_close(index);
	return -1;
}

void sealed_index_close(struct sealed_index *index)
{
	if (index->map != NULL)
		munmap(index->map, index->map_size);
	*index = (struct sealed_index){.form = index->form};
}

const uint8_t *sealed_index_find(
	const struct sealed_index *index, const uint8_t key[SEALED_INDEX_KEY_SIZE])
{
	size_t low = 0, high = index->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const uint8_t *entry = index->entries + middle * index->form->width;
		int order = memcmp(key, entry, SEALED_INDEX_KEY_SIZE);

		if (order == 0)
			return entry + SEALED_INDEX_KEY_SIZE;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}
