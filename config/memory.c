#include "config/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *check(void *memory)
{
	if (memory == NULL) {
		fputs("easproxy: out of memory while reading the configuration\n", stderr);
		abort();
	}
	return memory;
}

void *memory_get(size_t count, size_t size)
{
	return check(calloc(count == 0 ? 1 : count, size));
}

char *memory_copy(const char *text)
{
	return check(strdup(text));
}

char *memory_copy_part(const char *text, size_t len)
{
	return check(strndup(text, len));
}

void *memory_grow(void *list, size_t count, size_t size)
{
	return check(reallocarray(list, count + 1, size));
}
