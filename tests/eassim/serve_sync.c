/* FolderSync, Sync and GetItemEstimate. */
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve.h"

enum { SYNC_COLLECTIONS_MAX = 32, WINDOW_DEFAULT = 100, WINDOW_MAX = 512 };

/* One Collection of a Sync request and what became of it. */
struct sync_collection {
	const struct document_node *node;
	enum folder folder;
	unsigned int status;
	uint32_t window;
	bool wants_changes, has_commands, is_first;
	char id[65];
};

void folder_sync_serve(struct call *call)
{
	struct device *device = call->device;
	char key[24], next[24];

	document_copy(&call->document, NULL, WBXML_FOLDERHIERARCHY_SYNCKEY, key, sizeof(key));
	snprintf(next, sizeof(next), "%u", device->folder_key);
	if (strcmp(key, "0") != 0 && (device->folder_key == 0 || strcmp(key, next) != 0)) {
		call->serve->stats.bad_sync_keys++;
		call_answer_root_status(
			call, WBXML_FOLDERHIERARCHY_FOLDERSYNC, WBXML_FOLDERHIERARCHY_STATUS, 9);
		return;
	}
	call_begin(call, WBXML_FOLDERHIERARCHY_FOLDERSYNC);
	wbxml_write_element(&call->writer, WBXML_FOLDERHIERARCHY_STATUS, "1");
	if (strcmp(key, "0") == 0)
		device->folder_key = 1;
	call_write_number(call, WBXML_FOLDERHIERARCHY_SYNCKEY, device->folder_key);
	wbxml_write_start(&call->writer, WBXML_FOLDERHIERARCHY_CHANGES);
	call_write_number(
		call, WBXML_FOLDERHIERARCHY_COUNT, strcmp(key, "0") == 0 ? FOLDER_COUNT : 0);
	for (int i = 0; strcmp(key, "0") == 0 && i < FOLDER_COUNT; i++) {
		wbxml_write_start(&call->writer, WBXML_FOLDERHIERARCHY_ADD);
		wbxml_write_element(
			&call->writer, WBXML_FOLDERHIERARCHY_SERVERID, store_folders[i].id);
		wbxml_write_element(&call->writer, WBXML_FOLDERHIERARCHY_PARENTID, "0");
		wbxml_write_element(
			&call->writer, WBXML_FOLDERHIERARCHY_DISPLAYNAME, store_folders[i].name);
		wbxml_write_element(
			&call->writer, WBXML_FOLDERHIERARCHY_TYPE, store_folders[i].type);
		wbxml_write_end(&call->writer);
	}
	wbxml_write_end(&call->writer);
	wbxml_write_end(&call->writer);
	call_answer(call);
}

/* The next mail of the folder after `seen`, or NULL. */
static const struct mail *mail_after(
	const struct mailbox *mailbox, enum folder folder, uint32_t seen)
{
	for (uint32_t number = seen + 1; number <= mailbox->mail_count; number++)
		if (mailbox_mail(mailbox, number)->folder == folder)
			return mailbox_mail(mailbox, number);
	return NULL;
}

bool sync_has_news(const struct device *device, enum folder folder)
{
	return mail_after(device->mailbox, folder, device->collections[folder].seen) != NULL;
}

static void key_text(const struct collection_state *state, uint32_t key, char text[32])
{
	snprintf(text, 32, "{%08x}%u", state->series, key);
}

/* Takes the key of the request. The last one is good, and the one before it too: its answer may have
 * been lost on the way, and what it gave out is given again. 0, or the Status. */
static unsigned int key_take(struct collection_state *state, const char *key, bool *is_first)
{
	char current[32], before[32];

	*is_first = strcmp(key, "0") == 0;
	if (*is_first) {
		*state = (struct collection_state){.key = 1};
		evutil_secure_rng_get_bytes(&state->series, sizeof(state->series));
		return 0;
	}
	key_text(state, state->key, current);
	key_text(state, state->key - 1, before);
	if (state->key > 0 && strcmp(key, current) == 0) {
		state->seen_before = state->seen;
		return 0;
	}
	if (state->key > 1 && strcmp(key, before) == 0) {
		state->seen = state->seen_before;
		state->key--;
		return 0;
	}
	return 3;
}

static uint32_t window_read(uint64_t window)
{
	return window == 0 || window > WINDOW_MAX ? WINDOW_MAX : (uint32_t)window;
}

static void collection_read(
	struct call *call, const struct document_node *node, struct sync_collection *collection)
{
	const struct document *document = &call->document;
	const struct document_node *changes =
		document_child(document, node, WBXML_AIRSYNC_GETCHANGES);
	char key[64];

