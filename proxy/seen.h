/*
 * Which certificates have been reported lately, so that a phone that comes every minute is written down
 * once an hour: a table of fixed size in which a newer certificate takes an older one's place. Pure.
 */
#ifndef PROXY_SEEN_H
#define PROXY_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "config/refusal.h"

enum {
	SEEN_AGAIN_S = 3600,
	SEEN_SLOTS = 4096, /* a power of two */
	SEEN_REFUSED_MAX =
		20 /* reports of refused certificates in a second: anybody can make those */
};

struct seen {
	struct seen_slot {
		uint64_t tag; /* of the certificate and what became of it; 0: none */
		int64_t at;   /* UNIX seconds */
	} slots[SEEN_SLOTS];
	int64_t refused_at; /* the second that is counted */
	uint32_t refused;
};

/* Whether to report it now: not again within an hour, unless something else became of it, or another
 * mailbox. */
bool seen_is_due(struct seen *seen, const uint8_t sha256[32], enum refusal refusal,
	const char *mailbox, int64_t now);

/* It was reported. */
void seen_note(struct seen *seen, const uint8_t sha256[32], enum refusal refusal,
	const char *mailbox, int64_t now);

#endif
