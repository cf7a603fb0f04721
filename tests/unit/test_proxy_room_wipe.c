/* What a phone under a wipe order is answered, byte for byte. */
#include "proxy/room_wipe_reply.h"
#include "tests/unit/check.h"
#include "tests/unit/wbxml_samples.h"

static const struct room_wipe_order of_account = {.kind = ROOM_WIPE_ACCOUNT};
static const struct room_wipe_order of_device = {.kind = ROOM_WIPE_DEVICE};
static const struct room_wipe_order done = {.kind = ROOM_WIPE_DEVICE, .is_done = true};

static struct room_question provision(unsigned int version)
{
	return (struct room_question){.command = EAS_PROVISION,
		.version = version,
		.has_policy_key = true,
		.has_body = true};
}

static bool is_sample(const struct room_reply *reply, const char *name)
{
	struct wbxml_buffer sample = sample_read("good", name, ".wbxml");
	bool is_same = reply->outcome == ROOM_ANSWER && !reply->document.has_failed &&
		       span_equal(span_of(reply->document.data, reply->document.len),
			       span_of(sample.data, sample.len));

	wbxml_buffer_free(&sample);
	return is_same;
}

static void check_sample(
	const struct room_wipe_order *order, const struct room_question *question, const char *name)
{
	struct room_reply reply = {0};

	room_wipe_reply(order, question, &reply);
	CU_ASSERT_TRUE(is_sample(&reply, name));
	room_reply_free(&reply);
}

static void test_provision_gets_the_directive(void)
{
	struct room_question question = provision(141);

	check_sample(&of_device, &question, "provision-remotewipe-response");
	question.version = 25;
	check_sample(&of_device, &question, "provision-remotewipe-response");
	question.version = 161;
	check_sample(&of_account, &question, "provision-accountwipe-response");
}

static void test_the_ordinary_initial_request_gets_it_too(void)
{
	struct room_question question = provision(161);

	question.has_device_info = true;
	check_sample(&of_account, &question, "provision-accountwipe-response");
	question.acknowledges_key = true;
	check_sample(&of_account, &question, "provision-accountwipe-response");
}

static void test_an_acknowledgement_ends_it(void)
{
	struct room_question question = provision(161);
	struct room_reply reply = {0};

	question.acknowledged = ROOM_WIPE_DEVICE;
	question.acknowledged_status = 1;
	room_wipe_reply(&of_device, &question, &reply);
	CU_ASSERT_TRUE(is_sample(&reply, "provision-remotewipe-ack-response"));
	CU_ASSERT_TRUE(reply.is_wiped);
	CU_ASSERT_FALSE(reply.has_failed_to_wipe);
	room_reply_free(&reply);
}

static void test_a_failure_gets_the_directive_again(void)
{
	static const uint8_t again[] = {
		0x03, 0x01, 0x6a, 0x00, 0x00, 0x0e, 0x45, 0x4b, 0x03, '2', 0x00, 0x01, 0x0c, 0x01};
	struct room_question question = provision(141);
	struct room_reply reply = {0};

	question.acknowledged = ROOM_WIPE_DEVICE;
	for (uint32_t status = 0; status < 4; status++) {
		if (status == 1)
			continue;
		question.acknowledged_status = status;
		room_wipe_reply(&of_device, &question, &reply);
		CU_ASSERT_TRUE(reply.has_failed_to_wipe);
		CU_ASSERT_FALSE(reply.is_wiped);
		CU_ASSERT_TRUE(span_equal(span_of(reply.document.data, reply.document.len),
			span_of(again, sizeof(again))));
		room_reply_free(&reply);
		reply = (struct room_reply){0};
	}
}

static void check_refusal(const struct room_wipe_order *order, const struct room_question *question,
	enum refusal refusal, unsigned int http_status)
{
	struct room_reply reply = {0};

	room_wipe_reply(order, question, &reply);
	CU_ASSERT_EQUAL(reply.outcome, ROOM_REFUSE);
	CU_ASSERT_EQUAL(reply.refusal, refusal);
	CU_ASSERT_EQUAL(reply.http_status, http_status);
	CU_ASSERT_EQUAL(reply.document.len, 0);
	room_reply_free(&reply);
}

