/*
 * What the helper processes for logins do: each kind of work in a file of its own, with the resources that
 * it alone needs. The identity process (identity_login.c) gives them jobs, and sees neither tickets nor the
 * keys that logins are made with.
 */
#ifndef PROXY_IDENTITY_WORK_H
#define PROXY_IDENTITY_WORK_H

#include "proxy/identity_helpers.h"

/* The works that the configuration asks for; NULL: it does not ask for that one. All answer with
 * MESSAGE_LOGIN_DONE, whose status is LOGIN_GIVEN or comes with a fault. */
struct identity_works {
	/* Each is asked MESSAGE_LOGIN_JOB, and gives a login with its valid_until: ticket a Kerberos
	 * ticket in a sealed memory file beside the answer, the others their secret in the answer. */
	const struct helper_work *ticket, *minter, *bearer, *signer;
	/* Users' tickets, in one process. It is asked
	 *	MESSAGE_TICKET_PUT   with the memory file: keep it, in the place of what that key had;
	 *	MESSAGE_TICKET_DROP  wipe it; one that is not there is dropped, too;
	 *	MESSAGE_TOKEN_JOB    a token: secret and context. UNAVAILABLE: there is no such ticket (any more)
	 *			     or it has ended; another one will be put and asked for again, once;
	 *	MESSAGE_LOGIN_PROOF  GIVEN: the server has proved who it is. REFUSED: it has not, or the
	 *			     context is not known (any more); the context is gone in either case;
	 *	MESSAGE_LOGIN_FORGET the context is gone; an unknown one is forgotten, too.
	 * It has to keep upstream/login-cache tickets, and one more. */
	const struct helper_work *tokens;
};

/* The configuration of child is borrowed for as long as the process lives. */
void identity_works_find(const struct child *child, struct identity_works *works);

/* One for each kind, to which identity_works_find() turns; NULL where the configuration does not ask
 * for it. */
const struct helper_work *ticket_work(const struct child *child); /* identity_ticket.c */
const struct helper_work *tokens_work(const struct child *child); /* identity_tokens.c */
const struct helper_work *minter_work(const struct child *child); /* identity_minter.c */
const struct helper_work *bearer_work(const struct child *child); /* identity_bearer.c */
const struct helper_work *signer_work(const struct child *child); /* identity_signer.c */

#endif
