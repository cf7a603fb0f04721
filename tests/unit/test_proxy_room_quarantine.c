/* What a phone in quarantine sees, as XML, and what has it start over once it is let in. */
#include "proxy/room_quarantine_reply.h"
#include "tests/unit/check.h"
#include "wbxml/xml.h"

#include <stdio.h>
#include <string.h>

static const struct room_message message = {
	.mailbox = "anna@example.com",
	.from = "postmaster@example.com",
	.subject = "Not yet",
	.text = "Call 4711.",
	.received = 1795424400, /* 2026-11-23T09:00:00Z */
};

#define KEY(n) "{easproxy}" #n

static struct room_question ask(enum eas_command command)
{
	return (struct room_question){
		.command = command, .version = 161, .has_body = true, .has_policy_key = true};
}

static void add_collection(struct room_question *question, const char *id, const char *key)
{
	if (question->collection_count < ROOM_COLLECTIONS_MAX)
		question->collections[question->collection_count] = (struct room_collection){
			.id = span_of_string(id), .key = span_of_string(key)};
	question->collection_count++;
}

/* The document as XML. */
static void xml_of(const struct room_reply *reply, char *text, size_t size)
{
	static const struct wbxml_xml_options options = {
		.dialect = WBXML_DIALECT_EXACT, .limits = {.depth = 32, .elements = 1000}};
	struct wbxml_buffer xml = {.limit = 1 << 16};
	struct error err = {""};

	text[0] = '\0';
	CU_ASSERT_FALSE(reply->document.has_failed);
	if (wbxml_to_xml(
		    span_of(reply->document.data, reply->document.len), &options, &xml, &err) == 0)
		snprintf(text, size, "%.*s", (int)xml.len, (const char *)xml.data);
	else
		CU_FAIL("not WBXML");
	wbxml_buffer_free(&xml);
}

static void check_answer(const struct room_question *question, const char *wanted)
{
	struct room_reply reply = {0};
	char text[8192];
	const char *body;

	room_quarantine_reply(&message, question, false, &reply);
	CU_ASSERT_EQUAL(reply.outcome, ROOM_ANSWER);
	xml_of(&reply, text, sizeof(text));
	body = strstr(text, "?>");
	body = body != NULL ? body + 2 : text;
	body += strspn(body, "\r\n");
	if (strncmp(body, wanted, strlen(wanted)) != 0) {
		printf("\n  is     %s\n  wanted %s\n", body, wanted);
		CU_FAIL("another answer");
	}
	room_reply_free(&reply);
}

static void test_there_is_no_policy_for_it(void)
{
	struct room_question question = ask(EAS_PROVISION);

	question.has_device_info = true;
	check_answer(&question,
		"<Provision xmlns=\"Provision\"><DeviceInformation "
		"xmlns=\"Settings\"><Status>1</Status>"
		"</DeviceInformation><Status>1</Status><Policies><Policy><PolicyType>"
		"MS-EAS-Provisioning-WBXML</PolicyType><Status>2</Status></Policy></Policies>"
		"</Provision>");
	question.has_device_info = false;
	question.acknowledges_key = true;
	check_answer(&question,
		"<Provision xmlns=\"Provision\"><Status>1</Status><Policies><Policy><PolicyType>"
		"MS-EAS-Provisioning-WBXML</PolicyType><Status>5</Status></Policy></Policies>"
		"</Provision>");
	question.version = 25;
	question.acknowledges_key = false;
	check_answer(&question,
		"<Provision xmlns=\"Provision\"><Status>1</Status><Policies><Policy><PolicyType>"
		"MS-WAP-Provisioning-XML</PolicyType><Status>2</Status></Policy></Policies>"
		"</Provision>");
}

static void test_it_has_an_inbox_and_the_usual_folders(void)
{
	struct room_question question = ask(EAS_FOLDER_SYNC);

	question.folder_key = span_of_string("0");
	check_answer(&question,
		"<FolderSync "
		"xmlns=\"FolderHierarchy\"><Status>1</Status><SyncKey>{easproxy}1</SyncKey>"
		"<Changes><Count>6</Count><Add><ServerId>{easproxy}1</ServerId><ParentId>0</"
		"ParentId>"
		"<DisplayName>Inbox</DisplayName><Type>2</Type></Add><Add><ServerId>{easproxy}2");
	question.folder_key = span_of_string(KEY(1));
	check_answer(&question,
		"<FolderSync "
		"xmlns=\"FolderHierarchy\"><Status>1</Status><SyncKey>{easproxy}1</SyncKey>"
		"<Changes><Count>0</Count></Changes></FolderSync>");
}