static void test_every_other_command_is_told_to_provision(void)
{
	for (unsigned int command = 0; command < EAS_COMMAND_COUNT; command++) {
		struct room_question question = {.command = (enum eas_command)command,
			.version = 161,
			.has_policy_key = true,
			.has_body = true};

		if (command == EAS_PROVISION)
			continue;
		check_refusal(&of_account, &question, REFUSAL_DEVICE_WIPE, 449);
		check_refusal(&of_device, &question, REFUSAL_DEVICE_WIPE, 449);
		question.version = 121;
		check_refusal(&of_device, &question, REFUSAL_DEVICE_WIPE, 449);
		/* As Ping, which never has one. */
		question.has_policy_key = false;
		check_refusal(&of_device, &question, REFUSAL_DEVICE_WIPE, 403);
	}
}

static void test_options_is_answered(void)
{
	const struct room_question question = {.is_options = true, .command = EAS_NO_COMMAND};
	const struct room_wipe_order *orders[] = {&of_account, &of_device, &done};

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		struct room_reply reply = {0};

		room_wipe_reply(orders[i], &question, &reply);
		CU_ASSERT_EQUAL(reply.outcome, ROOM_OPTIONS);
	}
}

static void test_a_phone_that_cannot_wipe_the_account_alone_is_blocked(void)
{
	struct room_question question = provision(160);

	CU_ASSERT_FALSE(room_wipe_is_possible(&of_account, 160));
	CU_ASSERT_TRUE(room_wipe_is_possible(&of_account, 161));
	CU_ASSERT_TRUE(room_wipe_is_possible(&of_device, 121));
	check_refusal(&of_account, &question, REFUSAL_DEVICE_BLOCKED, 0);
	question.command = EAS_SYNC;
	check_refusal(&of_account, &question, REFUSAL_DEVICE_BLOCKED, 0);
	/* Not even an acknowledgement of what it was never told. */
	question.command = EAS_PROVISION;
	question.acknowledged = ROOM_WIPE_ACCOUNT;
	question.acknowledged_status = 1;
	check_refusal(&of_account, &question, REFUSAL_DEVICE_BLOCKED, 0);
}

static void test_after_the_wipe_only_provision_is_answered(void)
{
	struct room_question question = provision(141);
	struct room_reply reply = {0};

	check_sample(&done, &question, "provision-nopolicy-response");
	/* The answer to the acknowledgement may have been lost. */
	question.acknowledged = ROOM_WIPE_DEVICE;
	question.acknowledged_status = 1;
	check_sample(&done, &question, "provision-remotewipe-ack-response");
	room_wipe_reply(&done, &question, &reply);
	CU_ASSERT_FALSE(reply.is_wiped);
	room_reply_free(&reply);
	question.acknowledged_status = 2;
	check_sample(&done, &question, "provision-remotewipe-ack-response");
	for (unsigned int command = 0; command < EAS_COMMAND_COUNT; command++) {
		question.command = (enum eas_command)command;
		if (command != EAS_PROVISION)
			check_refusal(&done, &question, REFUSAL_DEVICE_WIPED, 0);
	}
}

static const struct check checks[] = {
	{"Provision gets the directive", test_provision_gets_the_directive},
	{"the ordinary initial request gets it too", test_the_ordinary_initial_request_gets_it_too},
	{"an acknowledgement ends it", test_an_acknowledgement_ends_it},
	{"a failure gets the directive again", test_a_failure_gets_the_directive_again},
	{"every other command is told to provision", test_every_other_command_is_told_to_provision},
	{"OPTIONS is answered", test_options_is_answered},
	{"a phone that cannot wipe the account alone is blocked",
		test_a_phone_that_cannot_wipe_the_account_alone_is_blocked},
	{"after the wipe only Provision is answered",
		test_after_the_wipe_only_provision_is_answered},
};

int main(void)
{
	return check_run("proxy/room_wipe", checks, sizeof(checks) / sizeof(checks[0]));
}
