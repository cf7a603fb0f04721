/*
 * Those who connect to the control socket: one line in, one line out, or a stream of them.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/control.h"
#include "proxy/control_process.h"
#include "proxy/log.h"
#include "proxy/timeval.h"

struct control_client {
	LIST_ENTRY(control_client) link;
	struct control *control;
	int fd;
	enum client_state { CLIENT_REQUEST, CLIENT_WAIT, CLIENT_ANSWER, CLIENT_STREAM } state;
	enum control_wait wait;
	uint64_t number;      /* of control_await() */
	const char *too_late; /* what it is told when it has waited in vain */
	struct event *readable, *writable;
	size_t request_len;
	char request[CONTROL_REQUEST_MAX];
	size_t answer_len, answer_sent;
	char *answer;                /* owned */
	struct evbuffer *stream;     /* lines that wait; NULL unless it gets a stream */
	void (*gone)(void *context); /* NULL: no more lines come */
	void *context;
};

static void client_free(struct control_client *client)
{
	struct control *control = client->control;

	LIST_REMOVE(client, link);
	control->client_count--;
	if (client->readable != NULL)
		event_free(client->readable);
	if (client->writable != NULL)
		event_free(client->writable);
	if (client->stream != NULL)
		evbuffer_free(client->stream);
	close(client->fd);
	free(client->answer);
	free(client);
	if (control->acceptor != NULL && !control->is_draining)
		event_add(control->acceptor, NULL);
	if (control->is_draining && control->client_count == 0)
		event_base_loopbreak(control->base);
}

static void wait_for(struct event *event, uint32_t time_ms)
{
	struct timeval time = timeval_of_ms(time_ms);

	event_add(event, &time);
}

/* Answers */

static void client_write(struct control_client *client)
{
	while (client->answer_sent < client->answer_len) {
		ssize_t sent = send(client->fd, client->answer + client->answer_sent,
			client->answer_len - client->answer_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent == -1 && errno == EAGAIN) {
			wait_for(client->writable, CONTROL_TIME_MS);
			return;
		}
		if (sent <= 0)
			break;
		client->answer_sent += (size_t)sent;
	}
	client_free(client);
}

/* The answer's line feed takes the place of its NUL. */
void control_answer_text(struct control_client *client, char *text)
{
	if (text == NULL) {
		client_free(client);
		return;
	}
	event_del(client->readable);
	client->state = CLIENT_ANSWER;
	client->wait = CONTROL_WAIT_NONE;
	client->answer = text;
	client->answer_len = strlen(text) + 1;
	text[client->answer_len - 1] = '\n';
	client_write(client);
}

static void answer_object(struct control_client *client, json_t *object)
{
	char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);

	json_decref(object);
	control_answer_text(client, text);
}

void control_answer(struct control_client *client, json_t *answer)
{
	json_object_set_new(answer, "ok", json_true());
	answer_object(client, answer);
}

void control_answer_done(struct control_client *client)
{
	control_answer(client, json_object());
}

void control_answer_error(struct control_client *client, const char *format, ...)
{
	char text[2048];
	va_list arguments;
	json_t *object;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	object = json_pack("{s:b,s:s}", "ok", 0, "error", text);
	if (object == NULL) {
		/* What was quoted was cut within a character, or never was UTF-8. */
		for (char *at = text; *at != '\0'; at++)
			if ((unsigned char)*at >= 0x80)
				*at = '?';
		object = json_pack("{s:b,s:s}", "ok", 0, "error", text);
	}
	answer_object(client, object);
}

uint64_t control_await(struct control_client *client, enum control_wait wait, uint32_t time_ms,
	const char *too_late)
{
	client->state = CLIENT_WAIT;
	client->wait = wait;
	client->number = ++client->control->last_number;
	client->too_late = too_late;
	event_del(client->readable);
	wait_for(client->readable, time_ms);
	return client->number;
}

struct control_client *control_find_waiting(
	const struct control *control, enum control_wait wait, uint64_t number)
{
	struct control_client *client;

	LIST_FOREACH(client, &control->clients, link)
		if (client->state == CLIENT_WAIT && client->wait == wait &&
			(number == 0 || client->number == number))
			return client;
	return NULL;
}

/* Streams */

static void stream_over(struct control_client *client)
{
	void (*gone)(void *context) = client->gone;
	void *context = client->context;

	client_free(client);
	if (gone != NULL)
		gone(context);
}

static void stream_write(struct control_client *client)
{
	while (evbuffer_get_length(client->stream) > 0) {
		struct evbuffer_iovec piece;
		ssize_t sent;

		evbuffer_peek(client->stream, -1, NULL, &piece, 1);
		sent = send(client->fd, piece.iov_base, piece.iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent == -1 && errno == EINTR)
			continue;
		if (sent == -1 && errno == EAGAIN) {
			if (client->gone == NULL)
				wait_for(client->writable, CONTROL_TIME_MS);
			else
				event_add(client->writable, NULL);
			return;
		}
		if (sent <= 0) {
			stream_over(client);
			return;
		}
		evbuffer_drain(client->stream, (size_t)sent);
	}
	if (client->gone == NULL)
		client_free(client);
}

