#include "proxy/room_wipe_reply.h"

bool room_wipe_is_possible(const struct room_wipe_order *order, unsigned int version)
{
	return order->kind != ROOM_WIPE_ACCOUNT || version >= 161;
}

/* Provision{Status, RemoteWipe}, or its account-only sister. */
static void write_directive(
	struct room_reply *reply, const struct room_wipe_order *order, uint32_t status)
{
	struct wbxml_writer writer;

	reply->has_directive = true;
	room_reply_begin(reply, &writer, WBXML_PROVISION_PROVISION);
	room_write_number(&writer, WBXML_PROVISION_STATUS, status);
	wbxml_write_start(&writer, order->kind == ROOM_WIPE_DEVICE
					   ? WBXML_PROVISION_REMOTEWIPE
					   : WBXML_PROVISION_ACCOUNTONLYREMOTEWIPE);
	wbxml_write_end(&writer);
	wbxml_write_end(&writer);
}

static void take_acknowledgement(const struct room_wipe_order *order,
	const struct room_question *question, struct room_reply *reply)
{
	if (question->acknowledged_status == 1) {
		reply->is_wiped = !order->is_done;
		room_reply_status(reply, WBXML_PROVISION_PROVISION, WBXML_PROVISION_STATUS, 1);
	} else if (order->is_done) {
		/* It has said before that it was done: no reason to ask it for more. */
		room_reply_status(reply, WBXML_PROVISION_PROVISION, WBXML_PROVISION_STATUS, 1);
	} else {
		reply->has_failed_to_wipe = true;
		write_directive(reply, order, 2);
	}
}

static void answer_provision(const struct room_wipe_order *order,
	const struct room_question *question, struct room_reply *reply)
{
	if (question->acknowledged != ROOM_WIPE_NONE)
		take_acknowledgement(order, question, reply);
	else if (order->is_done)
		room_reply_policy(reply, question);
	else
		write_directive(reply, order, 1);
}

static void refuse_impossible(struct room_reply *reply)
{
	room_reply_refuse(reply, REFUSAL_DEVICE_BLOCKED, 0);
	reply->reason = "its account alone is to be wiped, which takes protocol 16.1";
}

void room_wipe_reply(const struct room_wipe_order *order, const struct room_question *question,
	struct room_reply *reply)
{
	if (question->is_options)
		reply->outcome = ROOM_OPTIONS;
	else if (!order->is_done && !room_wipe_is_possible(order, question->version))
		refuse_impossible(reply);
	else if (question->command == EAS_PROVISION)
		answer_provision(order, question, reply);
	else if (order->is_done)
		room_reply_refuse(reply, REFUSAL_DEVICE_WIPED, 0);
	else
		room_reply_refuse(reply, REFUSAL_DEVICE_WIPE, question->has_policy_key ? 449 : 403);
}
