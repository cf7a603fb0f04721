/*
 * Where indexes live: a sealed memory file that is handed out, and a copy in the state directory
 * for the next start. For the revocation process alone.
 */
#ifndef AUTH_REVOCATION_STATE_H
#define AUTH_REVOCATION_STATE_H

#include <stdint.h>

#include "auth/revocation_file.h"
#include "auth/trust_store.h"

/* An empty memory file, -1 with err filled. The caller closes it. */
int revocation_state_create(struct error *err);

/* Seals it against every change. 0, or -1 with err filled. */
int revocation_state_seal(int fd, struct error *err);

/* The authority's index of the last run, checked and copied into a sealed memory file: its
 * descriptor, which the caller closes, with facts filled. -1 with err filled; err->text is "" where
 * there is none. */
int revocation_state_load(int directory, const struct authority *authority,
	struct revocation_facts *facts, struct error *err);

/* Copies a sealed index to KEYID.index, so that it is there whole or not at all, whenever the
 * machine stops. 0, or -1 with err filled. */
int revocation_state_save(
	int directory, const struct authority *authority, int fd, struct error *err);

/* The checksum that stands in an index. 0, or -1 with err filled. */
int revocation_state_sum(int fd, uint8_t sum[REVOCATION_FILE_CHECKSUM_SIZE], struct error *err);

#endif
