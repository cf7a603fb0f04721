#include "proxy/room_quarantine_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MARK    "{easproxy}"
#define MESSAGE MARK "1:1"

enum { KEY_WRONG = -1, KEY_START = 0, KEY_FIRST = 1, KEY_MAX = 999999999 };

/* Mail programs ask for the folders that they know from every server, and some give up without. */
static const struct folder {
	const char *id;
	const char *name;
	const char *type; /* MS-ASCMD 2.2.3.186.3 */
	const char *class;
} folders[] = {
	{MARK "1", "Inbox", "2", "Email"},
	{MARK "2", "Drafts", "3", "Email"},
	{MARK "3", "Deleted Items", "4", "Email"},
	{MARK "4", "Sent Items", "5", "Email"},
	{MARK "5", "Calendar", "8", "Calendar"},
	{MARK "6", "Contacts", "9", "Contacts"},
};

enum { FOLDERS = sizeof(folders) / sizeof(folders[0]) };

bool room_quarantine_is_ours(struct span key_or_folder)
{
	return key_or_folder.len >= sizeof(MARK) - 1 &&
	       memcmp(key_or_folder.data, MARK, sizeof(MARK) - 1) == 0;
}

static const struct folder *folder_find(struct span id)
{
	for (size_t i = 0; i < FOLDERS; i++)
		if (span_equal(id, span_of_string(folders[i].id)))
			return &folders[i];
	return NULL;
}

/* "0", or how many answers the phone has had from us; KEY_WRONG: somebody else's. */
static int key_read(struct span key)
{
	int number = 0;

	if (span_equal(key, span_of_string("0")))
		return KEY_START;
	if (!room_quarantine_is_ours(key) || key.len - (sizeof(MARK) - 1) > 9)
		return KEY_WRONG;
	for (size_t i = sizeof(MARK) - 1; i < key.len; i++) {
		if (key.data[i] < '0' || key.data[i] > '9')
			return KEY_WRONG;
		number = number * 10 + (key.data[i] - '0');
	}
	return number >= KEY_FIRST ? number : KEY_WRONG;
}

static void write_key(struct wbxml_writer *writer, uint16_t tag, int number)
{
	char text[32];

	snprintf(text, sizeof(text), MARK "%d", number);
	wbxml_write_element(writer, tag, text);
}

/* Whether all that is asked about is ours. */
static bool are_our_folders(const struct room_question *question)
{
	if (question->collection_count > ROOM_COLLECTIONS_MAX)
		return false;
	for (uint32_t i = 0; i < question->collection_count; i++)
		if (folder_find(question->collections[i].id) == NULL)
			return false;
	return true;
}

/* FolderSync */

static void answer_folder_sync(const struct room_question *question, struct room_reply *reply)
{
	int key = key_read(question->folder_key);
	struct wbxml_writer writer;

	if (key == KEY_WRONG) {
		room_reply_status(
			reply, WBXML_FOLDERHIERARCHY_FOLDERSYNC, WBXML_FOLDERHIERARCHY_STATUS, 9);
		return;
	}
	room_reply_begin(reply, &writer, WBXML_FOLDERHIERARCHY_FOLDERSYNC);
	room_write_number(&writer, WBXML_FOLDERHIERARCHY_STATUS, 1);
	write_key(&writer, WBXML_FOLDERHIERARCHY_SYNCKEY, KEY_FIRST);
	wbxml_write_start(&writer, WBXML_FOLDERHIERARCHY_CHANGES);
	room_write_number(
		&writer, WBXML_FOLDERHIERARCHY_COUNT, key == KEY_START ? (uint32_t)FOLDERS : 0);
	for (size_t i = 0; key == KEY_START && i < FOLDERS; i++) {
		wbxml_write_start(&writer, WBXML_FOLDERHIERARCHY_ADD);
		wbxml_write_element(&writer, WBXML_FOLDERHIERARCHY_SERVERID, folders[i].id);
		wbxml_write_element(&writer, WBXML_FOLDERHIERARCHY_PARENTID, "0");
		wbxml_write_element(&writer, WBXML_FOLDERHIERARCHY_DISPLAYNAME, folders[i].name);
		wbxml_write_element(&writer, WBXML_FOLDERHIERARCHY_TYPE, folders[i].type);
		wbxml_write_end(&writer);
	}
	wbxml_write_end(&writer);
	wbxml_write_end(&writer);
}

