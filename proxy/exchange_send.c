/*
 * A request on its way out: a connection to an endpoint, the head, and of the body what may go. The invariant
 * is kept here that its last bytes are held back until it is released.
 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/clock.h"
#include "proxy/exchange.h"
#include "proxy/exchange_login.h"
#include "proxy/exchange_sleep.h"

enum {
	/* Of a body that is not released so much is held back. */
	HOLD_BACK = 64,
	/* Of one that is under way, pieces from this size on go out from where they were read. */
	PASS_MIN = 4 * 1024,
	PIECE = 32 * 1024,
	CHUNK_HEAD_ROOM = 20
};

static const char sync_path[] = "/Microsoft-Server-ActiveSync";
static const char autodiscover_path[] = "/autodiscover/autodiscover.xml";

static void link_ready(void *owner);
static void link_failed(void *owner, enum refusal refusal, const char *reason);
static void link_drained(void *owner);

const struct link_calls exchange_link_calls = {
	link_ready, link_failed, exchange_link_readable, link_drained};

static void refuse_unwritten(struct exchange *exchange)
{
	char reason[160];

	snprintf(reason, sizeof(reason), "writing: %s", link_why_lost(exchange->link));
	exchange_refuse(exchange, REFUSAL_UPSTREAM_UNREACHABLE, reason);
}

/* All that may go out has gone: the end of the body, if the endpoint is told of it, and then the
 * wait for the answer. */
static void request_sent(struct exchange *exchange)
{
	struct worker *worker = exchange->session->worker;
	bool is_poll = eas_body_poll_time(exchange->request.command, exchange->kind,
			       exchange->request_facts) > 0;

	if (exchange->is_chunked && link_write(exchange->link, "0\r\n\r\n", 5) != 0) {
		refuse_unwritten(exchange);
		return;
	}
	exchange->stage = EXCHANGE_SENT;
	exchange->sent_us = clock_us();
	shared_add(&worker->counters->requests_forwarded, 1);
	if (is_poll && exchange->answer == EXCHANGE_NO_ANSWER && !exchange->is_poll) {
		exchange->is_poll = true;
		shared_add(&worker->counters->polls_open, 1);
	}
	session_set_timer(exchange->session, exchange_answer_time(exchange));
	if (exchange->is_poll && worker->is_draining)
		exchange_end_poll(exchange, worker->drain_time_ms, POLL_DRAINS);
	exchange_drowse(exchange);
}

/* Around the piece there is room for a chunk's framing, so that it goes out in one packet. */
static int send_piece(struct exchange *exchange, uint8_t *piece, size_t len)
{
	char head[CHUNK_HEAD_ROOM];
	size_t head_len;

	if (!exchange->is_chunked)
		return link_write(exchange->link, piece, len);
	head_len = http_chunk_head(head, len);
	memcpy(piece - head_len, head, head_len);
	piece[len] = '\r';
	piece[len + 1] = '\n';
	return link_write(exchange->link, piece - head_len, head_len + len + 2);
}

void exchange_send(struct exchange *exchange)
{
	uint8_t *piece = exchange->session->worker->scratch + CHUNK_HEAD_ROOM;
	uint64_t held_back = exchange->is_released ? 0 : HOLD_BACK;

	while (spool_len(&exchange->spool) > held_back &&
		link_queued(exchange->link) < WORKER_QUEUE_MAX) {
		uint64_t may_go = spool_len(&exchange->spool) - held_back;
		int64_t len = spool_take(
			&exchange->spool, piece, may_go < PIECE ? (size_t)may_go : PIECE);

		if (len <= 0) {
			exchange_refuse(exchange, REFUSAL_INTERNAL, "reading the spooled body");
			return;
		}
		if (send_piece(exchange, piece, (size_t)len) != 0) {
			refuse_unwritten(exchange);
			return;
		}
	}
	if (exchange->is_released && spool_len(&exchange->spool) == 0)
		request_sent(exchange);
	else
		session_resume(exchange->session);
}

static const char *request_path(const struct exchange *exchange)
{
	return exchange->request.path == EAS_PATH_AUTODISCOVER ? autodiscover_path : sync_path;
}

/* Something is to be taken out of the answer, or, of a request that is under way before it is whole, may
 * yet have to be. */
static bool must_be_narrowed(const struct exchange *exchange)
{
	return exchange_changes_answer(exchange) || exchange_policy_may_strip(exchange);
}

/* The head, which is complete only now that the endpoint and the framing are known. */
static void write_head(struct exchange *exchange, struct http_writer *writer)
{
	const struct endpoint *endpoint = exchange->link->endpoint;
	struct span query;
	bool is_narrowed = must_be_narrowed(exchange);

	if (is_narrowed && exchange->request.accepts_multipart)
		eas_query_refuse_multipart(exchange->query);
	query = span_of_string(exchange->query);
	http_write_request_line(writer, exchange->method,
		span_of_string(endpoint->config->path_prefix),
		span_of_string(request_path(exchange)), query.len > 0 ? query : (struct span){0});
	http_write_field_text(writer, "Host", endpoint->host);
	/* Some servers take the first of two fields of a name. */
	exchange_login_write(exchange, writer);
	if (writer->has_failed || exchange->fields_len > writer->capacity - writer->len) {
		writer->has_failed = true;
		return;
	}
	if (is_narrowed) {
		exchange_narrow_request(exchange, writer);
	} else {
		memcpy(writer->data + writer->len, exchange->fields, exchange->fields_len);
		writer->len += exchange->fields_len;
	}
	exchange->is_chunked = !exchange->is_released && exchange->body.framing != HTTP_LENGTH;
	if (exchange->is_chunked)
		http_write_field_text(writer, "Transfer-Encoding", "chunked");
	else if (exchange->is_released &&
		 (exchange->method == HTTP_POST || spool_len(&exchange->spool) > 0))
		http_write_field_number(writer, "Content-Length", spool_len(&exchange->spool));
	else if (!exchange->is_released)
		http_write_field_number(writer, "Content-Length", exchange->content_length);
	http_write_end(writer);
}

