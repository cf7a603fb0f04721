/*
 * What control has asked this worker to follow: devices or mailboxes, for a while. While there is
 * nothing, worker->traces is NULL, and that is all that an exchange looks at. Events wait in a bounded
 * queue for their turn on the channel to control, a few pieces at a time; what does not fit is
 * dropped and counted, and no phone waits for it. For workers.
 */
#ifndef PROXY_WORKER_TRACE_H
#define PROXY_WORKER_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/mailbox.h"
#include "proxy/eas.h"
#include "proxy/message.h"

struct worker;

enum {
	TRACES_MAX = 4,                    /* at once */
	TRACE_BODY_MAX = 256 * 1024,       /* of each body, at most, whatever is asked for */
	TRACE_EVENT_MAX = 2 * 1024 * 1024, /* of one event as JSON */
	TRACE_TIME_MAX_MS = 60 * 60 * 1000
};

struct trace {
	uint32_t id;     /* control's; 0: this place is free */
	uint32_t serial; /* ours, never 0: a later control process counts its ids anew */
	uint64_t ends_us;
	uint32_t body_max;
	uint32_t dropped; /* events since the last one that was queued */
	bool with_bodies, with_content;
	char mailbox[MAILBOX_MAX + 1];         /* "": any */
	char device_id[EAS_DEVICE_ID_MAX + 1]; /* lower case; "": any */
};

struct traces; /* opaque */

/* MESSAGE_TRACE and MESSAGE_TRACE_MORE. */
void worker_trace_take(struct worker *worker, const struct message *message);
void worker_trace_more(struct worker *worker);

/* There is no control process any more, or no worker. */
void worker_trace_forget(struct worker *worker);

/* The traces that follow this device of this mailbox: bit n is place n. 0 without worker->traces. */
unsigned int worker_trace_match(struct worker *worker, const char *mailbox, const char *device_id);

/* The trace of a place; NULL when it is over. */
struct trace *worker_trace_at(struct worker *worker, unsigned int place);

/* Queues an event of a trace: takes text over, from malloc(). NULL, for want of memory, counts as
 * dropped. */
void worker_trace_send(struct worker *worker, struct trace *trace, char *text);

/* Whether one more exchange may keep copies of its bodies: true counts it, until worker_trace_leave(). */
bool worker_trace_enter(struct worker *worker);
void worker_trace_leave(struct worker *worker);

#endif
