#include "auth/revocation_local.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "config/whole.h"

/* Several events of one replacement are one change. */
enum { SETTLE_US = 20000, EVENTS_SIZE = 16384 };

struct revocation_watch {
	int fd;
	struct event *readable, *settled;
	revocation_watch_changed *changed;
	void *context;
};

const char *revocation_file_path(const char *url)
{
	const char *path;

	if (strncasecmp(url, "file:", 5) != 0)
		return NULL;
	path = url + 5;
	if (strncmp(path, "//", 2) == 0) {
		path += 2;
		if (strncasecmp(path, "localhost/", 10) == 0)
			path += 9;
	}
	return path[0] == '/' ? path : NULL;
}

static int file_read_open(
	int fd, uint64_t size_limit, uint8_t **data, size_t *len, struct error *err)
{
	struct stat st;
	ssize_t got;

	if (fstat(fd, &st) == -1)
		return error_sys(err, "reading it");
	if (!S_ISREG(st.st_mode))
		return error_set(err, "not a regular file");
	if ((uint64_t)st.st_size > size_limit)
		return error_set(
			err, "larger than the limit of %llu bytes", (unsigned long long)size_limit);
	*data = malloc((size_t)st.st_size + 1);
	if (*data == NULL)
		return error_set(err, "out of memory");
	got = whole_read(fd, *data, (size_t)st.st_size);
	if (got == -1) {
		error_sys(err, "reading it");
		free(*data);
		return -1;
	}
	*len = (size_t)got; /* if it was cut meanwhile, the compiler sees what is missing */
	return 0;
}

int revocation_file_read(
	const char *path, uint64_t size_limit, uint8_t **data, size_t *len, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int result;

	if (fd == -1)
		return error_sys(err, "opening it");
	result = file_read_open(fd, size_limit, data, len, err);
	close(fd);
	return result;
}

bool revocation_file_is_same(const char *path, struct stat *st)
{
	struct stat was = *st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	memset(st, 0, sizeof(*st));
	/* By descriptor: the sandbox allows no stat(2) of names. */
	if (fd == -1)
		return false;
	if (fstat(fd, st) == -1)
		memset(st, 0, sizeof(*st));
	close(fd);
	return st->st_ino != 0 && st->st_dev == was.st_dev && st->st_ino == was.st_ino &&
	       st->st_size == was.st_size && st->st_mtim.tv_sec == was.st_mtim.tv_sec &&
	       st->st_mtim.tv_nsec == was.st_mtim.tv_nsec &&
	       st->st_ctim.tv_sec == was.st_ctim.tv_sec &&
	       st->st_ctim.tv_nsec == was.st_ctim.tv_nsec;
}

/* What happened to which file is not read: that is seen by looking at the files. */
static void watch_on_readable(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval soon = {.tv_usec = SETTLE_US};
	struct revocation_watch *watch = arg;
	_Alignas(struct inotify_event) char events[EVENTS_SIZE];

	(void)what;
	while (read(fd, events, sizeof(events)) > 0)
		continue;
	if (evtimer_pending(watch->settled, NULL) == 0)
		evtimer_add(watch->settled, &soon);
}

static void watch_on_settled(evutil_socket_t fd, short what, void *arg)
{
	const struct revocation_watch *watch = arg;

	(void)fd;
	(void)what;
	watch->changed(watch->context);
}

struct revocation_watch *revocation_watch_new(struct event_base *base,
	revocation_watch_changed *changed, void *context, struct error *err)
{
	struct revocation_watch *watch = calloc(1, sizeof(*watch));

	if (watch == NULL) {
		error_set(err, "preparing to watch files: out of memory");
		return NULL;
	}
	watch->changed = changed;
	watch->context = context;
	watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->fd == -1) {
		error_sys(err, "preparing to watch files");
		revocation_watch_free(watch);
		return NULL;
	}
	watch->readable =
		event_new(base, watch->fd, EV_READ | EV_PERSIST, watch_on_readable, watch);
	watch->settled = evtimer_new(base, watch_on_settled, watch);
	if (watch->readable == NULL || watch->settled == NULL ||
		event_add(watch->readable, NULL) == -1) {
		error_set(err, "preparing to watch files: out of memory");
		revocation_watch_free(watch);
		return NULL;
	}
	return watch;
}

void revocation_watch_free(struct revocation_watch *watch)
{
	if (watch == NULL)
		return;
	if (watch->readable != NULL)
		event_free(watch->readable);
	if (watch->settled != NULL)
		event_free(watch->settled);
	if (watch->fd != -1)
		close(watch->fd);
	free(watch);
}

int revocation_watch_add(struct revocation_watch *watch, const char *path)
{
	char copy[PATH_MAX];

	if (strlen(path) >= sizeof(copy))
		return -1;
	memcpy(copy, path, strlen(path) + 1);
	return inotify_add_watch(
		       watch->fd, dirname(copy), IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR) == -1
		       ? -1
		       : 0;
}
