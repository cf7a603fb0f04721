/*
 * The identity process: says whose mailbox a certificate's names mean. Its callers are the workers and
 * control, one channel each, which the supervisor hands to both sides whenever one of them starts.
 */
#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "auth/mailbox.h"
#include "proxy/child.h"
#include "proxy/identity_directory.h"
#include "proxy/log.h"
#include "proxy/sandbox.h"

enum {
	QUERIES_MAX = 32,    /* of one peer in one turn */
	REQUESTS_MAX = 4096, /* of one peer, waiting for the directory or to be sent */
};

/* A query from its arrival until its answer is sent. */
struct request {
	STAILQ_ENTRY(request) entry; /* in the peer's answered ones */
	LIST_ENTRY(request) link;    /* in the peer's waiting ones */
	struct identity *identity;
	struct peer *peer; /* NULL: it has gone meanwhile */
	struct directory_waiter waiter;
	struct directory_question question;
	struct identity_names names;
	struct mailbox_search search;
	struct mailbox_answer answer;
};

STAILQ_HEAD(answer_list, request);
LIST_HEAD(request_list, request);
LIST_HEAD(peer_list, peer);

struct identity {
	const struct child *child;
	struct event_base *base;
	struct event *supervisor;
	struct identity_directory *directory;
	struct peer_list peers;
};

struct peer {
	LIST_ENTRY(peer) link;
	struct identity *identity;
	enum role role;
	int fd;
	struct event *readable, *writable;
	size_t request_count;
	struct request_list waiting;
	struct answer_list
		answered; /* the channel is full: nothing more is read until they are gone */
	bool has_change;  /* MESSAGE_DIRECTORY_CHANGED is to be sent after them */
	bool is_dead;     /* freed by the callback that owns the turn */
};

