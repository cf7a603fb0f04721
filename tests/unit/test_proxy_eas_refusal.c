/* Refusals in the words of the phone. */
#include "proxy/eas.h"
#include "tests/unit/check.h"

struct answer {
	char data[2048];
	size_t len;
	struct http_head head;
	struct span content;
};

/* Writes the answer and reads it again as a phone would. */
static void answer_make(struct answer *answer, enum refusal refusal,
	const struct eas_request *request, unsigned int retry_after_s, bool close)
{
	struct http_writer writer = {.data = answer->data, .capacity = sizeof(answer->data)};
	size_t scanned = 0, head_len = 0;
	unsigned int status;

	status = eas_refusal_write(&writer, refusal, request,
		&(struct eas_refusal_terms){.retry_after_s = retry_after_s, .close = close});
	CU_ASSERT_FALSE_FATAL(writer.has_failed);
	answer->len = writer.len;
	CU_ASSERT_EQUAL_FATAL(
		http_head_find_end(answer->data, answer->len, &scanned, &head_len), HTTP_DONE);
	CU_ASSERT_EQUAL_FATAL(
		http_answer_parse(&answer->head, answer->data, head_len, HTTP_POST), HTTP_DONE);
	answer->content = span_of(answer->data + head_len, answer->len - head_len);
	CU_ASSERT_EQUAL(answer->head.status, status);
	CU_ASSERT_EQUAL(answer->head.framing, HTTP_LENGTH);
	CU_ASSERT_EQUAL(answer->head.content_length, answer->content.len);
	CU_ASSERT_EQUAL(answer->head.keeps_alive, !close);
}

static bool field_is(const struct answer *answer, const char *name, const char *value)
{
	struct span found;
	size_t count = http_field_find(&answer->head, name, &found);

	if (value == NULL)
		return count == 0;
	return count == 1 && span_equal(found, span_of_string(value));
}

#define IS_BYTES(span, text) span_equal(span, span_of(text, sizeof(text) - 1))

static void test_a_status_in_a_200(void)
{
	struct eas_request request = {.command = EAS_FOLDER_SYNC, .version = 141};
	struct answer answer;

	/* The places are those of the ready-made answers of MS-ASPROV and MS-ASCMD. */
	answer_make(&answer, REFUSAL_NAME_MISSING, &request, 0, false);
	CU_ASSERT_EQUAL(answer.head.status, 200);
	CU_ASSERT_TRUE(field_is(&answer, "Content-Type", "application/vnd.ms-sync.wbxml"));
	CU_ASSERT_TRUE(IS_BYTES(answer.content, "\x03\x01\x6a\x00\x00\x07\x56\x4c\x03"
						"125\x00\x01\x01"));
	request.command = EAS_SYNC;
	answer_make(&answer, REFUSAL_NAME_MISSING, &request, 0, false);
	CU_ASSERT_TRUE(IS_BYTES(answer.content, "\x03\x01\x6a\x00\x45\x4e\x03"
						"125\x00\x01\x01"));
	request.command = EAS_PING;
	answer_make(&answer, REFUSAL_DEVICE_ID, &request, 0, false);
	CU_ASSERT_TRUE(IS_BYTES(answer.content, "\x03\x01\x6a\x00\x00\x0d\x45\x47\x03"
						"108\x00\x01\x01"));
	request.command = EAS_PROVISION;
	answer_make(&answer, REFUSAL_DEVICE_ID, &request, 0, true);
	CU_ASSERT_TRUE(IS_BYTES(answer.content, "\x03\x01\x6a\x00\x00\x0e\x45\x4b\x03"
						"108\x00\x01\x01"));
	CU_ASSERT_TRUE(field_is(&answer, "Connection", "close"));
}

