#include "proxy/session.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/clock.h"
#include "config/slab.h"
#include "proxy/client_fields.h"
#include "proxy/exchange_sleep.h"
#include "proxy/identity_client.h"
#include "proxy/log.h"
#include "proxy/ocsp_client.h"

enum { LINGER_MS = 2000 }; /* what a refused phone still sends is dropped for so long */

static const char *const state_names[] = {
	[SESSION_SILENT] = "silent",
	[SESSION_HANDSHAKE] = "handshake",
	[SESSION_OCSP] = "ocsp",
	[SESSION_IDENTIFY] = "identify",
	[SESSION_HEAD] = "head",
	[SESSION_BODY] = "body",
	[SESSION_ANSWER] = "answer",
	[SESSION_LINGER] = "linger",
	[SESSION_CLOSED] = "closed",
};

static void log_state(const struct session *session, enum session_state state)
{
	struct log_line line;

	log_begin(&line, CONFIG_LOG_DEBUG, "session");
	log_word(&line, "from", state_names[session->state]);
	log_word(&line, "to", state_names[state]);
	log_number(&line, "port", ntohs(session->port));
	log_end(&line);
}

void session_enter(struct session *session, enum session_state state)
{
	if (log_wants(CONFIG_LOG_DEBUG))
		log_state(session, state);
	session->state = state;
}

void session_set_timer(struct session *session, uint32_t time_ms)
{
	if (session->state == SESSION_CLOSED)
		return;
	if (time_ms == 0)
		wheel_stop(session->worker->wheel, &session->timer);
	else
		wheel_set(session->worker->wheel, &session->timer, time_ms);
}

static size_t input_len(const struct session *session)
{
	return session->input != NULL ? session->input->len : 0;
}

/* The phone asks and asks and takes no answer: it must not fill our memory with them. */
static bool session_is_choked(const struct session *session)
{
	return session->state == SESSION_HEAD && session_queued(session) > WORKER_QUEUE_MAX;
}

/* Whether more may be read now. While an answer is under way one read's worth of a pipelined request
 * is taken, mostly to learn that the phone has gone. */
static bool session_wants_read(const struct session *session)
{
	switch (session->state) {
	case SESSION_SILENT:
	case SESSION_HANDSHAKE:
	case SESSION_LINGER: return true;
	case SESSION_HEAD: return !session_is_choked(session);
	case SESSION_BODY:
	case SESSION_ANSWER: return input_len(session) == 0;
	case SESSION_OCSP:
	case SESSION_IDENTIFY:
	case SESSION_CLOSED: return false;
	}
	return false;
}

void session_update_events(struct session *session)
{
	if (session->state == SESSION_CLOSED)
		return;
	if (!session_wants_read(session))
		watch_unwant(&session->watch, WATCH_READ);
	else if (watch_want(session->worker->watcher, &session->watch, WATCH_READ) != 0)
		session_close(session);
}

/* Nothing more can be written now. */
static void session_await_writable(struct session *session)
{
	if (watch_want(session->worker->watcher, &session->watch, WATCH_WRITE) != 0)
		session_close(session);
}

/* Has the loop call session_readable() although the socket may have nothing new. */
static void session_run_soon(struct session *session)
{
	if (session->state != SESSION_CLOSED)
		watch_soon(session->worker->watcher, &session->watch);
}

int session_open(struct worker *worker, size_t listener, int fd,
	const struct sockaddr_storage *address, struct source *source)
{
	struct session *session = slab_new(sizeof(*session));

	if (session == NULL)
		return -1;
	session->worker = worker;
	session->source = source;
	session->listener = (uint16_t)listener;
	session->tls.fd = fd;
	session->is_first_request = true;
	session->since_us = clock_us();
	if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

		session->address = in6->sin6_addr;
		session->port = in6->sin6_port;
	} else {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;

		session->address.s6_addr[10] = 0xff;
		session->address.s6_addr[11] = 0xff;
		memcpy(&session->address.s6_addr[12], &in->sin_addr, 4);
		session->port = in->sin_port;
	}
	session->watch = watch_of(WATCH_PHONE, fd);
	session->timer.kind = WHEEL_PHONE;
	if (watch_want(worker->watcher, &session->watch, WATCH_READ) != 0) {
		slab_free(session);
		return -1;
	}
	TAILQ_INSERT_HEAD(&worker->sessions, session, entry);
	worker->connection_count++;
	shared_add(&worker->counters->connections_open, 1);
	session_set_timer(session, worker->config->limits.handshake_time_ms);
	return 0;
}

