/* Mails as ActiveSync writes them, ItemOperations Fetch (inline and multipart), GetAttachment. */
#include <event2/buffer.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve.h"

enum { ATTACHMENT_LEN = 3000, PARTS_MAX = 64 };

/* The attachment of a generated mail: lines that say whose it is. The caller's buffer holds
 * ATTACHMENT_LEN bytes. */
static void attachment_make(const struct call *call, char *data)
{
	char line[400];
	size_t len =
		(size_t)snprintf(line, sizeof(line), "Attachment for %s.\r\n", call->mailbox->name);

	for (size_t i = 0; i < ATTACHMENT_LEN; i++)
		data[i] = line[i % len];
}

static void attachment_reference(const struct mail *mail, char text[32])
{
	snprintf(text, 32, "%s:%u:0", store_folders[mail->folder].id, mail->number);
}

static void attachments_write(struct call *call, const struct mail *mail)
{
	char reference[32];

	attachment_reference(mail, reference);
	wbxml_write_start(&call->writer, WBXML_AIRSYNCBASE_ATTACHMENTS);
	wbxml_write_start(&call->writer, WBXML_AIRSYNCBASE_ATTACHMENT);
	wbxml_write_element(&call->writer, WBXML_AIRSYNCBASE_DISPLAYNAME, "note.txt");
	wbxml_write_element(&call->writer, WBXML_AIRSYNCBASE_FILEREFERENCE, reference);
	wbxml_write_element(&call->writer, WBXML_AIRSYNCBASE_METHOD, "1");
	call_write_number(call, WBXML_AIRSYNCBASE_ESTIMATEDDATASIZE, ATTACHMENT_LEN);
	wbxml_write_end(&call->writer);
	wbxml_write_end(&call->writer);
}

/* part > 0: the text stands in that part of a multipart answer. */
static void body_write(struct call *call, const struct mail *mail, uint32_t part)
{
	wbxml_write_start(&call->writer, WBXML_AIRSYNCBASE_BODY);
	wbxml_write_element(&call->writer, WBXML_AIRSYNCBASE_TYPE, "1");
	call_write_number(call, WBXML_AIRSYNCBASE_ESTIMATEDDATASIZE, strlen(mail->body));
	if (part > 0)
		call_write_number(call, WBXML_ITEMOPERATIONS_PART, part);
	else
		wbxml_write_element(&call->writer, WBXML_AIRSYNCBASE_DATA, mail->body);
	wbxml_write_end(&call->writer);
}

static void mail_write_with(struct call *call, const struct mail *mail, uint32_t part)
{
	char received[32];
	struct tm utc;

	gmtime_r(&mail->received, &utc);
	strftime(received, sizeof(received), "%Y-%m-%dT%H:%M:%S.000Z", &utc);
	wbxml_write_element(&call->writer, WBXML_EMAIL_TO, mail->to);
	wbxml_write_element(&call->writer, WBXML_EMAIL_FROM, mail->from);
	wbxml_write_element(&call->writer, WBXML_EMAIL_SUBJECT, mail->subject);
	wbxml_write_element(&call->writer, WBXML_EMAIL_DATERECEIVED, received);
	wbxml_write_element(&call->writer, WBXML_EMAIL_IMPORTANCE, "1");
	wbxml_write_element(&call->writer, WBXML_EMAIL_READ, "0");
	if (mail->has_attachment && call->query.version >= 120)
		attachments_write(call, mail);
	if (call->query.version >= 120)
		body_write(call, mail, part);
	else
		wbxml_write_element(&call->writer, WBXML_EMAIL_BODY, mail->body);
	wbxml_write_element(&call->writer, WBXML_EMAIL_MESSAGECLASS, "IPM.Note");
	wbxml_write_element(&call->writer, WBXML_EMAIL_INTERNETCPID, "65001");
	if (call->query.version >= 140)
		wbxml_write_element(
			&call->writer, WBXML_EMAIL_CONTENTCLASS, "urn:content-classes:message");
}

void mail_write(struct call *call, const struct mail *mail)
{
	mail_write_with(call, mail, 0);
}

/* "5:17" or "5:17:0" to the mail of that number in that folder, or NULL. */
static const struct mail *mail_named(const struct call *call, const char *id)
{
	char folder[16];
	unsigned int number;
	const struct mail *mail;

	if (sscanf(id, "%15[^:]:%u", folder, &number) != 2)
		return NULL;
	mail = mailbox_mail(call->mailbox, number);
	return mail != NULL && strcmp(store_folders[mail->folder].id, folder) == 0 ? mail : NULL;
}

/* The parts beside the document of a multipart answer; owned. */
struct parts {
	struct {
		void *data;
		size_t len;
	} parts[PARTS_MAX];
	uint32_t count;
};

static uint32_t parts_add(struct parts *parts, const void *data, size_t len)
{
	void *copy;

	if (parts->count == PARTS_MAX || (copy = malloc(len + 1)) == NULL)
		return 0;
	memcpy(copy, data, len);
	parts->parts[parts->count].data = copy;
	parts->parts[parts->count].len = len;
	return ++parts->count;
}

