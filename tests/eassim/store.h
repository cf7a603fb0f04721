/*
 * What `eassim serve` keeps, in memory alone: mailboxes with their mails, the devices that sync
 * them, and the long polls that wait for mail.
 */
#ifndef EASSIM_STORE_H
#define EASSIM_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

enum folder {
	FOLDER_INBOX,
	FOLDER_SENT,
	FOLDER_DELETED,
	FOLDER_DRAFTS,
	FOLDER_CALENDAR,
	FOLDER_CONTACTS,
	FOLDER_COUNT
};

struct folder_facts {
	const char *id, *name, *type, *class;
};

extern const struct folder_facts store_folders[FOLDER_COUNT];

struct mail {
	uint32_t number; /* in its mailbox, from 1, never used again */
	enum folder folder;
	bool has_attachment;
	time_t received;
	char *subject, *from, *to, *message_id, *body;
};

/* Someone who is told of the next mail that comes into one of the folders (bits 1 << folder). */
struct waiter {
	TAILQ_ENTRY(waiter) link;
	struct mailbox *mailbox; /* NULL while it does not wait */
	uint32_t folders;
	void (*on_mail)(struct waiter *waiter);
};

struct mailbox {
	char name[321];
	struct mail *mails;
	uint32_t mail_count, mail_capacity;
	uint32_t device_count;
	TAILQ_HEAD(, waiter) waiters;
};

struct collection_state {
	uint32_t series; /* the part of its SyncKeys that tells one start over from the next */
	uint32_t key;    /* 0: not started */
	uint32_t seen,
		seen_before; /* number of the last mail given out with this key, and the last */
};

enum { DEVICE_CLIENT_IDS = 4 };

struct device {
	struct mailbox *mailbox;
	char id[65];
	uint32_t offered_policy_key, policy_key; /* 0: none */
	uint32_t folder_key;
	struct collection_state collections[FOLDER_COUNT];
	char client_ids[DEVICE_CLIENT_IDS][96]; /* of the last mails it sent */
	uint32_t next_client_id;
	uint32_t ping_heartbeat_s, ping_folders; /* parameters of its last Ping */
};

struct store {
	void *mailboxes, *devices; /* tsearch(3) trees */
	uint32_t mailbox_count, device_count;
	uint32_t mails_each; /* generated for a new mailbox */
};

/* Both make what is not there yet; NULL when memory is out. */
struct mailbox *store_mailbox(struct store *store, const char *name);
struct device *store_device(struct store *store, struct mailbox *mailbox, const char *id);

/* An existing mailbox, or NULL. */
struct mailbox *store_mailbox_find(const struct store *store, const char *name);
void store_free(struct store *store);

/* The strings are copied. message_id NULL: one is made. Wakes those who wait. NULL: no memory, or
 * the mailbox is full. */
struct mail *mailbox_put(struct mailbox *mailbox, enum folder folder, const struct mail *given);

/* A mail as `eassim run` expects it: its subject begins with the mailbox's name in brackets and its
 * body names it too. subject NULL: "Mail N". */
struct mail *mailbox_generate(struct mailbox *mailbox, const char *subject);

/* The mail of that number, or NULL. */
const struct mail *mailbox_mail(const struct mailbox *mailbox, uint32_t number);

/* The folder of an id; FOLDER_COUNT for an unknown one. */
enum folder store_folder_find(const char *id);

void waiter_begin(struct waiter *waiter, struct mailbox *mailbox);
void waiter_end(struct waiter *waiter);

#endif
