/*
 * Names of CRL issuers and distribution points, brought to a fixed size so that they compare as
 * bytes: what a certificate says of where it can be found revoked, and what a CRL says of which
 * certificates it speaks for (RFC 5280 4.2.1.13, 5.2.5). For auth/, in every process.
 */
#ifndef AUTH_REVOCATION_SCOPE_H
#define AUTH_REVOCATION_SCOPE_H

#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/span.h"

/* The first half of the SHA-256 of a name in its canonical form: equal names, by RFC 5280 7.1 and
 * 7.4, have equal keys. Zeros: no name. */
struct name_key {
	uint8_t octets[16];
};

/* ReasonFlags (RFC 5280 4.2.1.13): bit n of the mask is bit n of the BIT STRING, 1 (keyCompromise) to
 * 8 (aACompromise). */
enum { REVOCATION_REASONS_ALL = 0x1fe };

/* One name of one distribution point of a certificate. Names of one point are alternatives. */
struct revocation_point {
	uint8_t link;               /* the certificate: its place in the chain, 0 for the leaf */
	uint8_t point;              /* the point, counted from 0 within its certificate */
	uint16_t reasons;           /* REVOCATION_REASONS_ALL where the point names none */
	struct name_key name;       /* zeros: the point has no name */
	struct name_key crl_issuer; /* zeros: the certificate's own issuer */
};

enum { REVOCATION_SCOPE_NAME_MAX = 8 };

/* Which certificates a CRL speaks for: its issuer, and its issuingDistributionPoint where it has
 * one. */
struct revocation_scope {
	bool only_user, only_ca, only_attributes, is_indirect;
	uint16_t reasons;       /* REVOCATION_REASONS_ALL where it names none */
	uint16_t name_count;    /* of its distribution point; 0: it speaks for every point */
	struct name_key issuer; /* who issued the CRL */
	struct name_key names[REVOCATION_SCOPE_NAME_MAX];
};

bool name_key_is_empty(const struct name_key *key);
bool name_key_equal(const struct name_key *a, const struct name_key *b);

/* 0, or -1 when memory runs out or a string in the name cannot be decoded. The key of a
 * directoryName is that of the name in it. */
int name_key_of_name(const X509_NAME *name, struct name_key *key);
int name_key_of_general_name(const GENERAL_NAME *name, struct name_key *key);

/* The distribution points of a certificate, as link: appends at most max - *count of them. A
 * nameRelativeToCRLIssuer is completed with the point's cRLIssuer or the certificate's issuer. Those
 * that do not fit are left out, which can only make a CRL not apply. 0, or -1: malformed. */
int revocation_points_read(X509 *certificate, uint8_t link, struct revocation_point *points,
	size_t max, size_t *count);

/* The DER of an issuingDistributionPoint into scope, whose issuer (that of the CRL, as name) is set
 * before. 0, or -1: malformed, or more than REVOCATION_SCOPE_NAME_MAX names. */
int revocation_scope_read(struct span der, const X509_NAME *issuer, struct revocation_scope *scope);

/* Whether both speak for the same certificates, whatever the order of their names: a delta must do so
 * to fit its base (RFC 5280 5.2.4). */
bool revocation_scope_equal(const struct revocation_scope *a, const struct revocation_scope *b);

/* RFC 5280 6.3.3 (b): whether the CRL speaks for certificates of issuer with that point. */
bool revocation_scope_has_point(const struct revocation_scope *scope, const struct name_key *issuer,
	const struct revocation_point *point);

/* Whether it speaks for CAs' certificates, or for others. */
bool revocation_scope_has_kind(const struct revocation_scope *scope, bool is_ca);

#endif