static void peer_free(struct peer *peer)
{
	struct request *request, *next;

	LIST_REMOVE(peer, link);
	LIST_FOREACH(request, &peer->waiting, link)
		request->peer = NULL; /* freed when the directory has answered */
	for (request = STAILQ_FIRST(&peer->answered); request != NULL; request = next) {
		next = STAILQ_NEXT(request, entry);
		free(request);
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
	return peer->has_change || !STAILQ_EMPTY(&peer->answered);
}

/* 0, or -1 with errno: EAGAIN, or the peer is gone. Answers that wait were given before the change, and
 * must not be taken for news that came after it. */
static int peer_send_next(struct peer *peer)
{
	struct request *request = STAILQ_FIRST(&peer->answered);
	struct message message = {.type = MESSAGE_DIRECTORY_CHANGED};

	if (request == NULL) {
		if (message_send(peer->fd, &message, -1) == -1)
			return -1;
		peer->has_change = false;
		return 0;
	}
	message.type = MESSAGE_MAILBOX_ANSWER;
	message.u.mailbox_answer = request->answer;
	if (message_send(peer->fd, &message, -1) == -1)
		return -1;
	STAILQ_REMOVE_HEAD(&peer->answered, entry);
	peer->request_count--;
	free(request);
	return 0;
}

/* Sends what there is, as far as the channel takes it. */
static void peer_flush(struct peer *peer)
{
	while (peer_has_unsent(peer)) {
		if (peer_send_next(peer) == 0)
			continue;
		if (errno != EAGAIN) {
			peer->is_dead = true;
			/* Found by whoever reads: the end of the channel, or an error. */
			event_active(peer->readable, EV_READ, 0);
			return;
		}
		event_del(peer->readable);
		event_add(peer->writable, NULL);
		return;
	}
	event_add(peer->readable, NULL);
}

/* Requests */

static void request_finish(struct request *request)
{
	struct mailbox_search *search = &request->search;
	struct mailbox_answer *answer = &request->answer;
	struct peer *peer = request->peer;

	answer->refusal = search->refusal;
	snprintf(answer->mailbox, sizeof(answer->mailbox), "%s",
		search->refusal == REFUSAL_NONE ? search->mailbox : "");
	snprintf(answer->users, sizeof(answer->users), "%s", search->users);
	answer->groups = search->groups;
	snprintf(answer->reason, sizeof(answer->reason), "%s", search->reason);
	STAILQ_INSERT_TAIL(&peer->answered, request, entry);
}

/* Asks until the directory has to be waited for (false) or all is known (true). */
static bool request_advance(struct request *request)
{
	struct directory_answer answer;
	int64_t valid_until;

	while (mailbox_next(&request->search, &request->question) == MAILBOX_ASK) {
		if (identity_directory_ask(request->identity->directory, &request->question,
			    &request->waiter, &answer, &valid_until) == 0)
			return false;
		mailbox_take(&request->search, &request->question, &answer);
		if (valid_until < request->answer.valid_until)
			request->answer.valid_until = valid_until;
	}
	return true;
}

static void on_directory_answered(
	struct directory_waiter *waiter, const struct directory_answer *answer, int64_t valid_until)
{
	struct request *request =
		(struct request *)((char *)waiter - offsetof(struct request, waiter));
	struct peer *peer = request->peer;

	if (peer == NULL) {
		free(request);
		return;
	}
	mailbox_take(&request->search, &request->question, answer);
	if (valid_until < request->answer.valid_until)
		request->answer.valid_until = valid_until;
	if (!request_advance(request))
		return;
	LIST_REMOVE(request, link);
	request_finish(request);
	peer_flush(peer);
}

/* False when there is no memory for it. */
static bool request_begin(struct peer *peer, const struct message *query)
{
	struct request *request = calloc(1, sizeof(*request));

	if (request == NULL)
		return false;
	peer->request_count++;
	request->identity = peer->identity;
	request->peer = peer;
	request->waiter.answered = on_directory_answered;
	request->names = query->u.mailbox_query.names;
	request->answer.id = query->u.mailbox_query.id;
	request->answer.valid_until = INT64_MAX;
	mailbox_begin(&request->search, &peer->identity->child->config->mailbox, &request->names);
	if (request_advance(request))
		request_finish(request);
	else
		LIST_INSERT_HEAD(&peer->waiting, request, link);
	return true;
}

/* Peers */

static void on_peer_readable(evutil_socket_t fd, short what, void *arg)
{
	struct peer *peer = arg;
	struct message query;
	int passed_fd;

	(void)what;
	for (int i = 0; i < QUERIES_MAX && !peer->is_dead; i++) {
		int result;

		if (peer->request_count >= REQUESTS_MAX || peer_has_unsent(peer))
			break;
		result = message_receive(fd, &query, &passed_fd);
		if (result == -1 && errno == EAGAIN)
			return;
		if (passed_fd != -1)
			close(passed_fd);
		if (result != 1 || query.type != MESSAGE_MAILBOX_QUERY ||
			!request_begin(peer, &query)) {
			peer_free(peer);
			return;
		}
		if (!STAILQ_EMPTY(&peer->answered))
			peer_flush(peer);
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

static void peer_add(struct identity *identity, enum role role, int fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (peer == NULL) {
		close(fd);
		return;
	}
	peer->identity = identity;
	peer->role = role;
	peer->fd = fd;
	LIST_INIT(&peer->waiting);
	STAILQ_INIT(&peer->answered);
	LIST_INSERT_HEAD(&identity->peers, peer, link);
	peer->readable =
		event_new(identity->base, fd, EV_READ | EV_PERSIST, on_peer_readable, peer);
	peer->writable = event_new(identity->base, fd, EV_WRITE, on_peer_writable, peer);
	if (peer->readable == NULL || peer->writable == NULL ||
		event_add(peer->readable, NULL) == -1)
		peer_free(peer);
}

static void on_directory_changed(void *context)
{
	struct identity *identity = context;
	struct peer *peer;

	LIST_FOREACH(peer, &identity->peers, link)
		if (peer->role == ROLE_WORKER && !peer->has_change) {
			peer->has_change = true;
			peer_flush(peer);
		}
}

static void on_supervisor(evutil_socket_t fd, short what, void *arg)
{
	struct identity *identity = arg;
	struct message message;
	int passed_fd, result;

	(void)what;
	while ((result = message_receive(fd, &message, &passed_fd)) == 1) {
		switch (message.type) {
		case MESSAGE_PEER:
			peer_add(identity, (enum role)message.u.peer.role, passed_fd);
			break;
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

static int start(struct identity *identity, struct error *err)
{
	identity->base = event_base_new();
	if (identity->base == NULL)
		return -1;
	identity->supervisor = event_new(identity->base, identity->child->supervisor,
		EV_READ | EV_PERSIST, on_supervisor, identity);
	if (identity->supervisor == NULL || event_add(identity->supervisor, NULL) == -1 ||
		identity_directory_start(
			identity->directory, identity->base, on_directory_changed, identity) == -1)
		return -1;
	return sandbox_enter(identity->child, err);
}

int identity_main(const struct child *child)
{
	struct identity identity = {.child = child};
	struct message ready = {.type = MESSAGE_READY};
	struct error err = {"out of memory"};

	identity.directory = identity_directory_open(child, &err);
	if (identity.directory == NULL || start(&identity, &err) == -1) {
		log_message(CONFIG_LOG_ERROR, "start-failed", "%s", err.text);
		return 1;
	}
	if (message_send(child->supervisor, &ready, -1) == -1)
		return 1;
	event_base_dispatch(identity.base);
	/* The process ends here: the kernel takes all of it back at once. */
	return 0;
}
