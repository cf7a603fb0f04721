#include "proxy/tls_keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <string.h>

#include "config/span.h"

static const char *const hash_names[TLS_HASH_COUNT] = {
	[TLS_SHA256] = "SHA256", [TLS_SHA384] = "SHA384"};

static EVP_MAC_CTX *hmac_new(const char *hash)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)hash, 0),
		OSSL_PARAM_construct_end()};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;

	EVP_MAC_free(mac); /* the context holds it */
	if (ctx != NULL && EVP_MAC_CTX_set_params(ctx, params) == 1)
		return ctx;
	EVP_MAC_CTX_free(ctx);
	return NULL;
}

/* Made at the first use and kept for as long as the process lives. */
static EVP_MAC_CTX *hmac_of(enum tls_hash hash)
{
	static EVP_MAC_CTX *kept[TLS_HASH_COUNT];

	if (kept[hash] == NULL)
		kept[hash] = hmac_new(hash_names[hash]);
	return kept[hash];
}

/*
 * HKDF-Expand-Label of RFC 8446 7.1 with an empty context; no secret: that of the call before. Nothing
 * here is longer than the hash, so of HKDF-Expand (RFC 5869 2.3) there is the first block alone.
 */
static int expand_label(
	enum tls_hash hash, struct span secret, const char *label, uint8_t *out, uint8_t out_len)
{
	uint8_t info[4 + 6 + 12 + 1], block[TLS_SECRET_MAX];
	size_t label_len = strlen(label), info_len = 0, block_len = 0;
	EVP_MAC_CTX *hmac = hmac_of(hash);
	int status = -1;

	if (hmac == NULL || label_len > 12 || out_len > tls_hash_len(hash))
		return -1;
	info[info_len++] = 0;
	info[info_len++] = out_len;
	info[info_len++] = (uint8_t)(6 + label_len);
	memcpy(info + info_len, "tls13 ", 6);
	memcpy(info + info_len + 6, label, label_len);
	info_len += 6 + label_len;
	info[info_len++] = 0;
	info[info_len++] = 1; /* the block's number */
	if (EVP_MAC_init(hmac, secret.data, secret.len, NULL) == 1 &&
		EVP_MAC_update(hmac, info, info_len) == 1 &&
		EVP_MAC_final(hmac, block, &block_len, sizeof(block)) == 1 &&
		block_len == tls_hash_len(hash)) {
		memcpy(out, block, out_len);
		status = 0;
	}
	OPENSSL_cleanse(block, sizeof(block));
	return status;
}

/* Puts another secret where the last one is. 0 or -1. */
static int forget_secret(enum tls_hash hash)
{
	static const uint8_t none[TLS_SECRET_MAX];
	EVP_MAC_CTX *hmac = hmac_of(hash);

	return hmac != NULL && EVP_MAC_init(hmac, none, tls_hash_len(hash), NULL) == 1 ? 0 : -1;
}

int tls_keys_of_secret(const struct tls_suite *suite, const uint8_t *secret, struct tls_keys *keys)
{
	enum tls_hash hash = suite->hash;
	struct span first = span_of(secret, tls_hash_len(hash)), same = {.len = 0};
	bool has_keys = expand_label(hash, first, "key", keys->key, suite->key_len) == 0 &&
			expand_label(hash, same, "iv", keys->iv, TLS_NONCE) == 0;

	if (forget_secret(hash) == 0 && has_keys)
		return 0;
	OPENSSL_cleanse(keys, sizeof(*keys));
	return -1;
}

int tls_keys_next_secret(const struct tls_suite *suite, uint8_t *secret)
{
	uint8_t len = tls_hash_len(suite->hash);
	int status = expand_label(suite->hash, span_of(secret, len), "traffic upd", secret, len);

	return forget_secret(suite->hash) == 0 ? status : -1;
}

static int key_block(const struct tls_suite *suite, const uint8_t *master,
	const uint8_t *client_random, const uint8_t *server_random, uint8_t *block,
	size_t block_len)
{
	uint8_t seed[2 * TLS_RANDOM];
	OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(
				       OSSL_KDF_PARAM_DIGEST, (char *)hash_names[suite->hash], 0),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_SECRET, (void *)master, TLS_MASTER_SECRET),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_SEED, (void *)"key expansion", sizeof("key expansion") - 1),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof(seed)),
		OSSL_PARAM_construct_end()};
	static EVP_KDF *prf;
	EVP_KDF_CTX *ctx;
	int status;

	memcpy(seed, server_random, TLS_RANDOM);
	memcpy(seed + TLS_RANDOM, client_random, TLS_RANDOM);
	if (prf == NULL)
		prf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
	ctx = prf != NULL ? EVP_KDF_CTX_new(prf) : NULL;
	status = ctx != NULL && EVP_KDF_derive(ctx, block, block_len, params) == 1 ? 0 : -1;
	EVP_KDF_CTX_free(ctx); /* wipes what it was given */
	return status;
}

int tls_keys_of_master(const struct tls_suite *suite, const uint8_t master[TLS_MASTER_SECRET],
	const uint8_t client_random[TLS_RANDOM], const uint8_t server_random[TLS_RANDOM],
	struct tls_keys *client, struct tls_keys *server)
{
	uint8_t block[2 * (TLS_KEY_MAX + TLS_NONCE)];
	size_t key_len = suite->key_len;
	/* RFC 5288 3: a salt; RFC 7905 2: all of the nonce. There are no MAC keys with an AEAD. */
	size_t iv_len = TLS_NONCE - tls_suite_explicit_nonce(suite);
	int status = key_block(
		suite, master, client_random, server_random, block, 2 * (key_len + iv_len));

	memset(client, 0, sizeof(*client));
	memset(server, 0, sizeof(*server));
	if (status == 0) {
		memcpy(client->key, block, key_len);
		memcpy(server->key, block + key_len, key_len);
		memcpy(client->iv, block + 2 * key_len, iv_len);
		memcpy(server->iv, block + 2 * key_len + iv_len, iv_len);
	}
	OPENSSL_cleanse(block, sizeof(block));
	return status;
}
