/*
 * Path building and validation of a client certificate (RFC 5280 section 6, by OpenSSL) against the
 * trust store, and its verdict. The verdict leaves out what changes with time: validity times and
 * revocation are looked at afresh by verdict_check() at every use. Runs in workers.
 */
#ifndef AUTH_VERIFY_H
#define AUTH_VERIFY_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "auth/revocation_index.h"
#include "auth/san.h"
#include "auth/trust_store.h"
#include "config/error.h"
#include "config/model.h"
#include "config/refusal.h"

enum { VERDICT_CHAIN_MAX = 10 };

/* One certificate of the chain below a root, and the authority that issued it. */
struct verdict_link {
	int authority; /* its number in the trust store; -1: an intermediate that is not in the store
			  issued it, so no CRL location is configured */
	struct serial serial;
};

/* All that is worth remembering of a chain; a plain value, copied freely. */
struct verdict {
	uint8_t leaf_sha256[32];
	enum refusal refusal; /* NONE: the path holds */
	int64_t not_before, not_after; /* the chain's common validity, UNIX seconds */
	uint32_t link_count;
	struct verdict_link links[VERDICT_CHAIN_MAX]; /* leaf first */
	struct san_names names; /* empty unless the path holds */
	enum refusal names_refusal; /* why the names cannot be used; NONE: they can */
	char subject[256]; /* for logs: RFC 2253, escaped, cut at the end */
	char issuer[256];
	char reason[160]; /* for logs, when refused: OpenSSL's reason and depth */
};

struct verifier; /* OpenSSL's store and parameters, made once per trust epoch */

/* NULL with err filled. store is borrowed and must live as long. */
struct verifier *verifier_new(
	const struct trust_store *store, const struct config_trust *config, struct error *err);
void verifier_free(struct verifier *verifier);

/* The names for the CertificateRequest's certificate_authorities (RFC 8446 4.2.4): subjects of all
 * authorities. Owned by the caller. NULL when memory runs out. */
STACK_OF(X509_NAME) *verifier_ca_names(const struct verifier *verifier);

/* Builds and checks the path from leaf, with what the phone sent beside it (may be NULL). Fills all
 * of verdict, whose refusal it returns. Times are judged by verdict_check(), not here. */
enum refusal verifier_run(struct verifier *verifier, X509 *leaf, STACK_OF(X509) *sent,
	struct verdict *verdict);

/* Whether the verdict still holds now: its own refusal, then times, then revocation of every link
 * (links without a CRL location pass). No heap, no system call. */
enum refusal verdict_check(const struct verdict *verdict, const struct trust_store *store,
	const struct revocation_set *revocation, int64_t now);

#endif
