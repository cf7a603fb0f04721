/*
 * The groups that rules of the policy name, as a directory's answers are compared with them. A group is
 * a distinguished name (RFC 4514), as it stands in memberOf, or any other text. For the backends of the
 * directory.
 */
#ifndef AUTH_DIRECTORY_GROUPS_H
#define AUTH_DIRECTORY_GROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "config/error.h"
#include "config/span.h"

enum { DIRECTORY_GROUPS_MAX = 64, DIRECTORY_GROUP_SIZE = 2048 /* of one in its form to compare */ };

struct directory_groups; /* opaque */

/* names are borrowed. NULL with err filled: a name cannot be one, or memory ran out. */
struct directory_groups *directory_groups_new(size_t count, char *const *names, struct error *err);
void directory_groups_free(struct directory_groups *groups);          /* NULL is allowed */
size_t directory_groups_count(const struct directory_groups *groups); /* 0 for NULL */

/* Bit n: it is the nth group. Of distinguished names the types of attributes and ASCII letters are
 * compared without case, blanks around the parts and ways of escaping do not matter; all else letter by
 * letter. */
uint64_t directory_groups_find(const struct directory_groups *groups, struct span value);

/* The nth as it was written, if it is a distinguished name; NULL: it is not. */
const char *directory_groups_dn(const struct directory_groups *groups, size_t n);

/* The form to compare, without a NUL. Returns its length, or -1: it is none, or does not fit. *is_dn:
 * whether it is that of a distinguished name. For this room and its tests. */
int directory_group_fold(struct span name, char out[DIRECTORY_GROUP_SIZE], int *is_dn);

#endif
