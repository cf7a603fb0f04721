/*
 * Files that the configuration names: read once into sealed memory files. For config/ alone; what
 * others need is config_file_read() in config/model.h.
 */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/model.h"

/* path, or where it stands from dir if it is relative. The caller frees it. */
char *file_path(const char *dir, const char *path);

/* Reads file->path into a sealed memory file, file->fd. Refuses what is not a regular file, is
 * empty or larger than size_max; with is_secret also what others than owner and group can read, or
 * others than the owner can write. -1 with err filled. */
int file_seal(struct config_file *file, size_t size_max, bool is_secret, struct error *err);

/* Wipes and frees what config_file_read() gave. NULL is allowed. */
void file_wipe(char *content, size_t len);

#endif
