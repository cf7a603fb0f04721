/*
 * Certificates made while a test runs, so that none of them expires in the tree. A fault of OpenSSL
 * here ends the program: the tests have nothing to say without certificates.
 */
#ifndef TESTS_UNIT_TEST_PKI_H
#define TESTS_UNIT_TEST_PKI_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A certificate and its key. */
struct pki {
	X509 *certificate;
	EVP_PKEY *key;
};

/* What to make. Zero and NULL mean the usual: P-256, SHA-256, valid from an hour ago for a day. */
struct pki_spec {
	const char *name;         /* CN */
	const struct pki *issuer; /* NULL: self-signed */
	const struct pki *key_of; /* use that key instead of a new one */
	int rsa_bits;             /* 0: P-256 */
	const char *key_type;     /* a curve, ED25519 or ED448 */
	const EVP_MD *digest;
	long not_before, not_after; /* seconds from now */
	long serial;
	const char *basic_constraints; /* as in openssl.cnf, from here on; NULL: none */
	const char *key_usage;
	const char *extended_key_usage;
	const char *san;
	const char *name_constraints;
	const char *policies;
	const char *policy_constraints;
	const char *crl_points;
	const char *authority_info;
	bool has_ocsp_no_check;
	bool has_no_key_identifiers;
};

#define PKI_MUST(condition) pki_must((condition), #condition, __LINE__)

static inline void pki_must(bool is_good, const char *what, int line)
{
	if (is_good)
		return;
	fprintf(stderr, "test_pki.h:%d: %s\n", line, what);
	abort();
}

static inline EVP_PKEY *pki_make_key(int rsa_bits)
{
	EVP_PKEY *key = rsa_bits > 0 ? EVP_RSA_gen((unsigned int)rsa_bits) : EVP_EC_gen("P-256");

	PKI_MUST(key != NULL);
	return key;
}

static inline EVP_PKEY *pki_make_key_of_type(const char *type)
{
	EVP_PKEY *key = strncmp(type, "ED", 2) == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, type)
						    : EVP_EC_gen(type);

	PKI_MUST(key != NULL);
	return key;
}

