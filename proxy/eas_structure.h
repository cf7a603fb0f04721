/*
 * Whether a request is one of its command and protocol version: its root, what must be in it, what
 * may not, how much of it. By eas_schema.table, while the document passes; nothing is kept but a few
 * counters. Used by eas_body.c, for requests; answers are the server's business.
 */
#ifndef PROXY_EAS_STRUCTURE_H
#define PROXY_EAS_STRUCTURE_H

#include "proxy/eas.h"
#include "proxy/eas_schema.h"

struct eas_structure {
	uint8_t version; /* of the request; 0: any */
	uint8_t newest;  /* elements that are newer are odd: the version, or for 0 above all */
	uint8_t command; /* enum eas_command; EAS_NO_COMMAND: any */
	bool is_strict;
	uint32_t counted; /* elements that count towards the command's limit */
	uint32_t later_tags;
	/* What is wrong. */
	const char *text; /* static; NULL: nothing */
	uint8_t status;   /* to be answered from 14.0; 0: the refusal's own */
};

void eas_structure_begin(struct eas_structure *structure, enum eas_command command,
	unsigned int version, bool is_strict);

/* An element begins. parent: EAS_PLACE_NONE where it is not known; place may be that, too. `seen` has the
 * bits of the parent's children. These, _text() and _end() return false when something is wrong. */
bool eas_structure_root(struct eas_structure *structure, const struct wbxml_tag *tag);
bool eas_structure_start(struct eas_structure *structure, const struct wbxml_tag *tag,
	uint16_t parent, uint16_t place, uint16_t *seen);

/* So many bytes of text in it so far. */
bool eas_structure_text(struct eas_structure *structure, uint16_t place, uint64_t len);

/* Whether anything is asked of an element when it ends. */
static inline bool eas_structure_asks(const struct eas_place *place)
{
	return place->demand_count > 0 || place->holds == EAS_HOLDS_NUMBER;
}

/* It ends; text is what it held, or as much of it as is kept. */
bool eas_structure_end(
	struct eas_structure *structure, uint16_t place, uint16_t seen, struct span text);

#endif
