#include "bench_server.h"

#include <errno.h>
#include <event2/util.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench_content.h"
#include "http_answer.h"
#include "poller.h"
#include "proxy/http.h"
#include "proxy/tls.h"
#include "serve.h"

enum {
	READ_SIZE = 64 * 1024,
	HEAD_MAX = 16 * 1024,
	BACKLOG = 4096,
	HEARTBEAT_S = 3540, /* of every Ping: what phones of the bench ask for */
	TICK_MS = 1000,
	WAKE_TICK_MS = 10
};

enum conn_state { CONN_HANDSHAKE, CONN_HEAD, CONN_BODY, CONN_WAITING, CONN_ANSWERING };

struct bench_conn {
	struct poller_item item;
	struct bench_server *server;
	struct tls tls;
	LIST_ENTRY(bench_conn) link;
	TAILQ_ENTRY(bench_conn) poll; /* in CONN_WAITING */
	uint8_t *kept;                /* a head in part, or an answer that is like no other */
	size_t kept_len;
	size_t at; /* in the body of the request, or in the answer */
	struct http_body body;
	uint32_t deadline_s;
	char token[BENCH_TOKEN_LEN];
	uint8_t state, kind;
	bool is_checked; /* the request is one of `eassim load` */
	bool is_wrong;   /* and not what it sends */
	bool closes;     /* after the answer */
};

struct bench_server {
	struct poller poller;
	struct poller_item listener;
	struct serve *serve;
	struct tls_server *tls;                /* NULL: plain */
	struct config_certificate certificate; /* of tls, which looks at it */
	struct bench_content content;
	struct bench_bytes answers[BENCH_KIND_COUNT]; /* with their heads */
	LIST_HEAD(, bench_conn) conns;
	TAILQ_HEAD(, bench_conn) polls; /* the oldest first */
	uint64_t wake_left;
	uint32_t wake_pace;
	uint64_t wake_begun_ms, woken;
	uint8_t buffer[READ_SIZE];
};

static volatile sig_atomic_t must_stop;

static uint64_t now_ms(void)
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

static void conn_close(struct bench_conn *conn)
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
		conn_close(conn);
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
	conn->deadline_s = (uint32_t)(now_ms() / 1000) + HEARTBEAT_S;
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
			conn_close(conn);
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
			conn_close(conn);
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
		conn_close(conn);
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
		result = tls_read(&conn->tls, buffer, READ_SIZE, &len);
		if (result != TLS_DONE) {
			if (result == TLS_EOF || result == TLS_ERROR)
				conn_close(conn);
			else
				conn_wait_for(conn, result);
			return;
		}
		if (conn->state == CONN_HEAD) {
			is_open = conn_take_start(conn, buffer, len);
		} else if (conn->state == CONN_BODY) {
			is_open = conn_take_body(conn, (const char *)buffer, len);
		} else {
			conn_close(conn); /* more, while the last request waits */
			is_open = false;
		}
	} while (is_open && tls_has_pending(&conn->tls));
}

