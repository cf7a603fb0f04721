#include "wbxml/codepages.h"

#include <string.h>

#include "wbxml/codepages_table.h"

const struct wbxml_tag *wbxml_tag_find(unsigned int page, unsigned int token)
{
	return page < WBXML_PAGE_COUNT && token < WBXML_PAGE_TOKENS ? wbxml_tag_at(page, token)
								    : NULL;
}

const char *wbxml_page_name(unsigned int page)
{
	return page < WBXML_PAGE_COUNT ? wbxml_page_names[page] : NULL;
}

static bool name_equal(const char *known, const char *name, size_t len)
{
	return strlen(known) == len && memcmp(known, name, len) == 0;
}

int wbxml_page_find(const char *name, size_t len)
{
	if (len > 0 && name[len - 1] == ':')
		len--;
	for (int page = 0; page < WBXML_PAGE_COUNT; page++)
		if (name_equal(wbxml_page_names[page], name, len))
			return page;
	return -1;
}

const struct wbxml_tag *wbxml_tag_find_name(unsigned int page, const char *name, size_t len)
{
	const struct wbxml_tag *tag;

	for (unsigned int token = 0; token < WBXML_PAGE_TOKENS; token++) {
		tag = wbxml_tag_find(page, token);
		if (tag != NULL && name_equal(tag->name, name, len))
			return tag;
	}
	return NULL;
}
