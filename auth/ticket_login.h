/*
 * Our own login in one realm: the account's keys, its ticket-granting ticket, and what the library makes
 * of it to ask for tickets in the names of others. For auth/ticket_desk.c alone.
 */
#ifndef AUTH_TICKET_LOGIN_H
#define AUTH_TICKET_LOGIN_H

#include <gssapi/gssapi.h>
#include <krb5.h>
#include <stdbool.h>
#include <stdint.h>

#include "auth/login.h"
#include "config/error.h"
#include "config/model.h"

struct ticket_login {
	const struct config_kerberos *config; /* borrowed */
	krb5_context krb5;                    /* borrowed */
	krb5_principal account;
	char *name; /* of the account: account@REALM */
	krb5_keytab keys;
	krb5_ccache cache;        /* the ticket-granting ticket, and those of other realms */
	gss_cred_id_t credential; /* made from it; GSS_C_NO_CREDENTIAL: not logged in */
	int64_t begin, end;       /* of that ticket, UNIX seconds */
	/* That the KDC would not have us is remembered for a while: an account whose wrong keys are tried again
	 * and again gets locked. */
	int64_t refused_until;
	enum login_status refused_status;
	struct login_fault refused_fault;
	bool may_transition; /* some user's ticket to us was good for delegation */
};

/* Copies the keys out of the key table, so that its descriptor is not needed any more. Where it has no key
 * under the account's name, but keys under one other (ktpass names them for the SPN), those are taken: they
 * are the account's all the same. NULL with err filled. config is borrowed. */
struct ticket_login *ticket_login_new(
	krb5_context krb5, const struct config_kerberos *config, struct error *err);
void ticket_login_free(struct ticket_login *login); /* NULL is allowed */

/* Logs in where that has not been done, or half of the ticket's life is over, since no user's ticket lives
 * longer than ours. If the latter fails and our ticket is still good, it is LOGIN_GIVEN all the same. */
enum login_status ticket_login_renew(
	struct ticket_login *login, int64_t now, struct login_fault *fault);

/* The KDC says that our ticket is no good: the next ticket_login_renew() gets another. */
void ticket_login_forget(struct ticket_login *login);

#endif
