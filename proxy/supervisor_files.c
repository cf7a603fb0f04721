#include "proxy/supervisor_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONTROL_BACKLOG = 16 };

static bool is_empty(int directory)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	size_t count = 0;

	if (listing == NULL) {
		if (fd != -1)
			close(fd);
		return false;
	}
	while ((entry = readdir(listing)) != NULL)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(listing);
	return count == 0;
}

/* A directory that we or an administrator have just made belongs to root still. One with something
 * in it is left alone: it may be quite another, named by mistake. */
static int give_to_user(int fd, uid_t uid, gid_t gid, struct stat *st)
{
	if (st->st_uid == uid || st->st_uid != geteuid() || !is_empty(fd))
		return 0;
	return fchown(fd, uid, gid) == -1 ? -1 : fstat(fd, st);
}

/* Opens a directory below at, and makes it first where there is none. Owner and mode are looked at
 * through the descriptor, so nobody can swap the name in between. */
static int open_directory(int at, const char *name, uid_t uid, gid_t gid, struct error *err)
{
	struct stat st;
	int fd;

	if (mkdirat(at, name, 0700) == -1 && errno != EEXIST)
		return error_sys(err, "making the directory %s", name);
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return error_sys(err, "opening the directory %s", name);
	if (fstat(fd, &st) == -1 || give_to_user(fd, uid, gid, &st) == -1)
		error_sys(err, "giving the directory %s to its user", name);
	else if (st.st_uid != uid)
		error_set(err,
			"the directory %s belongs to user id %u: chown it to %u, or name "
			"another",
			name, (unsigned int)st.st_uid, (unsigned int)uid);
	else if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		error_set(err, "the directory %s can be written to by others: chmod go-w it", name);
	else
		return fd;
	close(fd);
	return -1;
}

int files_open_state(const struct config *config, uid_t uid, gid_t gid, int *state, int *spool,
	struct error *err)
{
	struct error cause;

	*spool = -1;
	*state = open_directory(AT_FDCWD, config->state_directory, uid, gid, &cause);
	if (*state == -1)
		return error_set(err, "state-directory: %s", cause.text);
	*spool = open_directory(*state, "spool", uid, gid, &cause);
	if (*spool != -1)
		return 0;
	close(*state);
	*state = -1;
	return error_set(err, "state-directory %s: %s", config->state_directory, cause.text);
}

static int make_parent(const char *path, struct error *err)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *parent;

	snprintf(copy, sizeof(copy), "%s", path);
	parent = dirname(copy);
	if (mkdir(parent, 0755) == -1 && errno != EEXIST)
		return error_sys(err, "making the directory of the control socket, %s", parent);
	return 0;
}

/* Takes away a socket that nobody listens on. */
static int remove_stale(const struct sockaddr_un *address, struct error *err)
{
	struct stat st;
	int probe, result;

	if (lstat(address->sun_path, &st) == -1)
		return errno == ENOENT ? 0 : error_sys(err, "looking at %s", address->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return error_set(
			err, "control socket: %s exists and is not a socket", address->sun_path);
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe == -1)
		return error_sys(err, "making a socket");
	result = connect(probe, (const struct sockaddr *)address, sizeof(*address));
	close(probe);
	if (result == 0 || errno == EAGAIN)
		return error_set(
			err, "control socket: another easproxyd listens on %s", address->sun_path);
	if (unlink(address->sun_path) == -1)
		return error_sys(err, "removing the old control socket %s", address->sun_path);
	return 0;
}

int files_open_control(const char *path, gid_t gid, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t mask;
	int fd, result;

	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(err, "control socket: %s is longer than %zu characters", path,
			sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path));
	if (make_parent(path, err) == -1 || remove_stale(&address, err) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return error_sys(err, "making the control socket");
	mask = umask(0117);
	result = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (result == -1 || lchown(path, (uid_t)-1, gid) == -1 ||
		listen(fd, CONTROL_BACKLOG) == -1) {
		error_sys(err, "opening the control socket %s", path);
		close(fd);
		return -1;
	}
	return fd;
}

int files_open_log(const struct config_log *config, struct error *err)
{
	int fd;

	if (config->file[0] == '\0')
		return STDERR_FILENO;
	fd = open(config->file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	return fd == -1 ? error_sys(err, "opening the log file %s", config->file) : fd;
}

int files_lock_pid(const char *path, struct error *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char text[24];
	int fd, len;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd == -1)
		return error_sys(err, "opening the pid file %s", path);
	if (fcntl(fd, F_SETLK, &lock) == -1) {
		if (errno == EACCES || errno == EAGAIN)
			error_set(err, "pid file %s: another easproxyd is running", path);
		else
			error_sys(err, "locking the pid file %s", path);
		close(fd);
		return -1;
	}
	len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) == -1 || pwrite(fd, text, (size_t)len, 0) != len) {
		error_sys(err, "writing the pid file %s", path);
		close(fd);
		return -1;
	}
	return fd;
}
