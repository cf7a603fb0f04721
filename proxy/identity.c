/*
 * The identity process: says whose mailbox a certificate's names mean. Its callers are the workers,
 * one channel each, which the supervisor hands to both sides whenever one of them starts.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "auth/mailbox.h"
#include "proxy/child.h"
#include "proxy/log.h"
#include "proxy/sandbox.h"

enum { QUERIES_MAX = 32 /* of one worker in one turn */ };

LIST_HEAD(peer_list, peer);

struct identity {
	const struct child *child;
	struct event_base *base;
	struct event *supervisor;
	struct peer_list peers;
};

struct peer {
	LIST_ENTRY(peer) link;
	struct identity *identity;
	int fd;
	struct event *readable, *writable;
	bool has_unsent; /* the channel was full: nothing more is read before this is gone */
	struct message unsent;
};

static void peer_free(struct peer *peer)
{
	LIST_REMOVE(peer, link);
	if (peer->readable != NULL)
		event_free(peer->readable);
	if (peer->writable != NULL)
		event_free(peer->writable);
	close(peer->fd);
	free(peer);
}

static void answer(
	const struct identity *identity, const struct message *query, struct message *answer)
{
	memset(answer, 0, sizeof(*answer));
	answer->type = MESSAGE_MAILBOX_ANSWER;
	answer->u.mailbox_answer.id = query->u.mailbox_query.id;
	answer->u.mailbox_answer.valid_until = INT64_MAX;
	answer->u.mailbox_answer.refusal = mailbox_resolve(&identity->child->config->mailbox,
		&query->u.mailbox_query.names, answer->u.mailbox_answer.mailbox);
}

/* False when the peer is gone. */
static bool peer_send_unsent(struct peer *peer)
{
	if (message_send(peer->fd, &peer->unsent, -1) == 0) {
		peer->has_unsent = false;
		return true;
	}
	if (errno != EAGAIN)
		return false;
	event_del(peer->readable);
	event_add(peer->writable, NULL);
	return true;
}

static void on_peer_readable(evutil_socket_t fd, short what, void *arg)
{
	struct peer *peer = arg;
	struct message query;
	int passed_fd;

	(void)what;
	for (int i = 0; i < QUERIES_MAX && !peer->has_unsent; i++) {
		int result = message_receive(fd, &query, &passed_fd);

		if (result == -1 && errno == EAGAIN)
			return;
		if (passed_fd != -1)
			close(passed_fd);
		if (result != 1 || query.type != MESSAGE_MAILBOX_QUERY) {
			peer_free(peer);
			return;
		}
		answer(peer->identity, &query, &peer->unsent);
		peer->has_unsent = true;
		if (!peer_send_unsent(peer)) {
			peer_free(peer);
			return;
		}
	}
}

static void on_peer_writable(evutil_socket_t fd, short what, void *arg)
{
	struct peer *peer = arg;

	(void)fd;
	(void)what;
	if (!peer_send_unsent(peer))
		peer_free(peer);
	else if (!peer->has_unsent)
		event_add(peer->readable, NULL);
}

static void peer_add(struct identity *identity, int fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (peer == NULL) {
		close(fd);
		return;
	}
	peer->identity = identity;
	peer->fd = fd;
	LIST_INSERT_HEAD(&identity->peers, peer, link);
	peer->readable =
		event_new(identity->base, fd, EV_READ | EV_PERSIST, on_peer_readable, peer);
	peer->writable = event_new(identity->base, fd, EV_WRITE, on_peer_writable, peer);
	if (peer->readable == NULL || peer->writable == NULL ||
		event_add(peer->readable, NULL) == -1)
		peer_free(peer);
}

static void on_supervisor(evutil_socket_t fd, short what, void *arg)
{
	struct identity *identity = arg;
	struct message message;
	int passed_fd, result;

	(void)what;
	while ((result = message_receive(fd, &message, &passed_fd)) == 1) {
		switch (message.type) {
		case MESSAGE_PEER: peer_add(identity, passed_fd); break;
		case MESSAGE_LOG: log_reopen(passed_fd); break;
		case MESSAGE_DRAIN: event_base_loopbreak(identity->base); break;
		default:
			if (passed_fd != -1)
				close(passed_fd);
			break;
		}
	}
	if (result == 0 || errno != EAGAIN)
		event_base_loopbreak(identity->base);
}

int identity_main(const struct child *child)
{
	struct identity identity = {.child = child};
	struct message ready = {.type = MESSAGE_READY};
	struct error err;

	identity.base = event_base_new();
	if (identity.base == NULL)
		return 1;
	identity.supervisor = event_new(
		identity.base, child->supervisor, EV_READ | EV_PERSIST, on_supervisor, &identity);
	if (identity.supervisor == NULL || event_add(identity.supervisor, NULL) == -1)
		return 1;
	if (sandbox_enter(child, &err) == -1) {
		log_message(CONFIG_LOG_ERROR, "start-failed", "%s", err.text);
		return 1;
	}
	if (message_send(child->supervisor, &ready, -1) == -1)
		return 1;
	event_base_dispatch(identity.base);
	/* The process ends here: the kernel takes all of it back at once. */
	return 0;
}
