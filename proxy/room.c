#include "proxy/room.h"

#include <limits.h>

#include "proxy/answer_field.h"
#include "proxy/device_table.h"
#include "proxy/exchange.h"
#include "proxy/room_autodiscover.h"
#include "proxy/room_quarantine.h"
#include "proxy/room_reply.h"
#include "proxy/room_wipe.h"

enum refusal room_choose(struct exchange *exchange)
{
	enum device_state state =
		exchange->device != NULL ? exchange->device->state : DEVICE_ALLOWED;

	/* Whatever else it is, nothing of it may go to the mail server. */
	if (exchange->session->is_wipe_only) {
		exchange->room = ROOM_WIPE;
		return exchange->request.path == EAS_PATH_SYNC ? REFUSAL_NONE
							       : REFUSAL_CERTIFICATE_REVOKED;
	}
	if (exchange->room == ROOM_AUTODISCOVER)
		return REFUSAL_NONE;
	exchange->room = ROOM_UPSTREAM;
	switch (state) {
	case DEVICE_ALLOWED: return REFUSAL_NONE;
	case DEVICE_QUARANTINED: exchange->room = ROOM_QUARANTINE; return REFUSAL_NONE;
	case DEVICE_WIPE_ACCOUNT:
	case DEVICE_WIPE_ALL:
	case DEVICE_WIPED:
	case DEVICE_WIPE_FAILED: exchange->room = ROOM_WIPE; return REFUSAL_NONE;
	default: return REFUSAL_DEVICE_BLOCKED;
	}
}

/* What is open here; what the mail server has of it the phone hears once it is let in. */
static void answer_options(struct exchange *exchange)
{
	static const char versions[] = "2.5,12.0,12.1,14.0,14.1,16.0,16.1";
	static const char commands[] =
		"Sync,SendMail,SmartForward,SmartReply,GetAttachment,FolderSync,FolderCreate,"
		"FolderDelete,FolderUpdate,MoveItems,GetItemEstimate,MeetingResponse,Search,"
		"Settings,Ping,ItemOperations,Provision,ResolveRecipients,ValidateCert,Find";
	const struct config_activesync *config = &exchange->session->worker->config->activesync;
	bool is_wipe_only = exchange->session->is_wipe_only;
	char open_versions[sizeof(versions)], open_commands[sizeof(commands)];
	const struct own_field fields[] = {
		{"MS-ASProtocolVersions", open_versions},
		{"MS-ASProtocolCommands", open_commands},
		{"Public", "OPTIONS,POST"},
		{"Allow", "OPTIONS,POST"},
		{"Cache-Control", "private"},
	};

	answer_field_versions(span_of_string(versions), is_wipe_only ? 0 : config->min_protocol,
		is_wipe_only ? UINT_MAX : config->max_protocol, open_versions,
		sizeof(open_versions));
	answer_field_commands(span_of_string(commands), config->closed_commands, open_commands,
		sizeof(open_commands));
	exchange_answer_own(exchange, &(struct own_answer){.status = 200,
					      .fields = fields,
					      .field_count = sizeof(fields) / sizeof(fields[0])});
}

static void answer_document(struct exchange *exchange, const struct wbxml_buffer *document)
{
	static const struct own_field fields[] = {{"Cache-Control", "private"}};

	if (document->has_failed) {
		exchange_refuse(exchange, REFUSAL_INTERNAL, "writing an answer: out of memory");
		return;
	}
	exchange_answer_own(exchange,
		&(struct own_answer){.status = 200,
			.content_type = document->len > 0 ? "application/vnd.ms-sync.wbxml" : NULL,
			.fields = fields,
			.field_count = sizeof(fields) / sizeof(fields[0]),
			.body = span_of(document->data, document->len)});
}

/* Drains as other long polls do. */
static void hold(struct exchange *exchange, uint32_t hold_s)
{
	struct worker *worker = exchange->session->worker;

	exchange->is_poll = true;
	shared_add(&worker->counters->polls_open, 1);
	session_set_timer(exchange->session, hold_s * 1000);
	if (worker->is_draining)
		exchange_end_poll(exchange, worker->drain_time_ms, POLL_DRAINS);
}

void room_send(struct exchange *exchange, struct room_reply *reply)
{
	switch (reply->outcome) {
	case ROOM_ANSWER: answer_document(exchange, &reply->document); break;
	case ROOM_OPTIONS: answer_options(exchange); break;
	case ROOM_HOLD: hold(exchange, reply->hold_s); break;
	case ROOM_REFUSE:
		exchange->refusal_http_status = (uint16_t)reply->http_status;
		exchange_refuse(exchange, reply->refusal, reply->reason);
		break;
	}
	room_reply_free(reply);
}

void room_answer(struct exchange *exchange)
{
	switch (exchange->room) {
	case ROOM_WIPE: room_wipe_answer(exchange); return;
	case ROOM_QUARANTINE: room_quarantine_answer(exchange, false); return;
	case ROOM_AUTODISCOVER: room_autodiscover_answer(exchange); return;
	default: exchange_refuse(exchange, REFUSAL_INTERNAL, "nobody answers in this room");
	}
}

/* A key or a folder that only quarantine gives out. */
static bool names_ours(const struct eas_body *body)
{
	if (room_quarantine_is_ours(span_of_string(eas_body_text(body, body->folder_key))))
		return true;
	for (uint32_t i = 0; i < body->collection_count && i < EAS_COLLECTIONS_NAMED; i++)
		if (room_quarantine_is_ours(span_of_string(eas_body_collection_id(body, i))) ||
			room_quarantine_is_ours(span_of_string(eas_body_sync_key(body, i))))
			return true;
	return false;
}

bool room_release(struct exchange *exchange)
{
	struct room_question question;
	struct room_reply reply = {0};

	if (exchange->request_facts == NULL || !names_ours(exchange->request_facts))
		return false;
	question = room_question_of(&exchange->request, false, exchange->request_facts);
	if (!room_quarantine_release(&question, &reply))
		return false;
	room_send(exchange, &reply);
	return true;
}

bool room_wait_over(struct exchange *exchange)
{
	if (exchange->room != ROOM_QUARANTINE || !exchange->is_poll)
		return false;
	room_quarantine_answer(exchange, true);
	return true;
}

void room_recheck(struct exchange *exchange)
{
	enum room before = exchange->room;
	enum refusal refusal = room_choose(exchange);
	bool can_be_told = exchange->is_read && exchange->answer == EXCHANGE_NO_ANSWER;

	if (exchange->stage == EXCHANGE_OVER ||
		(refusal == REFUSAL_NONE && exchange->room == before))
		return;
	if (refusal != REFUSAL_NONE)
		exchange_refuse(exchange, refusal, "the device may not come in any more");
	else if (can_be_told && exchange->room != ROOM_UPSTREAM)
		room_answer(exchange);
	else if (!can_be_told || !room_release(exchange))
		exchange_abort(exchange, REFUSAL_NONE, "what the device is has changed");
}
