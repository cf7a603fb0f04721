/* What a room makes of the requests of phones: samples, read as they pass. */
#include "proxy/room_question.h"
#include "tests/unit/check.h"
#include "tests/unit/wbxml_samples.h"

/* Reads the sample and asks; the body is for eas_body_free(). */
static struct eas_body *ask(
	const char *sample, enum eas_command command, struct room_question *question)
{
	const struct eas_request request = {
		.command = command, .version = 161, .has_policy_key = true};
	const struct eas_body_terms terms = {
		.kind = EAS_BODY_WBXML, .command = command, .version = 161};
	struct wbxml_buffer document = sample_read("good", sample, ".wbxml");
	struct eas_body *body = eas_body_new(&terms);

	CU_ASSERT_PTR_NOT_NULL_FATAL(body);
	CU_ASSERT_EQUAL(eas_body_feed(body, span_of(document.data, document.len)), REFUSAL_NONE);
	CU_ASSERT_EQUAL(eas_body_end(body), REFUSAL_NONE);
	*question = room_question_of(&request, false, body);
	CU_ASSERT_EQUAL(question->command, command);
	CU_ASSERT_TRUE(question->has_body);
	CU_ASSERT_TRUE(question->has_policy_key);
	wbxml_buffer_free(&document);
	return body;
}

static void test_provision_in_all_its_forms(void)
{
	static const struct {
		const char *sample;
		bool has_device_info, acknowledges_key;
		enum room_wipe_kind acknowledged;
		uint32_t status;
	} rows[] = {
		{"provision-empty-request", false, false, ROOM_WIPE_NONE, 0},
		{"provision-initial-request-121", false, false, ROOM_WIPE_NONE, 0},
		{"provision-initial-request-141", true, false, ROOM_WIPE_NONE, 0},
		{"provision-ack-request", false, true, ROOM_WIPE_NONE, 0},
		{"provision-remotewipe-ack-request", false, false, ROOM_WIPE_DEVICE, 1},
		{"provision-accountwipe-ack-request", false, false, ROOM_WIPE_ACCOUNT, 1},
		{"provision-accountwipe-failed-request", false, false, ROOM_WIPE_ACCOUNT, 2},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct room_question question;
		struct eas_body *body = ask(rows[i].sample, EAS_PROVISION, &question);

		CU_ASSERT_EQUAL(question.has_device_info, rows[i].has_device_info);
		CU_ASSERT_EQUAL(question.acknowledges_key, rows[i].acknowledges_key);
		CU_ASSERT_EQUAL(question.acknowledged, rows[i].acknowledged);
		CU_ASSERT_EQUAL(question.acknowledged_status, rows[i].status);
		eas_body_free(body);
	}
}

static bool is_text(struct span text, const char *wanted)
{
	return span_equal(text, span_of_string(wanted));
}

static void test_folders_and_keys(void)
{
	struct room_question question;
	struct eas_body *body = ask("foldersync-initial-request", EAS_FOLDER_SYNC, &question);

	CU_ASSERT_TRUE(is_text(question.folder_key, "0"));
	eas_body_free(body);
	body = ask("sync-initial-request-141", EAS_SYNC, &question);
	CU_ASSERT_EQUAL(question.collection_count, 1);
	CU_ASSERT_TRUE(is_text(question.collections[0].id, "5"));
	CU_ASSERT_TRUE(is_text(question.collections[0].key, "0"));
	eas_body_free(body);
	body = ask("getitemestimate-request-121", EAS_GET_ITEM_ESTIMATE, &question);
	CU_ASSERT_EQUAL(question.collection_count, 1);
	CU_ASSERT_TRUE(is_text(question.collections[0].id, "5"));
	CU_ASSERT_TRUE(is_text(question.collections[0].key, "9"));
	eas_body_free(body);
	body = ask("ping-request", EAS_PING, &question);
	CU_ASSERT_TRUE(question.heartbeat_s > 0);
	CU_ASSERT_TRUE(question.collection_count > 0);
	eas_body_free(body);
}

static void test_settings_and_items(void)
{
	struct room_question question;
	struct eas_body *body = ask("settings-deviceinformation-request", EAS_SETTINGS, &question);

	CU_ASSERT_TRUE(question.has_device_info);
	CU_ASSERT_FALSE(question.asks_user_info);
	eas_body_free(body);
	body = ask("settings-userinformation-request", EAS_SETTINGS, &question);
	CU_ASSERT_TRUE(question.asks_user_info);
	CU_ASSERT_FALSE(question.has_device_info);
	eas_body_free(body);
	body = ask("settings-oof-get-request", EAS_SETTINGS, &question);
	CU_ASSERT_TRUE(question.asks_oof);
	eas_body_free(body);
	body = ask("settings-devicepassword-request", EAS_SETTINGS, &question);
	CU_ASSERT_TRUE(question.has_password);
	eas_body_free(body);
	body = ask("itemoperations-mail-request", EAS_ITEM_OPERATIONS, &question);
	CU_ASSERT_TRUE(question.fetches > 0);
	CU_ASSERT_TRUE(is_text(question.collections[0].id, "5"));
	eas_body_free(body);
	body = ask("itemoperations-empty-request", EAS_ITEM_OPERATIONS, &question);
	CU_ASSERT_EQUAL(question.fetches, 0);
	eas_body_free(body);
	body = ask("sync-client-changes-request", EAS_SYNC, &question);
	CU_ASSERT_TRUE(question.adds > 0);
	CU_ASSERT_TRUE(question.other_changes > 0);
	eas_body_free(body);
}

static void test_a_request_without_a_body(void)
{
	const struct eas_request request = {.command = EAS_PING, .version = 121};
	struct room_question question = room_question_of(&request, false, NULL);

	CU_ASSERT_FALSE(question.has_body);
	CU_ASSERT_FALSE(question.has_policy_key);
	CU_ASSERT_EQUAL(question.collection_count, 0);
	CU_ASSERT_EQUAL(question.folder_key.len, 0);
}

static const struct check checks[] = {
	{"Provision in all its forms", test_provision_in_all_its_forms},
	{"folders and keys", test_folders_and_keys},
	{"Settings and items", test_settings_and_items},
	{"a request without a body", test_a_request_without_a_body},
};

int main(void)
{
	return check_run("proxy/room_question", checks, sizeof(checks) / sizeof(checks[0]));
}
