/* SendMail, and SmartForward and SmartReply treated alike: delivers to the mailboxes of this server
 * and wakes their devices. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mime.h"
#include "serve.h"

enum { BODY_KEPT_MAX = 64 * 1024 };

/* The mailbox of an address: by the whole of it or its local part, as the proxy names them; a new
 * one where its domain is the sender's. NULL: not ours. */
static struct mailbox *recipient_find(struct call *call, const char *address)
{
	struct store *store = &call->serve->store;
	struct mailbox *mailbox = store_mailbox_find(store, address);
	const char *domain = strchr(address, '@'), *own = strchr(call->mailbox->name, '@');
	char local[321];

	if (mailbox != NULL || domain == NULL)
		return mailbox;
	if (own != NULL)
		return strcasecmp(own, domain) == 0 ? store_mailbox(store, address) : NULL;
	snprintf(local, sizeof(local), "%.*s", (int)(domain - address), address);
	return store_mailbox_find(store, local);
}

static bool client_id_is_new(struct device *device, const char *id)
{
	for (size_t i = 0; i < DEVICE_CLIENT_IDS; i++)
		if (id[0] != '\0' && strcmp(device->client_ids[i], id) == 0)
			return false;
	snprintf(device->client_ids[device->next_client_id++ % DEVICE_CLIENT_IDS],
		sizeof(device->client_ids[0]), "%s", id);
	return true;
}

static void message_deliver(struct call *call, struct span message, bool saves_copy)
{
	char subject[512] = "", to[2048] = "", id[256] = "", address[321];
	struct span text = mime_body(message);
	char *body = strndup(
		(const char *)text.data, text.len < BODY_KEPT_MAX ? text.len : BODY_KEPT_MAX);
	const char *list = to;
	struct mail mail = {.subject = subject,
		.from = call->mailbox->name, /* whatever the message says; as Exchange does */
		.to = to,
		.message_id = id,
		.body = body};

	if (body == NULL)
		abort();
	mime_field(message, "Subject", subject, sizeof(subject));
	mime_field(message, "To", to, sizeof(to));
	mime_field(message, "Message-ID", id, sizeof(id));
	call->serve->stats.mails_sent++;
	while (mime_next_address(&list, address, sizeof(address))) {
		struct mailbox *recipient = recipient_find(call, address);

		if (recipient != NULL && mailbox_put(recipient, FOLDER_INBOX, &mail) != NULL)
			call->serve->stats.mails_delivered++;
		else
			call->serve->stats.mails_undeliverable++;
	}
	if (saves_copy)
		mailbox_put(call->mailbox, FOLDER_SENT, &mail);
	free(body);
}

/* Up to 12.1: the body is the message. */
static void message_serve(struct call *call)
{
	char id[sizeof(call->device->client_ids[0])] = "";

	mime_field(call->request->body, "Message-ID", id, sizeof(id));
	if (client_id_is_new(call->device, id))
		message_deliver(call, call->request->body, call->query.saves_copy);
	else
		call->serve->stats.mails_repeated++;
	call_answer(call);
}

void send_mail_serve(struct call *call)
{
	const struct document *document = &call->document;
	uint16_t root = document_root_tag(document);
	const struct document_node *mime;
	char id[sizeof(call->device->client_ids[0])];

	if (call->query.version < 140) {
		message_serve(call);
		return;
	}
	if (root != WBXML_COMPOSEMAIL_SENDMAIL && root != WBXML_COMPOSEMAIL_SMARTFORWARD &&
		root != WBXML_COMPOSEMAIL_SMARTREPLY) {
		call_answer_status(call, 400);
		return;
	}
	mime = document_child(document, NULL, WBXML_COMPOSEMAIL_MIME);
	document_copy(document, NULL, WBXML_COMPOSEMAIL_CLIENTID, id, sizeof(id));
	if (mime == NULL || id[0] == '\0') {
		call_answer_root_status(call, root, WBXML_COMPOSEMAIL_STATUS, 107);
		return;
	}
	if (!client_id_is_new(call->device, id)) {
		call->serve->stats.mails_repeated++;
		call_answer_root_status(call, root, WBXML_COMPOSEMAIL_STATUS, 118);
		return;
	}
	message_deliver(call, document_text(document, mime),
		document_child(document, NULL, WBXML_COMPOSEMAIL_SAVEINSENTITEMS) != NULL);
	call_answer(call);
}
