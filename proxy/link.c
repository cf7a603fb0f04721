#include "proxy/link.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "config/clock.h"
#include "proxy/log.h"
#include "proxy/login_table.h"
#include "proxy/upstream.h"

static void link_set_timer(struct link *link, uint32_t time_ms)
{
	wheel_set(link->endpoint->upstream->wheel, &link->timer, time_ms);
}

static void link_stop_timer(struct link *link)
{
	wheel_stop(link->endpoint->upstream->wheel, &link->timer);
}

static int link_await(struct link *link, unsigned int what)
{
	return watch_want(link->endpoint->upstream->watcher, &link->watch, what);
}

static void link_enter(struct link *link, enum link_state state)
{
	struct endpoint *endpoint = link->endpoint;

	if (link->state == LINK_IDLE) {
		TAILQ_REMOVE(&endpoint->idle, link, entry);
		endpoint->idle_count--;
		TAILQ_INSERT_HEAD(&endpoint->busy, link, entry);
		endpoint_count_busy(endpoint, 1);
		if (link->login != NULL)
			login_take_link(link->login, link);
	} else if (state == LINK_IDLE) {
		TAILQ_REMOVE(&endpoint->busy, link, entry);
		endpoint_count_busy(endpoint, -1);
		TAILQ_INSERT_HEAD(&endpoint->idle, link, entry);
		endpoint->idle_count++;
	}
	link->state = state;
}

static void link_end_dial(struct link *link)
{
	struct endpoint *endpoint = link->endpoint;

	if (!link->is_dialing)
		return;
	link->is_dialing = false;
	endpoint->dialing_count--;
	/* Not from here: whoever is next may fail, and tell its owner. */
	if (!TAILQ_EMPTY(&endpoint->line))
		event_active(endpoint->next_dial, EV_TIMEOUT, 0);
}

static void link_leave_line(struct link *link)
{
	TAILQ_REMOVE(&link->endpoint->line, link, line_entry);
	link_stop_timer(link);
	link->state = LINK_CONNECTING;
}

static void link_close_socket(struct link *link)
{
	struct shared_worker *counters = link->endpoint->upstream->counters;

	link_end_dial(link);
	if (link->state == LINK_WAITING)
		link_leave_line(link);
	link_stop_timer(link);
	tls_close(&link->tls);
	if (link->watch.fd != -1)
		shared_subtract(&counters->upstream_connections_open, 1);
	watch_close(link->endpoint->upstream->watcher, &link->watch);
	link->tls.fd = -1;
}

void link_free(struct link *link)
{
	struct endpoint *endpoint = link->endpoint;

	link_close_socket(link);
	if (link->queue != NULL)
		evbuffer_free(link->queue);
	if (link->state == LINK_IDLE) {
		TAILQ_REMOVE(&endpoint->idle, link, entry);
		endpoint->idle_count--;
	} else {
		TAILQ_REMOVE(&endpoint->busy, link, entry);
		endpoint_count_busy(endpoint, -1);
	}
	if (link->login != NULL)
		login_end_link(link->login, link);
	free(link);
}

static void dial_reason(const struct endpoint *endpoint, char *reason, size_t size)
{
	const char *why = strerror(errno);

	if (endpoint->address_count == 0)
		why = "its name cannot be resolved";
	else if (errno == EADDRNOTAVAIL)
		why = "no local port or address is left: see upstream/source-addresses";
	snprintf(reason, size, "connecting: %s", why);
}

/* Connects from that address; the kernel chooses the port only when it knows where to, so that each port is used
 * towards every endpoint. 0 or -1. */
static int connect_from(
	int fd, const struct config_address *source, const struct sockaddr *to, socklen_t to_len)
{
	const int on = 1;

	if (source != NULL) {
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (bind(fd, (const struct sockaddr *)&source->addr, source->addr_len) != 0)
			return -1;
	}
	return connect(fd, to, to_len) == 0 || errno == EINPROGRESS ? 0 : -1;
}

