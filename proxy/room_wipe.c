#include "proxy/room_wipe.h"

#include "proxy/device_client.h"
#include "proxy/device_table.h"
#include "proxy/exchange.h"
#include "proxy/log.h"
#include "proxy/room_wipe_reply.h"

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
	const struct device_entry *device = exchange->device;
	struct room_wipe_order order = {.kind = ROOM_WIPE_NONE};

	if (device != NULL) {
		order.is_done = device->state == DEVICE_WIPED;
		order.kind = kind_of_state((enum device_state)(
			device->state == DEVICE_WIPE_FAILED ? device->wipe : device->state));
	}
	if (order.kind == ROOM_WIPE_NONE && exchange->session->is_wipe_only)
		order.kind = trust->wipe_kind == CONFIG_WIPE_DEVICE ? ROOM_WIPE_DEVICE
								    : ROOM_WIPE_ACCOUNT;
	if (order.kind == ROOM_WIPE_NONE)
		order.kind = ROOM_WIPE_ACCOUNT;
	return order;
}

/* Not only by its revoked certificate. */
static bool has_order(const struct exchange *exchange)
{
	enum device_state state = (enum device_state)exchange->device->state;

	return state == DEVICE_WIPE_FAILED || kind_of_state(state) != ROOM_WIPE_NONE;
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

	if (credential_serial(credential) != NULL)
		serial_format(credential_serial(credential), serial);
	log_begin(&line, reply->is_wiped ? CONFIG_LOG_INFO : CONFIG_LOG_WARNING,
		reply->is_wiped ? "wiped" : "wipe-failed");
	log_text(&line, "id", exchange->id);
	log_text(&line, "mailbox", credential->mailbox);
	log_text(&line, "device", exchange->request.device_id);
	log_text(&line, "kind", kind_name(question->acknowledged));
	log_number(&line, "wipe_status", question->acknowledged_status);
	log_text(&line, "serial", serial);
	log_text(&line, "issuer", credential_issuer(credential));
	log_bool(&line, "revoked", exchange->session->is_wipe_only);
	log_end(&line);
}

static enum device_state state_of_kind(enum room_wipe_kind kind)
{
	return kind == ROOM_WIPE_DEVICE ? DEVICE_WIPE_ALL : DEVICE_WIPE_ACCOUNT;
}

void room_wipe_answer(struct exchange *exchange)
{
	struct room_question question = room_question_of(
		&exchange->request, exchange->method == HTTP_OPTIONS, exchange->request_facts);
	struct room_wipe_order order = order_of(exchange);
	struct room_reply reply = {0};

	room_wipe_reply(&order, &question, &reply);
	if (exchange->device != NULL && (reply.is_wiped || reply.has_failed_to_wipe)) {
		log_acknowledgement(exchange, &question, &reply);
		device_client_wiped(
			exchange, state_of_kind(order.kind), question.acknowledged_status);
	}
	if (exchange->device != NULL && reply.has_directive && has_order(exchange))
		device_client_wipe_sent(exchange, state_of_kind(order.kind));
	room_send(exchange, &reply);
}
