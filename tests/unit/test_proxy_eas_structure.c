/* Which requests are refused for what they are, by command, version and strictness. */
#include "tests/unit/check.h"
#include "tests/unit/eas_body_shown.h"
#include "tests/unit/wbxml_samples.h"
#include "wbxml/writer.h"

static const char *fault_of(
	const struct eas_body_terms *terms, struct span document, uint8_t *status)
{
	const char *text = NULL;

	for (size_t piece = 1; piece <= document.len; piece += 1 + piece) {
		struct eas_body *body = body_fed(terms, document, piece);

		text = eas_body_fault_text(body);
		CU_ASSERT_EQUAL(text != NULL, eas_body_end(body) != REFUSAL_NONE);
		if (text != NULL) {
			CU_ASSERT_EQUAL(eas_body_end(body), REFUSAL_EAS_STRUCTURE);
			CU_ASSERT_EQUAL(body->structure, REFUSAL_EAS_STRUCTURE);
			CU_ASSERT_PTR_EQUAL(body->structure_text, text);
		}
		*status = body->structure_status;
		eas_body_free(body);
	}
	return text;
}

/* The samples whose WBXML is good and whose structure is not; those with no text are left to the
 * server, which has a status for them. */
static void test_malformed_samples(void)
{
	static const struct {
		const char *name;
		enum eas_command command;
		unsigned int version;
		const char *text;
		uint8_t status;
	} rows[] = {
		{"root-wrong", EAS_SYNC, 141, "the root is not the command's", 4},
		{"root-other-command", EAS_SYNC, 141, "the root is not the command's", 4},
		{"root-other-command", EAS_PING, 141, NULL, 0},
		{"schema-text-in-container", EAS_SYNC, 141,
			"text in an element that holds elements", 4},
		{"schema-element-in-text", EAS_SYNC, 141, "an element in one that holds text", 4},
		{"schema-double-synckey", EAS_SYNC, 141, "an element twice that may be there once",
			4},
		{"schema-missing-synckey", EAS_SYNC, 141, "Collection without SyncKey", 4},
		{"schema-wait-and-heartbeat", EAS_SYNC, 141, "Wait together with HeartbeatInterval",
			4},
		{"schema-heartbeat-text", EAS_PING, 141, "a number that is none, or too large", 4},
		{"schema-heartbeat-huge", EAS_PING, 141, "a number that is none, or too large", 4},
		{"schema-heartbeat-negative", EAS_PING, 141, "a number that is none, or too large",
			4},
		{"schema-ping-empty", EAS_PING, 141, NULL, 0},
		{"schema-policykey-long", EAS_PROVISION, 141, "a number that is none, or too large",
			2},
		{"schema-policytype-unknown", EAS_PROVISION, 141, NULL, 0},
		{"schema-wipe-in-request", EAS_PROVISION, 141, "RemoteWipe without Status", 2},
		{"schema-sendmail-no-mime", EAS_SEND_MAIL, 141, "SendMail without Mime", 0},
		{"schema-sendmail-clientid-long", EAS_SEND_MAIL, 141, "a text that is too long", 0},
		{"schema-forwardees-and-mime", EAS_SMART_FORWARD, 161,
			"Forwardees together with Mime", 178},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wbxml_buffer document = sample_read("malformed", rows[i].name, ".wbxml");
		struct eas_body_terms terms = {.kind = EAS_BODY_WBXML,
			.command = rows[i].command,
			.version = rows[i].version};
		uint8_t status = 0;
		const char *text = fault_of(&terms, span_of(document.data, document.len), &status);

		if ((text == NULL) != (rows[i].text == NULL) ||
			(text != NULL && strcmp(text, rows[i].text) != 0)) {
			printf("\n%s: %s", rows[i].name, text != NULL ? text : "accepted");
			CU_FAIL("another fault");
		}
		CU_ASSERT_EQUAL(status, rows[i].status);
		/* Where nothing is judged it passes. */
		terms.judges_nothing = true;
		CU_ASSERT_PTR_NULL(fault_of(&terms, span_of(document.data, document.len), &status));
		wbxml_buffer_free(&document);
	}
}

/* Documents made here. */
struct made {
	struct wbxml_buffer buffer;
	struct wbxml_writer writer;
	size_t depth;
};

static void made_begin(struct made *made, const uint16_t *path)
{
	*made = (struct made){.buffer = {.limit = 1 << 20}};
	wbxml_write_header(&made->writer, &made->buffer);
	for (; path[made->depth] != 0; made->depth++)
		wbxml_write_start(&made->writer, path[made->depth]);
}

