/* Every sample through the reader: the good are accepted, the bad refused for the right reason, and
 * the way a document is cut into pieces makes no difference. */
#include "tests/unit/check.h"
#include "tests/unit/wbxml_samples.h"

/* Small enough that the floods among the samples are over them. */
static const struct wbxml_limits limits = {.depth = 32, .elements = 10000, .opaque = 1 << 20};

static const struct {
	const char *name;
	enum wbxml_fault fault;
} malformed[] = {
#include "tests/unit/wbxml_malformed.inc"
};

static uint32_t random_state;

static size_t cut_one(void)
{
	return 1;
}

static size_t cut_random(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state >> 28; /* 0 to 15; an empty piece is a piece too */
}

static void assert_cuts_make_no_difference(struct span document, const char *name)
{
	struct wbxml_buffer whole = {.limit = 1 << 24}, other = {.limit = 1 << 24};

	events_read(&whole, document, &limits, NULL);
	for (int round = 0; round < 4; round++) {
		other.len = 0;
		random_state = (uint32_t)round;
		events_read(&other, document, &limits, round == 0 ? cut_one : cut_random);
		if (whole.len != other.len || memcmp(whole.data, other.data, whole.len) != 0) {
			printf("\n%s: other events when cut, round %d\n", name, round);
			CU_FAIL("the cuts made a difference");
		}
	}
	wbxml_buffer_free(&whole);
	wbxml_buffer_free(&other);
}

static void check_good(const char *name)
{
	struct wbxml_buffer document = sample_read("good", name, ".wbxml");
	struct wbxml_buffer events = {.limit = 1 << 24};
	enum wbxml_fault fault;

	fault = events_read(&events, span_of(document.data, document.len), &limits, NULL);
	if (fault != WBXML_FAULT_NONE)
		printf("\n%s: %s\n", name, wbxml_fault_text(fault));
	CU_ASSERT_EQUAL(fault, WBXML_FAULT_NONE);
	assert_cuts_make_no_difference(span_of(document.data, document.len), name);
	wbxml_buffer_free(&events);
	wbxml_buffer_free(&document);
}

static void test_good_samples_are_accepted_however_they_are_cut(void)
{
	CU_ASSERT_EQUAL(sample_each("good", check_good), 167);
}

static int malformed_find(const char *name)
{
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		if (strcmp(malformed[i].name, name) == 0)
			return (int)i;
	return -1;
}

static void check_malformed(const char *name)
{
	struct wbxml_buffer document = sample_read("malformed", name, ".wbxml");
	struct wbxml_buffer events = {.limit = 1 << 24};
	int row = malformed_find(name);
	enum wbxml_fault fault;

	fault = events_read(&events, span_of(document.data, document.len), &limits, NULL);
	CU_ASSERT_FATAL(row >= 0);
	if (fault != malformed[row].fault)
		printf("\n%s: %s, not: %s\n", name, wbxml_fault_text(fault),
			wbxml_fault_text(malformed[row].fault));
	CU_ASSERT_EQUAL(fault, malformed[row].fault);
	assert_cuts_make_no_difference(span_of(document.data, document.len), name);
	wbxml_buffer_free(&events);
	wbxml_buffer_free(&document);
}

static void test_malformed_samples_are_refused_for_the_right_reason_however_they_are_cut(void)
{
	CU_ASSERT_EQUAL(sample_each("malformed", check_malformed),
		sizeof(malformed) / sizeof(malformed[0]));
}

/* Whatever is cut off a good document, it is truncated, and nothing else is wrong with it. */
static void check_prefixes(const char *name)
{
	struct wbxml_buffer document = sample_read("good", name, ".wbxml");
	size_t step = document.len > 4096 ? 97 : 1;
	struct wbxml_reader reader;

	for (size_t len = 0; len < document.len; len += step) {
		wbxml_reader_init(&reader, NULL);
		wbxml_reader_feed(&reader, document.data, len);
		while (wbxml_reader_next(&reader) > WBXML_MORE)
			CU_ASSERT_FALSE(wbxml_reader_is_done(&reader));
		CU_ASSERT_EQUAL(reader.fault, WBXML_FAULT_NONE);
		CU_ASSERT_EQUAL(wbxml_reader_offset(&reader), len);
		CU_ASSERT_EQUAL(wbxml_reader_finish(&reader), -1);
		CU_ASSERT_EQUAL(reader.fault, WBXML_FAULT_TRUNCATED);
	}
	wbxml_buffer_free(&document);
}

static void test_every_prefix_of_a_good_sample_is_truncated(void)
{
	CU_ASSERT_EQUAL(sample_each("good", check_prefixes), 167);
}

static const struct check checks[] = {
	{"good samples are accepted however they are cut",
		test_good_samples_are_accepted_however_they_are_cut},
	{"malformed samples are refused for the right reason however they are cut",
		test_malformed_samples_are_refused_for_the_right_reason_however_they_are_cut},
	{"every prefix of a good sample is truncated",
		test_every_prefix_of_a_good_sample_is_truncated},
};

int main(void)
{
	return check_run("wbxml/samples", checks, sizeof(checks) / sizeof(checks[0]));
}