static void test_it_starts_over_with_the_keys_of_the_mail_server(void)
{
	struct room_question question = ask(EAS_FOLDER_SYNC);

	question.folder_key = span_of_string("17");
	check_answer(
		&question, "<FolderSync xmlns=\"FolderHierarchy\"><Status>9</Status></FolderSync>");
	question = ask(EAS_SYNC);
	add_collection(&question, "5", "{5a1d}2");
	check_answer(&question, "<Sync xmlns=\"AirSync\"><Status>12</Status></Sync>");
	question = ask(EAS_PING);
	question.heartbeat_s = 600;
	add_collection(&question, "5", "");
	check_answer(&question, "<Ping xmlns=\"Ping\"><Status>7</Status></Ping>");
}

static void test_the_inbox_has_one_message_once(void)
{
	struct room_question question = ask(EAS_SYNC);
	struct room_reply reply = {0};

	add_collection(&question, KEY(1), "0");
	check_answer(&question,
		"<Sync xmlns=\"AirSync\"><Collections><Collection><SyncKey>{easproxy}1</SyncKey>"
		"<CollectionId>{easproxy}1</CollectionId><Status>1</Status></Collection></"
		"Collections>"
		"</Sync>");
	question.collections[0].key = span_of_string(KEY(1));
	check_answer(&question,
		"<Sync xmlns=\"AirSync\"><Collections><Collection><SyncKey>{easproxy}2</SyncKey>"
		"<CollectionId>{easproxy}1</CollectionId><Status>1</Status><Commands><Add>"
		"<ServerId>{easproxy}1:1</ServerId><ApplicationData>"
		"<To xmlns=\"Email\">anna@example.com</To>"
		"<From xmlns=\"Email\">postmaster@example.com</From>"
		"<Subject xmlns=\"Email\">Not yet</Subject>"
		"<DateReceived xmlns=\"Email\">2026-11-23T09:00:00.000Z</DateReceived>"
		"<Importance xmlns=\"Email\">2</Importance><Read xmlns=\"Email\">0</Read>"
		"<Body "
		"xmlns=\"AirSyncBase\"><Type>1</Type><EstimatedDataSize>10</EstimatedDataSize>"
		"<Data>Call 4711.</Data></Body>"
		"<MessageClass xmlns=\"Email\">IPM.Note</MessageClass>");
	question.collections[0].key = span_of_string(KEY(2));
	room_quarantine_reply(&message, &question, false, &reply);
	CU_ASSERT_EQUAL(reply.outcome, ROOM_ANSWER);
	CU_ASSERT_EQUAL(reply.document.len, 0);
	room_reply_free(&reply);
}

static void test_old_versions_are_told_the_class_and_no_body_of_a_later_one(void)
{
	struct room_question question = ask(EAS_SYNC);

	question.version = 25;
	add_collection(&question, KEY(1), KEY(1));
	check_answer(&question,
		"<Sync xmlns=\"AirSync\"><Collections><Collection><Class>Email</Class>"
		"<SyncKey>{easproxy}2</SyncKey><CollectionId>{easproxy}1</CollectionId><Status>1</"
		"Status>"
		"<Commands><Add><ServerId>{easproxy}1:1</ServerId><ApplicationData>"
		"<To xmlns=\"Email\">anna@example.com</To>"
		"<From xmlns=\"Email\">postmaster@example.com</From>"
		"<Subject xmlns=\"Email\">Not yet</Subject>"
		"<DateReceived xmlns=\"Email\">2026-11-23T09:00:00.000Z</DateReceived>"
		"<Importance xmlns=\"Email\">2</Importance><Read xmlns=\"Email\">0</Read>"
		"<Body xmlns=\"Email\">Call 4711.</Body>"
		"<MessageClass xmlns=\"Email\">IPM.Note</MessageClass>"
		"<InternetCPID xmlns=\"Email\">65001</InternetCPID></ApplicationData>");
	/* They know no empty answer. */
	question.collections[0].key = span_of_string(KEY(2));
	check_answer(&question,
		"<Sync xmlns=\"AirSync\"><Collections><Collection><Class>Email</Class>"
		"<SyncKey>{easproxy}3</SyncKey>");
}

