/*
 * The layout of an index file, and its writer. Numbers are big-endian, so that a file says the same
 * on every machine. For revocation_index.c, revocation_compile.c and the revocation process alone.
 *
 *	  0  magic "EASRVIDX"        72  thisUpdate, UNIX seconds
 *	  8  version                 80  nextUpdate, UNIX seconds
 *	 12  width of an entry       88  count of entries
 *	 16  authority key           96  SHA-256 of all before and all after it
 *	 48  CRL number, 4 zeros    128  entries, strictly ascending
 *
 * An entry is a serial (20), the CRLReason (1) and the revocation date in hours since 1970 (3; for
 * log lines only): 24 bytes.
 */
#ifndef AUTH_REVOCATION_FILE_H
#define AUTH_REVOCATION_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "auth/revocation_index.h"
#include "config/error.h"

enum {
	REVOCATION_FILE_VERSION = 1,
	REVOCATION_FILE_CHECKSUM_AT = 96,
	REVOCATION_FILE_CHECKSUM_SIZE = 32,
	REVOCATION_FILE_HEADER_SIZE = 128,
	REVOCATION_FILE_ENTRY_MAX =
		1 << 26, /* 1.5 GiB: far above any CRL, small enough to count with */
};

struct revocation_entry {
	struct serial serial;
	uint8_t reason;
	uint8_t hours[3];
};

/* The size of a file with so many entries as there may be. */
#define REVOCATION_FILE_SIZE_MAX                                                                   \
	(REVOCATION_FILE_HEADER_SIZE +                                                             \
		(uint64_t)REVOCATION_FILE_ENTRY_MAX * sizeof(struct revocation_entry))
_Static_assert(sizeof(struct revocation_entry) == 24, "an entry is what the file holds");

/* A date before 1970 becomes 1970, one too late the last hour that fits. */
void revocation_entry_set_date(struct revocation_entry *entry, int64_t date);
int64_t revocation_entry_date(const struct revocation_entry *entry);

/* Magic, version and width must fit; mapped_size is what the count asks for. 0 or -1. */
int revocation_file_decode(
	const uint8_t header[REVOCATION_FILE_CHECKSUM_AT], struct revocation_facts *facts);

/* The checksum of a header, and of facts->entry_count entries. 0 or -1. */
int revocation_file_sum(const uint8_t header[REVOCATION_FILE_CHECKSUM_AT],
	const struct revocation_entry *entries, uint64_t count,
	uint8_t sum[REVOCATION_FILE_CHECKSUM_SIZE]);

/* Writes facts->entry_count entries, sorted and without duplicates, from offset 0; sets
 * facts->mapped_size. On failure the file is cut to nothing. 0, or -1 with err filled. */
int revocation_file_write(int fd, struct revocation_facts *facts,
	const struct revocation_entry *entries, struct error *err);

#endif
