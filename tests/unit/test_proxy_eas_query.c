/* What a request asks: path, plain and base64 query, version, policy key, and the kind of body. */
#include <openssl/evp.h>
#include <stdlib.h>

#include "proxy/eas.h"
#include "tests/unit/check.h"

enum {
	NONE = REFUSAL_NONE,
	PATH = REFUSAL_PATH_NOT_FOUND,
	QUERY = REFUSAL_QUERY_MALFORMED,
	COMMAND = REFUSAL_COMMAND_UNKNOWN,
	VERSION = REFUSAL_PROTOCOL_VERSION,
	DEVICE = REFUSAL_DEVICE_ID,
	MEDIA = REFUSAL_MEDIA_TYPE
};

/* Parses a head of this method, target and fields ("A: b\r\n…"). The text lives in `text`. */
static struct http_head head_of(
	char text[4000], const char *method, const char *target, const char *fields)
{
	struct http_head head;
	int len =
		snprintf(text, 4000, "%s %s HTTP/1.1\r\nHost: h\r\n%s\r\n", method, target, fields);

	CU_ASSERT_TRUE_FATAL(len < 4000);
	if (http_request_parse(&head, text, (size_t)len) != HTTP_DONE)
		printf("\n    not a request: %s", text);
	CU_ASSERT_EQUAL_FATAL(head.refusal, REFUSAL_NONE);
	return head;
}

static enum refusal read_request(
	struct eas_request *request, const char *method, const char *target, const char *fields)
{
	char text[4000];
	struct http_head head = head_of(text, method, target, fields);

	return eas_request_read(&head, request);
}

#define EAS "/Microsoft-Server-ActiveSync"
#define V14 "MS-ASProtocolVersion: 14.1\r\n"

static void test_paths(void)
{
	static const struct {
		const char *path;
		enum eas_path is;
	} rows[] = {
		{"/Microsoft-Server-ActiveSync", EAS_PATH_SYNC},
		{"/microsoft-server-activesync", EAS_PATH_SYNC},
		{"/MICROSOFT-SERVER-ACTIVESYNC", EAS_PATH_SYNC},
		{"/%4dicrosoft%2DServer-ActiveSync", EAS_PATH_SYNC},
		{"/Autodiscover/Autodiscover.xml", EAS_PATH_AUTODISCOVER},
		{"/autodiscover/autodiscover%2exml", EAS_PATH_AUTODISCOVER},
		{"/", EAS_PATH_OTHER},
		{"/Microsoft-Server-ActiveSync/", EAS_PATH_OTHER},
		{"/Microsoft-Server-ActiveSync/default.eas", EAS_PATH_OTHER},
		{"/Microsoft-Server-ActiveSyn", EAS_PATH_OTHER},
		{"/Microsoft-Server-ActiveSyncc", EAS_PATH_OTHER},
		{"//Microsoft-Server-ActiveSync", EAS_PATH_OTHER},
		{"/./Microsoft-Server-ActiveSync", EAS_PATH_OTHER},
		{"/x/../Microsoft-Server-ActiveSync", EAS_PATH_OTHER},
		{"/%2fMicrosoft-Server-ActiveSync", EAS_PATH_OTHER},
		{"%2fMicrosoft-Server-ActiveSync", EAS_PATH_OTHER},
		{"/autodiscover%2fautodiscover.xml", EAS_PATH_OTHER},
		{"/%254dicrosoft-Server-ActiveSync", EAS_PATH_OTHER},
		{"/Microsoft-Server-ActiveSync;x", EAS_PATH_OTHER},
		{"/Microsoft-Server-ActiveSync%00", EAS_PATH_OTHER},
		{"/Microsoft_Server_ActiveSync", EAS_PATH_OTHER},
		{"/Microsoft-Server-Active%", EAS_PATH_OTHER},
		{"/Microsoft-Server-Active%5", EAS_PATH_OTHER},
		{"/autodiscover/autodiscover.json", EAS_PATH_AUTODISCOVER_JSON},
		{"/autodiscover/autodiscover.json/v1.0/bob@contoso.test",
			EAS_PATH_AUTODISCOVER_JSON},
		{"/autodiscover/autodiscover.json/a/b/c", EAS_PATH_OTHER},
		{"/autodiscover/autodiscover.xml/x", EAS_PATH_OTHER},
		{"/owa/", EAS_PATH_OTHER},
		{"/powershell", EAS_PATH_OTHER},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_head head = {.path = span_of_string(rows[i].path)};

		CU_ASSERT_EQUAL(eas_path_of(&head), rows[i].is);
	}
}

