#include "auth/revocation_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/revocation_compile.h"

enum { NAME_SIZE = 96, COPY_SIZE = 65536 };

int revocation_state_create(struct error *err)
{
	int fd = memfd_create("revocation index", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1)
		return error_sys(err, "making a memory file for a revocation index");
	return fd;
}

int revocation_state_seal(int fd, struct error *err)
{
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == -1)
		return error_sys(err, "sealing a revocation index");
	return 0;
}

static int write_whole(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t written = write(fd, data, len);

		if (written == -1 && errno == EINTR)
			continue;
		if (written == -1)
			return -1;
		data += written;
		len -= (size_t)written;
	}
	return 0;
}

/* All of one file, from its first byte, to the end of the other. */
static int copy_file(int from, int to)
{
	uint8_t buffer[COPY_SIZE];
	off_t at = 0;

	for (;;) {
		ssize_t got = pread(from, buffer, sizeof(buffer), at);

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return -1;
		if (got == 0)
			return 0;
		if (write_whole(to, buffer, (size_t)got) == -1)
			return -1;
		at += got;
	}
}

/* Only an index of this very authority will do: files may have been left by another store. */
static int index_check(int fd, const struct authority *authority, struct revocation_facts *facts,
	struct error *err)
{
	struct revocation_index *index;
	uint8_t key[32];
	int result;

	if (revocation_authority_key(authority->certificate, key, err) == -1)
		return -1;
	index = revocation_index_open(fd, authority->issuer, err);
	if (index == NULL)
		return -1;
	*facts = *revocation_index_facts(index);
	/* Sealed, and so opened without a look at all of it; but it was a file until now. */
	result = revocation_index_check(index, authority->issuer, err);
	revocation_index_close(index);
	if (result == -1)
		return -1;
	if (memcmp(key, facts->authority_key, sizeof(key)) != 0)
		return error_set(
			err, "the revocation index of the last run is another authority's");
	return 0;
}

static int copy_to_memory(int from, struct error *err)
{
	int fd = revocation_state_create(err);

	if (fd == -1)
		return -1;
	if (copy_file(from, fd) == -1) {
		error_sys(err, "reading the revocation index of the last run");
	} else if (revocation_state_seal(fd, err) == 0) {
		return fd;
	}
	close(fd);
	return -1;
}

int revocation_state_load(int directory, const struct authority *authority,
	struct revocation_facts *facts, struct error *err)
{
	char name[NAME_SIZE];
	struct stat st;
	int file;
	int fd = -1;

	snprintf(name, sizeof(name), "%s.index", authority->key_id);
	err->text[0] = '\0';
	file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (file == -1) {
		if (errno != ENOENT)
			error_sys(err, "opening %s", name);
		return -1;
	}
	if (fstat(file, &st) == -1 || !S_ISREG(st.st_mode) ||
		(uint64_t)st.st_size > REVOCATION_FILE_SIZE_MAX)
		error_set(err, "%s is not an index file", name);
	else
		fd = copy_to_memory(file, err);
	close(file);
	if (fd != -1 && index_check(fd, authority, facts, err) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

int revocation_state_save(
	int directory, const struct authority *authority, int fd, struct error *err)
{
	char temporary[NAME_SIZE];
	char name[NAME_SIZE];
	int file;

	snprintf(name, sizeof(name), "%s.index", authority->key_id);
	snprintf(temporary, sizeof(temporary), "%s.index.new", authority->key_id);
	if (unlinkat(directory, temporary, 0) == -1 && errno != ENOENT)
		return error_sys(err, "removing %s", temporary);
	file = openat(
		directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file == -1)
		return error_sys(err, "making %s", temporary);
	if (copy_file(fd, file) == -1 || fsync(file) == -1) {
		error_sys(err, "writing %s", temporary);
		close(file);
		unlinkat(directory, temporary, 0);
		return -1;
	}
	close(file);
	if (renameat(directory, temporary, directory, name) == -1)
		return error_sys(err, "renaming %s to %s", temporary, name);
	if (fsync(directory) == -1)
		return error_sys(err, "writing the directory of %s", name);
	return 0;
}

int revocation_state_sum(int fd, uint8_t sum[REVOCATION_FILE_CHECKSUM_SIZE], struct error *err)
{
	ssize_t got = pread(fd, sum, REVOCATION_FILE_CHECKSUM_SIZE, REVOCATION_FILE_CHECKSUM_AT);

	if (got != REVOCATION_FILE_CHECKSUM_SIZE)
		return error_sys(err, "reading the checksum of a revocation index");
	return 0;
}