static void conn_on_ready(struct poller_item *item)
{
	struct bench_conn *conn = (struct bench_conn *)item;
	enum tls_result result;

	switch ((enum conn_state)conn->state) {
	case CONN_HANDSHAKE:
		result = tls_handshake(&conn->tls);
		if (result == TLS_DONE) {
			conn->state = CONN_HEAD;
			conn_wait_for(conn, TLS_WANTS_READ);
			if (tls_has_pending(&conn->tls))
				conn_read(conn);
		} else if (result == TLS_WANTS_READ || result == TLS_WANTS_WRITE) {
			conn_wait_for(conn, result);
		} else {
			conn_close(conn);
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

static void server_on_accept(struct poller_item *item)
{
	struct bench_server *server =
		(struct bench_server *)((char *)item - offsetof(struct bench_server, listener));
	int fd, on = 1;

	while ((fd = accept4(item->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
		struct bench_conn *conn = calloc(1, sizeof(*conn));

		if (conn == NULL) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		conn->server = server;
		conn->item = (struct poller_item){.on_ready = conn_on_ready, .fd = fd};
		conn->tls = (struct tls){.fd = fd};
		conn->state = server->tls != NULL ? CONN_HANDSHAKE : CONN_HEAD;
		LIST_INSERT_HEAD(&server->conns, conn, link);
		if ((server->tls != NULL && tls_accept(&conn->tls, server->tls, fd, conn) != 0) ||
			poller_want(&server->poller, &conn->item, EPOLLIN) != 0)
			conn_close(conn);
	}
	/* A full file table must not become a busy loop: the next tick tries again. */
	if (errno == EMFILE || errno == ENFILE) {
		fprintf(stderr, "eassim: accepting a connection: %s\n", strerror(errno));
		poller_want(&server->poller, item, 0);
	}
}

/* Waking */

uint64_t bench_server_wake(struct bench_server *server, uint32_t pace)
{
	server->wake_left = server->serve->stats.polls_waiting;
	server->wake_pace = pace;
	server->wake_begun_ms = now_ms();
	server->woken = 0;
	return server->wake_left;
}

static void server_wake_some(struct bench_server *server)
{
	uint64_t due = UINT64_MAX;

	if (server->wake_pace > 0)
		due = (now_ms() - server->wake_begun_ms) * server->wake_pace / 1000 + 1;
	while (server->wake_left > 0 && server->woken < due) {
		struct bench_conn *conn = TAILQ_FIRST(&server->polls);

		server->wake_left--;
		server->woken++;
		if (conn == NULL)
			continue;
		conn_stop_waiting(conn);
		server->serve->stats.polls_woken++;
		conn_answer(conn);
	}
}

static void server_expire(struct bench_server *server)
{
	uint32_t now_s = (uint32_t)(now_ms() / 1000);
	struct bench_conn *conn;

	while ((conn = TAILQ_FIRST(&server->polls)) != NULL && conn->deadline_s <= now_s) {
		const struct bench_bytes *over = &server->content.ping_over;
		struct server_answer answer = {.status = 200,
			.content_type = "application/vnd.ms-sync.wbxml",
			.body = span_of(over->data, over->len)};

		conn_stop_waiting(conn);
		server->serve->stats.polls_expired++;
		conn_answer_with(conn, &answer);
	}
}

static void on_stop(int number)
{
	(void)number;
	must_stop = 1;
}

void bench_server_run(struct bench_server *server)
{
	struct sigaction action = {.sa_handler = on_stop};
	uint64_t expired_ms = now_ms();

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	while (!must_stop) {
		poller_run(&server->poller, server->wake_left > 0 ? WAKE_TICK_MS : TICK_MS);
		if (server->wake_left > 0)
			server_wake_some(server);
		if (now_ms() - expired_ms >= TICK_MS) {
			expired_ms = now_ms();
			server_expire(server);
			poller_want(&server->poller, &server->listener, EPOLLIN);
		}
	}
}

/* Starting and stopping */

/* The usual answer with its head, so that both go out in one piece. */
static int answer_make(struct bench_server *server, enum bench_kind kind, struct error *err)
{
	static const char format[] =
		"HTTP/1.1 200 OK\r\nServer: eassim\r\nX-EAS-Stand-In: eassim\r\n"
		"MS-Server-ActiveSync: eassim/" EASPROXY_VERSION "\r\n"
		"Cache-Control: private\r\n%sContent-Length: %zu\r\n\r\n";
	static const char versions[] =
		"MS-ASProtocolVersions: 2.5,12.0,12.1,14.0,14.1,16.0,16.1\r\n"
		"MS-ASProtocolCommands: Sync,SendMail,FolderSync,Settings,Ping,Provision\r\n"
		"Public: OPTIONS,POST\r\nAllow: OPTIONS,POST\r\n";
	const struct bench_bytes *body = &server->content.answers[kind];
	struct bench_bytes *answer = &server->answers[kind];
	char head[1024];
	size_t head_len = (size_t)snprintf(head, sizeof(head), format,
		kind == BENCH_OPTIONS ? versions
		: body->len > 0       ? "Content-Type: application/vnd.ms-sync.wbxml\r\n"
				      : "",
		body->len);

	answer->len = head_len + body->len;
	answer->token_at = head_len + body->token_at;
	answer->data = malloc(answer->len);
	if (answer->data == NULL)
		return error_set(err, "making what the bench answers: out of memory");
	memcpy(answer->data, head, head_len);
	if (body->len > 0)
		memcpy(answer->data + head_len, body->data, body->len);
	return 0;
}

static int server_listen(struct bench_server *server, const char *text, struct error *err)
{
	struct sockaddr_storage address;
	int address_len = sizeof(address), on = 1;
	int fd;

	if (server_address_read(text, &address, &address_len) != 0)
		return error_set(err, "%s is not an address with a port, as 127.0.0.1:8080", text);
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	server->listener = (struct poller_item){.on_ready = server_on_accept, .fd = fd};
	if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
		bind(fd, (struct sockaddr *)&address, (socklen_t)address_len) == -1 ||
		listen(fd, BACKLOG) == -1 ||
		poller_want(&server->poller, &server->listener, EPOLLIN) == -1)
		return error_sys(err, "listening on %s", text);
	return 0;
}

static enum refusal judge_nobody(void *owner, X509 *leaf, STACK_OF(X509) * sent)
{
	(void)owner;
	(void)leaf;
	(void)sent;
	return REFUSAL_NONE;
}

static int server_use_tls(struct bench_server *server, struct error *err)
{
	const struct serve_options *options = &server->serve->options;
	static char chain[] = "the certificate", key[] = "the key", name[] = "bench", none[] = "";
	struct config_certificate certificate = {.name = name,
		.chain = {.path = chain, .fd = open(options->tls_cert, O_RDONLY | O_CLOEXEC)},
		.key = {.path = key,
			.fd = options->tls_key != NULL
				      ? open(options->tls_key, O_RDONLY | O_CLOEXEC)
				      : -1}};
	struct config_listener listener = {.name = name,
		.certificates = &server->certificate,
		.certificate_count = 1,
		.tls_min = CONFIG_TLS_1_2,
		.ciphers = none};
	struct config_trust trust = {.security_level = 1};
	STACK_OF(X509_NAME) *nobody = sk_X509_NAME_new_null();

	server->certificate = certificate;
	if (certificate.chain.fd == -1 || certificate.key.fd == -1)
		error_set(err, "reading %s and its key %s: %s", options->tls_cert,
			options->tls_key != NULL ? options->tls_key : "(--tls-key is missing)",
			strerror(errno));
	else
		server->tls = tls_server_new(&listener, &trust, false, nobody, judge_nobody, err);
	sk_X509_NAME_free(nobody);
	if (certificate.chain.fd != -1)
		close(certificate.chain.fd);
	if (certificate.key.fd != -1)
		close(certificate.key.fd);
	return server->tls != NULL ? 0 : -1;
}

struct bench_server *bench_server_new(struct serve *serve, struct error *err)
{
	struct bench_server *server = calloc(1, sizeof(*server));
	int status;

	if (server == NULL) {
		error_set(err, "starting the server: out of memory");
		return NULL;
	}
	server->serve = serve;
	server->listener.fd = server->poller.fd = -1;
	TAILQ_INIT(&server->polls);
	status = bench_content_make(&server->content, err);
	for (enum bench_kind kind = BENCH_OPTIONS; status == 0 && kind < BENCH_KIND_COUNT; kind++)
		status = answer_make(server, kind, err);
	if (status != 0 || (serve->options.tls_cert != NULL && server_use_tls(server, err) != 0) ||
		poller_open(&server->poller, err) != 0 ||
		server_listen(server, serve->options.http.listen, err) != 0) {
		bench_server_free(server);
		return NULL;
	}
	return server;
}

void bench_server_free(struct bench_server *server)
{
	struct bench_conn *conn, *next;

	if (server == NULL)
		return;
	for (conn = LIST_FIRST(&server->conns); conn != NULL; conn = next) {
		next = LIST_NEXT(conn, link);
		conn_close(conn);
	}
	if (server->listener.fd != -1)
		close(server->listener.fd);
	poller_close(&server->poller);
	tls_server_free(server->tls);
	for (int kind = 0; kind < BENCH_KIND_COUNT; kind++)
		free(server->answers[kind].data);
	bench_content_free(&server->content);
	free(server);
}

uint16_t bench_server_port(const struct bench_server *server)
{
	return server_socket_port(server->listener.fd);
}
