/*
 * A whole EAS document as a small tree, for the two ends that eassim plays: a server that reads
 * requests and phones that read answers. Made by wbxml/reader.h; bounded.
 */
#ifndef EASSIM_DOCUMENT_H
#define EASSIM_DOCUMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "config/error.h"
#include "config/span.h"
#include "wbxml/buffer.h"
#include "wbxml/codepages.h"

struct document_node {
	uint16_t tag; /* enum wbxml_tag_id */
	bool has_opaque;
	uint32_t parent, first_child, next; /* indexes; 0: none (the root is no one's child) */
	size_t text_at, text_len;
};

struct document {
	struct document_node *nodes;
	uint32_t count, capacity;
	struct wbxml_buffer text;
};

/* Reads WBXML into an empty struct ({0}). 0, or -1 with err; free it either way. */
int document_read(struct document *document, struct span wbxml, struct error *err);
void document_free(struct document *document);

/* The tag of the root; 0 for an empty document. */
uint16_t document_root_tag(const struct document *document);

/* The first child of that tag, or NULL; of the root where parent is NULL. */
const struct document_node *document_child(
	const struct document *document, const struct document_node *parent, uint16_t tag);

/* The next sibling of the same tag, or NULL. */
const struct document_node *document_next(
	const struct document *document, const struct document_node *node);

/* A node down a path of tags that ends with 0, from the root. */
const struct document_node *document_path(const struct document *document, const uint16_t *path);

/* Its text; empty for NULL. */
struct span document_text(const struct document *document, const struct document_node *node);

/* The text of a child as a string, cut to the size; "" where there is none. */
void document_copy(const struct document *document, const struct document_node *parent,
	uint16_t tag, char *text, size_t size);

/* The text of a child as a decimal number; `otherwise` where there is none or it is no number. */
uint64_t document_number(const struct document *document, const struct document_node *parent,
	uint16_t tag, uint64_t otherwise);

#endif
