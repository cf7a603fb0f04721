/* What is worth knowing of a body, found by its place in the document while it passes. */
#include "proxy/eas_body.h"

#include <stdlib.h>

#include "proxy/eas_body_parts.h"
#include "proxy/eas_command.h"
#include "wbxml/codepages.h"

enum { HEARTBEAT_MAX_S = 3540 }; /* MS-ASCMD 2.2.3.88: the longest that Exchange grants */

enum { PATH_MAX_LEN = sizeof(((struct eas_body_work *)NULL)->path) / sizeof(uint16_t) };

enum what {
	WHAT_STATUS,
	WHAT_HEARTBEAT,
	WHAT_WAIT,
	WHAT_COLLECTION_ID,
	WHAT_POLICY_KEY,
	WHAT_POLICY_STATUS,
	WHAT_WIPE_STATUS,
	WHAT_FOLDER_KEY,
	WHAT_SYNC_KEY,
	WHAT_LAST_WITH_TEXT = WHAT_SYNC_KEY, /* below: the element's being there is all */
	WHAT_ADD,
	WHAT_CHANGE,
	WHAT_DELETE,
	WHAT_FETCH,
	WHAT_MORE,
	WHAT_PARTIAL,
	WHAT_COLLECTION,
	WHAT_WIPE_ALL,
	WHAT_WIPE_ACCOUNT,
	WHAT_POLICIES,
	WHAT_DEVICE_INFO,
	WHAT_OOF,
	WHAT_DEVICE_PASSWORD,
	WHAT_USER_INFORMATION
};

/* An element at this depth (the root has 1), in this root, right below this parent. The global
 * Status of each command is in the table of commands. */
