/*
 * The loader of index files: whatever it takes must be searchable. The checksum of an input is set
 * right first in a second try, so that what lies behind it is reached.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "auth/revocation_file.h"
#include "auth/revocation_index.h"
#include "tests/unit/auth_crl_maker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load(int fd, const uint8_t *data, size_t size)
{
	struct serial serial = {{0}};
	struct revocation_index *index;
	struct error err;

	maker_must(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size, "a file");
	index = revocation_index_open(fd, "fuzz", &err);
	if (index == NULL)
		return;
	for (size_t at = REVOCATION_FILE_HEADER_SIZE; at + sizeof(struct revocation_entry) <= size;
		at += sizeof(struct revocation_entry)) {
		memcpy(&serial, data + at, sizeof(serial));
		if (!revocation_index_find(index, NULL, &serial, NULL))
			abort();
	}
	revocation_index_close(index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	uint8_t *copy;

	if (fd == -1)
		fd = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	load(fd, data, size);
	if (size < REVOCATION_FILE_HEADER_SIZE)
		return 0;
	copy = malloc(size);
	memcpy(copy, data, size);
	if (revocation_file_sum(copy, (const void *)(copy + REVOCATION_FILE_HEADER_SIZE),
		    (size - REVOCATION_FILE_HEADER_SIZE) / sizeof(struct revocation_entry),
		    copy + REVOCATION_FILE_CHECKSUM_AT) == 0)
		load(fd, copy, size);
	free(copy);
	return 0;
}
