/*
 * The trust store's file while it is changed: one process at a time, whole or not at all. For
 * easproxyctl; easproxyd only reads it.
 */
#ifndef AUTH_TRUST_FILE_H
#define AUTH_TRUST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "config/error.h"

struct trust_file {
	char *path;       /* owned; symbolic links resolved */
	char *directory;  /* owned: where it is */
	int directory_fd; /* holds the lock; -1: none */
	bool exists;
	char *content; /* owned: as it was when it was opened, with a NUL after it */
	size_t len;
	struct stat was;
};

/* Reads it, to be changed: waits until no other process has a file in that directory open so. A file that
 * does not exist yet is like an empty one. 0, or -1 with err filled; trust_file_close() is due in any
 * case. */
int trust_file_open(struct trust_file *file, const char *path, struct error *err);

/* Reads it only, and waits for nobody. */
int trust_file_look(struct trust_file *file, const char *path, struct error *err);
void trust_file_close(struct trust_file *file);

/* Puts the text in the file's place: after this (or a crash at any moment) it holds the old or the new one,
 * whole and on disk. Mode and owner stay; a new file gets 0644. Refuses where somebody else has changed the
 * file meanwhile. 0, or -1 with err filled. */
int trust_file_replace(struct trust_file *file, const char *text, size_t len, struct error *err);

/* Puts back what was there when it was opened, or nothing. 0, or -1 with err filled. */
int trust_file_restore(struct trust_file *file, struct error *err);

#endif
