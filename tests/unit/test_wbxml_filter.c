/* What the filter does not touch comes out as it was, whatever is left out or held back beside it. */
#include "tests/unit/check.h"
#include "tests/unit/wbxml_samples.h"
#include "wbxml/filter.h"

#define HEADER 0x03, 0x01, 0x6A, 0x00

/* What the hook of these tests does with every element of one tag. */
enum deed { NOTHING, DROP, HOLD_DISCARD, HOLD_DISCARD_AT_ONCE, HOLD_RELEASE, HOLD_LEAVE, REPLACE };

struct stage {
	struct wbxml_filter filter;
	struct wbxml_buffer out, held;
	enum deed deed;
	uint16_t tag;
	uint64_t held_max;
	int out_status;
};

static int stage_out(void *context, struct span bytes)
{
	struct stage *stage = context;

	CU_ASSERT(bytes.len > 0);
	wbxml_buffer_append(&stage->out, bytes.data, bytes.len);
	return stage->out_status;
}

static int stage_hold(void *context, struct span bytes)
{
	struct stage *stage = context;

	wbxml_buffer_append(&stage->held, bytes.data, bytes.len);
	if (stage->held.len > stage->held_max)
		stage->held_max = stage->held.len;
	return 0;
}

static int stage_cut(void *context, uint64_t len)
{
	struct stage *stage = context;

	CU_ASSERT(len < stage->held.len);
	stage->held.len = (size_t)len;
	return 0;
}

static int stage_release(void *context)
{
	struct stage *stage = context;

	CU_ASSERT(stage->held.len > 0);
	wbxml_buffer_append(&stage->out, stage->held.data, stage->held.len);
	stage->held.len = 0;
	return 0;
}

static enum wbxml_filter_choice stage_start(void *context)
{
	struct stage *stage = context;

	if (stage->filter.reader.tag->id != stage->tag || stage->deed == NOTHING)
		return WBXML_FILTER_KEEP;
	if (stage->deed == DROP)
		return WBXML_FILTER_DROP;
	if (stage->deed == REPLACE) {
		wbxml_filter_insert(&stage->filter, WBXML_PING_STATUS, span_of_string("x"));
		return WBXML_FILTER_DROP;
	}
	/* One in the other: only the outer one is held. */
	return wbxml_filter_holds(&stage->filter) == 0 ? WBXML_FILTER_HOLD : WBXML_FILTER_KEEP;
}

static void stage_text(void *context)
{
	struct stage *stage = context;

	if (stage->deed == HOLD_DISCARD_AT_ONCE && wbxml_filter_holds(&stage->filter) > 0)
		wbxml_filter_discard(&stage->filter);
}

static void stage_end(void *context)
{
	struct stage *stage = context;

	if (stage->filter.reader.tag->id != stage->tag || wbxml_filter_holds(&stage->filter) == 0)
		return;
	if (stage->deed == HOLD_DISCARD || stage->deed == HOLD_DISCARD_AT_ONCE)
		wbxml_filter_discard(&stage->filter);
	else if (stage->deed == HOLD_RELEASE)
		wbxml_filter_release(&stage->filter);
}

static const struct wbxml_filter_calls stage_calls = {
	stage_out, stage_hold, stage_cut, stage_release, stage_start, stage_text, stage_end};

static struct stage *stage_new(enum deed deed, uint16_t tag)
{
	struct stage *stage = calloc(1, sizeof(*stage));

	if (stage == NULL)
		abort();
	stage->out.limit = stage->held.limit = 1 << 22;
	stage->deed = deed;
	stage->tag = tag;
	wbxml_filter_init(&stage->filter, &stage_calls, stage, NULL);
	return stage;
}

static void stage_free(struct stage *stage)
{
	wbxml_buffer_free(&stage->out);
	wbxml_buffer_free(&stage->held);
	free(stage);
}

/* Feeds the document in pieces of `cut` bytes; each piece lies alone in its memory. */
static int stage_run(struct stage *stage, struct span document, size_t cut)
{
	for (size_t at = 0; at < document.len; at += cut) {
		size_t len = cut < document.len - at ? cut : document.len - at;
		uint8_t *piece = malloc(len);
		int status;

		if (piece == NULL)
			abort();
		memcpy(piece, document.data + at, len);
		status = wbxml_filter_feed(&stage->filter, span_of(piece, len));
		free(piece);
		if (status != 0)
			return -1;
	}
	return wbxml_filter_finish(&stage->filter);
}

static struct span span_of_buffer(const struct wbxml_buffer *buffer)
{
	return span_of(buffer->data, buffer->len);
}

