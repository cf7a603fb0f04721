/*
 * Whether the authorities of a trust store chain up to its roots. For auth/trust_*.c.
 */
#ifndef AUTH_TRUST_PATH_H
#define AUTH_TRUST_PATH_H

#include "auth/trust_store.h"

struct trust_paths {
	X509_STORE *roots;
	STACK_OF(X509) * intermediates;
};

/* Borrows the certificates of the store. 0, or -1 when memory runs out; trust_paths_clear() is due in
 * any case. */
int trust_paths_make(struct trust_paths *paths, const struct trust_store *store);
void trust_paths_clear(struct trust_paths *paths);

/* Whether the certificate has a path to a root that is valid by RFC 5280, times left aside. 0, or -1
 * with err filled: "no valid path to a root: …". */
int trust_paths_check(const struct trust_paths *paths, X509 *certificate, struct error *err);

#endif
