/* What the elements of a body mean: one function for each kind of fact, and two tables of them. */
#include <stdlib.h>

#include "proxy/eas_body_parts.h"

enum {
	SYNC_KEY_MAX = 64, /* MS-ASCMD 2.2.3.181 */
	INFO_MAX = 128,
	NAME_MAX_LEN = 128, /* of a file */
	TYPE_MAX = MIME_TYPE_MAX,
	REFERENCE_MAX = 128,
	SUCCESS = 1,
	SUCCESS_OF_MOVE = 3
};

static struct span captured(const struct eas_body *body)
{
	return span_of(body->work->capture, body->work->capture_len);
}

/* 0 for anything but digits, or beyond 32 bits: what is kept is for logs and timers. */
static uint32_t captured_number(const struct eas_body *body)
{
	struct span text = captured(body);
	uint64_t number = 0;

	if (body->work->text_len > text.len)
		return 0;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return 0;
		number = number * 10 + (uint64_t)(text.data[i] - '0');
		if (number > UINT32_MAX)
			return 0;
	}
	return (uint32_t)number;
}

static uint16_t captured_status(const struct eas_body *body)
{
	uint32_t number = captured_number(body);

	return number <= UINT16_MAX ? (uint16_t)number : 0;
}

static void failure_note(struct eas_body *body, uint16_t status, uint16_t success)
{
	if (status == 0 || status == success)
		return;
	body->failures++;
	if (body->item_failure == 0)
		body->item_failure = status;
}

/* Collections */

static void collection_open(struct eas_body *body)
{
	body->work->collection = body->collection_count < EAS_COLLECTIONS_NAMED
					 ? (uint8_t)body->collection_count
					 : EAS_BODY_NONE_OPEN;
	body->collection_count++;
}

static struct eas_collection *collection_of(struct eas_body *body)
{
	return body->work->collection != EAS_BODY_NONE_OPEN
		       ? &body->collections[body->work->collection]
		       : NULL;
}

static void collection_id_note(struct eas_body *body)
{
	struct eas_collection *collection = collection_of(body);
	const struct eas_body_work *work = body->work;

	if (collection != NULL)
		collection->id = eas_body_text_add(body, captured(body), EAS_COLLECTION_NAME_MAX);
	else if (work->folder_class != NULL)
		body->unnamed_classes |= 1U << work->folder_class(work->context, captured(body));
	else
		body->unnamed_classes |= 1U << EAS_CLASS_UNSAID;
}

/* A folder that is acted on, once. */
static void folder_note(struct eas_body *body)
{
	struct span id = captured(body);

	if (id.len == 0)
		return;
	for (size_t i = 0; i < body->collection_count && i < EAS_COLLECTIONS_NAMED; i++)
		if (span_equal(id, span_of_string(eas_body_collection_id(body, i))))
			return;
	collection_open(body);
	collection_id_note(body);
	body->work->collection = EAS_BODY_NONE_OPEN;
}

static void collection_status_note(struct eas_body *body)
{
	struct eas_collection *collection = collection_of(body);
	uint16_t status = captured_status(body);

	if (collection != NULL)
		collection->status = status;
	failure_note(body, status, SUCCESS);
}

/* MS-ASCMD 2.2.3.27. Servers compare without case, or may. */
static uint8_t class_of(struct span name)
{
	static const char *const names[] = {
		[EAS_CLASS_EMAIL] = "Email",
		[EAS_CLASS_CALENDAR] = "Calendar",
		[EAS_CLASS_CONTACTS] = "Contacts",
		[EAS_CLASS_TASKS] = "Tasks",
		[EAS_CLASS_NOTES] = "Notes",
		[EAS_CLASS_SMS] = "SMS",
	};

	for (unsigned int i = EAS_CLASS_EMAIL; i < EAS_CLASS_OTHER; i++)
		if (span_equal_nocase(name, names[i]))
			return (uint8_t)i;
	return EAS_CLASS_OTHER;
}

static void class_note(struct eas_body *body)
{
	struct eas_collection *collection = collection_of(body);
	uint8_t class;

	if (body->work->capture_len == 0)
		return;
	class = class_of(captured(body));
	body->classes |= 1U << class;
	if (collection != NULL && collection->class == EAS_CLASS_UNSAID)
		collection->class = class;
}

/* Where a phone says it twice the longer one counts: a timer of ours must not cut it short. */
static void heartbeat_note(struct eas_body *body, uint32_t unit_s)
{
	uint32_t number = captured_number(body);
	uint32_t seconds = number > UINT32_MAX / unit_s ? UINT32_MAX : number * unit_s;

	if (seconds <= body->heartbeat_s)
		return;
	body->heartbeat_s = seconds;
	body->heartbeat_is_wait = unit_s != 1;
}

