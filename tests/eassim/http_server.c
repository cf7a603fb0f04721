#include "http_server.h"

#include <ctype.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "http_answer.h"

enum conn_state {
	CONN_REQUEST_LINE,
	CONN_FIELDS,
	CONN_BODY,
	CONN_CHUNK_SIZE,
	CONN_CHUNK,
	CONN_CHUNK_END,
	CONN_TRAILER,
	CONN_ANSWERING, /* the request is with its handler */
	CONN_CLOSING    /* what is written goes out, then it ends */
};

static const struct timeval SLOW_PACE = {.tv_sec = 0, .tv_usec = 20000};
static const struct timeval ACCEPT_PAUSE = {.tv_sec = 0, .tv_usec = 200000};
enum { SLOW_STEP = 7, BACKLOG = 4096, READ_AHEAD = 256 * 1024 };

struct server_conn {
	LIST_ENTRY(server_conn) link;
	struct http_server *server;
	struct bufferevent *stream;
	enum conn_state state;
	struct server_request request;
	char **lines; /* what the request points into */
	size_t line_count, line_capacity, head_bytes;
	struct evbuffer *body;
	uint64_t body_left;
	struct evbuffer *slow; /* the part of a slow answer that has not been written */
	struct event *slow_timer;
	bool slow_then_closes;
	server_on_gone on_gone;
	void *gone_arg;
	char peer[64];
};

struct http_server {
	struct event_base *base;
	struct evconnlistener *listener;
	struct server_options options;
	server_on_request on_request;
	void *arg;
	uint64_t refused;
	LIST_HEAD(, server_conn) conns;
};

static void conn_forget_request(struct server_conn *conn)
{
	for (size_t i = 0; i < conn->line_count; i++)
		free(conn->lines[i]);
	free(conn->lines);
	free(conn->request.fields);
	conn->lines = NULL;
	conn->line_count = conn->line_capacity = conn->head_bytes = 0;
	evbuffer_drain(conn->body, evbuffer_get_length(conn->body));
	memset(&conn->request, 0, sizeof(conn->request));
}

static void conn_free(struct server_conn *conn)
{
	server_on_gone on_gone = conn->on_gone;

	LIST_REMOVE(conn, link);
	conn->on_gone = NULL;
	if (on_gone != NULL)
		on_gone(conn->gone_arg);
	conn_forget_request(conn);
	if (conn->slow_timer != NULL)
		event_free(conn->slow_timer);
	if (conn->slow != NULL)
		evbuffer_free(conn->slow);
	evbuffer_free(conn->body);
	bufferevent_free(conn->stream);
	free(conn);
}

const char *server_field_find(const struct server_request *request, const char *name, size_t *count)
{
	const char *value = NULL;
	size_t found = 0;

	for (size_t i = 0; i < request->field_count; i++) {
		if (strcasecmp(request->fields[i].name, name) != 0)
			continue;
		if (found++ == 0)
			value = request->fields[i].value;
	}
	if (count != NULL)
		*count = found;
	return value;
}

const char *server_conn_peer(const struct server_conn *conn)
{
	return conn->peer;
}

void server_conn_watch(struct server_conn *conn, server_on_gone on_gone, void *arg)
{
	conn->on_gone = on_gone;
	conn->gone_arg = arg;
}

static void conn_refuse(struct server_conn *conn, unsigned int status)
{
	struct server_answer answer = {.status = status, .manner = ANSWER_LENGTH};

	conn->server->refused++;
	conn->state = CONN_ANSWERING;
	server_conn_answer(conn, &answer);
	bufferevent_disable(conn->stream, EV_READ);
	if (evbuffer_get_length(bufferevent_get_output(conn->stream)) > 0)
		conn->state = CONN_CLOSING;
}

/* The three words of a request line, cut in place. */
static bool request_line_split(struct server_request *request, char *line)
{
	char *target = strchr(line, ' ');
	char *version = target != NULL ? strchr(target + 1, ' ') : NULL;

	if (version == NULL || strchr(version + 1, ' ') != NULL)
		return false;
	*target++ = *version++ = '\0';
	request->method = line;
	request->target = target;
	request->version = version;
	return strncmp(version, "HTTP/1.", 7) == 0 && strlen(version) == 8;
}

static bool field_split(struct server_request *request, char *line)
{
	struct server_field *field = &request->fields[request->field_count];
	char *colon = strchr(line, ':');
	char *end;

	if (colon == NULL || colon == line)
		return false;
	*colon++ = '\0';
	if (strpbrk(line, " \t") != NULL)
		return false;
	colon += strspn(colon, " \t");
	for (end = colon + strlen(colon); end > colon && (end[-1] == ' ' || end[-1] == '\t');)
		*--end = '\0';
	*field = (struct server_field){.name = line, .value = colon};
	request->field_count++;
	return true;
}

