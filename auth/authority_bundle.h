/*
 * The certificates in a file as CAs hand them out: one in DER (.cer), some in PEM, or a PKCS#7 bundle
 * (.p7b) in DER or PEM. For easproxyctl.
 */
#ifndef AUTH_AUTHORITY_BUNDLE_H
#define AUTH_AUTHORITY_BUNDLE_H

#include <openssl/x509.h>

#include "config/error.h"
#include "config/span.h"

enum { AUTHORITY_BUNDLE_SIZE_MAX = 4 << 20 };

/* All of them, each once, in their order: at least one and at most AUTHORITY_MAX. The caller frees the
 * stack with its certificates. NULL with err filled. A signature of the bundle itself says nothing to us
 * and is not looked at. */
STACK_OF(X509) * authority_bundle_decode(struct span bytes, struct error *err);

/* The same from a regular file. */
STACK_OF(X509) * authority_bundle_read(const char *path, struct error *err);

#endif
