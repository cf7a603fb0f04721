#include "auth/minted_issuer.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "auth/openssl_error.h"
#include "auth/x509_text.h"

/* With key and certificate it has to fit into LOGIN_SECRET_MAX. */
enum { CHAIN_SIZE_MAX = 10 * 1024 };

/* The content of a file as a BIO that reads from *text, which the caller wipes. NULL with err filled. */
static BIO *open_text(const struct config_file *file, char **text, size_t *len, struct error *err)
{
	BIO *bio;

	*text = config_file_read(file, len, err);
	if (*text == NULL)
		return NULL;
	bio = BIO_new_mem_buf(*text, (int)*len);
	if (bio == NULL)
		error_set(err, "reading %s: out of memory", file->path);
	return bio;
}

static void wipe_text(char *text, size_t len)
{
	if (text == NULL)
		return;
	OPENSSL_cleanse(text, len);
	free(text);
}

static int narrow_times(struct minted_issuer *issuer, const X509 *certificate)
{
	int64_t from, until;

	if (x509_time_read(X509_get0_notBefore(certificate), &from) == -1 ||
		x509_time_read(X509_get0_notAfter(certificate), &until) == -1)
		return -1;
	if (from > issuer->not_before)
		issuer->not_before = from;
	if (until < issuer->not_after)
		issuer->not_after = until;
	return 0;
}

static int take_certificate(struct minted_issuer *issuer, X509 *certificate, BIO *chain,
	const char *path, struct error *err)
{
	if (narrow_times(issuer, certificate) == -1)
		return error_set(err, "%s: a certificate has no times that make sense", path);
	/* RFC 8446 4.4.2 */
	if (X509_self_signed(certificate, 0) != 1 && PEM_write_bio_X509(chain, certificate) != 1)
		return error_openssl(err, "keeping the certificates of %s", path);
	if (issuer->certificate == NULL) {
		X509_up_ref(certificate);
		issuer->certificate = certificate;
	}
	return 0;
}

static int keep_chain(struct minted_issuer *issuer, BIO *chain, const char *path, struct error *err)
{
	char *data;
	long len = BIO_get_mem_data(chain, &data);

	if (len < 0 || len > CHAIN_SIZE_MAX)
		return error_set(err,
			"%s: the certificates have more than %d bytes; leave out those that the "
			"mail server knows",
			path, CHAIN_SIZE_MAX);
	issuer->chain = strndup(len == 0 ? "" : data, (size_t)len);
	if (issuer->chain == NULL)
		return error_set(err, "keeping the certificates of %s: out of memory", path);
	issuer->chain_len = (size_t)len;
	return 0;
}

static int read_certificates(
	struct minted_issuer *issuer, const struct config_file *file, struct error *err)
{
	BIO *chain = BIO_new(BIO_s_mem());
	X509 *certificate;
	char *text = NULL;
	size_t len = 0;
	BIO *bio = chain == NULL ? NULL : open_text(file, &text, &len, err);
	int result = bio == NULL ? -1 : 0;

	if (chain == NULL)
		error_set(err, "reading %s: out of memory", file->path);
	while (result == 0 && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		result = take_certificate(issuer, certificate, chain, file->path, err);
		X509_free(certificate);
	}
	if (result == 0 && issuer->certificate == NULL)
		result = error_openssl(
			err, "%s has no certificate (PEM) that can be read", file->path);
	if (result == 0)
		result = keep_chain(issuer, chain, file->path, err);
	ERR_clear_error();
	wipe_text(text, len);
	BIO_free(bio);
	BIO_free(chain);
	return result;
}

/* OpenSSL's own would ask on the terminal. */
static int refuse_passphrase(char *buffer, int size, int is_writing, void *context)
{
	(void)buffer;
	(void)size;
	(void)is_writing;
	(void)context;
	return -1;
}

static EVP_PKEY *read_key(const struct config_file *file, struct error *err)
{
	char *text = NULL;
	size_t len = 0;
	BIO *bio = open_text(file, &text, &len, err);
	EVP_PKEY *key = NULL;

	if (bio != NULL) {
		key = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL);
		if (key == NULL)
			error_openssl(err,
				"%s has no private key (PEM, unencrypted) that can be "
				"read",
				file->path);
	}
	ERR_clear_error();
	BIO_free(bio);
	wipe_text(text, len);
	return key;
}