static const struct rule {
	uint16_t root, parent, tag;
	uint8_t depth, what;
} rules[] = {
	{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_HEARTBEATINTERVAL, 2,
		WHAT_HEARTBEAT},
	{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_WAIT, 2, WHAT_WAIT},
	{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_PARTIAL, 2, WHAT_PARTIAL},
	{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_COLLECTION, WBXML_AIRSYNC_COLLECTIONID, 4,
		WHAT_COLLECTION_ID},
	{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_COLLECTION, WBXML_AIRSYNC_MOREAVAILABLE, 4, WHAT_MORE},
	{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_COMMANDS, WBXML_AIRSYNC_ADD, 5, WHAT_ADD},
	{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_COMMANDS, WBXML_AIRSYNC_CHANGE, 5, WHAT_CHANGE},
	{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_COMMANDS, WBXML_AIRSYNC_DELETE, 5, WHAT_DELETE},
	{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_COMMANDS, WBXML_AIRSYNC_FETCH, 5, WHAT_FETCH},
	{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_RESPONSES, WBXML_AIRSYNC_ADD, 5, WHAT_ADD},
	{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_RESPONSES, WBXML_AIRSYNC_CHANGE, 5, WHAT_CHANGE},
	{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_RESPONSES, WBXML_AIRSYNC_DELETE, 5, WHAT_DELETE},
	{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_RESPONSES, WBXML_AIRSYNC_FETCH, 5, WHAT_FETCH},
	{WBXML_PING_PING, WBXML_PING_PING, WBXML_PING_HEARTBEATINTERVAL, 2, WHAT_HEARTBEAT},
	{WBXML_PING_PING, WBXML_PING_FOLDER, WBXML_PING_ID, 4, WHAT_COLLECTION_ID},
	/* In an answer the id is the Folder's own text. */
	{WBXML_PING_PING, WBXML_PING_FOLDERS, WBXML_PING_FOLDER, 3, WHAT_COLLECTION_ID},
	{WBXML_GETITEMESTIMATE_GETITEMESTIMATE, WBXML_GETITEMESTIMATE_COLLECTION,
		WBXML_GETITEMESTIMATE_COLLECTIONID, 4, WHAT_COLLECTION_ID},
	{WBXML_PROVISION_PROVISION, WBXML_PROVISION_POLICY, WBXML_PROVISION_POLICYKEY, 4,
		WHAT_POLICY_KEY},
	{WBXML_PROVISION_PROVISION, WBXML_PROVISION_POLICY, WBXML_PROVISION_STATUS, 4,
		WHAT_POLICY_STATUS},
	{WBXML_PROVISION_PROVISION, WBXML_PROVISION_PROVISION, WBXML_PROVISION_POLICIES, 2,
		WHAT_POLICIES},
	{WBXML_PROVISION_PROVISION, WBXML_PROVISION_PROVISION, WBXML_PROVISION_REMOTEWIPE, 2,
		WHAT_WIPE_ALL},
	{WBXML_PROVISION_PROVISION, WBXML_PROVISION_PROVISION,
		WBXML_PROVISION_ACCOUNTONLYREMOTEWIPE, 2, WHAT_WIPE_ACCOUNT},
	{WBXML_PROVISION_PROVISION, WBXML_PROVISION_REMOTEWIPE, WBXML_PROVISION_STATUS, 3,
		WHAT_WIPE_STATUS},
	{WBXML_PROVISION_PROVISION, WBXML_PROVISION_ACCOUNTONLYREMOTEWIPE, WBXML_PROVISION_STATUS,
		3, WHAT_WIPE_STATUS},
	{WBXML_PROVISION_PROVISION, WBXML_PROVISION_PROVISION, WBXML_SETTINGS_DEVICEINFORMATION, 2,
		WHAT_DEVICE_INFO},
	{WBXML_SETTINGS_SETTINGS, WBXML_SETTINGS_SETTINGS, WBXML_SETTINGS_DEVICEINFORMATION, 2,
		WHAT_DEVICE_INFO},
	{WBXML_SETTINGS_SETTINGS, WBXML_SETTINGS_SETTINGS, WBXML_SETTINGS_OOF, 2, WHAT_OOF},
	{WBXML_SETTINGS_SETTINGS, WBXML_SETTINGS_SETTINGS, WBXML_SETTINGS_DEVICEPASSWORD, 2,
		WHAT_DEVICE_PASSWORD},
	{WBXML_SETTINGS_SETTINGS, WBXML_SETTINGS_SETTINGS, WBXML_SETTINGS_USERINFORMATION, 2,
		WHAT_USER_INFORMATION},
	{WBXML_FOLDERHIERARCHY_FOLDERSYNC, WBXML_FOLDERHIERARCHY_FOLDERSYNC,
		WBXML_FOLDERHIERARCHY_SYNCKEY, 2, WHAT_FOLDER_KEY},
	{WBXML_FOLDERHIERARCHY_FOLDERCREATE, WBXML_FOLDERHIERARCHY_FOLDERCREATE,
		WBXML_FOLDERHIERARCHY_SYNCKEY, 2, WHAT_FOLDER_KEY},
	{WBXML_FOLDERHIERARCHY_FOLDERDELETE, WBXML_FOLDERHIERARCHY_FOLDERDELETE,
		WBXML_FOLDERHIERARCHY_SYNCKEY, 2, WHAT_FOLDER_KEY},
	{WBXML_FOLDERHIERARCHY_FOLDERUPDATE, WBXML_FOLDERHIERARCHY_FOLDERUPDATE,
		WBXML_FOLDERHIERARCHY_SYNCKEY, 2, WHAT_FOLDER_KEY},
	{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_COLLECTIONS, WBXML_AIRSYNC_COLLECTION, 3,
		WHAT_COLLECTION},
	{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_COLLECTION, WBXML_AIRSYNC_SYNCKEY, 4, WHAT_SYNC_KEY},
	{WBXML_GETITEMESTIMATE_GETITEMESTIMATE, WBXML_GETITEMESTIMATE_COLLECTIONS,
		WBXML_GETITEMESTIMATE_COLLECTION, 3, WHAT_COLLECTION},
	{WBXML_GETITEMESTIMATE_GETITEMESTIMATE, WBXML_GETITEMESTIMATE_COLLECTION,
		WBXML_AIRSYNC_SYNCKEY, 4, WHAT_SYNC_KEY},
	{WBXML_ITEMOPERATIONS_ITEMOPERATIONS, WBXML_ITEMOPERATIONS_ITEMOPERATIONS,
		WBXML_ITEMOPERATIONS_FETCH, 2, WHAT_FETCH},
	{WBXML_ITEMOPERATIONS_ITEMOPERATIONS, WBXML_ITEMOPERATIONS_FETCH,
		WBXML_AIRSYNC_COLLECTIONID, 3, WHAT_COLLECTION_ID},
};

enum { RULE_DEPTH_MAX = 5, NOT_CAPTURING = -1, NOTHING_SAID = -1 };

struct eas_body *eas_body_new(const struct eas_body_terms *terms)
{
	struct eas_body *body = calloc(1, sizeof(*body));
	struct eas_body_work *work = calloc(1, sizeof(*work));

	if (body == NULL || work == NULL) {
		free(body);
		free(work);
		return NULL;
	}
	body->work = work;
	work->capture_what = NOT_CAPTURING;
	wbxml_reader_init(&work->reader, &terms->limits);
	return body;
}

void eas_body_free(struct eas_body *body)
{
	if (body == NULL)
		return;
	free(body->work);
	free(body->texts);
	free(body);
}

