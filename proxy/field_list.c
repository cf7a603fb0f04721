#include "proxy/field_list.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

static size_t letter_of(uint8_t first)
{
	return first % FIELD_LIST_LETTERS; /* the same for "a" and "A" */
}

void field_list_add(struct field_list *list, const char *name)
{
	size_t len = strlen(name);
	uint8_t *link = &list->first[letter_of((uint8_t)name[0])];

	assert(list->count < FIELD_LIST_MAX && len > 0 && len <= UINT8_MAX);
	while (*link != 0)
		link = &list->next[*link - 1];
	list->names[list->count] = name;
	list->lens[list->count] = (uint8_t)(len - (name[len - 1] == '*'));
	*link = (uint8_t)++list->count;
}

int field_list_find(const struct field_list *list, struct span name)
{
	if (name.len == 0)
		return -1;
	for (uint8_t at = list->first[letter_of(name.data[0])]; at != 0; at = list->next[at - 1]) {
		const char *text = list->names[at - 1];
		size_t len = list->lens[at - 1];

		if (text[len] == '*' ? name.len < len : name.len != len)
			continue;
		/* Of those that begin alike most end differently. */
		if (len > 0 && letter_of(name.data[len - 1]) != letter_of((uint8_t)text[len - 1]))
			continue;
		if (strncasecmp((const char *)name.data, text, len) == 0)
			return at - 1;
	}
	return -1;
}
