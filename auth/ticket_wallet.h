/*
 * Users' tickets and what is made of them: for each login at the mail server a token (SPNEGO, RFC 4178),
 * which it is sent in Authorization: Negotiate, and the check of the token that it answers with, which
 * proves that it is who we meant. Bounded, the least recently used ticket is wiped for a new one. Never
 * blocks: for a process that knows no KDC, has no key table and no network.
 */
#ifndef AUTH_TICKET_WALLET_H
#define AUTH_TICKET_WALLET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/login.h"
#include "auth/ticket.h"
#include "config/error.h"
#include "config/span.h"

struct ticket_wallet; /* opaque */

struct ticket_token {
	uint8_t bytes[LOGIN_SECRET_MAX];
	size_t len;
	uint32_t context;    /* what the server's answer is checked against; 0: nothing */
	int64_t valid_until; /* of the ticket, UNIX seconds */
};

enum ticket_token_status {
	TICKET_TOKEN_MADE,
	TICKET_TOKEN_NO_TICKET, /* none under that key: never put, replaced by others, dropped, or over */
	TICKET_TOKEN_FAILED, /* fault says why */
};

/* Tells the Kerberos library of this process its settings (ticket_settings.h). tickets: how many are kept at
 * most; twice as many answers may be waited for. is_mutual: the server has to prove itself. NULL with err
 * filled. */
struct ticket_wallet *ticket_wallet_new(size_t tickets, bool is_mutual, struct error *err);
void ticket_wallet_free(struct ticket_wallet *wallet); /* wipes all; NULL is allowed */

/* Keeps the ticket's bytes, which become the wallet's: *ticket is empty afterwards. In place of one that has
 * the same key, or of the least recently used. -1: they are not a ticket's, and are wiped. */
int ticket_wallet_put(struct ticket_wallet *wallet, uint64_t key, struct ticket *ticket);

/* Makes a token. The caller wipes it. Where a context is opened, the caller ends it by
 * ticket_wallet_prove() or ticket_wallet_forget(). Were there more of them than fit, the oldest would be
 * forgotten, and its server could not prove itself any more. */
enum ticket_token_status ticket_wallet_token(struct ticket_wallet *wallet, uint64_t key,
	int64_t now, struct ticket_token *token, struct login_fault *fault);

/* Whether the server's token is a good answer. The context is over afterwards, in any case. On false
 * fault is filled. */
bool ticket_wallet_prove(struct ticket_wallet *wallet, uint32_t context, struct span answer,
	struct login_fault *fault);

void ticket_wallet_forget(struct ticket_wallet *wallet, uint32_t context);

/* Wipes the ticket and what is open from it. A key that is not there is allowed. */
void ticket_wallet_drop(struct ticket_wallet *wallet, uint64_t key);

size_t ticket_wallet_count(const struct ticket_wallet *wallet);
size_t ticket_wallet_open_count(const struct ticket_wallet *wallet); /* contexts */

#endif
