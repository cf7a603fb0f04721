/*
 * A base CRL that is good for less long than it says, because the delta CRL that belongs to it has not
 * come. For the revocation process alone.
 */
#ifndef AUTH_REVOCATION_LIMIT_H
#define AUTH_REVOCATION_LIMIT_H

#include "auth/revocation_index.h"

/* Copies the index to output_fd (a memory file, empty), with until for its nextUpdate where that is
 * the earlier one, and fills facts. 0, or -1 with err filled. */
int revocation_limit(const struct revocation_index *index, int64_t until, int output_fd,
	struct revocation_facts *facts, struct error *err);

#endif
