/* What is seen in a body while it passes, in pieces of any size. */
#include "tests/unit/check.h"
#include "tests/unit/eas_body_shown.h"
#include "tests/unit/wbxml_samples.h"
#include "wbxml/writer.h"

static const struct eas_body_terms any = {.kind = EAS_BODY_WBXML, .command = EAS_NO_COMMAND};
static const struct eas_body_terms any_answer = {
	.kind = EAS_BODY_WBXML, .command = EAS_NO_COMMAND, .is_answer = true};

static enum refusal refusal_of(
	const struct eas_body_terms *terms, struct span document, size_t piece)
{
	struct eas_body *body = body_fed(terms, document, piece);
	enum refusal refusal = eas_body_end(body);

	CU_ASSERT_EQUAL(body->is_whole, refusal == REFUSAL_NONE);
	CU_ASSERT_EQUAL(eas_body_fault_text(body) == NULL, refusal == REFUSAL_NONE);
	eas_body_free(body);
	return refusal;
}

static struct span span_of_buffer(const struct wbxml_buffer *buffer)
{
	return span_of(buffer->data, buffer->len);
}

static void test_malformed_samples_are_refused(void)
{
	static const char *const names[] = {
		"body-end-first", "body-extra-end", "body-string-before-root"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct wbxml_buffer document = sample_read("malformed", names[i], ".wbxml");

		CU_ASSERT_EQUAL(
			refusal_of(&any, span_of_buffer(&document), 1), REFUSAL_WBXML_MALFORMED);
		CU_ASSERT_EQUAL(
			refusal_of(&any, span_of_buffer(&document), 1000), REFUSAL_WBXML_MALFORMED);
		wbxml_buffer_free(&document);
	}
}

static void test_a_cut_document_is_refused_at_its_end(void)
{
	struct wbxml_buffer document = sample_read("good", "ping-request", ".wbxml");

	for (size_t len = 0; len < document.len; len++)
		CU_ASSERT_EQUAL(refusal_of(&any, span_of(document.data, len), 1000),
			REFUSAL_WBXML_MALFORMED);
	wbxml_buffer_free(&document);
}

static void test_limits_have_their_own_refusal(void)
{
	struct wbxml_buffer document = sample_read("good", "ping-request", ".wbxml");
	struct eas_body_terms shallow = any;
	struct eas_body_terms few = any;

	shallow.limits = (struct wbxml_limits){.depth = 3, .elements = 100};
	few.limits = (struct wbxml_limits){.depth = 10, .elements = 5};
	CU_ASSERT_EQUAL(refusal_of(&shallow, span_of_buffer(&document), 1000), REFUSAL_WBXML_LIMIT);
	CU_ASSERT_EQUAL(refusal_of(&few, span_of_buffer(&document), 1000), REFUSAL_WBXML_LIMIT);
	wbxml_buffer_free(&document);
}

/* Documents made here: path from the root down, then the text. */
struct made {
	struct wbxml_buffer buffer;
	struct wbxml_writer writer;
};

static void made_begin(struct made *made, const uint16_t *path, size_t depth)
{
	*made = (struct made){.buffer = {.limit = 2000000}};
	wbxml_write_header(&made->writer, &made->buffer);
	for (size_t i = 0; i < depth; i++)
		wbxml_write_start(&made->writer, path[i]);
}

/* The body is for eas_body_free(). */
static struct eas_body *made_end(
	struct made *made, size_t depth, const struct eas_body_terms *terms, enum refusal wanted)
{
	struct eas_body *body;

	for (size_t i = 0; i < depth; i++)
		wbxml_write_end(&made->writer);
	CU_ASSERT_FALSE(made->buffer.has_failed);
	body = body_fed(terms, span_of_buffer(&made->buffer), 3);
	CU_ASSERT_EQUAL(eas_body_end(body), wanted);
	wbxml_buffer_free(&made->buffer);
	return body;
}

static const uint16_t ping[] = {WBXML_PING_PING};
static const uint16_t sync[] = {WBXML_AIRSYNC_SYNC};
static const uint16_t collection[] = {
	WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_COLLECTIONS, WBXML_AIRSYNC_COLLECTION};

/* What an answer says, or a request. */
static uint32_t heartbeat_of(const struct eas_body_terms *terms, const uint16_t *root, uint16_t tag,
	const char *text, enum refusal wanted)
{
	struct made made;
	struct eas_body *body;
	uint32_t seconds;

	made_begin(&made, root, 1);
	wbxml_write_element(&made.writer, tag, text);
	body = made_end(&made, 1, terms, wanted);
	seconds = body->heartbeat_s;
	eas_body_free(body);
	return seconds;
}

