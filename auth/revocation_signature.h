/*
 * Signatures of CRLs: which algorithms count, and the check. For the revocation compiler alone.
 */
#ifndef AUTH_REVOCATION_SIGNATURE_H
#define AUTH_REVOCATION_SIGNATURE_H

#include <openssl/x509.h>

#include "config/error.h"
#include "config/span.h"

/* signed_part: DER of what was signed; algorithm: DER of the AlgorithmIdentifier; signature: content
 * of the BIT STRING, with its first octet. RSA (PKCS #1 and PSS), ECDSA and EdDSA with SHA-256, -384
 * and -512 count. 0, or -1 with err filled. */
int revocation_signature_check(struct span signed_part, struct span algorithm,
	struct span signature, X509 *issuer, struct error *err);

#endif
