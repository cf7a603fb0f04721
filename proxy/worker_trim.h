/*
 * Memory that a storm needed goes back to the system once it is over. A handshake takes some 60 kB of
 * the heap for as long as it lasts; when thousands of phones come at once, hundreds of handshakes are
 * under way, and what they took would stay with the process, free but unused, for as long as one piece
 * above it is there. For workers.
 */
#ifndef PROXY_WORKER_TRIM_H
#define PROXY_WORKER_TRIM_H

#include <stdbool.h>
#include <stdint.h>

struct event;
struct event_base;

enum {
	TRIM_LOOK_MS = 1000, /* between two looks at whether it is over: */
	TRIM_CALM = 16,      /* less than that happened meanwhile */
	TRIM_LEAST = 256     /* so much has to have happened before it is worth the time */
};

struct worker_trim {
	struct event *timer;
	uint32_t noted; /* since memory was given back */
	uint32_t seen;  /* of them, at the last look */
	bool is_looking;
};

/* -1 when memory runs out. All zero, a trim notes and does nothing else. */
int worker_trim_init(struct worker_trim *trim, struct event_base *base);
void worker_trim_end(struct worker_trim *trim);

/* A handshake is done, or a phone has fallen asleep: much that was needed for it is free. */
void worker_trim_note(struct worker_trim *trim);

#endif
