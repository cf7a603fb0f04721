/*
 * Whether a request may pass, and to whom: once when its head is there, once when it is whole.
 */
#include "proxy/device_client.h"
#include "proxy/exchange.h"
#include "proxy/governor.h"

/* Phones remember for days what they were offered, so it is not enough to offer less. */
static enum refusal check_protocol(
	const struct config_activesync *config, const struct eas_request *request)
{
	if (request->command == EAS_NO_COMMAND)
		return REFUSAL_NONE;
	if (request->version < config->min_protocol || request->version > config->max_protocol)
		return REFUSAL_PROTOCOL_CLOSED;
	return (config->closed_commands >> request->command & 1) != 0 ? REFUSAL_COMMAND_CLOSED
								      : REFUSAL_NONE;
}

/* It is known whether the device may come in, and how far. */
static enum refusal gate_admitted(struct exchange *exchange)
{
	enum refusal refusal = room_choose(exchange);

	if (refusal == REFUSAL_NONE)
		refusal = governor_admit(exchange);
	return refusal;
}

static enum refusal gate_device(
	struct exchange *exchange, const struct http_head *head, bool *waits)
{
	struct session *session = exchange->session;

	exchange->device = device_table_pin(session->worker->devices, session->credential->mailbox,
		exchange->request.device_id);
	if (exchange->device == NULL)
		return REFUSAL_INTERNAL;
	/* Who is only to be told to wipe is not let in anyhow, and nothing he says is taken for the device's. */
	if (session->is_wipe_only) {
		device_client_look(exchange);
		return REFUSAL_NONE;
	}
	device_client_hear(exchange, head);
	return device_client_admit(exchange, waits);
}

enum refusal exchange_gate(struct exchange *exchange, const struct http_head *head)
{
	enum refusal refusal = REFUSAL_NONE;
	bool waits = false;

	if (exchange->request.device_id[0] != '\0')
		refusal = gate_device(exchange, head, &waits);
	if (refusal == REFUSAL_NONE && !waits)
		refusal = gate_admitted(exchange);
	/* No rule stands between a phone and its wipe, and an old one can be told to wipe, too. */
	if (refusal == REFUSAL_NONE && exchange->room != ROOM_WIPE)
		refusal = check_protocol(
			&exchange->session->worker->config->activesync, &exchange->request);
	if (refusal == REFUSAL_NONE && exchange->room != ROOM_WIPE)
		refusal = exchange_policy_head(exchange, head, waits);
	return refusal;
}

void exchange_gate_again(struct exchange *exchange)
{
	bool waits;
	enum refusal refusal = device_client_admit(exchange, &waits);

	if (waits)
		return;
	if (refusal == REFUSAL_NONE)
		refusal = gate_admitted(exchange);
	exchange_wait_over(exchange, refusal, NULL);
}

enum refusal exchange_judge(struct exchange *exchange)
{
	enum refusal refusal;

	if (exchange->device != NULL && !exchange->session->is_wipe_only)
		device_client_observe(exchange);
	refusal = governor_judge(exchange);
	if (refusal == REFUSAL_NONE && exchange->room != ROOM_WIPE)
		refusal = exchange_policy_whole(exchange);
	if (refusal != REFUSAL_NONE || exchange->room != ROOM_UPSTREAM)
		return refusal;
	if (governor_heartbeat_is_fine(exchange, exchange->policy.decision.heartbeat_max_s))
		exchange_folders_start_over(exchange);
	return refusal;
}

void exchange_gate_leave(struct exchange *exchange)
{
	governor_leave(exchange);
	if (exchange->device == NULL)
		return;
	device_client_leave(exchange);
	device_table_unpin(exchange->session->worker->devices, exchange->device);
	exchange->device = NULL;
}
