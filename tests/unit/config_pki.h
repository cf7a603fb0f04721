/*
 * Keys and certificates for tests of the configuration, made on the spot with OpenSSL.
 */
#ifndef TESTS_UNIT_CONFIG_PKI_H
#define TESTS_UNIT_CONFIG_PKI_H

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A certificate of subject's key, signed by issuer's (NULL: its own), valid for a day from start days
 * from now. san may be NULL. */
static inline X509 *make_certificate(EVP_PKEY *key, const char *name, X509 *issuer,
	EVP_PKEY *issuer_key, const char *san, long start_days)
{
	X509 *certificate = X509_new();
	X509_NAME *subject = X509_get_subject_name(certificate);
	X509_EXTENSION *extension;

	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 7);
	X509_gmtime_adj(X509_getm_notBefore(certificate), start_days * 86400 - 60);
	X509_gmtime_adj(X509_getm_notAfter(certificate), (start_days + 1) * 86400);
	X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(certificate, issuer == NULL ? subject : X509_get_subject_name(issuer));
	X509_set_pubkey(certificate, key);
	if (san != NULL) {
		extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
		X509_add_ext(certificate, extension, -1);
		X509_EXTENSION_free(extension);
	}
	if (X509_sign(certificate, issuer_key == NULL ? key : issuer_key, EVP_sha256()) == 0)
		abort();
	return certificate;
}

static inline void write_certificates(const char *path, X509 *first, X509 *second)
{
	FILE *file = fopen(path, "w");

	if (file == NULL || PEM_write_X509(file, first) != 1 ||
		(second != NULL && PEM_write_X509(file, second) != 1) || fclose(file) != 0)
		abort();
}

/* passphrase NULL: not encrypted. */
static inline void write_key(const char *path, EVP_PKEY *key, const char *passphrase)
{
	FILE *file = fopen(path, "w");
	int len = passphrase == NULL ? 0 : (int)strlen(passphrase);

	if (file == NULL ||
		PEM_write_PKCS8PrivateKey(file, key, passphrase == NULL ? NULL : EVP_aes_256_cbc(),
			passphrase, len, NULL, NULL) != 1 ||
		fclose(file) != 0 || chmod(path, 0600) != 0)
		abort();
}

static inline void write_text(const char *path, const char *text, mode_t mode)
{
	FILE *file = fopen(path, "w");

	if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0 || chmod(path, mode) != 0)
		abort();
}

#endif