static void request_start(struct exchange *exchange)
{
	struct worker *worker = exchange->session->worker;
	struct http_writer writer = {
		.data = (char *)worker->scratch, .capacity = sizeof(worker->scratch)};
	int64_t taken;
	int written;

	exchange->endpoint = exchange->link->endpoint->config->text;
	write_head(exchange, &writer);
	if (writer.has_failed) {
		exchange_refuse(exchange, REFUSAL_INTERNAL, "the request's head does not fit");
		return;
	}
	/* A small body goes out in the same packet as its head. */
	if (exchange->is_released && !exchange->is_chunked &&
		spool_len(&exchange->spool) <= writer.capacity - writer.len) {
		taken = spool_take(&exchange->spool, writer.data + writer.len,
			(size_t)spool_len(&exchange->spool));
		if (taken < 0) {
			exchange_refuse(exchange, REFUSAL_INTERNAL, "reading the spooled body");
			return;
		}
		exchange_keep_request(exchange, span_of(writer.data + writer.len, (size_t)taken));
		writer.len += (size_t)taken;
	}
	OPENSSL_cleanse(exchange->fields, exchange->fields_len);
	free(exchange->fields);
	exchange->fields = NULL;
	exchange->stage = EXCHANGE_SEND;
	written = link_write(exchange->link, writer.data, writer.len);
	if (exchange->login != NULL) {
		OPENSSL_cleanse(writer.data, writer.len);
		exchange_login_sent(exchange);
	}
	if (written != 0) {
		refuse_unwritten(exchange);
		return;
	}
	exchange_send(exchange);
}

void exchange_link_ready(struct exchange *exchange)
{
	if (exchange_login_at_link(exchange))
		request_start(exchange);
}

void exchange_connect_to(struct exchange *exchange, struct endpoint *endpoint)
{
	struct upstream *upstream = exchange->session->worker->upstream;
	struct login *login;

	exchange->stage = EXCHANGE_CONNECT;
	if (!exchange_login_before(exchange, endpoint))
		return;
	login = exchange_login_of(exchange);
	exchange->link = endpoint != NULL
				 ? upstream_open_at(upstream, endpoint, login, &exchange_link_calls,
					   exchange)
				 : upstream_open(upstream, login, &exchange_link_calls, exchange);
	if (exchange->link == NULL)
		exchange_refuse(exchange, REFUSAL_UPSTREAM_UNAVAILABLE, NULL);
	else if (link_is_ready(exchange->link))
		exchange_link_ready(exchange);
}

void exchange_connect(struct exchange *exchange)
{
	exchange_connect_to(exchange, exchange_endpoint_of_device(exchange));
}

static void link_ready(void *owner)
{
	exchange_link_ready(owner);
}

static void link_failed(void *owner, enum refusal refusal, const char *reason)
{
	struct exchange *exchange = owner;

	exchange->link = NULL;
	exchange_refuse(exchange, refusal, reason);
}

static void link_drained(void *owner)
{
	struct exchange *exchange = owner;

	if (exchange->stage != EXCHANGE_SEND) {
		exchange_drowse(exchange);
		return;
	}
	session_set_timer(
		exchange->session, exchange->session->worker->config->limits.body_time_ms);
	exchange_send(exchange);
}

/* From where it was read */

bool exchange_can_pass(const struct exchange *exchange, struct span content)
{
	return exchange->stage == EXCHANGE_SEND && content.len >= PASS_MIN &&
	       link_is_plain(exchange->link) && spool_len(&exchange->spool) <= HOLD_BACK &&
	       link_queued(exchange->link) == 0;
}

/* What was held back until now goes out in front of it. */
void exchange_pass(struct exchange *exchange, struct span content)
{
	struct span last = span_of(content.data + content.len - HOLD_BACK, HOLD_BACK);
	uint8_t held[HOLD_BACK];
	int64_t held_len = spool_take(&exchange->spool, held, sizeof(held));
	char head[CHUNK_HEAD_ROOM];
	struct span parts[LINK_PARTS_MAX];
	size_t count = 0;

	if (held_len < 0 || spool_put(&exchange->spool, last) != 0) {
		exchange_refuse(exchange, REFUSAL_INTERNAL, "keeping the body");
		return;
	}
	content.len -= last.len;
	if (exchange->is_chunked)
		parts[count++] =
			span_of(head, http_chunk_head(head, (size_t)held_len + content.len));
	parts[count++] = span_of(held, (size_t)held_len);
	parts[count++] = content;
	if (exchange->is_chunked)
		parts[count++] = span_of("\r\n", 2);
	if (link_write_parts(exchange->link, parts, count) != 0)
		refuse_unwritten(exchange);
}
