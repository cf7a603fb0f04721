#include "tests/unit/check.h"
#include "tests/unit/wbxml_samples.h"

#define HEADER 0x03, 0x01, 0x6A, 0x00

static enum wbxml_fault fault_of(
	const uint8_t *body, size_t len, const struct wbxml_limits *limits, uint64_t *offset)
{
	struct wbxml_reader reader;

	wbxml_reader_init(&reader, limits);
	wbxml_reader_feed(&reader, body, len);
	while (wbxml_reader_next(&reader) > WBXML_MORE)
		continue;
	wbxml_reader_finish(&reader);
	if (offset != NULL)
		*offset = wbxml_reader_offset(&reader);
	return reader.fault;
}

static void test_the_reader_is_small(void)
{
	CU_ASSERT(sizeof(struct wbxml_reader) < 300);
}

static void assert_event(struct wbxml_reader *reader, enum wbxml_event event, uint16_t tag,
	uint32_t depth, const char *text)
{
	CU_ASSERT_EQUAL(wbxml_reader_next(reader), event);
	CU_ASSERT_EQUAL(reader->tag->id, tag);
	CU_ASSERT_EQUAL(reader->depth, depth);
	if (text != NULL) {
		CU_ASSERT(span_equal(reader->text, span_of_string(text)));
		CU_ASSERT_TRUE(reader->is_last);
	}
}

static void test_events_come_in_document_order_with_tag_and_depth(void)
{
	static const uint8_t document[] = {HEADER, 0x45, 0x5C, 0x4F, 0x4B, 0x03, '7', 0x00, 0x01,
		0x14, 0x00, 0x11, 0x5F, 0xC3, 0x02, 'a', 'b', 0x01, 0x01, 0x01, 0x01};
	struct wbxml_reader reader;

	wbxml_reader_init(&reader, NULL);
	wbxml_reader_feed(&reader, document, sizeof(document));
	assert_event(&reader, WBXML_START, WBXML_AIRSYNC_SYNC, 1, NULL);
	CU_ASSERT_FALSE(reader.is_empty);
	assert_event(&reader, WBXML_START, WBXML_AIRSYNC_COLLECTIONS, 2, NULL);
	assert_event(&reader, WBXML_START, WBXML_AIRSYNC_COLLECTION, 3, NULL);
	assert_event(&reader, WBXML_START, WBXML_AIRSYNC_SYNCKEY, 4, NULL);
	assert_event(&reader, WBXML_TEXT, WBXML_AIRSYNC_SYNCKEY, 4, "7");
	assert_event(&reader, WBXML_END, WBXML_AIRSYNC_SYNCKEY, 3, NULL);
	assert_event(&reader, WBXML_START, WBXML_AIRSYNC_MOREAVAILABLE, 4, NULL);
	CU_ASSERT_TRUE(reader.is_empty);
	assert_event(&reader, WBXML_END, WBXML_AIRSYNC_MOREAVAILABLE, 3, NULL);
	assert_event(&reader, WBXML_START, WBXML_AIRSYNCBASE_CONTENT, 4, NULL);
	assert_event(&reader, WBXML_OPAQUE, WBXML_AIRSYNCBASE_CONTENT, 4, "ab");
	assert_event(&reader, WBXML_END, WBXML_AIRSYNCBASE_CONTENT, 3, NULL);
	assert_event(&reader, WBXML_END, WBXML_AIRSYNC_COLLECTION, 2, NULL);
	assert_event(&reader, WBXML_END, WBXML_AIRSYNC_COLLECTIONS, 1, NULL);
	CU_ASSERT_FALSE(wbxml_reader_is_done(&reader));
	assert_event(&reader, WBXML_END, WBXML_AIRSYNC_SYNC, 0, NULL);
	CU_ASSERT_TRUE(wbxml_reader_is_done(&reader));
	CU_ASSERT_EQUAL(wbxml_reader_next(&reader), WBXML_MORE);
	CU_ASSERT_EQUAL(wbxml_reader_offset(&reader), sizeof(document));
	CU_ASSERT_EQUAL(wbxml_reader_finish(&reader), 0);
}

/* Sync (Collections (Collection (SyncKey "7", MoreAvailable, a tag that nobody knows)), Status "1") */
static const uint8_t to_skip_in[] = {HEADER, 0x45, 0x5C, 0x4F, 0x4B, 0x03, '7', 0x00, 0x01, 0x14,
	0x3F, 0x01, 0x01, 0x4E, 0x03, '1', 0x00, 0x01, 0x01};

