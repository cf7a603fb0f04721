/*
 * A judged certificate chain as JSON: what each certificate is, who issued it, and what revocation
 * says of it. For control_explain.c.
 */
#ifndef PROXY_EXPLAIN_CHAIN_H
#define PROXY_EXPLAIN_CHAIN_H

#include <jansson.h>
#include <openssl/x509.h>

#include "auth/revocation_set.h"
#include "auth/verify.h"

/* One object per link of the verdict, leaf first, then the root; only the leaf where no path holds. */
json_t *explain_chain(const struct trust_store *trust, const struct revocation_set *revocation,
	const struct verdict *verdict, X509 *leaf, STACK_OF(X509) * sent, int64_t now);

#endif
