/*
 * The code pages of MS-ASWBXML 2.1.2.1: page and token of every tag, made at build time from
 * codepages.tsv. A tag is known by one number, page << 8 | token, and by a constant named for its
 * namespace and tag: WBXML_AIRSYNC_SYNCKEY. Read-only tables; for every process.
 */
#ifndef WBXML_CODEPAGES_H
#define WBXML_CODEPAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wbxml/codepages_tags.h" /* generated: enum wbxml_tag_id */

enum { WBXML_PAGE_COUNT = 26 };

struct wbxml_tag {
	uint16_t id;     /* page << 8 | token (0x05 to 0x3F) */
	uint8_t version; /* first protocol version as in MS-ASHTTP's base64 query: 25, 120 … 161 */
	bool is_opaque;  /* its content is a byte array (OPAQUE) by MS-ASWBXML */
	const char *name; /* "SyncKey" */
};

/* The tag of a page (0 to 25) and a token (0x05 to 0x3F), or NULL where there is none. */
const struct wbxml_tag *wbxml_tag_find(unsigned int page, unsigned int token);

/* The namespace of a page ("AirSync"), or NULL for a page that does not exist. */
const char *wbxml_page_name(unsigned int page);

/* The page of a namespace name, with or without the trailing colon that older documents write;
 * -1 for an unknown one. */
int wbxml_page_find(const char *name, size_t len);

/* The tag of a page by its name (exact case), or NULL. */
const struct wbxml_tag *wbxml_tag_find_name(unsigned int page, const char *name, size_t len);

#endif
