#include "document.h"

#include <stdio.h>
#include <stdlib.h>

#include "wbxml/reader.h"

enum { NODES_MAX = 65536, TEXT_MAX = 32 * 1024 * 1024 };

static int node_add(struct document *document, uint32_t parent, uint32_t *last_child, uint16_t tag)
{
	struct document_node *node;

	if (document->count == document->capacity) {
		uint32_t capacity = document->capacity > 0 ? document->capacity * 2 : 32;
		struct document_node *nodes;

		if (capacity > NODES_MAX)
			return -1;
		nodes = realloc(document->nodes, capacity * sizeof(*nodes));
		if (nodes == NULL)
			return -1;
		document->nodes = nodes;
		document->capacity = capacity;
	}
	node = &document->nodes[document->count];
	*node = (struct document_node){.tag = tag, .parent = parent};
	if (document->count > 0 && *last_child == 0)
		document->nodes[parent].first_child = document->count;
	else if (document->count > 0)
		document->nodes[*last_child].next = document->count;
	*last_child = document->count++;
	return 0;
}

static int node_add_text(struct document *document, uint32_t at, struct span text)
{
	struct document_node *node = &document->nodes[at];

	if (node->text_len > 0 && node->text_at + node->text_len != document->text.len)
		return -1;
	if (node->text_len == 0)
		node->text_at = document->text.len;
	wbxml_buffer_append(&document->text, text.data, text.len);
	node->text_len += text.len;
	return document->text.has_failed ? -1 : 0;
}

int document_read(struct document *document, struct span wbxml, struct error *err)
{
	struct wbxml_reader reader;
	uint32_t open[WBXML_DEPTH_MAX] = {0}, last_child[WBXML_DEPTH_MAX + 1] = {0};
	uint32_t depth = 0;
	enum wbxml_event event;

	document->text.limit = TEXT_MAX;
	wbxml_reader_init(&reader, NULL);
	wbxml_reader_feed(&reader, wbxml.data, wbxml.len);
	while ((event = wbxml_reader_next(&reader)) > WBXML_MORE) {
		if (event == WBXML_START) {
			if (node_add(document, depth > 0 ? open[depth - 1] : 0, &last_child[depth],
				    reader.tag->id) != 0)
				return error_set(err, "the document is too large");
			open[depth] = document->count - 1;
			last_child[++depth] = 0;
		} else if (event == WBXML_END) {
			depth--;
		} else {
			document->nodes[open[depth - 1]].has_opaque |= event == WBXML_OPAQUE;
			if (node_add_text(document, open[depth - 1], reader.text) != 0)
				return error_set(err, "text between elements, or too much of it");
		}
	}
	if (event == WBXML_ERROR || wbxml_reader_finish(&reader) != 0)
		return error_set(err, "%s at byte %llu", wbxml_fault_text(reader.fault),
			(unsigned long long)wbxml_reader_offset(&reader));
	return 0;
}

void document_free(struct document *document)
{
	free(document->nodes);
	wbxml_buffer_free(&document->text);
	*document = (struct document){0};
}

uint16_t document_root_tag(const struct document *document)
{
	return document->count > 0 ? document->nodes[0].tag : 0;
}

static const struct document_node *node_from(
	const struct document *document, uint32_t at, uint16_t tag)
{
	for (; at != 0; at = document->nodes[at].next)
		if (document->nodes[at].tag == tag)
			return &document->nodes[at];
	return NULL;
}

const struct document_node *document_child(
	const struct document *document, const struct document_node *parent, uint16_t tag)
{
	if (document->count == 0)
		return NULL;
	if (parent == NULL)
		parent = &document->nodes[0];
	return node_from(document, parent->first_child, tag);
}

const struct document_node *document_next(
	const struct document *document, const struct document_node *node)
{
	return node_from(document, node->next, node->tag);
}

const struct document_node *document_path(const struct document *document, const uint16_t *path)
{
	const struct document_node *node = NULL;

	for (; *path != 0; path++) {
		node = document_child(document, node, *path);
		if (node == NULL)
			return NULL;
	}
	return node;
}

struct span document_text(const struct document *document, const struct document_node *node)
{
	if (node == NULL || node->text_len == 0)
		return span_of("", 0);
	return span_of(document->text.data + node->text_at, node->text_len);
}

void document_copy(const struct document *document, const struct document_node *parent,
	uint16_t tag, char *text, size_t size)
{
	struct span found = document_text(document, document_child(document, parent, tag));

	snprintf(text, size, "%.*s", SPAN_PRINT(found));
}

uint64_t document_number(const struct document *document, const struct document_node *parent,
	uint16_t tag, uint64_t otherwise)
{
	char text[24], *end;
	uint64_t value;

	document_copy(document, parent, tag, text, sizeof(text));
	value = strtoull(text, &end, 10);
	return end == text || *end != '\0' || text[0] == '-' ? otherwise : value;
}
