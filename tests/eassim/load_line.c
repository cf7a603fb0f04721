/* One phone of `eassim load`: connects, asks, and compares the answer as it comes. */
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

enum { HEAD_MAX = 16 * 1024, STALE_US = 100 * 1000 };

static void line_on_ready(struct poller_item *item);

void load_line_close(struct load_line *line)
{
	if (line->item.fd == -1)
		return;
	poller_want(&line->load->poller, &line->item, 0);
	tls_close(&line->tls);
	ERR_clear_error();
	close(line->item.fd);
	free(line->kept);
	line->kept = NULL;
	line->item.fd = -1;
	line->state = LINE_CLOSED;
}

static void line_wait_for(struct load_line *line, enum tls_result result)
{
	poller_want(
		&line->load->poller, &line->item, result == TLS_WANTS_WRITE ? EPOLLOUT : EPOLLIN);
}

static int line_connect(struct load_line *line)
{
	struct load *load = line->load;
	struct sockaddr_in source = {.sin_family = AF_INET};
	int fd, on = 1;

	fd = socket(load->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	line->item = (struct poller_item){.on_ready = line_on_ready, .fd = fd};
	line->tls = (struct tls){.fd = fd};
	line->state = LINE_CONNECTING;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (load->source_count > 0) {
		/* The port is chosen at connect(), per pair of addresses: more of them fit. */
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		source.sin_addr.s_addr =
			htonl(load->source_first + line->phone % load->source_count);
		if (bind(fd, (struct sockaddr *)&source, sizeof(source)) == -1)
			return -1;
	}
	if (connect(fd, (struct sockaddr *)&load->address, load->address_len) == -1 &&
		errno != EINPROGRESS)
		return -1;
	load->result.connects++;
	return poller_want(&load->poller, &line->item, EPOLLOUT);
}

/* The request */

/* What may stand in a query as it is, RFC 3986 2.3; out holds three times the text. */
static void percent_encode(const char *text, char *out)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	static const char digits[] = "0123456789ABCDEF";

	for (; *text != '\0'; text++) {
		unsigned char byte = (unsigned char)*text;

		if (strchr(plain, *text) != NULL) {
			*out++ = *text;
			continue;
		}
		*out++ = '%';
		*out++ = digits[byte >> 4];
		*out++ = digits[byte & 15];
	}
	*out = '\0';
}

static void load_mailbox(const struct load *load, uint32_t phone, char text[321])
{
	if (load->options.is_plain) /* without TLS there is no certificate */
		snprintf(text, 321, "bob@%.250s", load->options.mint.domain);
	else
		identities_mailbox(load->identities, phone, text);
}

/* Into scratch; the same bytes each time that it is made for the same request. */
static size_t line_write_head(const struct load_line *line)
{
	struct load *load = line->load;
	char mailbox[321], user[3 * 320 + 1], asserted[400] = "";
	char *out = (char *)load->scratch;

	load_mailbox(load, line->phone, mailbox);
	percent_encode(mailbox, user);
	if (load->options.assert_header != NULL)
		snprintf(asserted, sizeof(asserted), "%.60s: %s\r\n", load->options.assert_header,
			mailbox);
	if (line->kind == BENCH_OPTIONS)
		return (size_t)snprintf(out, LOAD_SCRATCH_SIZE,
			"OPTIONS /Microsoft-Server-ActiveSync HTTP/1.1\r\n"
			"Host: %s\r\nUser-Agent: eassim/" EASPROXY_VERSION "\r\n%s\r\n",
			load->options.connect, asserted);
	return (size_t)snprintf(out, LOAD_SCRATCH_SIZE,
		"POST /Microsoft-Server-ActiveSync?Cmd=%s&User=%s&DeviceId=LOAD%08X&DeviceType=%s "
		"HTTP/1.1\r\n"
		"Host: %s\r\n"
		"User-Agent: eassim/" EASPROXY_VERSION "\r\n"
		"MS-ASProtocolVersion: 14.1\r\n"
		"X-MS-PolicyKey: 3942919513\r\n"
		"Accept: */*\r\n"
		"Accept-Language: en-us\r\n"
		"Connection: keep-alive\r\n"
		"%s"
		"Content-Type: application/vnd.ms-sync.wbxml\r\n"
		"Content-Length: %zu\r\n\r\n",
		bench_kind_command(line->kind), user, line->phone, bench_kind_name(line->kind),
		load->options.connect, asserted, load->content.requests[line->kind].len);
}

