#include "proxy/revocation_ocsp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "auth/ocsp_engine.h"
#include "proxy/log.h"

enum { QUERIES_MAX = 32 /* of one worker in one turn */ };

/* An answer for which the channel had no room. */
struct unsent {
	STAILQ_ENTRY(unsent) link;
	struct message message;
};

struct peer {
	struct revocation_ocsp *ocsp;
	int fd;
	struct event *readable, *writable;
	/* While there is any, no more questions are read: so there are never more than were asked. */
	STAILQ_HEAD(, unsent) unsent;
};

struct revocation_ocsp {
	struct event_base *base;
	struct ocsp_engine *engine;
};

static void peer_free(struct peer *peer)
{
	ocsp_engine_forget(peer->ocsp->engine, peer);
	while (!STAILQ_EMPTY(&peer->unsent)) {
		struct unsent *unsent = STAILQ_FIRST(&peer->unsent);

		STAILQ_REMOVE_HEAD(&peer->unsent, link);
		free(unsent);
	}
	if (peer->readable != NULL)
		event_free(peer->readable);
	if (peer->writable != NULL)
		event_free(peer->writable);
	close(peer->fd);
	free(peer);
}

static void peer_keep(struct peer *peer, const struct message *message)
{
	struct unsent *unsent = malloc(sizeof(*unsent));

	if (unsent == NULL)
		return; /* the worker does not wait for ever */
	unsent->message = *message;
	STAILQ_INSERT_TAIL(&peer->unsent, unsent, link);
	event_del(peer->readable);
	event_add(peer->writable, NULL);
}

/* An ocsp_engine_done. A worker that has gone is noticed by its channel's end. */
static void on_answer(void *asker, const uint8_t leaf_sha256[32], const struct ocsp_result *result,
	int64_t asked_at)
{
	struct peer *peer = asker;
	struct message message = {.type = MESSAGE_OCSP_ANSWER,
		.u.ocsp_answer = {.asked_at = asked_at, .result = *result}};

	memcpy(message.u.ocsp_answer.leaf_sha256, leaf_sha256, 32);
	if (!STAILQ_EMPTY(&peer->unsent) ||
		(message_send(peer->fd, &message, -1) == -1 && errno == EAGAIN))
		peer_keep(peer, &message);
}

static void on_report(void *context, const char *responder, const char *text)
{
	struct log_line line;

	(void)context;
	log_begin(&line, text != NULL ? CONFIG_LOG_WARNING : CONFIG_LOG_INFO,
		text != NULL ? "ocsp-failed" : "ocsp-recovered");
	log_text(&line, "responder", responder);
	log_text(&line, "message", text != NULL ? text : "the responder gives good answers again");
	log_end(&line);
}

static void on_peer_readable(evutil_socket_t fd, short what, void *arg)
{
	struct peer *peer = arg;
	struct message query;
	int passed_fd;

	(void)what;
	for (int i = 0; i < QUERIES_MAX && STAILQ_EMPTY(&peer->unsent); i++) {
		struct ocsp_question question;
		int result = message_receive(fd, &query, &passed_fd);

		if (result == -1 && errno == EAGAIN)
			return;
		if (passed_fd != -1)
			close(passed_fd);
		if (result != 1 || query.type != MESSAGE_OCSP_QUERY) {
			peer_free(peer);
			return;
		}
		question = (struct ocsp_question){.authority = query.u.ocsp_query.authority,
			.serial = query.u.ocsp_query.serial,
			.url = query.u.ocsp_query.url};
		ocsp_engine_ask(
			peer->ocsp->engine, &question, peer, query.u.ocsp_query.leaf_sha256);
	}
}

static void on_peer_writable(evutil_socket_t fd, short what, void *arg)
{
	struct peer *peer = arg;

	(void)what;
	while (!STAILQ_EMPTY(&peer->unsent)) {
		struct unsent *unsent = STAILQ_FIRST(&peer->unsent);

		if (message_send(fd, &unsent->message, -1) == -1) {
			if (errno == EAGAIN)
				event_add(peer->writable, NULL);
			else
				peer_free(peer);
			return;
		}
		STAILQ_REMOVE_HEAD(&peer->unsent, link);
		free(unsent);
	}
	event_add(peer->readable, NULL);
}

void revocation_ocsp_attach(struct revocation_ocsp *ocsp, int fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (peer == NULL) {
		close(fd);
		return;
	}
	peer->ocsp = ocsp;
	peer->fd = fd;
	STAILQ_INIT(&peer->unsent);
	peer->readable = event_new(ocsp->base, fd, EV_READ | EV_PERSIST, on_peer_readable, peer);
	peer->writable = event_new(ocsp->base, fd, EV_WRITE, on_peer_writable, peer);
	if (peer->readable == NULL || peer->writable == NULL ||
		event_add(peer->readable, NULL) == -1)
		peer_free(peer);
}

struct revocation_ocsp *revocation_ocsp_new(
	struct event_base *base, const struct child *child, struct error *err)
{
	struct revocation_ocsp *ocsp = calloc(1, sizeof(*ocsp));

	if (ocsp == NULL) {
		error_set(err, "out of memory");
		return NULL;
	}
	ocsp->base = base;
	ocsp->engine = ocsp_engine_new(
		base, child->trust, &child->config->revocation, on_answer, on_report, ocsp, err);
	if (ocsp->engine != NULL)
		return ocsp;
	free(ocsp);
	return NULL;
}