/* A socket that connects to the address. -1 with errno set. */
static int dial_from(
	const struct config_address *source, const struct sockaddr *to, socklen_t to_len)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1;
	int reason;

	if (fd == -1)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect_from(fd, source, to, to_len) == 0)
		return fd;
	reason = errno;
	close(fd);
	errno = reason;
	return -1;
}

/* From the source addresses of its kind in turn, where there are some. One that has no port left, or is not on this
 * machine now, is passed over. */
static int dial_address(struct upstream *upstream, const struct sockaddr *to, socklen_t to_len)
{
	const struct config_upstream *config = upstream->config;
	bool has_kind = false;

	for (size_t i = 0; i < config->source_count; i++) {
		const struct config_address *source =
			&config->sources[upstream->next_source++ % config->source_count];
		int fd;

		if (source->addr.ss_family != to->sa_family)
			continue;
		has_kind = true;
		fd = dial_from(source, to, to_len);
		if (fd != -1 || (errno != EADDRNOTAVAIL && errno != EADDRINUSE))
			return fd;
	}
	return has_kind ? -1 : dial_from(NULL, to, to_len);
}

/* One try: a socket towards the endpoint's next address. */
static int link_dial(struct link *link)
{
	struct endpoint *endpoint = link->endpoint;
	unsigned int which;
	int fd;

	if (endpoint->address_count == 0) {
		errno = EHOSTUNREACH;
		return -1;
	}
	which = endpoint->next_address++ % endpoint->address_count;
	fd = dial_address(endpoint->upstream,
		(const struct sockaddr *)&endpoint->addresses[which].address,
		endpoint->addresses[which].len);
	if (fd == -1)
		return -1;
	link->tls = (struct tls){.fd = fd};
	shared_add(&endpoint->upstream->counters->upstream_connections_open, 1);
	link_enter(link, LINK_CONNECTING);
	if (!link->is_probe) {
		link->is_dialing = true;
		endpoint->dialing_count++;
	}
	link->watch = watch_of(WATCH_ENDPOINT, fd);
	if (link_await(link, WATCH_WRITE) != 0) {
		link_close_socket(link);
		errno = ENOMEM;
		return -1;
	}
	link_set_timer(link, endpoint->upstream->config->connect_time_ms);
	return 0;
}

static void link_fail(struct link *link, enum refusal refusal, const char *reason)
{
	const struct link_calls *calls = link->calls;
	void *owner = link->owner;
	char copy[160];

	snprintf(copy, sizeof(copy), "%s: %s", link->endpoint->config->text, reason);
	link_free(link);
	calls->failed(owner, refusal, copy);
}

static void link_move(struct link *link, struct endpoint *endpoint)
{
	TAILQ_REMOVE(&link->endpoint->busy, link, entry);
	endpoint_count_busy(link->endpoint, -1);
	link->endpoint = endpoint;
	TAILQ_INSERT_HEAD(&endpoint->busy, link, entry);
	endpoint_count_busy(endpoint, 1);
}

/* After a failed try: whether another one is under way. */
static bool link_dial_other(struct link *link, char *reason, size_t reason_size)
{
	struct upstream *upstream = link->endpoint->upstream;

	while (!link->is_probe && ++link->tries <= upstream->config->endpoint_count) {
		struct endpoint *other = upstream_other(upstream, link->endpoint);

		if (other == NULL)
			return false;
		if (link->login != NULL)
			endpoint_make_room(other);
		link_move(link, other);
		if (link_dial(link) == 0)
			return true;
		dial_reason(other, reason, reason_size);
		endpoint_failed(other, reason);
	}
	return false;
}

/* Connecting failed. Nothing was sent, so another address or endpoint may be tried. */
static void link_retry(struct link *link, const char *reason)
{
	char copy[160];

	snprintf(copy, sizeof(copy), "%s", reason);
	link_close_socket(link);
	endpoint_failed(link->endpoint, copy);
	if (!link_dial_other(link, copy, sizeof(copy)))
		link_fail(link, REFUSAL_UPSTREAM_UNREACHABLE, copy);
}

