#include "mint.h"

#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_S = 24 * 60 * 60 };

struct mint {
	X509 *issuer;
	EVP_PKEY *key;
	char padding[4096]; /* of letters */
};

static int mint_fail(struct error *err, const char *doing, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return error_set(err, "%s %s: %s", doing, what, reason != NULL ? reason : "failed");
}

static FILE *mint_file(const char *path, struct error *err)
{
	FILE *file = fopen(path, "re");

	if (file == NULL)
		error_sys(err, "opening %s, with which certificates are made", path);
	return file;
}

struct mint *mint_open(const char *certificate, const char *key, struct error *err)
{
	struct mint *mint = calloc(1, sizeof(*mint));
	FILE *file;

	if (mint == NULL) {
		error_set(err, "out of memory");
		return NULL;
	}
	memset(mint->padding, 'x', sizeof(mint->padding));
	file = mint_file(certificate, err);
	if (file == NULL)
		goto fail;
	mint->issuer = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	if (mint->issuer == NULL) {
		mint_fail(err, "reading the certificate", certificate);
		goto fail;
	}
	file = mint_file(key, err);
	if (file == NULL)
		goto fail;
	mint->key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	fclose(file);
	if (mint->key != NULL && X509_check_private_key(mint->issuer, mint->key) == 1)
		return mint;
	mint_fail(err, "reading the private key", key);
fail:
	mint_close(mint);
	return NULL;
}

void mint_close(struct mint *mint)
{
	if (mint == NULL)
		return;
	X509_free(mint->issuer);
	EVP_PKEY_free(mint->key);
	free(mint);
}

X509 *mint_issuer(const struct mint *mint)
{
	return mint->issuer;
}

static int add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	CONF *sections = NCONF_new(NULL); /* policies are not made without, be it empty */
	int status = 0;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	X509V3_set_nconf(&context, sections);
	extension = X509V3_EXT_nconf_nid(NULL, &context, nid, value);
	NCONF_free(sections);
	if (extension != NULL)
		status = X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
	return status;
}

static int add_extensions(const struct mint *mint, X509 *certificate, const char *mailbox)
{
	char names[800];

	snprintf(names, sizeof(names), "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:%s,email:%s", mailbox,
		mailbox);
	return add_extension(certificate, mint->issuer, NID_basic_constraints, "CA:FALSE") &&
	       add_extension(
		       certificate, mint->issuer, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(certificate, mint->issuer, NID_ext_key_usage, "clientAuth") &&
	       add_extension(certificate, mint->issuer, NID_subject_key_identifier, "hash") &&
	       add_extension(
		       certificate, mint->issuer, NID_authority_key_identifier, "keyid:always") &&
	       add_extension(certificate, mint->issuer, NID_subject_alt_name, names);
}

/* What an authority of Active Directory writes into a phone's certificate beside that; the padding
 * lengthens the address of the CRL. */
static int add_long_extensions(const struct mint *mint, X509 *certificate, uint32_t padding)
{
	static const char directory[] = "CN=Public%20Key%20Services%2CCN=Services%2CCN="
					"Configuration%2CDC=contoso%2CDC=test";
	char text[8192];
	int len;

	len = snprintf(text, sizeof(text),
		"URI:ldap:///CN=Contoso%%20Issuing%%20CA%%201%s%.*s%%2CCN=PKI01%%2CCN=CDP%%2C%s"
		"?certificateRevocationList?base?objectClass=cRLDistributionPoint,"
		"URI:http://pki.contoso.test/CertEnroll/issuing.crl",
		padding > 0 ? "%2COU=" : "", (int)padding, mint->padding, directory);
	if (len < 0 || (size_t)len >= sizeof(text) ||
		!add_extension(certificate, mint->issuer, NID_crl_distribution_points, text))
		return 0;
	snprintf(text, sizeof(text),
		"caIssuers;URI:ldap:///CN=Contoso%%20Issuing%%20CA%%201%%2CCN=AIA%%2C%s"
		"?cACertificate?base?objectClass=certificationAuthority,"
		"caIssuers;URI:http://pki.contoso.test/CertEnroll/issuing.crt",
		directory);
	return add_extension(certificate, mint->issuer, NID_info_access, text) &&
	       add_extension(certificate, mint->issuer, NID_certificate_policies,
		       "1.3.6.1.4.1.311.21.8.1234567.2345678.3456789.1.402");
}

static int fill(const struct mint *mint, uint32_t number, const char *mailbox, X509 *certificate,
	EVP_PKEY *key, bool is_long, uint32_t padding)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	const unsigned char *name = (const unsigned char *)mailbox;

	return X509_set_version(certificate, X509_VERSION_3) &&
	       ASN1_INTEGER_set_uint64(
		       X509_get_serialNumber(certificate), (uint64_t)MINT_SERIAL + number) &&
	       X509_gmtime_adj(X509_getm_notBefore(certificate), -DAY_S) != NULL &&
	       X509_gmtime_adj(X509_getm_notAfter(certificate), DAY_S) != NULL &&
	       X509_NAME_add_entry_by_NID(
		       subject, NID_commonName, MBSTRING_UTF8, name, -1, -1, 0) &&
	       X509_set_issuer_name(certificate, X509_get_subject_name(mint->issuer)) &&
	       X509_set_pubkey(certificate, key) && add_extensions(mint, certificate, mailbox) &&
	       (!is_long || add_long_extensions(mint, certificate, padding)) &&
	       X509_sign(certificate, mint->key, EVP_sha256()) > 0;
}

X509 *mint_certificate(const struct mint *mint, uint32_t number, const char *mailbox, EVP_PKEY *key,
	uint32_t size, struct error *err)
{
	uint32_t padding = 0;

	/* Once to see how long it is, and once more where that is too short. */
	for (int round = 0; round < 2; round++) {
		X509 *certificate = X509_new();
		int len;

		if (certificate == NULL ||
			!fill(mint, number, mailbox, certificate, key, size > 0, padding)) {
			X509_free(certificate);
			break;
		}
		len = i2d_X509(certificate, NULL);
		if (len >= (int)size || round == 1)
			return certificate;
		X509_free(certificate);
		padding = size - (uint32_t)len;
		if (padding > sizeof(mint->padding))
			padding = sizeof(mint->padding);
	}
	mint_fail(err, "making a certificate for", mailbox);
	return NULL;
}
