/*
 * Questions to OCSP responders and what their answers are worth (RFC 6960, profile of RFC 5019):
 * pure functions over bytes, no I/O, no clock of their own. For the revocation process, for
 * easproxyctl, and (the types) for workers.
 */
#ifndef AUTH_OCSP_H
#define AUTH_OCSP_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/revocation_index.h"
#include "config/error.h"
#include "config/span.h"

enum {
	OCSP_URL_MAX = 511,
	OCSP_REQUEST_MAX = 512,
	OCSP_NONCE_SIZE = 32,             /* RFC 9654 */
	OCSP_RESPONSE_MAX = 64 * 1024,    /* larger ones are not looked at */
	OCSP_WITHOUT_NEXT_UPDATE_S = 300, /* RFC 6960 4.2.2.1: "newer information is available all
					     the time"; good for so long after thisUpdate */
};

enum ocsp_status {
	OCSP_UNAVAILABLE, /* no responder, no answer in time, or not a good one */
	OCSP_GOOD,
	OCSP_REVOKED,
	OCSP_UNKNOWN, /* the responder does not know the certificate */
	OCSP_STATUS_COUNT
};

/* What a responder said of one certificate. Zeroed: UNAVAILABLE. */
struct ocsp_result {
	enum ocsp_status status;
	int64_t this_update,
		next_update; /* UNIX seconds; next_update is derived where there is none */
	int64_t revoked_at;  /* when REVOKED */
	unsigned int reason; /* CRLReason, RFC 5280 5.3.1; 0 where none is given */
	/* A delegate without id-pkix-ocsp-nocheck signed it (RFC 6960 4.2.2.2.1): the answer counts
	 * while the delegate is not on the CRL of the authority. */
	uint8_t has_delegate; /* 0 or 1: it travels in a message */
	struct serial delegate;
};

/* A question about one certificate. */
struct ocsp_request {
	uint8_t der[OCSP_REQUEST_MAX];
	size_t len;
	uint8_t nonce[OCSP_NONCE_SIZE];
	bool has_nonce;
};

/* CertIDs are made with SHA-1, the only hash that all responders look certificates up by (RFC 5019
 * 2.1.1); nothing rests on it, since only the issuer's own responders are believed. A serial of 20
 * octets whose first bit is set is taken for a positive number that its CA made too long, except
 * where it begins with 16 bits set. 0, or -1 with err filled. */
int ocsp_request_make(struct ocsp_request *request, X509 *issuer, const struct serial *serial,
	bool has_nonce, struct error *err);

/* Where to GET the answer (RFC 6960 A.1), for caches on the way: false where that would be longer
 * than 255 octets (RFC 5019 5), base has a query, or the question has a nonce; it is POSTed then. */
bool ocsp_request_url(const struct ocsp_request *request, const char *base, char url[256]);

/* What the response says of the certificate. It counts only when all of this holds: DER to its last
 * byte, at most 64 kB; status successful; a basic response; exactly one single response with the
 * question's whole CertID; no critical extension; signed, with SHA-256 or better, by the issuer's key
 * or by a delegate that the issuer itself has certified for id-kp-OCSPSigning and that is valid now;
 * thisUpdate not in the future and nextUpdate not past, each by more than REVOCATION_CLOCK_GRACE; the
 * question's nonce, if it has one. 0, or -1 with err filled and result zeroed. */
int ocsp_response_check(struct span bytes, const struct ocsp_request *request, X509 *issuer,
	const struct serial *serial, int64_t now, struct ocsp_result *result, struct error *err);

/* Whether an answer that was accepted is still good. */
static inline bool ocsp_result_is_current(const struct ocsp_result *result, int64_t now)
{
	return result->status != OCSP_UNAVAILABLE &&
	       now <= result->next_update + REVOCATION_CLOCK_GRACE;
}

/* "http://HOST…" of printable ASCII, at most OCSP_URL_MAX octets: what a responder may be asked at.
 * https: would need another chain to be judged, and answers are signed (RFC 5019 5). */
bool ocsp_url_is_usable(const char *url);

/* The certificate's first responder (authorityInfoAccess, RFC 5280 4.2.2.1) that can be used; "": none.
 * The certificate must have been verified: its authority is who sends us there. */
void ocsp_url_read(X509 *certificate, char url[OCSP_URL_MAX + 1]);

#endif