static void link_become_ready(struct link *link)
{
	const struct config_upstream *config = link->endpoint->upstream->config;

	link_stop_timer(link);
	link_end_dial(link);
	/* Where a health check asks for more than a connection, only its answer counts. */
	if (config->health_path[0] == '\0' || config->health_interval_ms == 0)
		endpoint_succeeded(link->endpoint);
	link_enter(link, LINK_READY);
	if (!link->is_probe) /* a test may tell whose certificate it is */
		tls_forget_peer(&link->tls);
	if (link_await(link, WATCH_READ) != 0)
		link_fail(link, REFUSAL_INTERNAL, "out of memory");
	else
		link->calls->ready(link->owner);
}

/* False: in the next turn, in which the socket is still ready. */
static bool may_step(struct upstream *upstream)
{
	uint32_t turn = watcher_turn(upstream->watcher);

	if (turn != upstream->turn) {
		upstream->turn = turn;
		upstream->turn_steps = 0;
	}
	return upstream->turn_steps++ < LINK_STEPS_MAX;
}

static void link_shake_hands(struct link *link)
{
	char reason[160];

	switch (tls_handshake(&link->tls)) {
	case TLS_DONE:
		watch_unwant(&link->watch, WATCH_WRITE);
		link_become_ready(link);
		return;
	case TLS_WANTS_READ:
		watch_unwant(&link->watch, WATCH_WRITE);
		if (link_await(link, WATCH_READ) == 0)
			return;
		snprintf(reason, sizeof(reason), "TLS handshake: waiting for the endpoint: %s",
			strerror(errno));
		break;
	case TLS_WANTS_WRITE:
		if (link_await(link, WATCH_WRITE) == 0)
			return;
		snprintf(reason, sizeof(reason), "TLS handshake: waiting for the endpoint: %s",
			strerror(errno));
		break;
	default: snprintf(reason, sizeof(reason), "TLS handshake: %s", tls_failure(&link->tls));
	}
	link_retry(link, reason);
}

static void link_connected(struct link *link)
{
	const struct upstream *upstream = link->endpoint->upstream;
	const struct config_endpoint *config = link->endpoint->config;
	char name[ENDPOINT_NAME_MAX];
	int failure = 0;
	socklen_t len = sizeof(failure);
	char reason[160];

	if (getsockopt(link->tls.fd, SOL_SOCKET, SO_ERROR, &failure, &len) != 0)
		failure = errno;
	if (failure != 0) {
		snprintf(reason, sizeof(reason), "connecting: %s", strerror(failure));
		link_retry(link, reason);
		return;
	}
	if (link->is_probe)
		link->connected_us = (uint32_t)clock_us();
	shared_add(&upstream->counters->upstream_connects, 1);
	if (!config->is_tls || link->is_bare) {
		link_become_ready(link);
		return;
	}
	if (link->login != NULL && login_needs_identity(link->login) &&
		login_identity(link->login) == NULL) {
		link_fail(link, REFUSAL_LOGIN_UNAVAILABLE, "the user's certificate is gone");
		return;
	}
	endpoint_tls_name(link->endpoint, name);
	if (tls_connect(&link->tls, upstream->tls, link->tls.fd, name,
		    link->login != NULL ? login_identity(link->login) : NULL) != 0) {
		link_retry(link, "TLS: out of memory");
		return;
	}
	link_enter(link, LINK_HANDSHAKE);
	link_shake_hands(link);
}

/* Writes what is queued. 0, or -1 when the link is broken. */
static int link_flush(struct link *link)
{
	while (link_queued(link) > 0) {
		size_t piece =
			link_queued(link) < TLS_RECORD_MAX ? link_queued(link) : TLS_RECORD_MAX;
		unsigned char *data = evbuffer_pullup(link->queue, (ev_ssize_t)piece);
		size_t written = 0;

		if (data == NULL)
			return -1;
		switch (tls_write(&link->tls, data, piece, &written)) {
		case TLS_DONE: evbuffer_drain(link->queue, written); break;
		case TLS_WANTS_READ: return 0; /* it is read anyway */
		case TLS_WANTS_WRITE: return link_await(link, WATCH_WRITE);
		default: return -1;
		}
	}
	return 0;
}

