/*
 * The answer's way: from the endpoint, looked into, and on to the phone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/clock.h"
#include "proxy/answer_table.h"
#include "proxy/autodiscover.h"
#include "proxy/exchange.h"
#include "proxy/exchange_login.h"
#include "proxy/exchange_sleep.h"
#include "proxy/exchange_trace.h"
#include "proxy/governor.h"
#include "proxy/parcel.h"
#include "proxy/rewrite.h"
#include "proxy/room_autodiscover.h"

enum { GUNZIP_MAX = 256 * 1024 * 1024 /* of one answer; beyond it is not looked into */ };

static const struct config *config_of(const struct exchange *exchange)
{
	return exchange->session->worker->config;
}

static bool is_over(const struct exchange *exchange)
{
	return exchange->stage == EXCHANGE_OVER;
}

/* Looking into it */

/* The server is trusted: a document that we cannot read passes, but it is logged and counted. */
static void answer_is_malformed(struct exchange *exchange)
{
	if (!exchange->answer_is_malformed)
		shared_add(&exchange->session->worker->counters->answers_malformed, 1);
	exchange->answer_is_malformed = true;
}

/* 0, or -1: no more of it can be used. */
static int look_at(void *context, struct span piece)
{
	struct exchange *exchange = context;

	if (exchange->answer_facts != NULL && !exchange->answer_is_malformed &&
		eas_body_feed(exchange->answer_facts, piece) != REFUSAL_NONE)
		answer_is_malformed(exchange);
	if (exchange->answer_is_changed)
		return answer_filter_feed(exchange->filter, piece);
	if (exchange->filter != NULL)
		answer_filter_feed(exchange->filter, piece);
	return exchange->answer_is_malformed ? -1 : 0;
}

/* 0, or -1: it is not what it should be; of a changed answer nothing more goes out then. */
static int look_into(struct exchange *exchange, struct span content)
{
	int status;

	if (exchange->answer_facts == NULL && exchange->filter == NULL)
		return 0;
	if (exchange->answer_is_malformed && !exchange->answer_is_changed)
		return -1;
	if (exchange->gunzip != NULL)
		status = gunzip_feed(exchange->gunzip, content, look_at, exchange);
	else
		status = look_at(exchange, content);
	if (status != 0)
		answer_is_malformed(exchange);
	return status;
}

/* NULL when memory runs out: then the answer is not looked into. */
static struct eas_body *facts_new(const struct exchange *exchange, enum eas_body_kind kind)
{
	const struct eas_body_terms terms = {.limits = exchange_limits(config_of(exchange)),
		.kind = kind,
		.command = exchange->request.command,
		.version = exchange->request.version,
		.is_answer = true};

	return eas_body_new(&terms);
}

/* What an answer's content is, as far as that matters. */
enum media { MEDIA_OTHER, MEDIA_WBXML, MEDIA_MULTIPART, MEDIA_XML, MEDIA_HTML };

static enum media media_of(const struct http_head *head)
{
	struct span type = {0};

	http_field_find(head, "content-type", &type);
	if (http_media_type_is(type, "application/vnd.ms-sync.wbxml") ||
		http_media_type_is(type, "application/vnd.ms-sync"))
		return MEDIA_WBXML;
	if (http_media_type_is(type, "application/vnd.ms-sync.multipart"))
		return MEDIA_MULTIPART;
	if (http_media_type_is(type, "text/xml") || http_media_type_is(type, "application/xml"))
		return MEDIA_XML;
	return http_media_type_is(type, "text/html") ? MEDIA_HTML : MEDIA_OTHER;
}

static void begin_looking(struct exchange *exchange, const struct http_head *head, enum media media)
{
	struct span coding = {0};

	if ((media != MEDIA_WBXML && media != MEDIA_MULTIPART) || !http_has_content(head))
		return;
	http_field_find(head, "content-encoding", &coding);
	if (span_equal_nocase(coding, "gzip")) {
		exchange->gunzip = gunzip_new(GUNZIP_MAX);
		if (exchange->gunzip == NULL)
			return; /* compressed bytes are no malformed document; what would be taken
				 * out of them is refused as one */
	} else if (coding.len > 0 && !span_equal_nocase(coding, "identity")) {
		return;
	}
	exchange->answer_facts =
		facts_new(exchange, media == MEDIA_MULTIPART ? EAS_BODY_MULTIPART : EAS_BODY_WBXML);
}

