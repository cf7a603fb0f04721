/*
 * A private key that stays in a token: found by a PKCS#11 URI through libp11, and used as any other
 * key of OpenSSL's. The module is somebody else's code: it is loaded into a helper that does nothing
 * else, before its sandbox closes, and into the child of `easproxyd -t`. A call may block for as long
 * as the token likes.
 */
#ifndef AUTH_PKCS11_KEY_H
#define AUTH_PKCS11_KEY_H

#include <openssl/evp.h>

#include "config/error.h"
#include "config/pkcs11_uri.h"

struct pkcs11_key;

/* Loads the module, finds the one token and the one private key that the URI means, and logs in with
 * the PIN ("": without). A token that would be locked by another wrong PIN is not asked. NULL with err
 * filled, without the PIN in it; *was_refused then says whether the token did not take the PIN. */
struct pkcs11_key *pkcs11_key_open(const char *module, const struct pkcs11_uri *uri,
	const char *pin, bool *was_refused, struct error *err);

/* To sign with; borrowed. Its public half is not always known to the token. */
EVP_PKEY *pkcs11_key_get(const struct pkcs11_key *key);

/* Logs out. NULL is allowed. */
void pkcs11_key_close(struct pkcs11_key *key);

#endif
