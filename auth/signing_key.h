/*
 * The key that signs assertions, and how a receiver finds its counterpart: HMAC with a shared secret, RSA
 * or ECDSA (RFC 7518 3.2 to 3.4). For the helper processes of identity that hold one, and for nobody
 * else.
 */
#ifndef AUTH_SIGNING_KEY_H
#define AUTH_SIGNING_KEY_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "config/error.h"
#include "config/model.h"
#include "config/span.h"

enum {
	SIGNING_SECRET_MIN = 32,     /* RFC 7518 3.2: no shorter than the hash */
	SIGNING_RSA_BITS_MIN = 2048, /* RFC 7518 3.3 */
	SIGNATURE_MAX = 2048,        /* RSA of 16384 bits */
};

struct signing_key {
	enum config_signature algorithm;
	EVP_PKEY *key;
	X509 *certificate; /* NULL: none was given */
	char *key_id;      /* "": none */
};

/* text is the key in PEM, or for HS256 the secret: the line, where the file is one line of printable ASCII, else
 * all of its bytes. The certificate, in PEM, may be empty; else it is the key's. key_id may be "". All
 * of it is copied. NULL with err filled, which shows nothing of the key. */
struct signing_key *signing_key_open(enum config_signature algorithm, struct span text,
	struct span certificate, const char *key_id, struct error *err);
void signing_key_close(struct signing_key *key); /* wipes it; NULL is allowed */

/* The same from files of the configuration; certificate->fd may be -1. */
struct signing_key *signing_key_read(enum config_signature algorithm, const struct config_file *key,
	const struct config_file *certificate, const char *key_id, struct error *err);

/* "RS256" */
const char *signing_key_algorithm(const struct signing_key *key);

/* Over all of input, as JWS has it: ECDSA is both numbers, 32 octets each, not DER. 0, or -1 with err
 * filled. */
int signing_key_sign(const struct signing_key *key, struct span input,
	uint8_t signature[SIGNATURE_MAX], size_t *len, struct error *err);

#endif
