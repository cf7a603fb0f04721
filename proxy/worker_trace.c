#include "proxy/worker_trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "config/clock.h"
#include "proxy/worker.h"
#include "proxy/worker_control.h"

enum {
	QUEUE_MAX = 4 * 1024 * 1024,
	EXCHANGES_MAX = 64,   /* whose bodies are copied at a time */
	PIECES_MAX = 4,       /* that control has not taken: its channel is not for us alone */
	PATIENCE_US = 2000000 /* after which they are given up */
};

struct event_text {
	STAILQ_ENTRY(event_text) link;
	uint32_t trace;   /* its id */
	uint32_t dropped; /* before it */
	uint32_t len, sent;
	char *text;
};

struct traces {
	struct trace places[TRACES_MAX];
	unsigned int exchanges; /* that have copies of bodies */
	STAILQ_HEAD(, event_text) queue;
	size_t queued;
	unsigned int pieces; /* that control has not taken */
	uint64_t progress_us;
};

static uint32_t last_serial;

static void drop_first(struct traces *traces)
{
	struct event_text *event = STAILQ_FIRST(&traces->queue);

	STAILQ_REMOVE_HEAD(&traces->queue, link);
	traces->queued -= event->len;
	free(event->text);
	free(event);
}

void worker_trace_forget(struct worker *worker)
{
	struct traces *traces = worker->traces;

	if (traces == NULL)
		return;
	while (!STAILQ_EMPTY(&traces->queue))
		drop_first(traces);
	free(traces);
	worker->traces = NULL;
}

/* Looks for what is over, and lets go of all when nothing is left. */
static void tidy(struct worker *worker)
{
	struct traces *traces = worker->traces;
	uint64_t now_us = clock_us();
	bool is_used = traces->exchanges > 0 || !STAILQ_EMPTY(&traces->queue);

	for (size_t i = 0; i < TRACES_MAX; i++) {
		if (traces->places[i].id != 0 && traces->places[i].ends_us <= now_us)
			traces->places[i].id = 0;
		is_used |= traces->places[i].id != 0;
	}
	if (!is_used)
		worker_trace_forget(worker);
}

/* Orders */

static struct trace *place_of(struct traces *traces, uint32_t id)
{
	for (size_t i = 0; i < TRACES_MAX; i++)
		if (traces->places[i].id == id)
			return &traces->places[i];
	return NULL;
}

static void trace_begin(struct worker *worker, const struct message *message)
{
	struct traces *traces = worker->traces;
	struct trace *trace;

	if (traces == NULL) {
		traces = calloc(1, sizeof(*traces));
		if (traces == NULL)
			return;
		STAILQ_INIT(&traces->queue);
		worker->traces = traces;
	}
	trace = place_of(traces, 0);
	if (trace == NULL || place_of(traces, message->u.trace.id) != NULL)
		return;
	if (++last_serial == 0)
		last_serial = 1;
	*trace = (struct trace){.id = message->u.trace.id,
		.serial = last_serial,
		.ends_us = clock_us() + (uint64_t)message->u.trace.time_ms * 1000,
		.body_max = message->u.trace.body_max < TRACE_BODY_MAX ? message->u.trace.body_max
								       : TRACE_BODY_MAX,
		.with_bodies = message->u.trace.with_bodies != 0,
		.with_content = message->u.trace.with_content != 0};
	snprintf(trace->mailbox, sizeof(trace->mailbox), "%s", message->u.trace.mailbox);
	snprintf(trace->device_id, sizeof(trace->device_id), "%s", message->u.trace.device_id);
}

void worker_trace_take(struct worker *worker, const struct message *message)
{
	struct trace *trace;

	if (worker->traces != NULL)
		tidy(worker);
	if (message->u.trace.is_on != 0) {
		trace_begin(worker, message);
		return;
	}
	if (worker->traces == NULL || message->u.trace.id == 0)
		return;
	trace = place_of(worker->traces, message->u.trace.id);
	if (trace != NULL)
		trace->id = 0;
	tidy(worker);
}

/* Who is followed */

static bool is_device(const struct trace *trace, const char *device_id)
{
	return trace->device_id[0] == '\0' || strcasecmp(trace->device_id, device_id) == 0;
}

