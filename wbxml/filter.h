/*
 * Changes EAS WBXML while it passes: reads a document with reader.h in pieces of any size and
 * writes it anew, piece by piece, with a hook that is asked about every element: keep it, leave it
 * out, or hold it back until more is known. What the hook does not touch means the same afterwards,
 * event for event; page switches are written where they are needed and nowhere else.
 *
 *	wbxml_filter_init(&filter, &calls, context, &limits);
 *	for each piece of the body:
 *		if (wbxml_filter_feed(&filter, piece) != 0) …     filter.reader.fault, or a call failed
 *	at the end of the body:
 *		if (wbxml_filter_finish(&filter) != 0) …          truncated
 *
 * The struct is all the memory there is: what is held back is kept by the caller, who bounds it.
 * The new document is whole when finish() has returned 0; before that it ends somewhere. For every
 * process.
 */
#ifndef WBXML_FILTER_H
#define WBXML_FILTER_H

#include "config/span.h"
#include "wbxml/reader.h"

enum { WBXML_FILTER_HOLDS_MAX = 4, WBXML_FILTER_PENDING = 512 };

enum wbxml_filter_choice {
	WBXML_FILTER_KEEP, /* what is in it is asked about, too */
	WBXML_FILTER_DROP, /* it is left out with all that is in it, which is not asked about; not for
			      the root, without which there is no document */
	WBXML_FILTER_HOLD, /* kept back from its tag on, until release, release_behind or discard */
	/* Kept back from behind its tag on, until release or release_behind. An empty element has no
	 * such place: as KEEP. */
	WBXML_FILTER_HOLD_CONTENT,
};

/* Each int is 0, or -1, which ends the filtering. */
struct wbxml_filter_calls {
	/* The next bytes of the new document. */
	int (*out)(void *context, struct span bytes);
	/* The next bytes to hold back, behind those that are held already. NULL when the hook never
	 * holds; so the next two. */
	int (*hold)(void *context, struct span bytes);
	/* Of the bytes held, keep the first len. */
	int (*cut)(void *context, uint64_t len);
	/* All that is held goes out now, and nothing is held any more. */
	int (*release)(void *context);
	/* The hook. An element begins, its string or opaque value goes on, it ends: filter.reader has
	 * tag, depth, text. None is called within what is left out. NULL: everything is kept. */
	enum wbxml_filter_choice (*start)(void *context);
	void (*text)(void *context);
	void (*end)(void *context);
};

struct wbxml_filter {
	struct wbxml_reader reader; /* what the hook looks at; it changes nothing there */

	/* Private to filter.c. */
	const struct wbxml_filter_calls *calls;
	void *context;
	uint64_t held;       /* bytes that hold() has got */
	uint32_t skip_depth; /* the element at this depth is left out; 0: none */
	struct wbxml_filter_mark {
		uint64_t at; /* where it begins, among the bytes held and pending */
		uint32_t depth;
		uint8_t page;
		bool is_content;
	} marks[WBXML_FILTER_HOLDS_MAX];
	uint8_t mark_count;
	uint8_t page;
	bool is_in_value; /* a string or opaque value has begun and goes on */
	bool is_in_empty; /* the last thing written is a tag without content */
	bool has_failed;
	uint16_t pending_len;
	uint8_t pending[WBXML_FILTER_PENDING];
};

/* calls and context are borrowed until the end. limits NULL: the defaults. */
void wbxml_filter_init(struct wbxml_filter *filter, const struct wbxml_filter_calls *calls,
	void *context, const struct wbxml_limits *limits);

/* Takes the next piece. 0, or -1: filter->reader.fault says what is wrong with the document, or is
 * NONE where a call has failed. It stays so. */
int wbxml_filter_feed(struct wbxml_filter *filter, struct span piece);

/* The end of the document: 0 when it was whole and is written to its end. */
int wbxml_filter_finish(struct wbxml_filter *filter);

/* For the hook. */

/* How many holds are under way, one in the other. */
unsigned int wbxml_filter_holds(const struct wbxml_filter *filter);

/* Bytes that are held back. */
uint64_t wbxml_filter_held(const struct wbxml_filter *filter);

/* Ends the innermost hold and lets go what was held; within another hold it stays part of that. A
 * hold that nobody has ended when its element does is released. */
void wbxml_filter_release(struct wbxml_filter *filter);

/* The same, with an element in front of what was held. Only when there is no other hold around it.
 * With HOLD_CONTENT the element's tag must be of the page of the one that is held. text holds no NUL;
 * empty: an empty element. */
void wbxml_filter_release_behind(struct wbxml_filter *filter, uint16_t tag, struct span text);

/* Ends the innermost hold, which must be one by HOLD, and leaves its element out: what is written of
 * it, and what still comes. */
void wbxml_filter_discard(struct wbxml_filter *filter);

/* Writes an element at the present place: in start in front of the element; in end as its last child
 * (it must not be an empty one); in any of them, after discard, in the place of what was held. */
void wbxml_filter_insert(struct wbxml_filter *filter, uint16_t tag, struct span text);

#endif
