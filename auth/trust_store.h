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
 * Beside Graph's members there are our own, for what Entra has no words for: easproxy-trust(5) lists
 * them. Member names are compared without case; unknown ones are reported as warnings. Certificates are
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

enum {
	AUTHORITY_MAX = 256,
	CRL_LOCATION_MAX = 8,    /* of one authority: more than one where its CRL is partitioned */
	AUTHORITY_RULE_MAX = 32, /* of one authority */
};

/* Where a CRL is to be had. */
struct crl_location {
	char *url;       /* "": none */
	char *delta_url; /* "": none */
};

/* Whose revocation is looked at. */
enum authority_check {
	AUTHORITY_CHECK_CHAIN, /* every certificate that the authority has issued */
	AUTHORITY_CHECK_LEAF,  /* phones' certificates, but not those of subordinate authorities */
	AUTHORITY_CHECK_NONE,
};

enum authority_ocsp {
	AUTHORITY_OCSP_OFF,
	AUTHORITY_OCSP_SOFT, /* without an answer the CRL alone decides */
	AUTHORITY_OCSP_HARD, /* without an answer: refused */
};

/* Certificates with the policy may be used for these mailboxes alone. */
struct authority_rule {
	char *policy; /* dotted decimal; "": any certificate of the authority */
	size_t domain_count, mailbox_count;
	char **domains;   /* lower case */
	char **mailboxes; /* lower case */
};

struct authority {
	X509 *certificate; /* owned */
	/* The first is Graph's certificateRevocationListUrl and its delta. crls[0].url is "" where
	 * none is configured: no revocation check, as Entra. */
	size_t crl_count;
	struct crl_location crls[CRL_LOCATION_MAX];
	enum authority_check check;
	uint32_t grace_s;        /* after nextUpdate a CRL is still good for so long */
	int64_t exempt_until;    /* UNIX seconds until which nothing is checked; 0: no exemption */
	char *exempt_reason;     /* for people; "": none */
	uint64_t crl_size_limit; /* 0: as configured for all */
	uint32_t crl_time_limit_ms; /* 0: as configured for all */
	enum authority_ocsp ocsp;
	char *ocsp_url;    /* "": the one that the certificate names (AIA) */
	size_t rule_count; /* 0: may vouch for every mailbox */
	struct authority_rule *rules;
	uint8_t key[32]; /* SHA-256 of its key and name: revocation_authority_key() */
	char *issuer;    /* the subject as text, for messages; RFC 2253 */
	char key_id[65]; /* hex of the subjectKeyIdentifier, or of the key's SHA-1 without one
				   (longer identifiers: of their first 32 bytes); names its files */
	bool is_root;
	bool is_crl_signer; /* no CA: signs CRLs in an authority's place, and ends no path */
};

struct trust_store {
	size_t count;
	struct authority *authorities; /* a number of an authority is its place here */
};

typedef void trust_store_report(void *context, const char *text);

/* Reads the JSON text. Every fault is reported ("trust.json: authority 2: certificate: not a CA"),
 * not only the first; people count authorities from 1. base_dir: where certificateFile paths start.
 * NULL when anything is wrong: unreadable, not a CA, wrong root flag, no root at all, duplicate, two
 * certificates of one authority (same name and key) on different terms, one key identifier for two
 * authorities, URL of a scheme other than http, file and ldap. What may be meant so is reported
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

/* The rules of the authority that apply to a certificate that it has issued, as bits by their number:
 * those without a policy, and those whose policy the certificate asserts. anyPolicy asserts none. 0
 * where there are no rules, and for malformed policies. */
uint32_t trust_rules_match(const struct authority *authority, X509 *certificate);

/* Whether the authority may vouch for the mailbox with a certificate to which these rules apply: always
 * without any rules; else one of those that apply must name the mailbox or its domain. ASCII letters are
 * compared without case. No heap. */
bool trust_rules_allow(const struct authority *authority, uint32_t rules, const char *mailbox);

/* Whose grounds a change of the store takes away: bit n is set when authority n of old is missing in now
 * or is there on other terms: root or CRL signer, check, grace, exemption, CRL locations, OCSP, rules.
 * Not for other limits, another place in the file, or other members of a document. */
void trust_store_compare(const struct trust_store *old, const struct trust_store *now,
	uint64_t withdrawn[AUTHORITY_MAX / 64]);

/* The number of the (first) authority whose subject and key are those of certificate; -1 if none. */
int trust_store_find(const struct trust_store *store, X509 *certificate);

#endif
