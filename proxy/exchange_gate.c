/*
 * Whether a request may pass, and to whom: once when its head is there, once when it is whole.
 */
#include "proxy/exchange.h"

enum refusal exchange_gate(struct exchange *exchange)
{
	struct session *session = exchange->session;
	struct worker *worker = session->worker;

	/* First of all: whatever else is found, nothing of it may go to the mail server. */
	if (session->is_wipe_only) {
		exchange->room = ROOM_WIPE;
		if (exchange->request.path != EAS_PATH_SYNC)
			return REFUSAL_CERTIFICATE_REVOKED;
	}
	if (exchange->request.device_id[0] == '\0')
		return REFUSAL_NONE;
	exchange->device = device_table_pin(
		worker->devices, session->credential->mailbox, exchange->request.device_id);
	if (exchange->device == NULL)
		return REFUSAL_INTERNAL;
	return REFUSAL_NONE;
}

enum refusal exchange_judge(struct exchange *exchange)
{
	(void)exchange;
	return REFUSAL_NONE;
}

void exchange_gate_leave(struct exchange *exchange)
{
	if (exchange->device != NULL)
		device_table_unpin(exchange->session->worker->devices, exchange->device);
	exchange->device = NULL;
}