/* What is to be written next, from line->at on; empty: all is. */
static struct span line_next_piece(struct load_line *line)
{
	struct load *load = line->load;
	struct bench_bytes *body = &load->content.requests[line->kind];
	size_t head_len = line_write_head(line), first;
	char token[BENCH_TOKEN_LEN];

	bench_token(token, line->phone, line->request);
	bench_bytes_mark(body, token);
	if (line->at >= head_len) {
		size_t from = line->at - head_len;

		return span_of(body->data + from, body->len - from);
	}
	/* The head, and as much of the body as goes into the same record. */
	first = LOAD_SCRATCH_SIZE - head_len < body->len ? LOAD_SCRATCH_SIZE - head_len : body->len;
	if (first > 0)
		memcpy(load->scratch + head_len, body->data, first);
	return span_of(load->scratch + line->at, head_len + first - line->at);
}

static void line_read(struct load_line *line);

static void line_write(struct load_line *line)
{
	enum tls_result result = TLS_DONE;
	struct span piece;
	size_t written;

	line->state = LINE_ASKING;
	while ((piece = line_next_piece(line)).len > 0) {
		result = tls_write(&line->tls, piece.data, piece.len, &written);
		line->at += written;
		if (result != TLS_DONE)
			break;
	}
	if (result == TLS_WANTS_READ || result == TLS_WANTS_WRITE) {
		line_wait_for(line, result);
		return;
	}
	/* A failed write may hide the reason, an alert or an answer, that can still be read. */
	line->at = 0;
	line->state = LINE_READING;
	line->has_head = false;
	line->may_be_right = true;
	line->may_be_over = line->kind == BENCH_PING;
	line_wait_for(line, TLS_WANTS_READ);
	if (result == TLS_DONE && line->load->on_asked != NULL)
		line->load->on_asked(line);
	if (result == TLS_DONE && tls_has_pending(&line->tls))
		line_read(line);
}

/* Its end */

static void line_end(struct load_line *line, enum load_end end, const char *why)
{
	bool is_whole = end == LOAD_RIGHT || end == LOAD_OVER;

	if (is_whole && line->keeps_alive) {
		line->state = LINE_IDLE;
		line_wait_for(line, TLS_WANTS_READ);
	} else {
		load_line_close(line);
	}
	line->load->on_end(line, end, why);
}

/* A server may close what is idle just as it is used again: then the phone asks anew, once. */
static bool line_is_stale(const struct load_line *line)
{
	return line->is_reused && !line->has_head && line->kept == NULL &&
	       load_now_us() - line->asked_us < STALE_US;
}

static void line_fail(struct load_line *line, const char *doing)
{
	unsigned long code = ERR_peek_error();
	int saved = errno;
	char why[200];
	const char *reason = tls_failure(&line->tls);
	enum load_end end = LOAD_LOST;

	if (line_is_stale(line)) {
		load_line_close(line);
		line->load->result.stale++;
		if (load_line_ask(line, line->kind, &reason) != 0)
			line_end(line, LOAD_NOT_CONNECTED, reason);
		return;
	}
	if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		end = LOAD_UNTRUSTED;
	else if (strstr(reason, " alert ") != NULL)
		end = LOAD_REFUSED;
	else if (code == 0 && saved != 0)
		reason = strerror(saved);
	snprintf(why, sizeof(why), "%s: %s", doing, reason);
	line_end(line, end, why);
}

/* The answer */

static bool has_versions(const struct http_head *head)
{
	struct span value;

	return http_field_find(head, "MS-ASProtocolVersions", &value) == 1 && value.len > 0;
}

