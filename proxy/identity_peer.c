#include "proxy/identity_peer.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	QUESTIONS_MAX = 32,  /* of one peer in one turn */
	REQUESTS_MAX = 4096, /* of one peer, waited with or to be sent */
	ALL_STATES = (1 << (LOGIN_KIND_COUNT + 1)) - 1,
};

/* An answer that the channel had no room for, without the zeros at its end. */
struct unsent {
	STAILQ_ENTRY(unsent) entry;
	size_t len;
	unsigned char bytes[];
};

LIST_HEAD(request_list, peer_request);
STAILQ_HEAD(unsent_list, unsent);

struct peer {
	LIST_ENTRY(peer) link;
	struct peers *peers;
	enum role role;
	int fd;
	struct event *readable, *writable;
	size_t request_count;
	struct request_list waiting;
	struct unsent_list unsent; /* nothing more is read until they are gone */
	bool has_change;           /* MESSAGE_DIRECTORY_CHANGED is to be sent after them */
	unsigned int states;       /* likewise MESSAGE_LOGIN_STATE, of which kinds: a bit each */
	bool is_dead;              /* freed by the callback that owns the turn */
};

static void unsent_free(struct unsent *unsent)
{
	OPENSSL_cleanse(unsent->bytes, unsent->len);
	free(unsent);
}

static void peer_free(struct peer *peer)
{
	struct peer_request *request;
	struct unsent *unsent;

	LIST_REMOVE(peer, link);
	while ((request = LIST_FIRST(&peer->waiting)) != NULL) {
		LIST_REMOVE(request, link);
		request->peer = NULL;
	}
	while ((unsent = STAILQ_FIRST(&peer->unsent)) != NULL) {
		STAILQ_REMOVE_HEAD(&peer->unsent, entry);
		unsent_free(unsent);
	}
	if (peer->readable != NULL)
		event_free(peer->readable);
	if (peer->writable != NULL)
		event_free(peer->writable);
	close(peer->fd);
	free(peer);
}

static bool peer_has_unsent(const struct peer *peer)
{
	return peer->has_change || peer->states != 0 || !STAILQ_EMPTY(&peer->unsent);
}

static int peer_send_unsent(struct peer *peer, struct unsent *unsent)
{
	struct message message = {0};
	int result;

	memcpy(&message, unsent->bytes, unsent->len);
	result = message_send(peer->fd, &message, -1);
	OPENSSL_cleanse(&message, unsent->len);
	if (result == -1)
		return -1;
	STAILQ_REMOVE_HEAD(&peer->unsent, entry);
	peer->request_count--;
	unsent_free(unsent);
	return 0;
}

static int peer_send_state(struct peer *peer)
{
	struct message message = {.type = MESSAGE_LOGIN_STATE};
	unsigned int kind = 0;

	while ((peer->states & 1u << kind) == 0)
		kind++;
	peer->peers->fill_state(peer->peers->context, kind, &message);
	if (message_send(peer->fd, &message, -1) == -1)
		return -1;
	peer->states &= ~(1u << kind);
	return 0;
}

/* 0, or -1 with errno: EAGAIN, or the peer is gone. Answers that wait were given before the change, and
 * must not be taken for news that came after it. */
static int peer_send_next(struct peer *peer)
{
	const struct message change = {.type = MESSAGE_DIRECTORY_CHANGED};

	if (!STAILQ_EMPTY(&peer->unsent))
		return peer_send_unsent(peer, STAILQ_FIRST(&peer->unsent));
	if (!peer->has_change)
		return peer_send_state(peer);
	if (message_send(peer->fd, &change, -1) == -1)
		return -1;
	peer->has_change = false;
	return 0;
}

static void peer_die(struct peer *peer)
{
	peer->is_dead = true;
	/* Found by whoever reads: the end of the channel, or an error. */
	event_active(peer->readable, EV_READ, 0);
}

/* Sends what there is, as far as the channel takes it. */
static void peer_flush(struct peer *peer)
{
	while (peer_has_unsent(peer)) {
		if (peer_send_next(peer) == 0)
			continue;
		if (errno != EAGAIN) {
			peer_die(peer);
			return;
		}
		event_del(peer->readable);
		event_add(peer->writable, NULL);
		return;
	}
	event_add(peer->readable, NULL);
}

/* Requests */

void peer_request_begin(struct peer *peer, struct peer_request *request)
{
	request->peer = peer;
	peer->request_count++;
	LIST_INSERT_HEAD(&peer->waiting, request, link);
}