static void test_plain_queries(void)
{
	static const struct {
		const char *query;
		unsigned int refusal;
	} rows[] = {
		{"Cmd=Sync&User=a&DeviceId=D1&DeviceType=T", NONE},
		{"DeviceType=T&DeviceId=D1&User=a&Cmd=Sync", NONE},
		{"cmd=Sync&USER=a&deviceid=D1&devicetype=T", NONE},
		{"Cmd=Sync&DeviceId=D1", NONE},
		{"Cmd=Sync&DeviceId=D1&", NONE},
		{"&Cmd=Sync&&DeviceId=D1", NONE},
		{"%43md=Sync&Device%49d=D1", NONE},
		{"Cmd=%53ync&DeviceId=%441", NONE},
		{"Cmd=Sync&DeviceId=D1&Unknown=x&x", NONE},
		{"Cmd=GetAttachment&DeviceId=D1&AttachmentName=5%3a17%3a0", NONE},
		{"Cmd=Sync&DeviceId=D1&User=", NONE},
		{"Cmd=Sync&DeviceId=D1&User=a=b", NONE},
		{"", QUERY},
		{"?", QUERY},
		{"User=a&DeviceId=D1&DeviceType=T", QUERY},
		{"Cmd&DeviceId=D1", QUERY},
		{"Cmd=Sync&DeviceId", QUERY},
		{"Cmd=Sync&Cmd=Sync&DeviceId=D1", QUERY},
		{"Cmd=Sync&cmd=Ping&DeviceId=D1", QUERY},
		{"Cmd=Sync&%63md=Ping&DeviceId=D1", QUERY},
		{"Cmd=Sync&Cmd&DeviceId=D1", QUERY},
		{"Cmd=Sync&User=a&user=b&DeviceId=D1", QUERY},
		{"Cmd=Sync&DeviceId=D1&DeviceId=D2", QUERY},
		{"Cmd=Sync&DeviceId=D1&DeviceType=T&DeviceType=T", QUERY},
		{"Cmd=Sync&DeviceId=D1&%20User=b", QUERY},
		{"Cmd=Sync&DeviceId=D1&+User=b", QUERY},
		{"Cmd=Sync&DeviceId=D1&User%5b%5d=b", QUERY},
		{"Cmd=Sync&DeviceId=D1&User%00x=b", QUERY},
		{"Cmd=Sync&DeviceId=D1&x=1;User=b", QUERY},
		{"Cmd=Sync;DeviceId=D1", QUERY},
		{"Cmd=Sync&DeviceId=D1&=b", QUERY},
		{"Cmd=Sync&DeviceId=D1&User=a%00b", QUERY},
		{"Cmd=Sync&DeviceId=D1&User=a%0d%0ab", QUERY},
		{"Cmd=Sync&DeviceId=D1&User=a%7fb", QUERY},
		{"Cmd=Sync&DeviceId=D1&DeviceType=%09", QUERY},
		{"Cmd=Sync&DeviceId=D1&Unknown=%00", QUERY},
		{"Cmd=sync&DeviceId=D1", COMMAND},
		{"Cmd=SYNC&DeviceId=D1", COMMAND},
		{"Cmd=&DeviceId=D1", COMMAND},
		{"Cmd=Sync+&DeviceId=D1", COMMAND},
		{"Cmd=Syncs&DeviceId=D1", COMMAND},
		{"Cmd=Options&DeviceId=D1", COMMAND},
		{"Cmd=-&DeviceId=D1", COMMAND},
		{"Cmd=Sync", DEVICE},
		{"Cmd=Sync&DeviceId=", DEVICE},
		{"Cmd=Sync&DeviceId=D-1", DEVICE},
		{"Cmd=Sync&DeviceId=D%201", DEVICE},
		{"Cmd=Sync&DeviceId=D%2c1", DEVICE},
		{"Cmd=Sync&DeviceId=%c3%84", DEVICE},
		{"Cmd=Sync&DeviceId=12345678901234567890123456789012", NONE},
		{"Cmd=Sync&DeviceId=123456789012345678901234567890123", DEVICE},
		{"Cmd=Sync&DeviceId=D1&DeviceType="
		 "1234567890123456789012345678901234567890123456789012345678901234",
			NONE},
		{"Cmd=Sync&DeviceId=D1&DeviceType="
		 "12345678901234567890123456789012345678901234567890123456789012345",
			QUERY},
		{"Cmd=Sync&DeviceId=D1&"
		 "12345678901234567890123456789012345678901234567890123456789012345=x",
			QUERY},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct eas_request request;
		char target[1000];
		enum refusal refusal;

		snprintf(target, sizeof(target), EAS "?%s", rows[i].query);
		refusal = read_request(&request, "POST", target, V14);
		if (refusal != (enum refusal)rows[i].refusal)
			printf("\n    %s: %s", rows[i].query, refusal_row(refusal)->name);
		CU_ASSERT_EQUAL(refusal, rows[i].refusal);
	}
}

