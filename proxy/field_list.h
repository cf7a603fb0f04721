/*
 * A list of field names, found by their first letter. For tables that every field of every message is
 * looked up in. For workers.
 */
#ifndef PROXY_FIELD_LIST_H
#define PROXY_FIELD_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "config/span.h"

enum { FIELD_LIST_MAX = 96, FIELD_LIST_LETTERS = 32 };

/* Zeroed: empty. */
struct field_list {
	size_t count;
	const char *names[FIELD_LIST_MAX];
	uint8_t lens[FIELD_LIST_MAX];      /* without the "*" */
	uint8_t next[FIELD_LIST_MAX];      /* of the same letter: its place and 1; 0: none */
	uint8_t first[FIELD_LIST_LETTERS]; /* likewise, by the letter's low bits */
};

/* Adds a name in lower case, which is kept; a "*" at its end stands for any further characters. */
void field_list_add(struct field_list *list, const char *name);

/* The place of the first name, in the order of their adding, that fits without case; -1: none does. */
int field_list_find(const struct field_list *list, struct span name);

#endif
