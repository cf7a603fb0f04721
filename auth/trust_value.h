/*
 * Single values of a trust store's JSON. Each reader takes a member's value, NULL where it is not
 * given, and its name; what is wrong is reported to the trust_reader. For the files auth/trust_*.c alone.
 */
#ifndef AUTH_TRUST_VALUE_H
#define AUTH_TRUST_VALUE_H

#include <jansson.h>

#include "auth/trust_reader.h"
#include "config/option.h"

/* "" where it is not given, NULL (reported) where it is no string. */
const char *trust_value_text(struct trust_reader *reader, json_t *value, const char *name);

/* The same as a copy of at most max printable characters, for the caller to free. */
char *trust_value_copy(struct trust_reader *reader, json_t *value, const char *name, size_t max);

/* A copy of a location that begins with one of the schemes ("http://", "file:/", NULL ends them). "" where
 * none is given; NULL (reported) where it cannot be used. */
char *trust_value_url(
	struct trust_reader *reader, json_t *value, const char *name, const char *const *schemes);

/* As in easproxy.conf: a size, a time or a choice, in a string. Leaves *number alone where it is not
 * given. */
void trust_value_number(struct trust_reader *reader, json_t *value, const char *name,
	const struct option *option, uint64_t *number);

/* ISO 8601. Leaves *moment alone where it is not given. */
void trust_value_moment(
	struct trust_reader *reader, json_t *value, const char *name, int64_t *moment);

#endif
