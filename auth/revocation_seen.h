/*
 * By which a CRL that was taken is known again: what the HTTP server said of it, and its digest. Kept
 * beside its index, so that a restart or a reload neither downloads nor compiles it again. For the
 * revocation process alone.
 */
#ifndef AUTH_REVOCATION_SEEN_H
#define AUTH_REVOCATION_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/revocation_fetch.h"
#include "auth/revocation_file.h"

enum { REVOCATION_SEEN_SUM_SIZE = 32 };

struct revocation_seen {
	bool has_sum;
	uint8_t sum[REVOCATION_SEEN_SUM_SIZE]; /* SHA-256 of what came */
	char etag[REVOCATION_VALIDATOR_SIZE];
	char last_modified[REVOCATION_VALIDATOR_SIZE];
};

/* Whether these bytes are the ones. seen knows them from now on, in any case. */
bool revocation_seen_knows(struct revocation_seen *seen, struct span crl);

/* In the state directory under that name, with the checksum of the index that was made of it: what is not of
 * the index at hand is not loaded. Both say nothing of failures: what is not known is fetched. */
void revocation_seen_save(const struct revocation_seen *seen,
	const uint8_t index_sum[REVOCATION_FILE_CHECKSUM_SIZE], int directory, const char *name);
void revocation_seen_load(struct revocation_seen *seen,
	const uint8_t index_sum[REVOCATION_FILE_CHECKSUM_SIZE], int directory, const char *name);

#endif