static void test_what_it_marks_as_read_is_taken_and_what_it_adds_is_not(void)
{
	struct room_question question = ask(EAS_SYNC);

	add_collection(&question, KEY(1), KEY(2));
	question.other_changes = 1;
	check_answer(&question,
		"<Sync xmlns=\"AirSync\"><Collections><Collection><SyncKey>{easproxy}3</SyncKey>"
		"<CollectionId>{easproxy}1</CollectionId><Status>1</Status></Collection>");
	question.adds = 1;
	check_answer(&question,
		"<Sync xmlns=\"AirSync\"><Collections><Collection><SyncKey>{easproxy}2</SyncKey>"
		"<CollectionId>{easproxy}1</CollectionId><Status>5</Status></Collection>");
}

static void test_sync_keys_that_were_never_given_out(void)
{
	static const char *const keys[] = {"", "1", "{easproxy}", "{easproxy}0", "{easproxy}x",
		"{easproxy}-1", "{easproxy}99999999999999999999"};
	struct room_question question = ask(EAS_SYNC);
	char wanted[256];

	add_collection(&question, KEY(1), "");
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		question.collections[0].key = span_of_string(keys[i]);
		snprintf(wanted, sizeof(wanted),
			"<Sync xmlns=\"AirSync\"><Collections><Collection><SyncKey%s%s%s"
			"<CollectionId>{easproxy}1</CollectionId><Status>3</Status>",
			i == 0 ? "/>" : ">", keys[i], i == 0 ? "" : "</SyncKey>");
		check_answer(&question, wanted);
	}
	/* The greatest one that we give out is followed by one that has had the message. */
	question.collections[0].key = span_of_string(KEY(999999999));
	question.other_changes = 1;
	check_answer(&question,
		"<Sync xmlns=\"AirSync\"><Collections><Collection><SyncKey>{easproxy}2</SyncKey>"
		"<CollectionId>{easproxy}1</CollectionId><Status>1</Status></Collection>");
}

static void test_requests_that_leave_out_what_we_do_not_keep(void)
{
	struct room_question question = ask(EAS_SYNC);

	add_collection(&question, KEY(1), KEY(2));
	question.is_partial = true;
	check_answer(&question, "<Sync xmlns=\"AirSync\"><Status>13</Status></Sync>");
	question = ask(EAS_SYNC);
	question.has_body = false;
	check_answer(&question, "<Sync xmlns=\"AirSync\"><Status>13</Status></Sync>");
	question = ask(EAS_PING);
	question.has_body = false;
	check_answer(&question, "<Ping xmlns=\"Ping\"><Status>3</Status></Ping>");
	question.has_body = true;
	question.heartbeat_s = 600;
	check_answer(&question, "<Ping xmlns=\"Ping\"><Status>3</Status></Ping>");
}

static void check_hold(const struct room_question *question, uint32_t hold_s)
{
	struct room_reply reply = {0};

	room_quarantine_reply(&message, question, false, &reply);
	CU_ASSERT_EQUAL(reply.outcome, ROOM_HOLD);
	CU_ASSERT_EQUAL(reply.hold_s, hold_s);
	room_reply_free(&reply);
	reply = (struct room_reply){0};
	room_quarantine_reply(&message, question, true, &reply);
	CU_ASSERT_EQUAL(reply.outcome, ROOM_ANSWER);
	room_reply_free(&reply);
}

static void test_long_polls_wait_for_their_heartbeat(void)
{
	struct room_question question = ask(EAS_PING);

	add_collection(&question, KEY(1), "");
	question.heartbeat_s = 60;
	check_hold(&question, 60);
	question.heartbeat_s = 3540;
	check_hold(&question, 3540);
	question.heartbeat_s = 59;
	check_answer(&question, "<Ping xmlns=\"Ping\"><Status>5</Status>"
				"<HeartbeatInterval>60</HeartbeatInterval></Ping>");
	question.heartbeat_s = 4000;
	check_answer(&question, "<Ping xmlns=\"Ping\"><Status>5</Status>"
				"<HeartbeatInterval>3540</HeartbeatInterval></Ping>");
	question = ask(EAS_SYNC);
	add_collection(&question, KEY(1), KEY(2));
	question.heartbeat_s = UINT32_MAX;
	check_hold(&question, 3540);
	/* Not while there is something to say. */
	question.collections[0].key = span_of_string(KEY(1));
	check_answer(&question, "<Sync xmlns=\"AirSync\"><Collections>");
}

