/*
 * Reading and writing that goes on until all is done, through interruptions and short counts. For every room and
 * every process.
 */
#ifndef CONFIG_WHOLE_H
#define CONFIG_WHOLE_H

#include <stddef.h>
#include <sys/types.h>

/* How much was read: size, or less where the file ends. -1 with errno. */
ssize_t whole_read(int fd, void *data, size_t size);

/* The same from a place in a file, whose offset (which others may share) stays. */
ssize_t whole_read_at(int fd, void *data, size_t size, off_t at);

/* 0 when all is written; -1 with errno. */
int whole_write(int fd, const void *data, size_t size);
int whole_write_at(int fd, const void *data, size_t size, off_t at);

#endif
