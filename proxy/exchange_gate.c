/*
 * Whether a request may pass, and to whom: once when its head is there, once when it is whole.
 */
#include "proxy/exchange.h"
#include "proxy/governor.h"

enum refusal exchange_gate(struct exchange *exchange)
{
	struct session *session = exchange->session;
	struct worker *worker = session->worker;
	enum refusal refusal;

	if (exchange->request.device_id[0] == '\0')
		return room_choose(exchange);
	exchange->device = device_table_pin(
		worker->devices, session->credential->mailbox, exchange->request.device_id);
	if (exchange->device == NULL)
		return REFUSAL_INTERNAL;
	refusal = room_choose(exchange);
	if (refusal == REFUSAL_NONE)
		refusal = governor_admit(exchange);
	return refusal;
}

enum refusal exchange_judge(struct exchange *exchange)
{
	enum refusal refusal = governor_judge(exchange);

	if (refusal != REFUSAL_NONE || !governor_heartbeat_is_fine(exchange, 0))
		return refusal;
	if (exchange->room == ROOM_UPSTREAM)
		exchange_folders_start_over(exchange);
	return REFUSAL_NONE;
}

void exchange_gate_leave(struct exchange *exchange)
{
	governor_leave(exchange);
	if (exchange->device != NULL)
		device_table_unpin(exchange->session->worker->devices, exchange->device);
	exchange->device = NULL;
}
