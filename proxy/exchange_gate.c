/*
 * Whether a request may pass, and to whom: once when its head is there, once when it is whole.
 */
#include "proxy/exchange.h"
#include "proxy/governor.h"

enum refusal exchange_gate(struct exchange *exchange, const struct http_head *head)
{
	struct session *session = exchange->session;
	struct worker *worker = session->worker;
	enum refusal refusal;

	if (exchange->request.device_id[0] != '\0') {
		exchange->device = device_table_pin(
			worker->devices, session->credential->mailbox, exchange->request.device_id);
		if (exchange->device == NULL)
			return REFUSAL_INTERNAL;
	}
	refusal = room_choose(exchange);
	if (refusal == REFUSAL_NONE)
		refusal = governor_admit(exchange);
	if (refusal == REFUSAL_NONE)
		refusal = exchange_policy_head(exchange, head, exchange->waits);
	return refusal;
}

enum refusal exchange_judge(struct exchange *exchange)
{
	enum refusal refusal = governor_judge(exchange);

	if (refusal == REFUSAL_NONE)
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
	if (exchange->device != NULL)
		device_table_unpin(exchange->session->worker->devices, exchange->device);
	exchange->device = NULL;
}
