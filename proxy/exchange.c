#include "proxy/exchange.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/clock.h"
#include "proxy/eas_body_log.h"
#include "proxy/eas_version.h"
#include "proxy/exchange_history.h"
#include "proxy/exchange_login.h"
#include "proxy/exchange_sleep.h"
#include "proxy/exchange_trace.h"
#include "proxy/governor.h"
#include "proxy/log.h"
#include "proxy/spares.h"

struct wbxml_limits exchange_limits(const struct config *config)
{
	return (struct wbxml_limits){
		.depth = config->limits.wbxml_depth, .elements = config->limits.wbxml_elements};
}

struct wbxml_xml_options exchange_xml_options(const struct config *config)
{
	bool is_exact = config->upstream.xml_dialect == CONFIG_XML_EXACT;

	return (struct wbxml_xml_options){.limits = exchange_limits(config),
		.dialect = is_exact ? WBXML_DIALECT_EXACT : WBXML_DIALECT_LIBWBXML};
}

void exchange_free_content(struct exchange *exchange)
{
	exchange_trace_free(exchange);
	spool_free(&exchange->spool);
	eas_body_free(exchange->request_facts);
	eas_body_free(exchange->answer_facts);
	gunzip_free(exchange->gunzip);
	answer_filter_free(exchange->filter);
	owner_free(exchange->filter_owner);
	free(exchange->answer_head);
	if (exchange->fields != NULL)
		OPENSSL_cleanse(exchange->fields, exchange->fields_len);
	free(exchange->fields);
	free(exchange->query);
	free(exchange->base);
	exchange_forget_request(exchange);
	if (exchange->collected != NULL)
		wbxml_buffer_free(exchange->collected);
	if (exchange->answer_xml != NULL)
		wbxml_buffer_free(exchange->answer_xml);
	free(exchange->collected);
	exchange_policy_free(exchange);
	free(exchange->answer_xml);
}

static struct spares spares = {.size = sizeof(struct exchange)};

struct exchange *exchange_make(void)
{
	struct exchange *exchange = spares_take(&spares);

	if (exchange != NULL)
		*exchange = (struct exchange){0};
	return exchange;
}

void exchange_free(struct exchange *exchange)
{
	exchange_free_content(exchange);
	spares_give(&spares, exchange);
}

static void log_certificate(struct log_line *line, const struct credential *credential)
{
	char serial[41] = "";

	if (credential == NULL)
		return;
	log_text(line, "mailbox", credential->mailbox);
	if (credential_serial(credential) != NULL)
		serial_format(credential_serial(credential), serial);
	log_word(line, "serial", serial);
	log_text(line, "issuer", credential_issuer(credential));
}

static void log_request(struct log_line *line, const struct exchange *exchange)
{
	const struct eas_request *request = &exchange->request;

	log_word(line, "method", http_method_name(exchange->method));
	log_word(line, "command",
		request->path == EAS_PATH_AUTODISCOVER ||
				request->path == EAS_PATH_AUTODISCOVER_JSON
			? "Autodiscover"
		: request->command != EAS_NO_COMMAND ? eas_command_name(request->command)
						     : NULL);
	log_text(line, "device", request->device_id);
	log_text(line, "device_type", request->device_type);
	log_text(line, "user", request->user);
	log_word(line, "version", eas_version_name(request->version));
}

/* What was taken out of the answer. */
static void log_changes(struct log_line *line, const struct exchange *exchange)
{
	struct answer_counts counts = {.downloads = exchange->download_is_refused};
	uint32_t stripped;

	if (exchange->filter != NULL)
		counts = *answer_filter_counts(exchange->filter);
	stripped = counts.attachments + counts.downloads + counts.bodies;
	if (stripped > 0)
		log_number(line, "stripped", stripped);
	if (counts.folders > 0)
		log_number(line, "hidden_folders", counts.folders);
}