static void test_numbers_are_bounded(void)
{
	static const struct {
		const char *text;
		uint32_t heartbeat_s, wait_s;
		enum refusal refusal; /* of a request */
	} rows[] = {
		{"60", 60, 3600, REFUSAL_NONE},
		{"0060", 60, 3600, REFUSAL_NONE},
		{"0", 0, 0, REFUSAL_NONE},
		{"", 0, 0, REFUSAL_NONE},
		{"-1", 0, 0, REFUSAL_EAS_STRUCTURE},
		{"+1", 0, 0, REFUSAL_EAS_STRUCTURE},
		{" 60", 0, 0, REFUSAL_EAS_STRUCTURE},
		{"60 ", 0, 0, REFUSAL_EAS_STRUCTURE},
		{"6x", 0, 0, REFUSAL_EAS_STRUCTURE},
		{"1e3", 0, 0, REFUSAL_EAS_STRUCTURE},
		{"4294967295", UINT32_MAX, UINT32_MAX, REFUSAL_NONE},
		{"4294967296", 0, 0, REFUSAL_EAS_STRUCTURE},
		{"18446744073709551676", 0, 0, REFUSAL_EAS_STRUCTURE},
		{"00000000000000000000000000000000000000000000000000000000000000600", 600, 36000,
			REFUSAL_NONE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CU_ASSERT_EQUAL(heartbeat_of(&any_answer, ping, WBXML_PING_HEARTBEATINTERVAL,
					rows[i].text, REFUSAL_NONE),
			rows[i].heartbeat_s);
		CU_ASSERT_EQUAL(
			heartbeat_of(&any, sync, WBXML_AIRSYNC_WAIT, rows[i].text, rows[i].refusal),
			rows[i].wait_s);
	}
}

static void test_opaque_and_split_strings_count(void)
{
	struct made made;
	struct eas_body *body;

	made_begin(&made, ping, 1);
	wbxml_write_start(&made.writer, WBXML_PING_HEARTBEATINTERVAL);
	wbxml_write_text(&made.writer, span_of_string("1"));
	wbxml_write_opaque(&made.writer, span_of_string("20"));
	wbxml_write_end(&made.writer);
	body = made_end(&made, 1, &any_answer, REFUSAL_NONE);
	CU_ASSERT_EQUAL(body->heartbeat_s, 120);
	eas_body_free(body);
}

static void test_the_place_counts(void)
{
	struct made made;
	struct eas_body *body;

	/* A collection's Status, and a HeartbeatInterval where none belongs. */
	made_begin(&made, collection, 3);
	wbxml_write_element(&made.writer, WBXML_AIRSYNC_STATUS, "3");
	wbxml_write_element(&made.writer, WBXML_AIRSYNC_HEARTBEATINTERVAL, "60");
	wbxml_write_start(&made.writer, WBXML_AIRSYNC_SYNC);
	wbxml_write_element(&made.writer, WBXML_AIRSYNC_STATUS, "4");
	wbxml_write_element(&made.writer, WBXML_AIRSYNC_WAIT, "5");
	wbxml_write_end(&made.writer);
	body = made_end(&made, 3, &any_answer, REFUSAL_NONE);
	CU_ASSERT_EQUAL(body->status, 0);
	CU_ASSERT_EQUAL(body->heartbeat_s, 0);
	eas_body_free(body);
	/* The status of another page, and another command's. */
	made_begin(&made, sync, 1);
	wbxml_write_element(&made.writer, WBXML_PING_STATUS, "2");
	wbxml_write_element(&made.writer, WBXML_FOLDERHIERARCHY_STATUS, "2");
	body = made_end(&made, 1, &any_answer, REFUSAL_NONE);
	CU_ASSERT_EQUAL(body->status, 0);
	eas_body_free(body);
	/* The first one counts. */
	made_begin(&made, sync, 1);
	wbxml_write_element(&made.writer, WBXML_AIRSYNC_STATUS, "140");
	wbxml_write_element(&made.writer, WBXML_AIRSYNC_STATUS, "1");
	body = made_end(&made, 1, &any_answer, REFUSAL_NONE);
	CU_ASSERT_EQUAL(body->status, 140);
	eas_body_free(body);
}

static void test_collections_are_named_within_bounds(void)
{
	static const char *const names[] = {
		"a\t[0m\xc3\xa4", "", "b", "c", "d", "e", "f", "g", "h", "i"};
	char long_name[200];
	struct made made;
	struct eas_body *body;

	made_begin(&made, collection, 2);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		wbxml_write_start(&made.writer, WBXML_AIRSYNC_COLLECTION);
		wbxml_write_element(&made.writer, WBXML_AIRSYNC_COLLECTIONID, names[i]);
		wbxml_write_end(&made.writer);
	}
	body = made_end(&made, 2, &any_answer, REFUSAL_NONE);
	CU_ASSERT_EQUAL(body->collection_count, 10);
	CU_ASSERT_STRING_EQUAL(eas_body_collection_id(body, 0), "a?[0m\xc3\xa4");
	CU_ASSERT_STRING_EQUAL(eas_body_collection_id(body, 1), "");
	CU_ASSERT_STRING_EQUAL(eas_body_collection_id(body, 2), "b");
	CU_ASSERT_STRING_EQUAL(eas_body_collection_id(body, 7), "g");
	CU_ASSERT_STRING_EQUAL(eas_body_collection_id(body, 8), "");
	eas_body_free(body);
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	made_begin(&made, collection, 3);
	wbxml_write_element(&made.writer, WBXML_AIRSYNC_COLLECTIONID, long_name);
	body = made_end(&made, 3, &any_answer, REFUSAL_NONE);
	CU_ASSERT_EQUAL(strlen(eas_body_collection_id(body, 0)), EAS_COLLECTION_NAME_MAX);
	CU_ASSERT_TRUE(body->texts_are_cut);
	eas_body_free(body);
}