static void test_broken_escapes_are_refused_here_too(void)
{
	static const char *const queries[] = {"Cmd=Sync&DeviceId=D%", "Cmd=Sync&DeviceId=D%4",
		"Cmd=Sync&DeviceId=D%4x", "Cmd=Sync&x=%", "Cmd=Sync&%", "jAAJ%", "jAAJ%4"};

	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		struct http_head head = {
			.method = HTTP_POST, .path = span_of_string(EAS), .query = {NULL, 0}};
		char *copy = malloc(strlen(queries[i]));
		struct eas_request request;

		memcpy(copy, queries[i], strlen(queries[i]));
		head.query = span_of(copy, strlen(queries[i]));
		CU_ASSERT_EQUAL(eas_request_read(&head, &request), REFUSAL_QUERY_MALFORMED);
		free(copy);
	}
}

static void test_a_plain_query_is_taken_apart(void)
{
	struct eas_request request;

	CU_ASSERT_EQUAL(read_request(&request, "POST",
				EAS "?Cmd=ItemOperations&User=EXAMPLE%5Canna+b%C3%A4&DeviceId="
				    "Appl123&DeviceType=iPho%C3%A9ne",
				V14 "X-MS-PolicyKey: 3942919513\r\nMS-ASAcceptMultiPart: T\r\n"),
		REFUSAL_NONE);
	CU_ASSERT_EQUAL(request.path, EAS_PATH_SYNC);
	CU_ASSERT_EQUAL(request.command, EAS_ITEM_OPERATIONS);
	CU_ASSERT_EQUAL(request.version, 141);
	CU_ASSERT_FALSE(request.is_base64);
	CU_ASSERT_TRUE(request.has_policy_key);
	CU_ASSERT_EQUAL(request.policy_key, 3942919513u);
	CU_ASSERT_TRUE(request.accepts_multipart);
	CU_ASSERT_STRING_EQUAL(request.device_id, "Appl123");
	CU_ASSERT_STRING_EQUAL(request.device_type, "iPho??ne");
	CU_ASSERT_STRING_EQUAL(request.user, "EXAMPLE\\anna+b\xc3\xa4");
}

static void test_long_users(void)
{
	char target[1000] = EAS "?Cmd=Sync&DeviceId=D1&User=";
	size_t len = strlen(target);
	struct eas_request request;

	memset(target + len, 'u', EAS_USER_MAX + 1);
	CU_ASSERT_EQUAL(read_request(&request, "POST", target, V14), REFUSAL_QUERY_MALFORMED);
	target[len + EAS_USER_MAX] = '\0';
	CU_ASSERT_EQUAL(read_request(&request, "POST", target, V14), REFUSAL_NONE);
	CU_ASSERT_EQUAL(strlen(request.user), EAS_USER_MAX);
}

