/*
 * Values of an answer's fields as phones may have them. No I/O, no allocation. For workers.
 */
#ifndef PROXY_ANSWER_FIELD_H
#define PROXY_ANSWER_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/model.h"
#include "config/span.h"

/* Each fills text, NUL-terminated, and returns whether there is something left to say. */

/* Of a list of versions those that easproxyd knows, from min to max (121 is 12.1). */
bool answer_field_versions(
	struct span list, unsigned int min, unsigned int max, char *text, size_t size);

/* Of a list of commands those that are known and not closed (a mask, config/command.h). */
bool answer_field_commands(struct span list, uint32_t closed, char *text, size_t size);

/* Set-Cookie for our host: without Domain, with Path=/, Secure and HttpOnly. */
bool answer_field_cookie(struct span cookie, char *text, size_t size);

/* Whether the value of Retry-After is one: seconds of at most a day, or an HTTP date. */
bool answer_field_is_retry(struct span value);

/* Whether the value has the host of one of the endpoints in it, as a word of its own. */
bool answer_field_names_endpoint(struct span value, const struct config_upstream *upstream);

#endif
