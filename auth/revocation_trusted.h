/*
 * A CRL, base or delta, whose signature holds: all checks that both kinds share. For the compiler and
 * the merger alone.
 */
#ifndef AUTH_REVOCATION_TRUSTED_H
#define AUTH_REVOCATION_TRUSTED_H

#include "auth/revocation_crl.h"

struct revocation_trusted {
	struct revocation_crl parts;
	uint8_t *owned; /* the DER, where it came as PEM */
};

/* Reads a CRL in DER or PEM, all but its entries, and checks form, times, kind, signer and signature.
 * Fills facts as those of a CRL alone, but for the counts. 0, or -1 with err filled;
 * revocation_trusted_clear() after both. */
int revocation_trusted_read(struct revocation_trusted *trusted, struct span crl,
	const struct revocation_signers *signers, int64_t now, struct revocation_facts *facts,
	struct error *err);
void revocation_trusted_clear(struct revocation_trusted *trusted);

#endif
