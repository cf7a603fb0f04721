/*
 * What is written to a phone in one go: a head and the content that came with it. For the answer's way in
 * exchange_answer.c, in workers.
 */
#ifndef PROXY_PARCEL_H
#define PROXY_PARCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/span.h"

struct session;

enum {
	PARCEL_GATHER = 4 * 1024,
	/* Bytes of the worker's buffer that stay free before what is read from an endpoint: a phone's head
	 * may be longer than the endpoint's by so much. */
	PARCEL_MARGIN = 512,
	PARCEL_TAIL = 2, /* likewise, behind it: for the end of a chunk */
};

struct parcel {
	struct session *session;
	char *data; /* the worker's scratch */
	size_t len, capacity;
	bool has_head; /* it begins the answer, and nothing of it is sent yet */
	size_t gathered_len;
	uint8_t gathered[PARCEL_GATHER]; /* of changed content, which comes in small pieces */
};

/* An empty one. It lasts for one call from the loop, and the worker's scratch is its own meanwhile. What is
 * gathered is not cleared. */
void parcel_begin(struct parcel *parcel, struct session *session);

/* Copies bytes; what has no room any more is sent. */
void parcel_add(struct parcel *parcel, const void *data, size_t len);

/* The same for content, as a chunk of its own where is_chunked. */
void parcel_add_content(struct parcel *parcel, struct span content, bool is_chunked);

/* The same for content that nobody looks at again. If it is much and lies in the worker's buffer it is sent
 * from there: what goes before it is written over the bytes before it, which have to be done with. */
void parcel_pass_content(struct parcel *parcel, struct span content, bool is_chunked);

/* Writes all to the phone. */
void parcel_send(struct parcel *parcel);

#endif