/* On to the phone */

static bool answer_is_last(const struct exchange *exchange)
{
	return exchange->answer_closes || exchange->session->worker->is_draining;
}

/* What is said of content that goes to the phone. */
static void note_content(struct exchange *exchange, struct span content)
{
	exchange->bytes_out += content.len;
	exchange_trace_answer(exchange, content);
}

/* Changed content */

static void add_content(struct exchange *exchange, struct parcel *parcel, struct span content)
{
	note_content(exchange, content);
	parcel_add_content(parcel, content, exchange->answer_is_chunked);
}

static void send_gathered(struct exchange *exchange, struct parcel *parcel)
{
	if (parcel->gathered_len > 0)
		add_content(exchange, parcel, span_of(parcel->gathered, parcel->gathered_len));
	parcel->gathered_len = 0;
}

int exchange_answer_out(void *context, struct span bytes)
{
	struct exchange *exchange = context;
	struct parcel *parcel = exchange->parcel;

	if (bytes.len > sizeof(parcel->gathered) - parcel->gathered_len)
		send_gathered(exchange, parcel);
	if (bytes.len > sizeof(parcel->gathered)) {
		add_content(exchange, parcel, bytes);
		return 0;
	}
	memcpy(parcel->gathered + parcel->gathered_len, bytes.data, bytes.len);
	parcel->gathered_len += bytes.len;
	return 0;
}

/* Nothing that was not looked into passes: the phone is told, if it has not got a part of it yet, or the
 * connection ends. */
static void answer_cannot_change(struct exchange *exchange, struct parcel *parcel)
{
	const char *reason = answer_filter_fault(exchange->filter);

	if (parcel->has_head) {
		parcel->len = 0;
		exchange->answer = EXCHANGE_NO_ANSWER;
		exchange->bytes_out = 0;
		exchange_trace_forget_answer(exchange);
	}
	exchange_refuse(exchange, REFUSAL_UPSTREAM_MALFORMED, reason != NULL ? reason : "not gzip");
}

static void change(struct exchange *exchange, struct parcel *parcel, struct span content)
{
	exchange->parcel = parcel;
	if (look_into(exchange, content) == 0)
		send_gathered(exchange, parcel);
	else
		answer_cannot_change(exchange, parcel);
}

static void answer_complete(struct exchange *exchange, struct parcel *parcel)
{
	bool is_last = answer_is_last(exchange);

	if (is_over(exchange))
		return;
	if (exchange->answer_facts != NULL && !exchange->answer_is_malformed &&
		eas_body_end(exchange->answer_facts) != REFUSAL_NONE)
		answer_is_malformed(exchange);
	if (exchange->filter != NULL && answer_filter_finish(exchange->filter) != 0 &&
		exchange->answer_is_changed) {
		answer_cannot_change(exchange, parcel);
		return;
	}
	if (exchange->answer_is_chunked)
		parcel_add(parcel, "0\r\n\r\n", 5);
	parcel_send(parcel);
	exchange->answer = EXCHANGE_ANSWERED;
	exchange_finish(exchange, is_last);
}

static void pass_on(struct exchange *exchange, struct parcel *parcel, struct span content)
{
	if (exchange->answer_is_dropped)
		return;
	if (exchange->answer_is_changed) {
		change(exchange, parcel, content);
		return;
	}
	look_into(exchange, content);
	note_content(exchange, content);
	parcel_pass_content(parcel, content, exchange->answer_is_chunked);
}

