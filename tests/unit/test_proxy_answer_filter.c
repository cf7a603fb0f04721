/* What is taken out of answers, as XML in and XML out; and that nothing else changes, in any sample and
 * however it is cut. */
#include <fcntl.h>
#include <fnmatch.h>
#include <unistd.h>

#include "proxy/answer_filter.h"
#include "proxy/eas_body.h"
#include "tests/unit/check.h"
#include "tests/unit/wbxml_samples.h"
#include "wbxml/xml.h"

enum { NOW = 1800000000 };

static const struct wbxml_xml_options exact = {.dialect = WBXML_DIALECT_EXACT};
static const struct folder_owner anna = {"anna@contoso.com", "PHONE1"};

struct rule {
	uint64_t larger_than; /* 0: no size decides */
	const char *name, *type;
};

static bool rule_strips(const void *context, struct span name, struct span type, uint64_t size)
{
	const struct rule *rule = context;
	char text[256];

	if (rule->larger_than > 0 && size > rule->larger_than)
		return true;
	snprintf(text, sizeof(text), "%.*s", SPAN_PRINT(name));
	if (rule->name != NULL && fnmatch(rule->name, text, 0) == 0)
		return true;
	snprintf(text, sizeof(text), "%.*s", SPAN_PRINT(type));
	return rule->type != NULL && text[0] != '\0' && fnmatch(rule->type, text, 0) == 0;
}

static const struct rule over_100kb = {.larger_than = 102400};
static const struct rule over_30b = {.larger_than = 30};
static const struct rule nothing = {.larger_than = UINT64_MAX};
static const struct rule everything = {.name = "*"};
static const struct rule no_pdf = {.name = "*.pdf"};
static const struct rule no_images = {.type = "image/*"};

static int out_append(void *context, struct span bytes)
{
	struct wbxml_buffer *out = context;

	wbxml_buffer_append(out, bytes.data, bytes.len);
	return out->has_failed ? -1 : 0;
}

static struct answer_filter_terms terms_of(const struct rule *rule, struct wbxml_buffer *out)
{
	return (struct answer_filter_terms){
		.changes = {.strips = rule != NULL ? rule_strips : NULL, .rule = rule},
		.owner = anna,
		.now_s = NOW,
		.memory_max = UINT64_C(1) << 20,
		.held_max = UINT64_C(1) << 20,
		.directory = -1,
		.out = out_append,
		.context = out};
}

static int filter_run(struct answer_filter *filter, struct span document, size_t cut)
{
	for (size_t at = 0; at < document.len; at += cut) {
		size_t len = cut < document.len - at ? cut : document.len - at;

		if (answer_filter_feed(filter, span_of(document.data + at, len)) != 0)
			return -1;
	}
	return answer_filter_finish(filter);
}

static struct wbxml_buffer from_xml(const char *xml)
{
	struct wbxml_buffer document = {.limit = 1 << 24};
	struct error err = {""};

	if (wbxml_from_xml(span_of_string(xml), &exact, &document, &err) != 0) {
		printf("\n%s\n", err.text);
		CU_FAIL_FATAL("the test's own XML");
	}
	return document;
}

/* NUL-terminated, without the XML declaration. */
static struct wbxml_buffer to_xml(const struct wbxml_buffer *document)
{
	struct wbxml_buffer xml = {.limit = 1 << 24};
	struct error err = {""};

	if (wbxml_to_xml(span_of(document->data, document->len), &exact, &xml, &err) != 0) {
		printf("\n%s\n", err.text);
		CU_FAIL("not a document any more");
	}
	wbxml_buffer_append(&xml, "", 1);
	return xml;
}

static const char *root_of(const struct wbxml_buffer *xml)
{
	const char *text = (const char *)xml->data;

	return strncmp(text, "<?xml", 5) == 0 ? strchr(text, '>') + 1 : text;
}

static struct answer_counts assert_terms(
	const struct answer_filter_terms *terms, struct span document, const char *expected)
{
	struct answer_counts counts = {0};
	struct wbxml_buffer *out = terms->context;

	for (size_t cut = 1; cut < 100; cut = cut * 3 + 1) {
		struct answer_filter *filter = answer_filter_new(terms);
		struct wbxml_buffer xml;
		const char *got;

		out->len = 0;
		CU_ASSERT_EQUAL(filter_run(filter, document, cut), 0);
		xml = to_xml(out);
		got = root_of(&xml);
		while (*got == '\n')
			got++;
		if (strncmp(got, expected, strlen(expected)) != 0) {
			printf("\ngot      %s\nexpected %s\n", got, expected);
			CU_FAIL("another document");
		}
		counts = *answer_filter_counts(filter);
		wbxml_buffer_free(&xml);
		answer_filter_free(filter);
	}
	return counts;
}

