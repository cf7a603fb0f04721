/*
 * CRLs in files: reading them, and noticing at once when another one has been put in place. For the
 * revocation process, and for easproxyctl where it looks at locations itself.
 */
#ifndef AUTH_REVOCATION_LOCAL_H
#define AUTH_REVOCATION_LOCAL_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "config/error.h"

/* The path in a file: URL ("file:/path", "file:///path", "file://localhost/path"; taken as it
 * stands, nothing is decoded), or NULL for what is none. Borrowed from the URL. */
const char *revocation_file_path(const char *url);

/* The content of a regular file; the caller frees *data. 0, or -1 with err filled. */
int revocation_file_read(
	const char *path, uint64_t size_limit, uint8_t **data, size_t *len, struct error *err);

/* Whether the file is still the one whose st this is: so that a large one is not read again for
 * nothing. *st is filled with what is there now; false, and zeros, where nothing is. */
bool revocation_file_is_same(const char *path, struct stat *st);

struct revocation_watch; /* opaque */

/* Something was put, changed or renamed in a directory that is watched. */
typedef void revocation_watch_changed(void *context);

/* The directories of files are watched, not the files: CAs rename a new one over the old. Has to be
 * made, and told of all directories, before the sandbox is entered. NULL with err filled. */
struct revocation_watch *revocation_watch_new(struct event_base *base,
	revocation_watch_changed *changed, void *context, struct error *err);
void revocation_watch_free(struct revocation_watch *watch); /* NULL is allowed */

/* Watches the directory of the file at path. -1 where that cannot be (it is not there yet, or the
 * kernel's limit is reached): the file is then looked at by time alone. */
int revocation_watch_add(struct revocation_watch *watch, const char *path);

#endif