/* Folder "h" is a calendar, "i" is not known. */
static unsigned int class_of_h(void *context, struct span id)
{
	(*(unsigned int *)context)++;
	return span_equal(id, span_of_string("h")) ? EAS_CLASS_CALENDAR : EAS_CLASS_UNSAID;
}

static void test_collections_beyond_those_named_still_tell_their_class(void)
{
	static const char *const names[] = {"0", "1", "2", "3", "4", "5", "6", "7", "h", "i"};
	struct eas_body_terms terms = any_answer;
	unsigned int asked = 0;
	struct made made;
	struct eas_body *body;

	terms.folder_class = class_of_h;
	terms.context = &asked;
	for (size_t count = 8; count <= 10; count++) {
		made_begin(&made, collection, 2);
		for (size_t i = 0; i < count; i++) {
			wbxml_write_start(&made.writer, WBXML_AIRSYNC_COLLECTION);
			wbxml_write_element(&made.writer, WBXML_AIRSYNC_COLLECTIONID, names[i]);
			wbxml_write_end(&made.writer);
		}
		body = made_end(&made, 2, &terms, REFUSAL_NONE);
		CU_ASSERT_EQUAL(
			body->unnamed_classes, (count > 8 ? 1U << EAS_CLASS_CALENDAR : 0) |
						       (count > 9 ? 1U << EAS_CLASS_UNSAID : 0));
		eas_body_free(body);
	}
	CU_ASSERT_EQUAL(asked, 3);
}

