#include "proxy/room_question.h"

static void take_collections(struct room_question *question, const struct eas_body *body)
{
	question->collection_count = body->collection_count;
	for (uint32_t i = 0; i < body->collection_count && i < ROOM_COLLECTIONS_MAX; i++)
		question->collections[i] = (struct room_collection){
			.id = span_of_string(eas_body_collection_id(body, i)),
			.key = span_of_string(eas_body_sync_key(body, i))};
}

static void take_wipe(struct room_question *question, const struct eas_body *body)
{
	static const enum room_wipe_kind kinds[] = {[EAS_WIPE_NONE] = ROOM_WIPE_NONE,
		[EAS_WIPE_ALL] = ROOM_WIPE_DEVICE,
		[EAS_WIPE_ACCOUNT] = ROOM_WIPE_ACCOUNT};

	if (body->wipe_kind < sizeof(kinds) / sizeof(kinds[0]))
		question->acknowledged = kinds[body->wipe_kind];
	question->acknowledged_status = body->wipe_status;
}

struct room_question room_question_of(
	const struct eas_request *request, bool is_options, const struct eas_body *body)
{
	struct room_question question = {.is_options = is_options,
		.command = request->command,
		.version = request->version,
		.has_policy_key = request->has_policy_key,
		.has_body = body != NULL};

	if (body == NULL)
		return question;
	question.heartbeat_s = body->heartbeat_s;
	question.is_partial = body->is_partial;
	question.has_device_info = body->device_info_present;
	question.asks_user_info = (body->settings & EAS_SETTING_USER_INFORMATION) != 0;
	question.asks_oof = (body->settings & EAS_SETTING_OOF) != 0;
	question.has_password = (body->settings & EAS_SETTING_DEVICE_PASSWORD) != 0;
	question.acknowledges_key = body->provision_policy_key != 0;
	question.folder_key = span_of_string(eas_body_text(body, body->folder_key));
	question.adds = body->adds;
	question.other_changes = body->changes + body->deletes;
	question.fetches = body->fetches;
	take_wipe(&question, body);
	take_collections(&question, body);
	return question;
}
