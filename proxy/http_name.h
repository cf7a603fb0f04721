/*
 * Names of fields as numbers: http_names.def. A name is looked up once, when its field is parsed; who
 * decides by a field compares numbers. For workers and eassim.
 */
#ifndef PROXY_HTTP_NAME_H
#define PROXY_HTTP_NAME_H

#include <stdint.h>

#include "config/span.h"

enum http_name {
	HTTP_NAME_OTHER, /* in no row */
#define HTTP_NAME(number, name) HTTP_NAME_##number,
#include "proxy/http_names.def"
#undef HTTP_NAME
	HTTP_NAME_COUNT
};

/* For sets of names. */
#define HTTP_NAME_BIT(number) (UINT64_C(1) << (number))

static inline bool http_name_is_in(uint64_t set, enum http_name name)
{
	return (set >> name & 1) != 0;
}

/* The number of a name, by its letters without case. */
enum http_name http_name_find(struct span name);

/* The number of the name that some server could take this one for: letters without case, and "_", "." and " "
 * read as "-". */
enum http_name http_name_find_like(struct span name);

/* In lower case, static; "" for HTTP_NAME_OTHER. */
const char *http_name_text(enum http_name name);

/* A byte of a field's name as a CGI-like server sees it: it turns all of these into one and the same
 * character. */
static inline uint8_t http_letter_folded(uint8_t byte)
{
	if (byte == '_' || byte == '.' || byte == ' ')
		return '-';
	return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

#endif
