/*
 * What the tests of eas_body share: a body fed in pieces, and its view as one line of text, in
 * which facts that were not seen are left out.
 */
#ifndef TESTS_UNIT_EAS_BODY_SHOWN_H
#define TESTS_UNIT_EAS_BODY_SHOWN_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/eas_body.h"

struct shown {
	char text[4096];
	size_t len;
};

/* Feeds pieces of this size, each in memory of its own; the body is for eas_body_free(). */
static inline struct eas_body *body_fed(
	const struct eas_body_terms *terms, struct span document, size_t piece)
{
	struct eas_body *body = eas_body_new(terms);
	enum refusal refusal = REFUSAL_NONE;

	for (size_t at = 0; at < document.len && refusal == REFUSAL_NONE; at += piece) {
		size_t len = document.len - at < piece ? document.len - at : piece;
		uint8_t *copy = malloc(len);

		memcpy(copy, document.data + at, len);
		refusal = eas_body_feed(body, span_of(copy, len));
		free(copy);
	}
	/* Once refused it stays so. */
	if (refusal != REFUSAL_NONE &&
		(eas_body_feed(body, span_of("x", 1)) != refusal || eas_body_end(body) != refusal))
		abort();
	eas_body_end(body);
	return body;
}

__attribute__((format(printf, 2, 3))) static inline void show(
	struct shown *shown, const char *format, ...)
{
	va_list arguments;
	int len;

	va_start(arguments, format);
	len = vsnprintf(
		shown->text + shown->len, sizeof(shown->text) - shown->len, format, arguments);
	va_end(arguments);
	if (len < 0 || (size_t)len >= sizeof(shown->text) - shown->len)
		abort();
	shown->len += (size_t)len;
}

static inline void show_number(struct shown *shown, const char *key, uint64_t value)
{
	if (value != 0)
		show(shown, " %s=%llu", key, (unsigned long long)value);
}

static inline void show_text(struct shown *shown, const char *key, const char *value)
{
	if (value[0] != '\0')
		show(shown, " %s=%s", key, value);
}

static inline void show_flag(struct shown *shown, const char *key, bool value)
{
	if (value)
		show(shown, " %s", key);
}

static inline void show_collections(struct shown *shown, const struct eas_body *body)
{
	static const char *const classes[] = {
		"", "email", "calendar", "contacts", "tasks", "notes", "sms", "other"};

	show_number(shown, "collections", body->collection_count);
	for (size_t i = 0; i < EAS_COLLECTIONS_NAMED && i < body->collection_count; i++) {
		const struct eas_collection *collection = &body->collections[i];

		show(shown, " (%s", eas_body_collection_id(body, i));
		show_text(shown, "key", eas_body_sync_key(body, i));
		show_text(shown, "class", classes[collection->class]);
		show_number(shown, "window", collection->window);
		show_number(shown, "status", collection->status);
		show(shown, ")");
	}
	for (size_t i = 1; i <= EAS_CLASS_OTHER; i++)
		show_flag(shown, classes[i], (body->classes & 1U << i) != 0);
}

static inline void show_device(struct shown *shown, const struct eas_body *body)
{
	static const char *const infos[EAS_INFO_COUNT] = {
		"model", "imei", "friendly", "os", "language", "phone", "agent", "operator"};

	show_flag(shown, "oof", (body->settings & EAS_SETTING_OOF) != 0);
	show_flag(shown, "oof_set", (body->settings & EAS_SETTING_OOF_SET) != 0);
	show_flag(shown, "password", (body->settings & EAS_SETTING_DEVICE_PASSWORD) != 0);
	show_flag(shown, "user", (body->settings & EAS_SETTING_USER_INFORMATION) != 0);
	show_flag(shown, "policies", body->has_policies);
	show_number(shown, "policy_key", body->provision_policy_key);
	show_number(shown, "policy_status", body->policy_status);
	show_number(shown, "wipe", body->wipe_kind);
	show_number(shown, "wipe_status", body->wipe_status);
	show_flag(shown, "device", body->device_info_present);
	for (size_t i = 0; i < EAS_INFO_COUNT; i++)
		show_text(shown, infos[i], eas_body_device_info(body, (enum eas_info)i));
}

static inline void show_mail(struct shown *shown, const struct eas_body *body)
{
	show_flag(shown, "sends", body->sends_mail);
	show_number(shown, "recipients", body->recipient_count);
	for (size_t i = 0; i < EAS_RECIPIENTS_NAMED && i < body->recipient_count; i++)
		show(shown, " <%s>", eas_body_recipient(body, i));
	show_text(shown, "from", eas_body_text(body, body->from));
	show_text(shown, "reply_to", eas_body_text(body, body->reply_to));
	show_number(shown, "attachments", body->attachment_count);
	show_number(shown, "largest", body->largest_attachment);
	show_number(shown, "references", body->file_reference_count);
	for (size_t i = 0; i < body->attachments_named; i++) {
		const struct eas_attachment *attachment = &body->attachments[i];

		show(shown, " (%s", eas_body_text(body, attachment->name));
		show_text(shown, "type", eas_body_text(body, attachment->type));
		show_text(shown, "ref", eas_body_text(body, attachment->reference));
		show_number(shown, "size", attachment->size);
		show(shown, ")");
	}
}

static inline void body_show(struct shown *shown, const struct eas_body *body)
{
	const struct wbxml_tag *root = wbxml_tag_find(body->root >> 8, body->root & 0xFF);

	shown->len = 0;
	show(shown, "%s", root != NULL ? root->name : "-");
	show_number(shown, "status", body->status);
	show_number(shown, "heartbeat", body->heartbeat_s);
	show_flag(shown, "partial", body->is_partial);
	show_text(shown, "folders", eas_body_text(body, body->folder_key));
	show_collections(shown, body);
	show_number(shown, "adds", body->adds);
	show_number(shown, "changes", body->changes);
	show_number(shown, "deletes", body->deletes);
	show_number(shown, "fetches", body->fetches);
	show_flag(shown, "more", body->has_more);
	show_flag(shown, "empties", body->empties_folder);
	show_number(shown, "results", body->results);
	show_number(shown, "failures", body->failures);
	show_number(shown, "failure", body->item_failure);
	show_flag(shown, "mailbox", (body->stores & EAS_STORE_MAILBOX) != 0);
	show_flag(shown, "gal", (body->stores & EAS_STORE_GAL) != 0);
	show_flag(shown, "library", (body->stores & EAS_STORE_DOCUMENT_LIBRARY) != 0);
	show_flag(shown, "other_store", (body->stores & EAS_STORE_OTHER) != 0);
	show_device(shown, body);
	show_mail(shown, body);
	show_number(shown, "unknown", body->unknown_tags);
	show_number(shown, "later", body->later_tags);
	show_flag(shown, "cut", body->texts_are_cut);
	if (body->refusal != REFUSAL_NONE)
		show(shown, " REFUSED %s: %s", refusal_row(body->refusal)->name,
			eas_body_fault_text(body));
	show_number(shown, "answer", body->structure_status);
}

#endif