/* The events of a document without the elements of a tag, or with <Ping:Status>x in their place. */
static void events_without(
	struct wbxml_buffer *events, struct span document, uint16_t tag, bool is_replaced)
{
	struct wbxml_reader reader;
	enum wbxml_event event;
	uint32_t skip = 0;

	wbxml_reader_init(&reader, NULL);
	wbxml_reader_feed(&reader, document.data, document.len);
	while ((event = wbxml_reader_next(&reader)) > WBXML_MORE) {
		if (skip == 0 && event == WBXML_START && reader.tag->id == tag) {
			skip = reader.depth;
			if (is_replaced) {
				uint8_t depth = (uint8_t)reader.depth;
				uint8_t above = (uint8_t)(reader.depth - 1);
				const uint8_t note[] = {'S', WBXML_PING_STATUS >> 8,
					WBXML_PING_STATUS & 0xff, depth, 'x', 0, 'T', 'E',
					WBXML_PING_STATUS >> 8, WBXML_PING_STATUS & 0xff, above};

				wbxml_buffer_append(events, note, sizeof(note));
			}
		}
		if (skip == 0)
			events_note(events, event, &reader);
		if (event == WBXML_END && reader.depth + 1 == skip)
			skip = 0;
	}
	CU_ASSERT_EQUAL(wbxml_reader_finish(&reader), 0);
}

static const struct {
	enum deed deed;
	bool is_gone;
} deeds[] = {{NOTHING, false}, {DROP, true}, {HOLD_DISCARD, true}, {HOLD_DISCARD_AT_ONCE, true},
	{HOLD_RELEASE, false}, {HOLD_LEAVE, false}, {REPLACE, true}};

static void check_deed(const char *name, struct span document, uint16_t tag, size_t deed)
{
	const size_t cuts[] = {1 << 20, document.len > 4096 ? 997 : 1, 7 + document.len / 16};

	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct wbxml_buffer expected = {.limit = 1 << 22}, events = {.limit = 1 << 22};
		struct stage *stage = stage_new(deeds[deed].deed, tag);

		if (stage_run(stage, document, cuts[i]) != 0) {
			printf("\n%s: %s\n", name, wbxml_fault_text(stage->filter.reader.fault));
			CU_FAIL("a good document was refused");
		}
		events_without(&expected, document, deeds[deed].is_gone ? tag : 0,
			deeds[deed].deed == REPLACE);
		events_without(&events, span_of_buffer(&stage->out), 0, false);
		if (!span_equal(span_of_buffer(&expected), span_of_buffer(&events))) {
			printf("\n%s: tag %04x, deed %zu, cut %zu\n", name, tag, deed, cuts[i]);
			CU_FAIL("other events");
		}
		wbxml_buffer_free(&expected);
		wbxml_buffer_free(&events);
		stage_free(stage);
	}
}

static void check_every_tag(const char *name)
{
	struct wbxml_buffer document = sample_read("good", name, ".wbxml");
	struct span span = span_of_buffer(&document);
	struct wbxml_reader reader;
	enum wbxml_event event;
	uint16_t seen[256];
	size_t count = 0, i;

	wbxml_reader_init(&reader, NULL);
	wbxml_reader_feed(&reader, span.data, span.len);
	while ((event = wbxml_reader_next(&reader)) > WBXML_MORE) {
		uint16_t tag = reader.tag->id;

		if (event != WBXML_START || count == sizeof(seen) / sizeof(seen[0]))
			continue;
		for (i = 0; i < count && seen[i] != tag; i++)
			continue;
		if (i < count)
			continue;
		seen[count++] = tag;
		for (size_t deed = 0; count > 1 && deed < sizeof(deeds) / sizeof(deeds[0]); deed++)
			check_deed(name, span, tag, deed);
	}
	check_deed(name, span, 0, 0);
	wbxml_buffer_free(&document);
}

static void test_what_the_hook_does_not_touch_comes_out_as_it_was(void)
{
	CU_ASSERT_EQUAL(sample_each("good", check_every_tag), 167);
}

static void check_shortest(const char *name)
{
	struct wbxml_buffer document = sample_read("good", name, ".wbxml");
	struct stage *once = stage_new(NOTHING, 0), *twice = stage_new(NOTHING, 0);

	CU_ASSERT_EQUAL(stage_run(once, span_of_buffer(&document), 4096), 0);
	CU_ASSERT_EQUAL(stage_run(twice, span_of_buffer(&once->out), 4096), 0);
	CU_ASSERT(once->out.len <= document.len);
	CU_ASSERT(span_equal(span_of_buffer(&once->out), span_of_buffer(&twice->out)));
	CU_ASSERT(once->out.len < document.len ||
		  span_equal(span_of_buffer(&once->out), span_of_buffer(&document)));
	stage_free(once);
	stage_free(twice);
	wbxml_buffer_free(&document);
}

