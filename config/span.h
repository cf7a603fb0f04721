/*
 * Borrowed bytes. A span owns nothing, ends in no NUL, and lives no longer than the buffer that it
 * points into. For every room and every process.
 */
#ifndef CONFIG_SPAN_H
#define CONFIG_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct span {
	const uint8_t *data;
	size_t len;
};

/* For printf's "%.*s": the length as the int that it wants, and the characters. */
#define SPAN_PRINT(s) (int)(s).len, (const char *)(s).data

static inline struct span span_of(const void *data, size_t len)
{
	return (struct span){.data = data, .len = len};
}

static inline struct span span_of_string(const char *text)
{
	return span_of(text, strlen(text));
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Compares ASCII letters without case; other bytes as they are. */
static inline bool span_equal_nocase(struct span a, const char *text)
{
	return a.len == strlen(text) &&
	       (a.len == 0 || strncasecmp((const char *)a.data, text, a.len) == 0);
}

#endif
