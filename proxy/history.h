/*
 * The last exchanges of one device: what the log says of each, but for names and content, in a ring of
 * small records. Held by a device's entry (device_table.h), filled at the end of each exchange, asked
 * for by easproxyctl device history. For workers; control and easproxyctl know the record.
 */
#ifndef PROXY_HISTORY_H
#define PROXY_HISTORY_H

#include <stddef.h>
#include <stdint.h>

enum {
	HISTORY_POLL = 1,          /* a long poll */
	HISTORY_FIRST = 2,         /* the first request of its connection */
	HISTORY_HAS_MORE = 4,      /* MoreAvailable in the answer */
	HISTORY_MALFORMED = 8,     /* the answer could not be decoded */
	HISTORY_OWN = 16,          /* answered here; nothing went to an endpoint */
	HISTORY_MAX = 256,         /* records of a device */
	HISTORY_FIRST_RECORDS = 4, /* room to begin with */
};

/* Numbers that do not fit are as large as they can be. */
struct history_record {
	uint32_t began_s; /* UNIX */
	uint32_t duration_us;
	uint32_t bytes_in, bytes_out; /* of content */
	uint32_t certificate;         /* the first four bytes of the SHA-256 of the leaf */
	uint16_t began_ms;            /* beside began_s */
	uint16_t port;                /* of the phone: which connection */
	uint16_t status;              /* to the phone; 0: none */
	uint16_t endpoint_status;     /* 0: no answer */
	uint16_t eas_status;          /* the global one of the answer; 0: none */
	uint16_t refusal;             /* enum refusal */
	uint16_t items, answer_items;
	uint16_t heartbeat_s;
	uint8_t command; /* enum eas_command */
	uint8_t version; /* of the protocol, 141 */
	uint8_t collections;
	uint8_t flags; /* HISTORY_… */
	uint8_t unused[2];
};

_Static_assert(sizeof(struct history_record) <= 48, "a device keeps 16 of them by default");

struct history; /* opaque; NULL is an empty one */

/* Adds a record to *history, where the oldest makes room beyond max. Takes memory for as many as there
 * were, up to max; without memory, or with max 0, nothing is added. */
void history_add(struct history **history, size_t max, const struct history_record *record);

/* Copies the newest ones, oldest first; returns how many. */
size_t history_copy(const struct history *history, struct history_record *records, size_t max);
size_t history_count(const struct history *history);

void history_free(struct history *history);

#endif
