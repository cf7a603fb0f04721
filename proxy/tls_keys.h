/*
 * From what a handshake has agreed on to the keys of records. The primitives are OpenSSL's, fetched
 * once per process. For proxy/tls*.c.
 */
#ifndef PROXY_TLS_KEYS_H
#define PROXY_TLS_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/tls_suite.h"

enum { TLS_MASTER_SECRET = 48, TLS_RANDOM = 32 };

/* What one direction of a channel is protected with. */
struct tls_keys {
	uint8_t key[TLS_KEY_MAX]; /* suite->key_len of it */
	uint8_t iv[TLS_NONCE];    /* 1.2's AES-GCM has only its first four bytes, the salt */
};

/* TLS 1.3: of a traffic secret, RFC 8446 7.3. 0, or -1 when OpenSSL cannot. */
int tls_keys_of_secret(const struct tls_suite *suite, const uint8_t *secret, struct tls_keys *keys);

/* TLS 1.3: the secret of the next generation takes this one's place, RFC 8446 7.2. 0 or -1. */
int tls_keys_next_secret(const struct tls_suite *suite, uint8_t *secret);

/* TLS 1.2: RFC 5246 6.3. 0 or -1. */
int tls_keys_of_master(const struct tls_suite *suite, const uint8_t master[TLS_MASTER_SECRET],
	const uint8_t client_random[TLS_RANDOM], const uint8_t server_random[TLS_RANDOM],
	struct tls_keys *client, struct tls_keys *server);

#endif