static bool keep_unsent(struct peer *peer, const struct message *answer)
{
	size_t len = message_size(answer);
	struct unsent *unsent;

	while (len > 0 && ((const unsigned char *)answer)[len - 1] == 0)
		len--;
	unsent = malloc(sizeof(*unsent) + len);
	if (unsent == NULL)
		return false;
	unsent->len = len;
	memcpy(unsent->bytes, answer, len);
	STAILQ_INSERT_TAIL(&peer->unsent, unsent, entry);
	return true;
}

void peer_request_end(struct peer_request *request, const struct message *answer)
{
	struct peer *peer = request->peer;

	if (peer == NULL)
		return;
	LIST_REMOVE(request, link);
	request->peer = NULL;
	if (!peer_has_unsent(peer) && message_send(peer->fd, answer, -1) == 0)
		peer->request_count--;
	else if (!keep_unsent(peer, answer)) {
		peer_die(peer);
		return;
	}
	peer_flush(peer);
}

void peer_request_done(struct peer_request *request)
{
	struct peer *peer = request->peer;

	if (peer == NULL)
		return;
	LIST_REMOVE(request, link);
	request->peer = NULL;
	peer->request_count--;
	peer_flush(peer);
}

/* Peers */

static void on_peer_readable(evutil_socket_t fd, short what, void *arg)
{
	struct peer *peer = arg;
	const struct peers *peers = peer->peers;
	struct message message;
	int passed_fd;

	(void)what;
	for (int i = 0; i < QUESTIONS_MAX && !peer->is_dead; i++) {
		bool is_welcome;
		int result;

		if (peer->request_count >= REQUESTS_MAX || peer_has_unsent(peer))
			break;
		result = message_receive(fd, &message, &passed_fd);
		if (result == -1 && errno == EAGAIN)
			return;
		if (passed_fd != -1)
			close(passed_fd);
		is_welcome = result == 1 && peers->take(peers->context, peer, &message);
		message_wipe(&message);
		if (!is_welcome) {
			peer_free(peer);
			return;
		}
	}
	if (peer->is_dead)
		peer_free(peer);
	else if (peer->request_count >= REQUESTS_MAX)
		event_del(peer->readable); /* until one of them is answered */
}

static void on_peer_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	peer_flush(arg);
}

void peer_add(struct peers *peers, enum role role, int fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (peer == NULL) {
		close(fd);
		return;
	}
	peer->peers = peers;
	peer->role = role;
	peer->fd = fd;
	LIST_INIT(&peer->waiting);
	STAILQ_INIT(&peer->unsent);
	LIST_INSERT_HEAD(&peers->list, peer, link);
	peer->readable = event_new(peers->base, fd, EV_READ | EV_PERSIST, on_peer_readable, peer);
	peer->writable = event_new(peers->base, fd, EV_WRITE, on_peer_writable, peer);
	if (peer->readable == NULL || peer->writable == NULL ||
		event_add(peer->readable, NULL) == -1) {
		peer_free(peer);
		return;
	}
	if (role == ROLE_CONTROL && peers->fill_state != NULL) {
		peer->states = ALL_STATES;
		peer_flush(peer);
	}
}

void peers_tell_change(struct peers *peers)
{
	struct peer *peer;

	LIST_FOREACH(peer, &peers->list, link)
		if (peer->role == ROLE_WORKER && !peer->has_change) {
			peer->has_change = true;
			peer_flush(peer);
		}
}

void peers_tell_drop(struct peers *peers, const char *mailbox)
{
	struct message message = {.type = MESSAGE_LOGIN_DROP};
	struct peer *peer;

	snprintf(message.u.login_drop.mailbox, sizeof(message.u.login_drop.mailbox), "%s", mailbox);
	LIST_FOREACH(peer, &peers->list, link) {
		if (peer->role != ROLE_WORKER ||
			(!peer_has_unsent(peer) && message_send(peer->fd, &message, -1) == 0))
			continue;
		peer->request_count++; /* until it is sent */
		if (keep_unsent(peer, &message))
			peer_flush(peer);
		else
			peer_die(peer);
	}
}

void peers_tell_state(struct peers *peers, unsigned int kind)
{
	struct peer *peer;

	LIST_FOREACH(peer, &peers->list, link)
		if (peer->role == ROLE_CONTROL) {
			peer->states |= 1u << kind;
			peer_flush(peer);
		}
}