static const char *made_fault(
	struct made *made, enum eas_command command, unsigned int version, uint8_t *status)
{
	const struct eas_body_terms terms = {
		.kind = EAS_BODY_WBXML, .command = command, .version = version};
	struct eas_body *body;
	const char *text;

	for (; made->depth > 0; made->depth--)
		wbxml_write_end(&made->writer);
	CU_ASSERT_FALSE(made->buffer.has_failed);
	body = body_fed(&terms, span_of(made->buffer.data, made->buffer.len), 1000);
	text = eas_body_fault_text(body);
	*status = body->structure_status;
	eas_body_free(body);
	wbxml_buffer_free(&made->buffer);
	return text;
}

struct element {
	uint16_t tag;
	const char *text;
};

/* What a server counts, and answers when it is too much. */
static void test_limits_of_elements(void)
{
	static const struct {
		struct element inside[3];
		size_t max;
		enum eas_command command;
		uint16_t path[5]; /* around the elements that are counted, which is the last one */
		uint8_t status;
	} rows[] = {
		{{{WBXML_MOVE_SRCMSGID, "1"}, {WBXML_MOVE_SRCFLDID, "1"},
			 {WBXML_MOVE_DSTFLDID, "2"}},
			1000, EAS_MOVE_ITEMS, {WBXML_MOVE_MOVEITEMS, WBXML_MOVE_MOVE}, 0},
		{{{WBXML_MEETINGRESPONSE_USERRESPONSE, "1"}}, 100, EAS_MEETING_RESPONSE,
			{WBXML_MEETINGRESPONSE_MEETINGRESPONSE, WBXML_MEETINGRESPONSE_REQUEST}, 0},
		{{{WBXML_GETITEMESTIMATE_COLLECTIONID, "1"}, {WBXML_AIRSYNC_SYNCKEY, "1"}}, 5000,
			EAS_GET_ITEM_ESTIMATE,
			{WBXML_GETITEMESTIMATE_GETITEMESTIMATE, WBXML_GETITEMESTIMATE_COLLECTIONS,
				WBXML_GETITEMESTIMATE_COLLECTION},
			0},
		{{{WBXML_ITEMOPERATIONS_STORE, "Mailbox"}, {WBXML_SEARCH_LONGID, "1"}}, 100,
			EAS_ITEM_OPERATIONS,
			{WBXML_ITEMOPERATIONS_ITEMOPERATIONS, WBXML_ITEMOPERATIONS_FETCH}, 2},
		{{{0, NULL}}, 100, EAS_RESOLVE_RECIPIENTS,
			{WBXML_RESOLVERECIPIENTS_RESOLVERECIPIENTS, WBXML_RESOLVERECIPIENTS_TO}, 5},
		{{{0, NULL}}, 100, EAS_VALIDATE_CERT,
			{WBXML_VALIDATECERT_VALIDATECERT, WBXML_VALIDATECERT_CERTIFICATES,
				WBXML_VALIDATECERT_CERTIFICATE},
			2},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t count = rows[i].max; count <= rows[i].max + 1; count++) {
			uint16_t around[5] = {0};
			size_t depth = 0;
			struct made made;
			uint8_t status;
			const char *text;

			while (rows[i].path[depth + 1] != 0) {
				around[depth] = rows[i].path[depth];
				depth++;
			}
			made_begin(&made, around);
			for (size_t n = 0; n < count; n++) {
				wbxml_write_start(&made.writer, rows[i].path[depth]);
				for (size_t k = 0; k < 3 && rows[i].inside[k].tag != 0; k++)
					wbxml_write_element(&made.writer, rows[i].inside[k].tag,
						rows[i].inside[k].text);
				wbxml_write_end(&made.writer);
			}
			text = made_fault(&made, rows[i].command, 161, &status);
			CU_ASSERT_EQUAL(text != NULL, count > rows[i].max);
			CU_ASSERT_EQUAL(status, count > rows[i].max ? rows[i].status : 0);
			if (text != NULL)
				CU_ASSERT_PTR_NOT_NULL(strstr(text, "more than"));
		}
}

