/*
 * Changes a mail server's answer while it passes, or looks into it: takes attachments out of items
 * and downloads (answer_strip.c), and folders out of the hierarchy (answer_folders.c), whose classes
 * it learns on the way. What is not taken out means the same afterwards. What cannot be decided yet is
 * held back, in memory up to a bound and then in an unlinked file.
 *
 * Attachments go from Sync, ItemOperations, Search and Find; what is left of an item says so little of
 * them that a phone shows it without them. A download becomes a Fetch with a status of its own. Of a
 * message in MIME, with an attachment in it that is to go, the MIME text goes, and Truncated says that
 * there is more.
 *
 * For workers.
 */
#ifndef PROXY_ANSWER_FILTER_H
#define PROXY_ANSWER_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "config/span.h"
#include "proxy/folder_table.h"
#include "wbxml/reader.h"

/* What is taken out. All zero: nothing. */
struct answer_changes {
	/* Whether an attachment of that name, content type and size (bytes) goes. What is not known is
	 * empty, or UINT64_MAX; true for a size is true for all larger ones. NULL: none goes. */
	bool (*strips)(const void *rule, struct span name, struct span content_type, uint64_t size);
	const void *rule;
	uint8_t hidden_classes; /* of folders: 1 << enum eas_class */
};

struct answer_filter_terms {
	struct answer_changes changes;
	struct folder_table *folders; /* learned into; NULL: not */
	struct folder_owner owner;    /* whose; borrowed */
	bool has_all_folders;         /* the request asked for all of them: FolderSync with key 0 */
	uint64_t now_s;
	struct wbxml_limits limits;
	uint64_t memory_max, held_max; /* of what is held back: beyond the first in a file */
	int directory;                 /* for the file; -1: memory_max is a hard limit */
	/* The next bytes of the answer. 0, or -1, which ends it. NULL: it is only looked into. */
	int (*out)(void *context, struct span bytes);
	void *context;
};

/* What was taken out. */
struct answer_counts {
	uint32_t attachments; /* of items */
	uint32_t downloads;
	uint32_t bodies; /* in MIME */
	uint32_t folders;
};

struct answer_filter;

/* NULL when memory runs out. */
struct answer_filter *answer_filter_new(const struct answer_filter_terms *terms);
void answer_filter_free(struct answer_filter *answer); /* NULL: nothing */

/* Takes the next piece. 0, or -1: answer_filter_fault(). */
int answer_filter_feed(struct answer_filter *answer, struct span piece);

/* The end of the answer. 0: it was whole, and all of it is out. */
int answer_filter_finish(struct answer_filter *answer);

/* Static: "the document ends too early". NULL: none, or one of out's. */
const char *answer_filter_fault(const struct answer_filter *answer);

const struct answer_counts *answer_filter_counts(const struct answer_filter *answer);

#endif