/* The message */

static void write_body(struct wbxml_writer *writer, const struct room_message *message)
{
	wbxml_write_start(writer, WBXML_AIRSYNCBASE_BODY);
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_TYPE, "1");
	room_write_number(
		writer, WBXML_AIRSYNCBASE_ESTIMATEDDATASIZE, (uint32_t)strlen(message->text));
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_DATA, message->text);
	wbxml_write_end(writer);
}

static void write_message(
	struct wbxml_writer *writer, const struct room_message *message, unsigned int version)
{
	char received[32] = "";
	time_t seconds = (time_t)message->received;
	struct tm utc;

	if (gmtime_r(&seconds, &utc) != NULL)
		strftime(received, sizeof(received), "%Y-%m-%dT%H:%M:%S.000Z", &utc);
	wbxml_write_element(writer, WBXML_EMAIL_TO, message->mailbox);
	wbxml_write_element(writer, WBXML_EMAIL_FROM, message->from);
	wbxml_write_element(writer, WBXML_EMAIL_SUBJECT, message->subject);
	wbxml_write_element(writer, WBXML_EMAIL_DATERECEIVED, received);
	wbxml_write_element(writer, WBXML_EMAIL_IMPORTANCE, "2");
	wbxml_write_element(writer, WBXML_EMAIL_READ, "0");
	if (version >= 120)
		write_body(writer, message);
	else
		wbxml_write_element(writer, WBXML_EMAIL_BODY, message->text);
	wbxml_write_element(writer, WBXML_EMAIL_MESSAGECLASS, "IPM.Note");
	wbxml_write_element(writer, WBXML_EMAIL_INTERNETCPID, "65001");
	if (version >= 120)
		wbxml_write_element(
			writer, WBXML_EMAIL_CONTENTCLASS, "urn:content-classes:message");
	if (version >= 120)
		wbxml_write_element(writer, WBXML_AIRSYNCBASE_NATIVEBODYTYPE, "1");
}

/* Sync */

static bool has_message(const struct folder *folder)
{
	return folder == &folders[0];
}

/* Of a key that is ours: whether the folder has nothing for it. */
static bool is_idle(const struct folder *folder, int key)
{
	return key > (has_message(folder) ? KEY_FIRST : KEY_START);
}

static void write_collection_head(struct wbxml_writer *writer, const struct folder *folder,
	unsigned int version, struct span key, int next, uint32_t status)
{
	wbxml_write_start(writer, WBXML_AIRSYNC_COLLECTION);
	if (version < 140)
		wbxml_write_element(writer, WBXML_AIRSYNC_CLASS, folder->class);
	if (next == KEY_WRONG)
		room_write_span(writer, WBXML_AIRSYNC_SYNCKEY, key);
	else
		write_key(writer, WBXML_AIRSYNC_SYNCKEY, next);
	wbxml_write_element(writer, WBXML_AIRSYNC_COLLECTIONID, folder->id);
	room_write_number(writer, WBXML_AIRSYNC_STATUS, status);
}

static void write_add(
	struct wbxml_writer *writer, const struct room_message *message, unsigned int version)
{
	wbxml_write_start(writer, WBXML_AIRSYNC_ADD);
	wbxml_write_element(writer, WBXML_AIRSYNC_SERVERID, MESSAGE);
	wbxml_write_start(writer, WBXML_AIRSYNC_APPLICATIONDATA);
	write_message(writer, message, version);
	wbxml_write_end(writer);
	wbxml_write_end(writer);
}

/* What a phone changes or deletes here it may, as far as it goes; what it adds we cannot keep, and
 * Status 5 has it try again later. */
