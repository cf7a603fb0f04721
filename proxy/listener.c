#include "proxy/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/log.h"
#include "proxy/session.h"
#include "proxy/timeval.h"
#include "proxy/watch.h"

enum {
	ACCEPT_BATCH = 64, /* at most; then others on the loop have their turn */
	PAUSE_MS = 100
};

/* One line a second at most: a flood must not fill the disk too. The counters have them all. */
static void log_refused(
	struct listener *listener, const struct sockaddr_storage *address, enum refusal refusal)
{
	int64_t now = worker_now(listener->worker);
	char text[INET6_ADDRSTRLEN] = "";
	struct log_line line;

	listener->unlogged++;
	if (now == listener->logged_at)
		return;
	evutil_inet_ntop(address->ss_family,
		address->ss_family == AF_INET6
			? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
			: (const void *)&((const struct sockaddr_in *)address)->sin_addr,
		text, sizeof(text));
	log_begin(&line, CONFIG_LOG_WARNING, "refused");
	log_text(&line, "client", text);
	log_text(&line, "refusal", refusal_row(refusal)->name);
	log_number(&line, "count", listener->unlogged);
	log_end(&line);
	listener->logged_at = now;
	listener->unlogged = 0;
}

static void refuse(struct listener *listener, int fd, const struct sockaddr_storage *address,
	enum refusal refusal)
{
	shared_add(&listener->worker->counters->refusals[refusal], 1);
	log_refused(listener, address, refusal);
	close(fd);
}

static void take(struct listener *listener, int fd, const struct sockaddr_storage *address)
{
	struct worker *worker = listener->worker;
	struct source *source;
	int on = 1;

	shared_add(&worker->counters->connections_accepted, 1);
	if (worker->connection_count >= worker->connection_max) {
		refuse(listener, fd, address, REFUSAL_CONNECTIONS_FULL);
		return;
	}
	source = source_take(
		worker->sources, address, worker->config->limits.connections_per_source);
	if (source == NULL) {
		refuse(listener, fd, address, REFUSAL_SOURCE_FULL);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (session_open(worker, listener->socket->listener, fd, address, source) != 0) {
		source_give(source);
		refuse(listener, fd, address, REFUSAL_INTERNAL);
	}
}

static void rest(struct listener *listener)
{
	struct timeval pause = timeval_of_ms(PAUSE_MS);

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

/* How many to take now. As a rule one connection comes at a time, and asking whether there is another
 * costs half as much as taking it. Where they come in every turn of the loop, each turn takes twice as
 * many as the one before. */
static unsigned int next_batch(struct listener *listener)
{
	uint32_t turn = watcher_turn(listener->worker->watcher);
	bool is_crowded = listener->batch != 0 && turn - listener->turn <= 1;

	listener->turn = turn;
	if (!is_crowded)
		listener->batch = 1;
	else if (listener->batch < ACCEPT_BATCH)
		listener->batch *= 2;
	return listener->batch;
}

static void on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct listener *listener = arg;

	(void)what;
	for (unsigned int left = next_batch(listener); left > 0; left--) {
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
		if (errno != ECONNABORTED && errno != EINTR) {
			listener->batch = 1;
			return;
		}
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