static void fetch_write_attachment(struct call *call, struct parts *parts)
{
	char data[ATTACHMENT_LEN], range[32];
	unsigned char encoded[ATTACHMENT_LEN * 4 / 3 + 8];

	attachment_make(call, data);
	snprintf(range, sizeof(range), "0-%d", ATTACHMENT_LEN - 1);
	wbxml_write_element(&call->writer, WBXML_AIRSYNCBASE_CONTENTTYPE, "text/plain");
	wbxml_write_element(&call->writer, WBXML_ITEMOPERATIONS_RANGE, range);
	call_write_number(call, WBXML_ITEMOPERATIONS_TOTAL, ATTACHMENT_LEN);
	if (call->query.accepts_multipart) {
		call_write_number(
			call, WBXML_ITEMOPERATIONS_PART, parts_add(parts, data, sizeof(data)));
		return;
	}
	EVP_EncodeBlock(encoded, (const unsigned char *)data, ATTACHMENT_LEN);
	wbxml_write_element(&call->writer, WBXML_ITEMOPERATIONS_DATA, (const char *)encoded);
}

static void fetch_write_names(struct call *call, const char *collection, const char *id)
{
	wbxml_write_element(&call->writer, WBXML_AIRSYNC_COLLECTIONID, collection);
	wbxml_write_element(&call->writer, WBXML_AIRSYNC_SERVERID, id);
	wbxml_write_element(&call->writer, WBXML_AIRSYNC_CLASS, "Email");
}

static void fetch_write(struct call *call, const struct document_node *fetch, struct parts *parts)
{
	const struct document *document = &call->document;
	char id[65], reference[65], collection[65];
	const struct mail *mail;

	document_copy(document, fetch, WBXML_AIRSYNC_COLLECTIONID, collection, sizeof(collection));
	document_copy(document, fetch, WBXML_AIRSYNC_SERVERID, id, sizeof(id));
	document_copy(
		document, fetch, WBXML_AIRSYNCBASE_FILEREFERENCE, reference, sizeof(reference));
	mail = mail_named(call, reference[0] != '\0' ? reference : id);
	if (reference[0] != '\0' && mail != NULL && !mail->has_attachment)
		mail = NULL;
	wbxml_write_start(&call->writer, WBXML_ITEMOPERATIONS_FETCH);
	wbxml_write_element(&call->writer, WBXML_ITEMOPERATIONS_STATUS,
		mail != NULL           ? "1"
		: reference[0] != '\0' ? "15"
				       : "6");
	if (reference[0] != '\0')
		wbxml_write_element(&call->writer, WBXML_AIRSYNCBASE_FILEREFERENCE, reference);
	else
		fetch_write_names(call, collection, id);
	if (mail != NULL) {
		wbxml_write_start(&call->writer, WBXML_ITEMOPERATIONS_PROPERTIES);
		if (reference[0] != '\0')
			fetch_write_attachment(call, parts);
		else
			mail_write_with(call, mail,
				call->query.accepts_multipart
					? parts_add(parts, mail->body, strlen(mail->body))
					: 0);
		wbxml_write_end(&call->writer);
	}
	wbxml_write_end(&call->writer);
}

static void number_append(struct wbxml_buffer *out, size_t number)
{
	const uint8_t bytes[4] = {(uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16),
		(uint8_t)(number >> 24)};

	wbxml_buffer_append(out, bytes, sizeof(bytes));
}

/* MS-ASHTTP 2.2.2.1.1: count, a table of offset and length, then the parts; the document is first. */
static void answer_multipart(struct call *call, const struct parts *parts)
{
	struct wbxml_buffer out = {.limit = SERVER_BODY_MAX};
	size_t offset = 4 + 8 * (1 + (size_t)parts->count);

	number_append(&out, 1 + parts->count);
	number_append(&out, offset);
	number_append(&out, call->out.len);
	offset += call->out.len;
	for (uint32_t i = 0; i < parts->count; i++) {
		number_append(&out, offset);
		number_append(&out, parts->parts[i].len);
		offset += parts->parts[i].len;
	}
	wbxml_buffer_append(&out, call->out.data, call->out.len);
	for (uint32_t i = 0; i < parts->count; i++)
		wbxml_buffer_append(&out, parts->parts[i].data, parts->parts[i].len);
	if (out.has_failed)
		call_answer_status(call, 500);
	else
		call_answer_bytes(
			call, "application/vnd.ms-sync.multipart", span_of(out.data, out.len));
	wbxml_buffer_free(&out);
}

void item_operations_serve(struct call *call)
{
	const struct document *document = &call->document;
	const struct document_node *fetch =
		document_child(document, NULL, WBXML_ITEMOPERATIONS_FETCH);
	struct parts parts = {.count = 0};

	call_begin(call, WBXML_ITEMOPERATIONS_ITEMOPERATIONS);
	wbxml_write_element(&call->writer, WBXML_ITEMOPERATIONS_STATUS, fetch != NULL ? "1" : "2");
	if (fetch != NULL)
		wbxml_write_start(&call->writer, WBXML_ITEMOPERATIONS_RESPONSE);
	for (const struct document_node *one = fetch; one != NULL;
		one = document_next(document, one))
		fetch_write(call, one, &parts);
	if (fetch != NULL)
		wbxml_write_end(&call->writer);
	wbxml_write_end(&call->writer);
	if (call->query.accepts_multipart)
		answer_multipart(call, &parts);
	else
		call_answer(call);
	for (uint32_t i = 0; i < parts.count; i++)
		free(parts.parts[i].data);
}

void attachment_serve(struct call *call)
{
	const struct mail *mail = mail_named(call, call->query.attachment);
	char data[ATTACHMENT_LEN];

	if (mail == NULL || !mail->has_attachment) {
		call_answer_status(call, 500); /* MS-ASHTTP: gone */
		return;
	}
	attachment_make(call, data);
	call_answer_bytes(call, "text/plain", span_of(data, sizeof(data)));
}
