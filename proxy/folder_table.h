/*
 * Which class the folders of a phone are of, as FolderSync has told it: phones that speak 14.0 and
 * later need not say so in a Sync or Ping, and rules ask. One table of a fixed size in memory that
 * all workers share, mapped before they are forked; a folder is eight bytes of a keyed hash in it.
 * Look-ups and changes are single atomic words, without a lock. A full bucket forgets the folder that
 * was asked for longest ago.
 *
 * What the table does not know, the phone can make it know: it is told to look at its folders again,
 * and gets all of them. So that this ends when it does not help, the table remembers when a phone has
 * last got them. For the supervisor (map) and workers.
 */
#ifndef PROXY_FOLDER_TABLE_H
#define PROXY_FOLDER_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/error.h"
#include "config/span.h"

struct folder_table;

/* Whose folder. Borrowed for the call. */
struct folder_owner {
	const char *mailbox, *device_id;
};

enum {
	FOLDER_CLASS_MAX = 13, /* classes are from 1 to here; 0: not known */
	FOLDER_HIERARCHY_FRESH_S =
		180 /* so long after all folders came, asking again is of no use */
};

/* Two million folders, 16 MB, of which only what is in use takes memory. NULL with err. */
struct folder_table *folder_table_map(struct error *err);
void folder_table_unmap(struct folder_table *table);

/* now_s: UNIX seconds, in all of these. */
void folder_table_put(struct folder_table *table, const struct folder_owner *owner, struct span id,
	unsigned int class, uint64_t now_s);
unsigned int folder_table_class(struct folder_table *table, const struct folder_owner *owner,
	struct span id, uint64_t now_s);
void folder_table_forget(
	struct folder_table *table, const struct folder_owner *owner, struct span id);

enum folder_miss {
	FOLDER_MISS_ASK, /* the phone has to look at its folders again, and is to get all */
	FOLDER_MISS_LOST /* it has just got all, and this one was not among them */
};

/* A folder of this owner is not known. */
enum folder_miss folder_table_miss(
	struct folder_table *table, const struct folder_owner *owner, uint64_t now_s);

/* Whether the owner's next FolderSync has to start over, because of a miss. */
bool folder_table_wants_all(
	struct folder_table *table, const struct folder_owner *owner, uint64_t now_s);

/* All folders of this owner have been put in. */
void folder_table_has_all(
	struct folder_table *table, const struct folder_owner *owner, uint64_t now_s);

#endif