/* Whether the tag is where a command of this root has its global Status. */
static bool is_global_status(uint16_t root, uint16_t tag)
{
	for (unsigned int i = 0; i < EAS_COMMAND_COUNT; i++) {
		const struct eas_command_row *row = eas_command_row((enum eas_command)i);

		if (row->root == root && row->status == tag && tag != 0)
			return true;
	}
	return false;
}

/* What the element means that has just begun: enum what, or NOTHING_SAID. */
static int rule_find(const struct eas_body *body, uint32_t depth, uint16_t tag)
{
	if (depth < 2 || depth > RULE_DEPTH_MAX)
		return NOTHING_SAID;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].tag == tag && rules[i].depth == depth && rules[i].root == body->root &&
			rules[i].parent == body->work->path[depth - 2])
			return rules[i].what;
	return depth == 2 && is_global_status(body->root, tag) ? WHAT_STATUS : NOTHING_SAID;
}

static void presence_note(struct eas_body *body, int what)
{
	body->adds += what == WHAT_ADD;
	body->changes += what == WHAT_CHANGE;
	body->deletes += what == WHAT_DELETE;
	body->fetches += what == WHAT_FETCH;
	body->has_more |= what == WHAT_MORE;
	body->is_partial |= what == WHAT_PARTIAL;
	body->has_policies |= what == WHAT_POLICIES;
	body->device_info_present |= what == WHAT_DEVICE_INFO;
	if (what == WHAT_WIPE_ALL)
		body->wipe_kind = EAS_WIPE_ALL;
	else if (what == WHAT_WIPE_ACCOUNT)
		body->wipe_kind = EAS_WIPE_ACCOUNT;
	else if (what == WHAT_OOF)
		body->settings |= EAS_SETTING_OOF;
	else if (what == WHAT_DEVICE_PASSWORD)
		body->settings |= EAS_SETTING_DEVICE_PASSWORD;
	else if (what == WHAT_USER_INFORMATION)
		body->settings |= EAS_SETTING_USER_INFORMATION;
	if (what == WHAT_COLLECTION) {
		body->work->sync_key = 0;
		body->work->has_id = false;
	}
}

static void element_start(struct eas_body *body)
{
	struct eas_body_work *work = body->work;
	uint32_t depth = work->reader.depth;
	uint16_t tag = work->reader.tag->id;
	int what;

	if (depth <= PATH_MAX_LEN)
		work->path[depth - 1] = tag;
	if (depth == 1)
		body->root = tag;
	work->capture_what = NOT_CAPTURING; /* the value was an element's, not a text */
	what = rule_find(body, depth, tag);
	if (what > WHAT_LAST_WITH_TEXT) {
		presence_note(body, what);
	} else if (what != NOTHING_SAID) {
		work->capture_what = (int16_t)what;
		work->capture_len = 0;
		work->capture_is_cut = false;
	}
}

static void text_capture(struct eas_body_work *work)
{
	struct span text = work->reader.text;
	size_t room = sizeof(work->capture) - work->capture_len;

	if (work->capture_what == NOT_CAPTURING || text.len == 0)
		return;
	if (text.len > room) {
		work->capture_is_cut = true;
		text.len = room;
	}
	memcpy(work->capture + work->capture_len, text.data, text.len);
	work->capture_len = (uint16_t)(work->capture_len + text.len);
}

/* 0 for anything but digits, or beyond 32 bits: what is kept is for logs and timers. */
static uint32_t captured_number(const struct eas_body_work *work)
{
	uint64_t number = 0;

	if (work->capture_is_cut)
		return 0;
	for (size_t i = 0; i < work->capture_len; i++) {
		if (work->capture[i] < '0' || work->capture[i] > '9')
			return 0;
		number = number * 10 + (uint64_t)(work->capture[i] - '0');
		if (number > UINT32_MAX)
			return 0;
	}
	return (uint32_t)number;
}

static uint16_t captured_short(const struct eas_body_work *work)
{
	uint32_t number = captured_number(work);

	return number <= UINT16_MAX ? (uint16_t)number : 0;
}

static void collection_note(struct eas_body *body)
{
	struct eas_body_work *work = body->work;

	if (work->capture_len == 0)
		return;
	if (body->collection_count < EAS_COLLECTIONS_NAMED)
		body->collections[body->collection_count].id = eas_body_text_add(
			body, span_of(work->capture, work->capture_len), EAS_COLLECTION_NAME_MAX);
	if (body->collection_count < EAS_COLLECTIONS_NAMED)
		body->collections[body->collection_count].sync_key = work->sync_key;
	body->collection_count++;
	work->sync_key = 0;
	work->has_id = true;
}