static struct answer_counts assert_becomes(
	const struct rule *rule, const char *xml, const char *expected)
{
	struct wbxml_buffer document = from_xml(xml), out = {.limit = 1 << 24};
	struct answer_filter_terms terms = terms_of(rule, &out);
	struct answer_counts counts =
		assert_terms(&terms, span_of(document.data, document.len), expected);

	wbxml_buffer_free(&document);
	wbxml_buffer_free(&out);
	return counts;
}

static void assert_stays(const struct rule *rule, const char *xml)
{
	struct answer_counts counts = assert_becomes(rule, xml, xml);

	CU_ASSERT_EQUAL(counts.attachments + counts.downloads + counts.bodies + counts.folders, 0);
}

/* Items */

#define ITEM(inner)                                                                                \
	"<Sync xmlns=\"AirSync\"><Collections><Collection><SyncKey>2</SyncKey><Commands><Add>"     \
	"<ServerId>5:1</ServerId><ApplicationData><Subject xmlns=\"Email\">a</Subject>" inner      \
	"<Read xmlns=\"Email\">1</Read></ApplicationData></Add></Commands></Collection>"           \
	"</Collections></Sync>"
#define ATTACHMENT(name, size)                                                                     \
	"<Attachment><DisplayName>" name "</DisplayName><FileReference>5:" name "</FileReference>" \
	"<Method>1</Method><EstimatedDataSize>" size "</EstimatedDataSize></Attachment>"
#define LIST(inner) "<Attachments xmlns=\"AirSyncBase\">" inner "</Attachments>"

static void test_an_attachment_over_the_size_goes_and_the_others_stay(void)
{
	static const char in[] = ITEM(LIST(ATTACHMENT("a.pdf", "102400") ATTACHMENT(
		"b.pdf", "102401") ATTACHMENT("c.txt", "5") ATTACHMENT("d.iso", "999999999999")));
	static const char out[] =
		ITEM(LIST(ATTACHMENT("a.pdf", "102400") ATTACHMENT("c.txt", "5")));

	CU_ASSERT_EQUAL(assert_becomes(&over_100kb, in, out).attachments, 2);
	assert_stays(&nothing, in);
}

static void test_a_list_of_which_nothing_is_left_goes_as_a_whole(void)
{
	static const char in[] =
		ITEM(LIST(ATTACHMENT("a.pdf", "200000") ATTACHMENT("b.pdf", "200000")));

	CU_ASSERT_EQUAL(assert_becomes(&over_100kb, in, ITEM("")).attachments, 2);
	CU_ASSERT_EQUAL(assert_becomes(&everything, in, ITEM("")).attachments, 2);
	assert_stays(&over_100kb, ITEM("<Attachments xmlns=\"AirSyncBase\"/>"));
}

static void test_the_first_one_kept_is_enough_for_the_list_to_stay(void)
{
	static const char in[] = ITEM(
		LIST(ATTACHMENT("a.pdf", "1") ATTACHMENT("b.txt", "1") ATTACHMENT("c.pdf", "1")));

	CU_ASSERT_EQUAL(
		assert_becomes(&no_pdf, in, ITEM(LIST(ATTACHMENT("b.txt", "1")))).attachments, 2);
}

static void test_an_attachment_whose_size_is_not_said_could_have_any(void)
{
	static const char in[] =
		ITEM(LIST("<Attachment><DisplayName>a</DisplayName></Attachment>"));
	static const char odd[] = ITEM(LIST(ATTACHMENT("a", "-1")));

	CU_ASSERT_EQUAL(assert_becomes(&over_100kb, in, ITEM("")).attachments, 1);
	CU_ASSERT_EQUAL(assert_becomes(&over_100kb, odd, ITEM("")).attachments, 1);
	assert_stays(&no_pdf, in);
}

#define ATTACHMENT_25(key, size, name)                                                             \
	"<Attachment><AttName>" key "</AttName><AttSize>" size                                     \
	"</AttSize><AttMethod>1</AttMethod>" name "</Attachment>"
#define LIST_25(inner) "<Attachments xmlns=\"Email\">" inner "</Attachments>"

