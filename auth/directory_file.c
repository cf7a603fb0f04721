#include "auth/directory_file.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/whole.h"

struct file {
	char *path;
	char *base; /* in path */
	int folder, inotify;
	struct stat seen; /* of what was read last, good or not */
	struct directory_groups *groups;
	struct directory_table *table;
};

struct first_fault {
	struct error *err;
	bool is_set;
};

static void keep_first(void *context, const char *text)
{
	struct first_fault *first = context;

	if (!first->is_set)
		error_set(first->err, "%s", text);
	first->is_set = true;
}

/* All of an open file, which the caller frees. NULL with err filled. */
static uint8_t *read_all(int fd, const char *path, const struct stat *status, struct error *err)
{
	size_t size = (size_t)status->st_size;
	uint8_t *bytes;
	ssize_t got;

	if (!S_ISREG(status->st_mode)) {
		error_set(err, "%s: not a regular file", path);
		return NULL;
	}
	if (status->st_size > DIRECTORY_FILE_SIZE_MAX) {
		error_set(
			err, "%s: larger than %d MB", path, DIRECTORY_FILE_SIZE_MAX / 1024 / 1024);
		return NULL;
	}
	bytes = malloc(size + 1);
	if (bytes == NULL) {
		error_sys(err, "reading %s", path);
		return NULL;
	}
	got = whole_read(fd, bytes, size);
	if (got == (ssize_t)size)
		return bytes;
	if (got == -1)
		error_sys(err, "reading %s", path);
	else
		error_set(err, "reading %s: it became shorter meanwhile", path);
	free(bytes);
	return NULL;
}

/* Opens from the folder, so that a renamed folder is still the one that was allowed. */
static struct directory_table *load(int folder, const char *base, const char *path,
	const struct directory_groups *groups, struct stat *status, config_report *report,
	void *report_context)
{
	struct directory_table *table = NULL;
	struct error err;
	uint8_t *bytes = NULL;
	int fd = openat(folder, base, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	memset(status, 0, sizeof(*status));
	if (fd == -1 || fstat(fd, status) == -1)
		error_sys(&err, "opening %s", path);
	else
		bytes = read_all(fd, path, status, &err);
	if (bytes != NULL)
		table = directory_table_parse(span_of(bytes, (size_t)status->st_size), path, groups,
			report, report_context);
	else
		report(report_context, err.text);
	free(bytes);
	if (fd != -1)
		close(fd);
	return table;
}

int directory_file_check(const char *path, config_report *report, void *report_context)
{
	struct stat status;
	struct directory_table *table =
		load(AT_FDCWD, path, path, NULL, &status, report, report_context);

	directory_table_free(table);
	return table != NULL ? 0 : -1;
}

static void file_close(void *state)
{
	struct file *file = state;

	directory_table_free(file->table);
	directory_groups_free(file->groups);
	if (file->inotify != -1)
		close(file->inotify);
	if (file->folder != -1)
		close(file->folder);
	free(file->path);
	free(file);
}

static int open_folder(struct file *file, const char *path, struct error *err)
{
	char folder[PATH_MAX];

	file->path = strdup(path);
	if (file->path == NULL) {
		error_sys(err, "opening %s", path);
		return -1;
	}
	file->base = basename(file->path);
	if (strlen(path) >= sizeof(folder))
		return error_set(err, "%.100s…: too long for a path", path);
	memcpy(folder, path, strlen(path) + 1);
	file->folder = open(dirname(folder), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (file->folder == -1)
		return error_sys(err, "opening the folder of %s", path);
	/* Of the folder, because a new file is renamed over the old one. */
	file->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (file->inotify == -1 ||
		inotify_add_watch(file->inotify, folder,
			IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR) == -1)
		return error_sys(err, "watching the folder of %s", path);
	return 0;
}

static void *file_open(const struct config_directory *config, struct error *err)
{
	struct file *file = calloc(1, sizeof(*file));
	struct first_fault first = {.err = err};

	if (file == NULL) {
		error_sys(err, "opening %s", config->file);
		return NULL;
	}
	file->folder = file->inotify = -1;
	file->groups = directory_groups_new(config->group_count, config->groups, err);
	if (file->groups != NULL && open_folder(file, config->file, err) == 0)
		file->table = load(file->folder, file->base, file->path, file->groups, &file->seen,
			keep_first, &first);
	if (file->table != NULL)
		return file;
	file_close(file);
	return NULL;
}

static void file_ask(
	void *state, const struct directory_question *question, struct directory_answer *answer)
{
	const struct file *file = state;

	directory_table_ask(file->table, question, answer);
}

static int file_watch_fd(const void *state)
{
	const struct file *file = state;

	return file->inotify;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_mode == b->st_mode;
}

/* What happened does not matter: the file itself is looked at. */
static void drain(int inotify)
{
	char events[4096];

	while (read(inotify, events, sizeof(events)) > 0)
		continue;
}

static int file_refresh(void *state, struct error *err)
{
	struct file *file = state;
	struct first_fault first = {.err = err};
	struct directory_table *table;
	struct stat status = {0};
	int fd;

	drain(file->inotify);
	fd = openat(file->folder, file->base, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1 || fstat(fd, &status) == -1)
		memset(&status, 0, sizeof(status));
	if (fd != -1)
		close(fd);
	if (is_same(&status, &file->seen))
		return 0;
	table = load(file->folder, file->base, file->path, file->groups, &file->seen, keep_first,
		&first);
	if (table == NULL)
		return -1;
	directory_table_free(file->table);
	file->table = table;
	return 1;
}

const struct directory_backend directory_file = {.open = file_open,
	.close = file_close,
	.ask = file_ask,
	.watch_fd = file_watch_fd,
	.refresh = file_refresh};