static void line_compare(struct load_line *line, struct span piece)
{
	struct bench_content *content = &line->load->content;
	char token[BENCH_TOKEN_LEN];

	if (line->kind == BENCH_OPTIONS)
		return; /* its answer is in the head */
	bench_token(token, line->phone, line->request);
	if (line->may_be_right &&
		!bench_bytes_match(&content->answers[line->kind], line->at, piece, token))
		line->may_be_right = false;
	if (line->may_be_over && !bench_bytes_match(&content->ping_over, line->at, piece, token))
		line->may_be_over = false;
	line->at += piece.len;
}

static void line_answered(struct load_line *line)
{
	const struct bench_content *content = &line->load->content;
	char why[96];

	if (line->may_be_right && line->at == content->answers[line->kind].len) {
		line_end(line, LOAD_RIGHT, "");
	} else if (line->may_be_over && line->at == content->ping_over.len) {
		line_end(line, LOAD_OVER, "nothing new");
	} else {
		line->keeps_alive = false;
		snprintf(why, sizeof(why), "%s: %zu bytes for %zu%s", bench_kind_name(line->kind),
			line->at, content->answers[line->kind].len,
			line->may_be_right ? "" : ", and others");
		line_end(line, LOAD_CONTENT, why);
	}
}

/* False: the answer is over, one way or the other. */
static bool line_take_body(struct load_line *line, const char *data, size_t len)
{
	enum http_result result = HTTP_DONE;
	struct span piece = {.len = 1};

	while (!http_body_is_done(&line->body) && piece.len > 0) {
		result = http_body_next(&line->body, &data, &len, &piece);
		if (piece.len > 0)
			line_compare(line, piece);
		if (result != HTTP_MORE)
			break;
	}
	if (result == HTTP_MORE && !http_body_is_done(&line->body))
		return true;
	if (result == HTTP_REFUSED || len > 0) {
		line->keeps_alive = false;
		line_end(line, LOAD_MALFORMED, len > 0 ? "more than the answer" : "its body");
		return false;
	}
	line_answered(line);
	return false;
}

static bool line_take_head(struct load_line *line, const char *data, size_t head_len, size_t len)
{
	struct http_head head;
	char why[64];

	if (http_answer_parse(&head, data, head_len,
		    line->kind == BENCH_OPTIONS ? HTTP_OPTIONS : HTTP_POST) != HTTP_DONE) {
		line_end(line, LOAD_MALFORMED, "its head");
		return false;
	}
	line->keeps_alive = head.keeps_alive && head.framing != HTTP_UNTIL_CLOSE;
	if (head.status != 200) {
		line->keeps_alive = false;
		snprintf(why, sizeof(why), "%u %.*s", head.status,
			(int)(head.reason.len < 40 ? head.reason.len : 40), head.reason.data);
		line_end(line, LOAD_STATUS, why);
		return false;
	}
	if (line->kind == BENCH_OPTIONS && !has_versions(&head))
		line->may_be_right = false;
	line->has_head = true;
	http_body_begin(&line->body, &head);
	return line_take_body(line, data + head_len, len - head_len);
}

static bool line_take_start(struct load_line *line, uint8_t *data, size_t len)
{
	size_t scanned = 0, head_len;
	uint8_t *whole = data;
	enum http_result result;
	bool goes_on;

	if (line->kept != NULL) {
		whole = realloc(line->kept, line->kept_len + len);
		if (whole == NULL)
			abort(); /* a program for tests */
		memcpy(whole + line->kept_len, data, len);
		len += line->kept_len;
		line->kept = NULL;
	}
	result = http_head_find_end((const char *)whole, len, &scanned, &head_len);
	if (result == HTTP_MORE && len <= HEAD_MAX) {
		line->kept = whole != data ? whole : malloc(len);
		if (line->kept == NULL)
			abort();
		if (whole == data)
			memcpy(line->kept, data, len);
		line->kept_len = len;
		return true;
	}
	if (result == HTTP_DONE) {
		goes_on = line_take_head(line, (const char *)whole, head_len, len);
	} else {
		line_end(line, LOAD_MALFORMED, "its head");
		goes_on = false;
	}
	if (whole != data)
		free(whole);
	return goes_on;
}

