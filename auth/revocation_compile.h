/*
 * From a CRL (DER or PEM) to an index file. Verifies before it writes. Runs in the revocation
 * process and in easproxyctl; never on an event loop that serves phones.
 */
#ifndef AUTH_REVOCATION_COMPILE_H
#define AUTH_REVOCATION_COMPILE_H

#include "auth/revocation_index.h"
#include "auth/trust_store.h"
#include "config/error.h"
#include "config/span.h"

/* Who may have signed a CRL (RFC 5280 6.3.3 (f)) for an authority of the store: the authority itself;
 * another certificate of its name that may sign CRLs and has a path to each root that the authority
 * has one to; for an indirect CRL any certificate of the store that may sign CRLs and has such
 * paths. */
struct revocation_signers {
	const struct trust_store *store;
	int authority;
};

/* Checks the CRL (RFC 5280 5 and 6.3.3): version, a signer as above, the signature (RSA, RSA-PSS,
 * ECDSA or EdDSA, SHA-256 or stronger), no unknown critical extension in it or in an entry, not for
 * attribute certificates alone, no delta CRL, thisUpdate not in the future (5 minutes of grace), a
 * nextUpdate, number not below that of previous (may be NULL), thisUpdate not before previous's. Then
 * writes the index to output_fd (a regular file, empty; left empty when it fails). A nextUpdate in the
 * past is not an error here: revocation_set_check() refuses. 0, or -1 with err filled. Entries are
 * read from the DER as a stream: no OpenSSL object per entry. */
int revocation_compile(struct span crl, const struct revocation_signers *signers,
	const struct revocation_facts *previous, int64_t now, int output_fd,
	struct revocation_facts *facts, struct error *err);

/* The same where nobody needs the CRL's bytes any more: they lie in memory that was allocated, of which whole
 * pages are given back to the kernel as they are read, so that a CRL and its entries are never in memory
 * together. Their content is undefined afterwards, and the caller frees them as ever. */
int revocation_compile_last(struct span crl, const struct revocation_signers *signers,
	const struct revocation_facts *previous, int64_t now, int output_fd,
	struct revocation_facts *facts, struct error *err);

/* Merges a delta CRL, checked in the same way, into the index of its base (which may have a delta
 * merged already: what this one says of a certificate is then newer). RFC 5280 5.2.4: it must be by
 * the same issuer and of the same scope, start from a CRL no newer than the base, and be no older
 * than the base. previous (may be NULL): of the last merged index, which this one must not fall
 * behind. Entries with removeFromCRL are taken out. Writes a whole index, with facts of both. */
int revocation_merge(const struct revocation_index *base, struct span delta,
	const struct revocation_signers *signers, const struct revocation_facts *previous,
	int64_t now, int output_fd, struct revocation_facts *facts, struct error *err);

/* What a CRL says of itself, believed without a signature: for showing and sorting only. */
struct revocation_peek {
	bool is_pem;
	bool is_delta, has_number, has_freshest;
	uint8_t crl_number[20];
	uint8_t base_number[20];          /* of a delta: the CRL that it starts from */
	int64_t this_update, next_update; /* UNIX seconds; next_update 0: none */
	int64_t next_publish;             /* 0: none */
	struct revocation_scope scope;
};

/* False where it is no CRL that revocation_compile() could read at all. */
bool revocation_crl_peek(struct span crl, struct revocation_peek *peek);

/* The authority_key of an issuer: SHA-256 of its key and name. */
int revocation_authority_key(X509 *issuer, uint8_t key[32], struct error *err);

#endif
