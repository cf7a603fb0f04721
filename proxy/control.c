/*
 * The control process: answers easproxyctl. What it is asked is in control_requests.c, who asks in
 * control_client.c.
 */
#include <errno.h>
#include <event2/event.h>
#include <unistd.h>

#include "proxy/child.h"
#include "proxy/control_devices.h"
#include "proxy/control_explain.h"
#include "proxy/control_identity.h"
#include "proxy/control_logins.h"
#include "proxy/control_ocsp.h"
#include "proxy/control_process.h"
#include "proxy/control_seen.h"
#include "proxy/control_trace.h"
#include "proxy/control_upstream_test.h"
#include "proxy/control_users.h"
#include "proxy/control_workers.h"
#include "proxy/log.h"
#include "proxy/sandbox.h"

bool control_tell_supervisor(const struct control *control, uint32_t type)
{
	struct message message = {.type = type};

	return message_send(control->child->supervisor, &message, -1) == 0;
}

static void on_reloaded(const struct control *control, const struct message *message)
{
	struct control_client *client;

	while ((client = control_find_waiting(control, CONTROL_WAIT_RELOAD, 0)) != NULL)
		if (message->u.text[0] == '\0')
			control_answer_done(client);
		else
			control_answer_error(client, "%s", message->u.text);
}

/* Workers report what they have seen; identity and revocation are asked for explanations. */
static void on_peer(struct control *control, const struct message *message, int fd)
{
	if (message->u.peer.role == ROLE_WORKER)
		control_workers_attach(control, message->u.peer.slot, fd);
	else if (message->u.peer.role == ROLE_IDENTITY)
		control_identity_attach(control, fd);
	else if (message->u.peer.role == ROLE_REVOCATION)
		control_ocsp_attach(control, fd);
	else
		close(fd);
}

static void on_crl(struct control *control, const struct message *message)
{
	uint32_t authority = message->type == MESSAGE_CRL ? message->u.crl.authority
							  : message->u.index.authority;
	uint32_t place =
		message->type == MESSAGE_CRL ? message->u.crl.place : message->u.index.place;
	struct control_crl *known;

	if (authority >= control->child->trust->count || place >= CRL_LOCATION_MAX)
		return;
	known = &control->authorities[authority].crls[place];
	if (message->type == MESSAGE_INDEX) {
		known->has_index = true;
		known->index = message->u.index;
		return;
	}
	known->has_report[message->u.crl.is_delta] = true;
	known->reports[message->u.crl.is_delta] = message->u.crl;
	control_crl_reported(control);
}

static void on_message(struct control *control, const struct message *message)
{
	switch (message->type) {
	case MESSAGE_INDEX:
	case MESSAGE_CRL: on_crl(control, message); return;
	case MESSAGE_RELOADED: on_reloaded(control, message); return;
	case MESSAGE_DRAIN:
		control_trace_drain(control);
		control_upstream_test_drain(control);
		control_clients_drain(control);
		return;
	default: return;
	}
}

static void on_supervisor(evutil_socket_t fd, short what, void *arg)
{
	struct control *control = arg;
	struct message message;
	int passed_fd, result;

	(void)what;
	while ((result = message_receive(fd, &message, &passed_fd)) == 1) {
		switch (message.type) {
		case MESSAGE_LOG: log_reopen(passed_fd); break;
		case MESSAGE_PEER: on_peer(control, &message, passed_fd); break;
		default:
			if (message.type == MESSAGE_INDEX)
				control_explain_take_index(control, &message, passed_fd);
			if (passed_fd != -1)
				close(passed_fd);
			break;
		}
		on_message(control, &message);
	}
	if (result == 0 || errno != EAGAIN)
		event_base_loopbreak(control->base);
}

static int start(struct control *control, struct error *err)
{
	const struct child *child = control->child;

	/* A new one would say that nobody is revoked. */
	if (child->has_store && !state_store_exists(child->state_directory))
		return error_set(err,
			"the state store %s/state.db is gone, and with it who is revoked: put it "
			"back, or start easproxyd anew without it",
			child->config->state_directory);
	control->store =
		state_store_open(child->state_directory, child->config->state_directory, err);
	if (control->store == NULL)
		return -1;
	if (state_store_is_new(control->store))
		log_message(CONFIG_LOG_INFO, "state-store-made", "%s/state.db",
			child->config->state_directory);
	control->base = event_base_new();
	if (control->base == NULL)
		return error_set(err, "making the event loop");
	control->supervisor = event_new(
		control->base, child->supervisor, EV_READ | EV_PERSIST, on_supervisor, control);
	if (control->supervisor == NULL || event_add(control->supervisor, NULL) == -1)
		return error_set(err, "out of memory");
	if (control_explain_start(control, err) == -1 || control_seen_start(control, err) == -1 ||
		control_logins_start(control, err) == -1 ||
		control_clients_start(control, err) == -1)
		return -1;
	/* While nobody listens to us yet, so that no worker is born without knowing. */
	if (control_devices_start(control, err) == -1)
		return -1;
	return control_users_start(control, err);
}

int control_main(const struct child *child)
{
	static struct control control; /* large, and there is one */
	struct message ready = {.type = MESSAGE_READY};
	struct error err;

	control.child = child;
	if (start(&control, &err) == -1 || sandbox_enter(child, &err) == -1) {
		log_message(CONFIG_LOG_ERROR, "start-failed", "%s", err.text);
		return 1;
	}
	if (message_send(child->supervisor, &ready, -1) == -1)
		return 1;
	event_base_dispatch(control.base);
	control_seen_flush(&control);
	control_devices_flush(&control);
	/* Writes the log back into the file, if nobody else has it open, so that a copy of the file is
	 * whole. All else the kernel takes back at once. */
	state_store_close(control.store);
	return 0;
}
