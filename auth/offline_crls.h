/*
 * A heap of CRLs and delta CRLs of whatever authority, sorted into the revocation set of a trust store.
 * For offline.c alone.
 */
#ifndef AUTH_OFFLINE_CRLS_H
#define AUTH_OFFLINE_CRLS_H

#include "auth/offline_files.h"
#include "auth/revocation_set.h"
#include "auth/verify.h"

struct offline_crls; /* opaque */

struct offline_crls *offline_crls_new(offline_report *report, void *context);
void offline_crls_free(struct offline_crls *crls);

/* Adds those of a file or directory. 0, or -1 with err filled. */
int offline_crls_read(struct offline_crls *crls, const char *path, struct error *err);

/* Offers each CRL to every authority for which it could speak: its issuer's, and, where it is indirect and
 * the chain of verdict names its issuer, those of the chain. Then each delta to every CRL that it could
 * follow. Times are judged at now. What no authority can use is reported. 0, or -1 with err filled: memory
 * ran out, or an authority has more CRLs than can be looked at. */
int offline_crls_put(struct offline_crls *crls, const struct trust_store *store,
	const struct verdict *verdict, int64_t now, struct revocation_set *set, struct error *err);

#endif
