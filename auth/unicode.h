/*
 * Text from certificates and directories that may have more than ASCII: whether it is what it looks
 * like, and one form of it to compare. Uses GNU libunistring (character properties, normalization)
 * and libidn2 (domain names). In workers and the identity process.
 */
#ifndef AUTH_UNICODE_H
#define AUTH_UNICODE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/span.h"

enum { UNICODE_DOMAIN_MAX = 255 }; /* RFC 5321 4.5.3.1.2 */

/* Whether the bytes are UTF-8 of characters that can be seen and that mean nothing beside what they
 * show: no control characters, no bidirectional or zero-width formatting, no other character that is
 * ignored when shown, no separators, nothing private or unassigned. Empty is fine. with_space: U+0020
 * may be among them. */
bool unicode_is_plain(struct span text, bool with_space);

/* Whether a character that is not ASCII is a variant of one that is, or of several (fullwidth letters,
 * ligatures): somewhere on the way it may become that one. */
bool unicode_hides_ascii(struct span text);

bool unicode_is_ascii(struct span text);

/* The text in Normalization Form C, NUL-terminated, with ASCII letters in lower case and all others as
 * they are; folded again, it stays as it is. Returns its length, or -1 where it is not UTF-8 or does not
 * fit (what out has then means nothing). */
int unicode_fold(struct span text, char *out, size_t size);

/* A domain name of labels as registered (letters, digits and hyphens; U-labels and A-labels of
 * IDNA 2008, RFC 5891), as lower-case A-labels. Returns its length, or -1: not one. */
int unicode_domain(struct span domain, char out[UNICODE_DOMAIN_MAX + 1]);

#endif
