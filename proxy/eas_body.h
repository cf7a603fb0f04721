/*
 * Looks into a WBXML body while it passes: decodes every byte, keeps what the log line and the
 * timers need, stores no content. One for a request, one for its answer; plain memory, about 1 kB,
 * owned by the worker's pool while a body is under way. For workers.
 */
#ifndef PROXY_EAS_BODY_H
#define PROXY_EAS_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/refusal.h"
#include "config/span.h"
#include "proxy/eas.h"
#include "wbxml/reader.h"

enum { EAS_COLLECTION_NAME_MAX = 64, EAS_COLLECTIONS_NAMED = 4 };

struct eas_body {
	/* What was seen so far. */
	uint16_t root;             /* enum wbxml_tag_id; 0 before the root */
	uint32_t status;           /* the global Status of an answer (commands.tsv); 0: none seen */
	uint32_t heartbeat_s;      /* Ping and Sync HeartbeatInterval, or Wait times 60; 0: none */
	uint32_t collection_count; /* Collection and Folder elements with an id */
	char collections[EAS_COLLECTIONS_NAMED][EAS_COLLECTION_NAME_MAX + 1]; /* ids, printable */
	uint32_t item_count;           /* Add, Change, Delete, Fetch in Commands and Responses */
	bool has_more;                 /* MoreAvailable */
	bool is_partial;               /* Partial in a Sync: what is left out is as the last time */
	uint32_t provision_policy_key; /* PolicyKey of a Provision answer; 0: none */

	/* Private to eas_body.c. */
	struct wbxml_reader reader;
	int16_t capture_what;
	uint8_t capture_len;
	bool capture_is_cut;
	char capture[EAS_COLLECTION_NAME_MAX];
	uint16_t path[8];
};

void eas_body_begin(struct eas_body *body, const struct wbxml_limits *limits);

/* Takes the next piece. REFUSAL_NONE, WBXML_MALFORMED or WBXML_LIMIT; once refused it stays so. */
enum refusal eas_body_feed(struct eas_body *body, struct span piece);

/* The body's end: REFUSAL_NONE when the document was whole. */
enum refusal eas_body_end(struct eas_body *body);

/* How long the answer may take, in seconds, because the phone asked for a long poll: the heartbeat
 * of a Ping or Sync, at most 3540; 0 for all else. Where it was left out because the server knows
 * it from an earlier request (an empty Ping or Sync, a Ping without it, a partial Sync): 3540. */
uint32_t eas_body_poll_time(enum eas_command command, enum eas_body_kind kind,
	const struct eas_body *body /* NULL when kind is EAS_BODY_NONE */);

#endif