void control_stream_begin(struct control_client *client, void (*gone)(void *context), void *context)
{
	client->state = CLIENT_STREAM;
	client->wait = CONTROL_WAIT_NONE;
	client->gone = gone;
	client->context = context;
	client->stream = evbuffer_new();
	/* Hanging up is all that it may do now, whenever it likes. */
	event_del(client->readable);
	event_add(client->readable, NULL);
}

bool control_stream_line(struct control_client *client, char *text, bool must)
{
	size_t len = strlen(text);
	bool has_room = client->stream != NULL &&
			(must || evbuffer_get_length(client->stream) + len < CONTROL_STREAM_MAX);

	if (has_room) {
		text[len] = '\n'; /* in the place of its NUL */
		has_room = evbuffer_add(client->stream, text, len + 1) == 0;
		event_active(client->writable, EV_WRITE, 0);
	}
	free(text);
	return has_room;
}

void control_stream_end(struct control_client *client)
{
	client->gone = NULL;
	if (client->stream == NULL)
		client_free(client);
	else
		event_active(client->writable, EV_WRITE, 0);
}

/* Requests */

const char *control_argument(const struct control_request *request, const char *name)
{
	return json_string_value(json_object_get(request->arguments, name));
}

static uid_t peer_of(const struct control_client *client)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t len = sizeof(peer);

	getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	return peer.uid;
}

/* The line without its line feed. */
static void client_request(struct control_client *client, const char *line, size_t len)
{
	struct control_request request = {.name = "", .user_id = peer_of(client)};
	json_error_t fault;

	if (len > 0 && line[0] == '{') {
		request.arguments = json_loadb(line, len, JSON_REJECT_DUPLICATES, &fault);
		if (request.arguments == NULL) {
			control_answer_error(client, "the request is not JSON: %s", fault.text);
			return;
		}
		request.name = control_argument(&request, "request");
		if (request.name == NULL)
			request.name = "";
	} else {
		request.arguments = json_object();
		/* A NUL before the line's end belongs to no word. */
		if (strlen(line) == len)
			request.name = line;
	}
	control_request_run(client->control, client, &request);
	json_decref(request.arguments);
}

/* Events */

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct control_client *client = arg;
	ssize_t got;
	char *end;

	if ((what & EV_TIMEOUT) != 0) {
		if (client->state == CLIENT_WAIT)
			control_answer_error(client, "%s", client->too_late);
		else
			client_free(client);
		return;
	}
	got = recv(fd, client->request + client->request_len,
		sizeof(client->request) - 1 - client->request_len, MSG_DONTWAIT);
	if (got == -1 && errno == EAGAIN)
		return;
	if (client->state == CLIENT_STREAM) {
		stream_over(client);
		return;
	}
	/* One that gives up, sends too much, or more than one line, gets nothing. */
	if (got <= 0 || client->state != CLIENT_REQUEST) {
		client_free(client);
		return;
	}
	end = memchr(client->request + client->request_len, '\n', (size_t)got);
	client->request_len += (size_t)got;
	if (end == NULL)
		return;
	*end = '\0';
	client_request(client, client->request, (size_t)(end - client->request));
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct control_client *client = arg;

	(void)fd;
	if (client->state == CLIENT_STREAM && (what & EV_TIMEOUT) != 0)
		stream_over(client);
	else if (client->state == CLIENT_STREAM)
		stream_write(client);
	else if ((what & EV_TIMEOUT) != 0)
		client_free(client);
	else
		client_write(client);
}

static void client_add(struct control *control, int fd)
{
	struct control_client *client = calloc(1, sizeof(*client));

	if (client == NULL) {
		close(fd);
		return;
	}
	client->control = control;
	client->fd = fd;
	control->client_count++;
	LIST_INSERT_HEAD(&control->clients, client, link);
	client->readable = event_new(control->base, fd, EV_READ | EV_PERSIST, on_readable, client);
	client->writable = event_new(control->base, fd, EV_WRITE, on_writable, client);
	if (client->readable == NULL || client->writable == NULL) {
		client_free(client);
		return;
	}
	wait_for(client->readable, CONTROL_TIME_MS);
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
	struct control *control = arg;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (fd != -1)
		client_add(control, fd);
	if (control->client_count >= CONTROL_CLIENTS_MAX)
		event_del(control->acceptor);
}

int control_clients_start(struct control *control, struct error *err)
{
	if (control->child->control_socket == -1)
		return 0;
	control->acceptor = event_new(control->base, control->child->control_socket,
		EV_READ | EV_PERSIST, on_accept, control);
	if (control->acceptor == NULL || event_add(control->acceptor, NULL) == -1)
		return error_set(err, "out of memory");
	return 0;
}

void control_clients_drain(struct control *control)
{
	static const struct timeval longest = {.tv_sec = 3};

	control->is_draining = true;
	if (control->acceptor != NULL)
		event_del(control->acceptor);
	if (control->client_count == 0)
		event_base_loopbreak(control->base);
	else
		event_base_loopexit(control->base, &longest);
}