/* Attachments */

static void attachment_open(struct eas_body *body)
{
	body->work->attachment = body->attachments_named < EAS_ATTACHMENTS_NAMED
					 ? body->attachments_named++
					 : EAS_BODY_NONE_OPEN;
}

static struct eas_attachment *attachment_of(struct eas_body *body)
{
	return body->work->attachment != EAS_BODY_NONE_OPEN
		       ? &body->attachments[body->work->attachment]
		       : NULL;
}

static void attachment_size_note(struct eas_body *body, uint64_t size)
{
	struct eas_attachment *attachment = attachment_of(body);

	if (attachment != NULL)
		attachment->size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
	if (size > body->largest_attachment)
		body->largest_attachment = size;
}

static void attachment_text_note(struct eas_body *body, enum eas_what what)
{
	struct eas_attachment *attachment = attachment_of(body);

	if (what == EAS_WHAT_ATTACHMENT_REFERENCE)
		body->file_reference_count++;
	if (attachment == NULL)
		return;
	if (what == EAS_WHAT_ATTACHMENT_NAME)
		attachment->name = eas_body_text_add(body, captured(body), NAME_MAX_LEN);
	else if (what == EAS_WHAT_ATTACHMENT_TYPE)
		attachment->type = eas_body_text_add(body, captured(body), TYPE_MAX);
	else
		attachment->reference = eas_body_text_add(body, captured(body), REFERENCE_MAX);
}

/* Stores */

/* MS-ASCMD 2.2.3.172 and 2.2.3.119.2, where the last one is written with and without a space. */
static const struct store_name {
	const char *name;
	uint8_t store;
} store_names[] = {
	{"Mailbox", EAS_STORE_MAILBOX},
	{"GAL", EAS_STORE_GAL},
	{"DocumentLibrary", EAS_STORE_DOCUMENT_LIBRARY},
	{"Document Library", EAS_STORE_DOCUMENT_LIBRARY},
};

static void store_note(struct eas_body *body)
{
	struct span name = captured(body);
	uint8_t store = EAS_STORE_OTHER;

	for (size_t i = 0; i < sizeof(store_names) / sizeof(store_names[0]); i++)
		if (span_equal_nocase(name, store_names[i].name))
			store = store_names[i].store;
	body->stores |= store;
}

/* A search for \\server\share or for a URL reaches for the document library, by whatever store. */
static void query_note(struct eas_body *body)
{
	static const char *const begins[] = {"\\\\", "//", "file:", "http:", "https:"};
	struct span text = captured(body);

	while (text.len > 0 &&
		(text.data[0] == ' ' || (text.data[0] >= '\t' && text.data[0] <= '\r')))
		text = span_of(text.data + 1, text.len - 1);
	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
		size_t len = strlen(begins[i]);

		if (text.len >= len && span_equal_nocase(span_of(text.data, len), begins[i]))
			body->stores |= EAS_STORE_DOCUMENT_LIBRARY;
	}
}

/* Mail */

static void address_note(
	struct eas_body *body, enum mime_role role, const struct mime_addresses *list)
{
	uint16_t *place = NULL;

	body->texts_are_cut |= list->is_cut;
	switch (role) {
	case MIME_TO:
	case MIME_CC:
	case MIME_BCC:
		if (body->recipient_count < EAS_RECIPIENTS_NAMED)
			place = &body->recipients[body->recipient_count];
		body->recipient_count++;
		break;
	case MIME_FROM: place = body->from == 0 ? &body->from : NULL; break;
	case MIME_REPLY_TO: place = body->reply_to == 0 ? &body->reply_to : NULL; break;
	}
	if (place != NULL)
		*place = eas_body_text_add(body, list->address, EAS_BODY_TEXT_MAX);
}

static void part_note(struct eas_body *body, const struct mime_part *part)
{
	struct eas_attachment *attachment;

	if (!part->is_attachment)
		return;
	body->attachment_count++;
	attachment_open(body);
	attachment_size_note(body, part->size);
	attachment = attachment_of(body);
	if (attachment == NULL)
		return;
	attachment->name = eas_body_text_add(body, span_of_string(part->name), NAME_MAX_LEN);
	attachment->type = eas_body_text_add(body, span_of_string(part->type), TYPE_MAX);
}

static void mime_read(struct eas_body *body)
{
	struct mime_head *mime = body->work->mime;
	enum mime_event event;

	while ((event = mime_head_next(mime)) != MIME_MORE) {
		if (event == MIME_ADDRESS)
			address_note(body, mime->role, &mime->addresses);
		else
			part_note(body, &mime->part);
	}
	body->texts_are_cut |= mime->is_beyond;
}

