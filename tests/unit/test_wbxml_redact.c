/* What is masked, and that nothing of it is left. */
#include "tests/unit/check.h"
#include "tests/unit/wbxml_samples.h"
#include "wbxml/redact.h"
#include "wbxml/writer.h"
#include "wbxml/xml.h"

enum { ALL = WBXML_REDACT_SECRETS | WBXML_REDACT_CONTENT };

static struct wbxml_buffer shown(struct span document, unsigned int redact, bool is_faulty)
{
	const struct wbxml_xml_options options = {
		.redact = redact, .shows_opaque_text = true, .shows_faulty = true};
	struct wbxml_buffer xml = {.limit = 1 << 20};
	struct error err = {""};

	CU_ASSERT_EQUAL(wbxml_to_xml(document, &options, &xml, &err), is_faulty ? -1 : 0);
	wbxml_buffer_append(&xml, "", 1);
	return xml;
}

static bool has(const struct wbxml_buffer *xml, const char *text)
{
	if (strstr((const char *)xml->data, text) != NULL)
		return true;
	return false;
}

static void assert_shows(const struct wbxml_buffer *xml, const char *text)
{
	if (!has(xml, text)) {
		printf("\nno %s in\n%s\n", text, (const char *)xml->data);
		CU_FAIL("not shown");
	}
}

/* A root with one element. */
static struct wbxml_buffer with(uint16_t root, uint16_t tag, const char *text)
{
	struct wbxml_buffer document = {.limit = 1 << 16};
	struct wbxml_writer writer;

	wbxml_write_header(&writer, &document);
	wbxml_write_start(&writer, root);
	wbxml_write_element(&writer, tag, text);
	wbxml_write_element(&writer, root, "afterwards");
	wbxml_write_end(&writer);
	return document;
}

static void assert_masked(uint16_t root, uint16_t tag, const char *text, const char *expected)
{
	struct wbxml_buffer document = with(root, tag, text);
	struct wbxml_buffer xml = shown(span_of(document.data, document.len), ALL, false);

	assert_shows(&xml, expected);
	assert_shows(&xml, "afterwards");
	CU_ASSERT(!has(&xml, "hunter2"));
	wbxml_buffer_free(&xml);
	wbxml_buffer_free(&document);
}

static void test_secrets_leave_nothing_but_their_place(void)
{
	assert_masked(WBXML_SETTINGS_SETTINGS, WBXML_SETTINGS_PASSWORD, "hunter2",
		"<Password xmlns:w=\"urn:easproxy:wbxml\" w:masked=\"secret\"></Password>");
	assert_masked(WBXML_SEARCH_SEARCH, WBXML_SEARCH_USERNAME, "hunter2", "masked=\"secret\"");
	assert_masked(WBXML_SEARCH_SEARCH, WBXML_SEARCH_PASSWORD, "hunter2", "masked=\"secret\"");
	assert_masked(WBXML_ITEMOPERATIONS_ITEMOPERATIONS, WBXML_ITEMOPERATIONS_USERNAME, "hunter2",
		"masked=\"secret\"");
	assert_masked(WBXML_ITEMOPERATIONS_ITEMOPERATIONS, WBXML_ITEMOPERATIONS_PASSWORD, "hunter2",
		"masked=\"secret\"");
}

static void test_of_an_imei_four_digits_are_shown(void)
{
	static const uint16_t root = WBXML_SETTINGS_SETTINGS, tag = WBXML_SETTINGS_IMEI;

	assert_masked(root, tag, "490154203237518",
		"secret\">\xE2\x80\xA6"
		"7518</IMEI>");
	assert_masked(root, tag, "4901542", "secret\"></IMEI>");
	assert_masked(root, tag,
		"hunter2\xC3\xA4"
		"1",
		"secret\">\xE2\x80\xA6"
		"2**1</IMEI>");
}

static void test_content_is_its_length(void)
{
	assert_masked(WBXML_AIRSYNC_SYNC, WBXML_AIRSYNCBASE_DATA, "hunter2",
		"w:masked=\"content\">[7 bytes]</Data>");
	assert_masked(WBXML_AIRSYNC_SYNC, WBXML_EMAIL_SUBJECT, "hunter2", "[7 bytes]");
	assert_masked(WBXML_AIRSYNC_SYNC, WBXML_CONTACTS_LASTNAME, "hunter2", "[7 bytes]");
	assert_masked(WBXML_SEARCH_SEARCH, WBXML_GAL_PHONE, "hunter2", "[7 bytes]");
}

static void test_where_there_is_nothing_nothing_is_masked(void)
{
	assert_masked(
		WBXML_AIRSYNC_SYNC, WBXML_CONTACTS_LASTNAME, "", "<LastName xmlns=\"Contacts\"/>");
}

static void test_what_is_not_asked_for_is_not_masked(void)
{
	CU_ASSERT_EQUAL(wbxml_mask_of(WBXML_SETTINGS_PASSWORD, 0), WBXML_MASK_NONE);
	CU_ASSERT_EQUAL(
		wbxml_mask_of(WBXML_SETTINGS_PASSWORD, WBXML_REDACT_CONTENT), WBXML_MASK_NONE);
	CU_ASSERT_EQUAL(
		wbxml_mask_of(WBXML_AIRSYNCBASE_DATA, WBXML_REDACT_SECRETS), WBXML_MASK_NONE);
	CU_ASSERT_EQUAL(wbxml_mask_of(WBXML_AIRSYNC_SYNCKEY, ALL), WBXML_MASK_NONE);
}

