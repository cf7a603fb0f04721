/* One connection of `eassim serve --bench`: reads a request, compares it, answers. */
#include "bench_conn.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http_answer.h"
#include "serve.h"

enum {
	HEAD_MAX = 16 * 1024,
	HEARTBEAT_S = 3540 /* of every Ping: what phones of the bench ask for */
};

uint64_t bench_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void conn_stop_waiting(struct bench_conn *conn)
{
	TAILQ_REMOVE(&conn->server->polls, conn, poll);
	conn->server->serve->stats.polls_waiting--;
}

void bench_conn_close(struct bench_conn *conn)
{
	if (conn->state == CONN_WAITING) {
		conn_stop_waiting(conn);
		conn->server->serve->stats.polls_abandoned++;
	}
	LIST_REMOVE(conn, link);
	poller_want(&conn->server->poller, &conn->item, 0);
	tls_close(&conn->tls);
	close(conn->item.fd);
	free(conn->kept);
	free(conn);
}

static void conn_drop_kept(struct bench_conn *conn)
{
	free(conn->kept);
	conn->kept = NULL;
	conn->kept_len = 0;
}

static void conn_wait_for(struct bench_conn *conn, enum tls_result result)
{
	poller_want(
		&conn->server->poller, &conn->item, result == TLS_WANTS_WRITE ? EPOLLOUT : EPOLLIN);
}

/* Answers */

/* False: it has been closed. */
static bool conn_write(struct bench_conn *conn)
{
	struct bench_bytes *answer = &conn->server->answers[conn->kind];
	const uint8_t *data = conn->kept != NULL ? conn->kept : answer->data;
	size_t len = conn->kept != NULL ? conn->kept_len : answer->len, written;
	enum tls_result result = TLS_DONE;

	conn->state = CONN_ANSWERING;
	/* The bytes are everybody's: the token is this one's while they are written. */
	if (conn->kept == NULL)
		bench_bytes_mark(answer, conn->token);
	while (conn->at < len && result == TLS_DONE) {
		result = tls_write(&conn->tls, data + conn->at, len - conn->at, &written);
		conn->at += written;
	}
	if (result == TLS_WANTS_READ || result == TLS_WANTS_WRITE) {
		conn_wait_for(conn, result);
		return true;
	}
	if (result != TLS_DONE || conn->closes) {
		bench_conn_close(conn);
		return false;
	}
	conn_drop_kept(conn);
	conn->state = CONN_HEAD;
	poller_want(&conn->server->poller, &conn->item, EPOLLIN);
	return true;
}

/* An answer that is made for this request alone; with its bytes the connection may end. */
static bool conn_answer_with(struct bench_conn *conn, struct server_answer *answer)
{
	struct evbuffer *out = evbuffer_new();
	size_t len;

	conn_drop_kept(conn);
	conn->at = 0;
	if (out == NULL || answer->manner == ANSWER_HANG) {
		if (out != NULL)
			evbuffer_free(out);
		conn->state = CONN_ANSWERING;
		return true;
	}
	if (http_answer_write(answer, answer->manner, out) || answer->manner == ANSWER_DROP)
		conn->closes = true;
	len = evbuffer_get_length(out);
	conn->kept = malloc(len + 1);
	conn->kept_len = len;
	if (conn->kept == NULL || evbuffer_remove(out, conn->kept, len) != (int)len)
		conn->closes = true;
	evbuffer_free(out);
	return conn_write(conn);
}

static bool conn_answer_status(struct bench_conn *conn, unsigned int status)
{
	struct server_answer answer = {.status = status};

	return conn_answer_with(conn, &answer);
}

/* The usual answer, built anew so that a fault can spoil it. */
static bool conn_answer_spoilt(struct bench_conn *conn)
{
	struct bench_bytes *body = &conn->server->content.answers[conn->kind];
	struct server_answer answer = {
		.status = 200, .content_type = "application/vnd.ms-sync.wbxml"};
	const char *command = bench_kind_command(conn->kind);

	bench_bytes_mark(body, conn->token);
	answer.body = span_of(body->data, body->len);
	fault_apply(conn->server->serve, command != NULL ? command : "OPTIONS", "", &answer);
	return conn_answer_with(conn, &answer);
}

static bool has_faults(const struct serve *serve)
{
	for (size_t i = 0; i < SERVE_FAULTS_MAX; i++)
		if (serve->faults[i].count > 0)
			return true;
	return false;
}

static bool conn_answer(struct bench_conn *conn)
{
	conn->at = 0;
	if (has_faults(conn->server->serve))
		return conn_answer_spoilt(conn);
	return conn_write(conn);
}

/* Requests */

static void conn_begin_waiting(struct bench_conn *conn)
{
	conn->state = CONN_WAITING;
	conn->deadline_s = (uint32_t)(bench_now_ms() / 1000) + HEARTBEAT_S;
	TAILQ_INSERT_TAIL(&conn->server->polls, conn, poll);
	conn->server->serve->stats.polls_waiting++;
	poller_want(&conn->server->poller, &conn->item, EPOLLIN);
}

