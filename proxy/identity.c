/*
 * The identity process: says whose mailbox a certificate's names mean, to workers and control, and gets
 * logins on owners' behalf.
 */
#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/mailbox.h"
#include "proxy/child.h"
#include "proxy/identity_directory.h"
#include "proxy/identity_login.h"
#include "proxy/identity_peer.h"
#include "proxy/log.h"
#include "proxy/sandbox.h"

/* A query from its arrival until its answer is sent. */
struct request {
	struct peer_request asked;
	struct identity *identity;
	struct directory_waiter waiter;
	struct directory_question question;
	struct identity_names names;
	struct mailbox_search search;
	uint64_t id;
	int64_t valid_until;
};

struct identity {
	const struct child *child;
	struct event_base *base;
	struct event *supervisor;
	struct identity_directory *directory;
	struct identity_works works;
	struct identity_login *login;
	struct peers peers;
};

/* Requests */

static void request_finish(struct request *request)
{
	const struct mailbox_search *search = &request->search;
	struct message message = {.type = MESSAGE_MAILBOX_ANSWER};
	struct mailbox_answer *answer = &message.u.mailbox_answer;

	answer->id = request->id;
	answer->valid_until = request->valid_until;
	answer->refusal = search->refusal;
	snprintf(answer->mailbox, sizeof(answer->mailbox), "%s",
		search->refusal == REFUSAL_NONE ? search->mailbox : "");
	snprintf(answer->users, sizeof(answer->users), "%s", search->users);
	answer->groups = search->groups;
	snprintf(answer->reason, sizeof(answer->reason), "%s", search->reason);
	peer_request_end(&request->asked, &message);
	free(request);
}

/* What it says of a mailbox may be news about whose account that is. */
static void request_take(struct request *request, const struct directory_answer *answer)
{
	struct identity *identity = request->identity;

	if (identity_login_note(identity->login, answer))
		peers_tell_drop(&identity->peers, answer->mailbox);
	mailbox_take(&request->search, &request->question, answer);
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
		request_take(request, &answer);
		if (valid_until < request->valid_until)
			request->valid_until = valid_until;
	}
	return true;
}

static void on_directory_answered(
	struct directory_waiter *waiter, const struct directory_answer *answer, int64_t valid_until)
{
	struct request *request =
		(struct request *)((char *)waiter - offsetof(struct request, waiter));

	if (request->asked.peer == NULL) {
		free(request);
		return;
	}
	request_take(request, answer);
	if (valid_until < request->valid_until)
		request->valid_until = valid_until;
	if (request_advance(request))
		request_finish(request);
}

/* False when there is no memory for it. */
static bool request_begin(struct identity *identity, struct peer *peer, const struct message *query)
{
	struct request *request = calloc(1, sizeof(*request));

	if (request == NULL)
		return false;
	request->identity = identity;
	request->waiter.answered = on_directory_answered;
	request->names = query->u.mailbox_query.names;
	request->id = query->u.mailbox_query.id;
	request->valid_until = INT64_MAX;
	mailbox_begin(&request->search, &identity->child->config->mailbox, &request->names);
	peer_request_begin(peer, &request->asked);
	if (request_advance(request))
		request_finish(request);
	return true;
}

static bool take(void *context, struct peer *peer, const struct message *message)
{
	struct identity *identity = context;

	return message->type == MESSAGE_MAILBOX_QUERY
		       ? request_begin(identity, peer, message)
		       : identity_login_take(identity->login, peer, message);
}

/* What operators are told */

static void fill_state(void *context, unsigned int kind, struct message *message)
{
	const struct identity *identity = context;
	const char *why;

	if (kind < LOGIN_KIND_COUNT) {
		identity_login_state(identity->login, (enum login_kind)kind, message);
		return;
	}
	message->u.login_state.kind = LOGIN_KIND_COUNT;
	message->u.login_state.is_down = identity_directory_is_down(
		identity->directory, &message->u.login_state.since, &why);
	snprintf(message->u.login_state.fault.text, sizeof(message->u.login_state.fault.text), "%s",
		why);
}

static void on_directory_state(void *context)
{
	struct identity *identity = context;

	peers_tell_state(&identity->peers, LOGIN_KIND_COUNT);
}

static void on_login_state(void *context, enum login_kind kind)
{
	struct identity *identity = context;

	peers_tell_state(&identity->peers, kind);
}

static void on_directory_changed(void *context)
{
	struct identity *identity = context;

	peers_tell_change(&identity->peers);
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
			peer_add(&identity->peers, (enum role)message.u.peer.role, passed_fd);
			break;
		case MESSAGE_USERS:
			identity_login_take_users(identity->login, passed_fd);
			close(passed_fd);
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
	static const struct identity_directory_calls calls = {
		.changed = on_directory_changed, .state_changed = on_directory_state};

	identity->base = event_base_new();
	if (identity->base == NULL)
		return -1;
	identity->peers = (struct peers){.base = identity->base,
		.take = take,
		.fill_state = fill_state,
		.context = identity};
	identity->supervisor = event_new(identity->base, identity->child->supervisor,
		EV_READ | EV_PERSIST, on_supervisor, identity);
	if (identity->supervisor == NULL || event_add(identity->supervisor, NULL) == -1 ||
		identity_directory_start(identity->directory, identity->base, &calls, identity) ==
			-1 ||
		identity_login_start(identity->login, identity->base, identity->directory,
			on_login_state, identity) == -1)
		return -1;
	return sandbox_enter(identity->child, err);
}

int identity_main(const struct child *child)
{
	struct identity identity = {.child = child};
	struct message ready = {.type = MESSAGE_READY};
	struct error err = {"out of memory"};

	identity.directory = identity_directory_open(child, &err);
	identity_works_find(child, &identity.works);
	if (identity.directory != NULL)
		identity.login = identity_login_open(child, &identity.works, NULL, &err);
	if (identity.login == NULL || start(&identity, &err) == -1) {
		log_message(CONFIG_LOG_ERROR, "start-failed", "%s", err.text);
		return 1;
	}
	if (message_send(child->supervisor, &ready, -1) == -1)
		return 1;
	event_base_dispatch(identity.base);
	/* The process ends here: the kernel takes all of it back at once. */
	return 0;
}