/* An XML answer is held until it is whole, then sent as the WBXML that it stands for. */
static void answer_from_xml(struct exchange *exchange, struct parcel *parcel)
{
	const struct config *config = config_of(exchange);
	const struct wbxml_xml_options options = exchange_xml_options(config);
	struct wbxml_buffer document = {.limit = exchange->answer_xml->limit};
	struct wbxml_buffer *xml = exchange->answer_xml;
	struct http_writer writer = {.data = parcel->data, .capacity = parcel->capacity};
	struct error err;

	if (wbxml_from_xml(span_of(xml->data, xml->len), &options, &document, &err) != 0) {
		exchange_refuse(exchange, REFUSAL_UPSTREAM_MALFORMED, err.text);
		wbxml_buffer_free(&document);
		return;
	}
	if (exchange_filter_make(exchange) != 0 && exchange_changes_answer(exchange)) {
		exchange_refuse(exchange, REFUSAL_INTERNAL, "out of memory");
		wbxml_buffer_free(&document);
		return;
	}
	exchange->answer_is_chunked = exchange->answer_is_changed && exchange->minor_version > 0;
	exchange->answer_closes |= exchange->answer_is_changed && exchange->minor_version == 0;
	http_write_status_line(&writer, 200, span_of_string(http_reason(200)));
	http_write_field_text(&writer, "Content-Type", "application/vnd.ms-sync.wbxml");
	if (exchange->answer_is_chunked)
		http_write_field_text(&writer, "Transfer-Encoding", "chunked");
	else if (!exchange->answer_is_changed)
		http_write_field_number(&writer, "Content-Length", document.len);
	http_write_field_text(&writer, "Cache-Control", "private");
	if (answer_is_last(exchange))
		http_write_field_text(&writer, "Connection", "close");
	http_write_end(&writer);
	parcel->len = writer.len;
	parcel->has_head = true;
	exchange->status = 200;
	exchange->answer = EXCHANGE_ANSWER_BODY;
	exchange->answer_facts = facts_new(exchange, EAS_BODY_WBXML);
	pass_on(exchange, parcel, span_of(document.data, document.len));
	wbxml_buffer_free(&document);
	answer_complete(exchange, parcel);
}

static bool is_xml_answer(
	const struct exchange *exchange, const struct http_head *head, enum media media)
{
	return exchange->collected != NULL && head->status == 200 && http_has_content(head) &&
	       media == MEDIA_XML;
}

/* A page for people in place of an answer, such as one to sign in: the request did not get to ActiveSync.
 * An attachment may be one. */
static bool is_page_for_answer(
	const struct exchange *exchange, const struct http_head *head, enum media media)
{
	return head->status < 300 && http_has_content(head) &&
	       exchange->request.command != EAS_GET_ATTACHMENT &&
	       exchange->request.command != EAS_NO_COMMAND && media == MEDIA_HTML;
}

/* Pages that servers write for people name them, and their paths. A phone shows none. */
static bool is_page(const struct http_head *head, enum media media)
{
	if (head->framing == HTTP_NO_BODY)
		return false;
	if (head->status < 300) /* of an answer to OPTIONS that has one */
		return media == MEDIA_HTML && head->method == HTTP_OPTIONS;
	return media != MEDIA_WBXML && media != MEDIA_MULTIPART;
}

static enum rewrite_framing choose_framing(struct exchange *exchange, const struct http_head *head)
{
	if (head->framing == HTTP_LENGTH || exchange->answer_is_dropped)
		return REWRITE_LENGTH;
	if (head->framing == HTTP_NO_BODY)
		return REWRITE_NO_LENGTH;
	exchange->answer_is_chunked = exchange->minor_version > 0;
	if (!exchange->answer_is_chunked)
		exchange->answer_closes = true;
	return exchange->answer_is_chunked ? REWRITE_CHUNKED : REWRITE_CLOSE;
}

static void write_answer_head(struct exchange *exchange, struct parcel *parcel,
	const struct http_head *head, unsigned int status, const char *location)
{
	struct http_writer writer = {.data = parcel->data, .capacity = parcel->capacity};
	struct rewrite_terms terms = {.status = status,
		.location = location,
		.retry_after_s = status == 503 ? governor_retry_after(exchange) : 0};

	terms.framing = choose_framing(exchange, head);
	terms.length = exchange->answer_is_dropped ? 0 : head->content_length;
	/* What the phone still sends of a request that was answered early is not read. */
	if (!exchange->is_read)
		exchange->answer_closes = true;
	terms.close = answer_is_last(exchange);
	terms.min_protocol = policy_min_protocol(exchange->session->worker->policy);
	rewrite_answer(&writer, config_of(exchange), head, &terms);
	if (writer.has_failed) {
		exchange_refuse(
			exchange, REFUSAL_UPSTREAM_MALFORMED, "the answer's head is too large");
		return;
	}
	parcel->len = writer.len;
	parcel->has_head = true;
	exchange->status = status;
	exchange->answer = EXCHANGE_ANSWER_BODY;
}