static void write_collection(struct wbxml_writer *writer, const struct room_message *message,
	const struct room_question *question, const struct room_collection *asked)
{
	const struct folder *folder = folder_find(asked->id);
	int key = key_read(asked->key);
	int next = key < KEY_MAX ? key + 1 : KEY_FIRST + 1;

	if (key == KEY_WRONG || question->adds > 0)
		write_collection_head(writer, folder, question->version, asked->key, KEY_WRONG,
			key == KEY_WRONG ? 3 : 5);
	else
		write_collection_head(writer, folder, question->version, asked->key, next, 1);
	if (key == KEY_FIRST && has_message(folder) && question->adds == 0) {
		wbxml_write_start(writer, WBXML_AIRSYNC_COMMANDS);
		write_add(writer, message, question->version);
		wbxml_write_end(writer);
	}
	wbxml_write_end(writer);
}

/* Whether there is something to say of a folder at once. */
static bool has_news(const struct room_question *question, const struct room_collection *asked)
{
	return question->adds > 0 || question->other_changes > 0 || question->fetches > 0 ||
	       !is_idle(folder_find(asked->id), key_read(asked->key));
}

static void answer_sync(const struct room_message *message, const struct room_question *question,
	bool is_over, struct room_reply *reply)
{
	struct wbxml_writer writer;
	bool has_any = question->version < 121; /* which know no empty answer */

	/* We keep no request, so that nothing of it can be left out (Status 13). */
	if (!question->has_body || question->is_partial || question->collection_count == 0) {
		room_reply_status(reply, WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_STATUS, 13);
		return;
	}
	if (!are_our_folders(question)) {
		room_reply_status(reply, WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_STATUS, 12);
		return;
	}
	for (uint32_t i = 0; i < question->collection_count; i++)
		has_any = has_any || has_news(question, &question->collections[i]);
	if (!has_any) {
		reply->outcome = question->heartbeat_s > 0 && !is_over ? ROOM_HOLD : ROOM_ANSWER;
		reply->hold_s = question->heartbeat_s < ROOM_HEARTBEAT_MAX ? question->heartbeat_s
									   : ROOM_HEARTBEAT_MAX;
		return;
	}
	room_reply_begin(reply, &writer, WBXML_AIRSYNC_SYNC);
	wbxml_write_start(&writer, WBXML_AIRSYNC_COLLECTIONS);
	for (uint32_t i = 0; i < question->collection_count; i++)
		if (question->version < 121 || has_news(question, &question->collections[i]))
			write_collection(&writer, message, question, &question->collections[i]);
	wbxml_write_end(&writer);
	wbxml_write_end(&writer);
}

/* Ping */

static void answer_ping(
	const struct room_question *question, bool is_over, struct room_reply *reply)
{
	struct wbxml_writer writer;
	uint32_t wanted = question->heartbeat_s;

	if (!question->has_body || wanted == 0 || question->collection_count == 0) {
		room_reply_status(reply, WBXML_PING_PING, WBXML_PING_STATUS, 3);
	} else if (!are_our_folders(question)) {
		room_reply_status(reply, WBXML_PING_PING, WBXML_PING_STATUS, 7);
	} else if (wanted < ROOM_HEARTBEAT_MIN || wanted > ROOM_HEARTBEAT_MAX) {
		room_reply_begin(reply, &writer, WBXML_PING_PING);
		room_write_number(&writer, WBXML_PING_STATUS, 5);
		room_write_number(&writer, WBXML_PING_HEARTBEATINTERVAL,
			wanted < ROOM_HEARTBEAT_MIN ? ROOM_HEARTBEAT_MIN : ROOM_HEARTBEAT_MAX);
		wbxml_write_end(&writer);
	} else if (!is_over) {
		reply->outcome = ROOM_HOLD;
		reply->hold_s = wanted;
	} else {
		room_reply_status(reply, WBXML_PING_PING, WBXML_PING_STATUS, 1);
	}
}

/* ItemOperations, Settings, GetItemEstimate */

