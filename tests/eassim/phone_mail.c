/* Whether what a phone gets is its own: mails of a Sync, attachments of an ItemOperations. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fleet.h"

enum { ATTACHMENT_MAX = 64 * 1024 };

/* Whether `text` has the mailbox's name, whole or local part, between these. */
static bool names_owner(
	const struct phone *phone, const char *text, const char *before, const char *after)
{
	const char *mailbox = phone->user->mailbox;
	const char *at = strchr(mailbox, '@');
	size_t whole = strlen(mailbox), local = at != NULL ? (size_t)(at - mailbox) : whole;
	const char *start = strstr(text, before);

	if (start == NULL)
		return false;
	start += strlen(before);
	return (strncasecmp(start, mailbox, whole) == 0 &&
		       strncmp(start + whole, after, strlen(after)) == 0) ||
	       (strncasecmp(start, mailbox, local) == 0 &&
		       strncmp(start + local, after, strlen(after)) == 0);
}

static int wrong(struct phone *phone, const char *what, const char *subject, const char *text)
{
	char detail[256];

	snprintf(detail, sizeof(detail), "%.100s: %.100s", subject, text);
	phone_wrong(phone, what, detail);
	return PHONE_WRONG;
}

static void attachment_note(
	struct phone *phone, const struct document *document, const struct document_node *data)
{
	const struct document_node *list =
		document_child(document, data, WBXML_AIRSYNCBASE_ATTACHMENTS);
	const struct document_node *one =
		list != NULL ? document_child(document, list, WBXML_AIRSYNCBASE_ATTACHMENT) : NULL;

	if (one != NULL && phone->attachment[0] == '\0' && !phone->fleet->options.is_foreign &&
		phone->fleet->options.version >= 120)
		document_copy(document, one, WBXML_AIRSYNCBASE_FILEREFERENCE, phone->attachment,
			sizeof(phone->attachment));
}

int phone_check_mail(
	struct phone *phone, const struct document *document, const struct document_node *add)
{
	const struct document_node *data =
		document_child(document, add, WBXML_AIRSYNC_APPLICATIONDATA);
	const struct document_node *body_node =
		data != NULL ? document_child(document, data, WBXML_AIRSYNCBASE_BODY) : NULL;
	char id[64], subject[512], body[512] = "";
	const char *colon;
	uint32_t number;

	document_copy(document, add, WBXML_AIRSYNC_SERVERID, id, sizeof(id));
	if (data == NULL)
		return wrong(phone, "a mail without data", id, "");
	document_copy(document, data, WBXML_EMAIL_SUBJECT, subject, sizeof(subject));
	phone_say(phone, "mail %s: %s", id, subject);
	if (phone->fleet->options.is_foreign)
		return letter_arrived(phone->fleet, phone->user, subject) == 0
			       ? PHONE_RIGHT
			       : wrong(phone, "a letter that was sent to someone else", id,
					 subject);
	if (body_node != NULL)
		document_copy(document, body_node, WBXML_AIRSYNCBASE_DATA, body, sizeof(body));
	else
		document_copy(document, data, WBXML_EMAIL_BODY, body, sizeof(body));
	if (subject[0] != '[' || !names_owner(phone, subject, "[", "]"))
		return wrong(phone, "a mail of another mailbox", id, subject);
	if (!names_owner(phone, body, " for ", ".") && !names_owner(phone, body, " for ", " from "))
		return wrong(phone, "a mail with another's body", subject, body);
	colon = strchr(id, ':');
	number = colon != NULL ? (uint32_t)strtoul(colon + 1, NULL, 10) : 0;
	if (number <= phone->newest)
		return wrong(phone, "a mail that it has already, or one out of order", id, subject);
	phone->newest = number;
	attachment_note(phone, document, data);
	if (letter_arrived(phone->fleet, phone->user, subject) != 0)
		return wrong(phone, "a letter that was sent to someone else", id, subject);
	return PHONE_RIGHT;
}

static uint32_t number_at(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

/* Part `index` of a multipart answer; false where its table is wrong. */
static bool multipart_part(struct span content, uint32_t index, struct span *part)
{
	uint32_t offset, len;

	if (content.len < 4 || index >= number_at(content.data) ||
		content.len < 4 + 8 * ((size_t)index + 1))
		return false;
	offset = number_at(content.data + 4 + 8 * (size_t)index);
	len = number_at(content.data + 8 + 8 * (size_t)index);
	if (offset > content.len || len > content.len - offset)
		return false;
	*part = span_of(content.data + offset, len);
	return true;
}

/* The attachment's bytes into text: from its part, or from base64. */
static bool attachment_read(const struct document *document, const struct line_answer *answer,
	const struct document_node *properties, char *text)
{
	uint64_t index = document_number(document, properties, WBXML_ITEMOPERATIONS_PART, 0);
	struct span data;
	int len;

	if (index > 0) {
		if (index > UINT32_MAX ||
			!multipart_part(answer->content, (uint32_t)index, &data) ||
			data.len >= ATTACHMENT_MAX)
			return false;
		memcpy(text, data.data, data.len);
		text[data.len] = '\0';
		return true;
	}
	data = document_text(
		document, document_child(document, properties, WBXML_ITEMOPERATIONS_DATA));
	if (data.len == 0 || data.len >= ATTACHMENT_MAX)
		return false;
	len = EVP_DecodeBlock((unsigned char *)text, data.data, (int)data.len);
	text[len > 0 ? len : 0] = '\0';
	return len > 0;
}

int phone_check_fetch(struct phone *phone, const struct line_answer *answer)
{
	static const uint16_t path[] = {WBXML_ITEMOPERATIONS_RESPONSE, WBXML_ITEMOPERATIONS_FETCH,
		WBXML_ITEMOPERATIONS_PROPERTIES, 0};
	struct document document = {0};
	struct span first = answer->content, type = {0};
	struct error err = {"the table of parts"};
	const struct document_node *properties;
	char *text = calloc(1, ATTACHMENT_MAX);
	int result = PHONE_WRONG;
	bool is_multipart;

	http_field_find(answer->head, "Content-Type", &type);
	is_multipart = span_equal_nocase(type, "application/vnd.ms-sync.multipart");
	if (text == NULL || (is_multipart && !multipart_part(answer->content, 0, &first)) ||
		document_read(&document, first, &err) != 0) {
		phone_wrong(phone, "a malformed ItemOperations answer", err.text);
		goto out;
	}
	properties = document_path(&document, path);
	if (is_multipart != (phone->number % 2 == 1) || properties == NULL ||
		!attachment_read(&document, answer, properties, text)) {
		phone_wrong(phone, "ItemOperations gives no attachment", phone->attachment);
		goto out;
	}
	if (!names_owner(phone, text, "Attachment for ", ".")) {
		text[80] = '\0';
		phone_wrong(phone, "an attachment of another mailbox", text);
		goto out;
	}
	phone_say(phone, "attachment %s, %zu bytes%s", phone->attachment, strlen(text),
		is_multipart ? ", multipart" : "");
	phone->has_fetched = true;
	phone->step = PHONE_PING;
	result = PHONE_RIGHT;
out:
	document_free(&document);
	free(text);
	return result;
}