static void test_page_switches_are_written_where_they_are_needed(void)
{
	sample_each("good", check_shortest);
}

static void check_refused(const char *name)
{
	struct wbxml_buffer document = sample_read("malformed", name, ".wbxml");
	struct wbxml_buffer ignored = {.limit = 1 << 22};
	enum wbxml_fault fault = events_read(&ignored, span_of_buffer(&document), NULL, NULL);
	struct stage *stage = stage_new(NOTHING, 0);

	CU_ASSERT_EQUAL(stage_run(stage, span_of_buffer(&document), 13),
		fault == WBXML_FAULT_NONE ? 0 : -1);
	CU_ASSERT_EQUAL(stage->filter.reader.fault, fault);
	stage_free(stage);
	wbxml_buffer_free(&ignored);
	wbxml_buffer_free(&document);
}

static void test_malformed_documents_are_refused_for_the_reason_that_the_reader_has(void)
{
	CU_ASSERT(sample_each("malformed", check_refused) > 50);
}

static void test_nothing_of_what_is_held_goes_out(void)
{
	static const uint8_t document[] = {
		HEADER, 0x45, 0x5C, 0x4F, 0x4B, 0x03, '7', 0x00, 0x01, 0x01, 0x01, 0x01};
	struct stage *stage = stage_new(HOLD_LEAVE, WBXML_AIRSYNC_COLLECTION);

	CU_ASSERT_EQUAL(wbxml_filter_feed(&stage->filter, span_of(document, 10)), 0);
	CU_ASSERT_EQUAL(stage->out.len, 6);
	CU_ASSERT_EQUAL(stage->held.len, 4);
	CU_ASSERT_EQUAL(wbxml_filter_held(&stage->filter), 4);
	CU_ASSERT_EQUAL(wbxml_filter_feed(&stage->filter, span_of(document + 10, 3)), 0);
	CU_ASSERT_EQUAL(stage->out.len, 13);
	CU_ASSERT_EQUAL(wbxml_filter_holds(&stage->filter), 0);
	CU_ASSERT_EQUAL(
		wbxml_filter_feed(&stage->filter, span_of(document + 13, sizeof(document) - 13)),
		0);
	CU_ASSERT_EQUAL(wbxml_filter_finish(&stage->filter), 0);
	CU_ASSERT(span_equal(span_of_buffer(&stage->out), span_of(document, sizeof(document))));
	stage_free(stage);
}

/* FolderSync: Count stands in front of what it counts. */

static enum wbxml_filter_choice count_start(void *context)
{
	struct stage *stage = context;

	switch (stage->filter.reader.tag->id) {
	case WBXML_FOLDERHIERARCHY_CHANGES: return WBXML_FILTER_HOLD_CONTENT;
	case WBXML_FOLDERHIERARCHY_COUNT: return WBXML_FILTER_DROP;
	case WBXML_FOLDERHIERARCHY_ADD: return WBXML_FILTER_HOLD;
	default: return WBXML_FILTER_KEEP;
	}
}

static void count_end(void *context)
{
	struct stage *stage = context;

	if (stage->filter.reader.tag->id == WBXML_FOLDERHIERARCHY_ADD)
		wbxml_filter_discard(&stage->filter);
	if (stage->filter.reader.tag->id == WBXML_FOLDERHIERARCHY_CHANGES)
		wbxml_filter_release_behind(
			&stage->filter, WBXML_FOLDERHIERARCHY_COUNT, span_of_string("0"));
}

static void test_a_value_can_be_put_in_front_of_what_decided_it(void)
{
	static const struct wbxml_filter_calls calls = {
		stage_out, stage_hold, stage_cut, stage_release, count_start, NULL, count_end};
	static const uint8_t expected[] = {HEADER, 0x00, 0x07, 0x56, 0x4C, 0x03, '1', 0x00, 0x01,
		0x52, 0x03, '1', 0x00, 0x01, 0x4E, 0x57, 0x03, '0', 0x00, 0x01, 0x01, 0x01};
	struct wbxml_buffer document = sample_read("good", "foldersync-initial-response", ".wbxml");

	for (size_t cut = 1; cut < 20; cut += 3) {
		struct stage *stage = stage_new(NOTHING, 0);

		wbxml_filter_init(&stage->filter, &calls, stage, NULL);
		CU_ASSERT_EQUAL(stage_run(stage, span_of_buffer(&document), cut), 0);
		CU_ASSERT(span_equal(
			span_of_buffer(&stage->out), span_of(expected, sizeof(expected))));
		stage_free(stage);
	}
	wbxml_buffer_free(&document);
}