static void test_poll_times(void)
{
	static const struct {
		enum eas_command command;
		enum eas_body_kind kind;
		uint32_t heartbeat_s;
		bool is_partial;
		uint32_t poll_time;
	} rows[] = {
		{EAS_PING, EAS_BODY_WBXML, 470, false, 470},
		{EAS_SYNC, EAS_BODY_WBXML, 900, false, 900},
		{EAS_SYNC, EAS_BODY_WBXML, 900, true, 900},
		{EAS_PING, EAS_BODY_WBXML, UINT32_MAX, false, 3540},
		{EAS_PING, EAS_BODY_NONE, 0, false, 3540},
		{EAS_SYNC, EAS_BODY_NONE, 0, false, 3540},
		/* The server knows what was left out. */
		{EAS_PING, EAS_BODY_WBXML, 0, false, 3540},
		{EAS_SYNC, EAS_BODY_WBXML, 0, true, 3540},
		{EAS_SYNC, EAS_BODY_WBXML, 0, false, 0},
		{EAS_FOLDER_SYNC, EAS_BODY_WBXML, 470, false, 0},
		{EAS_NO_COMMAND, EAS_BODY_NONE, 0, false, 0},
		{EAS_SEND_MAIL, EAS_BODY_MIME, 0, false, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct eas_body body = {
			.heartbeat_s = rows[i].heartbeat_s, .is_partial = rows[i].is_partial};

		CU_ASSERT_EQUAL(eas_body_poll_time(rows[i].command, rows[i].kind,
					rows[i].kind == EAS_BODY_WBXML ? &body : NULL),
			rows[i].poll_time);
	}
}

static void test_it_stays_small(void)
{
	struct wbxml_buffer document = sample_read("good", "ping-request", ".wbxml");
	struct eas_body *body = eas_body_new(&any);

	eas_body_feed(body, span_of_buffer(&document));
	CU_ASSERT_TRUE(eas_body_memory(body) <= 1400);
	eas_body_end(body);
	CU_ASSERT_TRUE(sizeof(struct eas_body) <= 512);
	CU_ASSERT_TRUE(eas_body_memory(body) <= sizeof(struct eas_body) + 8);
	eas_body_free(body);
	wbxml_buffer_free(&document);
}

/* However many and long the texts are, the arena is all that they get. */
static void test_texts_are_bounded(void)
{
	struct made made;
	struct eas_body *body;
	char text[2 * EAS_BODY_TEXT_MAX];

	memset(text, 'k', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	made_begin(&made, collection, 2);
	for (size_t i = 0; i < 1000; i++) {
		wbxml_write_start(&made.writer, WBXML_AIRSYNC_COLLECTION);
		wbxml_write_element(&made.writer, WBXML_AIRSYNC_SYNCKEY, text);
		wbxml_write_element(&made.writer, WBXML_AIRSYNC_COLLECTIONID, text);
		wbxml_write_end(&made.writer);
	}
	body = made_end(&made, 2, &any, REFUSAL_NONE);
	CU_ASSERT_EQUAL(body->collection_count, 1000);
	CU_ASSERT_TRUE(body->texts_are_cut);
	CU_ASSERT_TRUE(eas_body_memory(body) <= sizeof(*body) + EAS_BODY_TEXTS_MAX);
	eas_body_free(body);
}

/* Characters that a terminal or a log would act on, and bytes that are none, in opaque data. */
static void test_texts_are_printable(void)
{
	static const struct {
		const char *bytes, *shown;
	} rows[] = {
		{"plain 5", "plain 5"},
		{"\x1b[31m\x7f", "?[31m?"},
		{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x93\xb1", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x93\xb1"},
		{"\xc2\x9b"
		 "31m",
			"??31m"},
		{"\xff\xfe", "??"},
		{"\xc3", "?"},
		{"a\xe2\x82", "a??"},
		{"\xed\xa0\x80", "???"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct made made;
		struct eas_body *body;

		made_begin(&made, collection, 3);
		wbxml_write_start(&made.writer, WBXML_AIRSYNC_COLLECTIONID);
		wbxml_write_opaque(&made.writer, span_of_string(rows[i].bytes));
		wbxml_write_end(&made.writer);
		body = made_end(&made, 3, &any_answer, REFUSAL_NONE);
		CU_ASSERT_STRING_EQUAL(eas_body_collection_id(body, 0), rows[i].shown);
		eas_body_free(body);
	}
	/* What is cut is cut between characters. */
	for (size_t lead = 60; lead < 66; lead++) {
		struct made made;
		struct eas_body *body;
		char text[80];

		memset(text, 'x', sizeof(text));
		memcpy(text + lead, "\xe2\x82\xac\xe2\x82\xac", 7);
		made_begin(&made, collection, 3);
		wbxml_write_element(&made.writer, WBXML_AIRSYNC_COLLECTIONID, text);
		body = made_end(&made, 3, &any_answer, REFUSAL_NONE);
		CU_ASSERT_PTR_NULL(strchr(eas_body_collection_id(body, 0), '?'));
		CU_ASSERT_TRUE(strlen(eas_body_collection_id(body, 0)) >= 61);
		eas_body_free(body);
	}
}

static const struct check checks[] = {
	{"malformed samples are refused", test_malformed_samples_are_refused},
	{"a cut document is refused at its end", test_a_cut_document_is_refused_at_its_end},
	{"limits have a refusal of their own", test_limits_have_their_own_refusal},
	{"numbers are bounded", test_numbers_are_bounded},
	{"opaque and split strings count", test_opaque_and_split_strings_count},
	{"the place in the document counts", test_the_place_counts},
	{"collections are named within bounds", test_collections_are_named_within_bounds},
	{"collections beyond those named still tell their class",
		test_collections_beyond_those_named_still_tell_their_class},
	{"poll times follow from what was asked", test_poll_times},
	{"it stays small", test_it_stays_small},
	{"texts are bounded", test_texts_are_bounded},
	{"texts are printable", test_texts_are_printable},
};

int main(void)
{
	return check_run("proxy/eas_body", checks, sizeof(checks) / sizeof(checks[0]));
}
