#include "proxy/control_trace.h"

#include <ctype.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "config/clock.h"
#include "proxy/log.h"
#include "proxy/timeval.h"
#include "proxy/worker_trace.h"

enum { TIME_DEFAULT_MS = 60000, BODY_DEFAULT = 65536 };

/* An event that a worker is sending. */
struct control_trace_assembly {
	LIST_ENTRY(control_trace_assembly) link;
	const struct control_worker *worker;
	uint32_t trace, len, total;
	char *bytes;
};

struct control_trace {
	LIST_ENTRY(control_trace) link;
	struct control *control;
	struct control_client *client;
	struct message order;
	uint64_t begun_us, ends_us;
	struct event *timer;
	uint64_t count;   /* events that the client was sent */
	uint64_t dropped; /* since the last of them */
	uint64_t dropped_in_all;
};

static unsigned int count_of(const struct control *control)
{
	const struct control_trace *trace;
	unsigned int count = 0;

	LIST_FOREACH(trace, &control->traces, link)
		count++;
	return count;
}

static struct control_trace *find(const struct control *control, uint32_t id)
{
	struct control_trace *trace;

	LIST_FOREACH(trace, &control->traces, link)
		if (trace->order.u.trace.id == id)
			return trace;
	return NULL;
}

static const char *target_of(const struct control_trace *trace)
{
	return trace->order.u.trace.mailbox[0] != '\0' ? trace->order.u.trace.mailbox
						       : trace->order.u.trace.device_id;
}

/* To the client */