/* The tags of the events that come where Collections is skipped: letters for START, END and TEXT. */
static void events_around_skipped(char *shown, bool shows_starts, size_t piece)
{
	static const struct wbxml_limits limits = {.lets_unknown_pass = true};
	struct wbxml_reader reader;
	enum wbxml_event event;

	wbxml_reader_init(&reader, &limits);
	for (size_t at = 0; at < sizeof(to_skip_in); at += piece) {
		wbxml_reader_feed(&reader, to_skip_in + at,
			sizeof(to_skip_in) - at < piece ? sizeof(to_skip_in) - at : piece);
		while ((event = wbxml_reader_next(&reader)) > WBXML_MORE) {
			if (event == WBXML_TEXT && reader.text.len == 0)
				continue;
			*shown++ = "?sto/"[event];
			if (event == WBXML_START && reader.depth >= 2)
				wbxml_reader_skip(&reader, shows_starts);
		}
	}
	*shown = '\0';
	CU_ASSERT_EQUAL(wbxml_reader_finish(&reader), 0);
	CU_ASSERT_EQUAL(reader.unknown_tags, 1);
}

static void test_what_is_skipped_is_not_handed_out(void)
{
	char shown[64];

	for (size_t piece = 1; piece <= sizeof(to_skip_in); piece++) {
		/* Sync, Collections, Status, and the end of Sync. */
		events_around_skipped(shown, false, piece);
		CU_ASSERT_STRING_EQUAL(shown, "sss/");
		/* And Collection, SyncKey, MoreAvailable, and the unknown one. */
		events_around_skipped(shown, true, piece);
		CU_ASSERT_STRING_EQUAL(shown, "sssssss/");
	}
}

static void test_what_is_skipped_is_checked(void)
{
	static const uint8_t document[] = {HEADER, 0x45, 0x5C, 0x4F, 0x4B, 0x03, 0x02, 0x00};
	struct wbxml_reader reader;

	wbxml_reader_init(&reader, NULL);
	wbxml_reader_feed(&reader, document, sizeof(document));
	assert_event(&reader, WBXML_START, WBXML_AIRSYNC_SYNC, 1, NULL);
	wbxml_reader_skip(&reader, false);
	CU_ASSERT_EQUAL(wbxml_reader_next(&reader), WBXML_ERROR);
	CU_ASSERT_EQUAL(reader.fault, WBXML_FAULT_TEXT);
	CU_ASSERT_EQUAL(wbxml_reader_offset(&reader), 9);
}

static void test_a_text_in_pieces_ends_with_a_last_one(void)
{
	static const uint8_t first[] = {HEADER, 0x45, 0x03, 'a', 0xC3},
			     second[] = {0xA4, 0x00, 0x01};
	struct wbxml_reader reader;

	wbxml_reader_init(&reader, NULL);
	wbxml_reader_feed(&reader, first, sizeof(first));
	CU_ASSERT_EQUAL(wbxml_reader_next(&reader), WBXML_START);
	CU_ASSERT_EQUAL(wbxml_reader_next(&reader), WBXML_TEXT);
	CU_ASSERT(span_equal(reader.text, span_of_string("a\xC3")));
	CU_ASSERT_FALSE(reader.is_last);
	CU_ASSERT_EQUAL(wbxml_reader_next(&reader), WBXML_MORE);
	wbxml_reader_feed(&reader, second, sizeof(second));
	CU_ASSERT_EQUAL(wbxml_reader_next(&reader), WBXML_TEXT);
	CU_ASSERT(span_equal(reader.text, span_of_string("\xA4")));
	CU_ASSERT_TRUE(reader.is_last);
	CU_ASSERT_EQUAL(wbxml_reader_next(&reader), WBXML_END);
	CU_ASSERT_EQUAL(wbxml_reader_finish(&reader), 0);
}

static void test_a_fault_stays_with_the_offset_of_the_wrong_byte(void)
{
	static const uint8_t document[] = {HEADER, 0x45, 0x7F, 0x01};
	struct wbxml_reader reader;

	wbxml_reader_init(&reader, NULL);
	wbxml_reader_feed(&reader, document, sizeof(document));
	CU_ASSERT_EQUAL(wbxml_reader_next(&reader), WBXML_START);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(wbxml_reader_next(&reader), WBXML_ERROR);
		CU_ASSERT_EQUAL(reader.fault, WBXML_FAULT_TAG);
		CU_ASSERT_EQUAL(wbxml_reader_offset(&reader), 5);
		wbxml_reader_feed(&reader, document, sizeof(document));
	}
	CU_ASSERT_EQUAL(wbxml_reader_finish(&reader), -1);
	CU_ASSERT_EQUAL(reader.fault, WBXML_FAULT_TAG);
}

