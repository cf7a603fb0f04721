/*
 * What the files of eas_body share: the memory of the reading, which ends with the body, the arena
 * of texts, and what the elements of a place mean. Private to proxy/eas_body*.c.
 */
#ifndef PROXY_EAS_BODY_PARTS_H
#define PROXY_EAS_BODY_PARTS_H

#include "proxy/eas_body.h"
#include "proxy/eas_multipart.h"
#include "proxy/eas_schema.h"
#include "proxy/eas_structure.h"
#include "proxy/mime_head.h"

enum { EAS_BODY_NONE_OPEN = 0xFF };

/* An open element whose place is in the table. */
struct eas_body_level {
	uint16_t place;
	uint16_t seen; /* bits of its children that have come */
};

struct eas_body_work {
	struct wbxml_reader reader;
	struct eas_structure structure;
	unsigned int (*folder_class)(void *context, struct span id); /* eas_body_terms */
	void *context;
	bool is_answer;
	bool is_judged;     /* by eas_structure */
	uint8_t kind;       /* enum eas_body_kind */
	uint8_t collection; /* the one that is open, its index; EAS_BODY_NONE_OPEN */
	uint8_t attachment; /* the last one, its index; EAS_BODY_NONE_OPEN */
	uint8_t level_count;
	/* From the document itself, which is none of the counted ones. */
	struct eas_body_level levels[1 + EAS_PLACE_DEPTH_MAX];
	/* The text of the innermost of them. */
	uint64_t text_len;
	uint16_t capture_len;
	char capture[EAS_BODY_TEXT_MAX];
	/* One at a time, NULL before the first. */
	struct mime_head *mime;
	struct mime_addresses *addresses;
	struct eas_multipart *multipart;
	uint32_t part_max; /* the highest Part that the document points to */
};

/* An element whose place means something begins; its text has come to its end. */
void eas_body_note_start(struct eas_body *body, enum eas_what what);
void eas_body_note_end(struct eas_body *body, enum eas_what what);

/* Pieces of a text that is parsed, not kept. -1 when memory runs out. */
int eas_body_note_mime(struct eas_body *body, struct span piece);
int eas_body_note_addresses(struct eas_body *body, struct span piece);

/* The end of a MIME message. */
void eas_body_note_mime_end(struct eas_body *body);

/* Keeps a text in the body's arena, cut to max_len bytes and made printable. Its place, or 0 for an
 * empty one, where the arena is full, or where memory runs out. */
uint16_t eas_body_text_add(struct eas_body *body, struct span text, size_t max_len);

/* Gives back what the arena does not use. */
void eas_body_texts_trim(struct eas_body *body);

#endif