static void test_attachments_of_version_2_5_go_as_well(void)
{
	static const char in[] = ITEM(LIST_25(ATTACHMENT_25("R/0:0", "12",
		"<DisplayName>a.txt</DisplayName>") ATTACHMENT_25("x/a.pdf", "102401", "")));
	static const char left[] =
		ITEM(LIST_25(ATTACHMENT_25("R/0:0", "12", "<DisplayName>a.txt</DisplayName>")));

	CU_ASSERT_EQUAL(assert_becomes(&over_100kb, in, left).attachments, 1);
	CU_ASSERT_EQUAL(assert_becomes(&no_pdf, in, left).attachments, 1);
	CU_ASSERT_EQUAL(assert_becomes(&everything, in, ITEM("")).attachments, 2);
}

static void test_what_the_phone_has_added_itself_keeps_its_reference(void)
{
	struct wbxml_buffer document =
		sample_read("good", "sync-draft-attachment-response", ".wbxml");
	struct wbxml_buffer xml = to_xml(&document);
	const char *root = root_of(&xml);

	while (*root == '\n')
		root++;
	assert_stays(&everything, root);
	wbxml_buffer_free(&xml);
	wbxml_buffer_free(&document);
}

static void test_find_says_that_there_is_none_where_none_is_left(void)
{
	static const char in[] = "<Find xmlns=\"Find\"><Response><Result><Properties>"
				 "<HasAttachments>1</HasAttachments><Preview>x</Preview>"
				 "</Properties></Result></Response></Find>";
	static const char out[] = "<Find xmlns=\"Find\"><Response><Result><Properties>"
				  "<HasAttachments>0</HasAttachments><Preview>x</Preview>"
				  "</Properties></Result></Response></Find>";

	assert_becomes(&everything, in, out);
	assert_stays(&over_100kb, in);
}

/* Downloads */

#define FETCHES(inner)                                                                             \
	"<ItemOperations xmlns=\"ItemOperations\"><Status>1</Status><Response>" inner              \
	"</Response></ItemOperations>"
#define FETCH(status, properties)                                                                  \
	"<Fetch><Status>" status                                                                   \
	"</Status><FileReference xmlns=\"AirSyncBase\">5:a</FileReference>" properties "</Fetch>"
#define PROPERTIES(type, inner)                                                                    \
	"<Properties><ContentType xmlns=\"AirSyncBase\">" type "</ContentType>" inner              \
	"</Properties>"
#define DATA_30 "<Data>QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk</Data>"
#define DATA_33 "<Data>QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZn</Data>"

static void test_a_download_over_the_size_is_too_large(void)
{
	static const char in[] = FETCHES(FETCH("1", PROPERTIES("image/png", DATA_30))
			FETCH("1", PROPERTIES("image/png", DATA_33)) FETCH("6", ""));
	static const char out[] = FETCHES(
		FETCH("1", PROPERTIES("image/png", DATA_30)) FETCH("11", "") FETCH("6", ""));

	CU_ASSERT_EQUAL(assert_becomes(&over_30b, in, out).downloads, 1);
	assert_stays(&nothing, in);
}

static void test_a_download_of_a_kind_is_denied(void)
{
	static const char in[] = FETCHES(FETCH("1", PROPERTIES("image/png", DATA_30))
			FETCH("1", PROPERTIES("text/plain", DATA_30)));
	static const char out[] =
		FETCHES(FETCH("16", "") FETCH("1", PROPERTIES("text/plain", DATA_30)));

	CU_ASSERT_EQUAL(assert_becomes(&no_images, in, out).downloads, 1);
}

static void test_a_piece_of_a_download_counts_as_the_whole(void)
{
	static const char total[] = FETCHES(FETCH(
		"1", PROPERTIES("image/png",
			     "<Range>0-9</Range><Total>31</Total><Data>QUJDREVGR0hJSg==</Data>")));
	static const char range[] = FETCHES(
		FETCH("1", PROPERTIES("image/png", "<Range>25-30</Range><Data>QUJDREVG</Data>")));
	static const char small[] = FETCHES(FETCH(
		"1", PROPERTIES("image/png",
			     "<Range>0-9</Range><Total>30</Total><Data>QUJDREVGR0hJSg==</Data>")));

	CU_ASSERT_EQUAL(assert_becomes(&over_30b, total, FETCHES(FETCH("11", ""))).downloads, 1);
	CU_ASSERT_EQUAL(assert_becomes(&over_30b, range, FETCHES(FETCH("11", ""))).downloads, 1);
	assert_stays(&over_30b, small);
}

static void test_bytes_in_another_part_are_not_let_through_unseen(void)
{
	static const char in[] = FETCHES(FETCH("1", PROPERTIES("image/png", "<Part>1</Part>")));

	CU_ASSERT_EQUAL(assert_becomes(&over_30b, in, FETCHES(FETCH("11", ""))).downloads, 1);
	CU_ASSERT_EQUAL(assert_becomes(&no_images, in, FETCHES(FETCH("16", ""))).downloads, 1);
	assert_stays(&no_pdf, in);
}

