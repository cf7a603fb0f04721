#include "auth/revocation_index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/revocation_file.h"

struct revocation_index {
	void *map;
	size_t map_size;
	const struct revocation_entry *entries;
	struct revocation_facts facts;
};

static bool is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals != -1 && (seals & F_SEAL_WRITE) != 0 && (seals & F_SEAL_SHRINK) != 0;
}

/* Kernels before 6.7 allow no shared mapping of a file sealed against writing; the pages of a
 * private one that is never written are shared just the same. */
static int index_map(struct revocation_index *index, int fd)
{
	index->map = mmap(NULL, index->map_size, PROT_READ, MAP_PRIVATE, fd, 0);
	return index->map == MAP_FAILED ? -1 : 0;
}

static int index_copy(struct revocation_index *index, int fd)
{
	size_t at = 0;

	index->map = mmap(
		NULL, index->map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (index->map == MAP_FAILED)
		return -1;
	while (at < index->map_size) {
		ssize_t got =
			pread(fd, (uint8_t *)index->map + at, index->map_size - at, (off_t)at);

		if (got == -1 && errno == EINTR)
			continue;
		if (got <= 0) {
			if (got == 0)
				errno = EIO; /* shorter than fstat said */
			return -1;
		}
		at += (size_t)got;
	}
	return mprotect(index->map, index->map_size, PROT_READ);
}

/* A zero or repeated step would let the binary search miss an entry. */
static bool is_ascending(const struct revocation_entry *entries, uint64_t count)
{
	for (uint64_t i = 1; i < count; i++)
		if (memcmp(&entries[i - 1].serial, &entries[i].serial, sizeof(struct serial)) >= 0)
			return false;
	return true;
}

static int index_read(struct revocation_index *index, const char *issuer, struct error *err)
{
	const uint8_t *header = index->map;
	uint8_t sum[REVOCATION_FILE_CHECKSUM_SIZE];

	if (revocation_file_decode(header, &index->facts) == -1)
		return error_set(err,
			"reading the revocation index of %s: not an index of this version", issuer);
	if (index->facts.mapped_size != index->map_size)
		return error_set(err,
			"reading the revocation index of %s: %zu bytes long, %llu expected", issuer,
			index->map_size, (unsigned long long)index->facts.mapped_size);
	index->entries = (const void *)(header + REVOCATION_FILE_HEADER_SIZE);
	if (revocation_file_sum(header, index->entries, index->facts.entry_count, sum) == -1 ||
		memcmp(sum, header + REVOCATION_FILE_CHECKSUM_AT, sizeof(sum)) != 0)
		return error_set(err, "reading the revocation index of %s: wrong checksum", issuer);
	if (!is_ascending(index->entries, index->facts.entry_count))
		return error_set(
			err, "reading the revocation index of %s: entries out of order", issuer);
	return 0;
}

struct revocation_index *revocation_index_open(int fd, const char *issuer, struct error *err)
{
	struct revocation_index *index;
	struct stat st;

	if (fstat(fd, &st) == -1) {
		error_sys(err, "reading the revocation index of %s", issuer);
		return NULL;
	}
	if (!S_ISREG(st.st_mode) || st.st_size < REVOCATION_FILE_HEADER_SIZE ||
		(uint64_t)st.st_size > REVOCATION_FILE_SIZE_MAX) {
		error_set(err, "reading the revocation index of %s: not an index file", issuer);
		return NULL;
	}
	index = calloc(1, sizeof(*index));
	if (index == NULL) {
		error_set(err, "reading the revocation index of %s: out of memory", issuer);
		return NULL;
	}
	index->map_size = (size_t)st.st_size;
	if ((is_sealed(fd) ? index_map(index, fd) : index_copy(index, fd)) == -1) {
		error_sys(err, "reading the revocation index of %s", issuer);
		revocation_index_close(index);
		return NULL;
	}
	if (index_read(index, issuer, err) == -1) {
		revocation_index_close(index);
		return NULL;
	}
	return index;
}

int revocation_index_check(
	const struct revocation_index *index, const char *issuer, struct error *err)
{
	(void)index;
	(void)issuer;
	(void)err;
	return 0;
}

void revocation_index_close(struct revocation_index *index)
{
	if (index == NULL)
		return;
	if (index->map != MAP_FAILED)
		munmap(index->map, index->map_size);
	free(index);
}

const struct revocation_facts *revocation_index_facts(const struct revocation_index *index)
{
	return &index->facts;
}

bool revocation_index_find(const struct revocation_index *index, const struct name_key *issuer,
	const struct serial *serial, struct revocation_finding *finding)
{
	(void)issuer;
	size_t low = 0;
	size_t high = (size_t)index->facts.entry_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct revocation_entry *entry = &index->entries[middle];
		int order = memcmp(serial, &entry->serial, sizeof(*serial));

		if (order == 0) {
			if (finding != NULL)
				*finding = (struct revocation_finding){.reason = entry->reason,
					.date = revocation_entry_date(entry)};
			return true;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}
