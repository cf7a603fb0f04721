#include "proxy/exchange_trace.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "config/clock.h"
#include "proxy/body_show.h"
#include "proxy/eas_version.h"
#include "proxy/worker_trace.h"

enum { TEXT_ROOM = 4096 /* of XML beside four times the document */ };

struct exchange_traced {
	uint32_t serials[TRACES_MAX]; /* of those who follow; 0: none in this place */
	size_t body_max;              /* 0: bodies are not copied */
	struct wbxml_buffer request, answer;
	uint64_t request_len, answer_len; /* of what passed */
};

static bool is_followed(const struct exchange *exchange)
{
	const struct session *session = exchange->session;

	return session->worker->traces != NULL && session->credential != NULL &&
	       session->credential->mailbox[0] != '\0';
}

/* Events */

static void set_text(json_t *object, const char *key, const char *text)
{
	if (text != NULL && text[0] != '\0')
		json_object_set_new(object, key, json_string(text));
}

static void set_number(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void set_some(json_t *object, const char *key, uint64_t value)
{
	if (value != 0)
		set_number(object, key, value);
}

static const char *command_of(const struct exchange *exchange)
{
	if (exchange->request.path == EAS_PATH_AUTODISCOVER)
		return "Autodiscover";
	if (exchange->request.command == EAS_NO_COMMAND)
		return http_method_name(exchange->method);
	return eas_command_name(exchange->request.command);
}

static uint64_t now_ms(void)
{
	struct timeval now;

	gettimeofday(&now, NULL);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_usec / 1000;
}

static json_t *traced_event(const struct exchange *exchange, const char *name)
{
	const struct session *session = exchange->session;
	const struct eas_request *request = &exchange->request;
	char address[INET6_ADDRSTRLEN];
	json_t *event = json_object();

	session_address(session, address);
	set_text(event, "event", name);
	set_text(event, "id", exchange->id);
	set_number(event, "at_ms", now_ms());
	set_text(event, "mailbox", session->credential->mailbox);
	set_text(event, "device", request->device_id);
	set_text(event, "command", command_of(exchange));
	set_text(event, "version", eas_version_name(request->version));
	set_text(event, "client", address);
	set_number(event, "port", ntohs(session->port));
	set_number(event, "worker", session->worker->child->slot);
	if (session->is_first_request)
		json_object_set_new(event, "first", json_true());
	return event;
}

static void send_event(struct exchange *exchange, struct trace *trace, json_t *event)
{
	char *text = event != NULL ? json_dumps(event, JSON_COMPACT) : NULL;

	json_decref(event);
	worker_trace_send(exchange->session->worker, trace, text);
}

/* The trace that follows in this place; NULL: that one is over. */
static struct trace *follower(struct exchange *exchange, unsigned int place)
{
	struct trace *trace = worker_trace_at(exchange->session->worker, place);

	return trace != NULL && trace->serial == exchange->traced->serials[place] ? trace : NULL;
}

void exchange_trace_begin(struct exchange *exchange)
{
	struct worker *worker = exchange->session->worker;
	struct exchange_traced *traced;
	unsigned int places;

	if (!is_followed(exchange))
		return;
	places = worker_trace_match(
		worker, exchange->session->credential->mailbox, exchange->request.device_id);
	traced = places != 0 ? calloc(1, sizeof(*traced)) : NULL;
	if (traced == NULL)
		return;
	exchange->traced = traced;
	for (unsigned int i = 0; i < TRACES_MAX; i++) {
		struct trace *trace = worker_trace_at(worker, i);

		if ((places & 1U << i) == 0 || trace == NULL)
			continue;
		traced->serials[i] = trace->serial;
		if (trace->with_bodies && traced->body_max < trace->body_max)
			traced->body_max = trace->body_max;
		send_event(exchange, trace, traced_event(exchange, "begin"));
	}
	if (traced->body_max > 0 && !worker_trace_enter(worker))
		traced->body_max = 0;
	traced->request.limit = traced->answer.limit = traced->body_max;
}

void exchange_trace_copy(struct exchange *exchange, struct span content, bool is_answer)
{
	struct exchange_traced *traced = exchange->traced;
	struct wbxml_buffer *copy = is_answer ? &traced->answer : &traced->request;
	size_t room = traced->body_max - copy->len;

	*(is_answer ? &traced->answer_len : &traced->request_len) += content.len;
	if (content.len < room)
		room = content.len;
	if (room > 0)
		wbxml_buffer_append(copy, content.data, room);
}

void exchange_trace_forget_answer(struct exchange *exchange)
{
	if (exchange->traced == NULL)
		return;
	exchange->traced->answer.len = 0;
	exchange->traced->answer_len = 0;
}

void exchange_trace_own_answer(struct exchange *exchange, struct span message)
{
	const uint8_t *end;

	if (exchange->traced == NULL)
		return;
	end = memmem(message.data, message.len, "\r\n\r\n", 4);
	if (end != NULL)
		exchange_trace_copy(exchange,
			span_of(end + 4, message.len - (size_t)(end + 4 - message.data)), true);
}

/* The end */

static const char *form_name(enum body_form form)
{
	static const char *const names[] = {
		[BODY_EMPTY] = "empty",
		[BODY_WBXML] = "wbxml",
		[BODY_MULTIPART] = "multipart",
		[BODY_MIME] = "mime",
		[BODY_XML] = "xml",
		[BODY_TEXT] = "text",
		[BODY_BYTES] = "bytes",
	};

	return names[form];
}

/* A text that was cut may end within a character. */
static json_t *text_of(const struct wbxml_buffer *text)
{
	size_t len = text->len;
	json_t *value = NULL;

	for (int i = 0; i < 4 && value == NULL && len > 0; i++)
		value = json_stringn((const char *)text->data, len--);
	return value;
}

static json_t *body_object(const struct exchange *exchange, const struct trace *trace,
	const struct wbxml_buffer *copy, uint64_t len, bool is_answer)
{
	size_t bound = copy->len < trace->body_max ? copy->len : trace->body_max;
	/* What we answer ourselves is nobody's. */
	bool is_ours = is_answer && exchange->endpoint_status == 0;
	const struct body_show_options options = {
		.redact = WBXML_REDACT_SECRETS |
			  (trace->with_content || is_ours ? 0 : WBXML_REDACT_CONTENT),
		.may_be_text = true,
		.is_cut = bound < len,
		.may_be_anything = is_answer && exchange->request.command == EAS_GET_ATTACHMENT &&
				   exchange->endpoint_status == 200,
		.output_max = 4 * (size_t)trace->body_max + TEXT_ROOM};
	json_t *object = json_object();
	struct body_shown shown;

	if (body_show(span_of(copy->data, bound), &options, &shown) != 0 && !options.is_cut)
		set_text(object, "fault", shown.fault.text);
	set_number(object, "bytes", len);
	if (options.is_cut)
		set_number(object, "cut_at", bound);
	set_text(object, "form", form_name(shown.form));
	if (shown.was_gzip)
		json_object_set_new(object, "gzip", json_true());
	if (shown.text.len > 0)
		json_object_set_new(object, "text", text_of(&shown.text));
	body_shown_free(&shown);
	return object;
}

static void set_bodies(json_t *event, const struct exchange *exchange, const struct trace *trace)
{
	const struct exchange_traced *traced = exchange->traced;

	if (!trace->with_bodies || traced == NULL)
		return;
	if (traced->request_len > 0)
		json_object_set_new(event, "request",
			body_object(exchange, trace, &traced->request, traced->request_len, false));
	if (traced->answer_len > 0)
		json_object_set_new(event, "answer",
			body_object(exchange, trace, &traced->answer, traced->answer_len, true));
}

static void set_documents(json_t *event, const struct exchange *exchange)
{
	const struct eas_body *request = exchange->request_facts, *answer = exchange->answer_facts;

	if (request != NULL) {
		set_some(event, "heartbeat", request->heartbeat_s);
		set_some(event, "collections", request->collection_count);
		set_some(event, "items", eas_body_items(request));
	}
	if (answer != NULL) {
		set_some(event, "eas_status", answer->status);
		set_some(event, "answer_items", eas_body_items(answer));
	}
	set_some(event, "eas_status", exchange->own_eas_status);
}

static json_t *end_event(const struct exchange *exchange, const struct trace *trace)
{
	json_t *event = traced_event(exchange, "end");

	set_number(event, "duration_us", clock_us() - exchange->begun_us);
	set_number(event, "status", exchange->status);
	set_some(event, "endpoint_status", exchange->endpoint_status);
	set_text(event, "endpoint", exchange->endpoint);
	if (exchange->login_by != 0)
		set_text(event, "login", login_kind_name(exchange->login_by - 1U));
	set_some(event, "login_us", exchange->login_us);
	if (exchange->sent_us != 0 && exchange->answered_us >= exchange->sent_us)
		set_number(event, "upstream_us", exchange->answered_us - exchange->sent_us);
	set_documents(event, exchange);
	if (exchange->refusal != REFUSAL_NONE)
		set_text(event, "refusal", refusal_row(exchange->refusal)->name);
	set_text(event, "reason", exchange->reason);
	set_number(event, "bytes_in", exchange->bytes_in);
	set_number(event, "bytes_out", exchange->bytes_out);
	if (exchange->is_poll)
		json_object_set_new(event, "poll", json_true());
	if (exchange->traced == NULL)
		json_object_set_new(event, "begun_before", json_true());
	set_bodies(event, exchange, trace);
	return event;
}

/* One that nobody followed when it began: a Ping that slept. */
static void end_unseen(struct exchange *exchange)
{
	struct worker *worker = exchange->session->worker;
	unsigned int places = worker_trace_match(
		worker, exchange->session->credential->mailbox, exchange->request.device_id);

	for (unsigned int i = 0; i < TRACES_MAX; i++) {
		struct trace *trace = worker_trace_at(worker, i);

		if ((places & 1U << i) != 0 && trace != NULL)
			send_event(exchange, trace, end_event(exchange, trace));
	}
}

void exchange_trace_end(struct exchange *exchange)
{
	if (!is_followed(exchange) || exchange->is_health_check)
		return;
	if (exchange->traced == NULL) {
		end_unseen(exchange);
		return;
	}
	for (unsigned int i = 0; i < TRACES_MAX; i++) {
		struct trace *trace = follower(exchange, i);

		if (trace != NULL)
			send_event(exchange, trace, end_event(exchange, trace));
	}
}

void exchange_trace_free(struct exchange *exchange)
{
	struct exchange_traced *traced = exchange->traced;

	if (traced == NULL)
		return;
	if (traced->body_max > 0)
		worker_trace_leave(exchange->session->worker);
	wbxml_buffer_free(&traced->request);
	wbxml_buffer_free(&traced->answer);
	free(traced);
	exchange->traced = NULL;
}