int eas_body_note_mime(struct eas_body *body, struct span piece)
{
	struct eas_body_work *work = body->work;

	if (work->mime == NULL) {
		work->mime = malloc(sizeof(*work->mime));
		if (work->mime == NULL)
			return -1;
		mime_head_begin(work->mime);
	}
	mime_head_feed(work->mime, piece);
	mime_read(body);
	return 0;
}

void eas_body_note_mime_end(struct eas_body *body)
{
	if (body->work->mime == NULL)
		return;
	mime_head_finish(body->work->mime);
	mime_read(body);
	free(body->work->mime);
	body->work->mime = NULL;
}

int eas_body_note_addresses(struct eas_body *body, struct span piece)
{
	struct eas_body_work *work = body->work;

	if (work->addresses == NULL) {
		work->addresses = malloc(sizeof(*work->addresses));
		if (work->addresses == NULL)
			return -1;
		mime_addresses_begin(work->addresses);
	}
	mime_addresses_feed(work->addresses, piece);
	while (mime_addresses_next(work->addresses))
		address_note(body, MIME_TO, work->addresses);
	return 0;
}

static void addresses_end(struct eas_body *body)
{
	struct mime_addresses *list = body->work->addresses;

	if (list != NULL && mime_addresses_end(list))
		address_note(body, MIME_TO, list);
}

/* What begins, and what has ended */

static void wipe_note(struct eas_body *body, enum eas_wipe wipe)
{
	body->wipe_kind = (uint8_t)wipe;
}

void eas_body_note_start(struct eas_body *body, enum eas_what what)
{
	switch (what) {
	case EAS_WHAT_PARTIAL: body->is_partial = true; break;
	case EAS_WHAT_COLLECTION: collection_open(body); break;
	case EAS_WHAT_HAS_MORE: body->has_more = true; break;
	case EAS_WHAT_ADD: body->adds++; break;
	case EAS_WHAT_CHANGE: body->changes++; break;
	case EAS_WHAT_DELETE: body->deletes++; break;
	case EAS_WHAT_FETCH:
		body->fetches++;
		body->work->attachment = EAS_BODY_NONE_OPEN;
		break;
	case EAS_WHAT_RESULT:
		body->results++;
		body->work->attachment = EAS_BODY_NONE_OPEN;
		break;
	case EAS_WHAT_EMPTIES_FOLDER: body->empties_folder = true; break;
	case EAS_WHAT_SENDS_MAIL: body->sends_mail = true; break;
	case EAS_WHAT_ATTACHMENT:
		body->attachment_count++;
		attachment_open(body);
		break;
	case EAS_WHAT_STORE_MAILBOX: body->stores |= EAS_STORE_MAILBOX; break;
	case EAS_WHAT_STORE_GAL: body->stores |= EAS_STORE_GAL; break;
	case EAS_WHAT_DOCUMENT_LINK: body->stores |= EAS_STORE_DOCUMENT_LIBRARY; break;
	case EAS_WHAT_HAS_POLICIES: body->has_policies = true; break;
	case EAS_WHAT_WIPE_ALL: wipe_note(body, EAS_WIPE_ALL); break;
	case EAS_WHAT_WIPE_ACCOUNT: wipe_note(body, EAS_WIPE_ACCOUNT); break;
	case EAS_WHAT_DEVICE_INFO: body->device_info_present = true; break;
	case EAS_WHAT_SETS_OOF: body->settings |= EAS_SETTING_OOF; break;
	case EAS_WHAT_CHANGES_OOF: body->settings |= EAS_SETTING_OOF_SET; break;
	case EAS_WHAT_SETS_DEVICE_PASSWORD: body->settings |= EAS_SETTING_DEVICE_PASSWORD; break;
	case EAS_WHAT_ASKS_USER_INFORMATION: body->settings |= EAS_SETTING_USER_INFORMATION; break;
	default: break;
	}
}

static void reference_note(struct eas_body *body)
{
	attachment_open(body);
	attachment_text_note(body, EAS_WHAT_ATTACHMENT_REFERENCE);
}

static void part_number_note(struct eas_body *body)
{
	uint32_t number = captured_number(body);

	/* 0 is the document itself: it can be no part of it. */
	if (number == 0)
		number = UINT32_MAX;
	if (number > body->work->part_max)
		body->work->part_max = number;
}

static void sync_key_note(struct eas_body *body)
{
	struct eas_collection *collection = collection_of(body);

	if (collection != NULL)
		collection->sync_key = eas_body_text_add(body, captured(body), SYNC_KEY_MAX);
}

static void window_note(struct eas_body *body)
{
	struct eas_collection *collection = collection_of(body);

	if (collection != NULL)
		collection->window = captured_number(body);
}