static void test_an_item_that_is_fetched_loses_its_attachments_only(void)
{
#define FETCHED(inner)                                                                             \
	FETCHES("<Fetch><Status>1</Status><ServerId xmlns=\"AirSync\">5:1</ServerId><Properties>"  \
		"<Subject xmlns=\"Email\">a</Subject>" inner                                       \
		"<Body xmlns=\"AirSyncBase\"><Type>1</Type><Truncated>0</Truncated>"               \
		"<Data>more than thirty characters are in this "                                   \
		"text</Data></Body></Properties></Fetch>")
	CU_ASSERT_EQUAL(assert_becomes(&over_30b, FETCHED(LIST(ATTACHMENT("a", "31"))), FETCHED(""))
				.attachments,
		1);
	assert_stays(&over_30b, FETCHED(LIST(ATTACHMENT("a", "30"))));
}

static void test_a_download_larger_than_what_may_be_held_is_withheld(void)
{
	struct wbxml_buffer xml = {.limit = 1 << 20}, out = {.limit = 1 << 20}, document;
	struct answer_filter_terms terms = terms_of(&no_images, &out);

	wbxml_buffer_append(
		&xml, FETCHES(""), strlen(FETCHES("")) - strlen("</Response></ItemOperations>"));
	wbxml_buffer_append(&xml, "<Fetch><Status>1</Status><Properties><Data>", 43);
	for (int i = 0; i < 10000; i++)
		wbxml_buffer_append(&xml, "QUJD", 4);
	wbxml_buffer_append(&xml, "</Data></Properties></Fetch></Response></ItemOperations>", 57);
	document = from_xml((const char *)xml.data);
	terms.held_max = 20000;
	CU_ASSERT_EQUAL(assert_terms(&terms, span_of(document.data, document.len),
				FETCHES("<Fetch><Status>16</Status></Fetch>"))
				.downloads,
		1);
	wbxml_buffer_free(&xml);
	wbxml_buffer_free(&out);
	wbxml_buffer_free(&document);
}

static void test_what_is_held_goes_to_a_file_beyond_a_bound(void)
{
	struct wbxml_buffer document =
		from_xml(FETCHES(FETCH("1", PROPERTIES("image/png", DATA_30))));
	struct wbxml_buffer out = {.limit = 1 << 20};
	struct answer_filter_terms terms = terms_of(&over_30b, &out);

	terms.memory_max = 10;
	terms.directory = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_terms(&terms, span_of(document.data, document.len),
		FETCHES(FETCH("1", PROPERTIES("image/png", DATA_30))));
	close(terms.directory);
	wbxml_buffer_free(&out);
	wbxml_buffer_free(&document);
}

static void append_text(struct wbxml_buffer *xml, const char *text, size_t times)
{
	for (size_t i = 0; i < times; i++)
		wbxml_buffer_append(xml, text, strlen(text));
}

static void append_long_name(struct wbxml_buffer *xml, const char *status)
{
	append_text(xml, status, 1);
	append_text(xml, "<FileReference xmlns=\"AirSyncBase\">", 1);
	append_text(xml, "5:aaaaaa", 1000);
	append_text(xml, "</FileReference>", 1);
}

/* The name of a download stands in front of what is withheld; it is the phone's own, and as long as it likes. */
static void test_what_is_withheld_is_not_read_from_the_file_again(void)
{
	static const char begin[] =
		"<ItemOperations xmlns=\"ItemOperations\"><Status>1</Status><Response><Fetch>";
	static const char end[] = "</Fetch></Response></ItemOperations>";
	struct wbxml_buffer xml = {.limit = 1 << 20}, expected = {.limit = 1 << 20},
			    out = {.limit = 1 << 20}, document;
	struct answer_filter_terms terms = terms_of(&no_images, &out);

	append_text(&xml, begin, 1);
	append_long_name(&xml, "<Status>1</Status>");
	append_text(
		&xml, "<Properties><ContentType xmlns=\"AirSyncBase\">image/png</ContentType>", 1);
	append_text(&xml, "<Data>", 1);
	append_text(&xml, "QUJD", 4000);
	append_text(&xml, "</Data></Properties>", 1);
	wbxml_buffer_append(&xml, end, sizeof(end));
	append_text(&expected, begin, 1);
	append_long_name(&expected, "<Status>16</Status>");
	wbxml_buffer_append(&expected, end, sizeof(end));
	document = from_xml((const char *)xml.data);
	terms.memory_max = 10;
	terms.directory = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_EQUAL(assert_terms(&terms, span_of(document.data, document.len),
				(const char *)expected.data)
				.downloads,
		1);
	close(terms.directory);
	wbxml_buffer_free(&xml);
	wbxml_buffer_free(&expected);
	wbxml_buffer_free(&out);
	wbxml_buffer_free(&document);
}

