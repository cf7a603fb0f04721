/*
 * Logging in at the mail server on the owner's behalf: for whom, what comes of it, and what can be wrong.
 * What the ways to log in (tickets, minted certificates, tokens) have in common.
 */
#ifndef AUTH_LOGIN_H
#define AUTH_LOGIN_H

#include <stdbool.h>

#include "auth/directory.h"
#include "auth/identity_names.h"
#include "config/model.h"

enum {
	LOGIN_SECRET_MAX = 16 * 1024, /* bytes of a token, or of a certificate with its key */
	LOGIN_SERVICE_MAX = 319,      /* of an SPN: HTTP/ and a host's name */
	LOGIN_TEXT_MAX = 199,
};

enum login_kind { LOGIN_KERBEROS, LOGIN_MINTED, LOGIN_BEARER, LOGIN_ASSERTION, LOGIN_KIND_COUNT };

/* "kerberos", "minted-certificate", "bearer", "assertion"; "" for what is none of them. */
const char *login_kind_name(unsigned int kind);

/* Whether the configuration has users logged in so; false for what is none of them. */
bool login_kind_is_used(const struct config *config, unsigned int kind);

/* Whose login it is. Texts end in NUL; "" where unknown. */
struct login_subject {
	char mailbox[IDENTITY_ADDRESS_MAX + 1];
	char account[DIRECTORY_ACCOUNT_MAX + 1]; /* as the directory writes it */
	char realm[DIRECTORY_REALM_MAX + 1];     /* of the account, in capitals */
	char upn[IDENTITY_ADDRESS_MAX + 1];
	char sid[DIRECTORY_SID_MAX + 1]; /* "S-1-5-21-…" */
};

enum login_status {
	LOGIN_GIVEN,
	LOGIN_REFUSED, /* it is about this user: unknown, disabled, may not be delegated */
	LOGIN_MISCONFIGURED, /* it is about us: nobody gets a login until an operator has done something */
	LOGIN_UNAVAILABLE, /* no answer, or nonsense; it may get better by itself */
	LOGIN_STATUS_COUNT
};

/* Why there is no login. Printable; no secrets. */
struct login_fault {
	char text[LOGIN_TEXT_MAX + 1]; /* what failed */
	char hint[LOGIN_TEXT_MAX + 1]; /* what an operator can do about it; "" for nothing */
};

/* text is formatted, cut, and made printable; hint NULL: none. Returns status. */
enum login_status login_fault_set(struct login_fault *fault, enum login_status status,
	const char *hint, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
