/* What is seen in a body while it passes, in pieces of any size. */
#include <stdlib.h>

#include "proxy/eas_body.h"
#include "tests/unit/check.h"
#include "wbxml/writer.h"

/* A sample document; the caller frees data. */
static struct span sample_read(const char *name)
{
	char path[500];
	uint8_t *data = malloc(200000);
	FILE *file;
	size_t len;

	snprintf(path, sizeof(path), TEST_DATA_DIR "/wbxml/%s.wbxml", name);
	file = fopen(path, "rb");
	if (file == NULL)
		printf("\n    no %s", path);
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	len = fread(data, 1, 200000, file);
	fclose(file);
	CU_ASSERT_TRUE(len < 200000);
	return span_of(data, len);
}

static const struct eas_body_terms any = {.kind = EAS_BODY_WBXML, .command = EAS_NO_COMMAND};

/* Feeds the document in pieces of this size, each in memory of its own; the body is for
 * eas_body_free(). */
static struct eas_body *body_fed(const struct eas_body_terms *terms, struct span document,
	size_t piece, enum refusal *refusal)
{
	struct eas_body *body = eas_body_new(terms);

	CU_ASSERT_PTR_NOT_NULL_FATAL(body);
	*refusal = REFUSAL_NONE;
	for (size_t at = 0; at < document.len && *refusal == REFUSAL_NONE; at += piece) {
		size_t len = document.len - at < piece ? document.len - at : piece;
		uint8_t *copy = malloc(len);

		memcpy(copy, document.data + at, len);
		*refusal = eas_body_feed(body, span_of(copy, len));
		free(copy);
	}
	if (*refusal != REFUSAL_NONE)
		CU_ASSERT_EQUAL(eas_body_feed(body, span_of("x", 1)), *refusal);
	*refusal = eas_body_end(body);
	CU_ASSERT_EQUAL(eas_body_end(body), *refusal);
	CU_ASSERT_EQUAL(body->is_whole, *refusal == REFUSAL_NONE);
	return body;
}

static enum refusal refusal_of(
	const struct eas_body_terms *terms, struct span document, size_t piece)
{
	enum refusal refusal;

	eas_body_free(body_fed(terms, document, piece, &refusal));
	return refusal;
}

