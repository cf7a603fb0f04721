/* The dialect of libwbxml, and libwbxml as the reference of our reader: what both accept means the
 * same to both. */
#include "tests/unit/check.h"
#include "tests/unit/wbxml_samples.h"
#include "wbxml/xml.h"

static const struct wbxml_xml_options exact = {.dialect = WBXML_DIALECT_EXACT};
static const struct wbxml_xml_options libwbxml = {.dialect = WBXML_DIALECT_LIBWBXML};

/* It lacks a tag of these; the conversion is refused. */
static const char *const with_unknown_tag[] = {"find-gal-request", "find-gal-response",
	"find-mailbox-request", "find-mailbox-response", "find-status3-response",
	"meetingresponse-request", "provision-accountwipe-ack-request",
	"provision-accountwipe-failed-request", "provision-accountwipe-response", "tokens-page-04",
	"tokens-page-08", "tokens-page-13", "tokens-page-14", "tokens-page-21", "tokens-page-25"};

/* Text where it takes a tag for binary, or opaque data where it takes it for text. */
static const char *const with_other_content[] = {"edge-opaque-as-text", "tokens-page-15",
	"tokens-page-16", "tokens-page-17", "tokens-page-20", "tokens-page-22"};

/* Besides the ones above, those that are written in another form than the shortest. */
static const char *const not_canonical[] = {"edge-empty-content", "edge-opaque-0", "edge-segments",
	"edge-switch-before-root", "edge-switch-same-page", "sync-client-changes-request",
	"sync-mail-25-response"};

#define IS_AMONG(name, list) is_among(name, list, sizeof(list) / sizeof((list)[0]))

static bool is_among(const char *name, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}

static struct span span_of_buffer(const struct wbxml_buffer *buffer)
{
	return span_of(buffer->data, buffer->len);
}

/* The names that others give to a tag: the last column of codepages.tsv. */
static bool alias_is_known(const char *ours, const char *theirs)
{
	char line[512], *fields[10], *next;
	bool found = false;
	FILE *file = fopen(TEST_DATA_DIR "/../../wbxml/codepages.tsv", "r");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	while (!found && fgets(line, sizeof(line), file) != NULL) {
		int count = 0;

		line[strcspn(line, "\n")] = '\0';
		next = line;
		while (count < 10 && next != NULL)
			fields[count++] = strsep(&next, "\t");
		if (count < 10 || strcmp(fields[4], ours) != 0)
			continue;
		while (!found && fields[9] != NULL)
			found = strcmp(strsep(&fields[9], ","), theirs) == 0;
	}
	fclose(file);
	return found;
}

/* One tag or one text of XML in either dialect. */
struct token {
	char kind; /* '<', '/' (an end), 'e' (an empty element), 't', 0 at the end */
	char name[64], space[64];
	struct span text;
};

static const char *token_next(const char *at, struct token *token)
{
	const char *end, *space;

	*token = (struct token){.kind = 0};
	if (*at == '\0' || strcmp(at, "\n") == 0)
		return at;
	if (*at != '<') {
		end = at + strcspn(at, "<");
		token->kind = 't';
		token->text = span_of(at, (size_t)(end - at));
		return end;
	}
	end = at + strcspn(at, ">");
	CU_ASSERT_EQUAL_FATAL(*end, '>');
	token->kind = '<';
	if (at[1] == '/')
		token->kind = '/';
	else if (end[-1] == '/')
		token->kind = 'e';
	at += token->kind == '/' ? 2 : 1;
	snprintf(token->name, sizeof(token->name), "%.*s", (int)strcspn(at, " />"), at);
	space = strstr(at, " xmlns=\"");
	if (space != NULL && space < end)
		snprintf(token->space, sizeof(token->space), "%.*s", (int)strcspn(space + 8, ":\""),
			space + 8);
	return end + 1;
}

/* Character references undone, in place. */
static struct span text_plain(struct span text, char *out, size_t size)
{
	static const char *const escapes[][2] = {{"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"},
		{"&quot;", "\""}, {"&apos;", "'"}, {"&#13;", "\r"}, {"&#10;", "\n"},
		{"&#9;", "\t"}};
	size_t len = 0;

	for (size_t at = 0; at < text.len && len < size;) {
		size_t i, count = sizeof(escapes) / sizeof(escapes[0]);

		for (i = 0; i < count; i++)
			if (strncmp((const char *)text.data + at, escapes[i][0],
				    strlen(escapes[i][0])) == 0)
				break;
		if (i < count)
			out[len++] = escapes[i][1][0];
		else
			out[len++] = (char)text.data[at];
		at += i < count ? strlen(escapes[i][0]) : 1;
	}
	return span_of(out, len);
}