static void line_read(struct load_line *line)
{
	uint8_t *buffer = line->load->buffer;
	enum tls_result result;
	bool goes_on;
	size_t len;

	do {
		errno = 0;
		result = tls_read(&line->tls, buffer, LOAD_READ_SIZE, &len);
		if (result == TLS_EOF && line->has_head && line->body.framing == HTTP_UNTIL_CLOSE) {
			line_answered(line);
			return;
		}
		if (result == TLS_EOF || result == TLS_ERROR) {
			line_fail(line, line->has_head ? "in the middle of an answer"
						       : "instead of an answer");
			return;
		}
		if (result != TLS_DONE) {
			line_wait_for(line, result);
			return;
		}
		goes_on = line->has_head ? line_take_body(line, (const char *)buffer, len)
					 : line_take_start(line, buffer, len);
	} while (goes_on && tls_has_pending(&line->tls));
}

/* Between requests: the end, or something of TLS's own. */
static void line_read_idle(struct load_line *line)
{
	size_t len;
	enum tls_result result = tls_read(&line->tls, line->load->buffer, LOAD_READ_SIZE, &len);

	if (result == TLS_WANTS_READ || result == TLS_WANTS_WRITE)
		return;
	load_line_close(line);
	if (result == TLS_DONE)
		line->load->on_end(line, LOAD_MALFORMED, "an answer that nobody asked for");
}

/* Connecting */

static void line_step_handshake(struct load_line *line)
{
	enum tls_result result;

	errno = 0;
	result = tls_handshake(&line->tls);
	if (result == TLS_WANTS_READ || result == TLS_WANTS_WRITE) {
		line_wait_for(line, result);
	} else if (result != TLS_DONE) {
		line_fail(line, "in the TLS handshake");
	} else {
		tls_forget_peer(&line->tls);
		line->load->result.handshakes++;
		line_write(line);
	}
}

static void line_on_connected(struct load_line *line)
{
	struct load *load = line->load;
	struct tls_identity *identity;
	int error = 0, status;
	socklen_t len = sizeof(error);

	getsockopt(line->item.fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error != 0) {
		line_end(line, LOAD_NOT_CONNECTED, strerror(error));
		return;
	}
	if (load->tls == NULL) {
		line_write(line);
		return;
	}
	identity = identities_take(load->identities, line->phone);
	status = identity == NULL
			 ? -1
			 : tls_connect(&line->tls, load->tls, line->item.fd, load->host, identity);
	identities_give_back(load->identities, identity);
	if (status != 0) {
		line_end(line, LOAD_NOT_CONNECTED, "setting up TLS: out of memory");
		return;
	}
	line->state = LINE_HANDSHAKE;
	line_step_handshake(line);
}

static void line_on_ready(struct poller_item *item)
{
	struct load_line *line = (struct load_line *)item;

	switch ((enum load_line_state)line->state) {
	case LINE_CONNECTING: line_on_connected(line); break;
	case LINE_HANDSHAKE: line_step_handshake(line); break;
	case LINE_ASKING: line_write(line); break;
	case LINE_READING: line_read(line); break;
	case LINE_IDLE: line_read_idle(line); break;
	case LINE_CLOSED: break;
	}
}

int load_line_ask(struct load_line *line, enum bench_kind kind, const char **why)
{
	line->kind = (uint8_t)kind;
	line->request++;
	line->at = 0;
	line->asked_us = load_now_us();
	line->is_reused = line->state == LINE_IDLE;
	line->has_head = false;
	if (line->state == LINE_IDLE) {
		line_write(line);
		return 0;
	}
	if (line_connect(line) == 0)
		return 0;
	*why = strerror(errno);
	load_line_close(line);
	return -1;
}
