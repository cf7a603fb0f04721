/*
 * The devices that a worker has seen lately, one entry for each pair of mailbox and device id. Of a
 * fixed number of entries; the one that asked least recently makes room. For workers.
 */
#ifndef PROXY_DEVICE_TABLE_H
#define PROXY_DEVICE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "config/refusal.h"
#include "proxy/device_facts.h"
#include "proxy/device_grant.h"
#include "proxy/device_index.h"
#include "proxy/governor_state.h"
#include "proxy/history.h"
#include "proxy/policy_rate.h"

struct session;

LIST_HEAD(exchange_list, exchange);

/* What few devices need, or for a moment. For device_client.c: a question to control about it, or the refusal
 * that it was answered with; how it is looked up among those that something is held against. For
 * exchange_policy.c: how often rules have let it come. */
struct device_rare {
	uint64_t number; /* of the question under way; 0: none */
	uint64_t asked_us;
	struct exchange_list waiting; /* for its answer */
	enum refusal refusal; /* control's last answer, to the certificate of refused_sha256 */
	uint64_t refused_us, refused_version;
	uint8_t refused_sha256[32];
	bool has_key, has_buckets;
	struct device_key key;
	struct policy_buckets buckets;
};

/* What a device has said of itself. */
enum device_text { DEVICE_USER_AGENT, DEVICE_MODEL, DEVICE_OS, DEVICE_NAME, DEVICE_TEXT_COUNT };

enum device_poll { DEVICE_PING, DEVICE_SYNC };

/* There is one for every phone that sleeps: what few of them need is allocated when it is needed, and freed with
 * the entry. */
struct device_entry {
	/* As in struct device_grant. The state is that of the request at hand. */
	uint8_t leaf_sha256[32];
	uint64_t version;
	uint8_t state, wipe;
	bool is_known;

	uint8_t endpoint; /* to which the mail server has sent it, from 1 on; 0: to none */

	/* For device_client.c. */
	bool is_changed; /* it has said something else since control was told: */
	uint8_t reports; /* how often in the hour that began at reported_at (UNIX s), and of what last */
	uint8_t reported_version;
	uint8_t reported_sha256[4]; /* the first of its bytes: enough to see that it is another */
	uint32_t reported_at;

	/* device_entry_governor(): the two fields that every device has, and all of them, NULL where the others
	 * are zero. */
	uint32_t asked, leaked_s;
	struct governor_state *governor;
	struct history *history;  /* its last exchanges */
	struct device_rare *rare; /* NULL: nothing of it is needed */

	/* Private to device_table.c. */
	char *texts; /* DEVICE_TEXT_COUNT of them, each with its NUL; NULL: none was said */
	struct device_entry *next; /* in its bucket */
	union {
		TAILQ_ENTRY(device_entry) use_link; /* not pinned: the one used last stands first */
		struct session *polls[2];           /* pinned: by enum device_poll */
	};
	uint32_t hash, pins;
	uint16_t mailbox_len;
	char names[]; /* mailbox and device id, each with its NUL */
};

struct device_table; /* opaque */

/* At most max entries, and as many more as are pinned. NULL when memory runs out. */
struct device_table *device_table_new(size_t max);
void device_table_free(struct device_table *table); /* NULL is allowed; nothing may be pinned */

/* The entry, made if there is none (all zero then), and pinned: it stays until device_table_unpin(). Both
 * names are compared byte by byte: the mailbox comes in lower case, the device id is lowered here. NULL
 * when memory runs out. */
struct device_entry *device_table_pin(
	struct device_table *table, const char *mailbox, const char *device_id);
void device_table_unpin(struct device_table *table, struct device_entry *entry);

/* The entry if there is one, neither pinned nor counted as used. */
struct device_entry *device_table_find(
	struct device_table *table, const char *mailbox, const char *device_id);

/* Calls for every entry; none may come or go meanwhile. */
typedef void device_table_visit(void *context, struct device_entry *entry);
void device_table_each(struct device_table *table, device_table_visit *visit, void *context);

/* The place of the session whose request is the device's long poll of that kind under way at this worker, awake
 * or asleep; NULL in it: there is none. NULL where the entry is not pinned, so that nothing is under way. */
struct session **device_entry_poll(struct device_entry *entry, enum device_poll kind);

/* How it behaves, to be changed and set again. Where memory runs out for it nothing but the rate is kept. */
void device_entry_governor(const struct device_entry *entry, struct governor_state *state);
void device_entry_set_governor(struct device_entry *entry, const struct governor_state *state);

/* Made if there is none. NULL when memory runs out. */
struct device_rare *device_entry_rare(struct device_entry *entry);
/* Frees it, unless something in it is needed. */
void device_entry_tidy(struct device_entry *entry);

/* What it has said, "" where it has not; valid until it says something else. */
const char *device_entry_text(const struct device_entry *entry, enum device_text which);
/* Keeps a copy of text, and of at most max bytes. 0, or -1 when memory runs out. */
int device_entry_set_text(
	struct device_entry *entry, enum device_text which, const char *text, size_t max);

const char *device_entry_mailbox(const struct device_entry *entry);
const char *device_entry_id(const struct device_entry *entry); /* in lower case */
size_t device_table_count(const struct device_table *table);

#endif
