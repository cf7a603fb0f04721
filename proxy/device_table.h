/*
 * The devices that a worker has seen lately, one entry for each pair of mailbox and device id. Of a
 * fixed number of entries; the one that asked least recently makes room. For workers.
 */
#ifndef PROXY_DEVICE_TABLE_H
#define PROXY_DEVICE_TABLE_H

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

LIST_HEAD(exchange_list, exchange);

/* What device_client.c remembers of it. */
struct device_watch {
	struct device_key key;
	bool has_key;
	uint64_t question; /* to control, under way; 0: none */
	uint64_t asked_us;
	struct exchange_list waiting; /* for its answer */
	enum refusal refusal; /* control's last answer, to the certificate of refused_sha256 */
	uint64_t refused_us, refused_version;
	uint8_t refused_sha256[32];
	/* What control was told: when an hour of reports began, how many there were in it, and of what. */
	int64_t reported_at;
	uint32_t reports;
	uint32_t reported_version;
	uint8_t reported_sha256[32];
	bool is_changed; /* it has said something else since */
};

struct device_entry {
	struct device_grant grant;                  /* its state is that of the request at hand */
	char user_agent[DEVICE_USER_AGENT_MAX + 1]; /* as it said it last, printable ASCII */
	struct device_watch watch;
	struct governor_state governor;
	struct policy_buckets buckets;
	struct history *history; /* its last exchanges; freed with the entry */
	uint8_t endpoint;        /* to which the mail server has sent it, from 1 on; 0: to none */

	/* Private to device_table.c. */
	LIST_ENTRY(device_entry) bucket_link;
	TAILQ_ENTRY(device_entry) use_link; /* while not pinned: the one used last stands first */
	uint64_t hash;
	uint32_t pins;
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

const char *device_entry_mailbox(const struct device_entry *entry);
const char *device_entry_id(const struct device_entry *entry); /* in lower case */
size_t device_table_count(const struct device_table *table);

#endif
