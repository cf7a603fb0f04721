/*
 * The addresses of a list as RFC 5322 3.4 has it ("Anna <anna@example.com>, bo@example.org"), found
 * while it passes in pieces of any size: display names, comments, quoted strings, encoded words,
 * routes and groups are read over. Bounded memory, no recursion. What cannot be an address is
 * handed out all the same where it names somebody: whoever judges recipients must not miss one.
 *
 *	mime_addresses_begin(&list);
 *	for each piece:
 *		mime_addresses_feed(&list, piece);
 *		while (mime_addresses_next(&list))
 *			…                 look at list.address
 *	if (mime_addresses_end(&list)) …      the last one
 */
#ifndef PROXY_MIME_ADDRESSES_H
#define PROXY_MIME_ADDRESSES_H

#include "config/span.h"

enum { MIME_ADDRESS_MAX = 320 }; /* RFC 3696 errata 1690: 64 + 1 + 255 */

struct mime_addresses {
	/* What was found: without white space, ASCII letters in lower case; until the next call. */
	struct span address;
	bool is_cut; /* it was longer than MIME_ADDRESS_MAX */

	/* Private to mime_addresses.c. */
	const uint8_t *at, *end;
	uint8_t state;
	bool is_escaped; /* the last character was a backslash, in quotes or a comment */
	bool has_angle;  /* the address in < > is there; what follows up to the comma is not */
	bool is_too_long;
	uint32_t comment_depth;
	uint16_t len;
	char text[MIME_ADDRESS_MAX];
};

void mime_addresses_begin(struct mime_addresses *list);
void mime_addresses_feed(struct mime_addresses *list, struct span piece);

/* Whether there is another one in the piece. */
bool mime_addresses_next(struct mime_addresses *list);

/* The list's end; whether it brings another one. The list can be begun again. */
bool mime_addresses_end(struct mime_addresses *list);

#endif
