/* The filter over any bytes, with a hook that the bytes drive: what comes out is accepted by the
 * reader exactly when the input was, and is the same document when the hook does nothing. The first
 * four bytes seed the hook. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "wbxml/buffer.h"
#include "wbxml/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct wbxml_limits limits = {.depth = 16, .elements = 500};

struct stage {
	struct wbxml_filter filter;
	struct wbxml_buffer out, held;
	uint32_t seed;
	bool is_idle;
	bool is_content[WBXML_FILTER_HOLDS_MAX]; /* of the holds under way */
	uint16_t tags[WBXML_FILTER_HOLDS_MAX];
};

static uint32_t stage_random(struct stage *stage)
{
	stage->seed = stage->seed * 1664525 + 1013904223;
	return stage->seed >> 24;
}

static int stage_out(void *context, struct span bytes)
{
	struct stage *stage = context;

	wbxml_buffer_append(&stage->out, bytes.data, bytes.len);
	return 0;
}

static int stage_hold(void *context, struct span bytes)
{
	struct stage *stage = context;

	wbxml_buffer_append(&stage->held, bytes.data, bytes.len);
	return 0;
}

static int stage_cut(void *context, uint64_t len)
{
	struct stage *stage = context;

	assert(len < stage->held.len);
	stage->held.len = (size_t)len;
	return 0;
}

static int stage_release(void *context)
{
	struct stage *stage = context;

	wbxml_buffer_append(&stage->out, stage->held.data, stage->held.len);
	stage->held.len = 0;
	return 0;
}

static void note_hold(struct stage *stage, bool is_content)
{
	unsigned int holds = wbxml_filter_holds(&stage->filter);

	stage->is_content[holds] = is_content;
	stage->tags[holds] = stage->filter.reader.tag->id;
}

static enum wbxml_filter_choice stage_start(void *context)
{
	struct stage *stage = context;
	const struct wbxml_reader *reader = &stage->filter.reader;
	bool may_hold = wbxml_filter_holds(&stage->filter) < WBXML_FILTER_HOLDS_MAX;

	if (stage->is_idle || reader->depth == 1)
		return WBXML_FILTER_KEEP;
	switch (stage_random(stage) % 8) {
	case 0: return WBXML_FILTER_DROP;
	case 1:
		wbxml_filter_insert(&stage->filter, WBXML_PING_STATUS, span_of_string("1"));
		return WBXML_FILTER_KEEP;
	case 2:
		if (may_hold)
			note_hold(stage, false);
		return may_hold ? WBXML_FILTER_HOLD : WBXML_FILTER_KEEP;
	case 3:
		if (may_hold && !reader->is_empty)
			note_hold(stage, true);
		return may_hold ? WBXML_FILTER_HOLD_CONTENT : WBXML_FILTER_KEEP;
	default: return WBXML_FILTER_KEEP;
	}
}

/* Within an element whose hold is among those under way, or at its end. */
static void stage_decide(void *context)
{
	struct stage *stage = context;
	unsigned int holds = wbxml_filter_holds(&stage->filter);

	if (stage->is_idle || holds == 0)
		return;
	switch (stage_random(stage) % 6) {
	case 0: wbxml_filter_release(&stage->filter); break;
	case 1:
		if (holds == 1)
			wbxml_filter_release_behind(&stage->filter,
				stage->is_content[0] ? stage->tags[0] : WBXML_PING_STATUS,
				span_of_string("2"));
		break;
	case 2:
		if (stage->is_content[holds - 1])
			break;
		wbxml_filter_discard(&stage->filter);
		wbxml_filter_insert(&stage->filter, WBXML_SEARCH_STATUS, (struct span){0});
		break;
	default: break;
	}
}

static const struct wbxml_filter_calls calls = {
	stage_out, stage_hold, stage_cut, stage_release, stage_start, stage_decide, stage_decide};

static void note_events(
	struct wbxml_buffer *events, const uint8_t *data, size_t size, bool *is_good)
{
	struct wbxml_reader reader;
	enum wbxml_event event;

	/* What is inserted may stand deeper and be more than was allowed to come in. */
	wbxml_reader_init(&reader, NULL);
	wbxml_reader_feed(&reader, data, size);
	while ((event = wbxml_reader_next(&reader)) > WBXML_MORE) {
		uint8_t note[] = {(uint8_t)event, (uint8_t)(reader.tag->id >> 8),
			(uint8_t)reader.tag->id, reader.is_empty};

		if (event == WBXML_START || event == WBXML_END) {
			wbxml_buffer_append(events, note, event == WBXML_START ? 4 : 3);
			continue;
		}
		wbxml_buffer_append(events, reader.text.data, reader.text.len);
		if (reader.is_last)
			wbxml_buffer_append(events, note, 1);
	}
	*is_good = wbxml_reader_finish(&reader) == 0;
}

static int run(struct stage *stage, const uint8_t *data, size_t size, uint32_t seed)
{
	uint32_t cuts = seed;
	size_t at = 0;

	stage->out.limit = stage->held.limit = 1 << 24;
	stage->seed = seed;
	wbxml_filter_init(&stage->filter, &calls, stage, &limits);
	while (at < size) {
		size_t len = (cuts = cuts * 1664525 + 1013904223) % 61;
		uint8_t *piece;
		int status;

		len = len < size - at ? len : size - at;
		piece = malloc(len + 1);
		if (piece == NULL)
			abort();
		memcpy(piece, data + at, len);
		status = wbxml_filter_feed(&stage->filter, span_of(piece, len));
		free(piece);
		at += len;
		if (status != 0)
			break;
	}
	return wbxml_filter_finish(&stage->filter);
}

static void check(const uint8_t *data, size_t size, uint32_t seed, bool is_idle)
{
	struct stage stage = {.is_idle = is_idle};
	struct wbxml_buffer in = {.limit = 1 << 24}, out = {.limit = 1 << 24};
	bool was_good, is_good;
	int status = run(&stage, data, size, seed);

	note_events(&in, data, size, &was_good);
	note_events(&out, stage.out.data, stage.out.len, &is_good);
	assert(status != 0 || (was_good && is_good));
	assert(status != 0 || stage.held.len == 0);
	if (status == 0 && is_idle) {
		assert(stage.out.len <= size);
		assert(in.len == out.len && memcmp(in.data, out.data, in.len) == 0);
	}
	wbxml_buffer_free(&in);
	wbxml_buffer_free(&out);
	wbxml_buffer_free(&stage.out);
	wbxml_buffer_free(&stage.held);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t seed;

	if (size < sizeof(seed) || size > 1 << 16)
		return 0;
	memcpy(&seed, data, sizeof(seed));
	data += sizeof(seed);
	size -= sizeof(seed);
	check(data, size, seed, true);
	check(data, size, seed, false);
	return 0;
}