static void test_the_http_status_where_there_is_no_place_for_another(void)
{
	static const struct {
		enum eas_command command;
		unsigned int version;
		enum refusal refusal;
		unsigned int status;
	} rows[] = {
		{EAS_SYNC, 121, REFUSAL_NAME_MISSING, 403},
		{EAS_SYNC, 0, REFUSAL_NAME_MISSING, 403},
		{EAS_NO_COMMAND, 141, REFUSAL_NAME_MISSING, 403},
		{EAS_NO_COMMAND, 141, REFUSAL_COMMAND_UNKNOWN, 501},
		{EAS_GET_ATTACHMENT, 141, REFUSAL_NAME_MISSING, 403},
		{EAS_MEETING_RESPONSE, 141, REFUSAL_NAME_MISSING, 403},
		{EAS_SYNC, 141, REFUSAL_USER_MISMATCH, 403},
		{EAS_SYNC, 141, REFUSAL_WBXML_MALFORMED, 400},
		{EAS_SYNC, 121, REFUSAL_DEVICE_ID, 400},
		/* For every version what a phone takes for a reason to come again later. */
		{EAS_SYNC, 161, REFUSAL_DRAINING, 503},
		{EAS_SYNC, 121, REFUSAL_DRAINING, 503},
		{EAS_SYNC, 161, REFUSAL_INTERNAL, 500},
		{EAS_SYNC, 121, REFUSAL_INTERNAL, 500},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct eas_request request = {
			.command = rows[i].command, .version = rows[i].version};
		struct answer answer;

		answer_make(&answer, rows[i].refusal, &request, 0, false);
		CU_ASSERT_EQUAL(answer.head.status, rows[i].status);
		CU_ASSERT_TRUE(field_is(&answer, "Content-Type", "text/plain"));
	}
}

static void test_the_text_names_the_refusal(void)
{
	struct answer answer;

	answer_make(&answer, REFUSAL_HTTP_HOST, NULL, 0, true);
	CU_ASSERT_EQUAL(answer.head.status, 400);
	CU_ASSERT_TRUE(IS_BYTES(answer.content,
		"http-host: Host is missing, repeated, malformed, or not the host of an absolute "
		"request target.\n"));
	CU_ASSERT_TRUE(field_is(&answer, "Cache-Control", "private"));
	CU_ASSERT_TRUE(field_is(&answer, "Retry-After", NULL));
	CU_ASSERT_TRUE(field_is(&answer, "Allow", NULL));
}

static void test_503_says_when_to_come_back(void)
{
	struct answer answer;

	answer_make(&answer, REFUSAL_UPSTREAM_UNAVAILABLE, NULL, 30, false);
	CU_ASSERT_EQUAL(answer.head.status, 503);
	CU_ASSERT_TRUE(field_is(&answer, "Retry-After", "30"));
}

static void test_405_says_what_is_allowed(void)
{
	struct answer answer;

	answer_make(&answer, REFUSAL_METHOD_NOT_ALLOWED, NULL, 0, true);
	CU_ASSERT_TRUE(field_is(&answer, "Allow", "OPTIONS, POST"));
}

static void test_every_refusal_is_a_whole_answer(void)
{
	for (int i = 1; i < REFUSAL_COUNT; i++) {
		for (int command = 0; command <= EAS_NO_COMMAND; command++) {
			struct eas_request request = {
				.command = (enum eas_command)command, .version = 161};
			struct answer answer;

			answer_make(&answer, (enum refusal)i, &request, 7, i % 2 == 0);
			CU_ASSERT_TRUE(answer.content.len > 0);
			CU_ASSERT_NOT_EQUAL(answer.head.reason.len, 0);
		}
	}
}

static void test_a_buffer_too_small_fails(void)
{
	char data[2048];
	struct http_writer whole = {.data = data, .capacity = sizeof(data)};

	eas_refusal_write(
		&whole, REFUSAL_HTTP_HOST, NULL, &(struct eas_refusal_terms){.close = true});
	for (size_t capacity = 0; capacity < whole.len; capacity++) {
		struct http_writer writer = {.data = data, .capacity = capacity};

		eas_refusal_write(&writer, REFUSAL_HTTP_HOST, NULL,
			&(struct eas_refusal_terms){.close = true});
		CU_ASSERT_TRUE(writer.has_failed);
		CU_ASSERT_TRUE(writer.len <= capacity);
	}
}

static const struct check checks[] = {
	{"14.0 and later get a status in a 200", test_a_status_in_a_200},
	{"else the HTTP status says it", test_the_http_status_where_there_is_no_place_for_another},
	{"the text names the refusal", test_the_text_names_the_refusal},
	{"503 says when to come back", test_503_says_when_to_come_back},
	{"405 says what is allowed", test_405_says_what_is_allowed},
	{"every refusal is a whole answer", test_every_refusal_is_a_whole_answer},
	{"a buffer too small fails", test_a_buffer_too_small_fails},
};

int main(void)
{
	return check_run("proxy/eas_refusal", checks, sizeof(checks) / sizeof(checks[0]));
}
