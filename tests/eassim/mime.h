/* The little of RFC 5322 that a mail between simulated phones needs. */
#ifndef EASSIM_MIME_H
#define EASSIM_MIME_H

#include <stdbool.h>
#include <stddef.h>

#include "config/span.h"

/* The value of a header field of the message, unfolded, cut to the size; false where there is none. */
bool mime_field(struct span message, const char *name, char *value, size_t size);

/* What follows the empty line. */
struct span mime_body(struct span message);

/* The next address of a list such as "A <a@x>, b@y"; moves *list on; false at its end. */
bool mime_next_address(const char **list, char *address, size_t size);

#endif