/* The next line without its CRLF; NULL: not there yet, or *is_bad. */
static char *conn_line(struct server_conn *conn, bool *is_bad)
{
	struct evbuffer *in = bufferevent_get_input(conn->stream);
	size_t len;
	char *line = evbuffer_readln(in, &len, EVBUFFER_EOL_CRLF_STRICT);

	*is_bad = false;
	if (line == NULL) {
		*is_bad = conn->head_bytes + evbuffer_get_length(in) > SERVER_HEAD_MAX;
		return NULL;
	}
	conn->head_bytes += len + 2;
	if (strlen(line) != len || strpbrk(line, "\r\n") != NULL ||
		conn->head_bytes > SERVER_HEAD_MAX) {
		free(line);
		*is_bad = true;
		return NULL;
	}
	return line;
}

static bool length_read(const char *text, uint64_t *length)
{
	char *end;

	if (!isdigit((unsigned char)text[0]) || strlen(text) > 18)
		return false;
	*length = strtoull(text, &end, 10);
	return *end == '\0';
}

/* After the empty line: how the body comes. False: refused. */
static bool conn_begin_body(struct server_conn *conn)
{
	size_t lengths, codings;
	const char *length = server_field_find(&conn->request, "Content-Length", &lengths);
	const char *coding = server_field_find(&conn->request, "Transfer-Encoding", &codings);
	const char *expect = server_field_find(&conn->request, "Expect", NULL);

	if (lengths + codings > 1)
		return false;
	conn->state = CONN_BODY;
	conn->body_left = 0;
	if (coding != NULL) {
		if (strcasecmp(coding, "chunked") != 0)
			return false;
		conn->request.is_chunked = true;
		conn->state = CONN_CHUNK_SIZE;
	} else if (length != NULL &&
		   (!length_read(length, &conn->body_left) || conn->body_left > SERVER_BODY_MAX)) {
		return false;
	}
	if (expect != NULL && strcasecmp(expect, "100-continue") == 0)
		evbuffer_add_printf(
			bufferevent_get_output(conn->stream), "HTTP/1.1 100 Continue\r\n\r\n");
	return true;
}

/* Room for one line more, and for the field in it; as much as the head needs, for many requests wait at
 * a time. */
static bool conn_make_room(struct server_conn *conn)
{
	size_t capacity = conn->line_capacity > 0 ? 2 * conn->line_capacity : 8;
	struct server_field *fields;
	char **lines;

	if (conn->line_count > SERVER_FIELD_MAX)
		return false;
	if (conn->line_count < conn->line_capacity)
		return true;
	lines = reallocarray(conn->lines, capacity, sizeof(*lines));
	if (lines == NULL)
		return false;
	conn->lines = lines;
	fields = reallocarray(conn->request.fields, capacity, sizeof(*fields));
	if (fields == NULL)
		return false;
	conn->request.fields = fields;
	conn->line_capacity = capacity;
	return true;
}

/* One step of reading. 1: something was read; 0: more bytes are needed; -1: refused. */
static int conn_read_line(struct server_conn *conn)
{
	bool is_bad;
	char *line = conn_line(conn, &is_bad);

	if (line == NULL)
		return is_bad ? -1 : 0;
	if (conn->state == CONN_REQUEST_LINE && line[0] == '\0') {
		free(line);
		return 1;
	}
	if (conn->state == CONN_FIELDS && line[0] == '\0') {
		free(line);
		return conn_begin_body(conn) ? 1 : -1;
	}
	if (!conn_make_room(conn)) {
		free(line);
		return -1;
	}
	conn->lines[conn->line_count++] = line;
	if (conn->state == CONN_REQUEST_LINE) {
		conn->state = CONN_FIELDS;
		return request_line_split(&conn->request, line) ? 1 : -1;
	}
	return field_split(&conn->request, line) ? 1 : -1;
}

static int conn_read_chunk_line(struct server_conn *conn)
{
	bool is_bad;
	char *line = conn_line(conn, &is_bad);
	char *end;

	if (line == NULL)
		return is_bad ? -1 : 0;
	conn->head_bytes -= strlen(line); /* chunk lines are many; none alone is long */
	if (conn->state == CONN_CHUNK_END) {
		is_bad = line[0] != '\0';
		conn->state = CONN_CHUNK_SIZE;
	} else if (conn->state == CONN_TRAILER) {
		if (line[0] == '\0')
			conn->state = CONN_BODY;
	} else {
		conn->body_left = strtoull(line, &end, 16);
		is_bad = !isxdigit((unsigned char)line[0]) || end - line > 8 ||
			 (*end != '\0' && *end != ';') ||
			 conn->body_left + evbuffer_get_length(conn->body) > SERVER_BODY_MAX;
		conn->state = conn->body_left > 0 ? CONN_CHUNK : CONN_TRAILER;
	}
	free(line);
	return is_bad ? -1 : 1;
}

