/*
 * Paths within the trust store: from a certificate that signs CRLs up to a root (RFC 5280 6.3.3 (f)).
 * For the other files of revocation alone.
 */
#ifndef AUTH_REVOCATION_PATH_H
#define AUTH_REVOCATION_PATH_H

#include <stdint.h>

#include "auth/trust_store.h"

enum {
	REVOCATION_PATH_MAX = 12,
	REVOCATION_PATH_ANY_ROOT = -1,
};

/* Instead of a time: whether there is a path at all, as others may use one through the certificate.
 * Validity times do not count then, nor do name constraints on a name of its own, from which
 * self-issued certificates within a path are exempt (RFC 5280 6.1.4). */
static const int64_t REVOCATION_PATH_ANY_TIME = INT64_MIN;

struct revocation_paths; /* opaque: OpenSSL's view of a trust store */

/* Where paths may end: at one root of the store, or at any. The store is borrowed. NULL when memory
 * runs out. */
struct revocation_paths *revocation_paths_new(const struct trust_store *store, int root);
void revocation_paths_free(struct revocation_paths *paths);

/* The valid path of the store's certificate number from, as numbers, itself first, the root last;
 * every certificate in it is the store's. Returns how many there are, or -1 when there is no path. */
int revocation_path_find(
	const struct revocation_paths *paths, int from, int64_t at, int path[REVOCATION_PATH_MAX]);

#endif
