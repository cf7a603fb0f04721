#include "auth/revocation_state.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/hex.h"
#include "config/whole.h"

enum { COPY_SIZE = 65536, URL_HASH_SIZE = 8 };

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
		if (whole_write(to, buffer, (size_t)got) == -1)
			return -1;
		at += got;
	}
}

void revocation_state_name(const struct authority *authority, const char *url, const char *kind,
	char name[REVOCATION_STATE_NAME_SIZE])
{
	uint8_t hash[EVP_MAX_MD_SIZE] = {0};
	char hex[2 * URL_HASH_SIZE + 1];

	/* Two names that are the same would do no harm: what is loaded is checked against the
	 * authority. */
	EVP_Digest(url, strlen(url), hash, NULL, EVP_sha256(), NULL);
	hex_write(span_of(hash, URL_HASH_SIZE), hex);
	snprintf(name, REVOCATION_STATE_NAME_SIZE, "%s-%s.%s", authority->key_id, hex, kind);
}

static int copy_to_memory(int from, const char *name, struct error *err)
{
	int fd = revocation_state_create(err);

	if (fd == -1)
		return -1;
	if (copy_file(from, fd) == -1) {
		error_sys(err, "reading %s in the state directory", name);
	} else if (revocation_state_seal(fd, err) == 0) {
		return fd;
	}
	close(fd);
	return -1;
}

int revocation_state_load(int directory, const char *name, uint64_t size_limit, struct error *err)
{
	struct stat st;
	int file, fd = -1;

	err->text[0] = '\0';
	file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (file == -1) {
		if (errno != ENOENT)
			error_sys(err, "opening %s in the state directory", name);
		return -1;
	}
	if (fstat(file, &st) == -1 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > size_limit)
		error_set(err, "%s in the state directory is not a file of ours", name);
	else
		fd = copy_to_memory(file, name, err);
	close(file);
	return fd;
}

static int read_whole(int fd, uint8_t **data, size_t *len, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return error_sys(err, "reading from the state directory");
	*data = malloc((size_t)st.st_size + 1);
	if (*data == NULL)
		return error_set(err, "out of memory");
	if (whole_read_at(fd, *data, (size_t)st.st_size, 0) != st.st_size) {
		error_sys(err, "reading from the state directory");
		free(*data);
		return -1;
	}
	*len = (size_t)st.st_size;
	return 0;
}

int revocation_state_load_bytes(int directory, const char *name, uint64_t size_limit,
	uint8_t **data, size_t *len, struct error *err)
{
	int fd = revocation_state_load(directory, name, size_limit, err);
	int result;

	if (fd == -1)
		return -1;
	result = read_whole(fd, data, len, err);
	close(fd);
	return result;
}

/* Under another name first. Returns its descriptor, or -1 with err filled. */
static int temporary_open(int directory, const char *name,
	char temporary[REVOCATION_STATE_NAME_SIZE + 4], struct error *err)
{
	int file;

	snprintf(temporary, REVOCATION_STATE_NAME_SIZE + 4, "%s.new", name);
	if (unlinkat(directory, temporary, 0) == -1 && errno != ENOENT)
		return error_sys(err, "removing %s from the state directory", temporary);
	file = openat(
		directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file == -1)
		return error_sys(err, "making %s in the state directory", temporary);
	return file;
}

/* content is written: put in place what became of it. Closes file. */
static int temporary_keep(int directory, const char *name, const char *temporary, int file,
	int written, struct error *err)
{
	if (written == -1 || fsync(file) == -1) {
		error_sys(err, "writing %s in the state directory", temporary);
		close(file);
		unlinkat(directory, temporary, 0);
		return -1;
	}
	close(file);
	if (renameat(directory, temporary, directory, name) == -1)
		return error_sys(err, "renaming %s in the state directory", temporary);
	if (fsync(directory) == -1)
		return error_sys(err, "writing the state directory");
	return 0;
}

int revocation_state_save(int directory, const char *name, int fd, struct error *err)
{
	char temporary[REVOCATION_STATE_NAME_SIZE + 4];
	int file = temporary_open(directory, name, temporary, err);

	if (file == -1)
		return -1;
	return temporary_keep(directory, name, temporary, file, copy_file(fd, file), err);
}

int revocation_state_save_bytes(
	int directory, const char *name, struct span bytes, struct error *err)
{
	char temporary[REVOCATION_STATE_NAME_SIZE + 4];
	int file = temporary_open(directory, name, temporary, err);

	if (file == -1)
		return -1;
	return temporary_keep(
		directory, name, temporary, file, whole_write(file, bytes.data, bytes.len), err);
}

int revocation_state_sum(int fd, uint8_t sum[REVOCATION_FILE_CHECKSUM_SIZE], struct error *err)
{
	ssize_t got = pread(fd, sum, REVOCATION_FILE_CHECKSUM_SIZE, REVOCATION_FILE_CHECKSUM_AT);

	if (got != REVOCATION_FILE_CHECKSUM_SIZE)
		return error_sys(err, "reading the checksum of a revocation index");
	return 0;
}