/* XML 1.0, production 2. */
static bool code_is_good(uint32_t code)
{
	if (code < 0x20)
		return code == '\t' || code == '\n' || code == '\r';
	return (code < 0xD800 || code > 0xDFFF) && code != 0xFFFE && code != 0xFFFF &&
	       code <= 0x10FFFF;
}

static size_t code_write(uint32_t code, uint8_t *out)
{
	if (code < 0x80) {
		out[0] = (uint8_t)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (uint8_t)(0xC0 | code >> 6);
		out[1] = (uint8_t)(0x80 | (code & 0x3F));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (uint8_t)(0xE0 | code >> 12);
		out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
		out[2] = (uint8_t)(0x80 | (code & 0x3F));
		return 3;
	}
	out[0] = (uint8_t)(0xF0 | code >> 18);
	out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3F));
	out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
	out[3] = (uint8_t)(0x80 | (code & 0x3F));
	return 4;
}

static void test_every_code_point_is_judged_right(void)
{
	uint8_t document[32] = {HEADER, 0x45, 0x03, 'p', 'l', 'a', 'i', 'n'};
	size_t wrong = 0, len;

	for (uint32_t code = 1; code < 0x1FFFFF; code++) {
		len = 11 + code_write(code, document + 11);
		document[len++] = 0x00;
		document[len++] = 0x01;
		wrong += (fault_of(document, len, NULL, NULL) == WBXML_FAULT_NONE) !=
			 code_is_good(code);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

/* Of all sequences of three bytes, as many are accepted as there are good code points: overlong forms
 * and surrogates are not among them. */
static void test_every_three_bytes_are_judged_right(void)
{
	uint8_t document[] = {HEADER, 0x45, 0x03, 0, 0, 0, 0x00, 0x01};
	size_t good = 0, expected = 0;

	for (uint32_t bytes = 0xE08080; bytes <= 0xEFFFFF; bytes++) {
		document[6] = (uint8_t)(bytes >> 16);
		document[7] = (uint8_t)(bytes >> 8);
		document[8] = (uint8_t)bytes;
		if (document[7] < 0x80 || document[8] < 0x80)
			continue;
		good += fault_of(document, sizeof(document), NULL, NULL) == WBXML_FAULT_NONE;
	}
	for (uint32_t code = 0x800; code < 0x10000; code++)
		expected += code_is_good(code);
	CU_ASSERT_EQUAL(good, expected);
}

/* Long texts are looked at in blocks: whatever the place in one, and wherever the text begins. */
static void test_a_wrong_byte_is_found_at_every_place_of_a_long_text(void)
{
	static const uint8_t head[] = {HEADER, 0x45, 0x03};
	enum { TEXT_LEN = 180 };
	uint8_t document[sizeof(head) + TEXT_LEN + 2];
	uint64_t offset;

	for (size_t place = 0; place < TEXT_LEN; place++) {
		memcpy(document, head, sizeof(head));
		memset(document + sizeof(head), 'a', TEXT_LEN);
		document[sizeof(head) + TEXT_LEN] = 0x00;
		document[sizeof(head) + TEXT_LEN + 1] = 0x01;
		CU_ASSERT_EQUAL(fault_of(document, sizeof(document), NULL, NULL), WBXML_FAULT_NONE);
		document[sizeof(head) + place] = place % 2 == 0 ? 0x1F : 0x80;
		CU_ASSERT_EQUAL(
			fault_of(document, sizeof(document), NULL, &offset), WBXML_FAULT_TEXT);
		CU_ASSERT_EQUAL(offset, sizeof(head) + place);
		document[sizeof(head) + place] = 0x7F;
		CU_ASSERT_EQUAL(fault_of(document, sizeof(document), NULL, NULL), WBXML_FAULT_NONE);
	}
}

static void test_lengths_of_opaque_data_are_read_to_32_bits(void)
{
	static const uint8_t max[] = {HEADER, 0x45, 0xC3, 0x8F, 0xFF, 0xFF, 0xFF, 0x7F};
	static const uint8_t over[] = {HEADER, 0x45, 0xC3, 0x90, 0x80, 0x80, 0x80, 0x00};
	static const uint8_t long_form[] = {HEADER, 0x45, 0xC3, 0x81, 0x80, 0x80, 0x80, 0x80, 0x00};
	static const uint8_t padded[] = {HEADER, 0x45, 0xC3, 0x80, 0x00, 0x01};
	uint64_t offset;

	CU_ASSERT_EQUAL(fault_of(max, sizeof(max), NULL, NULL), WBXML_FAULT_TRUNCATED);
	CU_ASSERT_EQUAL(fault_of(over, sizeof(over), NULL, &offset), WBXML_FAULT_OPAQUE);
	CU_ASSERT_EQUAL(offset, 10);
	CU_ASSERT_EQUAL(fault_of(long_form, sizeof(long_form), NULL, &offset), WBXML_FAULT_OPAQUE);
	CU_ASSERT_EQUAL(offset, 10);
	CU_ASSERT_EQUAL(fault_of(padded, sizeof(padded), NULL, &offset), WBXML_FAULT_OPAQUE);
	CU_ASSERT_EQUAL(offset, 6);
}

static void test_the_limit_of_opaque_data_is_the_last_that_passes(void)
{
	static const uint8_t document[] = {HEADER, 0x45, 0xC3, 0x03, 'a', 'b', 'c', 0x01};

	CU_ASSERT_EQUAL(
		fault_of(document, sizeof(document), &(struct wbxml_limits){.opaque = 3}, NULL),
		WBXML_FAULT_NONE);
	CU_ASSERT_EQUAL(
		fault_of(document, sizeof(document), &(struct wbxml_limits){.opaque = 2}, NULL),
		WBXML_FAULT_OPAQUE);
}

/* levels open elements, the innermost of them empty, all ended. */
static size_t nest(uint8_t *document, size_t levels)
{
	size_t len = 4;

	memcpy(document, (const uint8_t[]){HEADER}, 4);
	memset(document + len, 0x45, levels - 1);
	len += levels - 1;
	document[len++] = 0x05;
	memset(document + len, 0x01, levels - 1);
	return len + levels - 1;
}

static void test_the_limit_of_depth_is_the_last_that_passes(void)
{
	static const uint32_t limits[][2] = {{1, 1}, {5, 5}, {0, WBXML_DEPTH_DEFAULT},
		{WBXML_DEPTH_MAX, WBXML_DEPTH_MAX}, {1000, WBXML_DEPTH_MAX}};
	uint8_t document[256];

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct wbxml_limits limit = {.depth = limits[i][0]};
		size_t len = nest(document, limits[i][1]);

		CU_ASSERT_EQUAL(fault_of(document, len, &limit, NULL), WBXML_FAULT_NONE);
		len = nest(document, limits[i][1] + 1);
		CU_ASSERT_EQUAL(fault_of(document, len, &limit, NULL), WBXML_FAULT_DEPTH);
	}
}

static size_t repeat(uint8_t *document, const char *what, size_t what_len, size_t times)
{
	size_t len = 5;

	memcpy(document, (const uint8_t[]){HEADER, 0x45}, 5);
	for (size_t i = 0; i < times; i++, len += what_len)
		memcpy(document + len, what, what_len);
	document[len++] = 0x01;
	return len;
}

static void test_limits_of_elements_and_strings_are_the_last_that_pass(void)
{
	const struct wbxml_limits limits = {.elements = 10};
	uint8_t document[256];

	CU_ASSERT_EQUAL(fault_of(document, repeat(document, "\x0B", 1, 9), &limits, NULL),
		WBXML_FAULT_NONE);
	CU_ASSERT_EQUAL(fault_of(document, repeat(document, "\x0B", 1, 10), &limits, NULL),
		WBXML_FAULT_ELEMENTS);
	CU_ASSERT_EQUAL(fault_of(document, repeat(document, "\x03\x00", 2, 40), &limits, NULL),
		WBXML_FAULT_NONE);
	CU_ASSERT_EQUAL(fault_of(document, repeat(document, "\x03\x00", 2, 41), &limits, NULL),
		WBXML_FAULT_ELEMENTS);
	CU_ASSERT_EQUAL(fault_of(document, repeat(document, "\xC3\x00", 2, 40), &limits, NULL),
		WBXML_FAULT_NONE);
	CU_ASSERT_EQUAL(fault_of(document, repeat(document, "\xC3\x00", 2, 41), &limits, NULL),
		WBXML_FAULT_ELEMENTS);
}

static void test_eight_page_switches_in_a_row_are_the_most(void)
{
	uint8_t document[64];
	size_t len;

	for (size_t switches = 7; switches <= 9; switches++) {
		len = repeat(document, "\x00\x00", 2, switches) - 1;
		document[len++] = 0x0B;
		document[len++] = 0x01;
		CU_ASSERT_EQUAL(fault_of(document, len, NULL, NULL),
			switches <= 8 ? WBXML_FAULT_NONE : WBXML_FAULT_ELEMENTS);
	}
}

/* The sample depth-100000, made here because of its size. */
static void test_100000_levels_are_refused_at_the_33rd(void)
{
	static uint8_t document[200004];
	uint64_t offset;

	nest(document, 100000);
	CU_ASSERT_EQUAL(fault_of(document, sizeof(document), NULL, &offset), WBXML_FAULT_DEPTH);
	CU_ASSERT_EQUAL(offset, 4 + 32);
}

static void test_every_token_byte_in_content_is_judged_right(void)
{
	for (unsigned int byte = 0; byte < 256; byte++) {
		uint8_t document[] = {HEADER, 0x45, (uint8_t)byte, 0x00, 0x00, 0x00};
		enum wbxml_fault fault = fault_of(document, 6, NULL, NULL), expected;

		if (byte <= 0x01 || byte == 0x03 || byte == 0xC3)
			expected = byte == 0x01 ? WBXML_FAULT_NONE : WBXML_FAULT_TRUNCATED;
		else if ((byte & 0x3F) < 5)
			expected = WBXML_FAULT_TOKEN;
		else if (byte >= 0x80)
			expected = WBXML_FAULT_ATTRIBUTES;
		else
			expected = wbxml_tag_find(0, byte & 0x3F) != NULL ? WBXML_FAULT_TRUNCATED
									  : WBXML_FAULT_TAG;
		CU_ASSERT_EQUAL(fault, expected);
	}
}

static void test_every_fault_has_a_text_of_its_own(void)
{
	for (int i = 0; i <= WBXML_FAULT_ELEMENTS; i++) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(wbxml_fault_text((enum wbxml_fault)i));
		for (int j = 0; j < i; j++)
			CU_ASSERT_STRING_NOT_EQUAL(wbxml_fault_text((enum wbxml_fault)i),
				wbxml_fault_text((enum wbxml_fault)j));
	}
}