/* Microseconds between two moments, where both have come. */
static void log_span_of_time(struct log_line *line, const char *key, uint64_t from, uint64_t to)
{
	if (from != 0 && to >= from)
		log_number(line, key, (int64_t)(to - from));
}

static void exchange_log(const struct exchange *exchange, uint64_t now_us)
{
	const struct session *session = exchange->session;
	char address[INET6_ADDRSTRLEN];
	struct log_line line;

	/* Anybody may ask for our health, and as often as the line allows. */
	log_begin(&line, exchange->is_health_check ? CONFIG_LOG_DEBUG : CONFIG_LOG_INFO, "request");
	if (!line.is_wanted)
		return;
	log_word(&line, "id", exchange->id);
	session_address(session, address);
	log_word(&line, "client", address);
	log_certificate(&line, session->credential);
	log_request(&line, exchange);
	eas_body_log(&line, exchange->request_facts, false);
	log_number(&line, "status", exchange->status);
	if (exchange->endpoint_status != 0)
		log_number(&line, "endpoint_status", exchange->endpoint_status);
	log_text(&line, "endpoint", exchange->endpoint);
	eas_body_log(&line, exchange->answer_facts, true);
	if (exchange->own_eas_status != 0)
		log_number(&line, "eas_status", exchange->own_eas_status);
	log_changes(&line, exchange);
	if (exchange->refusal != REFUSAL_NONE)
		log_word(&line, "refusal", refusal_row(exchange->refusal)->name);
	exchange_policy_log(&line, exchange);
	log_text(&line, "reason", exchange->reason);
	if (exchange->answer_is_malformed)
		log_bool(&line, "answer_malformed", true);
	log_number(&line, "bytes_in", (int64_t)exchange->bytes_in);
	log_number(&line, "bytes_out", (int64_t)exchange->bytes_out);
	if (session->is_first_request)
		log_number(&line, "handshake_us", session->handshake_us);
	if (session->is_first_request)
		log_number(&line, "auth_us", session->auth_us);
	if (exchange->login_by != 0)
		log_word(&line, "login", login_kind_name(exchange->login_by - 1U));
	if (exchange->login_us != 0)
		log_number(&line, "login_us", exchange->login_us);
	log_span_of_time(&line, "upstream_us", exchange->sent_us, exchange->answered_us);
	log_span_of_time(&line, "total_us", exchange->begun_us, now_us);
	log_word(&line, "tls", exchange->tls_version);
	log_word(&line, "cipher", exchange->tls_cipher);
	log_text(&line, "server_name", tls_server_name(&session->tls));
	log_end(&line);
}

void exchange_finish(struct exchange *exchange, bool is_last)
{
	struct session *session = exchange->session;
	struct worker *worker = session->worker;
	uint64_t now_us;

	if (exchange->stage == EXCHANGE_OVER)
		return;
	now_us = clock_us();
	if (exchange->is_poll)
		shared_subtract(&worker->counters->polls_open, 1);
	exchange->waits = false;
	exchange_drowse_no_more(exchange);
	exchange_login_leave(exchange);
	if (exchange->link != NULL)
		link_release(exchange->link,
			exchange->link_is_reusable && exchange->stage == EXCHANGE_SENT);
	exchange->link = NULL;
	exchange->stage = EXCHANGE_OVER;
	if (exchange->refusal != REFUSAL_NONE)
		shared_add(&worker->counters->refusals[exchange->refusal], 1);
	shared_add(&worker->counters->bytes_from_phones, exchange->bytes_in);
	shared_add(&worker->counters->bytes_to_phones, exchange->bytes_out);
	exchange_log(exchange, now_us);
	exchange_history_add(exchange, now_us);
	exchange_trace_end(exchange);
	exchange_gate_leave(exchange);
	exchange->next_over = worker->over;
	worker->over = exchange;
	worker_bury_soon(worker);
	session_exchange_over(session, is_last || !exchange->is_read);
}

/* Where the request's end is not certain, nothing behind it can be believed; and who has no certificate
 * pays for every refusal, and its log line, with a handshake. */