void session_close(struct session *session)
{
	struct worker *worker = session->worker;
	struct exchange *exchange;

	if (session->state == SESSION_CLOSED)
		return;
	if (session->state == SESSION_IDENTIFY)
		identity_client_forget(worker->identity, session);
	session_forget_question(session);
	ocsp_client_leave(session);
	session_enter(session, SESSION_CLOSED);
	exchange = exchange_wake(session);
	if (exchange != NULL)
		exchange_abort(exchange, REFUSAL_NONE, "connection closed");
	wheel_stop(worker->wheel, &session->timer);
	tls_close(&session->tls);
	watch_close(worker->watcher, &session->watch);
	source_give(session->source);
	recheck_forget(&worker->recheck, session);
	worker_identity_forget(&worker->reidentify, session);
	TAILQ_REMOVE(&worker->sessions, session, entry);
	TAILQ_INSERT_HEAD(&worker->closed, session, entry);
	worker->connection_count--;
	shared_subtract(&worker->counters->connections_open, 1);
	worker_bury_soon(worker);
}

void session_bury(struct session *session)
{
	TAILQ_REMOVE(&session->worker->closed, session, entry);
	if (session->queue != NULL)
		evbuffer_free(session->queue);
	credential_free(session->credential);
	free(session->client_fields);
	free(session->input);
	slab_free(session);
}

void session_address(const struct session *session, char text[INET6_ADDRSTRLEN])
{
	if (!IN6_IS_ADDR_V4MAPPED(&session->address)) {
		inet_ntop(AF_INET6, &session->address, text, INET6_ADDRSTRLEN);
		return;
	}
	/* Twice for each request, and inet_ntop() goes through printf(). */
	for (size_t i = 12; i < 16; i++) {
		uint8_t byte = session->address.s6_addr[i];

		if (byte >= 100)
			*text++ = (char)('0' + byte / 100);
		if (byte >= 10)
			*text++ = (char)('0' + byte / 10 % 10);
		*text++ = (char)('0' + byte % 10);
		*text++ = i < 15 ? '.' : '\0';
	}
}

void session_await_head(struct session *session)
{
	if (session->state <= SESSION_IDENTIFY)
		session->auth_us = (uint32_t)(clock_us() - session->since_us);
	session->since_us = 0; /* no byte of a head yet */
	session_enter(session, SESSION_HEAD);
	session_set_timer(session, session->worker->config->limits.idle_time_ms);
	session_update_events(session);
	if (session->state == SESSION_HEAD &&
		(input_len(session) > 0 || tls_has_pending(&session->tls)))
		session_run_soon(session);
}

/* Handshake */

static void session_handshake_failed(struct session *session, const char *reason)
{
	enum refusal refusal = session->refusal;

	if (refusal == REFUSAL_NONE && tls_lacks_certificate())
		refusal = REFUSAL_CERTIFICATE_MISSING;
	if (refusal == REFUSAL_NONE)
		refusal = REFUSAL_TLS_HANDSHAKE;
	/* The judge has logged what it refused. */
	if (session->refusal == REFUSAL_NONE)
		session_log_refused(session, refusal, NULL, reason);
	shared_add(&session->worker->counters->refusals[refusal], 1);
	session_close(session);
}

/* What the endpoint is told of the certificate has to be taken from it now. */
static void session_take_client_fields(struct session *session)
{
	X509 *leaf = tls_peer(&session->tls);

	if (leaf != NULL && session->worker->config->upstream.login == CONFIG_LOGIN_CLIENT_CERT)
		session->client_fields = client_fields_new(leaf, tls_peer_chain(&session->tls));
}