static const struct check checks[] = {
	{"the reader is small", test_the_reader_is_small},
	{"events come in document order with tag and depth",
		test_events_come_in_document_order_with_tag_and_depth},
	{"what is skipped is not handed out", test_what_is_skipped_is_not_handed_out},
	{"what is skipped is checked", test_what_is_skipped_is_checked},
	{"a text in pieces ends with a last one", test_a_text_in_pieces_ends_with_a_last_one},
	{"a fault stays with the offset of the wrong byte",
		test_a_fault_stays_with_the_offset_of_the_wrong_byte},
	{"every code point is judged right", test_every_code_point_is_judged_right},
	{"every three bytes are judged right", test_every_three_bytes_are_judged_right},
	{"a wrong byte is found at every place of a long text",
		test_a_wrong_byte_is_found_at_every_place_of_a_long_text},
	{"lengths of opaque data are read to 32 bits",
		test_lengths_of_opaque_data_are_read_to_32_bits},
	{"the limit of opaque data is the last that passes",
		test_the_limit_of_opaque_data_is_the_last_that_passes},
	{"the limit of depth is the last that passes",
		test_the_limit_of_depth_is_the_last_that_passes},
	{"limits of elements and strings are the last that pass",
		test_limits_of_elements_and_strings_are_the_last_that_pass},
	{"eight page switches in a row are the most",
		test_eight_page_switches_in_a_row_are_the_most},
	{"100,000 levels are refused at the 33rd", test_100000_levels_are_refused_at_the_33rd},
	{"every token byte in content is judged right",
		test_every_token_byte_in_content_is_judged_right},
	{"every fault has a text of its own", test_every_fault_has_a_text_of_its_own},
};

int main(void)
{
	return check_run("wbxml/reader", checks, sizeof(checks) / sizeof(checks[0]));
}
