#include "mint.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { DAY_S = 24 * 60 * 60 };

struct mint {
	X509 *issuer;
	EVP_PKEY *key;
};

static int mint_fail(struct error *err, const char *doing, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return error_set(err, "%s %s: %s", doing, what, reason != NULL ? reason : "failed");
}

static FILE *mint_file(const char *pki, const char *name, char path[4096], struct error *err)
{
	FILE *file;

	snprintf(path, 4096, "%s/authority/%s", pki, name);
	file = fopen(path, "re");
	if (file == NULL)
		error_sys(err, "opening %s, which signs certificates for --mint", path);
	return file;
}

struct mint *mint_open(const char *pki, struct error *err)
{
	struct mint *mint = calloc(1, sizeof(*mint));
	char path[4096];
	FILE *file;

	if (mint == NULL) {
		error_set(err, "out of memory");
		return NULL;
	}
	file = mint_file(pki, "issuing.pem", path, err);
	if (file == NULL)
		goto fail;
	mint->issuer = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	if (mint->issuer == NULL) {
		mint_fail(err, "reading the certificate", path);
		goto fail;
	}
	file = mint_file(pki, "issuing.key", path, err);
	if (file == NULL)
		goto fail;
	mint->key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	fclose(file);
	if (mint->key != NULL && X509_check_private_key(mint->issuer, mint->key) == 1)
		return mint;
	mint_fail(err, "reading the private key", path);
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
	int status = 0;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
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

static int fill(const struct mint *mint, uint32_t number, const char *mailbox, X509 *certificate,
	EVP_PKEY *key)
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
	       X509_sign(certificate, mint->key, EVP_sha256()) > 0;
}

int mint_certificate(const struct mint *mint, uint32_t number, const char *mailbox,
	X509 **certificate, EVP_PKEY **key, struct error *err)
{
	*certificate = X509_new();
	*key = EVP_EC_gen("P-256");
	if (*certificate != NULL && *key != NULL && fill(mint, number, mailbox, *certificate, *key))
		return 0;
	X509_free(*certificate);
	EVP_PKEY_free(*key);
	*certificate = NULL;
	*key = NULL;
	return mint_fail(err, "making a certificate for", mailbox);
}
