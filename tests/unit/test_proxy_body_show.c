/* Bodies as text: what they are found to be, and what of them is masked. */
#include "proxy/body_show.h"

#include <stdlib.h>

#include "tests/unit/check.h"
#include "wbxml/codepages.h"
#include "wbxml/redact.h"
#include "wbxml/writer.h"

static const struct body_show_options plain = {.output_max = 1 << 16};
static const struct body_show_options masked = {
	.redact = WBXML_REDACT_SECRETS | WBXML_REDACT_CONTENT, .output_max = 1 << 16};
static const struct body_show_options masked_and_cut = {
	.redact = WBXML_REDACT_SECRETS | WBXML_REDACT_CONTENT,
	.is_cut = true,
	.output_max = 1 << 16};

static void assert_shown(const void *body, size_t len, const struct body_show_options *options,
	enum body_form form, const char *text)
{
	struct body_shown shown;

	CU_ASSERT_EQUAL(body_show(span_of(body, len), options, &shown), 0);
	CU_ASSERT_EQUAL(shown.form, form);
	if (!span_equal(span_of(shown.text.data, shown.text.len), span_of_string(text))) {
		printf("\n%.*s\n", (int)shown.text.len, (const char *)shown.text.data);
		CU_FAIL("shown otherwise");
	}
	body_shown_free(&shown);
}

static void test_bodies_are_known_by_their_beginning(void)
{
	static const char mail[] = "From: a\r\nSubject: b\r\n\r\nc\x07\r\n";
	static const char discover[] = "<Autodiscover>\r\n</Autodiscover>";
	static const char page[] = "<html>\x1b</html>";

	assert_shown("", 0, &plain, BODY_EMPTY, "");
	assert_shown(mail, sizeof(mail) - 1, &plain, BODY_MIME, "From: a\nSubject: b\n\nc?\n");
	assert_shown(
		mail, sizeof(mail) - 1, &masked, BODY_MIME, "From: a\nSubject:\n\n[27 bytes]\n");
	assert_shown(mail, sizeof(mail) - 1, &masked_and_cut, BODY_MIME,
		"From: a\nSubject:\n\n[27 bytes and more]\n");
	assert_shown(discover, sizeof(discover) - 1, &masked, BODY_XML,
		"<Autodiscover>\n</Autodiscover>\n");
	assert_shown(page, sizeof(page) - 1, &plain, BODY_XML, "<html>?</html>\n");
	assert_shown(page, sizeof(page) - 1, &masked, BODY_XML, "[14 bytes]\n");
}

static void test_a_file_is_its_length_whatever_it_begins_with(void)
{
	struct body_show_options options = masked;

	options.may_be_anything = true;
	assert_shown("<Autodiscover>", 14, &options, BODY_BYTES, "[14 bytes]\n");
	assert_shown("\x1f\x8b\x08 file", 8, &options, BODY_BYTES, "[8 bytes]\n");
}

static void test_text_and_bytes_are_told_apart_where_they_may_come(void)
{
	struct body_show_options options = plain;

	options.may_be_text = true;
	assert_shown("user-mismatch: no\n", 18, &options, BODY_TEXT, "user-mismatch: no\n");
	assert_shown("\x02 file", 6, &options, BODY_BYTES, "[6 bytes]\n");
	options.redact = WBXML_REDACT_CONTENT;
	assert_shown("user-mismatch: no\n", 18, &options, BODY_TEXT, "[18 bytes]\n");
}

static void test_a_multipart_body_must_have_its_parts_within_it(void)
{
	static const uint8_t good[] = {2, 0, 0, 0, 20, 0, 0, 0, 6, 0, 0, 0, 26, 0, 0, 0, 1, 0, 0, 0,
		0x03, 0x01, 0x6A, 0x00, 0x05, 0x00, 'x'};
	uint8_t body[sizeof(good)];
	struct span part;

	CU_ASSERT_EQUAL(body_part_count(span_of(good, sizeof(good)), false), 2);
	CU_ASSERT_EQUAL(body_part(span_of(good, sizeof(good)), 1, &part), 0);
	CU_ASSERT(span_equal(part, span_of_string("x")));
	CU_ASSERT_EQUAL(body_part(span_of(good, sizeof(good)), 2, &part), -1);
	CU_ASSERT_EQUAL(body_part_count(span_of(good, sizeof(good) - 1), false), 0);
	CU_ASSERT_EQUAL(body_part_count(span_of(good, sizeof(good) - 1), true), 2);
	CU_ASSERT_EQUAL(body_part_count(span_of(good, 19), true), 0);
	memcpy(body, good, sizeof(body));
	body[4] = 19; /* within the table */
	CU_ASSERT_EQUAL(body_part_count(span_of(body, sizeof(body)), false), 0);
	memcpy(body, good, sizeof(body));
	memset(body + 12, 0xFF, 8); /* an end past 2^32 */
	CU_ASSERT_EQUAL(body_part_count(span_of(body, sizeof(body)), false), 0);
	CU_ASSERT_EQUAL(body_part(span_of(body, sizeof(body)), 1, &part), 0);
	CU_ASSERT_EQUAL(part.len, 0);
	memset(body, 0, 4);
	CU_ASSERT_EQUAL(body_part_count(span_of(body, sizeof(body)), false), 0);
}

static void test_a_faulty_document_is_shown_as_far_as_it_goes(void)
{
	static const uint8_t cut[] = {0x03, 0x01, 0x6A, 0x00, 0x45, 0x4B, 0x03, '1'};
	struct body_shown shown;

	CU_ASSERT_EQUAL(body_show(span_of(cut, sizeof(cut)), &plain, &shown), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(shown.fault.text, "byte 8"));
	CU_ASSERT_EQUAL(shown.root, WBXML_AIRSYNC_SYNC);
	wbxml_buffer_append(&shown.text, "", 1);
	CU_ASSERT_PTR_NOT_NULL(
		strstr((const char *)shown.text.data, "<SyncKey>1</SyncKey>\n</Sync>"));
	body_shown_free(&shown);
}

static void test_what_would_be_too_long_ends_at_its_bound(void)
{
	struct body_show_options options = plain;
	struct wbxml_buffer document = {.limit = 1 << 16};
	struct wbxml_writer writer;
	struct body_shown shown;

	options.output_max = 100;
	wbxml_write_header(&writer, &document);
	wbxml_write_start(&writer, WBXML_AIRSYNC_SYNC);
	for (int i = 0; i < 100; i++)
		wbxml_write_element(&writer, WBXML_AIRSYNC_SYNCKEY, "1");
	wbxml_write_end(&writer);
	CU_ASSERT_EQUAL(body_show(span_of(document.data, document.len), &options, &shown), -1);
	CU_ASSERT(shown.text.len <= 100);
	body_shown_free(&shown);
	wbxml_buffer_free(&document);
}

static const struct check checks[] = {
	{"bodies are known by their beginning", test_bodies_are_known_by_their_beginning},
	{"a file is its length whatever it begins with",
		test_a_file_is_its_length_whatever_it_begins_with},
	{"text and bytes are told apart where they may come",
		test_text_and_bytes_are_told_apart_where_they_may_come},
	{"a multipart body must have its parts within it",
		test_a_multipart_body_must_have_its_parts_within_it},
	{"a faulty document is shown as far as it goes",
		test_a_faulty_document_is_shown_as_far_as_it_goes},
	{"what would be too long ends at its bound", test_what_would_be_too_long_ends_at_its_bound},
};

int main(void)
{
	return check_run("proxy/body_show", checks, sizeof(checks) / sizeof(checks[0]));
}
