#include "wbxml/reader.h"

#include "wbxml/codepages_table.h"
#include "wbxml/tokens.h"
#include "wbxml/utf8.h"

enum {
	TOKENS_PER_ELEMENT = 4,
	SWITCHES_IN_A_ROW = 8,
	LENGTH_BYTES = 5,       /* of an mb_u_int32 */
	STACK_UNKNOWN = 0x8000, /* above every row of wbxml_tags, and every page << 8 | token */
};

enum reader_state {
	READER_HEADER,
	READER_CONTENT, /* a tag, or, inside the root, an END, a string, opaque data */
	READER_EMPTY,   /* an empty element has begun: its END is due */
	READER_PAGE,    /* the byte after SWITCH_PAGE */
	READER_STRING,
	READER_LENGTH,
	READER_OPAQUE,
	READER_DONE,
	READER_FAILED,
};

struct wbxml_limits wbxml_limits_complete(const struct wbxml_limits *limits)
{
	struct wbxml_limits complete = {0};

	if (limits != NULL)
		complete = *limits;
	if (complete.depth == 0)
		complete.depth = WBXML_DEPTH_DEFAULT;
	if (complete.depth > WBXML_DEPTH_MAX)
		complete.depth = WBXML_DEPTH_MAX;
	if (complete.elements == 0)
		complete.elements = WBXML_ELEMENTS_DEFAULT;
	return complete;
}

void wbxml_reader_init(struct wbxml_reader *reader, const struct wbxml_limits *limits)
{
	*reader = (struct wbxml_reader){
		.state = READER_HEADER, .limits = wbxml_limits_complete(limits)};
	reader->elements_left = reader->limits.elements;
	reader->tokens_left = (uint64_t)reader->limits.elements * TOKENS_PER_ELEMENT;
}

void wbxml_reader_feed(struct wbxml_reader *reader, const void *data, size_t len)
{
	if (reader->state == READER_FAILED)
		return;
	reader->at = data;
	reader->end = len > 0 ? reader->at + len : reader->at;
	reader->fed += len;
}

static enum wbxml_event reader_fail(struct wbxml_reader *reader, enum wbxml_fault fault)
{
	reader->fault = fault;
	reader->state = READER_FAILED;
	return WBXML_ERROR;
}

/* Takes bytes and lets the loop in next() go on. */
static enum wbxml_event reader_take(struct wbxml_reader *reader, size_t len)
{
	reader->at += len;
	return WBXML_MORE;
}

static enum wbxml_event reader_piece(
	struct wbxml_reader *reader, enum wbxml_event event, size_t len, bool is_last)
{
	reader->text = span_of(reader->at, len);
	reader->is_last = is_last;
	reader_take(reader, len);
	return event;
}

static enum wbxml_event reader_header(struct wbxml_reader *reader)
{
	if (*reader->at != wbxml_header[reader->step])
		return reader_fail(reader, WBXML_FAULT_HEADER);
	if (++reader->step == sizeof(wbxml_header))
		reader->state = READER_CONTENT;
	return reader_take(reader, 1);
}

/* Of an element on the stack. An unknown one has its page and token all the same: who passes it on can
 * write it. */
static const struct wbxml_tag *reader_tag(struct wbxml_reader *reader, unsigned int element)
{
	if (element < STACK_UNKNOWN)
		return &wbxml_tags[element];
	reader->unknown = (struct wbxml_tag){.id = (uint16_t)(element - STACK_UNKNOWN)};
	return &reader->unknown;
}

/* A tag that its page does not have. */
static unsigned int reader_unknown(struct wbxml_reader *reader, uint8_t token)
{
	if (!reader->limits.lets_unknown_pass)
		return 0;
	return STACK_UNKNOWN | (unsigned int)reader->page << 8 | (token & TOKEN_CODE);
}

static enum wbxml_event reader_start(struct wbxml_reader *reader, uint8_t token)
{
	unsigned int element = wbxml_tag_index[reader->page][token & TOKEN_CODE];

	if ((token & TOKEN_HAS_ATTRIBUTES) != 0)
		return reader_fail(reader, WBXML_FAULT_ATTRIBUTES);
	if (element == 0 && (element = reader_unknown(reader, token)) == 0)
		return reader_fail(reader, WBXML_FAULT_TAG);
	if (reader->depth >= reader->limits.depth)
		return reader_fail(reader, WBXML_FAULT_DEPTH);
	if (reader->elements_left == 0)
		return reader_fail(reader, WBXML_FAULT_ELEMENTS);
	reader->elements_left--;
	reader->stack[reader->depth++] = (uint16_t)element;
	reader->tag = reader_tag(reader, element);
	reader->unknown_tags += reader->tag == &reader->unknown;
	reader->is_empty = (token & TOKEN_HAS_CONTENT) == 0;
	if (reader->is_empty)
		reader->state = READER_EMPTY;
	reader->switches = 0;
	reader_take(reader, 1);
	return WBXML_START;
}