static void begin_xml(struct exchange *exchange, uint64_t limit)
{
	exchange->answer_xml = calloc(1, sizeof(*exchange->answer_xml));
	if (exchange->answer_xml == NULL)
		exchange_refuse(exchange, REFUSAL_INTERNAL, "out of memory");
	else
		exchange->answer_xml->limit = limit;
}

/* Where the endpoint sends the phone to another server, which easproxyd does not go to itself: the phone
 * may know the name that the configuration has for us, and if it came by another one it is told. */
static const char *location_for_phone(const struct exchange *exchange, char *text, size_t size)
{
	const struct config *config = config_of(exchange);
	const char *url = config->autodiscover.url;

	if (config->upstream.redirects != CONFIG_REDIRECTS_REWRITE || url[0] == '\0' ||
		exchange->came_by_url)
		return NULL;
	snprintf(text, size, "%s%s", url, autodiscover_sync_path);
	return text;
}

static void answer_redirects(struct exchange *exchange, struct parcel *parcel,
	const struct http_head *head, enum refusal refusal)
{
	char text[400];
	const char *location;

	if (exchange_redirected(exchange, head))
		return;
	location = location_for_phone(exchange, text, sizeof(text));
	if (location == NULL) {
		exchange_refuse(exchange, refusal, NULL);
		return;
	}
	exchange->answer_is_dropped = is_page(head, media_of(head));
	write_answer_head(exchange, parcel, head, 451, location);
}

/* A whole head. */
static void answer_begin(struct exchange *exchange, struct parcel *parcel, struct http_head *head)
{
	const struct answer_status_row *row = answer_status_find(head->status);
	const char *reason = NULL;
	enum refusal refusal;
	enum media media;

	exchange->answered_us = clock_us();
	exchange->endpoint_status = head->status;
	exchange->link_is_reusable = head->keeps_alive && head->framing != HTTP_UNTIL_CLOSE;
	http_body_begin(&exchange->answer_body, head);
	switch (row->way) {
	case ANSWER_REFUSED: exchange_refuse(exchange, row->refusal, NULL); return;
	case ANSWER_REDIRECTS: answer_redirects(exchange, parcel, head, row->refusal); return;
	case ANSWER_PASSES:
	case ANSWER_BECOMES: break;
	}
	exchange_forget_request(exchange);
	media = media_of(head);
	exchange->answer_is_dropped = is_page(head, media);
	if (is_xml_answer(exchange, head, media)) {
		begin_xml(exchange, config_of(exchange)->limits.body_size);
		return;
	}
	/* What Autodiscover says is never passed on as it is. */
	if (exchange->request.path == EAS_PATH_AUTODISCOVER && head->status < 300) {
		begin_xml(exchange, AUTODISCOVER_SIZE_MAX);
		return;
	}
	if (is_page_for_answer(exchange, head, media)) {
		exchange_refuse(exchange, REFUSAL_UPSTREAM_MALFORMED,
			"a page for people (text/html), and no answer of ActiveSync");
		return;
	}
	begin_looking(exchange, head, media);
	refusal = exchange_filter_begin(exchange, head, &reason);
	if (refusal != REFUSAL_NONE) {
		exchange_refuse(exchange, refusal, reason);
		return;
	}
	write_answer_head(exchange, parcel, head,
		row->way == ANSWER_BECOMES ? row->status : head->status, NULL);
}

/* In from the endpoint */

static size_t take_head(
	struct exchange *exchange, struct parcel *parcel, const char *data, size_t len)
{
	const struct config_limits *limits = &config_of(exchange)->limits;
	struct http_head head;
	size_t head_len = 0;
	enum http_result result =
		http_head_find_end(data, len, &exchange->answer_scanned, &head_len);

