/*
 * A request's body, from the phone to where it is released: what it says is read along the way, and nothing is
 * let out before it is whole and allowed but what exchange_send.c may send ahead.
 */
#include <stdio.h>

#include "proxy/exchange.h"
#include "proxy/exchange_trace.h"
#include "proxy/governor.h"

/* A body up to this size is whole before the endpoint hears of the request: it is sent with its length, and a
 * connection that fails meanwhile costs nothing. */
enum { COLLECT_MAX = 32 * 1024 };

static const struct config *config_of(const struct exchange *exchange)
{
	return exchange->session->worker->config;
}

static int collect_xml(struct exchange *exchange)
{
	const struct config *config = config_of(exchange);
	const struct wbxml_xml_options options = exchange_xml_options(config);
	struct wbxml_buffer xml = {.limit = 4 * config->limits.body_size};
	struct error err;
	int status;

	status = wbxml_to_xml(
		span_of(exchange->collected->data, exchange->collected->len), &options, &xml, &err);
	wbxml_buffer_free(exchange->collected);
	if (status == 0)
		status = spool_put(&exchange->spool, span_of(xml.data, xml.len));
	else
		snprintf(exchange->reason, sizeof(exchange->reason), "%.150s", err.text);
	wbxml_buffer_free(&xml);
	return status;
}

/* It may pass. */
static void request_release(struct exchange *exchange)
{
	if (exchange->room != ROOM_UPSTREAM) {
		room_answer(exchange);
		return;
	}
	if (room_release(exchange))
		return;
	governor_let_out(exchange);
	if (exchange->collected != NULL && collect_xml(exchange) != 0) {
		exchange_refuse(exchange, REFUSAL_INTERNAL, "making XML of the request");
		return;
	}
	exchange->is_released = true;
	if (exchange->stage == EXCHANGE_COLLECT)
		exchange_connect(exchange);
	else if (exchange->stage == EXCHANGE_SEND)
		exchange_send(exchange);
}

/* The request is whole, and it is known whether it may pass. */
static void request_whole(struct exchange *exchange)
{
	enum refusal refusal = exchange_judge(exchange);

	if (exchange->stage == EXCHANGE_OVER)
		return;
	if (refusal != REFUSAL_NONE) {
		exchange_refuse(exchange, refusal, NULL);
	} else if (exchange->hold_ms > 0 && exchange->stage == EXCHANGE_COLLECT) {
		exchange->is_held = true;
		session_set_timer(exchange->session, exchange->hold_ms);
	} else {
		request_release(exchange);
	}
}

void exchange_hold_over(struct exchange *exchange)
{
	exchange->is_held = false;
	request_release(exchange);
}

/* Its document is malformed, or none of its command. */
static void refuse_document(struct exchange *exchange, enum refusal refusal)
{
	exchange->refusal_eas_status = exchange->request_facts->structure_status;
	exchange_refuse(exchange, refusal, eas_body_fault_text(exchange->request_facts));
}

void exchange_request_read(struct exchange *exchange)
{
	enum refusal refusal = REFUSAL_NONE;

	exchange->is_read = true;
	session_request_read(exchange->session);
	/* It may have been under way for long. */
	if (exchange->bytes_in > 0)
		refusal = session_check(exchange->session);
	if (refusal != REFUSAL_NONE) {
		exchange_refuse(exchange, refusal, "the certificate may not come in any more");
		return;
	}
	if (exchange->request_facts != NULL)
		refusal = eas_body_end(exchange->request_facts);
	if (refusal != REFUSAL_NONE) {
		refuse_document(exchange, refusal);
		return;
	}
	if (exchange->waits)
		session_set_timer(exchange->session, exchange->wait_time_ms);
	else
		request_whole(exchange);
}

void exchange_wait(struct exchange *exchange, uint32_t time_ms)
{
	exchange->waits = true;
	exchange->wait_time_ms = time_ms;
}

static int keep_content(struct exchange *exchange, struct span content)
{
	/* Of a document that a room answers all that matters is in the facts. */
	if (exchange->room != ROOM_UPSTREAM && exchange->collected == NULL)
		return 0;
	if (exchange->collected == NULL)
		return spool_put(&exchange->spool, content);
	wbxml_buffer_append(exchange->collected, content.data, content.len);
	return exchange->collected->has_failed ? -1 : 0;
}

