/*
 * The authority that signs certificates for users: its certificate, those above it, and its key, from
 * a file or in a token. Only the process that mints has one.
 */
#ifndef AUTH_MINTED_ISSUER_H
#define AUTH_MINTED_ISSUER_H

#include <openssl/x509.h>
#include <stdint.h>

#include "auth/pkcs11_key.h"
#include "config/model.h"

struct minted_issuer {
	X509 *certificate;
	char *chain; /* PEM: it and those above it, without the root, which who verifies has to have */
	size_t chain_len;
	int64_t not_before, not_after; /* UNIX seconds: when all of them are valid */
	EVP_PKEY *key;
	struct pkcs11_key *token; /* NULL: the key is here in memory */
	const EVP_MD *digest;     /* NULL: the kind of key has its own */
};

/* Reads what is configured, opens the token where the key is in one, and tries the key: what it signs
 * the certificate has to verify. May block for as long as a token likes. The caller closes it.
 * NULL with err filled; *was_refused then says whether a token did not take the PIN. */
struct minted_issuer *minted_issuer_open(
	const struct config_minted *config, bool *was_refused, struct error *err);

/* Wipes the key. NULL is allowed. */
void minted_issuer_close(struct minted_issuer *issuer);

/* 0, or -1 with err filled: a token that cannot be reached any more. */
int minted_issuer_sign(const struct minted_issuer *issuer, X509 *certificate, struct error *err);

#endif
