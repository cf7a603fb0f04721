/*
 * Apple's property lists in XML, read as a tree: what configuration profiles are made of. Bounded, and
 * the DOCTYPE that they all have is not followed. For easproxyctl.
 */
#ifndef PROXY_PLIST_H
#define PROXY_PLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/error.h"
#include "config/span.h"

enum { PLIST_SIZE_MAX = 4 * 1024 * 1024, PLIST_DEPTH_MAX = 32, PLIST_NODES_MAX = 20000 };

enum plist_kind {
	PLIST_DICT,
	PLIST_ARRAY,
	PLIST_STRING,
	PLIST_DATA,
	PLIST_INTEGER,
	PLIST_REAL,
	PLIST_BOOLEAN,
	PLIST_DATE
};

struct plist {
	enum plist_kind kind;
	char *key;                      /* in a dict; NULL elsewhere */
	uint8_t *bytes;                 /* of a string (with a NUL behind it), data, real or date */
	size_t len;                     /* of bytes */
	int64_t number;                 /* of an integer or boolean */
	struct plist *parent;           /* NULL: the root */
	struct plist *first, *last;     /* of a dict or array */
	struct plist *next;             /* beside it */
	struct plist *next_in_document; /* for plist_free() */
};

/* The root, or NULL with err filled. The caller frees it with plist_free(). */
struct plist *plist_read(struct span document, struct error *err);
void plist_free(struct plist *root); /* NULL is allowed; what were secrets are wiped */

/* A member of a dict; NULL where it is none, or has none of that key. */
const struct plist *plist_get(const struct plist *dict, const char *key);

/* The same, if it is a string: its text, else NULL. */
const char *plist_text(const struct plist *dict, const char *key);

/* "string". */
const char *plist_kind_name(enum plist_kind kind);

#endif