/* Of all collections together, and of all four kinds. */
static void test_commands_of_a_sync_are_counted_together(void)
{
	static const uint16_t around[] = {WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_COLLECTIONS, 0};

	for (size_t count = 100; count <= 101; count++) {
		struct made made;
		uint8_t status;
		const char *text;

		made_begin(&made, around);
		for (size_t folder = 0; folder < 2; folder++) {
			wbxml_write_start(&made.writer, WBXML_AIRSYNC_COLLECTION);
			wbxml_write_element(&made.writer, WBXML_AIRSYNC_SYNCKEY, "1");
			wbxml_write_element(&made.writer, WBXML_AIRSYNC_COLLECTIONID, "5");
			wbxml_write_start(&made.writer, WBXML_AIRSYNC_COMMANDS);
			for (size_t n = 0; n < (folder == 0 ? count : 100); n++) {
				wbxml_write_start(&made.writer,
					n % 2 == 0 ? WBXML_AIRSYNC_DELETE : WBXML_AIRSYNC_FETCH);
				wbxml_write_element(&made.writer, WBXML_AIRSYNC_SERVERID, "5:1");
				wbxml_write_end(&made.writer);
			}
			wbxml_write_end(&made.writer);
			wbxml_write_end(&made.writer);
		}
		text = made_fault(&made, EAS_SYNC, 141, &status);
		CU_ASSERT_EQUAL(text != NULL, count == 101);
		CU_ASSERT_EQUAL(status, count == 101 ? 4 : 0);
	}
}

