/*
 * Who signed a CRL: the certificate of the trust store under whose key its signature holds, and which
 * may sign it for the authority (RFC 5280 6.3.3 (f) and (g)). For the compiler and the merger alone.
 */
#ifndef AUTH_REVOCATION_SIGNER_H
#define AUTH_REVOCATION_SIGNER_H

#include "auth/revocation_crl.h"

/* The signer, borrowed from the store; NULL with err filled where there is none. */
X509 *revocation_signer_find(const struct revocation_signers *signers,
	const struct revocation_crl *crl, int64_t now, struct error *err);

#endif
