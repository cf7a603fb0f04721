/*
 * How a link comes to be: its place in line, a socket, the TLS handshake, and other addresses and endpoints
 * where that fails, until it is ready or its owner is told that it is not.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "config/clock.h"
#include "config/slab.h"
#include "proxy/dial.h"
#include "proxy/link_parts.h"
#include "proxy/login_table.h"
#include "proxy/upstream.h"

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

void link_connect_end(struct link *link)
{
	link_end_dial(link);
	if (link->state == LINK_WAITING)
		link_leave_line(link);
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

void link_connect_writable(struct link *link)
{
	if (link->endpoint->config->is_tls && !may_step(link->endpoint->upstream))
		(void)link_await(link, WATCH_WRITE); /* it was, and still is in the set */
	else if (link->state == LINK_CONNECTING)
		link_connected(link);
	else
		link_shake_hands(link);
}

void link_connect_readable(struct link *link)
{
	if (may_step(link->endpoint->upstream))
		link_shake_hands(link);
}

void link_connect_timed_out(struct link *link)
{
	if (link->state == LINK_WAITING)
		link_fail(link, REFUSAL_UPSTREAM_UNAVAILABLE,
			"too many others were being connected all the time");
	else
		link_retry(link, "connecting: no answer in time");
}

static struct link *link_new(
	struct endpoint *endpoint, struct login *login, const struct link_calls *calls, void *owner)
{
	struct link *link = slab_new(sizeof(*link));

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
