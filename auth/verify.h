/*
 * Path building and validation of a client certificate (RFC 5280 section 6, by OpenSSL) against the
 * trust store, and its verdict. The verdict leaves out what changes with time: validity times and
 * revocation are looked at afresh by verdict_check() at every use. Runs in workers.
 */
#ifndef AUTH_VERIFY_H
#define AUTH_VERIFY_H

#include <openssl/x509.h>
#include <stdint.h>

#include "auth/identity_names.h"
#include "auth/ocsp.h"
#include "auth/revocation_set.h"
#include "auth/trust_store.h"
#include "config/error.h"
#include "config/model.h"
#include "config/refusal.h"

enum {
	VERDICT_CHAIN_MAX = 10,
	VERDICT_POINT_MAX = 16, /* names of distribution points, of the whole chain */
};

/* One certificate of the chain below a root, and the authority that issued it. */
struct verdict_link {
	int16_t authority; /* its number in the trust store; -1: an intermediate that is not in the store
			  issued it, so no CRL location is configured */
	bool is_ca;        /* may itself issue certificates */
	struct serial serial;
};

/* All that is worth remembering of a chain; a plain value, copied freely. */
struct verdict {
	uint8_t leaf_sha256[32];
	enum refusal refusal;          /* NONE: the path holds */
	int64_t not_before, not_after; /* the chain's common validity, UNIX seconds */
	int64_t leaf_not_before;       /* the leaf's own */
	uint32_t link_count;
	struct verdict_link links[VERDICT_CHAIN_MAX]; /* leaf first */
	/* Where the chain's certificates say that their revocation is published; of each link the
	 * points stand together. */
	uint32_t point_count;
	struct revocation_point points[VERDICT_POINT_MAX];
	/* Bit n: rule n of the leaf's issuing authority speaks of it, because the rule has no policy
	 * or one for which the whole path is valid. For trust_rules_allow(). */
	uint32_t rules;
	char ocsp_url[OCSP_URL_MAX + 1]; /* the leaf's first http: OCSP responder (AIA); "": none */
	struct identity_names names;     /* empty unless the path holds */
	/* Why the names cannot be used (the refusal, where the path does not hold); NONE: they can, if
	 * there are any. */
	enum refusal names_refusal;
	char subject[256]; /* for logs: RFC 2253, escaped, cut at the end */
	char issuer[256];
	char reason[160]; /* for logs, when refused: OpenSSL's reason and depth */
};

struct verifier; /* OpenSSL's store and parameters, made once per worker */

/* NULL with err filled. store is borrowed and must live as long. */
struct verifier *verifier_new(
	const struct trust_store *store, const struct config_trust *config, struct error *err);
void verifier_free(struct verifier *verifier);

/* The names for the CertificateRequest's certificate_authorities (RFC 8446 4.2.4): subjects of all
 * authorities, each once; an empty list, which lets phones offer any certificate, where they are too
 * long for a handshake. Owned by the caller. NULL when memory runs out. */
STACK_OF(X509_NAME) * verifier_ca_names(const struct verifier *verifier);

/* Builds and checks the path from leaf at now (UNIX seconds), with what the phone sent beside it (may
 * be NULL; the leaf may be among it; more than VERDICT_CHAIN_MAX others, or one larger than 16 KiB, is
 * refused). Only roots of the trust store end a path. RFC 5280 6.1 by OpenSSL in its strict mode, with
 * the policies and algorithms of the configuration, name constraints of Principal Names too, and of the
 * leaf more than OpenSSL asks: it must not be a CA's, must have an extended key usage with clientAuth (or
 * any; without require-client-auth: or none at all), and digitalSignature where it has a key usage.
 * Fills all of verdict, whose refusal it returns.
 *
 * OpenSSL's builder never turns back. Where its path does not hold, others are looked for, with a bound
 * on what a hostile phone can make this cost: see verify_graph.h.
 *
 * Times are judged by verdict_check(), not here; but where there is a choice, certificates that are
 * valid now make the path. So a verdict that verdict_check() finds expired is worth one more run: an
 * authority may have renewed its certificate. */
enum refusal verifier_run(struct verifier *verifier, X509 *leaf, STACK_OF(X509) * sent, int64_t now,
	struct verdict *verdict);

/* What of a verdict has to be looked at again and again; links and points are borrowed. */
struct verdict_links {
	const struct verdict_link *leaf, *above; /* above: the others, from the leaf's issuer on */
	const struct revocation_point *points;
	uint32_t count, point_count;
	int64_t not_before, not_after; /* UNIX seconds */
};

struct verdict_links verdict_links_of(const struct verdict *verdict);

/* Link i of the chain, 0 for the leaf. */
static inline const struct verdict_link *verdict_link_at(
	const struct verdict_links *links, uint32_t i)
{
	return i == 0 ? links->leaf : &links->above[i - 1];
}

/* Whether a path that held still holds now: times, then revocation of every link. A link whose
 * issuer has no CRL location in store passes; one whose issuer is not in the store at all passes
 * only if no authority above it has a location either, and is ISSUER_UNKNOWN otherwise. One with a
 * location of which revocation knows nothing is refused. No heap, no system call. */
enum refusal verdict_links_check(const struct verdict_links *links, const struct trust_store *store,
	const struct revocation_set *revocation, int64_t now);

/* What a refusal for revocation is about. */
struct verdict_finding {
	uint32_t link;                        /* which certificate of the chain; 0 for the leaf */
	struct revocation_finding revocation; /* filled where it is CERTIFICATE_REVOKED */
};

/* The same, and says of what a refusal for revocation speaks; finding may be NULL. */
enum refusal verdict_links_explain(const struct verdict_links *links,
	const struct trust_store *store, const struct revocation_set *revocation, int64_t now,
	struct verdict_finding *finding);

/* Whether the verdict still holds now: its own refusal, then as verdict_links_check(). */
enum refusal verdict_check(const struct verdict *verdict, const struct trust_store *store,
	const struct revocation_set *revocation, int64_t now);

#endif