static void test_fields(void)
{
	static const struct {
		const char *fields;
		unsigned int refusal;
		unsigned int version;
	} rows[] = {
		{"MS-ASProtocolVersion: 2.5\r\n", NONE, 25},
		{"MS-ASProtocolVersion: 12.0\r\n", NONE, 120},
		{"ms-asprotocolversion: 12.1\r\n", NONE, 121},
		{"MS-ASProtocolVersion: 14.0\r\n", NONE, 140},
		{"MS-ASProtocolVersion: 16.0\r\n", NONE, 160},
		{"MS-ASProtocolVersion: 16.1\r\n", NONE, 161},
		{"", VERSION, 0},
		{"MS-ASProtocolVersion:\r\n", VERSION, 0},
		{"MS-ASProtocolVersion: 1.0\r\n", VERSION, 0},
		{"MS-ASProtocolVersion: 16.2\r\n", VERSION, 0},
		{"MS-ASProtocolVersion: 14\r\n", VERSION, 0},
		{"MS-ASProtocolVersion: 14.10\r\n", VERSION, 0},
		{"MS-ASProtocolVersion: 14.0, 14.1\r\n", VERSION, 0},
		{V14 V14, VERSION, 0},
		{V14 "MS-ASProtocolVersion: 2.5\r\n", VERSION, 0},
		{V14 "MS_ASProtocolVersion: 2.5\r\n", VERSION, 0},
		{"MS_ASProtocolVersion: 14.1\r\n", VERSION, 0},
		{V14 "Connection: MS-ASProtocolVersion\r\n", VERSION, 0},
		{V14 "X-MS-PolicyKey: 0\r\n", NONE, 141},
		{V14 "X-MS-PolicyKey: 4294967295\r\n", NONE, 141},
		{V14 "X-MS-PolicyKey: 4294967296\r\n", QUERY, 141},
		{V14 "X-MS-PolicyKey: -1\r\n", QUERY, 141},
		{V14 "X-MS-PolicyKey: 0x1\r\n", QUERY, 141},
		{V14 "X-MS-PolicyKey:\r\n", QUERY, 141},
		{V14 "X-MS-PolicyKey: 1\r\nX-MS-PolicyKey: 1\r\n", QUERY, 141},
		{V14 "X-MS-PolicyKey: 1\r\nX_MS_PolicyKey: 2\r\n", QUERY, 141},
		{V14 "MS-ASAcceptMultiPart: f\r\n", NONE, 141},
		{V14 "MS-ASAcceptMultiPart: yes\r\n", QUERY, 141},
		{V14 "MS-ASAcceptMultiPart: T\r\nMS-ASAcceptMultiPart: F\r\n", QUERY, 141},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct eas_request request;
		enum refusal refusal =
			read_request(&request, "POST", EAS "?Cmd=Sync&DeviceId=D1", rows[i].fields);

		if (refusal != (enum refusal)rows[i].refusal)
			printf("\n    %s", rows[i].fields);
		CU_ASSERT_EQUAL(refusal, rows[i].refusal);
		if (refusal == REFUSAL_NONE)
			CU_ASSERT_EQUAL(request.version, rows[i].version);
	}
}

static void test_options(void)
{
	struct eas_request request;

	CU_ASSERT_EQUAL(read_request(&request, "OPTIONS", EAS, ""), REFUSAL_NONE);
	CU_ASSERT_EQUAL(request.command, EAS_NO_COMMAND);
	CU_ASSERT_EQUAL(request.version, 0);
	CU_ASSERT_STRING_EQUAL(request.device_id, "");
	CU_ASSERT_EQUAL(read_request(&request, "OPTIONS", EAS "?User=anna&DeviceId=D1&DeviceType=T",
				"MS-ASProtocolVersion: 17.0\r\n"),
		REFUSAL_NONE);
	CU_ASSERT_STRING_EQUAL(request.user, "anna");
	CU_ASSERT_STRING_EQUAL(request.device_id, "D1");
	CU_ASSERT_EQUAL(request.version, 0);
	CU_ASSERT_EQUAL(
		read_request(&request, "OPTIONS", EAS "?jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l", ""),
		REFUSAL_NONE);
	CU_ASSERT_EQUAL(request.command, EAS_NO_COMMAND);
	CU_ASSERT_STRING_EQUAL(request.device_id, "v140Device");
	CU_ASSERT_EQUAL(
		read_request(&request, "OPTIONS", EAS "?DeviceId=D-1", ""), REFUSAL_DEVICE_ID);
	CU_ASSERT_EQUAL(read_request(&request, "OPTIONS", EAS, V14 V14), REFUSAL_PROTOCOL_VERSION);
	CU_ASSERT_EQUAL(read_request(&request, "OPTIONS", "*", ""), REFUSAL_PATH_NOT_FOUND);
}

static void test_other_requests(void)
{
	struct eas_request request;

	CU_ASSERT_EQUAL(read_request(&request, "POST", "/owa", V14), REFUSAL_PATH_NOT_FOUND);
	CU_ASSERT_EQUAL(request.command, EAS_NO_COMMAND);
	CU_ASSERT_EQUAL(read_request(&request, "GET", EAS "?Cmd=Sync&DeviceId=D1", V14),
		REFUSAL_METHOD_NOT_ALLOWED);
	CU_ASSERT_EQUAL(
		read_request(&request, "POST", "/autodiscover/autodiscover.xml", ""), REFUSAL_NONE);
	CU_ASSERT_EQUAL(request.path, EAS_PATH_AUTODISCOVER);
	CU_ASSERT_EQUAL(request.command, EAS_NO_COMMAND);
	CU_ASSERT_EQUAL(
		read_request(&request, "POST", "/autodiscover/autodiscover.xml?@x/powershell", ""),
		REFUSAL_QUERY_MALFORMED);
}

