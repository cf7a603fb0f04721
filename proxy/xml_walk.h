/*
 * Goes through a small XML document with libxml2's push parser: no tree, no network, no entities but
 * the five that XML has by itself, no declarations, and nothing but UTF-8, so that no converter of
 * characters is ever loaded. Attributes are passed over. For workers (Autodiscover) and easproxyctl
 * (Apple's property lists).
 */
#ifndef PROXY_XML_WALK_H
#define PROXY_XML_WALK_H

#include <stdbool.h>
#include <stddef.h>

#include "config/error.h"
#include "config/span.h"

struct xml_walk_limits {
	size_t size;           /* of the document */
	unsigned int depth;    /* of elements */
	unsigned int elements; /* altogether */
	bool may_have_doctype; /* one that declares nothing, as property lists have it; never followed */
};

/* Each returns 0, or -1 with err filled, which ends the walk. Names live as long as the call; space is
 * NULL where an element has no namespace. Text comes whole, all that stands between two tags, and not
 * at all where there is none. */
struct xml_walk_calls {
	int (*start)(void *context, const char *space, const char *name, struct error *err);
	int (*text)(void *context, struct span text, struct error *err);
	int (*end)(void *context, struct error *err);
};

/* 0, or -1 with err filled: "line 3: a DOCTYPE, which is not accepted here". */
int xml_walk(struct span document, const struct xml_walk_limits *limits,
	const struct xml_walk_calls *calls, void *context, struct error *err);

/* Without white space at both ends. */
struct span xml_walk_trim(struct span text);

#endif
