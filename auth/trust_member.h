/*
 * The members of an authority's JSON object by what they mean: Graph's names, those of the older
 * CertificateAuthorityInformation, and our own. For the files auth/trust_*.c alone.
 */
#ifndef AUTH_TRUST_MEMBER_H
#define AUTH_TRUST_MEMBER_H

#include <jansson.h>

#include "auth/trust_reader.h"

/* In the order in which they are written. */
enum trust_member {
	TRUST_IS_ROOT,
	TRUST_TYPE, /* authorityType: the older form of isRootAuthority */
	TRUST_CERTIFICATE,
	TRUST_CERTIFICATE_FILE,
	TRUST_CRL,
	TRUST_DELTA_CRL,
	TRUST_ISSUER,
	TRUST_ISSUER_SKI,
	TRUST_IS_CRL_SIGNER, /* our own from here on */
	TRUST_MORE_CRLS,
	TRUST_CHECK,
	TRUST_GRACE,
	TRUST_EXEMPT_UNTIL,
	TRUST_EXEMPT_REASON,
	TRUST_CRL_SIZE_LIMIT,
	TRUST_CRL_TIME_LIMIT,
	TRUST_OCSP,
	TRUST_OCSP_URL,
	TRUST_RULES,
	TRUST_MEMBER_COUNT
};

/* Graph's name or our own; authorityType for TRUST_TYPE. */
const char *trust_member_name(enum trust_member member);

/* The name in CertificateAuthorityInformation; our own where it has none. */
const char *trust_member_older_name(enum trust_member member);

/* Compares without case: PowerShell writes the older names with capitals. TRUST_MEMBER_COUNT: unknown. */
enum trust_member trust_member_find(const char *name);

/* Sorts the members of an object by what they mean, borrowed; null is the same as leaving it out. Warns
 * of unknown names, and reports members that are given twice. */
void trust_members_collect(
	struct trust_reader *reader, json_t *object, json_t *members[TRUST_MEMBER_COUNT]);

#endif
