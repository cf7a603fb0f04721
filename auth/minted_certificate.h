/*
 * Client certificates that live for an hour or so, one for each user, signed by an authority of the
 * operator's: with one the proxy logs in on the user's behalf at an Exchange that maps certificates to
 * accounts, or at any server that asks for certificates. RFC 5280. Runs in the minting helper alone,
 * as that has the issuer's key; a token may block for as long as it likes.
 */
#ifndef AUTH_MINTED_CERTIFICATE_H
#define AUTH_MINTED_CERTIFICATE_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/login_secret.h"
#include "config/error.h"
#include "config/model.h"

struct minter;

/* Reads issuer and key, opens the token where the key is in one, and tries the key. config is
 * borrowed. NULL with err filled; *was_refused then says whether the token did not take the PIN, so that
 * trying again might lock it. */
struct minter *minter_new(const struct config_minted *config, bool *was_refused, struct error *err);

/* A certificate for the subject, who must have a mailbox, from a few minutes before now (UNIX seconds)
 * until config->life_ms after it, or until the issuer's own end. It names
 *
 *	subject                 CN, the first of mailbox, principal and account that is short enough
 *	subjectAltName          the principal as UPN, the mailbox
 *	1.3.6.1.4.1.311.25.2    the SID, where it is known and config->sid is on
 *	cRLDistributionPoints   config->crl_url, unless that is empty
 *
 * where the principal is the subject's upn, or its account and realm (which is everybody's UPN in
 * Active Directory who was given no other), or without a directory the mailbox. out is PEM: its
 * key (PKCS#8), the certificate, and the chain without the root. The caller wipes it. LOGIN_GIVEN; else out is empty and fault filled:
 * REFUSED (a name or the SID cannot stand in a certificate), MISCONFIGURED (the issuer is not valid
 * now), UNAVAILABLE (no signature: see minter_is_broken()). */
enum login_status minter_mint(struct minter *minter, const struct login_subject *subject,
	int64_t now, struct login_secret *out, struct login_fault *fault);

/* Whether its token failed to sign: a session with a token that was away does not come back, a new
 * process opens another one. */
bool minter_is_broken(const struct minter *minter);

/* Wipes its keys. NULL is allowed. */
void minter_free(struct minter *minter);

#endif