static bool own_answer_is_last(const struct exchange *exchange)
{
	return !exchange->is_read || exchange->session->worker->is_draining ||
	       exchange->minor_version == 0 || exchange->answer_closes ||
	       exchange->session->credential == NULL;
}

void exchange_answer_own(struct exchange *exchange, const struct own_answer *answer)
{
	struct session *session = exchange->session;
	struct worker *worker = session->worker;
	struct http_writer writer = {
		.data = (char *)worker->scratch, .capacity = sizeof(worker->scratch)};
	bool is_last = own_answer_is_last(exchange);

	if (exchange->stage == EXCHANGE_OVER)
		return;
	exchange->link_is_reusable = false;
	http_write_status_line(
		&writer, answer->status, span_of_string(http_reason(answer->status)));
	if (answer->content_type != NULL)
		http_write_field_text(&writer, "Content-Type", answer->content_type);
	for (size_t i = 0; i < answer->field_count; i++)
		http_write_field_text(&writer, answer->fields[i].name, answer->fields[i].value);
	http_write_field_number(&writer, "Content-Length", answer->body.len);
	if (is_last)
		http_write_field_text(&writer, "Connection", "close");
	http_write_end(&writer);
	if (writer.has_failed || exchange->answer != EXCHANGE_NO_ANSWER) {
		exchange_abort(exchange, REFUSAL_INTERNAL, "the answer of our own does not fit");
		return;
	}
	exchange->status = answer->status;
	exchange->own_eas_status = answer->eas_status;
	exchange->answer = EXCHANGE_ANSWERED;
	exchange->bytes_out += answer->body.len;
	exchange_trace_answer(exchange, answer->body);
	session_write(session, writer.data, writer.len);
	if (answer->body.len > 0)
		session_write(session, answer->body.data, answer->body.len);
	exchange_finish(exchange, is_last);
}

/* The mail server was not there for it, and may not be for others. */
static bool is_outage(enum refusal refusal)
{
	return refusal == REFUSAL_UPSTREAM_UNAVAILABLE || refusal == REFUSAL_UPSTREAM_UNREACHABLE ||
	       refusal == REFUSAL_UPSTREAM_TIMEOUT || refusal == REFUSAL_LOGIN_UNAVAILABLE;
}

void exchange_refuse(struct exchange *exchange, enum refusal refusal, const char *reason)
{
	struct session *session = exchange->session;
	struct worker *worker = session->worker;
	struct http_writer writer = {
		.data = (char *)worker->scratch, .capacity = sizeof(worker->scratch)};
	bool is_last = own_answer_is_last(exchange);

	if (exchange->stage == EXCHANGE_OVER)
		return;
	exchange->refusal = refusal;
	if (is_outage(refusal))
		governor_note_outage(exchange);
	if (reason != NULL)
		snprintf(exchange->reason, sizeof(exchange->reason), "%s", reason);
	exchange->link_is_reusable = false;
	if (exchange->answer != EXCHANGE_NO_ANSWER || refusal_row(refusal)->http_status == 0) {
		/* The phone has a part of another answer: only the connection's end can tell it. */
		exchange_abort(exchange, refusal, reason);
		return;
	}
	exchange->status = eas_refusal_write(&writer, refusal, &exchange->request,
		&(struct eas_refusal_terms){.retry_after_s = governor_retry_after(exchange),
			.close = is_last,
			.http_status = exchange->refusal_http_status,
			.eas_status = exchange->refusal_eas_status});
	exchange->answer = EXCHANGE_ANSWERED;
	if (writer.has_failed) {
		exchange_abort(exchange, refusal, reason);
		return;
	}
	exchange_trace_own_answer(exchange, span_of(writer.data, writer.len));
	session_write(session, writer.data, writer.len);
	exchange_finish(exchange, is_last);
}