	if (result == HTTP_MORE && len < limits->head_size)
		return 0;
	exchange->answer_scanned = 0;
	if (result != HTTP_DONE || head_len > limits->head_size ||
		http_answer_parse(&head, data, head_len, exchange->method) != HTTP_DONE) {
		exchange_refuse(exchange, REFUSAL_UPSTREAM_MALFORMED, "the answer's head");
		return 0;
	}
	if (head.status >= 200 && exchange_login_holds_answer(exchange, &head))
		return 0; /* it stays where it is */
	if (head.status >= 200)
		answer_begin(exchange, parcel, &head);
	else if (head.status == 101)
		exchange_refuse(exchange, REFUSAL_UPSTREAM_MALFORMED, "switching protocols");
	/* Other interim answers are not for the phone: it has our own 100 Continue. */
	return head_len;
}

/* Whether it is neither over nor sent again, to this or another endpoint. */
static bool is_with(const struct exchange *exchange, unsigned int attempts)
{
	return !is_over(exchange) && exchange->attempts == attempts;
}

static bool has_begun(const struct exchange *exchange)
{
	return exchange->answer != EXCHANGE_NO_ANSWER || exchange->answer_xml != NULL;
}

static void answer_end(struct exchange *exchange, struct parcel *parcel)
{
	struct wbxml_buffer *xml = exchange->answer_xml;

	if (xml != NULL && exchange->request.path == EAS_PATH_AUTODISCOVER)
		room_autodiscover_pass(exchange, span_of(xml->data, xml->len));
	else if (xml != NULL)
		answer_from_xml(exchange, parcel);
	else
		answer_complete(exchange, parcel);
}

static void take_answer_content(
	struct exchange *exchange, struct parcel *parcel, struct span content)
{
	if (exchange->answer_xml == NULL) {
		pass_on(exchange, parcel, content);
		return;
	}
	wbxml_buffer_append(exchange->answer_xml, content.data, content.len);
	if (exchange->answer_xml->has_failed)
		exchange_refuse(
			exchange, REFUSAL_UPSTREAM_MALFORMED, "the XML answer is too large");
}

/* Content; true when the body is at its end. */
static bool take_body(
	struct exchange *exchange, struct parcel *parcel, const char **data, size_t *len)
{
	while (!is_over(exchange)) {
		struct span content = {0};
		enum http_result result =
			http_body_next(&exchange->answer_body, data, len, &content);

		if (result == HTTP_REFUSED) {
			exchange_refuse(
				exchange, REFUSAL_UPSTREAM_MALFORMED, "the answer's framing");
			return false;
		}
		if (content.len > 0)
			take_answer_content(exchange, parcel, content);
		if (http_body_is_done(&exchange->answer_body))
			return !is_over(exchange);
		if (content.len == 0)
			return false;
	}
	return false;
}

/* Keeps a head that is not whole yet. */
static void keep_answer_head(struct exchange *exchange, const char *data, size_t len)
{
	size_t had = exchange->answer_head != NULL ? exchange->answer_head->len : 0;
	struct session_input *grown = realloc(exchange->answer_head, sizeof(*grown) + had + len);

	if (grown == NULL) {
		exchange_refuse(exchange, REFUSAL_INTERNAL, "out of memory");
		return;
	}
	memcpy(grown->data + had, data, len);
	grown->len = had + len;
	grown->capacity = had + len;
	exchange->answer_head = grown;
}

static void answer_take(
	struct exchange *exchange, struct parcel *parcel, const char *data, size_t len)
{
	unsigned int attempts = exchange->attempts;

	while (len > 0 && is_with(exchange, attempts) && !has_begun(exchange)) {
		size_t used = take_head(exchange, parcel, data, len);

		if (used == 0)
			break;
		data += used;
		len -= used;
	}
	if (!is_with(exchange, attempts))
		return;
	if (!has_begun(exchange)) {
		if (len > 0) /* none is left behind an interim answer */
			keep_answer_head(exchange, data, len);
		return;
	}
	if (take_body(exchange, parcel, &data, &len)) {
		if (len > 0)
			exchange->link_is_reusable = false; /* it speaks without being asked */
		answer_end(exchange, parcel);
	}
}