static uint16_t captured_key(struct eas_body *body)
{
	return eas_body_text_add(body, span_of(body->work->capture, body->work->capture_len),
		EAS_COLLECTION_NAME_MAX);
}

/* It stands before the id, but a phone may have it otherwise. */
static void sync_key_note(struct eas_body *body)
{
	uint32_t last = body->collection_count - 1;

	if (!body->work->has_id)
		body->work->sync_key = captured_key(body);
	else if (last < EAS_COLLECTIONS_NAMED)
		body->collections[last].sync_key = captured_key(body);
}

/* Where a phone says it twice the longer one counts: a timer of ours must not cut it short. */
static void heartbeat_note(struct eas_body *body, uint32_t number, uint32_t unit_s)
{
	uint32_t seconds = number > UINT32_MAX / unit_s ? UINT32_MAX : number * unit_s;

	if (seconds <= body->heartbeat_s)
		return;
	body->heartbeat_s = seconds;
	body->heartbeat_is_wait = unit_s != 1;
}

static void element_end(struct eas_body *body)
{
	const struct eas_body_work *work = body->work;
	int what = work->capture_what;

	body->work->capture_what = NOT_CAPTURING;
	switch (what) {
	case WHAT_STATUS:
		if (body->status == 0)
			body->status = captured_number(work);
		break;
	case WHAT_HEARTBEAT: heartbeat_note(body, captured_number(work), 1); break;
	case WHAT_WAIT: heartbeat_note(body, captured_number(work), 60); break;
	case WHAT_COLLECTION_ID: collection_note(body); break;
	case WHAT_POLICY_KEY: body->provision_policy_key = captured_number(work); break;
	case WHAT_POLICY_STATUS: body->policy_status = captured_short(work); break;
	case WHAT_WIPE_STATUS: body->wipe_status = captured_short(work); break;
	case WHAT_FOLDER_KEY: body->folder_key = captured_key(body); break;
	case WHAT_SYNC_KEY: sync_key_note(body); break;
	default: break;
	}
}

static enum refusal fault_refusal(enum wbxml_fault fault)
{
	return fault == WBXML_FAULT_DEPTH || fault == WBXML_FAULT_ELEMENTS
		       ? REFUSAL_WBXML_LIMIT
		       : REFUSAL_WBXML_MALFORMED;
}

static enum refusal refuse(struct eas_body *body, enum wbxml_fault fault)
{
	body->refusal = fault_refusal(fault);
	body->fault_text = wbxml_fault_text(fault);
	return body->refusal;
}

enum refusal eas_body_feed(struct eas_body *body, struct span piece)
{
	struct wbxml_reader *reader = &body->work->reader;
	enum wbxml_event event;

	wbxml_reader_feed(reader, piece.data, piece.len);
	while ((event = wbxml_reader_next(reader)) > WBXML_MORE) {
		switch (event) {
		case WBXML_START: element_start(body); break;
		case WBXML_TEXT:
		case WBXML_OPAQUE: text_capture(body->work); break;
		case WBXML_END: element_end(body); break;
		case WBXML_MORE:
		case WBXML_ERROR: break;
		}
	}
	return event == WBXML_ERROR ? refuse(body, reader->fault) : REFUSAL_NONE;
}

enum refusal eas_body_end(struct eas_body *body)
{
	if (body->work == NULL)
		return body->refusal;
	if (wbxml_reader_finish(&body->work->reader) != 0)
		refuse(body, body->work->reader.fault);
	body->is_whole = body->refusal == REFUSAL_NONE;
	free(body->work);
	body->work = NULL;
	eas_body_texts_trim(body);
	return body->refusal;
}

const char *eas_body_fault_text(const struct eas_body *body)
{
	return body->fault_text;
}

uint32_t eas_body_items(const struct eas_body *body)
{
	return body->adds + body->changes + body->deletes + body->fetches;
}

size_t eas_body_memory(const struct eas_body *body)
{
	return sizeof(*body) + body->texts_capacity +
	       (body->work != NULL ? sizeof(*body->work) : 0);
}

uint32_t eas_body_poll_time(
	enum eas_command command, enum eas_body_kind kind, const struct eas_body *body)
{
	if (command != EAS_PING && command != EAS_SYNC)
		return 0;
	if (kind == EAS_BODY_NONE || body == NULL)
		return HEARTBEAT_MAX_S;
	if (body->heartbeat_s > 0)
		return body->heartbeat_s < HEARTBEAT_MAX_S ? body->heartbeat_s : HEARTBEAT_MAX_S;
	/* What is left out was said in an earlier request, which may have gone another way. */
	return command == EAS_PING || body->is_partial ? HEARTBEAT_MAX_S : 0;
}