static bool token_equal(const struct token *ours, const struct token *theirs)
{
	static char plain_ours[1 << 18], plain_theirs[1 << 18];

	if (ours->kind != theirs->kind || strcasecmp(ours->space, theirs->space) != 0)
		return false;
	if (ours->kind == 't')
		return span_equal(text_plain(ours->text, plain_ours, sizeof(plain_ours)),
			text_plain(theirs->text, plain_theirs, sizeof(plain_theirs)));
	return strcmp(ours->name, theirs->name) == 0 || alias_is_known(ours->name, theirs->name);
}

static bool xml_equal(const char *ours, const char *theirs)
{
	struct token our_token, their_token;

	do {
		ours = token_next(ours, &our_token);
		theirs = token_next(theirs, &their_token);
		if (!token_equal(&our_token, &their_token))
			return false;
	} while (our_token.kind != 0);
	return true;
}

static const char *root_of(struct wbxml_buffer *xml)
{
	const char *at;

	wbxml_buffer_append(xml, "", 1);
	at = (const char *)xml->data;
	while (at[0] == '<' && (at[1] == '?' || at[1] == '!'))
		at += strcspn(at, ">") + 1 + (at[strcspn(at, ">") + 1] == '\n');
	return at;
}

static void check_agreement(const char *name)
{
	struct wbxml_buffer document = sample_read("good", name, ".wbxml");
	struct wbxml_buffer ours = {.limit = 1 << 24}, theirs = {.limit = 1 << 24};
	struct error err = {""};
	int result;

	CU_ASSERT_EQUAL(wbxml_to_xml(span_of_buffer(&document), &exact, &ours, &err), 0);
	result = wbxml_to_xml(span_of_buffer(&document), &libwbxml, &theirs, &err);
	if (IS_AMONG(name, with_unknown_tag)) {
		CU_ASSERT_EQUAL(result, -1);
		CU_ASSERT_STRING_EQUAL(
			err.text, "the document has a tag that libwbxml does not know");
	} else if (result != 0) {
		printf("\n%s: %s\n", name, err.text);
		CU_FAIL("libwbxml does not decode it");
	} else if (xml_equal(root_of(&ours), root_of(&theirs)) ==
		   IS_AMONG(name, with_other_content)) {
		printf("\n%s\n%s\n%s\n", name, root_of(&ours), root_of(&theirs));
		CU_FAIL("libwbxml reads something else");
	}
	wbxml_buffer_free(&theirs);
	wbxml_buffer_free(&ours);
	wbxml_buffer_free(&document);
}

static void test_reader_and_libwbxml_agree_on_the_samples(void)
{
	CU_ASSERT_EQUAL(sample_each("good", check_agreement), 167);
}

static void check_there_and_back(const char *name)
{
	struct wbxml_buffer document = sample_read("good", name, ".wbxml");
	struct wbxml_buffer xml = {.limit = 1 << 24}, back = {.limit = 1 << 24};
	struct error err = {""};
	bool is_same;

	if (wbxml_to_xml(span_of_buffer(&document), &libwbxml, &xml, &err) == 0) {
		CU_ASSERT_EQUAL(wbxml_from_xml(span_of_buffer(&xml), &libwbxml, &back, &err), 0);
		is_same = span_equal(span_of_buffer(&document), span_of_buffer(&back));
		if (is_same ==
			(IS_AMONG(name, with_other_content) || IS_AMONG(name, not_canonical))) {
			printf("\n%s: %s\n", name, err.text);
			CU_FAIL("libwbxml writes something else");
		}
	}
	wbxml_buffer_free(&back);
	wbxml_buffer_free(&xml);
	wbxml_buffer_free(&document);
}

static void test_samples_come_back_byte_for_byte(void)
{
	CU_ASSERT_EQUAL(sample_each("good", check_there_and_back), 167);
}

static size_t accepted;

static void check_malformed(const char *name)
{
	struct wbxml_buffer document = sample_read("malformed", name, ".wbxml");
	struct wbxml_buffer xml = {.limit = 1 << 24};
	struct wbxml_reader reader;
	struct error err = {""};
	int result = wbxml_to_xml(span_of_buffer(&document), &libwbxml, &xml, &err);

	wbxml_reader_init(&reader, NULL);
	wbxml_reader_feed(&reader, document.data, document.len);
	while (wbxml_reader_next(&reader) > WBXML_MORE)
		continue;
	if (wbxml_reader_finish(&reader) != 0)
		CU_ASSERT_EQUAL(result, -1);
	accepted += result == 0;
	wbxml_buffer_free(&xml);
	wbxml_buffer_free(&document);
}

static void test_nothing_that_our_reader_refuses_is_converted(void)
{
	accepted = 0;
	CU_ASSERT_EQUAL(sample_each("malformed", check_malformed), 108);
	/* grey-switch-twice, and those that are wrong for their command only; one has a Find. */
	CU_ASSERT_EQUAL(accepted, 18);
}

