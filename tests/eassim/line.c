#include "line.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What a server that has closed an idle connection takes to say so to the next request. */
enum { STALE_US = 100 * 1000 };

static void line_on_event(evutil_socket_t fd, short what, void *arg);

uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void line_init(struct line *line, struct line_world *world, line_on_end on_end, void *arg)
{
	*line = (struct line){.world = world, .on_end = on_end, .arg = arg, .tls = {.fd = -1}};
}

static void line_unwatch(struct line *line)
{
	if (line->has_event)
		event_del(&line->event);
	line->has_event = false;
}

/* Waits for the socket, or for the time to be over. */
static void line_watch(struct line *line, short what)
{
	struct timeval time = {.tv_sec = line->timeout_s};

	line_unwatch(line);
	event_assign(&line->event, line->world->base, line->tls.fd, what, line_on_event, line);
	event_add(&line->event, line->state == LINE_IDLE ? NULL : &time);
	line->has_event = true;
}

void line_close(struct line *line)
{
	line_unwatch(line);
	tls_close(&line->tls);
	ERR_clear_error();
	if (line->tls.fd != -1)
		close(line->tls.fd);
	wbxml_buffer_free(&line->request);
	wbxml_buffer_free(&line->answer);
	line->tls = (struct tls){.fd = -1};
	line->state = LINE_CLOSED;
}

static void line_fail(struct line *line, enum line_end end, const char *why)
{
	struct line_answer answer = {.head = NULL};
	bool was_idle = line->state == LINE_IDLE;

	answer.is_stale = end == LINE_LOST && line->is_reused && line->answer.len == 0 &&
			  now_us() - line->asked_at_us < STALE_US;
	snprintf(answer.why, sizeof(answer.why), "%s", why);
	line_close(line);
	if (!was_idle)
		line->on_end(line->arg, end, &answer);
}

/* "alert 44, certificate revoked" of OpenSSL's "sslv3 alert certificate revoked"; false: no alert. */
static bool alert_text(const char *reason, char *text, size_t size)
{
	const char *at = strstr(reason, " alert ");

	if (at == NULL)
		return false;
	at += strlen(" alert ");
	snprintf(text, size, "alert, %s", at);
	for (int number = 0; number < 256; number++)
		if (strcasecmp(SSL_alert_desc_string_long(number), at) == 0)
			snprintf(text, size, "alert %d, %s", number, at);
	return true;
}

/* An alert of the peer, a certificate of the server's that was not accepted, or just the end. */
static void line_fail_tls(struct line *line, const char *doing)
{
	unsigned long code = ERR_peek_error();
	int saved = errno;
	const char *reason = tls_failure(&line->tls);
	char why[160];

	if (alert_text(reason, why, sizeof(why))) {
		line_fail(line, LINE_REFUSED, why);
	} else if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED &&
		   ERR_GET_LIB(code) == ERR_LIB_SSL) {
		snprintf(why, sizeof(why), "the server's certificate: %s", reason);
		line_fail(line, LINE_UNTRUSTED, why);
	} else {
		snprintf(why, sizeof(why), "%s: %s", doing,
			code == 0 && saved != 0 ? strerror(saved) : reason);
		line_fail(line, LINE_LOST, why);
	}
	ERR_clear_error();
}

/* The whole answer is there: the line is free again before its owner hears of it. */
static void line_answered(struct line *line)
{
	struct wbxml_buffer bytes = line->answer;
	struct http_head head;
	struct line_answer answer = {.head = &head};

	line->answer = (struct wbxml_buffer){0};
	http_answer_parse(&head, (const char *)bytes.data, line->head_len, line->method);
	answer.content = span_of(bytes.data + line->head_len, bytes.len - line->head_len);
	if (line->keeps_alive) {
		line->state = LINE_IDLE;
		line_watch(line, EV_READ | EV_PERSIST);
	} else {
		line_close(line);
	}
	line->on_end(line->arg, LINE_ANSWER, &answer);
	wbxml_buffer_free(&bytes);
}

