/*
 * Authorities and CRLs made in memory with OpenSSL, for tests, fuzz targets and benches of
 * revocation. Everything here ends the program when OpenSSL fails.
 */
#ifndef TESTS_UNIT_AUTH_CRL_MAKER_H
#define TESTS_UNIT_AUTH_CRL_MAKER_H

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "config/span.h"

struct maker_ca {
	EVP_PKEY *key;
	X509 *certificate;
};

static inline void maker_must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "cannot make test data: %s\n", what);
	exit(3);
}

static inline void maker_extension(X509 *certificate, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	maker_must(extension != NULL && X509_add_ext(certificate, extension, -1) == 1, value);
	X509_EXTENSION_free(extension);
}

/* A self-signed CA. The key is taken over. key_usage NULL: none. */
static inline struct maker_ca maker_ca_with_key(
	EVP_PKEY *key, const char *common_name, const char *key_usage)
{
	struct maker_ca ca = {.key = key, .certificate = X509_new()};
	X509_NAME *name = X509_NAME_new();
	const EVP_MD *digest = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();

	maker_must(key != NULL && ca.certificate != NULL && name != NULL, "a CA");
	X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0);
	X509_set_version(ca.certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(ca.certificate), 1);
	X509_set_subject_name(ca.certificate, name);
	X509_set_issuer_name(ca.certificate, name);
	X509_gmtime_adj(X509_getm_notBefore(ca.certificate), -86400);
	X509_gmtime_adj(X509_getm_notAfter(ca.certificate), 86400L * 3650);
	X509_set_pubkey(ca.certificate, key);
	maker_extension(ca.certificate, NID_basic_constraints, "critical,CA:TRUE");
	maker_extension(ca.certificate, NID_subject_key_identifier, "hash");
	if (key_usage != NULL)
		maker_extension(ca.certificate, NID_key_usage, key_usage);
	maker_must(X509_sign(ca.certificate, key, digest) > 0, "a CA's signature");
	X509_NAME_free(name);
	return ca;
}

static inline struct maker_ca maker_ca_new(const char *common_name)
{
	return maker_ca_with_key(EVP_EC_gen("P-256"), common_name, "critical,keyCertSign,cRLSign");
}

static inline void maker_ca_free(struct maker_ca *ca)
{
	X509_free(ca->certificate);
	EVP_PKEY_free(ca->key);
}

/* An empty CRL of version 2 with these times, in seconds from now, and that number (-1: none). */
static inline X509_CRL *maker_crl_new(
	const struct maker_ca *ca, long this_update, long next_update, long number)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *when = ASN1_TIME_new();
	time_t now = time(NULL);

	maker_must(crl != NULL && when != NULL, "a CRL");
	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->certificate));
	ASN1_TIME_set(when, now + this_update);
	X509_CRL_set1_lastUpdate(crl, when);
	ASN1_TIME_set(when, now + next_update);
	X509_CRL_set1_nextUpdate(crl, when);
	ASN1_TIME_free(when);
	if (number >= 0) {
		ASN1_INTEGER *value = ASN1_INTEGER_new();

		ASN1_INTEGER_set(value, number);
		maker_must(X509_CRL_add1_ext_i2d(crl, NID_crl_number, value, 0, 0) == 1, "number");
		ASN1_INTEGER_free(value);
	}
	return crl;
}

/* Revokes a serial, given as octets of its magnitude. reason -1: none. Returns the entry, the
 * CRL's. */
static inline X509_REVOKED *maker_revoke(
	X509_CRL *crl, const void *octets, size_t len, int is_negative, int reason)
{
	X509_REVOKED *entry = X509_REVOKED_new();
	ASN1_INTEGER *serial = ASN1_INTEGER_new();
	ASN1_TIME *when = ASN1_TIME_set(NULL, 1700000000);

	maker_must(entry != NULL && serial != NULL && when != NULL, "an entry");
	ASN1_STRING_set(serial, octets, (int)len);
	if (is_negative)
		serial->type = V_ASN1_NEG_INTEGER;
	X509_REVOKED_set_serialNumber(entry, serial);
	X509_REVOKED_set_revocationDate(entry, when);
	if (reason >= 0) {
		ASN1_ENUMERATED *value = ASN1_ENUMERATED_new();

		ASN1_ENUMERATED_set(value, reason);
		X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, value, 0, 0);
		ASN1_ENUMERATED_free(value);
	}
	maker_must(X509_CRL_add0_revoked(crl, entry) == 1, "an entry");
	ASN1_INTEGER_free(serial);
	ASN1_TIME_free(when);
	return entry;
}

/* The serial number i of a series that is spread over 16 octets. */
static inline void maker_serial(uint32_t i, uint8_t octets[16])
{
	uint64_t x = i + 1;

	for (size_t at = 0; at < 16; at++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		octets[at] = (uint8_t)(x >> 56);
	}
	octets[0] = (octets[0] & 0x3f) | 0x40;
	for (size_t at = 0; at < 4; at++)
		octets[12 + at] = (uint8_t)(i >> (24 - 8 * at));
}

static inline void maker_revoke_series(X509_CRL *crl, uint32_t first, uint32_t count)
{
	uint8_t octets[16];

	for (uint32_t i = first; i < first + count; i++) {
		maker_serial(i, octets);
		maker_revoke(crl, octets, sizeof(octets), 0, (int)(i % 3 == 0));
	}
}

/* Signs and frees the CRL. The span is the caller's, freed with OPENSSL_free(). */
static inline struct span maker_crl_sign(
	X509_CRL *crl, const struct maker_ca *ca, const EVP_MD *digest)
{
	unsigned char *der = NULL;
	int len;

	maker_must(X509_CRL_sign(crl, ca->key, digest) > 0, "a CRL's signature");
	len = i2d_X509_CRL(crl, &der);
	maker_must(len > 0, "a CRL's DER");
	X509_CRL_free(crl);
	return span_of(der, (size_t)len);
}

static inline void maker_span_free(struct span *span)
{
	OPENSSL_free((void *)span->data);
	*span = span_of(NULL, 0);
}

#endif