/* Messages in MIME */

#define MIME_HEAD                                                                                  \
	"From: a@example.com\nSubject: x\nMIME-Version: 1.0\n"                                     \
	"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nHello\n"
#define MIME_FILE(name, inner)                                                                     \
	"--b\nContent-Type: application/octet-stream; name=" name                                  \
	"\nContent-Disposition: attachment\nContent-Transfer-Encoding: base64\n\n" inner "\n"
#define MIME_END  "--b--\n"
#define BASE64_30 "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk"
#define BASE64_33 BASE64_30 "ZWZn"
#define BODY(type, truncated, data)                                                                \
	"<Body xmlns=\"AirSyncBase\"><Type>" type                                                  \
	"</Type><EstimatedDataSize>9</EstimatedDataSize>" truncated data                           \
	"<Preview>p</Preview></Body>"
#define DATA(text)       "<Data>" text "</Data>"
#define TRUNCATED(value) "<Truncated>" value "</Truncated>"

static void test_a_message_in_mime_with_such_a_file_loses_its_text(void)
{
	static const char large[] = ITEM(BODY("4", TRUNCATED("0"),
		DATA(MIME_HEAD MIME_FILE("a.bin", BASE64_30) MIME_FILE("b.exe", BASE64_33)
				MIME_END)));
	static const char gone[] = ITEM(BODY("4", TRUNCATED("1"), ""));

	CU_ASSERT_EQUAL(assert_becomes(&over_30b, large, gone).bodies, 1);
	CU_ASSERT_EQUAL(assert_becomes(&(struct rule){.name = "*.exe"}, large, gone).bodies, 1);
	CU_ASSERT_EQUAL(
		assert_becomes(&(struct rule){.type = "application/*"}, large, gone).bodies, 1);
	assert_stays(&no_images, large);
	assert_stays(&no_pdf, large);
}

static void test_a_message_in_mime_without_such_a_file_stays(void)
{
	static const char small[] =
		MIME_HEAD MIME_FILE("a.bin", BASE64_30) MIME_FILE("b.bin", BASE64_30) MIME_END;
	char xml[4000];

#define STAYS(type, truncated)                                                                     \
	snprintf(xml, sizeof(xml), ITEM(BODY(type, truncated, DATA("%s"))), small);                \
	assert_stays(&over_30b, xml)
	STAYS("4", "");
	STAYS("4", TRUNCATED("0"));
	STAYS("4", TRUNCATED("1"));
	STAYS("2", TRUNCATED("0"));
#undef STAYS
	/* Of another type nobody looks for parts. */
	assert_stays(&over_30b,
		ITEM(BODY("2", TRUNCATED("1"), DATA(MIME_HEAD MIME_FILE("b", BASE64_33)))));
	/* Cut in the middle of a file that is small so far. */
	assert_stays(&over_30b, ITEM(BODY("4", TRUNCATED("1"), DATA(MIME_HEAD "--b\nContent-Ty"))));
	assert_stays(&over_30b, ITEM(BODY("4", TRUNCATED("1"), "")));
}

static void test_a_message_in_mime_of_version_2_5_loses_its_text_as_well(void)
{
#define MIME_25(truncated, data)                                                                   \
	ITEM("<MIMESize xmlns=\"Email\">99</MIMESize><MIMETruncated xmlns=\"Email\">" truncated    \
	     "</MIMETruncated>" data)
	static const char large[] = MIME_25("0", "<MIMEData xmlns=\"Email\">" MIME_HEAD MIME_FILE(
							 "a", BASE64_33) MIME_END "</MIMEData>");
	static const char small[] = MIME_25("0", "<MIMEData xmlns=\"Email\">" MIME_HEAD MIME_FILE(
							 "a", BASE64_30) MIME_END "</MIMEData>");

	CU_ASSERT_EQUAL(assert_becomes(&over_30b, large, MIME_25("1", "")).bodies, 1);
	assert_stays(&over_30b, small);
}

