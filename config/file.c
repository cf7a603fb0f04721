#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/memory.h"
#include "config/whole.h"

char *file_path(const char *dir, const char *path)
{
	size_t size = strlen(dir) + strlen(path) + 2;
	char *joined;

	if (path[0] == '/')
		return memory_copy(path);
	joined = memory_get(size, 1);
	snprintf(joined, size, "%s/%s", dir, path);
	return joined;
}

static int check_kind(const char *path, const struct stat *st, size_t size_max, struct error *err)
{
	if (S_ISDIR(st->st_mode))
		return error_set(err, "%s is a directory, not a file", path);
	if (!S_ISREG(st->st_mode))
		return error_set(err, "%s is not a regular file", path);
	if (st->st_size == 0)
		return error_set(err, "%s is empty", path);
	if ((uintmax_t)st->st_size > size_max)
		return error_set(err, "%s is larger than %zu bytes", path, size_max);
	return 0;
}

static int check_mode(const char *path, const struct stat *st, struct error *err)
{
	unsigned int mode = st->st_mode & 07777;

	if ((mode & (S_IRWXO | S_IWGRP | S_IXGRP)) == 0)
		return 0;
	return error_set(err,
		"%s holds a secret, but its mode %04o lets others at it; chmod 0600 or 0640 it",
		path, mode);
}

/* The buffer is the only copy outside of the memory file, and may hold a key: it is wiped. */
static int copy_content(int from, int to, size_t size, const char *path, struct error *err)
{
	char buffer[16384];
	size_t total = 0;
	int result = 0;

	while (result == 0) {
		ssize_t got = read(from, buffer, sizeof(buffer));

		if (got == 0)
			break;
		if (got == -1 && errno == EINTR)
			continue;
		total += got > 0 ? (size_t)got : 0;
		if (got == -1)
			result = error_sys(err, "reading %s", path);
		else if (total > size)
			result = error_set(err, "%s grew while it was read", path);
		else if (write(to, buffer, (size_t)got) != got)
			result = error_sys(err, "copying %s into memory", path);
	}
	if (result == 0 && total < size)
		result = error_set(err, "%s shrank while it was read", path);
	OPENSSL_cleanse(buffer, sizeof(buffer));
	return result;
}

static int make_sealed(int from, size_t size, const char *path, struct error *err)
{
	static const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int fd = memfd_create("easproxy-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1)
		return error_sys(err, "making a memory file for %s", path);
	if (copy_content(from, fd, size, path, err) == -1)
		goto fail;
	if (fcntl(fd, F_ADD_SEALS, seals) == -1) {
		error_sys(err, "sealing the memory file of %s", path);
		goto fail;
	}
	return fd;
fail:
	close(fd);
	return -1;
}

int file_seal(struct config_file *file, size_t size_max, bool is_secret, struct error *err)
{
	/* Without O_NONBLOCK a FIFO would hold us here. */
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int result = -1;

	if (fd == -1)
		return error_sys(err, "opening %s", file->path);
	if (fstat(fd, &st) == -1)
		error_sys(err, "looking at %s", file->path);
	else if (check_kind(file->path, &st, size_max, err) == 0 &&
		 (!is_secret || check_mode(file->path, &st, err) == 0))
		file->fd = result = make_sealed(fd, (size_t)st.st_size, file->path, err);
	close(fd);
	return result == -1 ? -1 : 0;
}

char *config_file_read(const struct config_file *file, size_t *len, struct error *err)
{
	struct stat st;
	char *content;

	if (file->fd == -1) {
		error_set(err, "reading %s: no such file is configured", file->path);
		return NULL;
	}
	if (fstat(file->fd, &st) == -1) {
		error_sys(err, "looking at the memory file of %s", file->path);
		return NULL;
	}
	content = malloc((size_t)st.st_size + 1);
	if (content == NULL) {
		error_sys(err, "reading %s", file->path);
		return NULL;
	}
	/* At a place: the processes that inherit the descriptor share its offset. */
	*len = (size_t)st.st_size;
	if (whole_read_at(file->fd, content, *len, 0) != st.st_size) {
		error_sys(err, "reading the memory file of %s", file->path);
		file_wipe(content, *len);
		return NULL;
	}
	content[*len] = '\0';
	return content;
}

void file_wipe(char *content, size_t len)
{
	if (content == NULL)
		return;
	OPENSSL_cleanse(content, len);
	free(content);
}
