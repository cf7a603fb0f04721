#include "proxy/tls_aead.h"

#include <assert.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <string.h>

/* Up to this length a message is copied, so that it is encrypted in one go with what is behind it. */
enum { SMALL = 1024 };

enum { OPENING, SEALING };

static struct tls_cipher ciphers[TLS_CIPHERS_MAX];
static size_t ciphers_made;
static TAILQ_HEAD(, tls_cipher) by_use = TAILQ_HEAD_INITIALIZER(by_use);

static const EVP_CIPHER *cipher_of(enum tls_aead_kind kind)
{
	static const char *const names[TLS_AEAD_COUNT] = {
		[TLS_AEAD_AES_128_GCM] = "AES-128-GCM",
		[TLS_AEAD_AES_256_GCM] = "AES-256-GCM",
		[TLS_AEAD_CHACHA20_POLY1305] = "ChaCha20-Poly1305",
	};
	static EVP_CIPHER *fetched[TLS_AEAD_COUNT];

	if (fetched[kind] == NULL)
		fetched[kind] = EVP_CIPHER_fetch(NULL, names[kind], NULL);
	return fetched[kind];
}

/* Contexts */

static void make_first(struct tls_cipher *cipher)
{
	TAILQ_REMOVE(&by_use, cipher, entry);
	TAILQ_INSERT_HEAD(&by_use, cipher, entry);
}

static void make_last(struct tls_cipher *cipher)
{
	TAILQ_REMOVE(&by_use, cipher, entry);
	TAILQ_INSERT_TAIL(&by_use, cipher, entry);
}

struct tls_cipher *tls_aead_find(const uint8_t *place)
{
	struct tls_cipher *cipher;

	if (*place == 0)
		return NULL;
	cipher = &ciphers[*place - 1];
	assert(cipher->place == place); /* whoever loses a context has its byte cleared */
	if (TAILQ_NEXT(cipher, entry) != NULL)
		make_last(cipher);
	return cipher;
}

/* One that nobody has, a new one, or what was used least recently. */
static struct tls_cipher *spare(void)
{
	struct tls_cipher *cipher = TAILQ_FIRST(&by_use);

	if ((cipher == NULL || cipher->place != NULL) && ciphers_made < TLS_CIPHERS_MAX) {
		cipher = &ciphers[ciphers_made++];
		TAILQ_INSERT_HEAD(&by_use, cipher, entry);
	}
	if (cipher->place != NULL)
		*cipher->place = 0;
	cipher->place = NULL;
	if (cipher->ctx == NULL)
		cipher->ctx = EVP_CIPHER_CTX_new();
	return cipher;
}

struct tls_cipher *tls_aead_key(
	uint8_t *place, enum tls_aead_kind kind, const struct tls_keys *keys)
{
	struct tls_cipher *cipher = spare();
	const EVP_CIPHER *wanted = cipher_of(kind);

	assert(*place == 0);
	if (cipher->ctx == NULL || wanted == NULL)
		return NULL;
	/* A context of the same kind only takes another key, which is cheaper than to begin anew. */
	if (EVP_CIPHER_CTX_get0_cipher(cipher->ctx) == wanted)
		wanted = NULL;
	if (EVP_CipherInit_ex2(cipher->ctx, wanted, keys->key, NULL, SEALING, NULL) != 1) {
		EVP_CIPHER_CTX_reset(cipher->ctx);
		return NULL;
	}
	memcpy(cipher->iv, keys->iv, TLS_NONCE);
	cipher->place = place;
	*place = (uint8_t)(cipher - ciphers + 1);
	make_last(cipher);
	return cipher;
}

void tls_aead_forget(uint8_t *place)
{
	struct tls_cipher *cipher = tls_aead_find(place);

	if (cipher == NULL)
		return;
	EVP_CIPHER_CTX_reset(cipher->ctx); /* wipes the key */
	OPENSSL_cleanse(cipher->iv, sizeof(cipher->iv));
	cipher->place = NULL;
	*place = 0;
	make_first(cipher);
}

/* Messages */

static int update(const struct tls_cipher *cipher, uint8_t *out, const uint8_t *in, size_t len)
{
	int done = 0;

	if (len > INT_MAX || EVP_CipherUpdate(cipher->ctx, out, &done, in, (int)len) != 1 ||
		(size_t)done != len)
		return -1;
	return 0;
}

static int encrypt(
	const struct tls_cipher *cipher, const uint8_t *in, size_t len, int last, uint8_t *out)
{
	uint8_t last_byte = (uint8_t)last;

	if (last != -1 && len <= SMALL) {
		memcpy(out, in, len);
		out[len] = last_byte;
		return update(cipher, out, out, len + 1);
	}
	if (len > 0 && update(cipher, out, in, len) != 0)
		return -1;
	return last != -1 ? update(cipher, out + len, &last_byte, 1) : 0;
}

int tls_aead_seal(struct tls_cipher *cipher, const uint8_t nonce[TLS_NONCE], struct span aad,
	const uint8_t *in, size_t len, int last, uint8_t *out)
{
	uint8_t *tag = out + len + (last != -1);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, TLS_TAG),
		OSSL_PARAM_construct_end()};
	int done = 0;

	if (EVP_CipherInit_ex2(cipher->ctx, NULL, NULL, nonce, SEALING, NULL) != 1 ||
		update(cipher, NULL, aad.data, aad.len) != 0 ||
		encrypt(cipher, in, len, last, out) != 0 ||
		EVP_CipherFinal_ex(cipher->ctx, tag, &done) != 1 || done != 0 ||
		EVP_CIPHER_CTX_get_params(cipher->ctx, params) != 1)
		return -1;
	return 0;
}

int tls_aead_open(struct tls_cipher *cipher, const uint8_t nonce[TLS_NONCE], struct span aad,
	uint8_t *in, size_t len, uint8_t *out, size_t split)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, in + len, TLS_TAG),
		OSSL_PARAM_construct_end()};
	uint8_t none[TLS_TAG];
	int done = 0;

	if (EVP_CipherInit_ex2(cipher->ctx, NULL, NULL, nonce, OPENING, params) == 1 &&
		update(cipher, NULL, aad.data, aad.len) == 0 &&
		(split == 0 || update(cipher, out, in, split) == 0) &&
		(split == len || update(cipher, in + split, in + split, len - split) == 0) &&
		EVP_CipherFinal_ex(cipher->ctx, none, &done) == 1 && done == 0)
		return 0;
	if (split > 0)
		OPENSSL_cleanse(out, split);
	OPENSSL_cleanse(in + split, len - split);
	return -1;
}
