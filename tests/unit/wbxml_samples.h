/*
 * What the tests of the wbxml room share: the sample documents in tests/data/wbxml, and the events
 * of a document as one string of bytes in which pieces of text are joined, so that two readings can
 * be compared.
 */
#ifndef TESTS_UNIT_WBXML_SAMPLES_H
#define TESTS_UNIT_WBXML_SAMPLES_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wbxml/buffer.h"
#include "wbxml/reader.h"

/* The content of a file under tests/data; ends the test program when it is not there. */
static inline struct wbxml_buffer sample_read(
	const char *folder, const char *name, const char *suffix)
{
	struct wbxml_buffer content = {.limit = 1 << 20};
	char path[512], chunk[4096];
	size_t got;
	FILE *file;

	snprintf(path, sizeof(path), "%s/wbxml/%s/%s%s", TEST_DATA_DIR, folder, name, suffix);
	file = fopen(path, "rb");
	if (file == NULL) {
		perror(path);
		exit(2);
	}
	while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0)
		wbxml_buffer_append(&content, chunk, got);
	fclose(file);
	return content;
}

/* Calls visit with the name (without ".wbxml") of every document of a folder; returns how many. */
static inline size_t sample_each(const char *folder, void visit(const char *name))
{
	struct dirent **entries = NULL;
	char path[512];
	size_t count = 0;
	int found;

	snprintf(path, sizeof(path), "%s/wbxml/%s", TEST_DATA_DIR, folder);
	found = scandir(path, &entries, NULL, alphasort);
	for (int i = 0; i < found; i++) {
		char *dot = strstr(entries[i]->d_name, ".wbxml");

		if (dot != NULL) {
			*dot = '\0';
			visit(entries[i]->d_name);
			count++;
		}
		free(entries[i]);
	}
	free(entries);
	return count;
}

static inline void events_note(
	struct wbxml_buffer *events, enum wbxml_event event, const struct wbxml_reader *reader)
{
	uint8_t note[] = {'?', (uint8_t)(reader->tag->id >> 8), (uint8_t)reader->tag->id,
		(uint8_t)reader->depth};

	switch (event) {
	case WBXML_START: note[0] = reader->is_empty ? 'e' : 'S'; break;
	case WBXML_END: note[0] = 'E'; break;
	default:
		wbxml_buffer_append(events, reader->text.data, reader->text.len);
		if (reader->is_last)
			wbxml_buffer_append(events, event == WBXML_TEXT ? "\0T" : "\0O", 2);
		return;
	}
	wbxml_buffer_append(events, note, sizeof(note));
}

/* Feeds one piece that lies alone in its memory, so that a read beyond it is caught. */
static inline enum wbxml_event events_feed(
	struct wbxml_buffer *events, struct wbxml_reader *reader, const uint8_t *data, size_t len)
{
	uint8_t *piece = malloc(len + (len == 0));
	enum wbxml_event event;

	if (piece == NULL)
		abort();
	if (len > 0)
		memcpy(piece, data, len);
	wbxml_reader_feed(reader, piece, len);
	while ((event = wbxml_reader_next(reader)) > WBXML_MORE)
		events_note(events, event, reader);
	free(piece);
	return event;
}

/* Reads the document in pieces of the length that cut() gives (NULL: in one), to the end or a fault.
 * The fault and its offset end the events. */
static inline enum wbxml_fault events_read(struct wbxml_buffer *events, struct span document,
	const struct wbxml_limits *limits, size_t cut(void))
{
	struct wbxml_reader reader;
	size_t at = 0, len;
	uint64_t offset;

	wbxml_reader_init(&reader, limits);
	do {
		len = cut != NULL ? cut() : document.len;
		if (len > document.len - at)
			len = document.len - at;
		if (events_feed(events, &reader, document.data + at, len) == WBXML_ERROR)
			break;
		at += len;
	} while (at < document.len);
	wbxml_reader_finish(&reader);
	wbxml_buffer_append(events, &reader.fault, sizeof(reader.fault));
	offset = wbxml_reader_offset(&reader);
	wbxml_buffer_append(events, &offset, sizeof(offset));
	return reader.fault;
}

#endif
