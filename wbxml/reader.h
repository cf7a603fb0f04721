/*
 * A pull reader for the WBXML of ActiveSync (MS-ASWBXML; WAP WBXML 1.3). Input comes in pieces of
 * any size; nothing is copied, allocated or recursed; the struct is all the memory there is.
 *
 *	wbxml_reader_init(&reader, &limits);
 *	for each piece of the body:
 *		wbxml_reader_feed(&reader, data, len);
 *		while ((event = wbxml_reader_next(&reader)) > WBXML_MORE)
 *			…                 look at reader.tag, reader.text
 *		if (event == WBXML_ERROR) …     reader.fault, wbxml_reader_offset()
 *	at the end of the body:
 *		if (wbxml_reader_finish(&reader) != 0) …    truncated
 *
 * What it accepts is the profile of EAS: the header 03 01 6A 00; tags, inline strings in valid
 * UTF-8 without characters that XML cannot hold, OPAQUE with a length in its shortest form,
 * SWITCH_PAGE in front of a tag; exactly one root; known pages and tokens (unknown tokens of known
 * pages where the limits let them pass). A redundant SWITCH_PAGE
 * in front of a tag is accepted, since real stacks write it, but only a few in a row; one in front
 * of END, text or opaque data is refused. Text beside child elements is accepted: the wire format
 * knows no schema.
 *
 * The way a document is cut into pieces changes nothing but the cuts of its TEXT and OPAQUE events:
 * joined up to is_last they are the same, and so are fault and offset. For every process.
 */
#ifndef WBXML_READER_H
#define WBXML_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/span.h"
#include "wbxml/codepages.h"

enum {
	WBXML_DEPTH_MAX = 64, /* of the explicit stack; limits may ask for less */
	WBXML_DEPTH_DEFAULT = 32,
	WBXML_ELEMENTS_DEFAULT = 200000,
};

/* From the document, in this order of values: the loop condition `> WBXML_MORE` relies on it. */
enum wbxml_event {
	WBXML_ERROR = -1, /* not EAS WBXML, or over a limit; stays so */
	WBXML_MORE = 0,   /* the piece is used up */
	WBXML_START,  /* an element begins; tag, is_empty. An empty one still gets its WBXML_END */
	WBXML_TEXT,   /* a piece of an inline string: text, is_last. May end inside a character,
			     and the last one may be empty */
	WBXML_OPAQUE, /* a piece of opaque data: text, is_last */
	WBXML_END,    /* an element ends; tag; depth is that of the parent */
};

enum wbxml_fault {
	WBXML_FAULT_NONE,
	WBXML_FAULT_HEADER,     /* version, public id, charset or string table */
	WBXML_FAULT_TRUNCATED,  /* ended inside the document */
	WBXML_FAULT_TRAILING,   /* bytes after the root's end, or a second root */
	WBXML_FAULT_PAGE,       /* unknown code page */
	WBXML_FAULT_TAG,        /* unknown tag, unless limits let it pass */
	WBXML_FAULT_TOKEN,      /* a global token that EAS does not use, or one out of place */
	WBXML_FAULT_ATTRIBUTES, /* a tag with the attribute bit */
	WBXML_FAULT_TEXT,       /* invalid UTF-8, or a character that XML 1.0 cannot hold */
	WBXML_FAULT_OPAQUE,     /* a length that is malformed or over the limit */
	WBXML_FAULT_DEPTH,      /* nested deeper than the limit */
	WBXML_FAULT_ELEMENTS,   /* more elements (or strings, or page switches) than the limit */
};

struct wbxml_limits {
	uint32_t depth; /* up to WBXML_DEPTH_MAX; 0: the default */
	/* In the document; 0: the default. Strings, opaque values and page switches together may be four
	 * times as many. */
	uint32_t elements;
	uint64_t opaque; /* bytes in one OPAQUE; 0: as many as the document has */
	/* A tag that a known page does not have is handed out, with NULL for its name. */
	bool lets_unknown_pass;
};

struct wbxml_reader {
	/* What the last event is about. */
	const struct wbxml_tag *tag;
	struct span text;      /* borrowed from the piece that was fed */
	bool is_last;          /* of the pieces of this string or opaque value */
	bool is_empty;         /* the element has no content token (0x40 not set) */
	uint32_t depth;        /* elements open around the present place; the root's START has 1 */
	uint32_t unknown_tags; /* elements so far with a tag that their page does not have */
	enum wbxml_fault fault;

	/* Private to reader.c. */
	struct wbxml_limits limits;
	const uint8_t *at, *end;
	uint64_t fed;         /* bytes of the document, up to end */
	uint64_t tokens_left; /* strings, opaque values, page switches that may come */
	uint32_t elements_left;
	uint32_t opaque_left; /* of the OPAQUE; while its length is read, the length so far */
	uint8_t state;
	uint8_t step; /* bytes of the header, or of an OPAQUE's length, so far */
	uint8_t utf8; /* what the character that has begun still needs */
	uint8_t page;
	uint8_t switches;         /* page switches since the last tag, string or END */
	bool shows_starts;        /* of what is passed over */
	uint32_t skip_depth;      /* of the element that is passed over; 0: none is */
	struct wbxml_tag unknown; /* the last tag, where it is none that we know */
	uint16_t stack
		[WBXML_DEPTH_MAX]; /* the open elements: rows of wbxml_tags, or STACK_UNKNOWN and
					    page << 8 | token */
};

/* The limits with defaults filled in; NULL: all of them are 0. */
struct wbxml_limits wbxml_limits_complete(const struct wbxml_limits *limits);

/* limits NULL: all of them 0, which is the defaults. */
void wbxml_reader_init(struct wbxml_reader *reader, const struct wbxml_limits *limits);

/* Hands over the next piece; after a fault it does nothing. The piece must stay unchanged until next() has returned WBXML_MORE. */
void wbxml_reader_feed(struct wbxml_reader *reader, const void *data, size_t len);

enum wbxml_event wbxml_reader_next(struct wbxml_reader *reader);

/* After a WBXML_START: the rest of that element, its END included, is checked like all else, but not
 * handed out. With shows_starts the START of each element within it is; for these there is no more to skip. */
void wbxml_reader_skip(struct wbxml_reader *reader, bool shows_starts);

/* Of the byte looked at next, from the start of the document; after a fault, of the byte that was wrong. */
uint64_t wbxml_reader_offset(const struct wbxml_reader *reader);

/* The open element at a level below depth, counted from the root, which is 0: page << 8 | token. */
uint16_t wbxml_reader_open(const struct wbxml_reader *reader, uint32_t level);

/* After a WBXML_OPAQUE: how many bytes of the value are still to come. */
uint32_t wbxml_reader_opaque_left(const struct wbxml_reader *reader);

/* Whether the document was whole when the body ended: 0, or -1 with reader->fault set. */
int wbxml_reader_finish(struct wbxml_reader *reader);

/* True once the root has ended: nothing but the end of the body may follow. */
bool wbxml_reader_is_done(const struct wbxml_reader *reader);

/* "unknown tag", static; for logs and messages. */
const char *wbxml_fault_text(enum wbxml_fault fault);

#endif