void exchange_abort(struct exchange *exchange, enum refusal refusal, const char *reason)
{
	struct session *session = exchange->session;

	if (exchange->stage == EXCHANGE_OVER)
		return;
	if (exchange->refusal == REFUSAL_NONE)
		exchange->refusal = refusal;
	if (exchange->reason[0] == '\0' && reason != NULL)
		snprintf(exchange->reason, sizeof(exchange->reason), "%s", reason);
	exchange->link_is_reusable = false;
	exchange_finish(exchange, true);
	session_close(session);
}

/* Time */

static const char *const poll_end_texts[] = {
	[POLL_GOES_ON] = "",
	[POLL_DRAINS] = "draining",
	[POLL_REGROUPED] = "other groups",
	[POLL_ASKS_DEVICE] = "the device was forgotten, or its certificate renewed",
	[POLL_SUPERSEDED] = "superseded by a newer one",
};

static void exchange_answer_poll(struct exchange *exchange, enum poll_end why)
{
	/* MS-ASCMD 2.2.1.13: Ping, Status 1: the heartbeat is over and nothing has changed. */
	static const uint8_t nothing_new[] = {
		0x03, 0x01, 0x6a, 0x00, 0x00, 0x0d, 0x45, 0x47, 0x03, '1', 0x00, 0x01, 0x01};
	bool is_ping = exchange->request.command == EAS_PING;

	snprintf(exchange->reason, sizeof(exchange->reason), "poll ended: %s", poll_end_texts[why]);
	/* An empty answer to a Sync says that nothing has changed, MS-ASCMD 2.2.1.21. */
	exchange_answer_own(
		exchange, &(struct own_answer){.status = 200,
				  .content_type = is_ping ? "application/vnd.ms-sync.wbxml" : NULL,
				  .body = span_of(nothing_new, is_ping ? sizeof(nothing_new) : 0),
				  .eas_status = is_ping ? 1 : 0});
}

void exchange_timed_out(struct exchange *exchange)
{
	if (exchange->ends_poll != POLL_GOES_ON && exchange->answer == EXCHANGE_NO_ANSWER)
		exchange_answer_poll(exchange, exchange->ends_poll);
	else if (exchange_sleeps_on(exchange) || (!exchange->is_held && room_wait_over(exchange)))
		return;
	else if (exchange->is_held)
		exchange_hold_over(exchange);
	else if (exchange->waits && exchange->is_read)
		exchange_refuse(exchange, REFUSAL_DEVICE_UNAVAILABLE, "no answer in time");
	else if (!exchange->is_read && exchange->link != NULL && link_queued(exchange->link) > 0)
		exchange_refuse(exchange, REFUSAL_UPSTREAM_TIMEOUT, "the endpoint takes no more");
	else if (!exchange->is_read)
		exchange_refuse(exchange, REFUSAL_BODY_TIMEOUT, NULL);
	else if (exchange->answer == EXCHANGE_NO_ANSWER)
		exchange_refuse(exchange, REFUSAL_UPSTREAM_TIMEOUT, NULL);
	else if (session_queued(exchange->session) > 0)
		exchange_abort(
			exchange, REFUSAL_BODY_TIMEOUT, "the phone takes no more of the answer");
	else
		exchange_abort(exchange, REFUSAL_UPSTREAM_TIMEOUT, "the answer stopped short");
}

void exchange_end_poll_now(struct exchange *exchange, enum poll_end why)
{
	if (exchange->stage != EXCHANGE_OVER && exchange->answer == EXCHANGE_NO_ANSWER)
		exchange_answer_poll(exchange, why);
}

uint32_t exchange_poll_end_time(uint32_t time_ms)
{
	uint64_t share = time_ms - time_ms / 5; /* the phones' last answers need time too */

	return 1 + (uint32_t)((uint64_t)random() * share / RAND_MAX);
}

bool exchange_end_poll(struct exchange *exchange, uint32_t time_ms, enum poll_end why)
{
	if (!exchange->is_poll || exchange->answer != EXCHANGE_NO_ANSWER)
		return false;
	exchange->ends_poll = why;
	session_set_timer(exchange->session, exchange_poll_end_time(time_ms));
	return true;
}
