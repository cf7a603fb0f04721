/*
 * A user's Kerberos ticket for one service, with the session key that goes with it, as bytes: what a
 * process that can get tickets hands to the one that uses them. Nothing else is in it, above all no
 * ticket-granting ticket: who has these bytes can be this user at this service until the ticket ends,
 * and nothing more. They are a secret all the same.
 *
 *	 0  what it is and its version, "EASTKT01" (8)
 *	 8  the session key's type (4)
 *	12  the ticket's flags, as in krb5.h (4)
 *	16  times of the user's login, of the ticket's begin and of its end, UNIX seconds (3 × 8)
 *	40  lengths of the session key, of the user's and of the service's name (2 each), of the ticket (4)
 *	50  these four
 *
 * Numbers are big-endian. Names are principals as krb5_unparse_name() writes them.
 */
#ifndef AUTH_TICKET_H
#define AUTH_TICKET_H

#include <stddef.h>
#include <stdint.h>

#include "config/span.h"

enum {
	/* A token made from it has to fit into LOGIN_SECRET_MAX (auth/login.h). Membership in many groups makes
	 * tickets large; IIS as it is installed takes no field of more than 16 KB, in base64. */
	TICKET_ENCRYPTED_MAX = 15 * 1024,
	TICKET_NAME_MAX = 511,
	TICKET_KEY_MAX = 64,
	TICKET_HEAD_SIZE = 50,
	TICKET_SIZE_MAX =
		TICKET_HEAD_SIZE + TICKET_KEY_MAX + 2 * TICKET_NAME_MAX + TICKET_ENCRYPTED_MAX,
};

struct ticket {
	uint8_t *bytes; /* NULL: none */
	size_t len;
	int64_t valid_until; /* UNIX seconds */
};

struct ticket_parts {
	int32_t key_type;
	uint32_t flags;
	int64_t login_time, begin_time, end_time;
	struct span key, user, service, encrypted;
};

/* Makes the bytes; the caller clears the ticket. -1, and nothing to clear, where a part is empty or too
 * large, or memory runs out. */
int ticket_write(const struct ticket_parts *parts, struct ticket *ticket);

/* Takes bytes apart; the spans point into them. -1 where they are not what ticket_write() makes. */
int ticket_read(struct span bytes, struct ticket_parts *parts);

/* Wipes and frees; an empty one is allowed. */
void ticket_clear(struct ticket *ticket);

#endif
