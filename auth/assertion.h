/*
 * Signed assertions about a user as JSON Web Tokens (RFC 7519) in JWS' compact form (RFC 7515 7.1): what the field
 * of `assertion` says to a mail server, and what an authorization server is shown for a token (RFC
 * 7523). For the helper processes that hold the key.
 */
#ifndef AUTH_ASSERTION_H
#define AUTH_ASSERTION_H

#include <stdint.h>

#include "auth/login.h"
#include "auth/login_secret.h"
#include "auth/signing_key.h"
#include "config/error.h"
#include "config/model.h"

enum {
	ASSERTION_SKEW_S = 60, /* the receiver's clock may be so much behind ours */
	ASSERTION_ID_SIZE = 33,
};

struct assertion_claims {
	const char *issuer, *subject;
	const char *audience; /* "": none is named */
	int64_t now, life_s;  /* UNIX seconds */
};

/* 128 random bits as 32 digits, by which a receiver knows one that it has seen. 0, or -1 with err filled. */
int assertion_make_id(char id[ASSERTION_ID_SIZE], struct error *err);

/* The compact form of any payload, header.payload.signature, not ended by a NUL; the header names the key's
 * algorithm. *len is its length. 0, or -1 with err filled, where size is too small, too. */
int assertion_compact(const struct signing_key *key, struct span header, struct span payload,
	char *token, size_t size, size_t *len, struct error *err);

/* A JWT with iss, sub, aud, iat, nbf, exp and jti, whose header has alg, typ, kid where the key has a name, and
 * x5t and x5t#S256 where it has a certificate. The caller wipes out. 0, or -1 with err filled. */
int assertion_write(const struct signing_key *key, const struct assertion_claims *claims,
	struct login_secret *out, struct error *err);

/* The field of `assertion` */

struct assertion_signer; /* opaque */

/* config is borrowed. NULL with err filled. */
struct assertion_signer *assertion_signer_new(
	const struct config_assertion *config, struct error *err);
void assertion_signer_free(struct assertion_signer *signer); /* wipes the key; NULL is allowed */

/* A JWT for the subject, good from now on for `life`. The caller wipes out. LOGIN_GIVEN, or another status and
 * fault filled. */
enum login_status assertion_sign(const struct assertion_signer *signer,
	const struct login_subject *subject, int64_t now, struct login_secret *out,
	struct login_fault *fault);

#endif
