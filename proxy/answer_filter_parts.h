/*
 * What the files of answer_filter share. Private to proxy/answer_*.c.
 */
#ifndef PROXY_ANSWER_FILTER_PARTS_H
#define PROXY_ANSWER_FILTER_PARTS_H

#include "proxy/answer_filter.h"
#include "proxy/eas_body.h"
#include "proxy/mime_head.h"
#include "proxy/spool.h"
#include "wbxml/filter.h"

enum { ANSWER_VALUE_MAX = 1024, ANSWER_STATUS_MAX = 8, ANSWER_ID_MAX = 256 };

/* A text that is kept. */
struct answer_name {
	uint16_t len;
	char text[ANSWER_VALUE_MAX];
};

/* answer_strip.c: where in an item, or a download, we are. Depths are 0 outside. */
struct answer_strip {
	/* Attachments, and one of them. */
	uint32_t list_depth, attachment_depth;
	bool list_is_held;
	bool has_size, name_is_cut;
	uint32_t list_stripped;
	uint64_t size;
	struct answer_name name, other_name;

	/* A Fetch of ItemOperations. */
	uint32_t fetch_depth, properties_depth;
	bool fetch_is_held, properties_are_held;
	uint16_t status_len;
	char status[ANSWER_STATUS_MAX];
	uint64_t total;          /* bytes of the whole, as far as known */
	uint64_t data_len;       /* characters of its Data so far */
	struct answer_name type; /* content type, of an attachment as well */

	/* A body that is, or may be, in MIME. */
	uint32_t body_depth; /* of Body or BodyPart; in 2.5 of the item */
	uint16_t truncated_tag;
	bool is_mime;
	bool truncated_is_said, is_truncated;
	uint32_t mime_depth;
	struct mime_head *mime; /* what is in it, while it passes */
};

/* answer_folders.c. */
struct answer_folders {
	uint32_t depth; /* of the folder that is under way */
	uint32_t passed;
	uint16_t kind; /* its tag */
	bool changes_are_held, count_is_said, id_is_bad;
	uint8_t class; /* by its Type; 0: it says none */
	uint16_t id_len;
	char id[ANSWER_ID_MAX];
	bool is_good; /* Status 1 */
};

struct answer_filter {
	struct wbxml_filter filter;
	struct answer_filter_terms terms;
	struct answer_counts counts;
	struct spool held;
	uint64_t held_len;
	const char *fault; /* NULL: look at filter.reader */
	uint16_t path[WBXML_DEPTH_MAX];
	/* The value of the element that began last, as far as it has come. */
	struct answer_name value;
	bool value_is_cut;
	struct answer_strip strip;
	struct answer_folders folders;
};

static inline struct span answer_value(const struct answer_filter *answer)
{
	return span_of(answer->value.text, answer->value.len);
}

/* Digits alone, and not too many; false else. */
bool answer_number(const struct answer_filter *answer, uint64_t *number);

/* The element of reader.tag begins, its value goes on (answer->value has it already), it ends. */
enum wbxml_filter_choice answer_strip_start(struct answer_filter *answer);
void answer_strip_text(struct answer_filter *answer);
void answer_strip_end(struct answer_filter *answer, uint32_t depth);
void answer_strip_free(struct answer_filter *answer);

enum wbxml_filter_choice answer_folders_start(struct answer_filter *answer);
void answer_folders_end(struct answer_filter *answer, uint32_t depth);

#endif
