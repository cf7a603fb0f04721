/*
 * The parts of a CRL (RFC 5280 5): what it says of itself, read from its DER without trust in it; its
 * entries are read by revocation_entries.h. For the other files of revocation alone.
 */
#ifndef AUTH_REVOCATION_CRL_H
#define AUTH_REVOCATION_CRL_H

#include <openssl/x509v3.h>

#include "auth/revocation_compile.h"
#include "config/error.h"
#include "config/span.h"

enum {
	REVOCATION_CRL_SIZE_MAX = 1 << 30,       /* OpenSSL's lengths are ints */
	REVOCATION_CRL_EXTENSION_COUNT_MAX = 64, /* of the CRL, and of one entry */
};

/* Spans are borrowed from the DER. */
struct revocation_crl {
	struct span signed_part; /* tbsCertList, with tag and length */
	struct span algorithm;
	struct span signature;
	struct span entries;
	bool is_v2;
	bool is_last_use; /* nobody reads the DER after its entries have been read, once */
	size_t size;
	X509_NAME *issuer;            /* owned */
	AUTHORITY_KEYID *signing_key; /* owned; NULL where it does not say */
	struct revocation_peek said;
};

/* All but the entries. 0, or -1 with err filled; revocation_crl_clear() after both. */
int revocation_crl_read(struct revocation_crl *crl, struct span der, struct error *err);
void revocation_crl_clear(struct revocation_crl *crl);

/* The DER of a CRL in DER or PEM; *owned, which the caller frees with OPENSSL_free(), is NULL where
 * it is the input itself. 0, or -1 with err filled. */
int revocation_crl_unwrap(struct span crl, struct span *der, uint8_t **owned, struct error *err);

/* An Extension (RFC 5280 4.1), borrowed. */
struct revocation_extension {
	struct span oid;
	bool is_critical;
	struct span value;
};

/* What a CRL or an entry may say in an extension, and whether it is for us to read. */
struct revocation_extension_row {
	uint8_t oid[10];
	uint8_t oid_len;
	bool is_read;
	const char *name;
};

/* A walk over Extensions: what was seen, and the row of the last one. */
struct revocation_extension_walk {
	const struct revocation_extension_row *rows;
	size_t row_count;
	struct span left;
	uint32_t seen;
	size_t count;
	size_t row;
	struct revocation_extension extension;
};

enum revocation_walk { REVOCATION_WALK_END, REVOCATION_WALK_READ, REVOCATION_WALK_ERROR };

/* The next extension that the caller is to read; those that are known and say nothing to us, and
 * unknown ones that are not critical, are passed over. An unknown critical one, and one that is there
 * twice, are errors. */
enum revocation_walk revocation_extension_next(
	struct revocation_extension_walk *walk, struct error *err);

#endif
