#include "wbxml/filter.h"

#include <assert.h>

#include "wbxml/tokens.h"

/* Bytes, on their way out or held back */

static void filter_check(struct wbxml_filter *filter, int status)
{
	if (status != 0)
		filter->has_failed = true;
}

static void filter_pass(struct wbxml_filter *filter, struct span bytes)
{
	if (filter->has_failed || bytes.len == 0)
		return;
	if (filter->mark_count == 0) {
		filter_check(filter, filter->calls->out(filter->context, bytes));
		return;
	}
	filter_check(filter, filter->calls->hold(filter->context, bytes));
	filter->held += bytes.len;
}

static void filter_flush(struct wbxml_filter *filter)
{
	filter_pass(filter, span_of(filter->pending, filter->pending_len));
	filter->pending_len = 0;
}

static void filter_put(struct wbxml_filter *filter, struct span bytes)
{
	if (bytes.len > sizeof(filter->pending) - filter->pending_len)
		filter_flush(filter);
	if (bytes.len > sizeof(filter->pending)) {
		filter_pass(filter, bytes);
		return;
	}
	if (bytes.len > 0)
		memcpy(filter->pending + filter->pending_len, bytes.data, bytes.len);
	filter->pending_len = (uint16_t)(filter->pending_len + bytes.len);
}

static void filter_put_byte(struct wbxml_filter *filter, unsigned int byte)
{
	if (filter->pending_len == sizeof(filter->pending))
		filter_flush(filter);
	filter->pending[filter->pending_len++] = (uint8_t)byte;
}

/* Tokens */

static void write_page(struct wbxml_filter *filter, uint8_t page)
{
	if (page == filter->page)
		return;
	filter_put_byte(filter, TOKEN_SWITCH_PAGE);
	filter_put_byte(filter, page);
	filter->page = page;
}

static void write_tag(struct wbxml_filter *filter, uint16_t tag, bool is_empty)
{
	write_page(filter, (uint8_t)(tag >> 8));
	filter_put_byte(filter, (tag & TOKEN_CODE) | (is_empty ? 0U : TOKEN_HAS_CONTENT));
}

static void write_element(struct wbxml_filter *filter, uint16_t tag, struct span text)
{
	write_tag(filter, tag, text.len == 0);
	if (text.len == 0)
		return;
	filter_put_byte(filter, TOKEN_STR_I);
	filter_put(filter, text);
	filter_put_byte(filter, 0);
	filter_put_byte(filter, TOKEN_END);
}

/* mb_u_int32 in its shortest form. */
static void write_length(struct wbxml_filter *filter, uint32_t len)
{
	int shift = 28;

	while (shift > 0 && len >> shift == 0)
		shift -= 7;
	for (; shift > 0; shift -= 7)
		filter_put_byte(filter, 0x80 | (len >> shift & 0x7F));
	filter_put_byte(filter, len & 0x7F);
}

/* Holds */

static void hold_begin(struct wbxml_filter *filter, bool is_content)
{
	struct wbxml_filter_mark *mark;

	assert(filter->mark_count < WBXML_FILTER_HOLDS_MAX);
	/* From here on pending bytes are held ones. */
	if (filter->mark_count == 0)
		filter_flush(filter);
	mark = &filter->marks[filter->mark_count++];
	mark->at = filter->held + filter->pending_len;
	mark->depth = filter->reader.depth;
	mark->page = filter->page;
	mark->is_content = is_content;
}

unsigned int wbxml_filter_holds(const struct wbxml_filter *filter)
{
	return filter->mark_count;
}

uint64_t wbxml_filter_held(const struct wbxml_filter *filter)
{
	return filter->mark_count > 0 ? filter->held + filter->pending_len : 0;
}

void wbxml_filter_release(struct wbxml_filter *filter)
{
	assert(filter->mark_count > 0);
	if (--filter->mark_count > 0 || filter->held == 0)
		return;
	filter->held = 0;
	if (!filter->has_failed)
		filter_check(filter, filter->calls->release(filter->context));
}

void wbxml_filter_release_behind(struct wbxml_filter *filter, uint16_t tag, struct span text)
{
	const struct wbxml_filter_mark *mark = &filter->marks[0];
	/* A filter of its own for these few bytes: they overtake what is held and pending. */
	struct wbxml_filter front = {
		.calls = filter->calls, .context = filter->context, .page = mark->page};

	assert(filter->mark_count == 1);
	assert(!mark->is_content || mark->page == tag >> 8);
	write_element(&front, tag, text);
	write_page(&front, mark->page);
	filter_flush(&front);
	filter->has_failed |= front.has_failed;
	wbxml_filter_release(filter);
}

