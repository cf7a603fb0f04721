/*
 * What an OCSP answer means for a certificate under its authority's terms. The same for workers, who
 * shut phones out by it, and for the control process, which explains.
 */
#ifndef AUTH_OCSP_JUDGE_H
#define AUTH_OCSP_JUDGE_H

#include "auth/ocsp.h"
#include "auth/revocation_set.h"
#include "auth/trust_store.h"
#include "config/refusal.h"

/* Whether a responder is asked about a certificate of the authority; url: the one that the certificate
 * names, "" for none. */
bool ocsp_judge_is_asked(const struct authority *authority, const char *url);

/* Whether the answer about a certificate of that authority (a number of the set) counts: it is current,
 * and its delegate is not on the CRL (RFC 6960 4.2.2.2.1). */
bool ocsp_judge_counts(const struct ocsp_result *result, const struct revocation_set *revocation,
	uint32_t authority, int64_t now);

/* NONE, CERTIFICATE_REVOKED or OCSP_UNAVAILABLE. terms: of the authority that is asked about, whose number
 * is authority. A revocation holds past its answer's end. */
enum refusal ocsp_judge(const struct authority *terms, const struct ocsp_result *result,
	const struct revocation_set *revocation, uint32_t authority, int64_t now);

#endif
