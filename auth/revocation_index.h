/*
 * The compiled revocation index of one authority: a sorted, fixed-width, checksummed file of
 * revoked serials, mapped read-only. Made by revocation_compile.h in the revocation process, looked
 * up by workers; a look-up is a binary search that touches no heap and makes no system call.
 */
#ifndef AUTH_REVOCATION_INDEX_H
#define AUTH_REVOCATION_INDEX_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/trust_store.h"
#include "config/error.h"
#include "config/refusal.h"

/* Seconds by which the clocks of a CA and of this host may differ. */
enum { REVOCATION_CLOCK_GRACE = 300 };

/* A certificate's serial number, RFC 5280 4.1.2.2: at most 20 octets; right-aligned, so that bytes
 * compare as numbers. Negative numbers (which some CAs issued) keep their two's complement of 20
 * octets, sign-extended. */
struct serial {
	uint8_t octets[20];
};

/* 0, or -1 for more than 20 octets. */
int serial_from_asn1(struct serial *serial, const ASN1_INTEGER *number);

/* Lower-case hex without leading zero octets, at least two digits. */
void serial_format(const struct serial *serial, char text[41]);

struct revocation_facts {
	uint8_t authority_key[32]; /* whose CRL: SHA-256 of the issuer's key and name */
	uint8_t crl_number[20];    /* right-aligned; zeros where the CRL has none */
	/* UNIX seconds. An index always has a nextUpdate: a CRL without one would never be too old,
	 * so it is refused. */
	int64_t this_update, next_update;
	uint64_t entry_count;
	uint64_t mapped_size;
};

struct revocation_index; /* opaque */

/* Checks magic, version, size, order and checksum. A memory file sealed against writing and
 * shrinking, which is what the revocation process hands out, is mapped, and all who open it share
 * its pages. Any other file could be cut or changed under the mapping (SIGBUS, or a look-up in what
 * was never checked), so it is copied into memory first. The descriptor is not kept and not closed.
 * NULL with err filled. issuer is for messages. */
struct revocation_index *revocation_index_open(int fd, const char *issuer, struct error *err);
void revocation_index_close(struct revocation_index *index);
const struct revocation_facts *revocation_index_facts(const struct revocation_index *index);

/* Whether the serial is in the index; *reason (may be NULL) gets the CRLReason (RFC 5280 5.3.1; 0
 * where none is given), *date the revocation date (UNIX seconds, cut to the hour; may be NULL). */
bool revocation_index_find(const struct revocation_index *index, const struct serial *serial,
	unsigned int *reason, int64_t *date);

/* What a worker knows of one authority; of all, by their numbers in the trust store. */
struct revocation_slot {
	bool is_configured;             /* the authority has a CRL location */
	uint8_t authority_key[32];      /* whose index belongs here */
	struct revocation_index *index; /* owned; NULL until the first one has come */
};

struct revocation_set {
	size_t count;
	struct revocation_slot *slots;
};

/* One slot per authority of the store, no index yet. 0, or -1 with err filled. */
int revocation_set_init(
	struct revocation_set *set, const struct trust_store *store, struct error *err);

/* Puts an index into the authority's slot, closing the one before. Takes the index over whatever
 * happens: 0, or -1 (index closed, err filled) when there is no such authority, it has no CRL
 * location, the index is another authority's (numbers may have changed at a reload), or its
 * thisUpdate is before that of the one there. */
int revocation_set_put(struct revocation_set *set, int authority, struct revocation_index *index,
	struct error *err);

/* Closes all indexes and frees the slots; the set is empty then. */
void revocation_set_clear(struct revocation_set *set);

/* DESIGN.md section 4, one row each: NONE (not revoked, or no location configured, which includes
 * authority -1: an issuer that is not in the store), CERTIFICATE_REVOKED, REVOCATION_UNAVAILABLE (no
 * index, or past nextUpdate, or not yet valid by more than 5 minutes, or a number that the set does
 * not know). No heap, no system call. */
enum refusal revocation_set_check(
	const struct revocation_set *set, int authority, const struct serial *serial, int64_t now);

#endif
