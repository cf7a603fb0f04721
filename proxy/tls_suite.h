/*
 * The cipher suites that channels can go on with after OpenSSL's handshake: those with an AEAD, of
 * TLS 1.3 and, with ECDHE, of TLS 1.2. All else stays with OpenSSL. For proxy/tls*.c.
 */
#ifndef PROXY_TLS_SUITE_H
#define PROXY_TLS_SUITE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	TLS_KEY_MAX = 32,
	TLS_SECRET_MAX = 48,
	TLS_NONCE = 12, /* of every AEAD here */
	TLS_TAG = 16,   /* likewise */
};

enum tls_aead_kind {
	TLS_AEAD_AES_128_GCM,
	TLS_AEAD_AES_256_GCM,
	TLS_AEAD_CHACHA20_POLY1305,
	TLS_AEAD_COUNT
};

enum tls_hash { TLS_SHA256, TLS_SHA384, TLS_HASH_COUNT };

struct tls_suite {
	const char *name; /* as OpenSSL has it */
	uint16_t id;      /* in the registry of IANA */
	bool is_1_3;
	enum tls_aead_kind aead;
	uint8_t key_len;
	enum tls_hash hash; /* of HKDF, or of TLS 1.2's PRF */
};

/* The length of a traffic secret: what the hash gives. */
uint8_t tls_hash_len(enum tls_hash hash);

/* Bytes in front of the ciphertext of a record: the part of the nonce that TLS 1.2 sends with
 * AES-GCM (RFC 5288 3), else none. */
uint8_t tls_suite_explicit_nonce(const struct tls_suite *suite);

/* version: TLS1_2_VERSION or TLS1_3_VERSION. NULL: it is none of ours. */
const struct tls_suite *tls_suite_find(int version, uint16_t id);

/* A channel keeps only the suite's number. */
uint8_t tls_suite_number(const struct tls_suite *suite);
const struct tls_suite *tls_suite_at(uint8_t number);

#endif
