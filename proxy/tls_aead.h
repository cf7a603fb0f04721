/*
 * AEADs of whole messages, on cipher contexts of the process: a channel keeps what its key is made of and
 * no context, which would be larger than all else of it. There is a fixed number of contexts, and the
 * channels that were used last have them, so that a busy one does not set its key anew for each
 * record. For proxy/tls*.c.
 */
#ifndef PROXY_TLS_AEAD_H
#define PROXY_TLS_AEAD_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "config/span.h"
#include "proxy/tls_keys.h"
#include "proxy/tls_suite.h"

/* As many keys are in contexts at a time, one per direction of a channel: a byte names one of them. */
enum { TLS_CIPHERS_MAX = UINT8_MAX };

/* A context with a key in it. */
struct tls_cipher {
	TAILQ_ENTRY(tls_cipher) entry; /* the one that was used least recently is first */
	EVP_CIPHER_CTX *ctx;
	uint8_t *place; /* the byte that names it, whoever has it; NULL: it has nobody's key */
	uint8_t iv[TLS_NONCE];
};

/*
 * A direction of a channel has a byte for this, which is 0 at first and stays where it is in memory
 * until tls_aead_forget().
 *
 * The context that has the direction's key; NULL: none has it, or not any more.
 */
struct tls_cipher *tls_aead_find(const uint8_t *place);

/* Gives the direction, which has none, a context with its key and IV. Another direction may lose its own by
 * that. Lasts until the next call of this function or of tls_aead_forget(). NULL when OpenSSL cannot. */
struct tls_cipher *tls_aead_key(
	uint8_t *place, enum tls_aead_kind kind, const struct tls_keys *keys);

/* Wipes the direction's key from its context, if it has one: before another key takes its place, and
 * before the direction goes. */
void tls_aead_forget(uint8_t *place);

/* Encrypts len bytes of in, then `last` if it is not -1, to out, and the tag behind them. in and out
 * do not overlap. 0, or -1 when OpenSSL cannot. */
int tls_aead_seal(struct tls_cipher *cipher, const uint8_t nonce[TLS_NONCE], struct span aad,
	const uint8_t *in, size_t len, int last, uint8_t *out);

/*
 * Decrypts len bytes of in (with the tag behind them, which does not count in len): the first split
 * bytes to out, the others in place. 0; -1: it is not authentic, and what was written to out is wiped.
 */
int tls_aead_open(struct tls_cipher *cipher, const uint8_t nonce[TLS_NONCE], struct span aad,
	uint8_t *in, size_t len, uint8_t *out, size_t split);

#endif
