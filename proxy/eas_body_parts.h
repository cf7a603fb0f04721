/*
 * What the files of eas_body share: the memory of the reading, which ends with the body, and the
 * arena of texts. Private to proxy/eas_body*.c.
 */
#ifndef PROXY_EAS_BODY_PARTS_H
#define PROXY_EAS_BODY_PARTS_H

#include "proxy/eas_body.h"

struct eas_body_work {
	struct wbxml_reader reader;
	int16_t capture_what;
	uint16_t capture_len;
	bool capture_is_cut;
	bool is_out_of_memory;
	char capture[EAS_BODY_TEXT_MAX];
	uint16_t path[8];
	uint16_t sync_key; /* of the Collection under way, before its id is known */
	bool has_id;       /* of the Collection under way */
};

/* Keeps a text in the body's arena, cut to max_len bytes and made printable. Its place, or 0 for an
 * empty one, where the arena is full, or where memory runs out. */
uint16_t eas_body_text_add(struct eas_body *body, struct span text, size_t max_len);

/* Gives back what the arena does not use. */
void eas_body_texts_trim(struct eas_body *body);

#endif