static enum wbxml_event reader_end(struct wbxml_reader *reader)
{
	reader->tag = reader_tag(reader, reader->stack[--reader->depth]);
	reader->state = reader->depth > 0 ? READER_CONTENT : READER_DONE;
	return WBXML_END;
}

/* A string, opaque data or a page switch begins. */
static enum wbxml_event reader_enter(struct wbxml_reader *reader, enum reader_state state)
{
	if (reader->tokens_left == 0)
		return reader_fail(reader, WBXML_FAULT_ELEMENTS);
	reader->tokens_left--;
	reader->state = (uint8_t)state;
	return reader_take(reader, 1);
}

static enum wbxml_event reader_page(struct wbxml_reader *reader)
{
	if (wbxml_page_name(*reader->at) == NULL)
		return reader_fail(reader, WBXML_FAULT_PAGE);
	reader->page = *reader->at;
	reader->state = READER_CONTENT;
	return reader_take(reader, 1);
}

/* Valid bytes in front of a wrong one are handed out first, so that what the caller sees does not
 * depend on where the pieces were cut. */
static enum wbxml_event reader_string(struct wbxml_reader *reader)
{
	const uint8_t *stop = utf8_scan(reader->at, reader->end, &reader->utf8);
	size_t len = (size_t)(stop - reader->at);

	if (stop < reader->end && *stop == 0 && reader->utf8 == UTF8_WHOLE) {
		reader_piece(reader, WBXML_TEXT, len, true);
		reader_take(reader, 1);
		reader->state = READER_CONTENT;
		return WBXML_TEXT;
	}
	if (len == 0)
		return reader_fail(reader, WBXML_FAULT_TEXT);
	return reader_piece(reader, WBXML_TEXT, len, false);
}

/* Most strings are whole in the piece: without another turn through the states. */
static enum wbxml_event reader_text(struct wbxml_reader *reader)
{
	if (reader_enter(reader, READER_STRING) == WBXML_ERROR)
		return WBXML_ERROR;
	return reader->at < reader->end ? reader_string(reader) : WBXML_MORE;
}

static enum wbxml_event reader_switch(struct wbxml_reader *reader)
{
	if (reader->switches >= SWITCHES_IN_A_ROW)
		return reader_fail(reader, WBXML_FAULT_ELEMENTS);
	reader->switches++;
	return reader_enter(reader, READER_PAGE);
}

static enum wbxml_event reader_content(struct wbxml_reader *reader)
{
	uint8_t token = *reader->at;

	if ((token & TOKEN_CODE) >= TOKEN_FIRST_TAG)
		return reader_start(reader, token);
	if (token == TOKEN_SWITCH_PAGE)
		return reader_switch(reader);
	if (reader->depth == 0 || reader->switches > 0)
		return reader_fail(reader, WBXML_FAULT_TOKEN);
	switch (token) {
	case TOKEN_END: reader_take(reader, 1); return reader_end(reader);
	case TOKEN_STR_I: return reader_text(reader);
	case TOKEN_OPAQUE:
		reader->step = 0;
		reader->opaque_left = 0;
		return reader_enter(reader, READER_LENGTH);
	default: return reader_fail(reader, WBXML_FAULT_TOKEN);
	}
}

/* mb_u_int32: groups of seven bits, the top bit means that more follow. Padding in front (80) is legal
 * WBXML, but no EAS stack writes it: refused, so that a length has one form. */
static enum wbxml_event reader_length(struct wbxml_reader *reader)
{
	uint8_t byte = *reader->at;
	bool more = (byte & 0x80) != 0;

	if ((reader->step == 0 && byte == 0x80) || reader->opaque_left > UINT32_MAX >> 7)
		return reader_fail(reader, WBXML_FAULT_OPAQUE);
	reader->opaque_left = reader->opaque_left << 7 | (byte & 0x7F);
	reader->step++;
	if (more && reader->step == LENGTH_BYTES)
		return reader_fail(reader, WBXML_FAULT_OPAQUE);
	if (!more && reader->limits.opaque > 0 && reader->opaque_left > reader->limits.opaque)
		return reader_fail(reader, WBXML_FAULT_OPAQUE);
	reader_take(reader, 1);
	if (more)
		return WBXML_MORE;
	reader->state = reader->opaque_left > 0 ? READER_OPAQUE : READER_CONTENT;
	return reader->opaque_left > 0 ? WBXML_MORE : reader_piece(reader, WBXML_OPAQUE, 0, true);
}

static enum wbxml_event reader_opaque(struct wbxml_reader *reader)
{
	size_t len = (size_t)(reader->end - reader->at);

	if (len > reader->opaque_left)
		len = reader->opaque_left;
	reader->opaque_left -= (uint32_t)len;
	if (reader->opaque_left == 0)
		reader->state = READER_CONTENT;
	return reader_piece(reader, WBXML_OPAQUE, len, reader->opaque_left == 0);
}