/* What is missing depends on the version. */
static void test_what_must_be_there(void)
{
	static const struct {
		enum eas_command command;
		unsigned int version;
		uint16_t path[4];
		struct element inside[4];
		const char *text;
		uint8_t status;
	} rows[] = {
		/* Phones of before 12.1 named their only calendar by its class. */
		{EAS_SYNC, 120,
			{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_COLLECTIONS, WBXML_AIRSYNC_COLLECTION},
			{{WBXML_AIRSYNC_CLASS, "Calendar"}, {WBXML_AIRSYNC_SYNCKEY, "0"}}, NULL, 0},
		{EAS_SYNC, 121,
			{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_COLLECTIONS, WBXML_AIRSYNC_COLLECTION},
			{{WBXML_AIRSYNC_CLASS, "Calendar"}, {WBXML_AIRSYNC_SYNCKEY, "0"}},
			"Collection without CollectionId", 4},
		/* From 16.0 a reply may say all in elements. */
		{EAS_SMART_REPLY, 141, {WBXML_COMPOSEMAIL_SMARTREPLY},
			{{WBXML_COMPOSEMAIL_CLIENTID, "1"}, {WBXML_COMPOSEMAIL_SOURCE, NULL}},
			"SmartReply without Mime", 0},
		{EAS_SMART_REPLY, 160, {WBXML_COMPOSEMAIL_SMARTREPLY},
			{{WBXML_COMPOSEMAIL_CLIENTID, "1"}, {WBXML_COMPOSEMAIL_SOURCE, NULL}}, NULL,
			0},
		{EAS_SMART_REPLY, 160, {WBXML_COMPOSEMAIL_SMARTREPLY},
			{{WBXML_COMPOSEMAIL_CLIENTID, "1"}}, "SmartReply without Source", 0},
		{EAS_FOLDER_SYNC, 141, {WBXML_FOLDERHIERARCHY_FOLDERSYNC}, {{0, NULL}},
			"FolderSync without SyncKey", 10},
		{EAS_FOLDER_DELETE, 141, {WBXML_FOLDERHIERARCHY_FOLDERDELETE},
			{{WBXML_FOLDERHIERARCHY_SYNCKEY, "1"}}, "FolderDelete without ServerId",
			10},
		{EAS_SEARCH, 141, {WBXML_SEARCH_SEARCH, WBXML_SEARCH_STORE},
			{{WBXML_SEARCH_NAME, "GAL"}}, "Store without Query", 0},
		{EAS_ITEM_OPERATIONS, 141,
			{WBXML_ITEMOPERATIONS_ITEMOPERATIONS, WBXML_ITEMOPERATIONS_FETCH},
			{{WBXML_ITEMOPERATIONS_STORE, "Mailbox"}},
			"Fetch without one of ServerId, LongId, FileReference, LinkId", 2},
		{EAS_ITEM_OPERATIONS, 141,
			{WBXML_ITEMOPERATIONS_ITEMOPERATIONS, WBXML_ITEMOPERATIONS_FETCH},
			{{WBXML_ITEMOPERATIONS_STORE, "Mailbox"},
				{WBXML_AIRSYNCBASE_FILEREFERENCE, "1"}},
			NULL, 0},
		{EAS_PROVISION, 141, {WBXML_PROVISION_PROVISION}, {{0, NULL}}, NULL, 0},
		{EAS_FIND, 161, {WBXML_FIND_FIND}, {{WBXML_FIND_SEARCHID, "1"}},
			"Find without ExecuteSearch", 2},
		/* A withdrawn command: its root is not known. */
		{EAS_CREATE_COLLECTION, 25, {WBXML_FOLDERHIERARCHY_FOLDERCREATE},
			{{WBXML_FOLDERHIERARCHY_SYNCKEY, "1"},
				{WBXML_FOLDERHIERARCHY_PARENTID, "0"},
				{WBXML_FOLDERHIERARCHY_DISPLAYNAME, "x"},
				{WBXML_FOLDERHIERARCHY_TYPE, "1"}},
			NULL, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct made made;
		uint8_t status;
		const char *text;

		made_begin(&made, rows[i].path);
		for (size_t k = 0; k < 4 && rows[i].inside[k].tag != 0; k++)
			wbxml_write_element(
				&made.writer, rows[i].inside[k].tag, rows[i].inside[k].text);
		text = made_fault(&made, rows[i].command, rows[i].version, &status);
		if ((text == NULL) != (rows[i].text == NULL) ||
			(text != NULL && strcmp(text, rows[i].text) != 0)) {
			printf("\nrow %zu: %s", i, text != NULL ? text : "accepted");
			CU_FAIL("another fault");
		}
		CU_ASSERT_EQUAL(status, rows[i].status);
	}
}

struct leniency {
	const char *text; /* when it is strict; lenient lets all of them pass */
	uint32_t unknown, later;
};

static void check_leniency(
	struct span document, const struct eas_body_terms *terms, const struct leniency *wanted)
{
	struct eas_body_terms strict = *terms;
	struct eas_body *body = body_fed(terms, document, 3);

	CU_ASSERT_EQUAL(eas_body_end(body), REFUSAL_NONE);
	CU_ASSERT_EQUAL(body->unknown_tags, wanted->unknown);
	CU_ASSERT_EQUAL(body->later_tags, wanted->later);
	eas_body_free(body);
	strict.is_strict = true;
	body = body_fed(&strict, document, 3);
	if (wanted->text == NULL) {
		CU_ASSERT_PTR_NULL(eas_body_fault_text(body));
	} else {
		CU_ASSERT_EQUAL(eas_body_end(body), REFUSAL_EAS_STRUCTURE);
		CU_ASSERT_STRING_EQUAL(eas_body_fault_text(body), wanted->text);
	}
	eas_body_free(body);
}

static void test_unknown_and_later_elements(void)
{
	/* Ping with a tag 0x3E that page 13 does not have, twice, with content and empty. */
	static const uint8_t unknown[] = {3, 1, 0x6a, 0, 0, 13, 0x45, 0x48, 3, '6', '0', 0, 1, 0x7e,
		3, 'x', 0, 0x48, 1, 1, 0x3e, 1};
	/* A page that nobody has is malformed however lenient we are. */
	static const uint8_t page[] = {3, 1, 0x6a, 0, 0, 26, 0x45, 1};
	const struct eas_body_terms ping = {
		.kind = EAS_BODY_WBXML, .command = EAS_PING, .version = 141};
	struct eas_body_terms known = ping;
	struct wbxml_buffer find = sample_read("malformed", "schema-version-token", ".wbxml");
	struct wbxml_buffer info = sample_read("good", "provision-initial-request-141", ".wbxml");
	struct eas_body_terms terms = {
		.kind = EAS_BODY_WBXML, .command = EAS_NO_COMMAND, .version = 141};
	struct eas_body *body;

	check_leniency(span_of(unknown, sizeof(unknown)), &ping,
		&(struct leniency){"a tag that is in no protocol version", 2, 0});
	/* Who needs names for all of them takes none without. */
	known.needs_known_tags = true;
	body = body_fed(&known, span_of(unknown, sizeof(unknown)), 3);
	CU_ASSERT_EQUAL(eas_body_end(body), REFUSAL_WBXML_MALFORMED);
	eas_body_free(body);
	body = body_fed(&ping, span_of(page, sizeof(page)), 3);
	CU_ASSERT_EQUAL(eas_body_end(body), REFUSAL_WBXML_MALFORMED);
	eas_body_free(body);
	/* The tags exist in 12.1, but not at this place. */
	terms.command = EAS_PROVISION;
	terms.version = 121;
	check_leniency(span_of(info.data, info.len), &terms,
		&(struct leniency){"an element of a later protocol version", 0, 1});
	terms.version = 141;
	check_leniency(span_of(info.data, info.len), &terms, &(struct leniency){NULL, 0, 0});
	wbxml_buffer_free(&find);
	wbxml_buffer_free(&info);
}

static const struct check checks[] = {
	{"malformed samples are refused with the command's status", test_malformed_samples},
	{"elements are counted where servers count", test_limits_of_elements},
	{"the commands of a Sync are counted together",
		test_commands_of_a_sync_are_counted_together},
	{"what must be there depends on command and version", test_what_must_be_there},
	{"unknown and later elements pass and are counted, or not when strict",
		test_unknown_and_later_elements},
};

int main(void)
{
	return check_run("proxy/eas_structure", checks, sizeof(checks) / sizeof(checks[0]));
}