/* A refused request still says which command of which version its answer is for. */
static void test_a_refused_request_is_known_as_far_as_it_goes(void)
{
	struct eas_request request;

	CU_ASSERT_EQUAL(read_request(&request, "POST", EAS "?DeviceId=-&Cmd=FolderSync", V14),
		REFUSAL_DEVICE_ID);
	CU_ASSERT_EQUAL(request.command, EAS_FOLDER_SYNC);
	CU_ASSERT_EQUAL(request.version, 141);
}

/* The fields of one line of base64-query.tsv. */
struct sample {
	char *base64, *version, *command, *locale, *device_id, *policy_key, *device_type,
		*parameters, *note;
};

static void sample_take_apart(char *line, struct sample *sample)
{
	char **fields[] = {&sample->base64, &sample->version, &sample->command, &sample->locale,
		&sample->device_id, &sample->policy_key, &sample->device_type, &sample->parameters,
		&sample->note};

	line[strcspn(line, "\r\n")] = '\0';
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		*fields[i] = line == NULL ? (char *)"" : strsep(&line, "\t");
}

/* "+", "/" and "=" as they are, or escaped as many clients do. */
static void target_write(char target[1000], const char *base64, bool escapes)
{
	char *at = target + sprintf(target, EAS "?");

	for (; *base64 != '\0'; base64++)
		at += sprintf(at, escapes && strchr("+/=", *base64) != NULL ? "%%%02X" : "%c",
			(unsigned char)*base64);
	*at = '\0';
}

static void sample_check(const struct sample *sample, bool escapes)
{
	const char *id = strncmp(sample->device_id, "hex:", 4) == 0 ? sample->device_id + 4
								    : sample->device_id;
	struct eas_request request;
	char target[1000], version[16], command[40];
	enum refusal refusal;

	target_write(target, sample->base64, escapes);
	refusal = read_request(&request, "POST", target, "");
	if (strncmp(sample->note, "BAD", 3) == 0) {
		CU_ASSERT_NOT_EQUAL(refusal, REFUSAL_NONE);
		return;
	}
	CU_ASSERT_EQUAL(refusal, REFUSAL_NONE);
	CU_ASSERT_TRUE(request.is_base64);
	snprintf(version, sizeof(version), "%u.%u", request.version / 10, request.version % 10);
	CU_ASSERT_STRING_EQUAL(version, sample->version);
	snprintf(command, sizeof(command), "%d %s", (int)request.command,
		eas_command_name(request.command));
	CU_ASSERT_STRING_EQUAL(command, sample->command);
	CU_ASSERT_STRING_EQUAL(request.device_id, id);
	CU_ASSERT_EQUAL(request.has_policy_key, sample->policy_key[0] != '\0');
	CU_ASSERT_EQUAL(request.policy_key, strtoul(sample->policy_key, NULL, 10));
	CU_ASSERT_STRING_EQUAL(request.device_type, sample->device_type);
	CU_ASSERT_EQUAL(request.accepts_multipart, strcmp(sample->parameters, "7=0x02") == 0);
	id = strstr(sample->parameters, "8=");
	CU_ASSERT_STRING_EQUAL(request.user, id == NULL ? "" : id + 2);
}

static void test_base64_samples(void)
{
	FILE *file = fopen(TEST_DATA_DIR "/http/base64-query.tsv", "r");
	char line[1000];
	int good = 0, bad = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_PTR_NOT_NULL(fgets(line, sizeof(line), file)); /* the names of the columns */
	while (fgets(line, sizeof(line), file) != NULL) {
		struct sample sample;

		sample_take_apart(line, &sample);
		sample_check(&sample, false);
		sample_check(&sample, true);
		*(strncmp(sample.note, "BAD", 3) == 0 ? &bad : &good) += 1;
	}
	fclose(file);
	CU_ASSERT_EQUAL(good, 10);
	CU_ASSERT_EQUAL(bad, 10);
}

