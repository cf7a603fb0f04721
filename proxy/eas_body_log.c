#include "proxy/eas_body_log.h"

#include <string.h>

enum { IMEI_SHOWN = 4, IMEI_MASKED_SIZE = 24 };

/* The same fact of a request and of its answer. */
struct key {
	const char *request, *answer;
};

static void note_number(struct log_line *line, struct key key, uint64_t value, bool is_answer)
{
	if (value != 0)
		log_number(line, is_answer ? key.answer : key.request,
			value < INT64_MAX ? (int64_t)value : INT64_MAX);
}

static void note_text(struct log_line *line, const char *key, const char *value)
{
	if (value[0] != '\0')
		log_text(line, key, value);
}

/* Adds a name to a list of them with commas between, which has room for it. */
static char *name_add(char *names, char *at, struct span name)
{
	if (at > names)
		*at++ = ',';
	memcpy(at, name.data, name.len);
	return at + name.len;
}

static void note_collections(struct log_line *line, const struct eas_body *body, bool is_answer)
{
	char names[EAS_COLLECTIONS_NAMED * (EAS_COLLECTION_NAME_MAX + 1)];
	char *end = names;

	for (uint32_t i = 0; i < body->collection_count && i < EAS_COLLECTIONS_NAMED; i++) {
		const char *id = eas_body_collection_id(body, i);

		if (id[0] != '\0')
			end = name_add(names, end, span_of_string(id));
	}
	if (is_answer)
		log_span(line, "answer_collections", span_of(names, (size_t)(end - names)));
	else
		log_span(line, "collections", span_of(names, (size_t)(end - names)));
}

static void note_stores(struct log_line *line, const struct eas_body *body)
{
	static const char *const names[] = {"mailbox", "gal", "document-library", "other"};
	char text[64];
	char *end = text;

	if (body->stores == 0)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if ((body->stores & 1U << i) != 0)
			end = name_add(text, end, span_of_string(names[i]));
	log_span(line, "stores", span_of(text, (size_t)(end - text)));
}

/* All but its last four digits as "*"; "" without one. */
static void imei_mask(const struct eas_body *body, char masked[IMEI_MASKED_SIZE])
{
	const char *imei = eas_body_device_info(body, EAS_INFO_IMEI);
	size_t len = strlen(imei);
	size_t shown = len > 2 * (size_t)IMEI_SHOWN ? IMEI_SHOWN : 0;
	size_t hidden = len - shown;

	if (hidden > IMEI_MASKED_SIZE - 1 - IMEI_SHOWN)
		hidden = IMEI_MASKED_SIZE - 1 - IMEI_SHOWN;
	memset(masked, '*', hidden);
	memcpy(masked + hidden, imei + len - shown, shown);
	masked[hidden + shown] = '\0';
}

static void note_device(struct log_line *line, const struct eas_body *body)
{
	char imei[IMEI_MASKED_SIZE];
	uint16_t places = 0;

	for (size_t i = 0; i < EAS_INFO_COUNT; i++)
		places |= body->device_info[i];
	if (places == 0)
		return;
	imei_mask(body, imei);
	note_text(line, "device_model", eas_body_device_info(body, EAS_INFO_MODEL));
	note_text(line, "device_os", eas_body_device_info(body, EAS_INFO_OS));
	note_text(line, "device_name", eas_body_device_info(body, EAS_INFO_FRIENDLY_NAME));
	note_text(line, "device_imei", imei);
}

static void note_request(struct log_line *line, const struct eas_body *body)
{
	note_number(line, (struct key){.request = "heartbeat"}, body->heartbeat_s, false);
	note_stores(line, body);
	if (body->sends_mail)
		log_number(line, "recipients", body->recipient_count);
	note_device(line, body);
	note_number(line, (struct key){.request = "wipe_status"}, body->wipe_status, false);
	note_number(line, (struct key){.request = "later_tags"}, body->later_tags, false);
}

static void note_answer(struct log_line *line, const struct eas_body *body)
{
	note_number(line, (struct key){.answer = "eas_status"}, body->status, true);
	note_number(line, (struct key){.answer = "results"}, body->results, true);
	note_number(line, (struct key){.answer = "failures"}, body->failures, true);
	note_number(line, (struct key){.answer = "item_failure"}, body->item_failure, true);
	if (body->has_more)
		log_bool(line, "has_more", true);
}

void eas_body_log(struct log_line *line, const struct eas_body *body, bool is_answer)
{
	const struct wbxml_tag *root;

	if (body == NULL)
		return;
	root = wbxml_tag_find(body->root >> 8, body->root & 0xff);
	if (is_answer) {
		log_word(line, "answer_document", root != NULL ? root->name : NULL);
		note_answer(line, body);
	} else {
		log_word(line, "document", root != NULL ? root->name : NULL);
		note_request(line, body);
	}
	note_collections(line, body, is_answer);
	note_number(line, (struct key){"items", "answer_items"}, eas_body_items(body), is_answer);
	note_number(line, (struct key){"attachments", "answer_attachments"}, body->attachment_count,
		is_answer);
	note_number(line, (struct key){"largest_attachment", "answer_largest_attachment"},
		body->largest_attachment, is_answer);
	note_number(line, (struct key){"file_references", "answer_file_references"},
		body->file_reference_count, is_answer);
	note_number(line, (struct key){"unknown_tags", "answer_unknown_tags"}, body->unknown_tags,
		is_answer);
}