static bool conn_request_is_whole(struct bench_conn *conn)
{
	struct serve_stats *stats = &conn->server->serve->stats;
	bool is_short =
		conn->is_checked && conn->at != conn->server->content.requests[conn->kind].len;

	if (conn->is_wrong || is_short) {
		stats->malformed++;
		return conn_answer_status(conn, 400);
	}
	switch ((enum bench_kind)conn->kind) {
	case BENCH_OPTIONS: stats->options++; break;
	case BENCH_SENDMAIL5M:
		stats->mails_sent++;
		stats->commands[1]++;
		break;
	case BENCH_FOLDERSYNC: stats->commands[9]++; break;
	case BENCH_PING:
		stats->commands[18]++;
		conn_begin_waiting(conn);
		return true;
	default: stats->commands[0]++; break;
	}
	return conn_answer(conn);
}

static bool conn_take_body(struct bench_conn *conn, const char *data, size_t len)
{
	const struct bench_bytes *request = &conn->server->content.requests[conn->kind];
	enum http_result result = HTTP_DONE;
	struct span piece = {.len = 1};

	conn->state = CONN_BODY;
	while (!http_body_is_done(&conn->body) && piece.len > 0) {
		result = http_body_next(&conn->body, &data, &len, &piece);
		if (conn->is_checked && piece.len > 0 &&
			!bench_bytes_take(request, conn->at, piece, conn->token))
			conn->is_wrong = true;
		conn->at += piece.len;
		if (result != HTTP_MORE)
			break;
	}
	if (result == HTTP_MORE && !http_body_is_done(&conn->body)) {
		poller_want(&conn->server->poller, &conn->item, EPOLLIN);
		return true;
	}
	if (result == HTTP_REFUSED || len > 0) /* nobody sends a request before its turn */
		conn->is_wrong = conn->is_checked = conn->closes = true;
	return conn_request_is_whole(conn);
}

/* The value of NAME=VALUE in a query; empty where there is none. */
static struct span parameter(struct span query, const char *name)
{
	const char *at = (const char *)query.data, *end = at + query.len;
	size_t name_len = strlen(name);

	while (at != NULL && at < end) {
		const char *next = memchr(at, '&', (size_t)(end - at));
		size_t len = (size_t)((next != NULL ? next : end) - at);

		if (len > name_len && at[name_len] == '=' && memcmp(at, name, name_len) == 0)
			return span_of(at + name_len + 1, len - name_len - 1);
		at = next != NULL ? next + 1 : end;
	}
	return span_of(NULL, 0);
}

/* 0, or the status to answer with. */
static unsigned int conn_understand(struct bench_conn *conn, const struct http_head *head)
{
	struct serve *serve = conn->server->serve;
	enum bench_kind kind;
	struct span mailbox;
	size_t mailboxes = http_field_find(head, serve->options.mailbox_header, &mailbox);

	serve->stats.requests++;
	if (!span_equal_nocase(head->path, "/Microsoft-Server-ActiveSync")) {
		serve->stats.not_found++;
		return 404;
	}
	if (mailboxes != 1 || mailbox.len == 0) {
		if (mailboxes == 0)
			serve->stats.refused_without_mailbox++;
		else
			serve->stats.refused_ambiguous_mailbox++;
		return mailboxes == 0 ? 403 : 400;
	}
	conn->is_checked = conn->is_wrong = false;
	conn->kind = BENCH_OPTIONS;
	if (head->method == HTTP_OPTIONS)
		return 0;
	kind = bench_kind_find(parameter(head->query, "DeviceType"));
	conn->is_checked = kind < BENCH_KIND_COUNT && kind != BENCH_OPTIONS;
	if (!conn->is_checked && !span_equal(parameter(head->query, "Cmd"), span_of_string("Ping")))
		return 501;
	conn->kind = (uint8_t)(conn->is_checked ? kind : BENCH_PING);
	memset(conn->token, '0', sizeof(conn->token));
	return 0;
}

static bool conn_answer_admin(struct bench_conn *conn, const struct http_head *head)
{
	char target[512];
	struct server_answer answer = {.content_type = "application/json"};
	json_t *value;
	char *text;
	bool is_open;

	snprintf(target, sizeof(target), "%.*s?%.*s", SPAN_PRINT(head->path), (int)head->query.len,
		head->query.len > 0 ? (const char *)head->query.data : "");
	value = admin_answer(
		conn->server->serve, http_method_name(head->method), target, &answer.status);
	text = json_dumps(value, JSON_INDENT(1));
	json_decref(value);
	answer.body = span_of(text, text != NULL ? strlen(text) : 0);
	is_open = conn_answer_with(conn, &answer);
	free(text);
	return is_open;
}

