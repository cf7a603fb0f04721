/*
 * The request's way: is it allowed, what does its body say, and out to the endpoint.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/clock.h"
#include "proxy/exchange.h"
#include "proxy/exchange_login.h"
#include "proxy/exchange_sleep.h"
#include "proxy/exchange_trace.h"
#include "proxy/governor.h"
#include "proxy/rewrite.h"
#include "proxy/room_autodiscover.h"

enum {
	/* A body up to this size is whole before the endpoint hears of the request: it is sent with
	 * its length, and a connection that fails meanwhile costs nothing. */
	COLLECT_MAX = 32 * 1024,
	/* Of a longer one, so much is held back until it has been decoded to its end. */
	HOLD_BACK = 64,
	/* Of a body that is under way, pieces from this size on go out from where they were read. */
	PASS_MIN = 4 * 1024,
	PIECE = 32 * 1024,
	CHUNK_HEAD_ROOM = 20,
	TARGET_MAX = 8 * 1024
};

static const char sync_path[] = "/Microsoft-Server-ActiveSync";
static const char autodiscover_path[] = "/autodiscover/autodiscover.xml";

static void link_ready(void *owner);
static void link_failed(void *owner, enum refusal refusal, const char *reason);
static void link_drained(void *owner);

const struct link_calls exchange_link_calls = {
	link_ready, link_failed, exchange_link_readable, link_drained};

static const struct config *config_of(const struct exchange *exchange)
{
	return exchange->session->worker->config;
}

/* Out to the endpoint */

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

/* Sends of the body what may go out now. */
static void request_send(struct exchange *exchange)
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
	request_send(exchange);
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

static void request_connect(struct exchange *exchange)
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
	session_set_timer(exchange->session, config_of(exchange)->limits.body_time_ms);
	request_send(exchange);
}

/* In from the phone */

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
		request_connect(exchange);
	else if (exchange->stage == EXCHANGE_SEND)
		request_send(exchange);
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

/* The phone has sent all of it. Only what is whole and allowed is released. */
static void request_read(struct exchange *exchange)
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

/* Whether what was read of the body may go out at once, but for its last bytes. */
static bool can_pass(const struct exchange *exchange, struct span content)
{
	return exchange->stage == EXCHANGE_SEND && content.len >= PASS_MIN &&
	       link_is_plain(exchange->link) && spool_len(&exchange->spool) <= HOLD_BACK &&
	       link_queued(exchange->link) == 0;
}

/* What was held back until now goes out in front of it. */
static void pass_content(struct exchange *exchange, struct span content)
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

static bool must_be_whole(const struct exchange *exchange)
{
	return config_of(exchange)->upstream.request_buffering || exchange->collected != NULL ||
	       exchange->room != ROOM_UPSTREAM;
}

static uint64_t body_size_max(const struct exchange *exchange)
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
	if (exchange->bytes_in > body_size_max(exchange)) {
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
	if (can_pass(exchange, content)) {
		pass_content(exchange, content);
		return;
	}
	if (keep_content(exchange, content) != 0) {
		exchange_refuse(exchange, REFUSAL_INTERNAL, "keeping the body");
		return;
	}
	if (exchange->stage == EXCHANGE_COLLECT && !must_be_whole(exchange) && !exchange->waits &&
		spool_len(&exchange->spool) > COLLECT_MAX)
		request_connect(exchange);
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
		request_connect(exchange);
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
			request_read(exchange);
			break;
		}
		if (content.len == 0)
			break;
	}
	/* In one go, however small the phone's own chunks are. */
	if (exchange->stage == EXCHANGE_SEND && !exchange->is_read)
		request_send(exchange);
	return len - left;
}

/* Is it allowed? */

/* The worker's prefix and a number of eight hexadecimal digits. */
static void write_id(char id[static EXCHANGE_ID_SIZE], struct worker *worker)
{
	enum { DIGITS = 8 };
	uint32_t number = (uint32_t)++worker->request_count;
	size_t len = strlen(worker->id_prefix);

	memcpy(id, worker->id_prefix, len);
	for (size_t i = 0; i < DIGITS; i++)
		id[len + i] = "0123456789abcdef"[number >> (4 * (DIGITS - 1 - i)) & 15];
	id[len + DIGITS] = '\0';
}

static struct exchange *exchange_new(struct session *session)
{
	struct worker *worker = session->worker;
	struct exchange *exchange = exchange_make();