unsigned int worker_trace_match(struct worker *worker, const char *mailbox, const char *device_id)
{
	unsigned int places = 0;

	if (worker->traces == NULL)
		return 0;
	tidy(worker);
	for (unsigned int i = 0; worker->traces != NULL && i < TRACES_MAX; i++) {
		const struct trace *trace = &worker->traces->places[i];

		if (trace->id != 0 && is_device(trace, device_id) &&
			(trace->mailbox[0] == '\0' || strcmp(trace->mailbox, mailbox) == 0))
			places |= 1U << i;
	}
	return places;
}

struct trace *worker_trace_at(struct worker *worker, unsigned int place)
{
	if (worker->traces == NULL || worker->traces->places[place].id == 0)
		return NULL;
	return &worker->traces->places[place];
}

bool worker_trace_enter(struct worker *worker)
{
	if (worker->traces == NULL || worker->traces->exchanges >= EXCHANGES_MAX)
		return false;
	worker->traces->exchanges++;
	return true;
}

void worker_trace_leave(struct worker *worker)
{
	if (worker->traces == NULL)
		return;
	if (worker->traces->exchanges > 0)
		worker->traces->exchanges--;
	tidy(worker);
}

/* The queue */

static bool send_piece(struct worker *worker, struct event_text *event)
{
	static struct message message; /* large */
	struct message_traced *piece = &message.u.traced;
	uint32_t left = event->len - event->sent;

	message.type = MESSAGE_TRACED;
	piece->trace = event->trace;
	piece->dropped = event->dropped;
	piece->total = event->len;
	piece->offset = event->sent;
	piece->len = left < MESSAGE_TRACED_BYTES ? left : MESSAGE_TRACED_BYTES;
	memcpy(piece->bytes, event->text + event->sent, piece->len);
	memset(piece->bytes + piece->len, 0, MESSAGE_TRACED_BYTES - piece->len);
	if (!worker_control_tell(worker, &message))
		return false;
	event->sent += piece->len;
	return true;
}

/* Sends what control has room for. */
static void pump(struct worker *worker)
{
	struct traces *traces = worker->traces;

	while (traces->pieces < PIECES_MAX && !STAILQ_EMPTY(&traces->queue)) {
		struct event_text *event = STAILQ_FIRST(&traces->queue);

		if (!send_piece(worker, event)) {
			/* Without a channel there are no traces either. */
			traces = worker->traces;
			if (traces == NULL || traces->pieces > 0)
				return;
			/* Nobody would call again: it is lost, like what is dropped. */
			drop_first(traces);
			continue;
		}
		traces->pieces++;
		traces->progress_us = clock_us();
		if (event->sent == event->len)
			drop_first(traces);
	}
}

void worker_trace_more(struct worker *worker)
{
	struct traces *traces = worker->traces;

	if (traces == NULL)
		return;
	if (traces->pieces > 0)
		traces->pieces--;
	traces->progress_us = clock_us();
	pump(worker);
	if (worker->traces == NULL)
		return;
	/* What was dropped is told, even if nothing follows. */
	for (unsigned int i = 0; i < TRACES_MAX; i++) {
		struct trace *trace = worker_trace_at(worker, i);

		if (trace != NULL && trace->dropped > 0 && STAILQ_EMPTY(&worker->traces->queue))
			worker_trace_send(worker, trace, strdup("{\"event\":\"gap\"}"));
	}
}

void worker_trace_send(struct worker *worker, struct trace *trace, char *text)
{
	struct traces *traces = worker->traces;
	size_t len = text != NULL ? strlen(text) : 0;
	struct event_text *event = NULL;

	if (len > 0 && len <= TRACE_EVENT_MAX && len <= QUEUE_MAX - traces->queued)
		event = malloc(sizeof(*event));
	if (event == NULL) {
		trace->dropped++;
		free(text);
		return;
	}
	*event = (struct event_text){
		.trace = trace->id, .dropped = trace->dropped, .len = (uint32_t)len, .text = text};
	trace->dropped = 0;
	STAILQ_INSERT_TAIL(&traces->queue, event, link);
	traces->queued += len;
	/* Control may have had no room for its word that it has. */
	if (traces->pieces > 0 && clock_us() - traces->progress_us > PATIENCE_US)
		traces->pieces = 0;
	pump(worker);
}
