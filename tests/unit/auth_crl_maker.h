/*
 * Authorities and CRLs made in memory with OpenSSL, for tests, fuzz targets and benches of
 * revocation. Everything here ends the program when OpenSSL fails.
 */
#ifndef TESTS_UNIT_AUTH_CRL_MAKER_H
#define TESTS_UNIT_AUTH_CRL_MAKER_H

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
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

/* A certificate to make. NULL and 0 are the usual: its own key, an issuer that is itself, a CA that may
 * sign both, valid from yesterday for ten years. */
struct maker_spec {
	const char *name;
	const struct maker_ca *issuer;
	EVP_PKEY *key; /* used, not taken over */
	bool is_no_ca;
	const char *usage;
	long serial;
	long not_before, not_after; /* seconds from now */
	const char *points;         /* crlDistributionPoints as in openssl.cnf, and */
	const char *sections;       /* sections that it names */
};

/* An extension as in openssl.cnf, with sections that its value names (may be NULL). */
static inline X509_EXTENSION *maker_extension_of(
	int nid, const char *value, const char *sections, X509 *issuer, X509 *subject)
{
	CONF *conf = NCONF_new(NULL);
	BIO *text = BIO_new_mem_buf(sections != NULL ? sections : "", -1);
	X509V3_CTX context;
	X509_EXTENSION *extension;
	long line;

	maker_must(conf != NULL && text != NULL && NCONF_load_bio(conf, text, &line) == 1, value);
	X509V3_set_ctx(&context, issuer, subject, NULL, NULL, 0);
	X509V3_set_nconf(&context, conf);
	extension = X509V3_EXT_nconf_nid(conf, &context, nid, value);
	maker_must(extension != NULL, value);
	BIO_free(text);
	NCONF_free(conf);
	return extension;
}

static inline void maker_add(X509 *certificate, X509_EXTENSION *extension)
{
	maker_must(X509_add_ext(certificate, extension, -1) == 1, "an extension");
	X509_EXTENSION_free(extension);
}

static inline struct maker_ca maker_issue(const struct maker_spec *spec)
{
	struct maker_ca made = {.key = spec->key, .certificate = X509_new()};
	const struct maker_ca *issuer = spec->issuer != NULL ? spec->issuer : &made;
	X509 *certificate = made.certificate;
	static long next_serial = 1000;
	X509_NAME *name;

	if (made.key == NULL)
		made.key = EVP_EC_gen("P-256");
	else
		EVP_PKEY_up_ref(made.key);
	maker_must(made.key != NULL && certificate != NULL, spec->name);
	name = X509_get_subject_name(certificate);
	X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_UTF8, (const unsigned char *)spec->name, -1, -1, 0);
	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate),
		spec->serial != 0 ? spec->serial : next_serial++);
	X509_set_issuer_name(certificate, X509_get_subject_name(issuer->certificate));
	X509_gmtime_adj(X509_getm_notBefore(certificate),
		spec->not_before != 0 ? spec->not_before : -86400);
	X509_gmtime_adj(X509_getm_notAfter(certificate),
		spec->not_after != 0 ? spec->not_after : 86400L * 3650);
	X509_set_pubkey(certificate, made.key);
	maker_add(certificate, maker_extension_of(NID_basic_constraints,
				       spec->is_no_ca ? "critical,CA:FALSE" : "critical,CA:TRUE",
				       NULL, issuer->certificate, certificate));
	maker_add(certificate,
		maker_extension_of(NID_key_usage,
			spec->usage != NULL ? spec->usage : "critical,keyCertSign,cRLSign", NULL,
			issuer->certificate, certificate));
	maker_add(certificate, maker_extension_of(NID_subject_key_identifier, "hash", NULL,
				       issuer->certificate, certificate));
	maker_add(certificate, maker_extension_of(NID_authority_key_identifier, "keyid:always",
				       NULL, issuer->certificate, certificate));
	if (spec->points != NULL)
		maker_add(certificate, maker_extension_of(NID_crl_distribution_points, spec->points,
					       spec->sections, issuer->certificate, certificate));
	maker_must(X509_sign(certificate, issuer->key, EVP_sha256()) > 0, spec->name);
	return made;
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

/* issuingDistributionPoint or another extension, as in openssl.cnf. */
static inline void maker_crl_extension(
	X509_CRL *crl, int nid, const char *value, const char *sections)
{
	X509_EXTENSION *extension = maker_extension_of(nid, value, sections, NULL, NULL);

	maker_must(X509_CRL_add_ext(crl, extension, -1) == 1, value);
	X509_EXTENSION_free(extension);
}

/* Makes it a delta CRL that starts from the CRL with that number. */
static inline void maker_crl_delta(X509_CRL *crl, long base_number)
{
	ASN1_INTEGER *value = ASN1_INTEGER_new();

	ASN1_INTEGER_set(value, base_number);
	maker_must(X509_CRL_add1_ext_i2d(crl, NID_delta_crl, value, 1, 0) == 1, "a delta CRL");
	ASN1_INTEGER_free(value);
}

/* certificateIssuer of an entry: that certificate's subject. */
static inline void maker_entry_issuer(X509_REVOKED *entry, X509 *issuer)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = GENERAL_NAME_new();

	maker_must(names != NULL && name != NULL, "the issuer of a certificate");
	GENERAL_NAME_set0_value(name, GEN_DIRNAME, X509_NAME_dup(X509_get_subject_name(issuer)));
	maker_must(
		sk_GENERAL_NAME_push(names, name) > 0 &&
			X509_REVOKED_add1_ext_i2d(entry, NID_certificate_issuer, names, 1, 0) == 1,
		"the issuer of a certificate");
	GENERAL_NAMES_free(names);
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
