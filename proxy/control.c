#include "proxy/control.h"

#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/child.h"
#include "proxy/control_status.h"
#include "proxy/log.h"
#include "proxy/sandbox.h"
#include "proxy/timeval.h"

LIST_HEAD(client_list, client);

struct control {
	const struct child *child;
	struct event_base *base;
	struct event *supervisor, *acceptor;
	size_t client_count;
	bool is_draining;
	struct client_list clients;
	struct control_authority authorities[AUTHORITY_MAX];
};

struct client {
	LIST_ENTRY(client) link;
	struct control *control;
	int fd;
	enum client_state { CLIENT_REQUEST, CLIENT_RELOAD, CLIENT_ANSWER } state;
	struct event *readable, *writable;
	size_t request_len;
	char request[CONTROL_REQUEST_MAX];
	size_t answer_len, answer_sent;
	char *answer; /* owned */
};

static void client_free(struct client *client)
{
	struct control *control = client->control;

	LIST_REMOVE(client, link);
	control->client_count--;
	if (client->readable != NULL)
		event_free(client->readable);
	if (client->writable != NULL)
		event_free(client->writable);
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

static void client_write(struct client *client)
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

/* Takes text over. The answer's line feed takes the place of its NUL. */
static void client_answer(struct client *client, char *text)
{
	if (text == NULL) {
		client_free(client);
		return;
	}
	event_del(client->readable);
	client->state = CLIENT_ANSWER;
	client->answer = text;
	client->answer_len = strlen(text) + 1;
	text[client->answer_len - 1] = '\n';
	client_write(client);
}

static void client_answer_result(struct client *client, const char *error)
{
	json_t *object = error == NULL || error[0] == '\0'
				 ? json_pack("{s:b}", "ok", 1)
				 : json_pack("{s:b,s:s}", "ok", 0, "error", error);
	char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);

	json_decref(object);
	client_answer(client, text);
}

/* Requests */

static bool tell_supervisor(const struct control *control, uint32_t type)
{
	struct message message = {.type = type};

	return message_send(control->child->supervisor, &message, -1) == 0;
}

static void request_status(struct client *client)
{
	client_answer(client, control_status(client->control->child, client->control->authorities));
}

static void request_reload(struct client *client)
{
	if (!tell_supervisor(client->control, MESSAGE_RELOAD)) {
		client_answer_result(client, "the supervisor does not listen");
		return;
	}
	client->state = CLIENT_RELOAD;
	event_del(client->readable);
	wait_for(client->readable, CONTROL_RELOAD_TIME_MS);
}

static void request_refresh(struct client *client)
{
	client_answer_result(client, tell_supervisor(client->control, MESSAGE_REFRESH)
					     ? NULL
					     : "the supervisor does not listen");
}

static const struct request {
	const char *word;
	void (*run)(struct client *client);
} requests[] = {
	{"status", request_status},
	{"reload", request_reload},
	{"refresh", request_refresh},
};

static void client_request(struct client *client, const char *word)
{
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);
	struct log_line line;

	getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (strcmp(requests[i].word, word) == 0) {
			log_begin(&line, CONFIG_LOG_INFO, "control-request");
			log_text(&line, "request", word);
			log_number(&line, "user_id", (int64_t)peer.uid);
			log_end(&line);
			requests[i].run(client);
			return;
		}
	client_answer_result(client, "unknown request");
}

/* Events */

static void on_client_readable(evutil_socket_t fd, short what, void *arg)
{
	struct client *client = arg;
	ssize_t got;
	char *end;

	if ((what & EV_TIMEOUT) != 0) {
		if (client->state == CLIENT_RELOAD)
			client_answer_result(client, "the reload is not done yet; see the log");
		else
			client_free(client);
		return;
	}
	got = recv(fd, client->request + client->request_len,
		sizeof(client->request) - 1 - client->request_len, MSG_DONTWAIT);
	if (got == -1 && errno == EAGAIN)
		return;
	/* One that gives up, sends too much, or more than one line, gets nothing. */
	if (got <= 0 || client->state != CLIENT_REQUEST) {
		client_free(client);
		return;
	}
	client->request_len += (size_t)got;
	client->request[client->request_len] = '\0';
	end = memchr(client->request, '\n', client->request_len);
	if (end == NULL)
		return;
	*end = '\0';
	/* A NUL before the line's end belongs to no word. */
	client_request(client,
		strlen(client->request) == (size_t)(end - client->request) ? client->request : "");
}