/* Seldom come to: kept out of next(), which is the shorter for it. */
static __attribute__((noinline)) enum wbxml_event reader_step(struct wbxml_reader *reader)
{
	switch ((enum reader_state)reader->state) {
	case READER_HEADER: return reader_header(reader);
	case READER_PAGE: return reader_page(reader);
	case READER_STRING: return reader_string(reader);
	case READER_LENGTH: return reader_length(reader);
	case READER_OPAQUE: return reader_opaque(reader);
	case READER_DONE: return reader_fail(reader, WBXML_FAULT_TRAILING);
	case READER_CONTENT:
	case READER_EMPTY:
	case READER_FAILED: break;
	}
	return WBXML_ERROR;
}

static __attribute__((noinline)) enum wbxml_event reader_any(struct wbxml_reader *reader)
{
	enum wbxml_event event = WBXML_MORE;

	if (reader->state == READER_EMPTY)
		return reader_end(reader);
	while (event == WBXML_MORE && reader->at < reader->end)
		event = reader->state == READER_CONTENT ? reader_content(reader)
							: reader_step(reader);
	return event == WBXML_MORE && reader->state == READER_FAILED ? WBXML_ERROR : event;
}

/* What most of a document is, tags, ends and strings, is dealt with at once. */
static inline enum wbxml_event reader_event(struct wbxml_reader *reader)
{
	uint8_t token;

	if (reader->state != READER_CONTENT || reader->at == reader->end)
		return reader_any(reader);
	token = *reader->at;
	if ((token & TOKEN_CODE) >= TOKEN_FIRST_TAG)
		return reader_start(reader, token);
	if (reader->depth == 0 || reader->switches > 0)
		return reader_any(reader);
	if (token == TOKEN_END) {
		reader_take(reader, 1);
		return reader_end(reader);
	}
	return token == TOKEN_STR_I ? reader_text(reader) : reader_any(reader);
}

/* Whether the event lies within an element that is passed over. */
static bool is_skipped(struct wbxml_reader *reader, enum wbxml_event event)
{
	if (event == WBXML_END && reader->depth < reader->skip_depth) {
		reader->skip_depth = 0;
		return true;
	}
	return event != WBXML_START || !reader->shows_starts;
}

static __attribute__((noinline)) enum wbxml_event reader_next_shown(struct wbxml_reader *reader)
{
	enum wbxml_event event;

	do
		event = reader_event(reader);
	while (reader->skip_depth > 0 && event > WBXML_MORE && is_skipped(reader, event));
	return event;
}

enum wbxml_event wbxml_reader_next(struct wbxml_reader *reader)
{
	return reader->skip_depth > 0 ? reader_next_shown(reader) : reader_event(reader);
}

void wbxml_reader_skip(struct wbxml_reader *reader, bool shows_starts)
{
	if (reader->skip_depth > 0)
		return;
	reader->skip_depth = reader->depth;
	reader->shows_starts = shows_starts;
}

uint64_t wbxml_reader_offset(const struct wbxml_reader *reader)
{
	return reader->fed - (uint64_t)(reader->end - reader->at);
}

uint16_t wbxml_reader_open(const struct wbxml_reader *reader, uint32_t level)
{
	unsigned int element = reader->stack[level];

	return element < STACK_UNKNOWN ? wbxml_tags[element].id
				       : (uint16_t)(element - STACK_UNKNOWN);
}

uint32_t wbxml_reader_opaque_left(const struct wbxml_reader *reader)
{
	return reader->opaque_left;
}

int wbxml_reader_finish(struct wbxml_reader *reader)
{
	if (reader->state == READER_DONE)
		return 0;
	if (reader->state != READER_FAILED)
		reader_fail(reader, WBXML_FAULT_TRUNCATED);
	return -1;
}

bool wbxml_reader_is_done(const struct wbxml_reader *reader)
{
	return reader->state == READER_DONE;
}

const char *wbxml_fault_text(enum wbxml_fault fault)
{
	static const char *const texts[] = {
		[WBXML_FAULT_NONE] = "no fault",
		[WBXML_FAULT_HEADER] = "not the header of ActiveSync WBXML",
		[WBXML_FAULT_TRUNCATED] = "the document ends too early",
		[WBXML_FAULT_TRAILING] = "bytes after the end of the document",
		[WBXML_FAULT_PAGE] = "unknown code page",
		[WBXML_FAULT_TAG] = "unknown tag",
		[WBXML_FAULT_TOKEN] = "a token that ActiveSync does not use here",
		[WBXML_FAULT_ATTRIBUTES] = "a tag with attributes",
		[WBXML_FAULT_TEXT] = "text that is not UTF-8 or that XML cannot hold",
		[WBXML_FAULT_OPAQUE] = "a malformed or too large length of opaque data",
		[WBXML_FAULT_DEPTH] = "elements nested too deep",
		[WBXML_FAULT_ELEMENTS] = "too many elements, strings or page switches",
	};

	return (size_t)fault < sizeof(texts) / sizeof(texts[0]) ? texts[fault] : "unknown fault";
}