/* The specification's example is jAAJ BAp2 MTQw RGV2 aWNl AApT bWFy dFBo b25l. */
static void test_base64_is_read_strictly(void)
{
	static const struct {
		const char *query, *fields;
		unsigned int refusal;
	} rows[] = {
		{"jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l", "", NONE},
		{"jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l", "MS-ASProtocolVersion: 14.0\r\n", NONE},
		{"jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l", V14, VERSION},
		{"jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l", "MS-ASProtocolVersion: x\r\n", VERSION},
		{"jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l", "X-MS-PolicyKey: 5\r\n", NONE},
		{"jQkHBAhBcHBsRE5RMQRZLQTrBmlQaG9uZQ==", "", NONE},
		{"jQkHBAhBcHBsRE5RMQRZLQTrBmlQaG9uZQ==", "X-MS-PolicyKey: 3942919513\r\n", NONE},
		{"jQkHBAhBcHBsRE5RMQRZLQTrBmlQaG9uZQ==", "X-MS-PolicyKey: 1\r\n", QUERY},
		{"jQkHBAhBcHBsRE5RMQRZLQTrBmlQaG9uZQ", "", QUERY},    /* padding left out */
		{"jQkHBAhBcHBsRE5RMQRZLQTrBmlQaG9uZQ=", "", QUERY},   /* half of it */
		{"jQkHBAhBcHBsRE5RMQRZLQTrBmlQaG9uZQ===", "", QUERY}, /* too much of it */
		{"jQkHBAhBcHBsRE5RMQRZLQTrBmlQaG9uZR==", "", QUERY},  /* bits left over */
		{"jQkHBAhBcHBsRE5RMQRZ=LQTrBmlQaG9uZQ=", "", QUERY},  /* padding inside */
		{"====", "", QUERY}, {"jAAJBAFhAANQUFA=", "", NONE},
		{"jAAJBAFhAANQUFB=", "", QUERY}, /* bits left over */
		{"jAAJBAFhAARQUFBQ", "", NONE},
		{"jAAJBAFhAARQUFBQA===", "", QUERY}, /* a group of one */
		{"jAAJBAFhAARQUFBQAA=", "", QUERY},  /* padding for a group of three */
		{"jAAJBAFhAARQUFBQ=", "", QUERY}, {"jAAJBAFhAARQUFBQ===", "", QUERY},
		{"=", "", QUERY}, {"A", "", QUERY}, {"jAAJ-Ap2", "", QUERY}, /* the URL alphabet */
		{"jAAJ_Ap2", "", QUERY}, {"jAAJ%20BAp2", "", QUERY}, {"jAAJ%0d%0aBAp2", "", QUERY},
		{"jAAJ%252BAp2", "", QUERY},
		{"jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l&x=y", "", QUERY},
		/* 8c 00 09 04 01 61 00 02 50 50, then: */
		{"jAAJBAFhAAJQUA==", "", NONE}, {"jAAJBAFhAAJQUAcBAg==", "", NONE}, /* 07 01 02 */
		{"jAAJBAFhAAJQUAcBAgcBAA==", "", QUERY}, /* Options twice */
		{"jAAJBAFhAAJQUAcCAgI=", "", QUERY},     /* Options of two bytes */
		{"jAAJBAFhAAJQUAcA", "", QUERY},         /* Options of none */
		{"jAAJBAFhAAJQUAgBYQgBYg==", "", QUERY}, /* User twice */
		{"jAAJBAFhAAJQUAgDYQBi", "", QUERY},     /* NUL in User */
		{"jAAJBAFhAAJQUP8BYf8BYQ==", "", NONE},  /* unknown tags */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct eas_request request;
		char target[1000];
		enum refusal refusal;

		snprintf(target, sizeof(target), EAS "?%s", rows[i].query);
		refusal = read_request(&request, "POST", target, rows[i].fields);
		if (refusal != (enum refusal)rows[i].refusal)
			printf("\n    %s: %s", rows[i].query, refusal_row(refusal)->name);
		CU_ASSERT_EQUAL(refusal, rows[i].refusal);
	}
}

static void test_commands_have_names(void)
{
	CU_ASSERT_STRING_EQUAL(eas_command_name(EAS_SYNC), "Sync");
	CU_ASSERT_STRING_EQUAL(eas_command_name(EAS_FIND), "Find");
	CU_ASSERT_STRING_EQUAL(eas_command_name(EAS_NO_COMMAND), "-");
	CU_ASSERT_STRING_EQUAL(eas_command_name((enum eas_command)99), "-");
	for (int i = 0; i < EAS_COMMAND_COUNT; i++)
		CU_ASSERT_TRUE(eas_command_name((enum eas_command)i)[0] >= 'A');
}

#define WBXML_TYPE "Content-Type: application/vnd.ms-sync.wbxml\r\n"
#define FIVE       "Content-Length: 5\r\n"
#define EMPTY      "Content-Length: 0\r\n"