static void on_client_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	if ((what & EV_TIMEOUT) != 0)
		client_free(arg);
	else
		client_write(arg);
}

static void client_add(struct control *control, int fd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (client == NULL) {
		close(fd);
		return;
	}
	client->control = control;
	client->fd = fd;
	control->client_count++;
	LIST_INSERT_HEAD(&control->clients, client, link);
	client->readable =
		event_new(control->base, fd, EV_READ | EV_PERSIST, on_client_readable, client);
	client->writable = event_new(control->base, fd, EV_WRITE, on_client_writable, client);
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

static void on_reloaded(struct control *control, const struct message *message)
{
	struct client *client = LIST_FIRST(&control->clients);

	while (client != NULL) {
		struct client *next = LIST_NEXT(client, link);

		if (client->state == CLIENT_RELOAD)
			client_answer_result(client, message->u.text);
		client = next;
	}
}

static void drain(struct control *control)
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

static void on_message(struct control *control, const struct message *message)
{
	struct control_authority *known;

	switch (message->type) {
	case MESSAGE_INDEX:
		if (message->u.index.authority >= control->child->trust->count)
			return;
		known = &control->authorities[message->u.index.authority];
		known->has_index = true;
		known->index = *message;
		known->failure.type = 0;
		return;
	case MESSAGE_INDEX_FAILED:
		if (message->u.failure.authority < control->child->trust->count)
			control->authorities[message->u.failure.authority].failure = *message;
		return;
	case MESSAGE_RELOADED: on_reloaded(control, message); return;
	case MESSAGE_DRAIN: drain(control); return;
	default: return;
	}
}

static void on_supervisor(evutil_socket_t fd, short what, void *arg)
{
	struct control *control = arg;
	struct message message;
	int passed_fd, result;

	(void)what;
	while ((result = message_receive(fd, &message, &passed_fd)) == 1) {
		if (message.type == MESSAGE_LOG)
			log_reopen(passed_fd);
		else if (passed_fd != -1)
			close(passed_fd);
		on_message(control, &message);
	}
	if (result == 0 || errno != EAGAIN)
		event_base_loopbreak(control->base);
}

static int start(struct control *control, struct error *err)
{
	const struct child *child = control->child;

	control->base = event_base_new();
	if (control->base == NULL)
		return error_set(err, "making the event loop");
	control->supervisor = event_new(
		control->base, child->supervisor, EV_READ | EV_PERSIST, on_supervisor, control);
	if (control->supervisor == NULL || event_add(control->supervisor, NULL) == -1)
		return error_set(err, "out of memory");
	if (child->control_socket == -1)
		return 0;
	control->acceptor = event_new(
		control->base, child->control_socket, EV_READ | EV_PERSIST, on_accept, control);
	if (control->acceptor == NULL || event_add(control->acceptor, NULL) == -1)
		return error_set(err, "out of memory");
	return 0;
}

int control_main(const struct child *child)
{
	static struct control control; /* large, and there is one */
	struct message ready = {.type = MESSAGE_READY};
	struct error err;

	control.child = child;
	if (start(&control, &err) == -1 || sandbox_enter(child, &err) == -1) {
		log_message(CONFIG_LOG_ERROR, "start-failed", "%s", err.text);
		return 1;
	}
	if (message_send(child->supervisor, &ready, -1) == -1)
		return 1;
	event_base_dispatch(control.base);
	/* The process ends here: the kernel takes all of it back at once. */
	return 0;
}