static bool must_be_whole(const struct exchange *exchange)
{
	return config_of(exchange)->upstream.request_buffering || exchange->collected != NULL ||
	       exchange->room != ROOM_UPSTREAM;
}

uint64_t exchange_body_size_max(const struct exchange *exchange)
{
	uint64_t of_config = config_of(exchange)->limits.body_size;

	return exchange->request.path == EAS_PATH_AUTODISCOVER && of_config > ROOM_BODY_MAX
		       ? ROOM_BODY_MAX
		       : of_config;
}

static void take_content(struct exchange *exchange, struct span content)
{
	enum refusal refusal = REFUSAL_NONE;

	exchange->bytes_in += content.len;
	exchange_trace_request(exchange, content);
	if (exchange->bytes_in > exchange_body_size_max(exchange)) {
		exchange_refuse(exchange, REFUSAL_BODY_TOO_LARGE, NULL);
		return;
	}
	refusal = exchange_policy_take(exchange, content);
	if (refusal != REFUSAL_NONE) {
		exchange_refuse(exchange, refusal, NULL);
		return;
	}
	if (exchange->request_facts != NULL)
		refusal = eas_body_feed(exchange->request_facts, content);
	if (refusal != REFUSAL_NONE) {
		refuse_document(exchange, refusal);
		return;
	}
	if (exchange_can_pass(exchange, content)) {
		exchange_pass(exchange, content);
		return;
	}
	if (keep_content(exchange, content) != 0) {
		exchange_refuse(exchange, REFUSAL_INTERNAL, "keeping the body");
		return;
	}
	if (exchange->stage == EXCHANGE_COLLECT && !must_be_whole(exchange) && !exchange->waits &&
		spool_len(&exchange->spool) > COLLECT_MAX)
		exchange_connect(exchange);
}

/* No more is taken from the phone while so much of it waits for the endpoint. */
static bool is_full(const struct exchange *exchange)
{
	if (exchange->waits && !must_be_whole(exchange))
		return spool_len(&exchange->spool) > COLLECT_MAX;
	return !must_be_whole(exchange) && exchange->stage != EXCHANGE_COLLECT &&
	       spool_len(&exchange->spool) >= WORKER_QUEUE_MAX;
}

void exchange_wait_over(struct exchange *exchange, enum refusal refusal, const char *reason)
{
	if (!exchange->waits || exchange->stage == EXCHANGE_OVER)
		return;
	exchange->waits = false;
	if (refusal != REFUSAL_NONE) {
		exchange_refuse(exchange, refusal, reason);
		return;
	}
	if (exchange->room != ROOM_UPSTREAM) {
		spool_free(&exchange->spool);
		spool_init(&exchange->spool, 0, -1);
	}
	if (exchange->is_read)
		request_whole(exchange);
	else if (!must_be_whole(exchange) && spool_len(&exchange->spool) > COLLECT_MAX)
		exchange_connect(exchange);
	else
		session_resume(exchange->session);
}

size_t exchange_take(struct exchange *exchange, const char *data, size_t len)
{
	const char *at = data;
	size_t left = len;

	if (is_full(exchange))
		return 0;
	session_set_timer(exchange->session, config_of(exchange)->limits.body_time_ms);
	while (exchange->stage != EXCHANGE_OVER && !is_full(exchange)) {
		struct span content = {0};
		enum http_result result = http_body_next(&exchange->body, &at, &left, &content);

		if (result == HTTP_REFUSED) {
			exchange_refuse(exchange, REFUSAL_HTTP_FRAMING, NULL);
			break;
		}
		if (content.len > 0)
			take_content(exchange, content);
		if (exchange->stage == EXCHANGE_OVER)
			break;
		if (http_body_is_done(&exchange->body)) {
			exchange_request_read(exchange);
			break;
		}
		if (content.len == 0)
			break;
	}
	/* In one go, however small the phone's own chunks are. */
	if (exchange->stage == EXCHANGE_SEND && !exchange->is_read)
		exchange_send(exchange);
	return len - left;
}
