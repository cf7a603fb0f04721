/*
 * What becomes of an endpoint's answer on its way to a phone: which statuses and fields pass, and which
 * do not or change. One table, answer_table.def; docs/http-statuses.md shows it. For workers.
 */
#ifndef PROXY_ANSWER_TABLE_H
#define PROXY_ANSWER_TABLE_H

#include <stddef.h>

#include "config/refusal.h"
#include "config/span.h"

enum answer_way { ANSWER_PASSES, ANSWER_BECOMES, ANSWER_REFUSED, ANSWER_REDIRECTS };

struct answer_status_row {
	unsigned int first, last;
	enum answer_way way;
	unsigned int status;  /* what it becomes */
	enum refusal refusal; /* of REFUSED, and of REDIRECTS that are not followed */
	const char *text;
};

enum answer_field_way {
	FIELD_PASSES, /* in no row: all others */
	FIELD_OURS,
	FIELD_INSIDE,
	FIELD_VERSIONS,
	FIELD_COMMANDS,
	FIELD_COOKIE,
	FIELD_RETRY
};

struct answer_field_row {
	const char *name; /* in lower case; "*" at the end: any further characters */
	enum answer_field_way way;
	const char *text;
};

extern const struct answer_status_row answer_statuses[];
extern const size_t answer_status_count;
extern const struct answer_field_row answer_fields[];
extern const size_t answer_field_count;

/* The row for a status from 200 to 599; there is one for each. */
const struct answer_status_row *answer_status_find(unsigned int status);

/* What becomes of a field, by its name without case. */
enum answer_field_way answer_field_way(struct span name);

#endif