static void test_kinds_of_body(void)
{
	static const struct {
		const char *method, *command, *version, *fields;
		unsigned int refusal;
		enum eas_body_kind kind;
	} rows[] = {
		{"POST", "Sync", "14.1", WBXML_TYPE FIVE, NONE, EAS_BODY_WBXML},
		{"POST", "Sync", "14.1", WBXML_TYPE "Transfer-Encoding: chunked\r\n", NONE,
			EAS_BODY_WBXML},
		{"POST", "Sync", "14.1", "Content-Type: Application/VND.ms-sync\r\n" FIVE, NONE,
			EAS_BODY_WBXML},
		{"POST", "Sync", "14.1",
			"Content-Type: application/vnd.ms-sync.wbxml ; charset=x\r\n" FIVE, NONE,
			EAS_BODY_WBXML},
		{"POST", "Sync", "14.1", FIVE, MEDIA, 0},
		{"POST", "Sync", "14.1", "Content-Type: text/xml\r\n" FIVE, MEDIA, 0},
		{"POST", "Sync", "14.1", "Content-Type: application/vnd.ms-sync.wbxml2\r\n" FIVE,
			MEDIA, 0},
		{"POST", "Sync", "14.1", WBXML_TYPE WBXML_TYPE FIVE, MEDIA, 0},
		{"POST", "Sync", "14.1", WBXML_TYPE "Content_Type: text/xml\r\n" FIVE, MEDIA, 0},
		{"POST", "Sync", "14.1", WBXML_TYPE "Content-Encoding: gzip\r\n" FIVE, MEDIA, 0},
		{"POST", "Sync", "14.1", WBXML_TYPE "Content-Encoding: identity\r\n" FIVE, NONE,
			EAS_BODY_WBXML},
		{"POST", "Sync", "14.1", WBXML_TYPE "Content_Encoding: gzip\r\n" FIVE, MEDIA, 0},
		{"POST", "Sync", "14.1", EMPTY, NONE, EAS_BODY_NONE},
		{"POST", "Sync", "14.1", WBXML_TYPE, NONE, EAS_BODY_NONE},
		{"POST", "Sync", "12.1", EMPTY, NONE, EAS_BODY_NONE},
		{"POST", "Sync", "12.0", EMPTY, MEDIA, 0},
		{"POST", "Ping", "2.5", EMPTY, NONE, EAS_BODY_NONE},
		{"POST", "FolderSync", "14.1", EMPTY, MEDIA, 0},
		{"POST", "Provision", "14.1", "", MEDIA, 0},
		{"POST", "GetAttachment", "12.1", "", NONE, EAS_BODY_NONE},
		{"POST", "GetAttachment", "12.1", WBXML_TYPE FIVE, MEDIA, 0},
		{"POST", "SendMail", "12.1", "Content-Type: message/rfc822\r\n" FIVE, NONE,
			EAS_BODY_MIME},
		{"POST", "SendMail", "12.1", WBXML_TYPE FIVE, MEDIA, 0},
		{"POST", "SmartReply", "2.5", "Content-Type: Message/RFC822; charset=x\r\n" FIVE,
			NONE, EAS_BODY_MIME},
		{"POST", "SendMail", "14.0", "Content-Type: message/rfc822\r\n" FIVE, MEDIA, 0},
		{"POST", "SendMail", "14.0", WBXML_TYPE FIVE, NONE, EAS_BODY_WBXML},
		{"POST", "SendMail", "14.0", EMPTY, MEDIA, 0},
		{"OPTIONS", "Sync", "14.1", EMPTY, NONE, EAS_BODY_NONE},
		{"OPTIONS", "Sync", "14.1", WBXML_TYPE FIVE, MEDIA, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[4000], target[200], fields[1000];
		struct eas_request request;
		enum eas_body_kind kind;
		enum refusal refusal;
		struct http_head head;

		snprintf(target, sizeof(target), EAS "?Cmd=%s&DeviceId=D1", rows[i].command);
		snprintf(fields, sizeof(fields), "MS-ASProtocolVersion: %s\r\n%s", rows[i].version,
			rows[i].fields);
		head = head_of(text, rows[i].method, target, fields);
		CU_ASSERT_EQUAL(eas_request_read(&head, &request), REFUSAL_NONE);
		refusal = eas_request_body_kind(&request, &head, &kind);
		if (refusal != (enum refusal)rows[i].refusal)
			printf("\n    %s %s %s", rows[i].command, rows[i].version, rows[i].fields);
		CU_ASSERT_EQUAL(refusal, rows[i].refusal);
		if (refusal == REFUSAL_NONE)
			CU_ASSERT_EQUAL(kind, rows[i].kind);
	}
}

static void test_kinds_of_autodiscover_body(void)
{
	static const struct {
		const char *fields;
		unsigned int refusal;
	} rows[] = {{"Content-Type: text/xml; charset=utf-8\r\n" FIVE, NONE},
		{"Content-Type: application/xml\r\n" FIVE, NONE},
		{"Content-Type: text/html\r\n" FIVE, MEDIA}, {WBXML_TYPE FIVE, MEDIA}, {"", MEDIA}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[4000];
		struct http_head head =
			head_of(text, "POST", "/Autodiscover/Autodiscover.xml", rows[i].fields);
		struct eas_request request;
		enum eas_body_kind kind;

		CU_ASSERT_EQUAL(eas_request_read(&head, &request), REFUSAL_NONE);
		CU_ASSERT_EQUAL(eas_request_body_kind(&request, &head, &kind), rows[i].refusal);
		CU_ASSERT_EQUAL(kind, rows[i].refusal == NONE ? EAS_BODY_XML : EAS_BODY_NONE);
	}
}

/* Made here, because what is compared is the text: 14.1, ItemOperations, 0x0409, id "PHONE1", key 1, type
 * "iPhone", and the parameters. */
static void base64_query(char text[200], const uint8_t *parameters, size_t len)
{
	uint8_t bytes[100] = {141, 19, 0x09, 0x04, 6, 'P', 'H', 'O', 'N', 'E', '1', 4, 1, 0, 0, 0,
		6, 'i', 'P', 'h', 'o', 'n', 'e'};

	memcpy(bytes + 23, parameters, len);
	EVP_EncodeBlock((unsigned char *)text, bytes, (int)(23 + len));
}

static void test_a_base64_query_can_be_made_to_ask_for_no_multipart(void)
{
	static const uint8_t with[] = {1, 2, '5', ':', 7, 1, 0x03, 8, 1, 'a'};
	static const uint8_t without[] = {1, 2, '5', ':', 7, 1, 0x01, 8, 1, 'a'};
	static const uint8_t user_only[] = {8, 1, 'a'};
	struct eas_request request;
	char query[200], expected[200], target[300];

	base64_query(query, with, sizeof(with));
	snprintf(target, sizeof(target), EAS "?%s", query);
	CU_ASSERT_EQUAL(read_request(&request, "POST", target, ""), NONE);
	CU_ASSERT_TRUE(request.accepts_multipart);
	base64_query(expected, without, sizeof(without));
	eas_query_refuse_multipart(query);
	CU_ASSERT_STRING_EQUAL(query, expected);
	snprintf(target, sizeof(target), EAS "?%s", query);
	CU_ASSERT_EQUAL(read_request(&request, "POST", target, ""), NONE);
	CU_ASSERT_FALSE(request.accepts_multipart);
	/* Percent-encoded, it becomes shorter. */
	base64_query(query, with, sizeof(with));
	memmove(query + 3, query + 1, strlen(query));
	snprintf(target, 4, "%%%02X", (unsigned char)'j');
	CU_ASSERT_EQUAL_FATAL(expected[0], 'j');
	memcpy(query, target, 3);
	eas_query_refuse_multipart(query);
	CU_ASSERT_STRING_EQUAL(query, expected);
	/* Nothing to change. */
	base64_query(query, user_only, sizeof(user_only));
	base64_query(expected, user_only, sizeof(user_only));
	eas_query_refuse_multipart(query);
	CU_ASSERT_STRING_EQUAL(query, expected);
	snprintf(query, sizeof(query), "Cmd=ItemOperations&DeviceId=a");
	eas_query_refuse_multipart(query);
	CU_ASSERT_STRING_EQUAL(query, "Cmd=ItemOperations&DeviceId=a");
}

static const struct check checks[] = {
	{"a base64 query can be made to ask for no multipart",
		test_a_base64_query_can_be_made_to_ask_for_no_multipart},
	{"only two paths are known", test_paths},
	{"plain queries are read strictly", test_plain_queries},
	{"broken escapes are refused", test_broken_escapes_are_refused_here_too},
	{"a plain query is taken apart", test_a_plain_query_is_taken_apart},
	{"users are not too long", test_long_users},
	{"version, policy key and multipart come once", test_fields},
	{"OPTIONS needs no query", test_options},
	{"other paths and methods are refused", test_other_requests},
	{"a refused request is known as far as it goes",
		test_a_refused_request_is_known_as_far_as_it_goes},
	{"all samples of base64 queries", test_base64_samples},
	{"base64 queries are read strictly", test_base64_is_read_strictly},
	{"commands have names", test_commands_have_names},
	{"the kind of body follows from command and version", test_kinds_of_body},
	{"Autodiscover's body is XML", test_kinds_of_autodiscover_body},
};

int main(void)
{
	return check_run("proxy/eas_query", checks, sizeof(checks) / sizeof(checks[0]));
}