static void test_a_message_in_mime_that_is_too_large_to_be_held_loses_its_text(void)
{
	static const char xml[] = ITEM(BODY("4", "", DATA(MIME_HEAD MIME_END)));
	struct wbxml_buffer document = from_xml(xml), out = {.limit = 1 << 20};
	struct answer_filter_terms terms = terms_of(&over_30b, &out);

	terms.held_max = 100;
	CU_ASSERT_EQUAL(assert_terms(&terms, span_of(document.data, document.len),
				ITEM(BODY("4", TRUNCATED("1"), "")))
				.bodies,
		1);
	wbxml_buffer_free(&document);
	wbxml_buffer_free(&out);
}

/* Folders */

#define CHANGES(count, inner)                                                                      \
	"<FolderSync xmlns=\"FolderHierarchy\"><Status>1</Status><SyncKey>1</SyncKey><Changes>"    \
	"<Count>" count "</Count>" inner "</Changes></FolderSync>"
#define FOLDER(what, id, parent, type)                                                             \
	"<" what "><ServerId>" id "</ServerId><ParentId>" parent "</ParentId><DisplayName>x"       \
	"</DisplayName><Type>" type "</Type></" what ">"
#define GONE(id) "<Delete><ServerId>" id "</ServerId></Delete>"

static uint8_t all_but_calendar(void)
{
	return 0xff & ~(1U << EAS_CLASS_CALENDAR);
}

static uint32_t assert_folders(
	struct folder_table *table, uint8_t hidden, const char *xml, const char *expected)
{
	struct wbxml_buffer document = from_xml(xml), out = {.limit = 1 << 20};
	struct answer_filter_terms terms = terms_of(NULL, &out);
	uint32_t folders;

	terms.folders = table;
	terms.has_all_folders = true;
	terms.changes.hidden_classes = hidden;
	folders = assert_terms(&terms, span_of(document.data, document.len), expected).folders;
	wbxml_buffer_free(&document);
	wbxml_buffer_free(&out);
	return folders;
}

static struct folder_table *table_new(void)
{
	struct error err = {""};
	struct folder_table *table = folder_table_map(&err);

	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	return table;
}

static void test_folders_of_other_classes_are_not_shown_and_not_counted(void)
{
	struct folder_table *table = table_new();

	CU_ASSERT_EQUAL(
		assert_folders(table, all_but_calendar(),
			CHANGES("5", FOLDER("Add", "5", "0", "2") FOLDER("Add", "1", "0", "8")
					     FOLDER("Add", "7", "5", "13") FOLDER("Add", "RI", "0",
						     "19") FOLDER("Add", "9", "0", "1")),
			CHANGES("2", FOLDER("Add", "1", "0", "8") FOLDER("Add", "7", "0", "13"))),
		3);
	/* What is said of them later is not shown either. */
	CU_ASSERT_EQUAL(assert_folders(table, all_but_calendar(),
				CHANGES("4", FOLDER("Update", "5", "1", "2") GONE("RI") GONE("7")
						     GONE("never-heard-of")),
				CHANGES("2", GONE("7") GONE("never-heard-of"))),
		2);
	CU_ASSERT_EQUAL(assert_folders(table, all_but_calendar(), CHANGES("1", GONE("5")),
				CHANGES("0", "")),
		1);
	folder_table_unmap(table);
}

static void test_a_hierarchy_of_version_12_is_filtered_as_well(void)
{
	static const char in[] =
		"<Folders "
		"xmlns=\"FolderHierarchy\"><Folder><ServerId>5</ServerId><Type>2</Type></Folder>"
		"<Folder><ServerId>1</ServerId><Type>8</Type></Folder></Folders>";
	static const char out[] =
		"<Folders "
		"xmlns=\"FolderHierarchy\"><Folder><ServerId>1</ServerId><Type>8</Type></Folder>"
		"</Folders>";
	struct folder_table *table = table_new();

	CU_ASSERT_EQUAL(assert_folders(table, all_but_calendar(), in, out), 1);
	folder_table_unmap(table);
}

static void test_classes_are_learned_where_nothing_is_hidden(void)
{
	static const char xml[] =
		CHANGES("2", FOLDER("Add", "5", "0", "2") FOLDER("Update", "1", "0", "8"));
	struct folder_table *table = table_new();

	CU_ASSERT_EQUAL(folder_table_miss(table, &anna, NOW), FOLDER_MISS_ASK);
	CU_ASSERT_EQUAL(assert_folders(table, 0, xml, xml), 0);
	CU_ASSERT_EQUAL(
		folder_table_class(table, &anna, span_of_string("5"), NOW), EAS_CLASS_EMAIL);
	CU_ASSERT_EQUAL(
		folder_table_class(table, &anna, span_of_string("1"), NOW), EAS_CLASS_CALENDAR);
	CU_ASSERT_FALSE(folder_table_wants_all(table, &anna, NOW));
	assert_folders(table, 0, CHANGES("1", GONE("5")), CHANGES("1", GONE("5")));
	CU_ASSERT_EQUAL(folder_table_class(table, &anna, span_of_string("5"), NOW), 0);
	folder_table_unmap(table);
}