	if (exchange == NULL)
		return NULL;
	exchange->session = session;
	exchange->begun_us = clock_us();
	exchange->request.command = EAS_NO_COMMAND;
	exchange->request.path = EAS_PATH_OTHER;
	exchange->minor_version = 1;
	exchange->method = HTTP_POST;
	exchange->tls_version = tls_version(&session->tls);
	exchange->tls_cipher = tls_cipher(&session->tls);
	write_id(exchange->id, worker);
	spool_init(&exchange->spool, UINT64_MAX, -1);
	session->exchange = exchange;
	shared_add(&worker->counters->requests, 1);
	return exchange;
}

void exchange_begin_refused(struct session *session, enum refusal refusal)
{
	struct exchange *exchange = exchange_new(session);

	if (exchange == NULL)
		session_close(session);
	else
		exchange_refuse(exchange, refusal, NULL);
}

/* The fields that go to the endpoint, written now because the head's bytes do not stay. */
static int keep_head(struct exchange *exchange, const struct http_head *head)
{
	const struct config *config = config_of(exchange);
	struct session *session = exchange->session;
	struct worker *worker = session->worker;
	/* The request line and Host come in front of them, request_start(). */
	struct http_writer writer = {
		.data = (char *)worker->scratch, .capacity = sizeof(worker->scratch) - TARGET_MAX};
	const char *content_type = NULL;
	char address[INET6_ADDRSTRLEN];
	struct template_values values = {
		.mailbox = session->credential->mailbox,
		.device_id = exchange->request.device_id,
		.device_type = exchange->request.device_type,
		.request_id = exchange->id,
		.client_address = address,
	};

	session_address(session, address);
	/* What we have to read ourselves is not to be compressed. */
	if (exchange->collected != NULL || exchange->request.path == EAS_PATH_AUTODISCOVER)
		content_type = "text/xml; charset=utf-8";
	rewrite_request_fields(
		&writer, config, head, &values, content_type, session->client_fields);
	if (writer.has_failed || head->query.len > TARGET_MAX / 2)
		return -1;
	exchange->fields = malloc(writer.len + 1);
	if (exchange->fields == NULL)
		return -1;
	exchange->query =
		strndup(head->query.len > 0 ? (const char *)head->query.data : "", head->query.len);
	if (exchange->query == NULL)
		return -1;
	memcpy(exchange->fields, writer.data, writer.len);
	exchange->fields_len = writer.len;
	return 0;
}

static int prepare_body(struct exchange *exchange)
{
	const struct config *config = config_of(exchange);
	const struct eas_body_terms terms = {.limits = exchange_limits(config),
		.kind = exchange->kind,
		.command = exchange->request.command,
		.version = exchange->request.version,
		.is_strict = config->activesync.structure == CONFIG_STRUCTURE_STRICT,
		/* Who is to be wiped learns it, whatever it sends. */
		.judges_nothing = exchange->room == ROOM_WIPE,
		/* XML has no name for others. */
		.needs_known_tags = config->upstream.body == CONFIG_BODY_XML,
		.folder_class = exchange_folder_class,
		.context = exchange};
	uint64_t memory_max = config->upstream.request_buffering ? config->upstream.buffer_memory
								 : 2 * (uint64_t)WORKER_QUEUE_MAX;

	spool_init(&exchange->spool, memory_max,
		config->upstream.request_buffering
			? exchange->session->worker->child->spool_directory
			: -1);
	if (exchange->room == ROOM_AUTODISCOVER) {
		exchange->collected = calloc(1, sizeof(*exchange->collected));
		if (exchange->collected != NULL)
			exchange->collected->limit = ROOM_BODY_MAX;
		return exchange->collected != NULL ? 0 : -1;
	}
	if (exchange->kind != EAS_BODY_WBXML && exchange->kind != EAS_BODY_MIME)
		return 0;
	exchange->request_facts = eas_body_new(&terms);
	if (exchange->request_facts == NULL)
		return -1;
	if (config->upstream.body != CONFIG_BODY_XML || exchange->room != ROOM_UPSTREAM ||
		exchange->kind != EAS_BODY_WBXML)
		return 0;
	exchange->collected = calloc(1, sizeof(*exchange->collected));
	if (exchange->collected == NULL)
		return -1;
	exchange->collected->limit = config->limits.body_size;
	spool_init(&exchange->spool, UINT64_MAX, -1);
	return 0;
}

static enum refusal check_request(struct exchange *exchange, const struct http_head *head)
{
	struct session *session = exchange->session;
	enum refusal refusal = session_check(session);
	/* Read in any case: who may not come in is told so in the words of the command. */
	enum refusal read = head->method == HTTP_GET ? REFUSAL_METHOD_NOT_ALLOWED
						     : eas_request_read(head, &exchange->request);

