/* The reader over any bytes: events are balanced, depth and offset stay in bounds, and the way the
 * bytes are cut into pieces changes nothing. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "wbxml/buffer.h"
#include "wbxml/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct wbxml_limits limits = {.depth = 16, .elements = 500};

static void note_event(struct wbxml_buffer *events, enum wbxml_event event,
	const struct wbxml_reader *reader, uint32_t *depth)
{
	uint8_t note[] = {(uint8_t)event, (uint8_t)(reader->tag->id >> 8), (uint8_t)reader->tag->id,
		reader->is_empty};

	if (event == WBXML_START)
		assert(reader->depth == ++*depth && *depth <= limits.depth);
	else if (event == WBXML_END)
		assert(*depth > 0 && reader->depth == --*depth);
	else
		assert(*depth > 0 && reader->depth == *depth);
	if (event == WBXML_START || event == WBXML_END) {
		wbxml_buffer_append(events, note, sizeof(note));
		return;
	}
	wbxml_buffer_append(events, reader->text.data, reader->text.len);
	if (reader->is_last)
		wbxml_buffer_append(events, note, 1);
}

static void read_pieces(
	struct wbxml_buffer *events, const uint8_t *data, size_t size, uint32_t seed)
{
	struct wbxml_reader reader;
	enum wbxml_event event = WBXML_MORE;
	uint32_t depth = 0;
	uint64_t offset;
	size_t at = 0;

	wbxml_reader_init(&reader, &limits);
	while (at < size && event != WBXML_ERROR) {
		size_t len = seed == 0 ? size : 1 + (seed = seed * 1664525 + 1013904223) % 7;
		uint8_t *piece;

		len = len < size - at ? len : size - at;
		piece = malloc(len);
		if (piece == NULL)
			abort();
		memcpy(piece, data + at, len);
		wbxml_reader_feed(&reader, piece, len);
		while ((event = wbxml_reader_next(&reader)) > WBXML_MORE)
			note_event(events, event, &reader, &depth);
		free(piece);
		at += len;
	}
	offset = wbxml_reader_offset(&reader);
	assert(offset <= size);
	assert((wbxml_reader_finish(&reader) == 0) == (reader.fault == WBXML_FAULT_NONE));
	assert(reader.fault != WBXML_FAULT_NONE || (depth == 0 && offset == size));
	wbxml_buffer_append(events, &reader.fault, sizeof(reader.fault));
	wbxml_buffer_append(events, &offset, sizeof(offset));
	assert(!events->has_failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wbxml_buffer whole = {.limit = 1 << 24}, pieces = {.limit = 1 << 24};

	if (size > 1 << 16)
		return 0;
	read_pieces(&whole, data, size, 0);
	read_pieces(&pieces, data, size, (uint32_t)size * 2654435761 | 1);
	assert(whole.len == pieces.len && memcmp(whole.data, pieces.data, whole.len) == 0);
	wbxml_buffer_free(&whole);
	wbxml_buffer_free(&pieces);
	return 0;
}
