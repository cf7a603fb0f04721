#include "proxy/room_wipe.h"

#include <stdio.h>
#include <string.h>

#include "proxy/device_table.h"
#include "proxy/exchange.h"
#include "proxy/log.h"
#include "proxy/room_wipe_reply.h"
#include "proxy/worker_control.h"

static enum room_wipe_kind kind_of_state(enum device_state state)
{
	switch (state) {
	case DEVICE_WIPE_ALL: return ROOM_WIPE_DEVICE;
	case DEVICE_WIPE_ACCOUNT: return ROOM_WIPE_ACCOUNT;
	default: return ROOM_WIPE_NONE;
	}
}

/* An order for the device says more than what its revoked certificate is met with. Of one whose kind is not
 * known, because it was lost, the milder is meant. */
static struct room_wipe_order order_of(const struct exchange *exchange)
{
	const struct config_trust *trust = &exchange->session->worker->config->trust;
	const struct device_grant *grant =
		exchange->device != NULL ? &exchange->device->grant : NULL;
	struct room_wipe_order order = {.kind = ROOM_WIPE_NONE};

	if (grant != NULL) {
		order.is_done = grant->state == DEVICE_WIPED;
		order.kind = kind_of_state(
			grant->state == DEVICE_WIPE_FAILED ? grant->wipe : grant->state);
	}
	if (order.kind == ROOM_WIPE_NONE && exchange->session->is_wipe_only)
		order.kind = trust->wipe_kind == CONFIG_WIPE_DEVICE ? ROOM_WIPE_DEVICE
								    : ROOM_WIPE_ACCOUNT;
	if (order.kind == ROOM_WIPE_NONE)
		order.kind = ROOM_WIPE_ACCOUNT;
	return order;
}

static const char *kind_name(enum room_wipe_kind kind)
{
	return kind == ROOM_WIPE_DEVICE ? "device" : "account";
}

static void log_acknowledgement(const struct exchange *exchange,
	const struct room_question *question, const struct room_reply *reply)
{
	const struct credential *credential = exchange->session->credential;
	char serial[41] = "";
	struct log_line line;

	if (credential->link_count > 0)
		serial_format(&credential->links[0].serial, serial);
	log_begin(&line, reply->is_wiped ? CONFIG_LOG_INFO : CONFIG_LOG_WARNING,
		reply->is_wiped ? "wiped" : "wipe-failed");
	log_text(&line, "id", exchange->id);
	log_text(&line, "mailbox", credential->mailbox);
	log_text(&line, "device", exchange->request.device_id);
	log_text(&line, "kind", kind_name(question->acknowledged));
	log_number(&line, "wipe_status", question->acknowledged_status);
	log_text(&line, "serial", serial);
	log_text(&line, "issuer", credential->issuer);
	log_bool(&line, "revoked", exchange->session->is_wipe_only);
	log_end(&line);
}

static void tell_control(struct exchange *exchange, const struct room_question *question)
{
	struct worker *worker = exchange->session->worker;
	const struct credential *credential = exchange->session->credential;
	struct message message = {.type = MESSAGE_DEVICE_WIPED};

	snprintf(message.u.device_wiped.mailbox, sizeof(message.u.device_wiped.mailbox), "%s",
		credential->mailbox);
	snprintf(message.u.device_wiped.device_id, sizeof(message.u.device_wiped.device_id), "%s",
		device_entry_id(exchange->device));
	message.u.device_wiped.kind =
		question->acknowledged == ROOM_WIPE_DEVICE ? DEVICE_WIPE_ALL : DEVICE_WIPE_ACCOUNT;
	message.u.device_wiped.status = question->acknowledged_status;
	message.u.device_wiped.version = question->version;
	message.u.device_wiped.at = worker_now(worker);
	memcpy(message.u.device_wiped.leaf_sha256, credential->leaf_sha256,
		sizeof(message.u.device_wiped.leaf_sha256));
	if (credential->link_count > 0)
		message.u.device_wiped.serial = credential->links[0].serial;
	worker_control_tell(worker, &message);
}

/* This worker knows it at once; control writes it down and tells the others. */
static void note_acknowledgement(struct exchange *exchange, const struct room_wipe_order *order,
	const struct room_question *question, const struct room_reply *reply)
{
	struct device_grant *grant = &exchange->device->grant;

	log_acknowledgement(exchange, question, reply);
	tell_control(exchange, question);
	grant->wipe = order->kind == ROOM_WIPE_DEVICE ? DEVICE_WIPE_ALL : DEVICE_WIPE_ACCOUNT;
	grant->state = reply->is_wiped ? DEVICE_WIPED : DEVICE_WIPE_FAILED;
}

void room_wipe_answer(struct exchange *exchange)
{
	struct room_question question = room_question_of(
		&exchange->request, exchange->method == HTTP_OPTIONS, exchange->request_facts);
	struct room_wipe_order order = order_of(exchange);
	struct room_reply reply = {0};

	room_wipe_reply(&order, &question, &reply);
	if (exchange->device != NULL && (reply.is_wiped || reply.has_failed_to_wipe))
		note_acknowledgement(exchange, &order, &question, &reply);
	room_send(exchange, &reply);
}