static bool conn_take_head(struct bench_conn *conn, const char *data, size_t head_len, size_t len)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct http_head head;
	unsigned int status;
	size_t written;

	conn->closes = false;
	if (http_request_parse(&head, data, head_len) != HTTP_DONE) {
		conn->closes = true;
		conn->server->serve->stats.malformed++;
		return conn_answer_status(conn, 400);
	}
	conn->closes = !head.keeps_alive;
	conn->at = 0;
	if (head.path.len > 8 && memcmp(head.path.data, "/eassim/", 8) == 0)
		return conn_answer_admin(conn, &head);
	status = conn_understand(conn, &head);
	if (status != 0) {
		conn->closes = true; /* whatever body follows */
		return conn_answer_status(conn, status);
	}
	http_body_begin(&conn->body, &head);
	if (head.expects_continue)
		tls_write(&conn->tls, go_on, sizeof(go_on) - 1, &written);
	return conn_take_body(conn, data + head_len, len - head_len);
}

/* A head in pieces waits in `kept`, which then lives until the head has been taken. */
static bool conn_take_start(struct bench_conn *conn, uint8_t *data, size_t len)
{
	size_t scanned = 0, head_len;
	uint8_t *whole = data;
	enum http_result result;
	bool is_open;

	if (conn->kept != NULL) {
		whole = realloc(conn->kept, conn->kept_len + len);
		if (whole == NULL) {
			bench_conn_close(conn);
			return false;
		}
		memcpy(whole + conn->kept_len, data, len);
		len += conn->kept_len;
		conn->kept = NULL;
	}
	result = http_head_find_end((const char *)whole, len, &scanned, &head_len);
	if (result == HTTP_MORE && len <= HEAD_MAX) {
		conn->kept = whole != data ? whole : malloc(len);
		if (conn->kept == NULL) {
			bench_conn_close(conn);
			return false;
		}
		if (whole == data)
			memcpy(conn->kept, data, len);
		conn->kept_len = len;
		return true;
	}
	if (result == HTTP_DONE) {
		is_open = conn_take_head(conn, (const char *)whole, head_len, len);
	} else {
		bench_conn_close(conn);
		is_open = false;
	}
	if (whole != data)
		free(whole);
	return is_open;
}

static void conn_read(struct bench_conn *conn)
{
	uint8_t *buffer = conn->server->buffer;
	enum tls_result result;
	bool is_open;
	size_t len;

	do {
		result = tls_read(&conn->tls, buffer, BENCH_READ_SIZE, &len);
		if (result != TLS_DONE) {
			if (result == TLS_EOF || result == TLS_ERROR)
				bench_conn_close(conn);
			else
				conn_wait_for(conn, result);
			return;
		}
		if (conn->state == CONN_HEAD) {
			is_open = conn_take_start(conn, buffer, len);
		} else if (conn->state == CONN_BODY) {
			is_open = conn_take_body(conn, (const char *)buffer, len);
		} else {
			bench_conn_close(conn); /* more, while the last request waits */
			is_open = false;
		}
	} while (is_open && tls_has_pending(&conn->tls));
}

static void conn_on_ready(struct poller_item *item)
{
	struct bench_conn *conn = (struct bench_conn *)item;
	enum tls_result result;

	switch ((enum bench_conn_state)conn->state) {
	case CONN_HANDSHAKE:
		result = tls_handshake(&conn->tls);
		if (result == TLS_DONE) {
			tls_forget_peer(&conn->tls);
			conn->state = CONN_HEAD;
			conn_wait_for(conn, TLS_WANTS_READ);
			if (tls_has_pending(&conn->tls))
				conn_read(conn);
		} else if (result == TLS_WANTS_READ || result == TLS_WANTS_WRITE) {
			conn_wait_for(conn, result);
		} else {
			bench_conn_close(conn);
		}
		break;
	case CONN_ANSWERING:
		if (conn->item.wanted == EPOLLOUT)
			conn_write(conn);
		else
			conn_read(conn);
		break;
	default: conn_read(conn); break;
	}
}

void bench_conn_wake(struct bench_conn *conn)
{
	conn_stop_waiting(conn);
	conn->server->serve->stats.polls_woken++;
	conn_answer(conn);
}

void bench_conn_expire(struct bench_conn *conn)
{
	const struct bench_bytes *over = &conn->server->content.ping_over;
	struct server_answer answer = {.status = 200,
		.content_type = "application/vnd.ms-sync.wbxml",
		.body = span_of(over->data, over->len)};

	conn_stop_waiting(conn);
	conn->server->serve->stats.polls_expired++;
	conn_answer_with(conn, &answer);
}

void bench_conn_open(struct bench_server *server, int fd)
{
	struct bench_conn *conn = calloc(1, sizeof(*conn));
	int on = 1;

	if (conn == NULL) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	conn->server = server;
	conn->item = (struct poller_item){.on_ready = conn_on_ready, .fd = fd};
	conn->tls = (struct tls){.fd = fd};
	conn->state = server->tls != NULL ? CONN_HANDSHAKE : CONN_HEAD;
	LIST_INSERT_HEAD(&server->conns, conn, link);
	if ((server->tls != NULL && tls_accept(&conn->tls, server->tls, fd, conn) != 0) ||
		poller_want(&server->poller, &conn->item, EPOLLIN) != 0)
		bench_conn_close(conn);
}
