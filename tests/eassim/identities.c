#include "identities.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certificate.h"
#include "mint.h"

/* Keys are shared: what is looked at again by a proxy is the certificate, and a key of RSA takes long
 * to make. */
enum { EC_KEYS = 64, RSA_KEYS = 4 };

/* DER, made when the phone first comes: a phone that comes back has the same. */
struct minted {
	uint8_t *der;
	uint32_t len;
};

/* From a file. */
struct added {
	struct tls_identity *identity;
	char mailbox[321];
};

struct identities {
	struct added *added;
	uint32_t added_count;
	struct mint_options options;
	struct mint *mint; /* NULL: they were added */
	STACK_OF(X509) * chain;
	EVP_PKEY *keys[EC_KEYS];
	uint32_t key_count;
	struct minted *minted; /* options.phones of them */
};

struct identities *identities_new(void)
{
	return calloc(1, sizeof(struct identities));
}

static int openssl_fail(struct error *err, const char *doing, const char *file)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return error_set(err, "%s %s: %s", doing, file, reason != NULL ? reason : "failed");
}

/* The bytes of a file, appended; *len grows. */
static uint8_t *file_append(uint8_t *bytes, size_t *len, const char *path, struct error *err)
{
	FILE *file = fopen(path, "re");
	uint8_t *grown;
	size_t got;

	if (file == NULL) {
		error_sys(err, "opening %s", path);
		free(bytes);
		return NULL;
	}
	do {
		grown = realloc(bytes, *len + 4096);
		if (grown == NULL) {
			error_set(err, "reading %s: out of memory", path);
			free(bytes);
			fclose(file);
			return NULL;
		}
		bytes = grown;
		got = fread(bytes + *len, 1, 4096, file);
		*len += got;
	} while (got > 0);
	fclose(file);
	return bytes;
}

/* It may name nobody: then whoever uses it has to know. */
static void mailbox_find(struct added *added, const uint8_t *pem, size_t len)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	X509 *leaf = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

	if (leaf == NULL || !certificate_mailbox(leaf, added->mailbox))
		added->mailbox[0] = '\0';
	X509_free(leaf);
	BIO_free(bio);
	ERR_clear_error();
}

int identities_add(
	struct identities *identities, const char *certificate, const char *key, struct error *err)
{
	struct added added, *grown;
	size_t len = 0;
	uint8_t *pem = file_append(NULL, &len, certificate, err);

	if (pem != NULL)
		pem = file_append(pem, &len, key, err);
	if (pem == NULL)
		return -1;
	mailbox_find(&added, pem, len);
	added.identity = tls_identity_new(span_of(pem, len), err);
	OPENSSL_cleanse(pem, len);
	free(pem);
	if (added.identity == NULL)
		return -1;
	grown = reallocarray(identities->added, identities->added_count + 1, sizeof(*grown));
	if (grown == NULL) {
		tls_identity_free(added.identity);
		return error_set(err, "reading %s: out of memory", certificate);
	}
	identities->added = grown;
	grown[identities->added_count++] = added;
	return 0;
}

static int chain_open(struct identities *identities, struct error *err)
{
	const char *path = identities->options.intermediates;
	X509 *issuer = mint_issuer(identities->mint), *one;
	FILE *file;

	identities->chain = sk_X509_new_null();
	X509_up_ref(issuer);
	if (identities->chain == NULL || sk_X509_push(identities->chain, issuer) == 0)
		return error_set(err, "out of memory");
	if (path == NULL)
		return 0;
	file = fopen(path, "re");
	if (file == NULL)
		return error_sys(err, "opening %s", path);
	while ((one = PEM_read_X509(file, NULL, NULL, NULL)) != NULL) {
		if (X509_cmp(one, issuer) == 0 || sk_X509_push(identities->chain, one) == 0)
			X509_free(one);
	}
	fclose(file);
	ERR_clear_error(); /* the end of the file */
	return 0;
}

int identities_mint(
	struct identities *identities, const struct mint_options *options, struct error *err)
{
	identities->options = *options;
	identities->mint = mint_open(options->issuer, options->issuer_key, err);
	if (identities->mint == NULL || chain_open(identities, err) != 0)
		return -1;
	identities->minted = calloc(options->phones, sizeof(*identities->minted));
	if (identities->minted == NULL)
		return error_set(err, "out of memory");
	identities->key_count = options->is_rsa ? RSA_KEYS : EC_KEYS;
	for (uint32_t i = 0; i < identities->key_count; i++) {
		identities->keys[i] = options->is_rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
		if (identities->keys[i] == NULL)
			return openssl_fail(err, "making", "a key");
	}
	return 0;
}

void identities_free(struct identities *identities)
{
	if (identities == NULL)
		return;
	for (uint32_t i = 0; i < identities->added_count; i++)
		tls_identity_free(identities->added[i].identity);
	free(identities->added);
	for (uint32_t i = 0; identities->minted != NULL && i < identities->options.phones; i++)
		free(identities->minted[i].der);
	free(identities->minted);
	for (uint32_t i = 0; i < identities->key_count; i++)
		EVP_PKEY_free(identities->keys[i]);
	sk_X509_pop_free(identities->chain, X509_free);
	mint_close(identities->mint);
	free(identities);
}

void identities_mailbox(const struct identities *identities, uint32_t number, char text[321])
{
	if (identities->mint != NULL)
		snprintf(text, 321, "phone%u@%.250s", number % identities->options.phones,
			identities->options.domain);
	else
		memcpy(text, identities->added[number % identities->added_count].mailbox, 321);
}

/* The phone's certificate: made now, or read again. */
static X509 *minted_certificate(struct identities *identities, uint32_t number, EVP_PKEY *key)
{
	struct minted *minted = &identities->minted[number];
	const uint8_t *at = minted->der;
	char mailbox[321];
	struct error err;
	X509 *certificate;
	int len;

	if (minted->der != NULL)
		return d2i_X509(NULL, &at, (long)minted->len);
	identities_mailbox(identities, number, mailbox);
	certificate = mint_certificate(
		identities->mint, number, mailbox, key, identities->options.size, &err);
	if (certificate == NULL)
		return NULL;
	len = i2d_X509(certificate, &minted->der);
	minted->len = len > 0 ? (uint32_t)len : 0;
	return certificate;
}

struct tls_identity *identities_take(struct identities *identities, uint32_t number)
{
	struct tls_identity *identity;
	X509 *certificate;
	EVP_PKEY *key;

	if (identities->mint == NULL)
		return identities->added[number % identities->added_count].identity;
	number %= identities->options.phones;
	key = identities->keys[number % identities->key_count];
	certificate = minted_certificate(identities, number, key);
	if (certificate == NULL)
		return NULL;
	identity = tls_identity_of(certificate, key, identities->chain);
	X509_free(certificate);
	return identity;
}

void identities_give_back(struct identities *identities, struct tls_identity *identity)
{
	if (identities->mint != NULL)
		tls_identity_free(identity);
}
