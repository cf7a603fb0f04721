#include "proxy/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/log.h"
#include "proxy/session.h"

enum {
	ACCEPT_BATCH = 64, /* then others on the loop have their turn */
	PAUSE_MS = 100
};

static void refuse(struct worker *worker, int fd, enum refusal refusal)
{
	shared_add(&worker->counters->refusals[refusal], 1);
	close(fd);
}

static void take(struct listener *listener, int fd, const struct sockaddr_storage *address)
{
	struct worker *worker = listener->worker;
	struct source *source;
	int on = 1;

	shared_add(&worker->counters->connections_accepted, 1);
	if (worker->connection_count >= worker->connection_max) {
		refuse(worker, fd, REFUSAL_CONNECTIONS_FULL);
		return;
	}
	source = source_take(
		worker->sources, address, worker->config->limits.connections_per_source);
	if (source == NULL) {
		refuse(worker, fd, REFUSAL_SOURCE_FULL);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (session_open(worker, listener->socket->listener, fd, address, source) != 0) {
		source_give(worker->sources, source);
		refuse(worker, fd, REFUSAL_INTERNAL);
	}
}

static void rest(struct listener *listener)
{
	struct timeval pause = worker_timeval(PAUSE_MS);

	log_message(CONFIG_LOG_WARNING, "accept", "accepting rests for %d ms: %s", PAUSE_MS,
		strerror(errno));
	event_del(listener->event);
	event_add(listener->pause, &pause);
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	struct listener *listener = arg;

	(void)fd;
	(void)what;
	event_add(listener->event, NULL);
}

static void on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct listener *listener = arg;

	(void)what;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		struct sockaddr_storage address = {0};
		socklen_t address_len = sizeof(address);
		int accepted = accept4(fd, (struct sockaddr *)&address, &address_len,
			SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (accepted != -1) {
			take(listener, accepted, &address);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			rest(listener);
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

int listener_start(struct listener *listener, struct worker *worker,
	const struct child_socket *socket, struct error *err)
{
	*listener = (struct listener){.worker = worker, .socket = socket};
	listener->event =
		event_new(worker->base, socket->fd, EV_READ | EV_PERSIST, on_connection, listener);
	listener->pause = evtimer_new(worker->base, on_pause_over, listener);
	if (listener->event == NULL || listener->pause == NULL ||
		event_add(listener->event, NULL) != 0)
		return error_set(err, "starting to listen: out of memory");
	return 0;
}

void listener_stop(struct listener *listener)
{
	if (listener->event != NULL)
		event_free(listener->event);
	if (listener->pause != NULL)
		event_free(listener->pause);
	listener->event = NULL;
	listener->pause = NULL;
}