/* EdDSA takes no digest. */
static inline const EVP_MD *pki_digest(const EVP_PKEY *key, const EVP_MD *digest)
{
	if (EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448"))
		return NULL;
	return digest != NULL ? digest : EVP_sha256();
}

static inline void pki_add(X509 *certificate, X509V3_CTX *ctx, int nid, const char *value)
{
	/* Some kinds of extension are only made with a configuration, if an empty one. */
	CONF *none = NCONF_new(NULL);
	X509_EXTENSION *extension;

	if (value == NULL)
		goto out;
	PKI_MUST(none != NULL);
	X509V3_set_nconf(ctx, none);
	extension = X509V3_EXT_nconf_nid(none, ctx, nid, value);
	PKI_MUST(extension != NULL);
	PKI_MUST(X509_add_ext(certificate, extension, -1) == 1);
	X509_EXTENSION_free(extension);
out:
	NCONF_free(none);
}

/* The caller frees both with pki_free(). */
static inline struct pki pki_make(struct pki_spec spec)
{
	struct pki made = {X509_new(), NULL};
	X509_NAME *name = X509_get_subject_name(made.certificate);
	X509 *issuer = spec.issuer != NULL ? spec.issuer->certificate : made.certificate;
	static long next_serial = 1000;
	X509V3_CTX ctx;

	if (spec.key_of != NULL)
		EVP_PKEY_up_ref(made.key = spec.key_of->key);
	else if (spec.key_type != NULL)
		made.key = pki_make_key_of_type(spec.key_type);
	else
		made.key = pki_make_key(spec.rsa_bits);
	PKI_MUST(X509_set_version(made.certificate, X509_VERSION_3) == 1);
	PKI_MUST(ASN1_INTEGER_set(X509_get_serialNumber(made.certificate),
			 spec.serial != 0 ? spec.serial : next_serial++) == 1);
	PKI_MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
			 (const unsigned char *)spec.name, -1, -1, 0) == 1);
	PKI_MUST(X509_set_issuer_name(made.certificate, X509_get_subject_name(issuer)) == 1);
	X509_gmtime_adj(X509_getm_notBefore(made.certificate),
		spec.not_before != 0 ? spec.not_before : -3600);
	X509_gmtime_adj(
		X509_getm_notAfter(made.certificate), spec.not_after != 0 ? spec.not_after : 86400);
	PKI_MUST(X509_set_pubkey(made.certificate, made.key) == 1);
	X509V3_set_ctx(&ctx, issuer, made.certificate, NULL, NULL, 0);
	pki_add(made.certificate, &ctx, NID_basic_constraints, spec.basic_constraints);
	pki_add(made.certificate, &ctx, NID_key_usage, spec.key_usage);
	pki_add(made.certificate, &ctx, NID_ext_key_usage, spec.extended_key_usage);
	pki_add(made.certificate, &ctx, NID_subject_alt_name, spec.san);
	pki_add(made.certificate, &ctx, NID_name_constraints, spec.name_constraints);
	pki_add(made.certificate, &ctx, NID_certificate_policies, spec.policies);
	pki_add(made.certificate, &ctx, NID_policy_constraints, spec.policy_constraints);
	pki_add(made.certificate, &ctx, NID_crl_distribution_points, spec.crl_points);
	pki_add(made.certificate, &ctx, NID_info_access, spec.authority_info);
	pki_add(made.certificate, &ctx, NID_id_pkix_OCSP_noCheck,
		spec.has_ocsp_no_check ? "yes" : NULL);
	if (!spec.has_no_key_identifiers) {
		pki_add(made.certificate, &ctx, NID_subject_key_identifier, "hash");
		pki_add(made.certificate, &ctx, NID_authority_key_identifier, "keyid:always");
	}
	PKI_MUST(X509_sign(made.certificate, spec.issuer != NULL ? spec.issuer->key : made.key,
			 pki_digest(spec.issuer != NULL ? spec.issuer->key : made.key,
				 spec.digest)) > 0);
	return made;
}

static inline void pki_free(struct pki *pki)
{
	X509_free(pki->certificate);
	EVP_PKEY_free(pki->key);
	pki->certificate = NULL;
	pki->key = NULL;
}

static const char *const pki_ca_constraints = "critical,CA:TRUE";
static const char *const pki_ca_usage = "critical,keyCertSign,cRLSign";

/* A usual CA: a root where issuer is NULL. */
static inline struct pki pki_make_ca(const char *name, const struct pki *issuer)
{
	return pki_make((struct pki_spec){.name = name,
		.issuer = issuer,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage});
}

/* The usual certificate of a phone, as a spec for a test to change. */
static inline struct pki_spec pki_phone(const struct pki *issuer)
{
	return (struct pki_spec){.name = "Alice",
		.issuer = issuer,
		.basic_constraints = "critical,CA:FALSE",
		.key_usage = "critical,digitalSignature",
		.extended_key_usage = "clientAuth",
		.san = "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:alice@example.com"};
}

/* The DER in base64, without line ends. The caller frees it. */
static inline char *pki_base64(X509 *certificate)
{
	unsigned char *der = NULL;
	int len = i2d_X509(certificate, &der);
	char *text;

	PKI_MUST(len > 0);
	text = malloc((size_t)len * 4 / 3 + 8);
	PKI_MUST(text != NULL);
	EVP_EncodeBlock((unsigned char *)text, der, len);
	OPENSSL_free(der);
	return text;
}

/* The certificate in PEM. The caller frees it. */
static inline char *pki_pem(X509 *certificate)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *data;
	char *text;
	long len;

	PKI_MUST(out != NULL && PEM_write_bio_X509(out, certificate) == 1);
	len = BIO_get_mem_data(out, &data);
	text = strndup(data, (size_t)len);
	BIO_free(out);
	PKI_MUST(text != NULL);
	return text;
}

#endif