static void set_number(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

/* Takes the event over; what the client does not read is dropped. */
static void send_event(struct control_trace *trace, json_t *event, bool must)
{
	char *text;

	set_number(event, "n", trace->count + 1);
	if (trace->dropped > 0)
		set_number(event, "dropped", trace->dropped);
	text = event != NULL ? json_dumps(event, JSON_COMPACT) : NULL;
	json_decref(event);
	if (text != NULL && control_stream_line(trace->client, text, must)) {
		trace->count++;
		trace->dropped = 0;
		return;
	}
	trace->dropped++;
	trace->dropped_in_all++;
}

static json_t *own_event(const char *name)
{
	struct timeval now;
	json_t *event = json_object();

	gettimeofday(&now, NULL);
	json_object_set_new(event, "event", json_string(name));
	set_number(event, "at_ms", (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_usec / 1000);
	return event;
}

/* The end of a trace */

static void tell_workers_off(struct control_trace *trace)
{
	struct message order = trace->order;

	order.u.trace.is_on = 0;
	(void)control_workers_tell_all(trace->control, &order);
}

static void log_over(const struct control_trace *trace, const char *reason)
{
	struct log_line line;

	log_begin(&line, CONFIG_LOG_INFO, "trace-over");
	log_text(&line, "target", target_of(trace));
	log_text(&line, "reason", reason);
	log_number(&line, "time_s", (int64_t)((clock_us() - trace->begun_us) / 1000000));
	log_number(&line, "events", (int64_t)trace->count);
	log_number(&line, "dropped", (int64_t)trace->dropped_in_all);
	log_end(&line);
}

static void trace_free(struct control_trace *trace, const char *reason)
{
	tell_workers_off(trace);
	log_over(trace, reason);
	LIST_REMOVE(trace, link);
	if (trace->timer != NULL)
		event_free(trace->timer);
	free(trace);
}

/* With a last line that says why. */
static void trace_end(struct control_trace *trace, const char *reason)
{
	json_t *event = own_event("over");

	json_object_set_new(event, "reason", json_string(reason));
	set_number(event, "events", trace->count);
	set_number(event, "dropped_in_all", trace->dropped_in_all);
	send_event(trace, event, true);
	control_stream_end(trace->client);
	trace_free(trace, reason);
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	trace_end(arg, "time");
}

static void on_client_gone(void *context)
{
	trace_free(context, "client gone");
}

void control_trace_drain(struct control *control)
{
	struct control_trace *trace = LIST_FIRST(&control->traces);

	while (trace != NULL) {
		struct control_trace *next = LIST_NEXT(trace, link);

		trace_end(trace, "reload");
		trace = next;
	}
}

/* From the workers */

static struct control_trace_assembly *assembly_of(
	const struct control *control, const struct control_worker *worker)
{
	struct control_trace_assembly *assembly;

	LIST_FOREACH(assembly, &control->assemblies, link)
		if (assembly->worker == worker)
			return assembly;
	return NULL;
}

static void assembly_free(struct control_trace_assembly *assembly)
{
	LIST_REMOVE(assembly, link);
	free(assembly->bytes);
	free(assembly);
}

static struct control_trace_assembly *assembly_new(struct control *control,
	const struct control_worker *worker, const struct message_traced *piece)
{
	struct control_trace_assembly *assembly = calloc(1, sizeof(*assembly));

	if (assembly == NULL)
		return NULL;
	assembly->bytes = malloc(piece->total);
	if (assembly->bytes == NULL) {
		free(assembly);
		return NULL;
	}
	assembly->worker = worker;
	assembly->trace = piece->trace;
	assembly->total = piece->total;
	LIST_INSERT_HEAD(&control->assemblies, assembly, link);
	return assembly;
}

/* What a worker says is checked as if it came from outside. */
static void take_event(struct control_trace *trace, const char *bytes, size_t len)
{
	json_error_t fault;
	json_t *event = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &fault);

	if (json_is_object(event)) {
		send_event(trace, event, false);
		return;
	}
	json_decref(event);
	trace->dropped++;
	trace->dropped_in_all++;
}

/* The event that this piece belongs to; NULL: it belongs to none. */
static struct control_trace_assembly *take_piece(struct control *control,
	const struct control_worker *worker, const struct message_traced *piece)
{
	struct control_trace_assembly *assembly = assembly_of(control, worker);

	if (piece->offset == 0 && assembly != NULL) {
		assembly_free(assembly); /* its rest was lost */
		assembly = NULL;
	}
	if (piece->offset == 0 && piece->total <= TRACE_EVENT_MAX)
		assembly = assembly_new(control, worker, piece);
	if (assembly == NULL || assembly->trace != piece->trace ||
		assembly->total != piece->total || assembly->len != piece->offset)
		return NULL;
	memcpy(assembly->bytes + assembly->len, piece->bytes, piece->len);
	assembly->len += piece->len;
	return assembly;
}

void control_trace_take(
	struct control *control, struct control_worker *worker, const struct message *message)
{
	const struct message more = {.type = MESSAGE_TRACE_MORE};
	const struct message_traced *piece = &message->u.traced;
	struct control_trace *trace = find(control, piece->trace);
	struct control_trace_assembly *assembly = take_piece(control, worker, piece);

	(void)control_worker_tell(worker, &more);
	if (trace != NULL && piece->offset == 0) {
		trace->dropped += piece->dropped;
		trace->dropped_in_all += piece->dropped;
	}
	if (assembly == NULL || assembly->len < assembly->total)
		return;
	if (trace != NULL)
		take_event(trace, assembly->bytes, assembly->len);
	assembly_free(assembly);
}

static uint32_t time_left_ms(const struct control_trace *trace)
{
	uint64_t now_us = clock_us();

	return trace->ends_us > now_us ? (uint32_t)((trace->ends_us - now_us) / 1000) + 1 : 0;
}

void control_trace_worker_came(struct control *control, struct control_worker *worker)
{
	struct control_trace *trace;

	LIST_FOREACH(trace, &control->traces, link) {
		json_t *event = own_event("worker-came");

		trace->order.u.trace.time_ms = time_left_ms(trace);
		(void)control_worker_tell(worker, &trace->order);
		set_number(event, "worker", control_worker_slot(worker));
		send_event(trace, event, false);
	}
}

void control_trace_worker_gone(struct control *control, const struct control_worker *worker)
{
	struct control_trace_assembly *assembly = assembly_of(control, worker);
	struct control_trace *trace;

	if (assembly != NULL)
		assembly_free(assembly);
	LIST_FOREACH(trace, &control->traces, link) {
		json_t *event = own_event("worker-gone");

		set_number(event, "worker", control_worker_slot(worker));
		send_event(trace, event, false);
	}
}

/* The beginning */

/* An argument that is a whole number; otherwise if it is not there, and beyond max that. */
static uint64_t number_argument(
	const struct control_request *request, const char *name, uint64_t otherwise, uint64_t max)
{
	const json_t *value = json_object_get(request->arguments, name);
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < 0)
		return otherwise;
	return (uint64_t)number < max ? (uint64_t)number : max;
}