static void test_looking_without_writing_learns_the_same(void)
{
	struct wbxml_buffer document = sample_read("good", "foldersync-initial-response", ".wbxml");
	struct folder_table *table = table_new();
	struct answer_filter_terms terms = terms_of(NULL, NULL);
	struct answer_filter *filter;

	terms.folders = table;
	terms.out = NULL;
	filter = answer_filter_new(&terms);
	CU_ASSERT_EQUAL(filter_run(filter, span_of(document.data, document.len), 5), 0);
	CU_ASSERT_EQUAL(
		folder_table_class(table, &anna, span_of_string("5"), NOW), EAS_CLASS_EMAIL);
	CU_ASSERT_EQUAL(
		folder_table_class(table, &anna, span_of_string("RI"), NOW), EAS_CLASS_CONTACTS);
	answer_filter_free(filter);
	folder_table_unmap(table);
	wbxml_buffer_free(&document);
}

/* All samples */

/* In 2.5 MIMETruncated moves to the MIMEData that it speaks of. */
static bool is_moved(const char *name)
{
	return strcmp(name, "sync-mail-25-response") == 0 || strcmp(name, "tokens-page-02") == 0;
}

static void check_sample(const char *name)
{
	static const struct rule *const rules[] = {&nothing, &everything, &over_30b, &no_images};
	struct wbxml_buffer document = sample_read("good", name, ".wbxml");
	struct wbxml_buffer before = {.limit = 1 << 22}, after = {.limit = 1 << 22};
	size_t cut = document.len > 4096 ? 1009 : 1;

	events_read(&before, span_of(document.data, document.len), NULL, NULL);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct wbxml_buffer out = {.limit = 1 << 22};
		struct answer_filter_terms terms = terms_of(rules[i], &out);
		struct answer_filter *filter;

		terms.changes.hidden_classes = rules[i] == &nothing ? 0 : all_but_calendar();
		filter = answer_filter_new(&terms);
		CU_ASSERT_EQUAL(filter_run(filter, span_of(document.data, document.len), cut), 0);
		after.len = 0;
		CU_ASSERT_EQUAL(events_read(&after, span_of(out.data, out.len), NULL, NULL),
			WBXML_FAULT_NONE);
		/* The last eight bytes are the length of the document. */
		CU_ASSERT(rules[i] != &nothing || is_moved(name) ||
			  span_equal(span_of(before.data, before.len - 8),
				  span_of(after.data, after.len - 8)));
		wbxml_buffer_free(&out);
		answer_filter_free(filter);
	}
	wbxml_buffer_free(&before);
	wbxml_buffer_free(&after);
	wbxml_buffer_free(&document);
}

static void test_every_sample_stays_a_document_and_the_same_where_nothing_goes(void)
{
	CU_ASSERT_EQUAL(sample_each("good", check_sample), 167);
}

static void test_a_malformed_answer_is_an_error(void)
{
	struct wbxml_buffer out = {.limit = 1 << 20};
	struct answer_filter_terms terms = terms_of(&everything, &out);
	struct answer_filter *filter = answer_filter_new(&terms);

	CU_ASSERT_EQUAL(filter_run(filter, span_of_string("<html>"), 100), -1);
	CU_ASSERT_STRING_EQUAL(answer_filter_fault(filter), "not the header of ActiveSync WBXML");
	answer_filter_free(filter);
	wbxml_buffer_free(&out);
}