static void test_the_message_can_be_fetched_and_nothing_else(void)
{
	struct room_question question = ask(EAS_ITEM_OPERATIONS);
	struct room_reply reply = {0};

	question.fetches = 1;
	add_collection(&question, KEY(1), "");
	check_answer(&question,
		"<ItemOperations xmlns=\"ItemOperations\"><Status>1</Status><Response><Fetch>"
		"<Status>1</Status><CollectionId xmlns=\"AirSync\">{easproxy}1</CollectionId>"
		"<ServerId xmlns=\"AirSync\">{easproxy}1:1</ServerId>");
	question.collections[0].id = span_of_string("5");
	check_answer(&question,
		"<ItemOperations xmlns=\"ItemOperations\"><Status>1</Status><Response><Fetch>"
		"<Status>6</Status></Fetch></Response></ItemOperations>");
	question.fetches = 0;
	room_quarantine_reply(&message, &question, false, &reply);
	CU_ASSERT_EQUAL(reply.outcome, ROOM_REFUSE);
	CU_ASSERT_EQUAL(reply.refusal, REFUSAL_DEVICE_QUARANTINED);
}

static void test_settings_take_what_the_phone_is_and_tell_whose_it_is(void)
{
	struct room_question question = ask(EAS_SETTINGS);

	question.has_device_info = true;
	check_answer(&question,
		"<Settings "
		"xmlns=\"Settings\"><Status>1</Status><DeviceInformation><Status>1</Status>"
		"</DeviceInformation></Settings>");
	question.has_device_info = false;
	question.asks_user_info = true;
	question.asks_oof = true;
	check_answer(&question,
		"<Settings xmlns=\"Settings\"><Status>1</Status><Oof><Status>3</Status></Oof>"
		"<UserInformation><Status>1</Status><Get><Accounts><Account><EmailAddresses>"
		"<SMTPAddress>anna@example.com</SMTPAddress>"
		"<PrimarySmtpAddress>anna@example.com</PrimarySmtpAddress></EmailAddresses></"
		"Account>"
		"</Accounts></Get></UserInformation></Settings>");
	question.asks_oof = false;
	question.version = 121;
	check_answer(&question,
		"<Settings xmlns=\"Settings\"><Status>1</Status><UserInformation><Status>1</Status>"
		"<Get><EmailAddresses><SMTPAddress>anna@example.com</SMTPAddress></EmailAddresses>"
		"</Get></UserInformation></Settings>");
}

static void test_estimates(void)
{
	struct room_question question = ask(EAS_GET_ITEM_ESTIMATE);

	add_collection(&question, KEY(1), KEY(1));
	add_collection(&question, KEY(5), KEY(1));
	add_collection(&question, KEY(1), "0");
	add_collection(&question, "7", "1");
	check_answer(&question,
		"<GetItemEstimate "
		"xmlns=\"GetItemEstimate\"><Response><Status>1</Status><Collection>"
		"<CollectionId>{easproxy}1</CollectionId><Estimate>1</Estimate></Collection></"
		"Response>"
		"<Response><Status>1</Status><Collection><CollectionId>{easproxy}5</CollectionId>"
		"<Estimate>0</Estimate></Collection></Response><Response><Status>3</Status></"
		"Response>"
		"<Response><Status>2</Status></Response></GetItemEstimate>");
}

static void test_all_else_is_refused(void)
{
	static const enum eas_command refused[] = {EAS_SEND_MAIL, EAS_SMART_FORWARD,
		EAS_SMART_REPLY, EAS_GET_ATTACHMENT, EAS_GET_HIERARCHY, EAS_CREATE_COLLECTION,
		EAS_DELETE_COLLECTION, EAS_MOVE_COLLECTION, EAS_FOLDER_CREATE, EAS_FOLDER_DELETE,
		EAS_FOLDER_UPDATE, EAS_MOVE_ITEMS, EAS_MEETING_RESPONSE, EAS_SEARCH,
		EAS_RESOLVE_RECIPIENTS, EAS_VALIDATE_CERT, EAS_FIND, EAS_NO_COMMAND};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct room_question question = ask(refused[i]);
		struct room_reply reply = {0};

		room_quarantine_reply(&message, &question, false, &reply);
		CU_ASSERT_EQUAL(reply.outcome, ROOM_REFUSE);
		CU_ASSERT_EQUAL(reply.refusal, REFUSAL_DEVICE_QUARANTINED);
	}
}

