/*
 * The generated tables behind codepages.h, made by codepages.awk. Private to codepages.c and
 * reader.c, which looks up a tag for every element.
 */
#ifndef WBXML_CODEPAGES_TABLE_H
#define WBXML_CODEPAGES_TABLE_H

#include <stdint.h>

#include "wbxml/codepages.h"

enum { WBXML_PAGE_TOKENS = 64 };

extern const char *const wbxml_page_names[WBXML_PAGE_COUNT];
extern const struct wbxml_tag wbxml_tags[];

/* By page and token: the row in wbxml_tags, 0 for none. */
extern const uint16_t wbxml_tag_index[WBXML_PAGE_COUNT][WBXML_PAGE_TOKENS];

/* Of a page that exists and a token below WBXML_PAGE_TOKENS: its tag, or NULL. */
static inline const struct wbxml_tag *wbxml_tag_at(unsigned int page, unsigned int token)
{
	unsigned int row = wbxml_tag_index[page][token];

	return row == 0 ? NULL : &wbxml_tags[row];
}

#endif