	if (refusal == REFUSAL_NONE)
		refusal = read;
	if (refusal == REFUSAL_NONE && exchange->request.user[0] != '\0' &&
		!credential_is_user(session->credential, span_of_string(exchange->request.user)))
		refusal = REFUSAL_USER_MISMATCH;
	if (refusal == REFUSAL_NONE)
		refusal = eas_request_body_kind(&exchange->request, head, &exchange->kind);
	if (refusal == REFUSAL_NONE && head->framing == HTTP_LENGTH &&
		head->content_length > body_size_max(exchange))
		refusal = REFUSAL_BODY_TOO_LARGE;
	if (refusal == REFUSAL_NONE && exchange->request.path == EAS_PATH_AUTODISCOVER)
		refusal = room_autodiscover_enter(exchange, head);
	return refusal;
}

/* A load balancer's question, answered without a look at certificates. */
static bool is_health_check(const struct exchange *exchange, const struct http_head *head)
{
	const struct session *session = exchange->session;
	const char *path = config_of(exchange)->listeners[session->listener].health_path;

	return head->method == HTTP_GET && head->framing == HTTP_NO_BODY && path[0] != '\0' &&
	       span_equal(head->path, span_of_string(path));
}

static void answer_health_check(struct exchange *exchange, bool keeps_alive)
{
	bool is_draining = exchange->session->worker->is_draining;
	char data[256];
	struct http_writer writer = {.data = data, .capacity = sizeof(data)};

	exchange->is_read = true;
	exchange->is_health_check = true;
	exchange->status = is_draining ? 503 : 200;
	http_write_status_line(
		&writer, exchange->status, span_of_string(http_reason(exchange->status)));
	http_write_field_number(&writer, "Content-Length", 0);
	http_write_field_text(&writer, "Cache-Control", "no-store");
	if (!keeps_alive || is_draining)
		http_write_field_text(&writer, "Connection", "close");
	http_write_end(&writer);
	session_request_read(exchange->session);
	session_write(exchange->session, data, writer.len);
	exchange->answer = EXCHANGE_ANSWERED;
	exchange_finish(exchange, !keeps_alive || is_draining);
}

/* The port of https may stand in either. */
static struct span without_port(struct span host)
{
	static const char port[] = ":443";
	size_t len = sizeof(port) - 1;

	if (host.len > len && memcmp(host.data + host.len - len, port, len) == 0)
		host.len -= len;
	return host;
}

static bool is_by_url(const struct config *config, struct span host)
{
	static const char scheme[] = "https://";
	const char *url = config->autodiscover.url;
	struct span ours;

	if (url[0] == '\0')
		return false;
	ours = without_port(span_of_string(url + sizeof(scheme) - 1));
	host = without_port(host);
	return host.len == ours.len &&
	       strncasecmp((const char *)host.data, (const char *)ours.data, ours.len) == 0;
}

void exchange_begin(struct session *session, const struct http_head *head)
{
	struct exchange *exchange = exchange_new(session);
	enum refusal refusal;

	if (exchange == NULL) {
		session_close(session);
		return;
	}
	exchange->method = head->method;
	exchange->minor_version = head->minor_version;
	/* Keeping an HTTP/1.0 connection open would have to be said in a field of its own. */
	exchange->answer_closes = !head->keeps_alive || head->minor_version == 0;
	exchange->content_length = head->content_length;
	http_body_begin(&exchange->body, head);
	exchange->is_read = http_body_is_done(&exchange->body);
	exchange->came_by_url = is_by_url(config_of(exchange), head->host);
	if (is_health_check(exchange, head)) {
		answer_health_check(exchange, !exchange->answer_closes);
		return;
	}
	if (room_autodiscover_greet(exchange, head))
		return;
	refusal = check_request(exchange, head);
	exchange_trace_begin(exchange);
	if (refusal == REFUSAL_NONE)
		refusal = exchange_gate(exchange, head);
	if (exchange->stage == EXCHANGE_OVER)
		return;
	if (refusal == REFUSAL_NONE &&
		(prepare_body(exchange) != 0 || keep_head(exchange, head) != 0))
		refusal = REFUSAL_INTERNAL;
	if (refusal != REFUSAL_NONE) {
		exchange_refuse(exchange, refusal, NULL);
		return;
	}
	if (exchange->is_read) {
		request_read(exchange);
		return;
	}
	if (head->expects_continue && head->minor_version > 0)
		session_write(session, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}