static void test_what_nobody_knows_is_content(void)
{
	CU_ASSERT_EQUAL(wbxml_mask_of(0x003E, ALL), WBXML_MASK_CONTENT);
	CU_ASSERT_EQUAL(wbxml_mask_of(0x003E, WBXML_REDACT_SECRETS), WBXML_MASK_NONE);
}

/* The wire format knows no schema: elements, opaque data, several strings inside a password. */
static void test_everything_inside_a_secret_is_masked(void)
{
	struct wbxml_buffer document = {.limit = 4096}, xml;
	struct wbxml_writer writer;

	wbxml_write_header(&writer, &document);
	wbxml_write_start(&writer, WBXML_SETTINGS_SETTINGS);
	wbxml_write_start(&writer, WBXML_SETTINGS_PASSWORD);
	wbxml_write_text(&writer, span_of_string("hunter"));
	wbxml_write_element(&writer, WBXML_SETTINGS_MODEL, "hunter2");
	wbxml_write_start(&writer, WBXML_SETTINGS_PASSWORD);
	wbxml_write_opaque(&writer, span_of_string("hunter2"));
	wbxml_write_end(&writer);
	wbxml_write_text(&writer, span_of_string("hunter2"));
	wbxml_write_end(&writer);
	wbxml_write_element(&writer, WBXML_SETTINGS_OS, "afterwards");
	wbxml_write_end(&writer);
	for (size_t len = 4; len <= document.len; len++) {
		xml = shown(span_of(document.data, len), ALL, len < document.len);
		CU_ASSERT(!has(&xml, "hunter"));
		if (len == document.len)
			assert_shows(&xml, "masked=\"secret\"></Password><OS>afterwards</OS>");
		wbxml_buffer_free(&xml);
	}
	wbxml_buffer_free(&document);
}

static const char mail[] = "From: a@contoso.test\r\n"
			   "SUBJECT: hunter2 and\r\n"
			   "\thunter3\r\n"
			   "To: b@contoso.test,\r\n"
			   " \xC3\xA4@contoso.test\r\n"
			   "thread-topic: hunter2\r\n"
			   "\r\n"
			   "hunter2\r\n";

static void test_of_a_message_the_header_is_shown_without_its_subject(void)
{
	struct wbxml_buffer head = {.limit = 4096};

	wbxml_mime_head(span_of_string(mail), &head);
	CU_ASSERT(span_equal(span_of(head.data, head.len),
		span_of_string("From: a@contoso.test\nSUBJECT:\nTo: b@contoso.test,\n"
			       " ??@contoso.test\nthread-topic:\n")));
	wbxml_buffer_free(&head);
	assert_masked(WBXML_COMPOSEMAIL_SENDMAIL, WBXML_COMPOSEMAIL_MIME, mail,
		"thread-topic:\n\n[127 bytes]</Mime>");
}

static void test_what_has_no_whole_header_shows_none(void)
{
	static const char *const messages[] = {"", "\r\n", "hunter2", "hunter2\r\n\r\n",
		" a: b\r\n\r\n", "To: hunter2\r\n", "To: hunter2\r\nhunter2\r\n\r\n",
		"To : hunter2\r\n\r\n"};

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		struct wbxml_buffer head = {.limit = 4096};

		wbxml_mime_head(span_of_string(messages[i]), &head);
		CU_ASSERT_EQUAL(head.len, 0);
		wbxml_buffer_free(&head);
	}
}

/* The credentials of the samples, wherever the document ends. */
static void check_sample(const char *name)
{
	struct wbxml_buffer document = sample_read("good", name, ".wbxml");

	for (size_t len = 4; len <= document.len; len += len < 512 ? 1 : 509) {
		struct wbxml_buffer xml = {.limit = 1 << 24};
		const struct wbxml_xml_options options = {.redact = ALL, .shows_faulty = true};
		struct error err;

		(void)wbxml_to_xml(span_of(document.data, len), &options, &xml, &err);
		wbxml_buffer_append(&xml, "", 1);
		CU_ASSERT(!has(&xml, "geheim") && !has(&xml, "EXAMPLE\\anna") &&
			  !has(&xml, "1234-5678") && !has(&xml, "35175605"));
		wbxml_buffer_free(&xml);
	}
	wbxml_buffer_free(&document);
}

static void test_samples_cut_anywhere_show_no_secret(void)
{
	CU_ASSERT_EQUAL(sample_each("good", check_sample), 167);
}

static const struct check checks[] = {
	{"secrets leave nothing but their place", test_secrets_leave_nothing_but_their_place},
	{"of an IMEI four digits are shown", test_of_an_imei_four_digits_are_shown},
	{"content is its length", test_content_is_its_length},
	{"where there is nothing nothing is masked", test_where_there_is_nothing_nothing_is_masked},
	{"what is not asked for is not masked", test_what_is_not_asked_for_is_not_masked},
	{"what nobody knows is content", test_what_nobody_knows_is_content},
	{"everything inside a secret is masked", test_everything_inside_a_secret_is_masked},
	{"of a message the header is shown without its subject",
		test_of_a_message_the_header_is_shown_without_its_subject},
	{"what has no whole header shows none", test_what_has_no_whole_header_shows_none},
	{"samples cut anywhere show no secret", test_samples_cut_anywhere_show_no_secret},
};

int main(void)
{
	return check_run("wbxml/redact", checks, sizeof(checks) / sizeof(checks[0]));
}