/* The head is in `answer` with whatever follows; what follows is moved to where it belongs. */
static enum http_result line_take_head(struct line *line)
{
	struct wbxml_buffer *bytes = &line->answer;
	size_t head_len;
	enum http_result result = http_head_find_end(
		(const char *)bytes->data, bytes->len, &line->scanned, &head_len);
	struct http_head head;

	if (result != HTTP_DONE)
		return result;
	result = http_answer_parse(&head, (const char *)bytes->data, head_len, line->method);
	if (result != HTTP_DONE)
		return HTTP_REFUSED;
	line->head_len = head_len;
	line->keeps_alive = head.keeps_alive && head.framing != HTTP_UNTIL_CLOSE;
	http_body_begin(&line->body, &head);
	return HTTP_DONE;
}

static enum http_result line_take_body(struct line *line, const char *data, size_t len)
{
	enum http_result result;
	struct span content;

	do {
		result = http_body_next(&line->body, &data, &len, &content);
		if (content.len > 0)
			wbxml_buffer_append(&line->answer, content.data, content.len);
	} while (result == HTTP_MORE && content.len > 0);
	if (result == HTTP_DONE && len > 0)
		line->keeps_alive = false; /* bytes that belong to no answer */
	return line->answer.has_failed ? HTTP_REFUSED : result;
}

static enum http_result line_take(struct line *line, const char *data, size_t len)
{
	enum http_result result;
	size_t rest;
	char *copy;

	if (line->head_len > 0)
		return line_take_body(line, data, len);
	wbxml_buffer_append(&line->answer, data, len);
	result = line_take_head(line);
	if (result != HTTP_DONE)
		return line->answer.len > LINE_HEAD_MAX ? HTTP_REFUSED : result;
	rest = line->answer.len - line->head_len;
	copy = malloc(rest + 1);
	if (copy == NULL)
		return HTTP_REFUSED;
	memcpy(copy, line->answer.data + line->head_len, rest);
	line->answer.len = line->head_len;
	result = line_take_body(line, copy, rest);
	free(copy);
	return result;
}

static void line_on_data(struct line *line, size_t len, bool *is_over)
{
	enum http_result result = line_take(line, line->world->read_buffer, len);

	*is_over = result != HTTP_MORE;
	if (result == HTTP_DONE)
		line_answered(line);
	else if (result == HTTP_REFUSED)
		line_fail(line, LINE_MALFORMED, line->head_len > 0 ? "its body" : "its head");
}

static void line_wait_for(struct line *line, enum tls_result result)
{
	line_watch(line, result == TLS_WANTS_WRITE ? EV_WRITE : EV_READ);
}

static void line_on_readable(struct line *line)
{
	bool is_over = false;
	enum tls_result result = TLS_DONE;
	size_t len;

	errno = 0;
	while (!is_over && result == TLS_DONE) {
		result = tls_read(&line->tls, line->world->read_buffer, LINE_READ_SIZE, &len);
		if (result == TLS_DONE)
			line_on_data(line, len, &is_over);
	}
	if (is_over)
		return;
	if (result == TLS_WANTS_READ || result == TLS_WANTS_WRITE) {
		line_wait_for(line, result);
	} else if (result == TLS_EOF && line->head_len > 0 &&
		   line->body.framing == HTTP_UNTIL_CLOSE) {
		line_answered(line);
	} else if (result == TLS_ERROR && line->world->tls != NULL) {
		line_fail_tls(line, "reading");
	} else {
		line_fail(line, LINE_LOST,
			line->answer.len > 0 ? "closed in the middle of an answer"
					     : "closed instead of an answer");
	}
}

static void line_on_writable(struct line *line)
{
	size_t done;
	enum tls_result result = TLS_DONE;

	while (line->written < line->request.len && result == TLS_DONE) {
		result = tls_write(&line->tls, line->request.data + line->written,
			line->request.len - line->written, &done);
		line->written += done;
	}
	if (result == TLS_WANTS_READ || result == TLS_WANTS_WRITE) {
		line_wait_for(line, result);
		return;
	}
	/* A failed write may hide the reason, an alert or an answer, that can still be read. */
	wbxml_buffer_free(&line->request);
	line->state = LINE_READING;
	line_on_readable(line);
}