static void link_writable(struct link *link)
{
	if ((link->state == LINK_CONNECTING || link->state == LINK_HANDSHAKE) &&
		link->endpoint->config->is_tls && !may_step(link->endpoint->upstream)) {
		(void)link_await(link, WATCH_WRITE); /* it was, and still is in the set */
		return;
	}
	switch (link->state) {
	case LINK_CONNECTING: link_connected(link); return;
	case LINK_HANDSHAKE: link_shake_hands(link); return;
	case LINK_WAITING:
	case LINK_IDLE: return;
	case LINK_READY: break;
	}
	if (link_flush(link) != 0) {
		char reason[160];

		snprintf(reason, sizeof(reason), "writing: %s", link_why_lost(link));
		link_fail(link, REFUSAL_UPSTREAM_UNREACHABLE, reason);
		return;
	}
	if (link_queued(link) == 0) {
		if (link->queue != NULL)
			evbuffer_free(link->queue);
		link->queue = NULL;
		link->calls->drained(link->owner);
	}
}

/* What an idle link says must not become the answer to somebody else's request. On TLS, what is only
 * for the TLS layer (tickets) is taken here. */
bool link_is_silent(struct link *link)
{
	char byte;
	size_t len = 0;

	if (tls_is_encrypted(&link->tls))
		return tls_read(&link->tls, &byte, 1, &len) == TLS_WANTS_READ;
	return recv(link->tls.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == -1 &&
	       (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* The endpoint has ended it, or speaks without being asked. */
static void link_idle_ended(struct link *link)
{
	if (!link->has_stayed)
		link->endpoint->keeps_links = false;
	link_free(link);
}

/* Still open: first that is proof, then it has waited long enough. */
static void link_idle_on(struct link *link)
{
	uint32_t idle_time_ms = link->endpoint->upstream->config->idle_time_ms;

	if (link->has_stayed || idle_time_ms <= LINK_PROOF_MS) {
		link_free(link);
		return;
	}
	link_set_timer(link, idle_time_ms - LINK_PROOF_MS);
	link->has_stayed = true;
	link->endpoint->keeps_links = true;
}

static void link_readable(struct link *link)
{
	switch (link->state) {
	case LINK_HANDSHAKE:
		if (may_step(link->endpoint->upstream))
			link_shake_hands(link);
		return;
	case LINK_IDLE:
		if (!link_is_silent(link))
			link_idle_ended(link);
		return;
	case LINK_READY:
		if ((link->watch.wanted & WATCH_READ) != 0)
			link->calls->readable(link->owner);
		return;
	case LINK_WAITING:
	case LINK_CONNECTING: return;
	}
}

static void link_timed_out(struct link *link)
{
	if (link->state == LINK_IDLE)
		link_idle_on(link);
	else if (link->state == LINK_WAITING)
		link_fail(link, REFUSAL_UPSTREAM_UNAVAILABLE,
			"too many others were being connected all the time");
	else if (link->state != LINK_READY)
		link_retry(link, "connecting: no answer in time");
}

static void on_ready(struct watch *watch, unsigned int ready)
{
	struct link *link = (struct link *)((char *)watch - offsetof(struct link, watch));

	if (ready == WATCH_WRITE)
		link_writable(link);
	else
		link_readable(link);
}

static void on_time(struct wheel_timer *timer)
{
	link_timed_out((struct link *)((char *)timer - offsetof(struct link, timer)));
}

void link_prepare(struct upstream *upstream)
{
	watcher_on(upstream->watcher, WATCH_ENDPOINT, on_ready);
	wheel_on(upstream->wheel, WHEEL_ENDPOINT, on_time);
}

bool link_is_ready(const struct link *link)
{
	return link->state == LINK_READY;
}

void link_set_owner(struct link *link, const struct link_calls *calls, void *owner)
{
	link->calls = calls;
	link->owner = owner;
}

int link_write(struct link *link, const void *data, size_t len)
{
	const unsigned char *at = data;

	while (len > 0 && link->queue == NULL) {
		size_t written = 0;
		enum tls_result result = tls_write(&link->tls, at, len, &written);

		if (result == TLS_EOF || result == TLS_ERROR)
			return -1;
		if (result != TLS_DONE)
			break;
		at += written;
		len -= written;
	}
	if (len == 0)
		return 0;
	if (link->queue == NULL) {
		link->queue = evbuffer_new();
		if (link->queue == NULL || link_await(link, WATCH_WRITE) != 0)
			return -1;
	}
	return evbuffer_add(link->queue, at, len);
}

/* How much of the parts a plain socket takes in one call; -1: the connection is lost. */
static ssize_t link_gather(struct link *link, const struct span *parts, size_t count)
{
	struct iovec vectors[LINK_PARTS_MAX];
	struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
	ssize_t n;

	for (size_t i = 0; i < count; i++)
		vectors[i] =
			(struct iovec){.iov_base = (void *)parts[i].data, .iov_len = parts[i].len};
	do
		n = sendmsg(link->tls.fd, &message, MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	return n == -1 && errno == EAGAIN ? 0 : n;
}

bool link_is_plain(const struct link *link)
{
	return tls_is_plain(&link->tls);
}

int link_write_parts(struct link *link, const struct span *parts, size_t count)
{
	ssize_t gathered = 0;
	size_t sent;

	assert(count <= LINK_PARTS_MAX);
	if (link->queue == NULL && link_is_plain(link))
		gathered = link_gather(link, parts, count);
	if (gathered < 0)
		return -1;
	sent = (size_t)gathered;
	for (size_t i = 0; i < count; i++) {
		size_t done = sent < parts[i].len ? sent : parts[i].len;

		sent -= done;
		if (link_write(link, parts[i].data + done, parts[i].len - done) != 0)
			return -1;
	}
	return 0;
}

size_t link_queued(const struct link *link)
{
	return link->queue != NULL ? evbuffer_get_length(link->queue) : 0;
}

enum tls_result link_read(struct link *link, void *data, size_t capacity, size_t *len)
{
	return tls_read(&link->tls, data, capacity, len);
}

const char *link_why_lost(struct link *link)
{
	char byte;
	size_t len = 0;
	const char *failure = "";

	/* With TLS 1.3 a server says only after the handshake that it does not like our certificate; its
	 * alert may lie there unread. */
	if (tls_is_encrypted(&link->tls) && tls_read(&link->tls, &byte, 1, &len) == TLS_ERROR)
		failure = tls_failure(&link->tls);
	return failure[0] != '\0' ? failure : "connection lost";
}

void link_want_read(struct link *link, bool wanted)
{
	if (!wanted)
		watch_unwant(&link->watch, WATCH_READ);
	else if (link_await(link, WATCH_READ) == 0 && tls_has_pending(&link->tls))
		watch_soon(link->endpoint->upstream->watcher, &link->watch);
}

/* A connection that stands for a user is kept as long as the login holds. */
static bool link_login_holds(const struct link *link)
{
	return link->login == NULL ||
	       (link->is_logged_in && link->login_context == 0 && login_is_in_use(link->login) &&
		       link->login_until > login_now(link->login));
}

void link_release(struct link *link, bool is_reusable)
{
	const struct upstream *upstream = link->endpoint->upstream;
	struct login *login = link->login;
	uint32_t idle_time_ms = upstream->config->idle_time_ms;

	link->has_stayed = false;
	if (!is_reusable || upstream->is_closing || idle_time_ms == 0 ||
		link->state != LINK_READY || link_queued(link) > 0 || tls_has_pending(&link->tls) ||
		!link_login_holds(link) || link_await(link, WATCH_READ) != 0) {
		link_free(link);
		return;
	}
	link->calls = NULL;
	link->owner = NULL;
	link->idle_turn = watcher_turn(upstream->watcher);
	link_set_timer(link, idle_time_ms < LINK_PROOF_MS ? idle_time_ms : LINK_PROOF_MS);
	link_enter(link, LINK_IDLE);
	if (login != NULL)
		login_keep_link(login, link); /* and may let go of both */
}

static struct link *link_new(
	struct endpoint *endpoint, struct login *login, const struct link_calls *calls, void *owner)
{
	struct link *link = calloc(1, sizeof(*link));

	if (link == NULL)
		return NULL;
	if (login != NULL)
		login_begin_link(login, link);
	link->endpoint = endpoint;
	link->calls = calls;
	link->owner = owner;
	link->tls.fd = -1;
	link->watch = watch_of(WATCH_ENDPOINT, -1);
	link->timer.kind = WHEEL_ENDPOINT;
	link->state = LINK_CONNECTING;
	TAILQ_INSERT_HEAD(&endpoint->busy, link, entry);
	endpoint_count_busy(endpoint, 1);
	return link;
}

/* In line, for as long as an answer may take. */
static void link_wait(struct link *link)
{
	struct endpoint *endpoint = link->endpoint;

	link_set_timer(link, endpoint->upstream->config->answer_time_ms);
	link->state = LINK_WAITING;
	TAILQ_INSERT_TAIL(&endpoint->line, link, line_entry);
}

void link_dial_next(evutil_socket_t fd, short what, void *arg)
{
	struct endpoint *endpoint = arg;
	struct link *link;
	char reason[160];

	(void)fd;
	(void)what;
	while (endpoint->dialing_count < LINK_DIALS_MAX &&
		(link = TAILQ_FIRST(&endpoint->line)) != NULL) {
		link_leave_line(link);
		/* Who waited for one that is down by now goes elsewhere, or is told. */
		if (endpoint->is_up && link_dial(link) == 0)
			continue;
		snprintf(reason, sizeof(reason), "it went down while others were connected");
		if (endpoint->is_up) {
			dial_reason(endpoint, reason, sizeof(reason));
			endpoint_failed(endpoint, reason);
		}
		if (!link_dial_other(link, reason, sizeof(reason)))
			link_fail(link, REFUSAL_UPSTREAM_UNREACHABLE, reason);
	}
}

static struct link *link_start(struct link *link)
{
	char reason[160];

	if (link == NULL)
		return NULL;
	if (!link->is_probe && link->endpoint->dialing_count >= LINK_DIALS_MAX) {
		link_wait(link);
		return link;
	}
	if (link_dial(link) == 0)
		return link;
	dial_reason(link->endpoint, reason, sizeof(reason));
	endpoint_failed(link->endpoint, reason);
	if (link_dial_other(link, reason, sizeof(reason)))
		return link;
	link_free(link);
	return NULL;
}

struct link *link_connect(
	struct endpoint *endpoint, struct login *login, const struct link_calls *calls, void *owner)
{
	return link_start(link_new(endpoint, login, calls, owner));
}

struct link *link_probe(
	struct endpoint *endpoint, struct login *login, const struct link_calls *calls, void *owner)
{
	struct link *link = link_new(endpoint, login, calls, owner);

	if (link != NULL)
		link->is_probe = true;
	return link_start(link);
}

bool link_take(
	struct link *link, const struct login *login, const struct link_calls *calls, void *owner)
{
	if (link->login != login) {
		/* Nobody asks for that; if somebody did, another user's mail would be next. */
		log_message(CONFIG_LOG_ERROR, "link-login",
			"%s: a connection of one login was asked for by another; it is closed",
			link->endpoint->config->text);
		link_free(link);
		return false;
	}
	/* As a rule it is known already that it has nothing to say. */
	if (!watcher_is_quiet(link->endpoint->upstream->watcher, &link->watch, link->idle_turn) &&
		!link_is_silent(link)) {
		link_idle_ended(link);
		return false;
	}
	link_stop_timer(link);
	link->calls = calls;
	link->owner = owner;
	link_enter(link, LINK_READY);
	return true;
}
