/*
 * AEADs of whole messages, on cipher contexts of the process: a channel keeps its key and no context,
 * which would be larger than all else of it. A context remembers whose key it has, so that a channel
 * that is used again and again does not pay for its key each time. For proxy/tls*.c.
 */
#ifndef PROXY_TLS_AEAD_H
#define PROXY_TLS_AEAD_H

#include <stddef.h>
#include <stdint.h>

#include "config/span.h"
#include "proxy/tls_suite.h"

/* One direction's key. */
struct tls_aead {
	enum tls_aead_kind kind;
	const uint8_t *key;
	/* Whose it is: any address that is its alone. Before the key behind an owner changes, or the
	 * owner goes, tls_aead_forget() has to be called. */
	const void *owner;
};

/* Encrypts len bytes of in, then `last` if it is not -1, to out, and the tag behind them. in and out
 * are the same or do not overlap. 0, or -1 when OpenSSL cannot. */
int tls_aead_seal(const struct tls_aead *aead, const uint8_t nonce[TLS_NONCE], struct span aad,
	const uint8_t *in, size_t len, int last, uint8_t *out);

/*
 * Decrypts len bytes of in (with the tag behind them, which does not count in len): the first split
 * bytes to out, the others in place. 0; -1: it is not authentic, and what was written to out is wiped.
 */
int tls_aead_open(const struct tls_aead *aead, const uint8_t nonce[TLS_NONCE], struct span aad,
	uint8_t *in, size_t len, uint8_t *out, size_t split);

/* Wipes what contexts have of the owner's key. */
void tls_aead_forget(const void *owner);

#endif