static int conn_read_body(struct server_conn *conn)
{
	struct evbuffer *in = bufferevent_get_input(conn->stream);
	int moved = evbuffer_remove_buffer(in, conn->body,
		conn->body_left < SERVER_BODY_MAX ? (size_t)conn->body_left : SERVER_BODY_MAX);

	if (moved > 0)
		conn->body_left -= (uint64_t)moved;
	if (conn->body_left > 0)
		return moved > 0 ? 1 : 0;
	if (conn->state == CONN_CHUNK) {
		conn->state = CONN_CHUNK_END;
		return 1;
	}
	conn->request.body =
		span_of(evbuffer_pullup(conn->body, -1), evbuffer_get_length(conn->body));
	conn->state = CONN_ANSWERING;
	return 1;
}

static void conn_advance(struct server_conn *conn)
{
	int progress = 1;

	while (progress > 0 && conn->state < CONN_ANSWERING) {
		switch (conn->state) {
		case CONN_REQUEST_LINE:
		case CONN_FIELDS: progress = conn_read_line(conn); break;
		case CONN_BODY:
		case CONN_CHUNK: progress = conn_read_body(conn); break;
		default: progress = conn_read_chunk_line(conn); break;
		}
	}
	if (progress < 0)
		conn_refuse(conn, 400);
	else if (conn->state == CONN_ANSWERING && conn->server->options.refuses_chunked &&
		 conn->request.is_chunked)
		conn_refuse(conn, 500);
	else if (conn->state == CONN_ANSWERING)
		conn->server->on_request(conn, &conn->request, conn->server->arg);
}

static void conn_on_read(struct bufferevent *stream, void *arg)
{
	struct server_conn *conn = arg;

	(void)stream;
	if (conn->state < CONN_ANSWERING)
		conn_advance(conn);
}

static void conn_on_event(struct bufferevent *stream, short what, void *arg)
{
	(void)stream;
	if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0)
		conn_free(arg);
}

static void conn_on_written(struct bufferevent *stream, void *arg)
{
	struct server_conn *conn = arg;

	if (conn->state == CONN_CLOSING && evbuffer_get_length(bufferevent_get_output(stream)) == 0)
		conn_free(conn);
}

/* The answer is on its way: the next request may have come already, so it is looked for from the
 * loop, not from within the handler. */
static void conn_next_request(struct server_conn *conn, bool closes)
{
	conn_forget_request(conn);
	conn->state = CONN_REQUEST_LINE;
	if (closes) {
		conn->state = CONN_CLOSING;
		bufferevent_disable(conn->stream, EV_READ);
	}
	if (closes || evbuffer_get_length(bufferevent_get_input(conn->stream)) > 0)
		bufferevent_trigger(conn->stream, closes ? EV_WRITE : EV_READ,
			BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

static void conn_on_slow(evutil_socket_t fd, short what, void *arg)
{
	struct server_conn *conn = arg;

	(void)fd;
	(void)what;
	evbuffer_remove_buffer(conn->slow, bufferevent_get_output(conn->stream), SLOW_STEP);
	if (evbuffer_get_length(conn->slow) > 0)
		event_add(conn->slow_timer, &SLOW_PACE);
	else
		conn_next_request(conn, conn->slow_then_closes);
}

void server_conn_answer(struct server_conn *conn, const struct server_answer *answer)
{
	const struct server_options *options = &conn->server->options;
	struct evbuffer *out = evbuffer_new();
	enum answer_manner manner = answer->manner;
	const char *connection = server_field_find(&conn->request, "Connection", NULL);
	bool closes =
		options->closes_each ||
		(connection != NULL && strcasecmp(connection, "close") == 0) ||
		(conn->request.version != NULL && strcmp(conn->request.version, "HTTP/1.0") == 0);

	conn->on_gone = NULL;
	if (manner == ANSWER_LENGTH && options->answers_chunked)
		manner = ANSWER_CHUNKED;
	if (out == NULL || manner == ANSWER_HANG) {
		if (out != NULL)
			evbuffer_free(out);
		return;
	}
	closes = http_answer_write(answer, manner, out) || closes;
	if (manner == ANSWER_SLOW) {
		if (conn->slow == NULL) {
			conn->slow = evbuffer_new();
			conn->slow_timer = evtimer_new(conn->server->base, conn_on_slow, conn);
		}
		evbuffer_add_buffer(conn->slow, out);
		conn->slow_then_closes = closes;
		event_add(conn->slow_timer, &SLOW_PACE);
	} else {
		bufferevent_write_buffer(conn->stream, out);
		conn_next_request(conn, closes);
	}
	evbuffer_free(out);
}

static void peer_name(char text[64], const struct sockaddr *address)
{
	char host[46] = "?";
	unsigned int port = 0;

	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)address;

		evutil_inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		port = ntohs(in->sin_port);
	} else if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const void *)address;

		evutil_inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
		port = ntohs(in->sin6_port);
	}
	snprintf(text, 64, "%s:%u", host, port);
}