static void answer_item_operations(const struct room_message *message,
	const struct room_question *question, struct room_reply *reply)
{
	bool is_there = question->collection_count > 0 && are_our_folders(question) &&
			has_message(folder_find(question->collections[0].id));
	struct wbxml_writer writer;

	if (question->fetches == 0) { /* it wants to move or to empty */
		room_reply_refuse(reply, REFUSAL_DEVICE_QUARANTINED, 0);
		return;
	}
	room_reply_begin(reply, &writer, WBXML_ITEMOPERATIONS_ITEMOPERATIONS);
	room_write_number(&writer, WBXML_ITEMOPERATIONS_STATUS, 1);
	wbxml_write_start(&writer, WBXML_ITEMOPERATIONS_RESPONSE);
	wbxml_write_start(&writer, WBXML_ITEMOPERATIONS_FETCH);
	room_write_number(&writer, WBXML_ITEMOPERATIONS_STATUS, is_there ? 1 : 6);
	if (is_there) {
		wbxml_write_element(&writer, WBXML_AIRSYNC_COLLECTIONID, folders[0].id);
		wbxml_write_element(&writer, WBXML_AIRSYNC_SERVERID, MESSAGE);
		wbxml_write_element(&writer, WBXML_AIRSYNC_CLASS, folders[0].class);
		wbxml_write_start(&writer, WBXML_ITEMOPERATIONS_PROPERTIES);
		write_message(&writer, message, question->version);
		wbxml_write_end(&writer);
	}
	wbxml_write_end(&writer);
	wbxml_write_end(&writer);
	wbxml_write_end(&writer);
}

static void write_status_of(struct wbxml_writer *writer, uint16_t tag, const char *status)
{
	wbxml_write_start(writer, tag);
	wbxml_write_element(writer, WBXML_SETTINGS_STATUS, status);
	wbxml_write_end(writer);
}

static void write_user_information(
	struct wbxml_writer *writer, const struct room_message *message, bool has_accounts)
{
	wbxml_write_start(writer, WBXML_SETTINGS_USERINFORMATION);
	wbxml_write_element(writer, WBXML_SETTINGS_STATUS, "1");
	wbxml_write_start(writer, WBXML_SETTINGS_GET);
	if (has_accounts) {
		wbxml_write_start(writer, WBXML_SETTINGS_ACCOUNTS);
		wbxml_write_start(writer, WBXML_SETTINGS_ACCOUNT);
	}
	wbxml_write_start(writer, WBXML_SETTINGS_EMAILADDRESSES);
	wbxml_write_element(writer, WBXML_SETTINGS_SMTPADDRESS, message->mailbox);
	if (has_accounts)
		wbxml_write_element(writer, WBXML_SETTINGS_PRIMARYSMTPADDRESS, message->mailbox);
	wbxml_write_end(writer);
	if (has_accounts) {
		wbxml_write_end(writer);
		wbxml_write_end(writer);
	}
	wbxml_write_end(writer);
	wbxml_write_end(writer);
}

static void answer_settings(const struct room_message *message,
	const struct room_question *question, struct room_reply *reply)
{
	struct wbxml_writer writer;

	room_reply_begin(reply, &writer, WBXML_SETTINGS_SETTINGS);
	room_write_number(&writer, WBXML_SETTINGS_STATUS, 1);
	/* 3: access denied; 7 would say that a policy of the phone's forbids it. */
	if (question->asks_oof)
		write_status_of(&writer, WBXML_SETTINGS_OOF, "3");
	if (question->has_device_info)
		write_status_of(&writer, WBXML_SETTINGS_DEVICEINFORMATION, "1");
	if (question->has_password)
		write_status_of(&writer, WBXML_SETTINGS_DEVICEPASSWORD, "3");
	if (question->asks_user_info)
		write_user_information(&writer, message, question->version >= 141);
	wbxml_write_end(&writer);
}

