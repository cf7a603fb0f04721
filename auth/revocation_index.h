/*
 * The compiled revocation index of one CRL: a sorted, fixed-width, checksummed file of revoked
 * serials, mapped read-only. Made by revocation_compile.h, of a base or of a base and a delta, in the
 * revocation process, looked up by workers; a look-up touches no heap and makes no system call. What
 * the indexes of an authority say together is the business of revocation_set.h.
 */
#ifndef AUTH_REVOCATION_INDEX_H
#define AUTH_REVOCATION_INDEX_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/revocation_scope.h"
#include "config/error.h"

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

/* What is known of a CRL, or of a base CRL with a delta merged into it. Times are UNIX seconds. */
struct revocation_facts {
	uint8_t authority_key[32]; /* whose certificates it is for: revocation_authority_key() */
	uint8_t signer_key[32];    /* and of the certificate whose key signed it */
	uint8_t crl_number[20];    /* of the base; right-aligned; zeros where the CRL has none */
	uint8_t delta_number[20];  /* of the delta */
	bool has_number, has_delta;
	/* The effective date: the newer of base and delta. An index always has a nextUpdate, the
	 * earlier of both: a CRL without one would never be too old, so it is refused. */
	int64_t this_update, next_update;
	int64_t next_publish; /* when the next CRL is to be had (1.3.6.1.4.1.311.21.4); 0: not said */
	int64_t base_this_update;
	uint64_t entry_count;
	uint64_t size_bytes; /* of the CRL in DER, of base and delta together */
	uint64_t mapped_size;
	struct revocation_scope scope;
};

/* What was found of a revoked certificate. */
struct revocation_finding {
	unsigned int reason;     /* CRLReason (RFC 5280 5.3.1); 0 where none is given */
	int place;               /* which of its authority's CRL locations told, counted from 0 */
	int64_t date;            /* UNIX seconds, cut to the hour */
	int64_t invalidity_date; /* UNIX seconds; 0: not given */
};

struct revocation_index; /* opaque */

/* Opens an index. A memory file that is sealed against every change, which is what the revocation
 * process hands out once it has checked it, is mapped: only its header and the bounds of its tables
 * are looked at, which takes the same time whatever its size, and all who open it share its pages.
 * Even if it lied about its order, a look-up would read nothing outside it. Any other file could be
 * cut or changed under the mapping, so it is copied into memory and checked whole
 * (revocation_index_check()). The descriptor is not kept and not closed. NULL with err filled. issuer
 * is for messages. */
struct revocation_index *revocation_index_open(int fd, const char *issuer, struct error *err);
void revocation_index_close(struct revocation_index *index); /* NULL is allowed */

/* Closes a large index little by little, as unmapping a million entries takes more than a
 * millisecond: gives back a part of its memory, after which it can only be closed. False once all is
 * given back, and the index with it. */
bool revocation_index_close_part(struct revocation_index *index);

const struct revocation_facts *revocation_index_facts(const struct revocation_index *index);

/* Reads all of an index: its checksum, and that its entries and tables are in order. 0, or -1 with err
 * filled. */
int revocation_index_check(
	const struct revocation_index *index, const char *issuer, struct error *err);

/* Whether the certificate with that serial, of that issuer (NULL: the CRL's own), is in the index.
 * finding (may be NULL) is filled but for its place where it is. */
bool revocation_index_find(const struct revocation_index *index, const struct name_key *issuer,
	const struct serial *serial, struct revocation_finding *finding);

#endif
