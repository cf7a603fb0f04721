#include "auth/signing_key.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "auth/openssl_error.h"

enum { EC_NUMBER_LEN = 32 };

/* Nobody is there to type one. */
static int refuse_passphrase(char *buffer, int size, int is_writing, void *context)
{
	(void)buffer, (void)size, (void)is_writing, (void)context;
	return -1;
}

static BIO *open_text(struct span text)
{
	return text.len <= INT_MAX ? BIO_new_mem_buf(text.data, (int)text.len) : NULL;
}

static struct span secret_of(struct span file)
{
	size_t len = file.len;

	while (len > 0 && (file.data[len - 1] == '\n' || file.data[len - 1] == '\r'))
		len--;
	for (size_t i = 0; i < len; i++)
		if (file.data[i] < 0x20 || file.data[i] >= 0x7f)
			return file;
	return span_of(file.data, len);
}

static int read_secret(struct signing_key *key, struct span file, struct error *err)
{
	struct span secret = secret_of(file);

	/* Who gives a key to HS256 may have its public half in mind for the receiver. */
	if (memmem(file.data, file.len, "-----BEGIN ", 11) != NULL)
		return error_set(err,
			"HS256 takes a secret that both sides know, not a key in PEM; give another "
			"algorithm, or a secret");
	if (secret.len < SIGNING_SECRET_MIN)
		return error_set(err, "a key for HS256 has at least %d bytes, this one %zu",
			SIGNING_SECRET_MIN, secret.len);
	key->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL, secret.data, secret.len);
	return key->key != NULL ? 0 : error_openssl(err, "taking a key for HS256");
}

static bool is_p256(const EVP_PKEY *key)
{
	char group[32];
	size_t len;

	return EVP_PKEY_get_group_name(key, group, sizeof(group), &len) == 1 &&
	       strcmp(group, SN_X9_62_prime256v1) == 0;
}

static int read_private(struct signing_key *key, struct span text, struct error *err)
{
	BIO *bio = open_text(text);

	if (bio != NULL)
		key->key = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL);
	BIO_free(bio);
	if (key->key == NULL)
		return error_openssl(err, "reading a private key (PEM, without a passphrase)");
	if (key->algorithm == CONFIG_SIGNATURE_ES256)
		return EVP_PKEY_is_a(key->key, "EC") && is_p256(key->key)
			       ? 0
			       : error_set(err, "ES256 takes a key on the curve P-256 alone");
	if (!EVP_PKEY_is_a(key->key, "RSA"))
		return error_set(err, "RS256 takes an RSA key alone");
	if (EVP_PKEY_get_bits(key->key) < SIGNING_RSA_BITS_MIN ||
		EVP_PKEY_get_size(key->key) > SIGNATURE_MAX)
		return error_set(err, "RS256 takes an RSA key of %d to %d bits, this one has %d",
			SIGNING_RSA_BITS_MIN, SIGNATURE_MAX * 8, EVP_PKEY_get_bits(key->key));
	return 0;
}

static int read_certificate(struct signing_key *key, struct span text, struct error *err)
{
	BIO *bio;

	if (text.len == 0)
		return 0;
	bio = open_text(text);
	if (bio != NULL)
		key->certificate = PEM_read_bio_X509(bio, NULL, refuse_passphrase, NULL);
	BIO_free(bio);
	if (key->certificate == NULL)
		return error_openssl(err, "reading the certificate of a signing key (PEM)");
	if (X509_check_private_key(key->certificate, key->key) != 1) {
		ERR_clear_error();
		return error_set(err, "the certificate is not that of the signing key");
	}
	return 0;
}

struct signing_key *signing_key_open(enum config_signature algorithm, struct span text,
	struct span certificate, const char *key_id, struct error *err)
{
	struct signing_key *key = calloc(1, sizeof(*key));
	int result;

	if (key != NULL)
		key->key_id = strdup(key_id);
	if (key == NULL || key->key_id == NULL) {
		free(key);
		error_set(err, "reading a signing key: out of memory");
		return NULL;
	}
	key->algorithm = algorithm;
	result = algorithm == CONFIG_SIGNATURE_HS256 ? read_secret(key, text, err)
						     : read_private(key, text, err);
	if (result == 0)
		result = read_certificate(key, certificate, err);
	if (result == 0)
		return key;
	signing_key_close(key);
	return NULL;
}

void signing_key_close(struct signing_key *key)
{
	if (key == NULL)
		return;
	EVP_PKEY_free(key->key);
	X509_free(key->certificate);
	free(key->key_id);
	free(key);
}

struct signing_key *signing_key_read(enum config_signature algorithm, const struct config_file *key,
	const struct config_file *certificate, const char *key_id, struct error *err)
{
	struct signing_key *opened = NULL;
	size_t key_len, certificate_len = 0;
	char *key_text = config_file_read(key, &key_len, err);
	char *certificate_text = NULL;
	struct error why;

	if (key_text == NULL)
		return NULL;
	if (certificate->fd != -1) {
		certificate_text = config_file_read(certificate, &certificate_len, err);
		if (certificate_text == NULL)
			goto out;
	}
	opened = signing_key_open(algorithm, span_of(key_text, key_len),
		span_of(certificate_text, certificate_len), key_id, &why);
	if (opened == NULL)
		error_set(err, "%s: %s", key->path, why.text);
out:
	free(certificate_text);
	OPENSSL_cleanse(key_text, key_len);
	free(key_text);
	return opened;
}

const char *signing_key_algorithm(const struct signing_key *key)
{
	switch (key->algorithm) {
	case CONFIG_SIGNATURE_HS256: return "HS256";
	case CONFIG_SIGNATURE_ES256: return "ES256";
	default: return "RS256";
	}
}

/* RFC 7518 3.4: R and S, each of them with its zeros in front. */
static int flatten(uint8_t signature[SIGNATURE_MAX], size_t *len)
{
	const uint8_t *der = signature;
	ECDSA_SIG *numbers = d2i_ECDSA_SIG(NULL, &der, (long)*len);
	int is_good = numbers != NULL &&
		      BN_bn2binpad(ECDSA_SIG_get0_r(numbers), signature, EC_NUMBER_LEN) ==
			      EC_NUMBER_LEN &&
		      BN_bn2binpad(ECDSA_SIG_get0_s(numbers), signature + EC_NUMBER_LEN,
			      EC_NUMBER_LEN) == EC_NUMBER_LEN;

	ECDSA_SIG_free(numbers);
	*len = (size_t)2 * EC_NUMBER_LEN;
	return is_good ? 0 : -1;
}

int signing_key_sign(const struct signing_key *key, struct span input,
	uint8_t signature[SIGNATURE_MAX], size_t *len, struct error *err)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool is_good = context != NULL &&
		       EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key->key) == 1;

	*len = SIGNATURE_MAX;
	is_good = is_good && EVP_DigestSign(context, signature, len, input.data, input.len) == 1;
	if (is_good && key->algorithm == CONFIG_SIGNATURE_ES256)
		is_good = flatten(signature, len) == 0;
	EVP_MD_CTX_free(context);
	return is_good ? 0 : error_openssl(err, "signing with %s", signing_key_algorithm(key));
}
