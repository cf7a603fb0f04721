/* The writer, and the table of codes behind it. */
#include "tests/unit/check.h"
#include "tests/unit/wbxml_samples.h"
#include "wbxml/writer.h"

static void assert_bytes(struct wbxml_buffer *out, const uint8_t *expected, size_t len)
{
	CU_ASSERT_FALSE(out->has_failed);
	CU_ASSERT(span_equal(span_of(out->data, out->len), span_of(expected, len)));
	wbxml_buffer_free(out);
}

static void test_an_answer_is_written_as_the_sample(void)
{
	struct wbxml_buffer sample = sample_read("good", "foldersync-initial-request", ".wbxml");
	struct wbxml_buffer out = {.limit = 4096};
	struct wbxml_writer writer;

	wbxml_write_header(&writer, &out);
	wbxml_write_start(&writer, WBXML_FOLDERHIERARCHY_FOLDERSYNC);
	wbxml_write_element(&writer, WBXML_FOLDERHIERARCHY_SYNCKEY, "0");
	wbxml_write_end(&writer);
	assert_bytes(&out, sample.data, sample.len);
	wbxml_buffer_free(&sample);
}

static void test_pages_are_switched_when_they_change(void)
{
	static const uint8_t expected[] = {
		0x03, 0x01, 0x6A, 0x00, 0x45, 0x00, 0x11, 0x4A, 0x05, 0x00, 0x00, 0x0B, 0x01, 0x01};
	struct wbxml_buffer out = {.limit = 4096};
	struct wbxml_writer writer;

	wbxml_write_header(&writer, &out);
	wbxml_write_start(&writer, WBXML_AIRSYNC_SYNC);
	wbxml_write_start(&writer, WBXML_AIRSYNCBASE_BODY);
	wbxml_write_element(&writer, WBXML_AIRSYNCBASE_BODYPREFERENCE, "");
	wbxml_write_element(&writer, WBXML_AIRSYNC_SYNCKEY, NULL);
	wbxml_write_end(&writer);
	wbxml_write_end(&writer);
	assert_bytes(&out, expected, sizeof(expected));
}

static void test_lengths_are_written_in_their_shortest_form(void)
{
	static const struct {
		size_t len;
		const char *bytes;
		size_t count;
	} cases[] = {{0, "\x00", 1}, {1, "\x01", 1}, {127, "\x7F", 1}, {128, "\x81\x00", 2},
		{16383, "\xFF\x7F", 2}, {16384, "\x81\x80\x00", 3}, {65536, "\x84\x80\x00", 3},
		{2097152, "\x81\x80\x80\x00", 4}};
	static uint8_t zeros[2097152];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wbxml_buffer out = {.limit = 1 << 22};
		struct wbxml_writer writer;

		wbxml_write_header(&writer, &out);
		wbxml_write_start(&writer, WBXML_COMPOSEMAIL_MIME);
		wbxml_write_opaque(&writer, span_of(zeros, cases[i].len));
		wbxml_write_end(&writer);
		CU_ASSERT_EQUAL(out.len, 4 + 3 + 1 + cases[i].count + cases[i].len + 1);
		CU_ASSERT_EQUAL(memcmp(out.data + 8, cases[i].bytes, cases[i].count), 0);
		wbxml_buffer_free(&out);
	}
}

static void test_a_nul_in_a_text_fails_the_document(void)
{
	struct wbxml_buffer out = {.limit = 4096};
	struct wbxml_writer writer;

	wbxml_write_header(&writer, &out);
	wbxml_write_start(&writer, WBXML_AIRSYNC_SYNC);
	wbxml_write_text(&writer, span_of("a\0b", 3));
	CU_ASSERT_TRUE(out.has_failed);
	wbxml_buffer_free(&out);
}

static void test_a_full_buffer_fails_the_document(void)
{
	struct wbxml_buffer out = {.limit = 4};
	struct wbxml_writer writer;

	wbxml_write_header(&writer, &out);
	CU_ASSERT_FALSE(out.has_failed);
	wbxml_write_start(&writer, WBXML_AIRSYNC_SYNC);
	CU_ASSERT_TRUE(out.has_failed);
	wbxml_write_text(&writer, span_of_string("a"));
	wbxml_write_end(&writer);
	CU_ASSERT_EQUAL(out.len, 4);
	CU_ASSERT_EQUAL(out.data[3], 0x00);
	wbxml_buffer_free(&out);
}

