/*
 * The loader of index files: whatever it takes as a file must be searchable, and whatever it takes as
 * sealed may be searched without harm. The checksum of an input is set right first in a second try,
 * so that what lies behind it is reached.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/revocation_file.h"
#include "tests/unit/auth_crl_maker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file_of(const uint8_t *data, size_t size)
{
	int fd = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	maker_must(fd != -1 && pwrite(fd, data, size, 0) == (ssize_t)size, "a file");
	return fd;
}

/* How many of its entries the index finds. */
static size_t find_all(const struct revocation_index *index)
{
	const struct revocation_view *view = revocation_index_view(index);
	size_t found = 0;

	for (size_t i = 0; i < view->section_count; i++) {
		struct revocation_section section = revocation_view_section(view, i);

		for (size_t at = 0; at < section.count; at++) {
			struct serial serial = revocation_view_serial(view, section.first + at);
			struct revocation_finding finding;

			found += revocation_index_find(index, &section.issuer, &serial, &finding);
		}
	}
	return found;
}

static void load(const uint8_t *data, size_t size)
{
	struct revocation_index *index;
	int fd = file_of(data, size);
	struct error err;
	bool is_sound;

	index = revocation_index_open(fd, "fuzz", &err);
	is_sound = index != NULL;
	if (is_sound && find_all(index) != revocation_index_facts(index)->entry_count)
		abort();
	revocation_index_close(index);
	maker_must(
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0, "seals");
	index = revocation_index_open(fd, "fuzz", &err);
	if (index == NULL) {
		if (is_sound)
			abort();
	} else {
		find_all(index);
		if ((revocation_index_check(index, "fuzz", &err) == 0) != is_sound)
			abort();
	}
	revocation_index_close(index);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	load(data, size);
	if (size < REVOCATION_FILE_HEADER_SIZE)
		return 0;
	copy = malloc(size);
	memcpy(copy, data, size);
	if (revocation_file_sum(copy, size, copy + REVOCATION_FILE_CHECKSUM_AT) == 0)
		load(copy, size);
	free(copy);
	return 0;
}
