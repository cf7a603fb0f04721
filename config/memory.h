/*
 * Memory for the configuration. Running out of it while a configuration is read ends the process:
 * there is nothing sensible to go on with. For config/ alone.
 */
#ifndef CONFIG_MEMORY_H
#define CONFIG_MEMORY_H

#include <stddef.h>

/* Zeroed; freed with free(). */
void *memory_get(size_t count, size_t size);

char *memory_copy(const char *text);
char *memory_copy_part(const char *text, size_t len);

/* Room for one more than count elements; the new one is not initialised. */
void *memory_grow(void *list, size_t count, size_t size);

#endif
