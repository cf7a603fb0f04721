/*
 * What is asked of an authority when an operator adds it, beyond what makes a trust store usable: that it
 * can serve at all. For easproxyctl.
 */
#ifndef AUTH_TRUST_STRENGTH_H
#define AUTH_TRUST_STRENGTH_H

#include "auth/trust_store.h"

/* RSA of at least 2048 bits, a curve of at least 256 bits, or EdDSA; below a root, no signature by a hash
 * weaker than SHA-256. 0, or -1 with err filled: "a key of 1024 bits; …". */
int trust_strength_check(const struct authority *authority, struct error *err);

/* "RSA 2048", "P-256", "Ed25519": the key, for people. */
void trust_strength_describe(X509 *certificate, char text[32]);

/* That number of the store is valid now, or will be, and has a path to a root. 0, or -1 with err
 * filled. */
int trust_standing_check(const struct trust_store *store, size_t number, struct error *err);

#endif
