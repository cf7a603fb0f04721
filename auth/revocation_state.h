/*
 * What the revocation process keeps: indexes in sealed memory files that are handed out, and files
 * in the state directory for the next start. A file is there whole or not at all, whenever the
 * machine stops; who loads it checks its content.
 */
#ifndef AUTH_REVOCATION_STATE_H
#define AUTH_REVOCATION_STATE_H

#include <stdint.h>

#include "auth/revocation_file.h"
#include "auth/trust_store.h"
#include "config/span.h"

enum { REVOCATION_STATE_NAME_SIZE = 112 };

/* An empty memory file, -1 with err filled. The caller closes it. */
int revocation_state_create(struct error *err);

/* Seals it against every change. 0, or -1 with err filled. */
int revocation_state_seal(int fd, struct error *err);

/* The name of what is kept of one CRL: KEYID-URLHASH.KIND. The location is part of it, because the
 * parts of a partitioned CRL have numbers of their own. */
void revocation_state_name(const struct authority *authority, const char *url, const char *kind,
	char name[REVOCATION_STATE_NAME_SIZE]);

/* A sealed copy in memory of the file of that name, at most size_limit bytes: its descriptor, which
 * the caller closes. -1 with err filled; err->text is "" where there is none. */
int revocation_state_load(int directory, const char *name, uint64_t size_limit, struct error *err);

/* The same as bytes, which the caller frees. 0, or -1 as above. */
int revocation_state_load_bytes(int directory, const char *name, uint64_t size_limit,
	uint8_t **data, size_t *len, struct error *err);

/* Copies a memory file, or bytes, to a file of that name. 0, or -1 with err filled. */
int revocation_state_save(int directory, const char *name, int fd, struct error *err);
int revocation_state_save_bytes(
	int directory, const char *name, struct span bytes, struct error *err);

/* The checksum that stands in an index. 0, or -1 with err filled. */
int revocation_state_sum(int fd, uint8_t sum[REVOCATION_FILE_CHECKSUM_SIZE], struct error *err);

#endif