static void test_samples(void)
{
	static const struct {
		const char *name;
		uint32_t root, status, heartbeat_s, collection_count, item_count, policy_key;
		const char *collections[2];
		bool has_more, is_partial;
	} rows[] = {
		{"sync-wait-request", WBXML_AIRSYNC_SYNC, 0, 900, 1, 0, 0, {"5"}, false, true},
		{"sync-heartbeat-request", WBXML_AIRSYNC_SYNC, 0, 3540, 1, 0, 0, {"5"}, false,
			false},
		{"sync-client-changes-request", WBXML_AIRSYNC_SYNC, 0, 0, 1, 4, 0, {"2"}, false,
			false},
		{"sync-client-changes-response", WBXML_AIRSYNC_SYNC, 0, 0, 1, 3, 0, {"2"}, false,
			false},
		{"sync-add-email-response", WBXML_AIRSYNC_SYNC, 0, 0, 1, 1, 0, {"5"}, true, false},
		{"sync-limit-response", WBXML_AIRSYNC_SYNC, 14, 0, 0, 0, 0, {NULL}, false, false},
		{"sync-status142-response", WBXML_AIRSYNC_SYNC, 142, 0, 0, 0, 0, {NULL}, false,
			false},
		{"ping-request", WBXML_PING_PING, 0, 470, 2, 0, 0, {"5", "1"}, false, false},
		{"ping-interval-only-request", WBXML_PING_PING, 0, 900, 0, 0, 0, {NULL}, false,
			false},
		{"ping-changes-response", WBXML_PING_PING, 2, 0, 2, 0, 0, {"5", "1"}, false, false},
		{"ping-interval-response", WBXML_PING_PING, 5, 60, 0, 0, 0, {NULL}, false, false},
		{"getitemestimate-request", WBXML_GETITEMESTIMATE_GETITEMESTIMATE, 0, 0, 1, 0, 0,
			{"5"}, false, false},
		{"foldersync-status129-response", WBXML_FOLDERHIERARCHY_FOLDERSYNC, 129, 0, 0, 0, 0,
			{NULL}, false, false},
		{"sendmail-error-response", WBXML_COMPOSEMAIL_SENDMAIL, 120, 0, 0, 0, 0, {NULL},
			false, false},
		{"provision-initial-response", WBXML_PROVISION_PROVISION, 1, 0, 0, 0, 1307199584,
			{NULL}, false, false},
		{"provision-ack-response", WBXML_PROVISION_PROVISION, 1, 0, 0, 0, 3942919513u,
			{NULL}, false, false},
		{"provision-error-response", WBXML_PROVISION_PROVISION, 165, 0, 0, 0, 0, {NULL},
			false, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char name[100];
		struct span document;

		snprintf(name, sizeof(name), "good/%s", rows[i].name);
		document = sample_read(name);
		for (size_t piece = 1; piece <= document.len; piece += 1 + piece / 4) {
			enum refusal refusal;
			struct eas_body *body = body_fed(&any, document, piece, &refusal);

			CU_ASSERT_EQUAL(refusal, REFUSAL_NONE);
			CU_ASSERT_EQUAL(body->root, rows[i].root);
			CU_ASSERT_EQUAL(body->status, rows[i].status);
			CU_ASSERT_EQUAL(body->heartbeat_s, rows[i].heartbeat_s);
			CU_ASSERT_EQUAL(body->collection_count, rows[i].collection_count);
			CU_ASSERT_EQUAL(eas_body_items(body), rows[i].item_count);
			CU_ASSERT_EQUAL(body->provision_policy_key, rows[i].policy_key);
			CU_ASSERT_EQUAL(body->has_more, rows[i].has_more);
			CU_ASSERT_EQUAL(body->is_partial, rows[i].is_partial);
			for (size_t j = 0; j < 2 && rows[i].collections[j] != NULL; j++)
				CU_ASSERT_STRING_EQUAL(
					eas_body_collection_id(body, j), rows[i].collections[j]);
			eas_body_free(body);
		}
		free((void *)document.data);
	}
}

static void test_malformed_samples_are_refused(void)
{
	static const char *const names[] = {
		"body-end-first", "body-extra-end", "body-string-before-root"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char name[100];
		struct span document;

		snprintf(name, sizeof(name), "malformed/%s", names[i]);
		document = sample_read(name);
		CU_ASSERT_EQUAL(refusal_of(&any, document, 1), REFUSAL_WBXML_MALFORMED);
		CU_ASSERT_EQUAL(refusal_of(&any, document, 1000), REFUSAL_WBXML_MALFORMED);
		free((void *)document.data);
	}
}

static void test_a_cut_document_is_refused_at_its_end(void)
{
	struct span document = sample_read("good/ping-request");

	for (size_t len = 0; len < document.len; len++)
		CU_ASSERT_EQUAL(refusal_of(&any, span_of(document.data, len), 1000),
			REFUSAL_WBXML_MALFORMED);
	free((void *)document.data);
}

static void test_limits_have_their_own_refusal(void)
{
	struct span document = sample_read("good/ping-request");
	struct eas_body_terms shallow = any;
	struct eas_body_terms few = any;

	shallow.limits = (struct wbxml_limits){.depth = 3, .elements = 100};
	few.limits = (struct wbxml_limits){.depth = 10, .elements = 5};
	CU_ASSERT_EQUAL(refusal_of(&shallow, document, 1000), REFUSAL_WBXML_LIMIT);
	CU_ASSERT_EQUAL(refusal_of(&few, document, 1000), REFUSAL_WBXML_LIMIT);
	free((void *)document.data);
}

/* Documents made here: path from the root down, then the text. */
struct made {
	struct wbxml_buffer buffer;
	struct wbxml_writer writer;
};

static void made_begin(struct made *made, const uint16_t *path, size_t depth)
{
	*made = (struct made){.buffer = {.limit = 100000}};
	wbxml_write_header(&made->writer, &made->buffer);
	for (size_t i = 0; i < depth; i++)
		wbxml_write_start(&made->writer, path[i]);
}

/* The body is for eas_body_free(). */
static struct eas_body *made_end(struct made *made, size_t depth)
{
	struct eas_body *body;
	enum refusal refusal;

	for (size_t i = 0; i < depth; i++)
		wbxml_write_end(&made->writer);
	CU_ASSERT_FALSE(made->buffer.has_failed);
	body = body_fed(&any, span_of(made->buffer.data, made->buffer.len), 3, &refusal);
	CU_ASSERT_EQUAL(refusal, REFUSAL_NONE);
	wbxml_buffer_free(&made->buffer);
	return body;
}

static const uint16_t ping[] = {WBXML_PING_PING};
static const uint16_t sync[] = {WBXML_AIRSYNC_SYNC};
static const uint16_t collection[] = {
	WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_COLLECTIONS, WBXML_AIRSYNC_COLLECTION};

static uint32_t heartbeat_of(
	const uint16_t *root, uint16_t tag, const char *first, const char *second)
{
	struct made made;
	struct eas_body *body;
	uint32_t seconds;

	made_begin(&made, root, 1);
	wbxml_write_element(&made.writer, tag, first);
	if (second != NULL)
		wbxml_write_element(&made.writer, tag, second);
	body = made_end(&made, 1);
	seconds = body->heartbeat_s;
	eas_body_free(body);
	return seconds;
}

static void test_numbers_are_bounded(void)
{
	static const struct {
		const char *text;
		uint32_t heartbeat_s, wait_s;
	} rows[] = {
		{"60", 60, 3600},
		{"0060", 60, 3600},
		{"0", 0, 0},
		{"", 0, 0},
		{"-1", 0, 0},
		{"+1", 0, 0},
		{" 60", 0, 0},
		{"60 ", 0, 0},
		{"6x", 0, 0},
		{"1e3", 0, 0},
		{"4294967295", UINT32_MAX, UINT32_MAX},
		{"4294967296", 0, 0},
		{"18446744073709551676", 0, 0},
		{"00000000000000000000000000000000000000000000000000000000000000600", 600, 36000},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CU_ASSERT_EQUAL(
			heartbeat_of(ping, WBXML_PING_HEARTBEATINTERVAL, rows[i].text, NULL),
			rows[i].heartbeat_s);
		CU_ASSERT_EQUAL(
			heartbeat_of(sync, WBXML_AIRSYNC_WAIT, rows[i].text, NULL), rows[i].wait_s);
	}
	CU_ASSERT_EQUAL(heartbeat_of(ping, WBXML_PING_HEARTBEATINTERVAL, "100", "60"), 100);
	CU_ASSERT_EQUAL(heartbeat_of(ping, WBXML_PING_HEARTBEATINTERVAL, "60", "100"), 100);
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
	body = made_end(&made, 1);
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
	body = made_end(&made, 3);
	CU_ASSERT_EQUAL(body->status, 0);
	CU_ASSERT_EQUAL(body->heartbeat_s, 0);
	eas_body_free(body);
	/* The status of another page, and another command's. */
	made_begin(&made, sync, 1);
	wbxml_write_element(&made.writer, WBXML_PING_STATUS, "2");
	wbxml_write_element(&made.writer, WBXML_FOLDERHIERARCHY_STATUS, "2");
	body = made_end(&made, 1);
	CU_ASSERT_EQUAL(body->status, 0);
	eas_body_free(body);
	/* The first one counts. */
	made_begin(&made, sync, 1);
	wbxml_write_element(&made.writer, WBXML_AIRSYNC_STATUS, "140");
	wbxml_write_element(&made.writer, WBXML_AIRSYNC_STATUS, "1");
	body = made_end(&made, 1);
	CU_ASSERT_EQUAL(body->status, 140);
	eas_body_free(body);
}

static void test_collections_are_named_within_bounds(void)
{
	static const char *const names[] = {"a\t[0m\xc3\xa4", "", "b", "c", "d", "e", "f"};
	char long_name[200];
	struct made made;
	struct eas_body *body;

	made_begin(&made, collection, 2);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		wbxml_write_start(&made.writer, WBXML_AIRSYNC_COLLECTION);
		wbxml_write_element(&made.writer, WBXML_AIRSYNC_COLLECTIONID, names[i]);
		wbxml_write_end(&made.writer);
	}
	body = made_end(&made, 2);
	CU_ASSERT_EQUAL(body->collection_count, 6);
	CU_ASSERT_STRING_EQUAL(eas_body_collection_id(body, 0), "a?[0m\xc3\xa4");
	CU_ASSERT_STRING_EQUAL(eas_body_collection_id(body, 1), "b");
	CU_ASSERT_STRING_EQUAL(eas_body_collection_id(body, 3), "d");
	eas_body_free(body);
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	made_begin(&made, collection, 3);
	wbxml_write_element(&made.writer, WBXML_AIRSYNC_COLLECTIONID, long_name);
	body = made_end(&made, 3);
	CU_ASSERT_EQUAL(strlen(eas_body_collection_id(body, 0)), EAS_COLLECTION_NAME_MAX);
	CU_ASSERT_TRUE(body->texts_are_cut);
	eas_body_free(body);
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
	struct span document = sample_read("good/ping-request");
	enum refusal refusal;
	struct eas_body *body = body_fed(&any, document, document.len, &refusal);

	CU_ASSERT_TRUE(sizeof(struct eas_body) <= 512);
	CU_ASSERT_TRUE(eas_body_memory(body) <= sizeof(struct eas_body) + 32);
	eas_body_free(body);
	free((void *)document.data);
}

static const struct check checks[] = {
	{"samples show what they hold, in pieces of any size", test_samples},
	{"malformed samples are refused", test_malformed_samples_are_refused},
	{"a cut document is refused at its end", test_a_cut_document_is_refused_at_its_end},
	{"limits have a refusal of their own", test_limits_have_their_own_refusal},
	{"numbers are bounded", test_numbers_are_bounded},
	{"opaque and split strings count", test_opaque_and_split_strings_count},
	{"the place in the document counts", test_the_place_counts},
	{"collections are named within bounds", test_collections_are_named_within_bounds},
	{"poll times follow from what was asked", test_poll_times},
	{"it stays small", test_it_stays_small},
};

int main(void)
{
	return check_run("proxy/eas_body", checks, sizeof(checks) / sizeof(checks[0]));
}
