/*
 * Who vouches for whom among the authorities of the trust store and what a phone has sent, and the
 * paths that this makes from a leaf to a root: for the chains of which OpenSSL's builder, which never
 * turns back, finds only one that does not hold (cross-certificates, rolled-over keys without key
 * identifiers, several roots).
 *
 * Signatures are checked from the roots downward, so that no key is ever used that a trusted one has
 * not signed, and each pair of certificates is looked at once. A hostile phone thus costs at most
 * SEARCH_SIGNATURE_MAX signatures by keys of the trust store, and SEARCH_PATH_MAX paths. For verify*.c.
 */
#ifndef AUTH_VERIFY_GRAPH_H
#define AUTH_VERIFY_GRAPH_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#include "auth/trust_store.h"

enum {
	SEARCH_SIGNATURE_MAX = 64,
	SEARCH_PATH_MAX = 8,
	SEARCH_STEP_MAX = 512,
	SEARCH_SENT_MAX = 16, /* certificates beside the leaf; more are passed over */
};

struct verify_graph;

/* Looks at all signatures between the authorities. Borrows the store's certificates. NULL when memory
 * runs out. */
struct verify_graph *verify_graph_new(const struct trust_store *store);
void verify_graph_free(struct verify_graph *graph);

/* Whether both are certificates of the store's themselves, no copies, and issuer was found to have signed
 * subject. */
bool verify_graph_knows(const struct verify_graph *graph, const X509 *subject, const X509 *issuer);

struct verify_search;

/* sent may be NULL and have the leaf in it; all is borrowed until the search is freed. NULL when memory
 * runs out. */
struct verify_search *verify_search_new(const struct verify_graph *graph, X509 *leaf,
	const STACK_OF(X509) * sent, int depth, int64_t now);
void verify_search_free(struct verify_search *search);

/* The next path, leaf first and root last, in place of what path has; its certificates are borrowed.
 * First come those of authorities that are valid now, roots before intermediates, the trust store's
 * certificates before the phone's. *is_current says whether all authorities are. false: no more. */
bool verify_search_next(struct verify_search *search, STACK_OF(X509) * path, bool *is_current);

/* What the search has cost so far. */
unsigned int verify_search_signatures(const struct verify_search *search);

#endif