static void info_note(struct eas_body *body, enum eas_what what)
{
	body->device_info[what - EAS_WHAT_INFO_MODEL] =
		eas_body_text_add(body, captured(body), INFO_MAX);
}

static void end_of_collection(struct eas_body *body, enum eas_what what)
{
	switch (what) {
	case EAS_WHAT_COLLECTION: body->work->collection = EAS_BODY_NONE_OPEN; break;
	case EAS_WHAT_COLLECTION_ID: collection_id_note(body); break;
	case EAS_WHAT_COLLECTION_STATUS: collection_status_note(body); break;
	case EAS_WHAT_CHANGED_FOLDER:
	case EAS_WHAT_FOLDER: folder_note(body); break;
	case EAS_WHAT_CLASS: class_note(body); break;
	case EAS_WHAT_SYNC_KEY: sync_key_note(body); break;
	case EAS_WHAT_WINDOW: window_note(body); break;
	default: break;
	}
}

static void end_of_attachment(struct eas_body *body, enum eas_what what)
{
	switch (what) {
	case EAS_WHAT_ATTACHMENT_SIZE: attachment_size_note(body, captured_number(body)); break;
	case EAS_WHAT_ATTACHMENT_CONTENT: attachment_size_note(body, body->work->text_len); break;
	case EAS_WHAT_REFERENCE: reference_note(body); break;
	case EAS_WHAT_REFERENCE_NAMED: body->file_reference_count++; break;
	case EAS_WHAT_PART: part_number_note(body); break;
	case EAS_WHAT_ATTACHMENT: body->work->attachment = EAS_BODY_NONE_OPEN; break;
	default: attachment_text_note(body, what); break;
	}
}

void eas_body_note_end(struct eas_body *body, enum eas_what what)
{
	switch (what) {
	case EAS_WHAT_STATUS:
		if (body->status == 0)
			body->status = captured_number(body);
		break;
	case EAS_WHAT_ITEM_STATUS: failure_note(body, captured_status(body), SUCCESS); break;
	case EAS_WHAT_MOVE_STATUS:
		failure_note(body, captured_status(body), SUCCESS_OF_MOVE);
		break;
	case EAS_WHAT_HEARTBEAT: heartbeat_note(body, 1); break;
	case EAS_WHAT_WAIT: heartbeat_note(body, 60); break;
	case EAS_WHAT_COLLECTION:
	case EAS_WHAT_COLLECTION_ID:
	case EAS_WHAT_COLLECTION_STATUS:
	case EAS_WHAT_CHANGED_FOLDER:
	case EAS_WHAT_FOLDER:
	case EAS_WHAT_CLASS:
	case EAS_WHAT_SYNC_KEY:
	case EAS_WHAT_WINDOW: end_of_collection(body, what); break;
	case EAS_WHAT_FOLDER_KEY:
		body->folder_key = eas_body_text_add(body, captured(body), SYNC_KEY_MAX);
		break;
	case EAS_WHAT_MIME: eas_body_note_mime_end(body); break;
	case EAS_WHAT_ADDRESSES: addresses_end(body); break;
	case EAS_WHAT_ATTACHMENT:
	case EAS_WHAT_ATTACHMENT_NAME:
	case EAS_WHAT_ATTACHMENT_TYPE:
	case EAS_WHAT_ATTACHMENT_SIZE:
	case EAS_WHAT_ATTACHMENT_REFERENCE:
	case EAS_WHAT_ATTACHMENT_CONTENT:
	case EAS_WHAT_REFERENCE:
	case EAS_WHAT_REFERENCE_NAMED:
	case EAS_WHAT_PART: end_of_attachment(body, what); break;
	case EAS_WHAT_STORE: store_note(body); break;
	case EAS_WHAT_QUERY_TEXT: query_note(body); break;
	case EAS_WHAT_POLICY_KEY: body->provision_policy_key = captured_number(body); break;
	case EAS_WHAT_POLICY_STATUS: body->policy_status = captured_status(body); break;
	case EAS_WHAT_WIPE_STATUS: body->wipe_status = captured_status(body); break;
	case EAS_WHAT_INFO_MODEL:
	case EAS_WHAT_INFO_IMEI:
	case EAS_WHAT_INFO_FRIENDLY_NAME:
	case EAS_WHAT_INFO_OS:
	case EAS_WHAT_INFO_OS_LANGUAGE:
	case EAS_WHAT_INFO_PHONE_NUMBER:
	case EAS_WHAT_INFO_USER_AGENT:
	case EAS_WHAT_INFO_OPERATOR: info_note(body, what); break;
	default: break;
	}
}
