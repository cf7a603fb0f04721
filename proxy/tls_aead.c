#include "proxy/tls_aead.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

/* As many channels that take turns each find their key still there. */
enum { KEPT_MAX = 16 };

struct kept {
	EVP_CIPHER_CTX *ctx;
	const void *owner; /* whose key is in it; NULL: nobody's */
};

enum { OPENING, SEALING };

static struct kept kept[TLS_AEAD_COUNT][2][KEPT_MAX];

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

static size_t place_of(const void *owner)
{
	return (size_t)(((uint64_t)(uintptr_t)owner * UINT64_C(0x9e3779b97f4a7c15)) >> 60) %
	       KEPT_MAX;
}

/* A context that is ready for a message with this nonce; tag: that has to come out, or NULL. */
static EVP_CIPHER_CTX *begin(
	const struct tls_aead *aead, int direction, const uint8_t nonce[TLS_NONCE], uint8_t *tag)
{
	struct kept *place = &kept[aead->kind][direction][place_of(aead->owner)];
	bool has_key = place->owner == aead->owner;
	const EVP_CIPHER *cipher = cipher_of(aead->kind);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, TLS_TAG),
		OSSL_PARAM_construct_end()};

	if (cipher == NULL)
		return NULL;
	if (place->ctx == NULL)
		place->ctx = EVP_CIPHER_CTX_new();
	place->owner = NULL;
	if (place->ctx == NULL ||
		EVP_CipherInit_ex2(place->ctx, has_key ? NULL : cipher, has_key ? NULL : aead->key,
			nonce, direction, tag != NULL ? params : NULL) != 1)
		return NULL;
	place->owner = aead->owner;
	return place->ctx;
}

static int update(EVP_CIPHER_CTX *ctx, uint8_t *out, const uint8_t *in, size_t len)
{
	int done = 0;

	if (len > INT_MAX || EVP_CipherUpdate(ctx, out, &done, in, (int)len) != 1 ||
		(size_t)done != len)
		return -1;
	return 0;
}

int tls_aead_seal(const struct tls_aead *aead, const uint8_t nonce[TLS_NONCE], struct span aad,
	const uint8_t *in, size_t len, int last, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = begin(aead, SEALING, nonce, NULL);
	uint8_t last_byte = (uint8_t)last;
	uint8_t *tag = out + len + (last != -1);
	int done = 0;

	if (ctx == NULL || update(ctx, NULL, aad.data, aad.len) != 0 ||
		(len > 0 && update(ctx, out, in, len) != 0) ||
		(last != -1 && update(ctx, out + len, &last_byte, 1) != 0) ||
		EVP_CipherFinal_ex(ctx, tag, &done) != 1 || done != 0 ||
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TLS_TAG, tag) != 1)
		return -1;
	return 0;
}

int tls_aead_open(const struct tls_aead *aead, const uint8_t nonce[TLS_NONCE], struct span aad,
	uint8_t *in, size_t len, uint8_t *out, size_t split)
{
	EVP_CIPHER_CTX *ctx = begin(aead, OPENING, nonce, in + len);
	uint8_t none[TLS_TAG];
	int done = 0;

	if (ctx != NULL && update(ctx, NULL, aad.data, aad.len) == 0 &&
		(split == 0 || update(ctx, out, in, split) == 0) &&
		(split == len || update(ctx, in + split, in + split, len - split) == 0) &&
		EVP_CipherFinal_ex(ctx, none, &done) == 1 && done == 0)
		return 0;
	if (split > 0)
		OPENSSL_cleanse(out, split);
	OPENSSL_cleanse(in + split, len - split);
	return -1;
}

void tls_aead_forget(const void *owner)
{
	for (size_t kind = 0; kind < TLS_AEAD_COUNT; kind++)
		for (size_t direction = 0; direction < 2; direction++) {
			struct kept *place = &kept[kind][direction][place_of(owner)];

			if (place->owner == owner) {
				EVP_CIPHER_CTX_reset(place->ctx); /* wipes the key */
				place->owner = NULL;
			}
		}
}