/* The endpoint has ended its connection. */
static void answer_cut(struct exchange *exchange, struct parcel *parcel, enum tls_result result)
{
	static const char early[] = "the endpoint hung up before its answer";
	const char *failure = result == TLS_ERROR ? tls_failure(&exchange->link->tls) : "";
	char reason[160];

	exchange->link_is_reusable = false;
	if (!has_begun(exchange)) {
		/* With TLS 1.3 a server says only now that it does not like our certificate. */
		snprintf(reason, sizeof(reason), "%s%s%s", early, failure[0] != '\0' ? ": " : "",
			failure);
		exchange_refuse(exchange, REFUSAL_UPSTREAM_UNREACHABLE, reason);
	} else if (result == TLS_EOF && exchange->answer_body.framing == HTTP_UNTIL_CLOSE) {
		answer_end(exchange, parcel);
	} else if (exchange->answer_xml != NULL) {
		exchange_refuse(exchange, REFUSAL_UPSTREAM_UNREACHABLE,
			"the endpoint hung up within its answer");
	} else {
		exchange_abort(exchange, REFUSAL_UPSTREAM_UNREACHABLE,
			"the endpoint hung up within its answer");
	}
}

/* Where in the worker's buffer bytes from the endpoint are put. */
static uint8_t *received_at(const struct exchange *exchange)
{
	return exchange->session->worker->buffer + PARCEL_MARGIN;
}

static void answer_received(struct exchange *exchange, struct parcel *parcel, size_t len)
{
	const char *received = (const char *)received_at(exchange);
	unsigned int attempts = exchange->attempts;
	struct session_input *kept;

	if (exchange->answer_head != NULL) {
		keep_answer_head(exchange, received, len);
		if (is_over(exchange))
			return;
		kept = exchange->answer_head;
		exchange->answer_head = NULL;
		answer_take(exchange, parcel, kept->data, kept->len);
		free(kept);
	} else {
		answer_take(exchange, parcel, received, len);
	}
	if (!is_with(exchange, attempts))
		return;
	parcel_send(parcel);
	if (is_over(exchange))
		return;
	if (has_begun(exchange))
		session_set_timer(exchange->session, config_of(exchange)->limits.body_time_ms);
	if (session_queued(exchange->session) > WORKER_QUEUE_MAX)
		link_want_read(exchange->link, false);
}

/* Unless the phone takes too little, or what there is of the answer has to wait. */
static void answer_read_on(struct exchange *exchange, unsigned int attempts)
{
	if (is_with(exchange, attempts) && exchange->link != NULL && exchange->login == NULL &&
		session_queued(exchange->session) <= WORKER_QUEUE_MAX)
		link_want_read(exchange->link, true);
}

void exchange_link_readable(void *owner)
{
	struct exchange *exchange = owner;
	struct parcel parcel;
	unsigned int attempts = exchange->attempts;
	size_t len = 0;
	enum tls_result result = link_read(exchange->link, received_at(exchange),
		WORKER_BUFFER - PARCEL_MARGIN - PARCEL_TAIL, &len);

	parcel_begin(&parcel, exchange->session);
	if (result == TLS_WANTS_READ || result == TLS_WANTS_WRITE)
		return;
	if (result != TLS_DONE) {
		answer_cut(exchange, &parcel, result);
		return;
	}
	answer_received(exchange, &parcel, len);
	answer_read_on(exchange, attempts);
}

void exchange_answer_go_on(struct exchange *exchange)
{
	struct parcel parcel;
	unsigned int attempts = exchange->attempts;

	parcel_begin(&parcel, exchange->session);
	answer_received(exchange, &parcel, 0);
	answer_read_on(exchange, attempts);
}

void exchange_phone_drained(struct exchange *exchange)
{
	if (exchange->link != NULL && link_is_ready(exchange->link) && exchange->login == NULL)
		link_want_read(exchange->link, true);
	exchange_drowse(exchange);
}