static void server_on_accept(struct evconnlistener *listener, evutil_socket_t fd,
	struct sockaddr *address, int address_len, void *arg)
{
	struct http_server *server = arg;
	struct server_conn *conn = calloc(1, sizeof(*conn));
	int on = 1;

	(void)listener;
	(void)address_len;
	if (conn == NULL) {
		evutil_closesocket(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	conn->server = server;
	conn->body = evbuffer_new();
	if (server->options.tls != NULL)
		conn->stream = bufferevent_openssl_socket_new(server->base, fd,
			SSL_new(server->options.tls), BUFFEREVENT_SSL_ACCEPTING,
			BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	else
		conn->stream = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (conn->body == NULL || conn->stream == NULL) {
		if (conn->body != NULL)
			evbuffer_free(conn->body);
		evutil_closesocket(fd);
		free(conn);
		return;
	}
	if (server->options.tls != NULL)
		bufferevent_openssl_set_allow_dirty_shutdown(conn->stream, 1);
	peer_name(conn->peer, address);
	LIST_INSERT_HEAD(&server->conns, conn, link);
	bufferevent_setcb(conn->stream, conn_on_read, conn_on_written, conn_on_event, conn);
	bufferevent_setwatermark(conn->stream, EV_READ, 0, READ_AHEAD);
	bufferevent_enable(conn->stream, EV_READ | EV_WRITE);
}

static void server_on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *server = arg;

	(void)fd;
	(void)what;
	evconnlistener_enable(server->listener);
}

/* A full file table must not become a busy loop: a pause, then on. */
static void server_on_accept_error(struct evconnlistener *listener, void *arg)
{
	struct http_server *server = arg;

	fprintf(stderr, "eassim: accepting a connection: %s\n",
		evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
	evconnlistener_disable(listener);
	event_base_once(server->base, -1, EV_TIMEOUT, server_on_pause_over, server, &ACCEPT_PAUSE);
}

/* libevent's parser takes no port 0, which asks for a free one: it is left out instead. */
int server_address_read(const char *text, struct sockaddr_storage *address, int *len)
{
	char host[64];
	size_t host_len = strlen(text);

	if (host_len > 2 && strcmp(text + host_len - 2, ":0") == 0)
		host_len -= 2;
	snprintf(host, sizeof(host), "%.*s", (int)host_len, text);
	return evutil_parse_sockaddr_port(host, (struct sockaddr *)address, len);
}

struct http_server *http_server_new(struct event_base *base, const struct server_options *options,
	server_on_request on_request, void *arg, struct error *err)
{
	struct http_server *server = calloc(1, sizeof(*server));
	struct sockaddr_storage address;
	int address_len = sizeof(address);

	if (server == NULL) {
		error_set(err, "starting the server: out of memory");
		return NULL;
	}
	server->base = base;
	server->options = *options;
	server->on_request = on_request;
	server->arg = arg;
	if (server_address_read(options->listen, &address, &address_len) != 0) {
		error_set(err, "%s is not an address with a port, as 127.0.0.1:8080",
			options->listen);
		free(server);
		return NULL;
	}
	server->listener = evconnlistener_new_bind(base, server_on_accept, server,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG,
		(struct sockaddr *)&address, address_len);
	if (server->listener == NULL) {
		error_sys(err, "listening on %s", options->listen);
		free(server);
		return NULL;
	}
	evconnlistener_set_error_cb(server->listener, server_on_accept_error);
	return server;
}

void http_server_free(struct http_server *server)
{
	struct server_conn *conn, *next;

	if (server == NULL)
		return;
	evconnlistener_free(server->listener);
	for (conn = LIST_FIRST(&server->conns); conn != NULL; conn = next) {
		next = LIST_NEXT(conn, link);
		conn_free(conn);
	}
	free(server);
}

uint16_t server_socket_port(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} address = {0};
	socklen_t len = sizeof(address);

	if (getsockname(fd, &address.any, &len) != 0)
		return 0;
	return ntohs(
		address.any.sa_family == AF_INET6 ? address.in6.sin6_port : address.in.sin_port);
}

uint16_t http_server_port(const struct http_server *server)
{
	return server_socket_port(evconnlistener_get_fd(server->listener));
}

uint64_t http_server_refused(const struct http_server *server)
{
	return server->refused;
}