/* A value of another page in front of an element: the page that follows is restored. */

static enum wbxml_filter_choice front_start(void *context)
{
	struct stage *stage = context;

	return stage->filter.reader.tag->id == WBXML_AIRSYNC_COLLECTIONS ? WBXML_FILTER_HOLD
									 : WBXML_FILTER_KEEP;
}

static void front_end(void *context)
{
	struct stage *stage = context;

	if (stage->filter.reader.tag->id == WBXML_AIRSYNC_COLLECTIONS)
		wbxml_filter_release_behind(&stage->filter, WBXML_PING_STATUS, span_of_string(""));
}

static void test_a_value_of_another_page_in_front_leaves_the_page_as_it_was(void)
{
	static const struct wbxml_filter_calls calls = {
		stage_out, stage_hold, stage_cut, stage_release, front_start, NULL, front_end};
	static const uint8_t document[] = {HEADER, 0x45, 0x5C, 0x0F, 0x01, 0x01};
	static const uint8_t expected[] = {
		HEADER, 0x45, 0x00, 0x0D, 0x07, 0x00, 0x00, 0x5C, 0x0F, 0x01, 0x01};
	struct stage *stage = stage_new(NOTHING, 0);

	wbxml_filter_init(&stage->filter, &calls, stage, NULL);
	CU_ASSERT_EQUAL(stage_run(stage, span_of(document, sizeof(document)), 100), 0);
	CU_ASSERT(span_equal(span_of_buffer(&stage->out), span_of(expected, sizeof(expected))));
	stage_free(stage);
}

static void test_a_call_that_fails_ends_it(void)
{
	static const uint8_t document[] = {HEADER, 0x45, 0x5C, 0x0F, 0x01, 0x01};
	struct stage *stage = stage_new(NOTHING, 0);

	stage->out_status = -1;
	CU_ASSERT_EQUAL(stage_run(stage, span_of(document, sizeof(document)), 1), -1);
	CU_ASSERT_EQUAL(stage->filter.reader.fault, WBXML_FAULT_NONE);
	CU_ASSERT_EQUAL(stage->out.len, 4);
	CU_ASSERT_EQUAL(wbxml_filter_feed(&stage->filter, span_of(document, 1)), -1);
	stage_free(stage);
}

static void test_tags_that_nobody_knows_pass_byte_for_byte(void)
{
	static const struct wbxml_limits lenient = {.lets_unknown_pass = true};
	static const uint8_t document[] = {HEADER, 0x45, 0x7F, 0x03, 'a', 0x00, 0x3E, 0x01, 0x00,
		0x0D, 0x7F, 0xC3, 0x02, 0x00, 0x01, 0x01, 0x01};
	static const uint8_t without[] = {
		HEADER, 0x45, 0x00, 0x0D, 0x7F, 0xC3, 0x02, 0x00, 0x01, 0x01, 0x01};

	for (int is_dropped = 0; is_dropped < 2; is_dropped++) {
		struct stage *stage = stage_new(is_dropped ? DROP : NOTHING, 0x003F);

		wbxml_filter_init(&stage->filter, &stage_calls, stage, &lenient);
		CU_ASSERT_EQUAL(stage_run(stage, span_of(document, sizeof(document)), 1), 0);
		CU_ASSERT(span_equal(span_of_buffer(&stage->out),
			is_dropped ? span_of(without, sizeof(without))
				   : span_of(document, sizeof(document))));
		stage_free(stage);
	}
}

static void test_the_filter_is_small(void)
{
	CU_ASSERT(sizeof(struct wbxml_filter) < 1024);
}

static const struct check checks[] = {
	{"what the hook does not touch comes out as it was",
		test_what_the_hook_does_not_touch_comes_out_as_it_was},
	{"page switches are written where they are needed",
		test_page_switches_are_written_where_they_are_needed},
	{"malformed documents are refused for the reason that the reader has",
		test_malformed_documents_are_refused_for_the_reason_that_the_reader_has},
	{"nothing of what is held goes out", test_nothing_of_what_is_held_goes_out},
	{"a value can be put in front of what decided it",
		test_a_value_can_be_put_in_front_of_what_decided_it},
	{"a value of another page in front leaves the page as it was",
		test_a_value_of_another_page_in_front_leaves_the_page_as_it_was},
	{"a call that fails ends it", test_a_call_that_fails_ends_it},
	{"tags that nobody knows pass byte for byte",
		test_tags_that_nobody_knows_pass_byte_for_byte},
	{"the filter is small", test_the_filter_is_small},
};

int main(void)
{
	return check_run("wbxml/filter", checks, sizeof(checks) / sizeof(checks[0]));
}