static void write_estimate(struct wbxml_writer *writer, const struct room_question *question,
	const struct room_collection *asked)
{
	const struct folder *folder = folder_find(asked->id);
	int key = folder != NULL ? key_read(asked->key) : KEY_WRONG;
	uint32_t status = folder == NULL ? 2 : key == KEY_WRONG ? 4 : key == KEY_START ? 3 : 1;

	wbxml_write_start(writer, WBXML_GETITEMESTIMATE_RESPONSE);
	room_write_number(writer, WBXML_GETITEMESTIMATE_STATUS, status);
	if (status == 1) {
		wbxml_write_start(writer, WBXML_GETITEMESTIMATE_COLLECTION);
		if (question->version < 140)
			wbxml_write_element(writer, WBXML_GETITEMESTIMATE_CLASS, folder->class);
		wbxml_write_element(writer, WBXML_GETITEMESTIMATE_COLLECTIONID, folder->id);
		room_write_number(
			writer, WBXML_GETITEMESTIMATE_ESTIMATE, is_idle(folder, key) ? 0 : 1);
		wbxml_write_end(writer);
	}
	wbxml_write_end(writer);
}

static void answer_estimate(const struct room_question *question, struct room_reply *reply)
{
	struct wbxml_writer writer;

	room_reply_begin(reply, &writer, WBXML_GETITEMESTIMATE_GETITEMESTIMATE);
	for (uint32_t i = 0; i < question->collection_count && i < ROOM_COLLECTIONS_MAX; i++)
		write_estimate(&writer, question, &question->collections[i]);
	wbxml_write_end(&writer);
}

void room_quarantine_reply(const struct room_message *message, const struct room_question *question,
	bool is_over, struct room_reply *reply)
{
	if (question->is_options) {
		reply->outcome = ROOM_OPTIONS;
		return;
	}
	switch (question->command) {
	case EAS_PROVISION: room_reply_policy(reply, question); break;
	case EAS_FOLDER_SYNC: answer_folder_sync(question, reply); break;
	case EAS_SYNC: answer_sync(message, question, is_over, reply); break;
	case EAS_PING: answer_ping(question, is_over, reply); break;
	case EAS_SETTINGS: answer_settings(message, question, reply); break;
	case EAS_GET_ITEM_ESTIMATE: answer_estimate(question, reply); break;
	case EAS_ITEM_OPERATIONS: answer_item_operations(message, question, reply); break;
	default: room_reply_refuse(reply, REFUSAL_DEVICE_QUARANTINED, 0); break;
	}
}

/* Let in */

static bool release_folders(
	const struct room_question *question, uint16_t root, struct room_reply *reply)
{
	if (!room_quarantine_is_ours(question->folder_key))
		return false;
	room_reply_status(reply, root, WBXML_FOLDERHIERARCHY_STATUS, 9);
	return true;
}

static bool has_our_folder(const struct room_question *question)
{
	for (uint32_t i = 0; i < question->collection_count && i < ROOM_COLLECTIONS_MAX; i++)
		if (room_quarantine_is_ours(question->collections[i].id))
			return true;
	return false;
}

static bool has_our_key(const struct room_question *question)
{
	for (uint32_t i = 0; i < question->collection_count && i < ROOM_COLLECTIONS_MAX; i++)
		if (room_quarantine_is_ours(question->collections[i].key))
			return true;
	return false;
}

bool room_quarantine_release(const struct room_question *question, struct room_reply *reply)
{
	switch (question->command) {
	case EAS_FOLDER_SYNC:
		return release_folders(question, WBXML_FOLDERHIERARCHY_FOLDERSYNC, reply);
	case EAS_FOLDER_CREATE:
		return release_folders(question, WBXML_FOLDERHIERARCHY_FOLDERCREATE, reply);
	case EAS_FOLDER_DELETE:
		return release_folders(question, WBXML_FOLDERHIERARCHY_FOLDERDELETE, reply);
	case EAS_FOLDER_UPDATE:
		return release_folders(question, WBXML_FOLDERHIERARCHY_FOLDERUPDATE, reply);
	case EAS_SYNC:
		if (!has_our_folder(question) && !has_our_key(question))
			return false;
		room_reply_status(reply, WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_STATUS,
			has_our_folder(question) ? 12 : 3);
		return true;
	case EAS_PING:
		if (!has_our_folder(question))
			return false;
		room_reply_status(reply, WBXML_PING_PING, WBXML_PING_STATUS, 7);
		return true;
	default: return false;
	}
}