	*collection = (struct sync_collection){.node = node};
	document_copy(document, node, WBXML_AIRSYNC_SYNCKEY, key, sizeof(key));
	document_copy(
		document, node, WBXML_AIRSYNC_COLLECTIONID, collection->id, sizeof(collection->id));
	collection->folder = store_folder_find(collection->id);
	collection->window = window_read(document_number(document, node, WBXML_AIRSYNC_WINDOWSIZE,
		document_number(document, NULL, WBXML_AIRSYNC_WINDOWSIZE, WINDOW_DEFAULT)));
	collection->has_commands = document_child(document, node, WBXML_AIRSYNC_COMMANDS) != NULL;
	/* Without the element changes are wanted, unless the key is 0; with it, unless it says 0. */
	collection->wants_changes = changes == NULL || !span_equal(document_text(document, changes),
							       span_of_string("0"));
	if (key[0] == '\0')
		collection->status = 4;
	else if (collection->folder == FOLDER_COUNT)
		collection->status = 8;
	else
		collection->status = key_take(
			&call->device->collections[collection->folder], key, &collection->is_first);
	if (collection->status == 3)
		call->serve->stats.bad_sync_keys++;
}

static bool collection_has_answer(const struct call *call, const struct sync_collection *collection)
{
	return collection->status != 0 || collection->is_first || collection->has_commands ||
	       (collection->wants_changes && sync_has_news(call->device, collection->folder));
}

static void mail_add_write(struct call *call, enum folder folder, const struct mail *mail)
{
	char id[32];

	snprintf(id, sizeof(id), "%s:%u", store_folders[folder].id, mail->number);
	wbxml_write_start(&call->writer, WBXML_AIRSYNC_ADD);
	wbxml_write_element(&call->writer, WBXML_AIRSYNC_SERVERID, id);
	wbxml_write_start(&call->writer, WBXML_AIRSYNC_APPLICATIONDATA);
	mail_write(call, mail);
	wbxml_write_end(&call->writer);
	wbxml_write_end(&call->writer);
}

/* The mails of one window; moves the collection's state. */
static void changes_write(struct call *call, const struct sync_collection *collection)
{
	struct collection_state *state = &call->device->collections[collection->folder];
	const struct mail *mail = mail_after(call->mailbox, collection->folder, state->seen);

	if (mail == NULL)
		return;
	wbxml_write_start(&call->writer, WBXML_AIRSYNC_COMMANDS);
	for (uint32_t i = 0; mail != NULL && i < collection->window; i++) {
		mail_add_write(call, collection->folder, mail);
		state->seen = mail->number;
		mail = mail_after(call->mailbox, collection->folder, state->seen);
	}
	wbxml_write_end(&call->writer);
	if (mail != NULL) {
		wbxml_write_start(&call->writer, WBXML_AIRSYNC_MOREAVAILABLE);
		wbxml_write_end(&call->writer);
	}
}

static void collection_write(struct call *call, const struct sync_collection *collection)
{
	struct collection_state *state;
	char key[32] = "0";

	if (collection->status == 0) {
		state = &call->device->collections[collection->folder];
		if (!collection->is_first)
			state->key++;
		key_text(state, state->key, key);
	}
	wbxml_write_start(&call->writer, WBXML_AIRSYNC_COLLECTION);
	if (call->query.version < 140)
		wbxml_write_element(&call->writer, WBXML_AIRSYNC_CLASS,
			collection->folder < FOLDER_COUNT ? store_folders[collection->folder].class
							  : "Email");
	wbxml_write_element(&call->writer, WBXML_AIRSYNC_SYNCKEY, key);
	wbxml_write_element(&call->writer, WBXML_AIRSYNC_COLLECTIONID, collection->id);
	call_write_number(
		call, WBXML_AIRSYNC_STATUS, collection->status != 0 ? collection->status : 1);
	if (collection->status == 0 && !collection->is_first && collection->wants_changes)
		changes_write(call, collection);
	wbxml_write_end(&call->writer);
}

/* Reads all collections; *count 0 and a Status where the request as a whole is wrong. */
static unsigned int collections_read(
	struct call *call, struct sync_collection *collections, size_t *count)
{
	static const uint16_t path[] = {WBXML_AIRSYNC_COLLECTIONS, WBXML_AIRSYNC_COLLECTION, 0};
	const struct document_node *node = document_path(&call->document, path);

	*count = 0;
	if (call->document.count == 0 ||
		document_child(&call->document, NULL, WBXML_AIRSYNC_PARTIAL))
		return 13; /* no request is cached here */
	for (; node != NULL; node = document_next(&call->document, node)) {
		if (*count == SYNC_COLLECTIONS_MAX)
			return 15;
		collection_read(call, node, &collections[(*count)++]);
	}
	return *count == 0 ? 4 : 0;
}