/* Of a server that means ill. Nothing can be said of what is in them. */
static void test_elements_where_none_can_be_are_an_error(void)
{
#define ITEM_FETCHED                                                                               \
	"<Fetch><Status>1</Status><Properties><Subject xmlns=\"Email\">a</Subject></Properties>"   \
	"</Fetch>"
	static const char *const documents[] = {
		"<ItemOperations xmlns=\"ItemOperations\"><Attachments xmlns=\"AirSyncBase\">"
		"<Fetch xmlns=\"ItemOperations\"><Status>1</Status></Fetch></Attachments>"
		"</ItemOperations>",
		"<ItemOperations xmlns=\"ItemOperations\"><MIMEData xmlns=\"Email\">a</MIMEData>"
		"<Response>" ITEM_FETCHED ITEM_FETCHED "</Response></ItemOperations>",
		"<ItemOperations xmlns=\"ItemOperations\"><Body xmlns=\"AirSyncBase\">"
		"<Fetch "
		"xmlns=\"ItemOperations\"><Status>1</Status></Fetch></Body></ItemOperations>",
		ITEM("<MIMEData xmlns=\"Email\"><Body "
		     "xmlns=\"AirSyncBase\"><Truncated>1</Truncated>"
		     "<Data>x</Data></Body></MIMEData>"),
		ITEM("<Body xmlns=\"AirSyncBase\"><Data>x<Data>y</Data></Data></Body>"),
		ITEM("<Body xmlns=\"AirSyncBase\"><Type>4</Type><Truncated>1<Type>4</Type>"
		     "</Truncated><Data>x</Data></Body>"),
		ITEM("<MIMETruncated xmlns=\"Email\">1<Read/></MIMETruncated>"
		     "<MIMEData xmlns=\"Email\">a</MIMEData>"),
	};

	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
		struct wbxml_buffer document = from_xml(documents[i]), out = {.limit = 1 << 24};
		struct answer_filter_terms terms = terms_of(&everything, &out);
		struct answer_filter *filter = answer_filter_new(&terms);

		CU_ASSERT_EQUAL(filter_run(filter, span_of(document.data, document.len), 7), -1);
		CU_ASSERT_PTR_NOT_NULL(answer_filter_fault(filter));
		answer_filter_free(filter);
		wbxml_buffer_free(&document);
		wbxml_buffer_free(&out);
	}
}

static const struct check checks[] = {
	{"an attachment over the size goes and the others stay",
		test_an_attachment_over_the_size_goes_and_the_others_stay},
	{"a list of which nothing is left goes as a whole",
		test_a_list_of_which_nothing_is_left_goes_as_a_whole},
	{"the first one kept is enough for the list to stay",
		test_the_first_one_kept_is_enough_for_the_list_to_stay},
	{"an attachment whose size is not said could have any",
		test_an_attachment_whose_size_is_not_said_could_have_any},
	{"attachments of version 2.5 go as well", test_attachments_of_version_2_5_go_as_well},
	{"what the phone has added itself keeps its reference",
		test_what_the_phone_has_added_itself_keeps_its_reference},
	{"Find says that there is none where none is left",
		test_find_says_that_there_is_none_where_none_is_left},
	{"a download over the size is too large", test_a_download_over_the_size_is_too_large},
	{"a download of a kind is denied", test_a_download_of_a_kind_is_denied},
	{"a piece of a download counts as the whole",
		test_a_piece_of_a_download_counts_as_the_whole},
	{"bytes in another part are not let through unseen",
		test_bytes_in_another_part_are_not_let_through_unseen},
	{"an item that is fetched loses its attachments only",
		test_an_item_that_is_fetched_loses_its_attachments_only},
	{"a download larger than what may be held is withheld",
		test_a_download_larger_than_what_may_be_held_is_withheld},
	{"what is held goes to a file beyond a bound",
		test_what_is_held_goes_to_a_file_beyond_a_bound},
	{"what is withheld is not read from the file again",
		test_what_is_withheld_is_not_read_from_the_file_again},
	{"a message in MIME with such a file loses its text",
		test_a_message_in_mime_with_such_a_file_loses_its_text},
	{"a message in MIME without such a file stays",
		test_a_message_in_mime_without_such_a_file_stays},
	{"a message in MIME of version 2.5 loses its text as well",
		test_a_message_in_mime_of_version_2_5_loses_its_text_as_well},
	{"a message in MIME that is too large to be held loses its text",
		test_a_message_in_mime_that_is_too_large_to_be_held_loses_its_text},
	{"folders of other classes are not shown and not counted",
		test_folders_of_other_classes_are_not_shown_and_not_counted},
	{"a hierarchy of version 12 is filtered as well",
		test_a_hierarchy_of_version_12_is_filtered_as_well},
	{"classes are learned where nothing is hidden",
		test_classes_are_learned_where_nothing_is_hidden},
	{"looking without writing learns the same", test_looking_without_writing_learns_the_same},
	{"every sample stays a document, and the same where nothing goes",
		test_every_sample_stays_a_document_and_the_same_where_nothing_goes},
	{"elements where none can be are an error", test_elements_where_none_can_be_are_an_error},
	{"a malformed answer is an error", test_a_malformed_answer_is_an_error},
};

int main(void)
{
	return check_run("proxy/answer_filter", checks, sizeof(checks) / sizeof(checks[0]));
}
