/*
 * OCSP responses made in memory with OpenSSL, good ones and others. Everything here ends the program
 * when OpenSSL fails.
 */
#ifndef TESTS_UNIT_AUTH_OCSP_MAKER_H
#define TESTS_UNIT_AUTH_OCSP_MAKER_H

#include <openssl/ocsp.h>

#include "auth/ocsp.h"
#include "tests/unit/test_pki.h"

/* What to answer. Zero and NULL mean the usual: good, signed by the issuer with SHA-256, from a minute
 * ago for an hour. */
struct ocsp_spec {
	const struct pki *issuer; /* of the certificate asked about */
	long serial;
	const struct pki *signer;    /* NULL: the issuer */
	const struct pki *id_issuer; /* whom the CertID names; NULL: the issuer */
	const EVP_MD *id_digest;     /* NULL: SHA-1 */
	bool has_responder_key;      /* the responder is named by its key, not by its name */
	bool is_without_signer;      /* the signer's certificate is left out */
	const EVP_MD *digest;
	int status; /* V_OCSP_CERTSTATUS_… */
	int reason;
	bool is_single_twice;
	bool has_critical_extension;
	long this_update, next_update; /* seconds from now */
	bool has_no_next_update;
	const uint8_t *nonce; /* of OCSP_NONCE_SIZE */
	int other_serials;    /* so many more single responses in front */
	int64_t now;          /* 0: the clock's */
};

struct ocsp_der {
	uint8_t *data; /* the caller's, for OPENSSL_free() */
	size_t len;
};

static inline void ocsp_add(OCSP_BASICRESP *basic, const struct ocsp_spec *spec, long serial)
{
	time_t now = spec->now != 0 ? (time_t)spec->now : time(NULL);
	long from = spec->this_update != 0 ? spec->this_update : -60;
	long until = spec->next_update != 0 ? spec->next_update : 3600;
	ASN1_TIME *this_update = ASN1_GENERALIZEDTIME_adj(NULL, now, 0, from);
	ASN1_TIME *next_update = ASN1_GENERALIZEDTIME_adj(NULL, now, 0, until);
	ASN1_TIME *revoked_at = ASN1_GENERALIZEDTIME_adj(NULL, now, 0, -7200);
	const struct pki *issuer = spec->id_issuer != NULL ? spec->id_issuer : spec->issuer;
	ASN1_INTEGER *number = ASN1_INTEGER_new();
	OCSP_SINGLERESP *single;
	OCSP_CERTID *id;

	PKI_MUST(ASN1_INTEGER_set(number, serial) == 1);
	id = OCSP_cert_id_new(spec->id_digest != NULL ? spec->id_digest : EVP_sha1(),
		X509_get_subject_name(issuer->certificate),
		X509_get0_pubkey_bitstr(issuer->certificate), number);
	single = OCSP_basic_add1_status(basic, id, spec->status, spec->reason, revoked_at,
		this_update, spec->has_no_next_update ? NULL : next_update);
	PKI_MUST(single != NULL);
	if (spec->has_critical_extension)
		PKI_MUST(OCSP_SINGLERESP_add1_ext_i2d(single, NID_id_pkix_OCSP_archiveCutoff,
				 this_update, 1, X509V3_ADD_DEFAULT) == 1);
	OCSP_CERTID_free(id);
	ASN1_INTEGER_free(number);
	ASN1_TIME_free(this_update);
	ASN1_TIME_free(next_update);
	ASN1_TIME_free(revoked_at);
}

static inline OCSP_BASICRESP *ocsp_make_basic(const struct ocsp_spec *spec)
{
	const struct pki *signer = spec->signer != NULL ? spec->signer : spec->issuer;
	unsigned long flags = (spec->has_responder_key ? OCSP_RESPID_KEY : 0UL) |
			      (spec->is_without_signer ? OCSP_NOCERTS : 0UL);
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();

	for (int i = 0; i < spec->other_serials; i++)
		ocsp_add(basic, spec, 1000000 + i);
	ocsp_add(basic, spec, spec->serial);
	if (spec->is_single_twice)
		ocsp_add(basic, spec, spec->serial);
	if (spec->nonce != NULL)
		PKI_MUST(OCSP_basic_add1_nonce(
				 basic, (unsigned char *)spec->nonce, OCSP_NONCE_SIZE) == 1);
	PKI_MUST(OCSP_basic_sign(basic, signer->certificate, signer->key,
			 spec->digest != NULL ? spec->digest : EVP_sha256(), NULL, flags) == 1);
	return basic;
}

static inline struct ocsp_der ocsp_make(struct ocsp_spec spec)
{
	OCSP_BASICRESP *basic = ocsp_make_basic(&spec);
	OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	struct ocsp_der der = {NULL, 0};
	int len = i2d_OCSP_RESPONSE(response, &der.data);

	PKI_MUST(len > 0);
	der.len = (size_t)len;
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	return der;
}

/* Without an answer: OCSP_RESPONSE_STATUS_TRYLATER and its kin. */
static inline struct ocsp_der ocsp_make_error(int status)
{
	OCSP_RESPONSE *response = OCSP_response_create(status, NULL);
	struct ocsp_der der = {NULL, 0};
	int len = i2d_OCSP_RESPONSE(response, &der.data);

	PKI_MUST(len > 0);
	der.len = (size_t)len;
	OCSP_RESPONSE_free(response);
	return der;
}

#endif