static void session_shake_hands(struct session *session)
{
	struct worker *worker = session->worker;
	const int on = 1;

	switch (tls_handshake(&session->tls)) {
	case TLS_DONE:
		session->handshake_us = (uint32_t)(clock_us() - session->since_us);
		session->since_us += session->handshake_us;
		shared_add(&worker->counters->handshakes, 1);
		if (tls_sleeps_deep(&session->tls))
			shared_add(&worker->counters->handshakes_deep, 1);
		/* With no ticket to carry it, the acknowledgement of the client's last flight would
		 * be delayed, and a client with Nagle's algorithm on would wait for it. */
		setsockopt(session->tls.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
		session_take_client_fields(session);
		worker_trim_note(&worker->trim);
		session_admit(session);
		return;
	case TLS_WANTS_READ: return;
	case TLS_WANTS_WRITE: session_await_writable(session); return;
	case TLS_EOF:
	case TLS_ERROR: session_handshake_failed(session, tls_failure(&session->tls)); return;
	}
}

static void session_greet(struct session *session)
{
	session->since_us = clock_us();
	if (tls_accept(&session->tls, session->worker->tls_servers[session->listener],
		    session->tls.fd, session) != 0) {
		session_close(session);
		return;
	}
	session_enter(session, SESSION_HANDSHAKE);
	session_shake_hands(session);
}

/* Reading */

/* A head, or the part of one that is there. Returns how many bytes are done with. */
static size_t session_take_head(struct session *session, const char *data, size_t len)
{
	const struct config_limits *limits = &session->worker->config->limits;
	struct http_head head;
	size_t head_len = 0, scanned = session->scanned;
	enum http_result result = http_head_find_end(data, len, &scanned, &head_len);

	session->scanned = (uint32_t)scanned;
	if (result == HTTP_MORE && len < limits->head_size) {
		if (session->since_us == 0 && len > 0) {
			session->since_us = clock_us();
			session_set_timer(session, limits->head_time_ms);
		}
		return 0;
	}
	session->scanned = 0;
	if (session_identify_again(session))
		return 0;
	session_set_timer(session, limits->body_time_ms);
	if (result == HTTP_REFUSED) {
		exchange_begin_refused(session, REFUSAL_HTTP_MALFORMED);
		return len;
	}
	if (result == HTTP_MORE || head_len > limits->head_size) {
		exchange_begin_refused(session, REFUSAL_HEAD_TOO_LARGE);
		return len;
	}
	if (http_request_parse(&head, data, head_len) != HTTP_DONE) {
		exchange_begin_refused(session, head.refusal);
		return len;
	}
	session_enter(session, SESSION_BODY);
	exchange_begin(session, &head);
	return head_len;
}

/* Hands bytes to the stages until they are used up or a stage wants no more. */
static size_t session_advance(struct session *session, const char *data, size_t len)
{
	size_t used = 0;

	while (used < len && !session_is_choked(session)) {
		size_t taken = 0;

		switch (session->state) {
		case SESSION_HEAD:
			taken = session_take_head(session, data + used, len - used);
			break;
		case SESSION_BODY:
			taken = exchange_take(session->exchange, data + used, len - used);
			break;
		case SESSION_LINGER:
		case SESSION_CLOSED: return len;
		default: return used;
		}
		if (taken == 0)
			return used;
		used += taken;
	}
	return used;
}

static int session_keep(struct session *session, const char *data, size_t len)
{
	size_t had = input_len(session);
	size_t needed = had + len;

	if (len == 0)
		return 0;
	if (session->input == NULL || session->input->capacity < needed) {
		size_t capacity = needed < 1024 ? 1024 : needed + needed / 2;
		struct session_input *grown =
			realloc(session->input, sizeof(struct session_input) + capacity);

		if (grown == NULL)
			return -1;
		grown->len = had;
		grown->capacity = capacity;
		session->input = grown;
	}
	memcpy(session->input->data + had, data, len);
	session->input->len = needed;
	return 0;
}

/* The bytes kept from earlier reads go first; what is left of them stays. */
static void session_advance_kept(struct session *session)
{
	struct session_input *input = session->input;
	size_t used = session_advance(session, input->data, input->len);

	/* With the last answer what was kept is freed. */
	if (session->state == SESSION_CLOSED || session->input == NULL)
		return;
	input->len -= used;
	memmove(input->data, input->data + used, input->len);
	if (input->len == 0) {
		free(input);
		session->input = NULL;
	}
}

static void session_receive(struct session *session, const char *data, size_t len)
{
	bool is_behind_kept = session->input != NULL;
	size_t used = is_behind_kept ? 0 : session_advance(session, data, len);

	if (session->state == SESSION_CLOSED)
		return;
	if (session_keep(session, data + used, len - used) != 0)
		session_close(session);
	else if (is_behind_kept)
		session_advance_kept(session);
}

static void session_read(struct session *session)
{
	struct worker *worker = session->worker;
	size_t len = 0;

	switch (tls_read(&session->tls, worker->buffer, WORKER_BUFFER, &len)) {
	case TLS_DONE: session_receive(session, (const char *)worker->buffer, len); break;
	case TLS_WANTS_READ: return;
	case TLS_WANTS_WRITE: session_await_writable(session); return;
	case TLS_EOF:
	case TLS_ERROR: session_close(session); return;
	}
	session_update_events(session);
	if (session_wants_read(session) && tls_has_pending(&session->tls))
		session_run_soon(session);
}

static void session_readable(struct session *session)
{
	switch (session->state) {
	case SESSION_SILENT: session_greet(session); return;
	case SESSION_HANDSHAKE: session_shake_hands(session); return;
	case SESSION_OCSP:
	case SESSION_IDENTIFY:
	case SESSION_CLOSED: return;
	default: break;
	}
	if (session_is_choked(session))
		return;
	if (session->input != NULL &&
		(session->state == SESSION_HEAD || session->state == SESSION_BODY)) {
		size_t before = session->input->len;

		session_advance_kept(session);
		if (session->state == SESSION_CLOSED || input_len(session) != before) {
			/* One step a turn; more may wait in the TLS layer or be kept still. */
			session_update_events(session);
			if (session->state == SESSION_HEAD &&
				(input_len(session) > 0 || tls_has_pending(&session->tls)))
				session_run_soon(session);
			return;
		}
	}
	if (session_wants_read(session))
		session_read(session);
}

/* There is room again, here or at the endpoint. */
static void session_go_on(struct session *session)
{
	session_update_events(session);
	if (input_len(session) > 0 || tls_has_pending(&session->tls))
		session_run_soon(session);
}

void session_resume(struct session *session)
{
	if (session->state == SESSION_BODY)
		session_go_on(session);
}

void session_request_read(struct session *session)
{
	if (session->state == SESSION_BODY)
		session_enter(session, SESSION_ANSWER);
}

/* Writing */

size_t session_queued(const struct session *session)
{
	return session->queue != NULL ? evbuffer_get_length(session->queue) : 0;
}

/* The last answer is written. A refused phone may still be sending: closing now would reset the
 * connection, and the answer could be lost with it. What comes is dropped undeciphered. */
static void session_say_goodbye(struct session *session)
{
	tls_close(&session->tls);
	shutdown(session->tls.fd, SHUT_WR);
	session_set_timer(session, LINGER_MS);
}

/* All is written that was to be. */
static void session_written(struct session *session)
{
	if (session->state == SESSION_LINGER)
		session_say_goodbye(session);
	else if (session->exchange != NULL)
		exchange_phone_drained(session->exchange);
	else if (session->state == SESSION_HEAD)
		session_go_on(session);
}

static void session_flush(struct session *session)
{
	while (session_queued(session) > 0) {
		size_t queued = session_queued(session);
		size_t piece = queued < TLS_RECORD_MAX ? queued : TLS_RECORD_MAX;
		unsigned char *data = evbuffer_pullup(session->queue, (ev_ssize_t)piece);
		size_t written = 0;
		enum tls_result result = TLS_ERROR;

		if (data != NULL)
			result = tls_write(&session->tls, data, piece, &written);
		if (result == TLS_WANTS_READ)
			return; /* it is read anyway; it ends up here again by the timer at worst */
		if (result == TLS_WANTS_WRITE) {
			session_await_writable(session);
			return;
		}
		if (result != TLS_DONE) {
			session_close(session);
			return;
		}
		evbuffer_drain(session->queue, written);
		session_set_timer(session, session->worker->config->limits.body_time_ms);
	}
	evbuffer_free(session->queue);
	session->queue = NULL;
	session_written(session);
}

static void session_writable(struct session *session)
{
	if (session->state == SESSION_HANDSHAKE)
		session_shake_hands(session);
	else if (session->state != SESSION_CLOSED && session->queue != NULL)
		session_flush(session);
	else if (session->state != SESSION_CLOSED && session_wants_read(session))
		session_read(session);
}

void session_write(struct session *session, const void *data, size_t len)
{
	const char *at = data;

	if (session->state == SESSION_CLOSED)
		return;
	while (len > 0 && session->queue == NULL) {
		size_t written = 0;
		enum tls_result result = tls_write(&session->tls, at, len, &written);

		if (result == TLS_EOF || result == TLS_ERROR) {
			session_close(session);
			return;
		}
		if (result != TLS_DONE)
			break;
		at += written;
		len -= written;
	}
	if (len == 0)
		return;
	if (session->queue == NULL) {
		session->queue = evbuffer_new();
		if (session->queue == NULL) {
			session_close(session);
			return;
		}
		session_await_writable(session);
		if (session->state == SESSION_CLOSED)
			return;
	}
	if (evbuffer_add(session->queue, at, len) != 0)
		session_close(session);
}

void session_exchange_over(struct session *session, bool is_last)
{
	session->exchange = NULL;
	if (session->is_first_request) {
		session->is_first_request = false;
		session->good_by = 0;
	}
	if (session->state == SESSION_CLOSED)
		return;
	if (!is_last && !session->worker->is_draining) {
		session_await_head(session);
		return;
	}
	session_enter(session, SESSION_LINGER);
	free(session->input);
	session->input = NULL;
	session_set_timer(session, session->worker->config->limits.body_time_ms);
	session_update_events(session);
	if (session->queue == NULL && session->state == SESSION_LINGER)
		session_say_goodbye(session);
}

/* Time */

static void session_timed_out(struct session *session)
{
	struct worker *worker = session->worker;
	struct exchange *exchange;

	switch (session->state) {
	case SESSION_SILENT:
	case SESSION_HANDSHAKE:
		session->refusal = REFUSAL_TLS_TIMEOUT;
		session_log_refused(session, REFUSAL_TLS_TIMEOUT, NULL, "no handshake in time");
		shared_add(&worker->counters->refusals[REFUSAL_TLS_TIMEOUT], 1);
		session_close(session);
		return;
	case SESSION_OCSP: session_identify(session); return;
	case SESSION_IDENTIFY: session_identify_timed_out(session); return;
	case SESSION_HEAD:
		if (session->since_us != 0)
			exchange_begin_refused(session, REFUSAL_HEAD_TIMEOUT);
		else
			session_close(session);
		return;
	case SESSION_BODY:
	case SESSION_ANSWER:
		exchange = exchange_wake(session);
		if (exchange != NULL)
			exchange_timed_out(exchange);
		else
			session_close(session);
		return;
	case SESSION_LINGER: session_close(session); return;
	case SESSION_CLOSED: return;
	}
}

/* Calls */

static void on_ready(struct watch *watch, unsigned int ready)
{
	struct session *session =
		(struct session *)((char *)watch - offsetof(struct session, watch));

	if (ready == WATCH_WRITE)
		session_writable(session);
	else
		session_readable(session);
}

static void on_time(struct wheel_timer *timer)
{
	session_timed_out((struct session *)((char *)timer - offsetof(struct session, timer)));
}

void session_prepare(struct worker *worker)
{
	watcher_on(worker->watcher, WATCH_PHONE, on_ready);
	wheel_on(worker->wheel, WHEEL_PHONE, on_time);
}

/* The end */

void session_drain(struct session *session, uint32_t time_ms)
{
	switch (session->state) {
	case SESSION_SILENT:
	case SESSION_HANDSHAKE:
	case SESSION_OCSP:
	case SESSION_IDENTIFY: return; /* one request is served, then it ends */
	case SESSION_HEAD:
		if (session->since_us != 0 || session->queue != NULL)
			return;
		/* Who has just come in has a request on its way. */
		if (session->is_first_request)
			session_set_timer(session, time_ms);
		else
			session_close(session);
		return;
	case SESSION_ANSWER: session_end_poll(session, time_ms, POLL_DRAINS); return;
	default: return;
	}
}