void wbxml_filter_discard(struct wbxml_filter *filter)
{
	const struct wbxml_filter_mark *mark;

	assert(filter->mark_count > 0);
	mark = &filter->marks[--filter->mark_count];
	assert(!mark->is_content);
	if (mark->at >= filter->held) {
		filter->pending_len = (uint16_t)(mark->at - filter->held);
	} else {
		filter->pending_len = 0;
		filter->held = mark->at;
		if (!filter->has_failed)
			filter_check(filter, filter->calls->cut(filter->context, mark->at));
	}
	filter->page = mark->page;
	filter->skip_depth = mark->depth;
	filter->is_in_value = false;
	filter->is_in_empty = false;
}

void wbxml_filter_insert(struct wbxml_filter *filter, uint16_t tag, struct span text)
{
	assert(!filter->is_in_value && !filter->is_in_empty);
	write_element(filter, tag, text);
}

/* Events */

static void element_start(struct wbxml_filter *filter)
{
	const struct wbxml_reader *reader = &filter->reader;
	enum wbxml_filter_choice choice = WBXML_FILTER_KEEP;

	if (filter->skip_depth > 0)
		return;
	if (filter->calls->start != NULL)
		choice = filter->calls->start(filter->context);
	if (choice == WBXML_FILTER_DROP) {
		filter->skip_depth = reader->depth;
		return;
	}
	if (choice == WBXML_FILTER_HOLD)
		hold_begin(filter, false);
	write_tag(filter, reader->tag->id, reader->is_empty);
	filter->is_in_empty = reader->is_empty;
	if (choice == WBXML_FILTER_HOLD_CONTENT && !reader->is_empty)
		hold_begin(filter, true);
}

static void value_piece(struct wbxml_filter *filter, bool is_opaque)
{
	const struct wbxml_reader *reader = &filter->reader;

	if (filter->skip_depth == 0 && filter->calls->text != NULL)
		filter->calls->text(filter->context);
	if (filter->skip_depth > 0)
		return;
	if (!filter->is_in_value) {
		filter_put_byte(filter, is_opaque ? TOKEN_OPAQUE : TOKEN_STR_I);
		if (is_opaque)
			write_length(filter,
				(uint32_t)reader->text.len + wbxml_reader_opaque_left(reader));
	}
	filter_put(filter, reader->text);
	if (reader->is_last && !is_opaque)
		filter_put_byte(filter, 0);
	filter->is_in_value = !reader->is_last;
}

static void element_end(struct wbxml_filter *filter)
{
	uint32_t depth = filter->reader.depth + 1;

	if (filter->skip_depth == 0 && filter->calls->end != NULL)
		filter->calls->end(filter->context);
	if (filter->skip_depth > 0) {
		if (filter->skip_depth == depth)
			filter->skip_depth = 0;
		return;
	}
	if (!filter->is_in_empty)
		filter_put_byte(filter, TOKEN_END);
	filter->is_in_empty = false;
	while (filter->mark_count > 0 && filter->marks[filter->mark_count - 1].depth == depth)
		wbxml_filter_release(filter);
}

void wbxml_filter_init(struct wbxml_filter *filter, const struct wbxml_filter_calls *calls,
	void *context, const struct wbxml_limits *limits)
{
	*filter = (struct wbxml_filter){.calls = calls, .context = context};
	wbxml_reader_init(&filter->reader, limits);
	filter_put(filter, span_of(wbxml_header, sizeof(wbxml_header)));
}

int wbxml_filter_feed(struct wbxml_filter *filter, struct span piece)
{
	enum wbxml_event event = WBXML_MORE;

	wbxml_reader_feed(&filter->reader, piece.data, piece.len);
	while (!filter->has_failed && (event = wbxml_reader_next(&filter->reader)) > WBXML_MORE) {
		switch (event) {
		case WBXML_START: element_start(filter); break;
		case WBXML_TEXT: value_piece(filter, false); break;
		case WBXML_OPAQUE: value_piece(filter, true); break;
		case WBXML_END: element_end(filter); break;
		case WBXML_MORE:
		case WBXML_ERROR: break;
		}
	}
	filter_flush(filter);
	filter->has_failed |= event == WBXML_ERROR;
	return filter->has_failed ? -1 : 0;
}

int wbxml_filter_finish(struct wbxml_filter *filter)
{
	if (wbxml_reader_finish(&filter->reader) != 0)
		filter->has_failed = true;
	return filter->has_failed ? -1 : 0;
}
