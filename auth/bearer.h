/*
 * Access tokens for users, fetched from an authorization server with a signed assertion: a JWT (RFC 7523) or
 * SAML 2.0 (RFC 7522), as RFC 7521 has them exchanged. Blocks; for the helper process that holds the
 * assertions' key.
 */
#ifndef AUTH_BEARER_H
#define AUTH_BEARER_H

#include "auth/login.h"
#include "auth/login_secret.h"
#include "config/error.h"
#include "config/model.h"

struct bearer_desk; /* opaque; one in a process */

/* Reads the key, the certificates and, where bearer/ca is unset, those of the system: files that a sandbox
 * does not have later. A fetch takes time_ms at most, but for looking up the host's name, which cannot
 * always be interrupted. config is borrowed. NULL with err filled. */
struct bearer_desk *bearer_desk_new(
	const struct config_bearer *config, uint32_t time_ms, struct error *err);
void bearer_desk_free(struct bearer_desk *desk); /* wipes it; NULL is allowed */

/* A token that names the subject. The caller wipes out. LOGIN_GIVEN, or another status and fault filled. */
enum login_status bearer_fetch(struct bearer_desk *desk, const struct login_subject *subject,
	struct login_secret *out, struct login_fault *fault);

#endif