static int open_token(struct minted_issuer *issuer, const struct config_minted *config,
	bool *was_refused, struct error *err)
{
	struct pkcs11_uri uri;
	char *pin = NULL;
	size_t len = 0;

	if (pkcs11_uri_read(config->key_uri, &uri, err) == -1)
		return -1;
	if (config->pin.fd != -1) {
		pin = config_file_read(&config->pin, &len, err);
		if (pin == NULL)
			return -1;
		pin[strcspn(pin, "\r\n")] = '\0';
	}
	issuer->token = pkcs11_key_open(
		config->pkcs11_module, &uri, pin == NULL ? "" : pin, was_refused, err);
	wipe_text(pin, len);
	if (issuer->token == NULL)
		return -1;
	issuer->key = pkcs11_key_get(issuer->token);
	return 0;
}

/* As strong as the key: FIPS 186-5 6.1.1. */
static const EVP_MD *choose_digest(const EVP_PKEY *key)
{
	if (EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448"))
		return NULL;
	if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) > 384)
		return EVP_sha512();
	if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) > 256)
		return EVP_sha384();
	return EVP_sha256();
}

/* A token does not always know the public half, and what it says of it proves nothing; a signature
 * does. */
static int try_key(const struct minted_issuer *issuer, const char *name, struct error *err)
{
	static const unsigned char message[] = "easproxy tries the key of its issuer";
	unsigned char signature[1024];
	size_t len = sizeof(signature);
	EVP_MD_CTX *signing = EVP_MD_CTX_new(), *verifying = EVP_MD_CTX_new();
	EVP_PKEY *public = X509_get0_pubkey(issuer->certificate);
	int result = -1;

	ERR_clear_error();
	if (signing == NULL || verifying == NULL)
		error_set(err, "trying the key of %s: out of memory", name);
	else if (EVP_DigestSignInit(signing, NULL, issuer->digest, NULL, issuer->key) != 1 ||
		 EVP_DigestSign(signing, signature, &len, message, sizeof(message)) != 1)
		error_openssl(err, "signing with the key of %s", name);
	else if (EVP_DigestVerifyInit(verifying, NULL, issuer->digest, NULL, public) != 1 ||
		 EVP_DigestVerify(verifying, signature, len, message, sizeof(message)) != 1)
		error_set(err, "the key is not that of the first certificate in %s", name);
	else
		result = 0;
	ERR_clear_error();
	EVP_MD_CTX_free(signing);
	EVP_MD_CTX_free(verifying);
	return result;
}

struct minted_issuer *minted_issuer_open(
	const struct config_minted *config, bool *was_refused, struct error *err)
{
	struct minted_issuer *issuer = calloc(1, sizeof(*issuer));

	*was_refused = false;
	if (issuer == NULL) {
		error_set(err, "opening the issuer of minted certificates: out of memory");
		return NULL;
	}
	issuer->not_before = INT64_MIN;
	issuer->not_after = INT64_MAX;
	if (read_certificates(issuer, &config->issuer, err) == -1)
		goto failed;
	issuer->digest = choose_digest(X509_get0_pubkey(issuer->certificate));
	if (config->key_uri[0] != '\0') {
		if (open_token(issuer, config, was_refused, err) == -1)
			goto failed;
	} else {
		issuer->key = read_key(&config->key, err);
	}
	if (issuer->key == NULL || try_key(issuer, config->issuer.path, err) == -1)
		goto failed;
	return issuer;
failed:
	minted_issuer_close(issuer);
	return NULL;
}

void minted_issuer_close(struct minted_issuer *issuer)
{
	if (issuer == NULL)
		return;
	if (issuer->token == NULL)
		EVP_PKEY_free(issuer->key);
	pkcs11_key_close(issuer->token);
	X509_free(issuer->certificate);
	free(issuer->chain);
	free(issuer);
}

int minted_issuer_sign(const struct minted_issuer *issuer, X509 *certificate, struct error *err)
{
	ERR_clear_error();
	if (X509_sign(certificate, issuer->key, issuer->digest) > 0)
		return 0;
	return error_openssl(err, "signing with the key of the issuer");
}