static void sync_answer(
	struct call *call, const struct sync_collection *collections, size_t count, bool has_answer)
{
	if (has_answer) {
		call_begin(call, WBXML_AIRSYNC_SYNC);
		wbxml_write_start(&call->writer, WBXML_AIRSYNC_COLLECTIONS);
		for (size_t i = 0; i < count; i++)
			if (collection_has_answer(call, &collections[i]))
				collection_write(call, &collections[i]);
		wbxml_write_end(&call->writer);
		wbxml_write_end(&call->writer);
	}
	call_answer(call); /* nothing new: 200 without a body */
}

/* A long poll that was woken or is over: the keys have been taken already and are still good. */
static void sync_resume(struct call *call, bool is_over)
{
	struct sync_collection collections[SYNC_COLLECTIONS_MAX];
	size_t count;
	bool has_answer = false;

	(void)is_over;
	collections_read(call, collections, &count);
	for (size_t i = 0; i < count; i++)
		has_answer = has_answer || collection_has_answer(call, &collections[i]);
	sync_answer(call, collections, count, has_answer);
}

/* Seconds that the request wants to wait; *limit is set where that is out of range. */
static uint32_t poll_read(const struct call *call, uint64_t *limit)
{
	const struct serve_options *options = &call->serve->options;
	uint64_t heartbeat =
		document_number(&call->document, NULL, WBXML_AIRSYNC_HEARTBEATINTERVAL, 0);
	uint64_t wait = document_number(&call->document, NULL, WBXML_AIRSYNC_WAIT, 0);
	uint64_t seconds = heartbeat != 0 ? heartbeat : wait * 60;

	*limit = 0;
	if (wait > 59)
		*limit = 59;
	else if (seconds != 0 && seconds < options->heartbeat_min_s)
		*limit = options->heartbeat_min_s;
	else if (seconds > options->heartbeat_max_s)
		*limit = options->heartbeat_max_s;
	return (uint32_t)seconds;
}

void sync_serve(struct call *call)
{
	struct sync_collection collections[SYNC_COLLECTIONS_MAX];
	size_t count;
	uint64_t limit;
	uint32_t seconds = poll_read(call, &limit), folders = 0;
	unsigned int status = limit != 0 ? 14 : collections_read(call, collections, &count);
	bool has_answer = false;

	if (status != 0) {
		call_begin(call, WBXML_AIRSYNC_SYNC);
		call_write_number(call, WBXML_AIRSYNC_STATUS, status);
		if (limit != 0)
			call_write_number(call, WBXML_AIRSYNC_LIMIT, limit);
		wbxml_write_end(&call->writer);
		call_answer(call);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		has_answer = has_answer || collection_has_answer(call, &collections[i]);
		if (collections[i].folder < FOLDER_COUNT)
			folders |= 1u << collections[i].folder;
	}
	if (!has_answer && seconds > 0)
		call_wait(call, folders, seconds, sync_resume);
	else
		sync_answer(call, collections, count, has_answer);
}

void item_estimate_serve(struct call *call)
{
	static const uint16_t path[] = {
		WBXML_GETITEMESTIMATE_COLLECTIONS, WBXML_GETITEMESTIMATE_COLLECTION, 0};
	const struct document *document = &call->document;
	const struct document_node *node = document_path(document, path);

	call_begin(call, WBXML_GETITEMESTIMATE_GETITEMESTIMATE);
	for (; node != NULL; node = document_next(document, node)) {
		char id[65], key[64], current[32];
		enum folder folder;
		const struct collection_state *state;
		unsigned int status = 1, estimate = 0;

		document_copy(document, node, WBXML_GETITEMESTIMATE_COLLECTIONID, id, sizeof(id));
		document_copy(document, node, WBXML_AIRSYNC_SYNCKEY, key, sizeof(key));
		folder = store_folder_find(id);
		if (folder == FOLDER_COUNT) {
			status = 2;
		} else {
			state = &call->device->collections[folder];
			key_text(state, state->key, current);
			if (state->key == 0)
				status = 3;
			else if (strcmp(key, current) != 0)
				status = 4;
			for (uint32_t number = state->seen + 1; number <= call->mailbox->mail_count;
				number++)
				estimate += mailbox_mail(call->mailbox, number)->folder == folder;
		}
		wbxml_write_start(&call->writer, WBXML_GETITEMESTIMATE_RESPONSE);
		call_write_number(call, WBXML_GETITEMESTIMATE_STATUS, status);
		wbxml_write_start(&call->writer, WBXML_GETITEMESTIMATE_COLLECTION);
		wbxml_write_element(&call->writer, WBXML_GETITEMESTIMATE_COLLECTIONID, id);
		if (status == 1)
			call_write_number(call, WBXML_GETITEMESTIMATE_ESTIMATE, estimate);
		wbxml_write_end(&call->writer);
		wbxml_write_end(&call->writer);
	}
	wbxml_write_end(&call->writer);
	call_answer(call);
}
