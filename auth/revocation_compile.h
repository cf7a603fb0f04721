/*
 * From a CRL (DER or PEM) to an index file. Verifies before it writes. Runs in the revocation
 * process; never on an event loop that serves phones.
 */
#ifndef AUTH_REVOCATION_COMPILE_H
#define AUTH_REVOCATION_COMPILE_H

#include "auth/revocation_index.h"
#include "config/error.h"
#include "config/span.h"

/* Checks the CRL (RFC 5280 5 and 6.3.3): version, signature by issuer (RSA, RSA-PSS, ECDSA or EdDSA,
 * SHA-256 or stronger), issuer's name, key identifier and cRLSign, no unknown critical extension,
 * neither issuingDistributionPoint nor deltaCRLIndicator until they are supported, thisUpdate not in
 * the future (5 minutes of grace), a nextUpdate, number not below that of previous (may be NULL),
 * thisUpdate not before previous's. Then writes the index to output_fd (a regular file, empty; left
 * empty when it fails). A nextUpdate in the past is not an error here: revocation_set_check()
 * refuses. 0, or -1 with err filled. Entries are read from the DER as a stream: no OpenSSL object
 * per entry. */
int revocation_compile(struct span crl, X509 *issuer, const struct revocation_facts *previous,
	int64_t now, int output_fd, struct revocation_facts *facts, struct error *err);

/* The authority_key of an issuer. */
int revocation_authority_key(X509 *issuer, uint8_t key[32], struct error *err);

#endif
