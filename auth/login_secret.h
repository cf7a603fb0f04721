/*
 * What a login is made of: a token, or a certificate with its key. Whoever holds one wipes it. For the
 * processes that a login goes through.
 */
#ifndef AUTH_LOGIN_SECRET_H
#define AUTH_LOGIN_SECRET_H

#include <openssl/crypto.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/login.h"

struct login_secret {
	int64_t valid_until; /* UNIX seconds */
	size_t len;
	uint8_t bytes[LOGIN_SECRET_MAX]; /* not ended by a NUL */
};

static inline void login_secret_wipe(struct login_secret *secret)
{
	OPENSSL_cleanse(secret, sizeof(*secret));
}

#endif
