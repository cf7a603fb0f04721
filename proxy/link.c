#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "config/slab.h"
#include "proxy/link_parts.h"
#include "proxy/log.h"
#include "proxy/login_table.h"
#include "proxy/upstream.h"

void link_enter(struct link *link, enum link_state state)
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

void link_close_socket(struct link *link)
{
	struct shared_worker *counters = link->endpoint->upstream->counters;

	link_connect_end(link);
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
	slab_free(link);
}

void link_fail(struct link *link, enum refusal refusal, const char *reason)
{
	const struct link_calls *calls = link->calls;
	void *owner = link->owner;
	char copy[160];

	snprintf(copy, sizeof(copy), "%s: %s", link->endpoint->config->text, reason);
	link_free(link);
	calls->failed(owner, refusal, copy);
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
	switch (link->state) {
	case LINK_CONNECTING:
	case LINK_HANDSHAKE: link_connect_writable(link); return;
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
	case LINK_HANDSHAKE: link_connect_readable(link); return;
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
	else if (link->state != LINK_READY)
		link_connect_timed_out(link);
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
