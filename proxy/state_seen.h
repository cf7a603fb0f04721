/*
 * Which certificates came, and what became of them: a report for the operator, and what a change of the
 * trust store is tried on before it is made. For the control process. What a worker says is taken
 * for what it is worth: it can spoil this report, and nothing else.
 *
 * Strangers, whose mailbox was never known, are kept in a bounded number of their own, so that no
 * one who makes up certificates pushes a phone out of the report.
 */
#ifndef PROXY_STATE_SEEN_H
#define PROXY_STATE_SEEN_H

#include <stddef.h>
#include <stdint.h>

#include "auth/mailbox.h"
#include "config/error.h"
#include "config/refusal.h"
#include "config/span.h"
#include "proxy/state_store.h"

enum {
	STATE_SEEN_MAX = 100 * 1000,
	STATE_SEEN_STRANGERS_MAX = 20 * 1000, /* of them */
	STATE_SEEN_DAYS = 30,                 /* after which what did not come again is forgotten */
};

struct state_seen {
	int64_t id; /* grows with every new certificate */
	uint8_t leaf_sha256[32];
	struct span chain;   /* DER certificates one after the other, leaf first */
	const char *mailbox; /* "": never known */
	int64_t first_seen, last_seen;
	const char *refusal; /* the name of the last one; "": it came in */
	int64_t count;       /* reports of it: not more than one an hour and worker */
};

/* Takes the first certificate off the chain. False at its end, and where there is no certificate. */
bool state_seen_next(struct span *chain, struct span *certificate);

/* Whether a chain is whole certificates, of which the first has that SHA-256. */
bool state_seen_is_sound(struct span chain, const uint8_t leaf_sha256[32]);

/* Writes all in one transaction, of which a power failure may take the last ones back. Uses
 * leaf_sha256, chain, mailbox, last_seen and refusal. 0, or -1 with err filled. */
int state_seen_put(
	struct state_store *store, const struct state_seen *seen, size_t count, struct error *err);

/* Forgets what is too old or too much, a bounded number at a time. 1 when there may be more, 0, or -1 with
 * err filled. */
int state_seen_prune(struct state_store *store, int64_t now, size_t max, size_t strangers_max,
	struct error *err);

struct state_seen_counts {
	int64_t all, strangers;
};

int state_seen_count(
	struct state_store *store, struct state_seen_counts *counts, struct error *err);
int state_seen_count_of(
	struct state_store *store, const char *mailbox, int64_t *count, struct error *err);

/* Calls each for what came after that id, in the order of ids, or for a mailbox, the latest first; at most
 * max times. each returns false to have no more. What seen points to is its own only until then. 0, or
 * -1 with err filled. */
typedef bool state_seen_each(void *context, const struct state_seen *seen);
int state_seen_after(struct state_store *store, int64_t id, size_t max, state_seen_each *each,
	void *context, struct error *err);
int state_seen_of(struct state_store *store, const char *mailbox, size_t max, state_seen_each *each,
	void *context, struct error *err);

#endif
