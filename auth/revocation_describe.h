/*
 * What a CRL says of who made it, in words, believed without a signature. For easproxyctl.
 */
#ifndef AUTH_REVOCATION_DESCRIBE_H
#define AUTH_REVOCATION_DESCRIBE_H

#include "config/error.h"
#include "config/span.h"

struct revocation_words {
	char issuer[512]; /* RFC 2253 */
	char signing_key
		[65]; /* hex of the authorityKeyIdentifier's first 32 octets; "": it names none */
};

/* Of a CRL in DER or PEM. 0, or -1 with err filled where it is none that could be read at all. */
int revocation_crl_describe(struct span crl, struct revocation_words *words, struct error *err);

#endif