static void check_release(const struct room_question *question, const char *wanted)
{
	struct room_reply reply = {0};
	char text[1024];
	const char *body;

	CU_ASSERT_EQUAL(room_quarantine_release(question, &reply), wanted != NULL);
	if (wanted != NULL) {
		xml_of(&reply, text, sizeof(text));
		body = strstr(text, "?>");
		body = body != NULL ? body + 2 : text;
		body += strspn(body, "\r\n");
		CU_ASSERT_EQUAL(strncmp(body, wanted, strlen(wanted)), 0);
	}
	room_reply_free(&reply);
}

static void test_once_let_in_it_looks_at_its_folders_from_the_start(void)
{
	struct room_question question = ask(EAS_FOLDER_SYNC);

	question.folder_key = span_of_string(KEY(1));
	check_release(
		&question, "<FolderSync xmlns=\"FolderHierarchy\"><Status>9</Status></FolderSync>");
	question.command = EAS_FOLDER_CREATE;
	check_release(&question, "<FolderCreate xmlns=\"FolderHierarchy\"><Status>9</Status>");
	question.command = EAS_FOLDER_DELETE;
	check_release(&question, "<FolderDelete xmlns=\"FolderHierarchy\"><Status>9</Status>");
	question.command = EAS_FOLDER_UPDATE;
	check_release(&question, "<FolderUpdate xmlns=\"FolderHierarchy\"><Status>9</Status>");
	question = ask(EAS_SYNC);
	add_collection(&question, "5", "3");
	add_collection(&question, KEY(1), KEY(2));
	check_release(&question, "<Sync xmlns=\"AirSync\"><Status>12</Status></Sync>");
	question = ask(EAS_SYNC);
	add_collection(&question, KEY(1), "0");
	check_release(&question, "<Sync xmlns=\"AirSync\"><Status>12</Status></Sync>");
	question = ask(EAS_SYNC);
	add_collection(&question, "5", KEY(2));
	check_release(&question, "<Sync xmlns=\"AirSync\"><Status>3</Status></Sync>");
	question = ask(EAS_PING);
	add_collection(&question, KEY(1), "");
	check_release(&question, "<Ping xmlns=\"Ping\"><Status>7</Status></Ping>");
}

static void test_what_is_the_servers_goes_to_it(void)
{
	struct room_question question = ask(EAS_FOLDER_SYNC);

	question.folder_key = span_of_string("0");
	check_release(&question, NULL);
	question.folder_key = span_of_string("{5a1d}2");
	check_release(&question, NULL);
	question = ask(EAS_SYNC);
	add_collection(&question, "5", "{5a1d}2");
	check_release(&question, NULL);
	question = ask(EAS_PING);
	check_release(&question, NULL);
	question = ask(EAS_SEND_MAIL);
	check_release(&question, NULL);
}

static const struct check checks[] = {
	{"there is no policy for it", test_there_is_no_policy_for_it},
	{"it has an inbox and the usual folders", test_it_has_an_inbox_and_the_usual_folders},
	{"it starts over with the keys of the mail server",
		test_it_starts_over_with_the_keys_of_the_mail_server},
	{"the inbox has one message, once", test_the_inbox_has_one_message_once},
	{"old versions are told the class, and no body of a later one",
		test_old_versions_are_told_the_class_and_no_body_of_a_later_one},
	{"what it marks as read is taken, and what it adds is not",
		test_what_it_marks_as_read_is_taken_and_what_it_adds_is_not},
	{"sync keys that were never given out", test_sync_keys_that_were_never_given_out},
	{"requests that leave out what we do not keep",
		test_requests_that_leave_out_what_we_do_not_keep},
	{"long polls wait for their heartbeat", test_long_polls_wait_for_their_heartbeat},
	{"the message can be fetched and nothing else",
		test_the_message_can_be_fetched_and_nothing_else},
	{"Settings take what the phone is and tell whose it is",
		test_settings_take_what_the_phone_is_and_tell_whose_it_is},
	{"estimates", test_estimates},
	{"all else is refused", test_all_else_is_refused},
	{"once let in it looks at its folders from the start",
		test_once_let_in_it_looks_at_its_folders_from_the_start},
	{"what is the server's goes to it", test_what_is_the_servers_goes_to_it},
};

int main(void)
{
	return check_run("proxy/room_quarantine", checks, sizeof(checks) / sizeof(checks[0]));
}
