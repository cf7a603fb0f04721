#include "store.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAILS_MAX = 1000000 };

const struct folder_facts store_folders[FOLDER_COUNT] = {
	[FOLDER_INBOX] = {"5", "Inbox", "2", "Email"},
	[FOLDER_SENT] = {"6", "Sent Items", "5", "Email"},
	[FOLDER_DELETED] = {"7", "Deleted Items", "4", "Email"},
	[FOLDER_DRAFTS] = {"8", "Drafts", "3", "Email"},
	[FOLDER_CALENDAR] = {"1", "Calendar", "8", "Calendar"},
	[FOLDER_CONTACTS] = {"2", "Contacts", "9", "Contacts"},
};

static int mailbox_compare(const void *a, const void *b)
{
	return strcasecmp(((const struct mailbox *)a)->name, ((const struct mailbox *)b)->name);
}

static int device_compare(const void *a, const void *b)
{
	const struct device *one = a, *other = b;

	if (one->mailbox != other->mailbox)
		return one->mailbox < other->mailbox ? -1 : 1;
	return strcasecmp(one->id, other->id);
}

struct mailbox *store_mailbox_find(const struct store *store, const char *name)
{
	struct mailbox key;
	void *found;

	if (strlen(name) >= sizeof(key.name))
		return NULL;
	snprintf(key.name, sizeof(key.name), "%s", name);
	found = tfind(&key, &store->mailboxes, mailbox_compare);
	return found != NULL ? *(struct mailbox **)found : NULL;
}

struct mailbox *store_mailbox(struct store *store, const char *name)
{
	struct mailbox *mailbox = store_mailbox_find(store, name);

	if (mailbox != NULL || strlen(name) >= sizeof(mailbox->name))
		return mailbox;
	mailbox = calloc(1, sizeof(*mailbox));
	if (mailbox == NULL)
		return NULL;
	snprintf(mailbox->name, sizeof(mailbox->name), "%s", name);
	TAILQ_INIT(&mailbox->waiters);
	if (tsearch(mailbox, &store->mailboxes, mailbox_compare) == NULL) {
		free(mailbox);
		return NULL;
	}
	store->mailbox_count++;
	for (uint32_t i = 0; i < store->mails_each; i++)
		mailbox_generate(mailbox, NULL);
	return mailbox;
}

struct device *store_device(struct store *store, struct mailbox *mailbox, const char *id)
{
	struct device key = {.mailbox = mailbox};
	struct device *device;
	void *found;

	snprintf(key.id, sizeof(key.id), "%s", id);
	found = tfind(&key, &store->devices, device_compare);
	if (found != NULL)
		return *(struct device **)found;
	device = malloc(sizeof(*device));
	if (device == NULL)
		return NULL;
	*device = key;
	if (tsearch(device, &store->devices, device_compare) == NULL) {
		free(device);
		return NULL;
	}
	store->device_count++;
	mailbox->device_count++;
	return device;
}

static void mailbox_free(void *node)
{
	struct mailbox *mailbox = node;

	for (uint32_t i = 0; i < mailbox->mail_count; i++) {
		free(mailbox->mails[i].subject);
		free(mailbox->mails[i].from);
		free(mailbox->mails[i].to);
		free(mailbox->mails[i].message_id);
		free(mailbox->mails[i].body);
	}
	free(mailbox->mails);
	free(mailbox);
}

void store_free(struct store *store)
{
	tdestroy(store->devices, free);
	tdestroy(store->mailboxes, mailbox_free);
	*store = (struct store){0};
}

static void mailbox_wake(struct mailbox *mailbox, enum folder folder)
{
	struct waiter *waiter, *next;

	/* on_mail takes the waiter off the list, and no other one. */
	for (waiter = TAILQ_FIRST(&mailbox->waiters); waiter != NULL; waiter = next) {
		next = TAILQ_NEXT(waiter, link);
		if ((waiter->folders & 1u << folder) != 0)
			waiter->on_mail(waiter);
	}
}

struct mail *mailbox_put(struct mailbox *mailbox, enum folder folder, const struct mail *given)
{
	struct mail *mail;

	if (mailbox->mail_count == MAILS_MAX)
		return NULL;
	if (mailbox->mail_count == mailbox->mail_capacity) {
		uint32_t capacity = mailbox->mail_capacity > 0 ? 2 * mailbox->mail_capacity : 16;
		struct mail *mails = reallocarray(mailbox->mails, capacity, sizeof(*mails));

		if (mails == NULL)
			return NULL;
		mailbox->mails = mails;
		mailbox->mail_capacity = capacity;
	}
	mail = &mailbox->mails[mailbox->mail_count];
	*mail = (struct mail){
		.number = ++mailbox->mail_count,
		.folder = folder,
		.has_attachment = given->has_attachment,
		.received = time(NULL),
		.subject = strdup(given->subject),
		.from = strdup(given->from),
		.to = strdup(given->to),
		.message_id = strdup(given->message_id),
		.body = strdup(given->body),
	};
	if (mail->subject == NULL || mail->from == NULL || mail->to == NULL ||
		mail->message_id == NULL || mail->body == NULL)
		abort(); /* a simulator without memory has nothing left to show */
	mailbox_wake(mailbox, folder);
	return mail;
}

struct mail *mailbox_generate(struct mailbox *mailbox, const char *subject)
{
	uint32_t number = mailbox->mail_count + 1;
	char text[512], body[512], id[64];
	struct mail mail = {.subject = text,
		.from = "Post Office <post@eassim.example>",
		.to = mailbox->name,
		.message_id = id,
		.body = body,
		.has_attachment = number == 1};

	if (subject != NULL)
		snprintf(text, sizeof(text), "[%s] %s", mailbox->name, subject);
	else
		snprintf(text, sizeof(text), "[%s] Mail %u", mailbox->name, number);
	snprintf(body, sizeof(body), "This is mail %u for %s.\r\n", number, mailbox->name);
	snprintf(id, sizeof(id), "<%u.%lx@eassim.example>", number, (unsigned long)time(NULL));
	return mailbox_put(mailbox, FOLDER_INBOX, &mail);
}

const struct mail *mailbox_mail(const struct mailbox *mailbox, uint32_t number)
{
	return number > 0 && number <= mailbox->mail_count ? &mailbox->mails[number - 1] : NULL;
}

enum folder store_folder_find(const char *id)
{
	int folder = 0;

	while (folder < FOLDER_COUNT && strcmp(store_folders[folder].id, id) != 0)
		folder++;
	return (enum folder)folder;
}

void waiter_begin(struct waiter *waiter, struct mailbox *mailbox)
{
	waiter->mailbox = mailbox;
	TAILQ_INSERT_TAIL(&mailbox->waiters, waiter, link);
}

void waiter_end(struct waiter *waiter)
{
	if (waiter->mailbox != NULL)
		TAILQ_REMOVE(&waiter->mailbox->waiters, waiter, link);
	waiter->mailbox = NULL;
}
