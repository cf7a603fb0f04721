/*
 * A request's head: is it allowed, what of it goes to the endpoint, and what its body has to be.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/clock.h"
#include "proxy/exchange.h"
#include "proxy/exchange_trace.h"
#include "proxy/rewrite.h"
#include "proxy/room_autodiscover.h"

/* So much of the worker's scratch is left for the request line and Host. */
enum { TARGET_MAX = 8 * 1024 };

static const struct config *config_of(const struct exchange *exchange)
{
	return exchange->session->worker->config;
}

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
	/* The request line and Host come in front of them, write_head() of exchange_send.c. */
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
		head->content_length > exchange_body_size_max(exchange))
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
		exchange_request_read(exchange);
		return;
	}
	if (head->expects_continue && head->minor_version > 0)
		session_write(session, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}