static void test_what_is_read_can_be_written_again(void)
{
	struct wbxml_buffer sample = sample_read("good", "sync-add-email-response", ".wbxml");
	struct wbxml_buffer out = {.limit = 4096};
	struct wbxml_reader reader;
	struct wbxml_writer writer;
	enum wbxml_event event;

	wbxml_write_header(&writer, &out);
	wbxml_reader_init(&reader, NULL);
	wbxml_reader_feed(&reader, sample.data, sample.len);
	while ((event = wbxml_reader_next(&reader)) > WBXML_MORE) {
		if (event == WBXML_START)
			wbxml_write_start(&writer, reader.tag->id);
		else if (event == WBXML_END)
			wbxml_write_end(&writer);
		else if (event == WBXML_TEXT)
			wbxml_write_text(&writer, reader.text);
		else
			wbxml_write_opaque(&writer, reader.text);
	}
	assert_bytes(&out, sample.data, sample.len);
	wbxml_buffer_free(&sample);
}

static void test_every_row_of_the_table_is_found_by_code_and_by_name(void)
{
	FILE *file = fopen(TEST_DATA_DIR "/../../wbxml/codepages.tsv", "r");
	char line[512], space[64], name[64], content[64];
	unsigned int page, token, major, minor, rows = 0;
	const struct wbxml_tag *tag;

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "%u\t%63s\t%*s\t%x\t%63s\t%u.%u\t%63s", &page, space, &token, name,
			    &major, &minor, content) != 7)
			continue;
		rows++;
		tag = wbxml_tag_find(page, token);
		CU_ASSERT_PTR_NOT_NULL_FATAL(tag);
		CU_ASSERT_EQUAL(tag->id, page << 8 | token);
		CU_ASSERT_EQUAL(tag->version, major * 10 + minor);
		CU_ASSERT_EQUAL(tag->is_opaque, strcmp(content, "opaque") == 0);
		CU_ASSERT_STRING_EQUAL(tag->name, name);
		CU_ASSERT_STRING_EQUAL(wbxml_page_name(page), space);
		CU_ASSERT_PTR_EQUAL(wbxml_tag_find_name(page, name, strlen(name)), tag);
		CU_ASSERT_EQUAL(wbxml_page_find(space, strlen(space)), (int)page);
		strcat(space, ":");
		CU_ASSERT_EQUAL(wbxml_page_find(space, strlen(space)), (int)page);
	}
	fclose(file);
	CU_ASSERT_EQUAL(rows, 654);
}

static void test_what_is_not_in_the_table_is_not_found(void)
{
	CU_ASSERT_PTR_NULL(wbxml_tag_find(0, 0x04));
	CU_ASSERT_PTR_NULL(wbxml_tag_find(0, 0x3F));
	CU_ASSERT_PTR_NULL(wbxml_tag_find(0, 0x45));
	CU_ASSERT_PTR_NULL(wbxml_tag_find(26, 0x05));
	CU_ASSERT_PTR_NULL(wbxml_tag_find(0, 1000));
	CU_ASSERT_PTR_NULL(wbxml_page_name(26));
	CU_ASSERT_EQUAL(wbxml_page_find("airsync", 7), -1);
	CU_ASSERT_EQUAL(wbxml_page_find("AirSync::", 9), -1);
	CU_ASSERT_EQUAL(wbxml_page_find("", 0), -1);
	CU_ASSERT_PTR_NULL(wbxml_tag_find_name(0, "sync", 4));
	CU_ASSERT_PTR_NULL(wbxml_tag_find_name(0, "Syn", 3));
	CU_ASSERT_PTR_NULL(wbxml_tag_find_name(99, "Sync", 4));
}

static const struct check checks[] = {
	{"an answer is written as the sample", test_an_answer_is_written_as_the_sample},
	{"pages are switched when they change", test_pages_are_switched_when_they_change},
	{"lengths are written in their shortest form",
		test_lengths_are_written_in_their_shortest_form},
	{"a NUL in a text fails the document", test_a_nul_in_a_text_fails_the_document},
	{"a full buffer fails the document", test_a_full_buffer_fails_the_document},
	{"what is read can be written again", test_what_is_read_can_be_written_again},
	{"every row of the table is found by code and by name",
		test_every_row_of_the_table_is_found_by_code_and_by_name},
	{"what is not in the table is not found", test_what_is_not_in_the_table_is_not_found},
};

int main(void)
{
	return check_run("wbxml/writer", checks, sizeof(checks) / sizeof(checks[0]));
}