static void lower_copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from);
	for (; *to != '\0'; to++)
		*to = (char)tolower((unsigned char)*to);
}

static void order_fill(
	struct message *order, const struct control_request *request, const char *target)
{
	const json_t *bodies = json_object_get(request->arguments, "bodies");
	bool is_mailbox = strchr(target, '@') != NULL;

	order->type = MESSAGE_TRACE;
	order->u.trace.is_on = 1;
	order->u.trace.time_ms =
		(uint32_t)number_argument(request, "time_ms", TIME_DEFAULT_MS, TRACE_TIME_MAX_MS);
	order->u.trace.body_max =
		(uint32_t)number_argument(request, "body_max", BODY_DEFAULT, TRACE_BODY_MAX);
	order->u.trace.with_bodies = bodies == NULL || json_is_true(bodies);
	order->u.trace.with_content = json_is_true(json_object_get(request->arguments, "content"));
	if (is_mailbox)
		lower_copy(order->u.trace.mailbox, sizeof(order->u.trace.mailbox), target);
	else
		lower_copy(order->u.trace.device_id, sizeof(order->u.trace.device_id), target);
}

static void log_begun(const struct control_trace *trace, const struct control_request *request)
{
	struct log_line line;

	log_begin(&line, CONFIG_LOG_INFO, "trace");
	log_text(&line, "target", target_of(trace));
	log_number(&line, "user_id", (int64_t)request->user_id);
	log_number(&line, "time_s", trace->order.u.trace.time_ms / 1000);
	log_bool(&line, "bodies", trace->order.u.trace.with_bodies != 0);
	log_bool(&line, "content", trace->order.u.trace.with_content != 0);
	log_end(&line);
}

static struct control_trace *trace_new(struct control *control)
{
	struct control_trace *trace = calloc(1, sizeof(*trace));

	if (trace == NULL)
		return NULL;
	trace->timer = evtimer_new(control->base, on_time, trace);
	if (trace->timer == NULL) {
		free(trace);
		return NULL;
	}
	trace->control = control;
	trace->begun_us = clock_us();
	LIST_INSERT_HEAD(&control->traces, trace, link);
	return trace;
}

static bool is_target(const char *target)
{
	size_t max;

	if (target == NULL || target[0] == '\0')
		return false;
	max = strchr(target, '@') != NULL ? MAILBOX_MAX : EAS_DEVICE_ID_MAX;
	return strlen(target) <= max;
}

void control_request_trace(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	const char *target = control_argument(request, "target");
	struct control_trace *trace;
	struct timeval time;
	json_t *event;

	if (!is_target(target)) {
		control_answer_error(client, "who is to be followed: a device id or a mailbox");
		return;
	}
	if (count_of(control) >= TRACES_MAX) {
		control_answer_error(
			client, "%d traces are running already; end one of them", TRACES_MAX);
		return;
	}
	trace = trace_new(control);
	if (trace == NULL) {
		control_answer_error(client, "out of memory");
		return;
	}
	order_fill(&trace->order, request, target);
	trace->order.u.trace.id = ++control->last_trace;
	trace->ends_us = trace->begun_us + (uint64_t)trace->order.u.trace.time_ms * 1000;
	trace->client = client;
	log_begun(trace, request);
	control_stream_begin(client, on_client_gone, trace);
	time = timeval_of_ms(trace->order.u.trace.time_ms);
	evtimer_add(trace->timer, &time);
	event = own_event("trace");
	json_object_set_new(event, "ok", json_true());
	json_object_set_new(event, "target", json_string(target_of(trace)));
	set_number(event, "time_ms", trace->order.u.trace.time_ms);
	set_number(event, "workers", control_workers_tell_all(control, &trace->order));
	send_event(trace, event, true);
}