static void assert_refused(const char *xml, const char *message)
{
	struct wbxml_buffer document = {.limit = 4096};
	struct error err = {""};

	CU_ASSERT_EQUAL(wbxml_from_xml(span_of_string(xml), &libwbxml, &document, &err), -1);
	if (strncmp(err.text, message, strlen(message)) != 0) {
		printf("\n%s\n", err.text);
		CU_FAIL("other message");
	}
	wbxml_buffer_free(&document);
}

static void test_xml_is_checked_before_libwbxml_sees_it(void)
{
	assert_refused("<Sync xmlns='AirSync:' a='b'/>", "line 1: an attribute");
	assert_refused("<!DOCTYPE Sync [<!ENTITY a 'a'>]><Sync xmlns='AirSync:'>&a;</Sync>",
		"line 1: a declaration of an entity");
	assert_refused("<!DOCTYPE Sync [<!ELEMENT Sync ANY>]><Sync xmlns='AirSync:'/>",
		"line 1: a declaration of an element");
	assert_refused("<!DOCTYPE Sync [<!ATTLIST Sync a CDATA 'x'>]><Sync xmlns='AirSync:'/>",
		"line 1: a declaration of an attribute");
	assert_refused("<!DOCTYPE Sync [<!NOTATION a SYSTEM 'x'>]><Sync xmlns='AirSync:'/>",
		"line 1: a declaration of a notation");
	assert_refused("<!DOCTYPE Sync SYSTEM 'x'><Sync xmlns='AirSync:'>&a;</Sync>",
		"line 1: an entity that XML does not define");
	assert_refused("<Sync xmlns='AirSync:'><Foo/></Sync>", "libwbxml: ");
	assert_refused("<SyncML xmlns='SYNCML:SYNCML1.2'/>", "line 1: a namespace that is no");
}

static void test_layout_and_other_forms_of_xml_are_understood(void)
{
	static const char xml[] =
		"<?xml version='1.0' encoding='utf-8'?>\n"
		"<a:Sync xmlns:a='AirSync'>\n  <a:SyncKey> 1 </a:SyncKey>\n</a:Sync>\n";
	static const uint8_t expected[] = {
		0x03, 0x01, 0x6A, 0x00, 0x45, 0x4B, 0x03, ' ', '1', ' ', 0x00, 0x01, 0x01};
	struct wbxml_buffer document = {.limit = 4096};
	struct error err = {""};

	CU_ASSERT_EQUAL(wbxml_from_xml(span_of_string(xml), &libwbxml, &document, &err), 0);
	CU_ASSERT(span_equal(span_of_buffer(&document), span_of(expected, sizeof(expected))));
	wbxml_buffer_free(&document);
}

static void test_binary_in_a_tag_of_text_is_refused(void)
{
	static const uint8_t binary[] = {
		0x03, 0x01, 0x6A, 0x00, 0x45, 0x4B, 0xC3, 0x02, 'a', 0x00, 0x01, 0x01};
	struct wbxml_buffer xml = {.limit = 4096};
	struct error err = {""};

	CU_ASSERT_EQUAL(wbxml_to_xml(span_of(binary, sizeof(binary)), &libwbxml, &xml, &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text, "byte 10 of the WBXML: opaque data that is not text");
	wbxml_buffer_free(&xml);
}

static void test_2000_elements_are_the_most(void)
{
	struct wbxml_buffer document = {.limit = 4096}, xml = {.limit = 1 << 20};
	struct error err = {""};

	wbxml_buffer_append(&document, "\x03\x01\x6A\x00\x45", 5);
	for (int i = 0; i < 1999; i++)
		wbxml_buffer_append(&document, "\x0B", 1);
	wbxml_buffer_append(&document, "\x01", 1);
	CU_ASSERT_EQUAL(wbxml_to_xml(span_of_buffer(&document), &libwbxml, &xml, &err), 0);
	document.len--;
	wbxml_buffer_append(&document, "\x0B\x01", 2);
	CU_ASSERT_EQUAL(wbxml_to_xml(span_of_buffer(&document), &libwbxml, &xml, &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text, "byte 2004 of the WBXML: too many elements, strings or "
					 "page switches: 0b, in AirSync:Sync");
	wbxml_buffer_free(&xml);
	wbxml_buffer_free(&document);
}

static const struct check checks[] = {
	{"reader and libwbxml agree on the samples", test_reader_and_libwbxml_agree_on_the_samples},
	{"samples come back byte for byte", test_samples_come_back_byte_for_byte},
	{"nothing that our reader refuses is converted",
		test_nothing_that_our_reader_refuses_is_converted},
	{"XML is checked before libwbxml sees it", test_xml_is_checked_before_libwbxml_sees_it},
	{"layout and other forms of XML are understood",
		test_layout_and_other_forms_of_xml_are_understood},
	{"binary in a tag of text is refused", test_binary_in_a_tag_of_text_is_refused},
	{"2,000 elements are the most", test_2000_elements_are_the_most},
};

int main(void)
{
	return check_run("wbxml/libwbxml", checks, sizeof(checks) / sizeof(checks[0]));
}
