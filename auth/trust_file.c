#include "auth/trust_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "config/whole.h"

enum { SIZE_MAX_OF_FILE = 16 << 20 };

/* Where the file is, or would be: a link leads to what is to be changed. */
static int resolve(struct trust_file *file, const char *path, struct error *err)
{
	char *copy = strdup(path), *name = strdup(path), *directory = NULL;
	int result = -1;

	file->path = realpath(path, NULL);
	if (file->path == NULL && errno == ENOENT && copy != NULL && name != NULL) {
		directory = realpath(dirname(copy), NULL);
		if (directory != NULL &&
			asprintf(&file->path, "%s/%s", directory, basename(name)) == -1)
			file->path = NULL;
	}
	if (file->path == NULL) {
		error_sys(err, "finding %s", path);
		goto out;
	}
	free(copy);
	copy = strdup(file->path);
	file->directory = copy != NULL ? strdup(dirname(copy)) : NULL;
	result = file->directory != NULL ? 0 : error_set(err, "finding %s: out of memory", path);
out:
	free(directory);
	free(name);
	free(copy);
	return result;
}

static int read_all(struct trust_file *file, int fd, struct error *err)
{
	size_t size;
	ssize_t got;

	if (fstat(fd, &file->was) == -1)
		return error_sys(err, "looking at %s", file->path);
	if (!S_ISREG(file->was.st_mode))
		return error_set(err, "%s is not a regular file", file->path);
	if (file->was.st_size > SIZE_MAX_OF_FILE)
		return error_set(
			err, "%s is larger than %d MiB", file->path, SIZE_MAX_OF_FILE >> 20);
	size = (size_t)file->was.st_size;
	file->content = malloc(size + 1);
	if (file->content == NULL)
		return error_set(err, "reading %s: out of memory", file->path);
	got = whole_read(fd, file->content, size);
	if (got == -1)
		return error_sys(err, "reading %s", file->path);
	if ((size_t)got < size)
		return error_set(err, "%s shrank while it was read", file->path);
	file->len = size;
	file->content[file->len] = '\0';
	return 0;
}

static int read_content(struct trust_file *file, struct error *err)
{
	/* A FIFO must not hold us here. */
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int result;

	file->exists = fd != -1;
	if (fd == -1 && errno == ENOENT) {
		file->content = strdup("");
		return file->content != NULL ? 0 : error_set(err, "out of memory");
	}
	if (fd == -1)
		return error_sys(err, "opening %s", file->path);
	result = read_all(file, fd, err);
	close(fd);
	return result;
}

int trust_file_open(struct trust_file *file, const char *path, struct error *err)
{
	*file = (struct trust_file){.directory_fd = -1};
	if (resolve(file, path, err) == -1)
		return -1;
	file->directory_fd = open(file->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (file->directory_fd == -1)
		return error_sys(err, "opening %s", file->directory);
	/* The file itself is another one after each change, and a lock file would stay behind. */
	while (flock(file->directory_fd, LOCK_EX) == -1)
		if (errno != EINTR)
			return error_sys(err, "locking %s", file->directory);
	return read_content(file, err);
}

int trust_file_look(struct trust_file *file, const char *path, struct error *err)
{
	*file = (struct trust_file){.directory_fd = -1};
	return resolve(file, path, err) == -1 ? -1 : read_content(file, err);
}

void trust_file_close(struct trust_file *file)
{
	if (file->directory_fd != -1)
		close(file->directory_fd);
	free(file->content);
	free(file->directory);
	free(file->path);
	*file = (struct trust_file){.directory_fd = -1};
}

/* A temporary file beside the other, as whole as it can be made. The lock allows one fixed name, so that
 * what a crash has left goes with the next change. */
static int write_beside(const struct trust_file *file, const char *name, const char *text,
	size_t len, struct error *err)
{
	mode_t mode = file->exists ? file->was.st_mode & 07777 : 0644;
	struct stat now;
	int fd;

	unlinkat(file->directory_fd, name, 0);
	fd = openat(file->directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		0600);
	if (fd == -1)
		return error_sys(err, "making %s/%s", file->directory, name);
	if (fstat(fd, &now) == -1 ||
		(file->exists &&
			(now.st_uid != file->was.st_uid || now.st_gid != file->was.st_gid) &&
			fchown(fd, file->was.st_uid, file->was.st_gid) == -1)) {
		error_sys(err, "giving %s/%s the owner of %s", file->directory, name, file->path);
		goto fail;
	}
	if (fchmod(fd, mode) == -1 || whole_write(fd, text, len) == -1 || fsync(fd) == -1) {
		error_sys(err, "writing %s/%s", file->directory, name);
		goto fail;
	}
	if (close(fd) == 0)
		return 0;
	error_sys(err, "writing %s/%s", file->directory, name);
	unlinkat(file->directory_fd, name, 0);
	return -1;
fail:
	close(fd);
	unlinkat(file->directory_fd, name, 0);
	return -1;
}

/* An editor does not know of the lock. */
static bool was_changed(const struct trust_file *file)
{
	struct stat now;

	if (stat(file->path, &now) == -1)
		return file->exists;
	return !file->exists || now.st_ino != file->was.st_ino || now.st_dev != file->was.st_dev ||
	       now.st_size != file->was.st_size || now.st_mtim.tv_sec != file->was.st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != file->was.st_mtim.tv_nsec;
}

static int put_in_place(struct trust_file *file, const char *text, size_t len, struct error *err)
{
	const char *name = strrchr(file->path, '/') + 1;
	char temporary[NAME_MAX + 1];
	int written = snprintf(temporary, sizeof(temporary), ".%s.new", name);

	if (written < 0 || (size_t)written >= sizeof(temporary))
		return error_set(err, "the name %s is too long", name);
	if (write_beside(file, temporary, text, len, err) == -1)
		return -1;
	if (renameat(file->directory_fd, temporary, file->directory_fd, name) == -1) {
		error_sys(err, "putting the new %s in place", file->path);
		unlinkat(file->directory_fd, temporary, 0);
		return -1;
	}
	if (fsync(file->directory_fd) == -1)
		return error_sys(err, "%s is changed, but may not outlive a crash", file->path);
	return 0;
}

int trust_file_replace(struct trust_file *file, const char *text, size_t len, struct error *err)
{
	if (was_changed(file))
		return error_set(err,
			"%s was changed by somebody else meanwhile; look at it and try again",
			file->path);
	return put_in_place(file, text, len, err);
}

int trust_file_restore(struct trust_file *file, struct error *err)
{
	if (file->exists)
		return put_in_place(file, file->content, file->len, err);
	if (unlink(file->path) == -1 || fsync(file->directory_fd) == -1)
		return error_sys(err, "removing %s again", file->path);
	return 0;
}
