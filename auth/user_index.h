/*
 * Users whose grounds were withdrawn ("user revoke"), compiled for workers: a sorted, fixed-width,
 * sealed memory file of (mailbox, valid-from), mapped read-only. Written by the control process, who
 * owns the state store; looked up by workers, without heap or system call.
 */
#ifndef AUTH_USER_INDEX_H
#define AUTH_USER_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/error.h"

struct user_entry {
	const char *mailbox; /* lower case */
	int64_t valid_from;  /* UNIX seconds: what was established before is void */
};

struct user_index; /* opaque */

/* A sealed memory file with these entries, in any order; -1 with err filled. The caller closes it. */
int user_index_write(const struct user_entry *entries, size_t count, struct error *err);

/* Maps it; the descriptor is not kept and not closed. A file that is not sealed, or not of this
 * version, is refused: NULL with err filled. */
struct user_index *user_index_open(int fd, struct error *err);
void user_index_close(struct user_index *index); /* NULL is allowed */
size_t user_index_count(const struct user_index *index);

/* Whether the mailbox (in lower case) is in the index, and since when. NULL index: never. */
bool user_index_find(const struct user_index *index, const char *mailbox, int64_t *valid_from);

#endif
