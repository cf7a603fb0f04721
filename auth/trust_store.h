/*
 * The certificate authorities that may vouch for phones: one entry each, with the fields of Entra's
 * CertificateAuthorityInformation, read from one JSON file with the field names of Microsoft
 * Graph's certificateBasedAuthConfiguration:
 *
 *	{"certificateAuthorities": [{
 *		"isRootAuthority": true,
 *		"certificate": "base64 of the DER",
 *		"certificateRevocationListUrl": "http://…" or "file:/…",
 *		"deltaCertificateRevocationListUrl": "…",
 *		"issuer": "…", "issuerSki": "…"}]}
 *
 * issuer and issuerSki are derived and checked against the certificate when given; issuer, which
 * tools write in different ways, with a warning only. Graph's answer envelope ({"value": [{…}]}), a
 * bare list of authorities, and the older form (authorityType, trustedCertificate,
 * crlDistributionPoint, deltaCrlDistributionPoint, trustedIssuer, trustedIssuerSKI) are read too.
 * Member names are compared without case; unknown ones are reported as warnings. Certificates are
 * DER or PEM in base64, PEM as it is, or {"certificateFile": "path"} relative to the store.
 *
 * Read by the supervisor; used by workers and the revocation process, who inherit it by fork.
 */
#ifndef AUTH_TRUST_STORE_H
#define AUTH_TRUST_STORE_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/error.h"
#include "config/model.h"
#include "config/span.h"

enum { AUTHORITY_MAX = 256 };

struct authority {
	X509 *certificate; /* owned */
	bool is_root;
	char *crl_url;       /* "" where none is configured: no revocation check, as Entra */
	char *delta_crl_url; /* "" */
	char *issuer;        /* the subject as text, for messages; RFC 2253 */
	char key_id[65];     /* hex of the subjectKeyIdentifier, or of the key's SHA-1 without one
				   (longer identifiers: of their first 32 bytes); names its files */
};

struct trust_store {
	size_t count;
	struct authority *authorities; /* a number of an authority is its place here */
};

typedef void trust_store_report(void *context, const char *text);

/* Reads the JSON text. Every fault is reported ("trust.json: authority 2: certificate: not a CA"),
 * not only the first; people count authorities from 1. base_dir: where certificateFile paths start.
 * NULL when anything is wrong: unreadable, not a CA, wrong root flag, no root at all, duplicate, two
 * certificates of one authority (same name and key) with different CRL locations, one key identifier
 * for two authorities, URL of a scheme other than http and file. What may be meant so is reported
 * with "warning: " in front and kept: an expired CA, one without a valid path to a root. The caller
 * frees it. */
struct trust_store *trust_store_read(struct span json, const char *name, const char *base_dir,
	trust_store_report *report, void *context);
void trust_store_free(struct trust_store *store);

/* The same from the configured file, whose directory is base_dir. */
struct trust_store *trust_store_load(
	const struct config_file *file, trust_store_report *report, void *context);

/* A config_store_check: reads the file and throws the result away. 0, or -1 when it was reported
 * to be wrong. */
int trust_store_config_check(const struct config_file *file, config_report *report, void *context);

/* The number of the (first) authority whose subject and key are those of certificate; -1 if none. */
int trust_store_find(const struct trust_store *store, X509 *certificate);

#endif