static void line_on_handshake(struct line *line)
{
	enum tls_result result;

	errno = 0;
	result = tls_handshake(&line->tls);
	if (result == TLS_WANTS_READ || result == TLS_WANTS_WRITE) {
		line_wait_for(line, result);
	} else if (result != TLS_DONE) {
		line_fail_tls(line, "in the TLS handshake");
	} else {
		tls_forget_peer(&line->tls);
		line->world->handshakes++;
		if (line->world->on_handshake != NULL)
			line->world->on_handshake(
				line->world->handshake_arg, now_us() - line->handshake_at_us);
		line->state = LINE_ASKING;
		line_on_writable(line);
	}
}

static void line_on_connected(struct line *line)
{
	int error = 0;
	socklen_t len = sizeof(error);
	char why[160];

	getsockopt(line->tls.fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error != 0) {
		snprintf(why, sizeof(why), "connecting: %s", strerror(error));
		line_fail(line, LINE_LOST, why);
		return;
	}
	line->handshake_at_us = now_us();
	line->state = line->world->tls != NULL ? LINE_HANDSHAKE : LINE_ASKING;
	if (line->world->tls != NULL)
		line_on_handshake(line);
	else
		line_on_writable(line);
}

static void line_on_event(evutil_socket_t fd, short what, void *arg)
{
	struct line *line = arg;

	(void)fd;
	if ((what & EV_TIMEOUT) != 0) {
		line_fail(line, LINE_LOST, "no answer in time");
		return;
	}
	switch (line->state) {
	case LINE_CONNECTING: line_on_connected(line); break;
	case LINE_HANDSHAKE: line_on_handshake(line); break;
	case LINE_ASKING: line_on_writable(line); break;
	case LINE_READING: line_on_readable(line); break;
	case LINE_IDLE: line_close(line); break; /* the server may close what is idle */
	case LINE_CLOSED: break;
	}
}

static int line_connect(struct line *line, struct identities *identities, uint32_t number,
	const struct sockaddr *source)
{
	const struct sockaddr *address = (const struct sockaddr *)&line->world->address;
	struct tls_identity *identity;
	int fd, status, on = 1;

	fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	line->tls = (struct tls){.fd = fd};
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (source != NULL) {
		/* The port is chosen at connect(), per pair of addresses: more of them fit. */
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (bind(fd, source, sizeof(struct sockaddr_in)) == -1)
			return -1;
	}
	if (connect(fd, address, line->world->address_len) == -1 && errno != EINPROGRESS)
		return -1;
	line->world->connects++;
	if (line->world->tls == NULL)
		return 0;
	identity = identities_take(identities, number);
	if (identity == NULL)
		return -1;
	status = tls_connect(&line->tls, line->world->tls, fd, line->world->server_name, identity);
	identities_give_back(identities, identity);
	return status;
}

void line_ask(struct line *line, struct identities *identities, uint32_t number,
	const struct sockaddr *source, enum http_method method, struct wbxml_buffer *request,
	uint32_t timeout_s)
{
	bool is_open = line->state == LINE_IDLE;

	line_unwatch(line);
	wbxml_buffer_free(&line->request);
	line->request = *request;
	*request = (struct wbxml_buffer){.limit = request->limit};
	line->answer.limit = LINE_ANSWER_MAX;
	line->method = method;
	line->is_reused = is_open;
	line->asked_at_us = now_us();
	line->timeout_s = timeout_s;
	line->written = line->head_len = line->scanned = 0;
	line->state = is_open ? LINE_ASKING : LINE_CONNECTING;
	if (!is_open && line_connect(line, identities, number, source) != 0 && line->tls.fd == -1) {
		/* Out of descriptors: told from the loop, as every end is. */
		line_watch(line, EV_TIMEOUT);
		event_active(&line->event, EV_TIMEOUT, 0);
		return;
	}
	line_watch(line, EV_WRITE);
}
