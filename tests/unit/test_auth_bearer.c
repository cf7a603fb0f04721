/*
 * Tokens: what is made of an authorization server's answers, how users are named to it, and what it is sent,
 * by a server of one answer that lives in a thread here.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "auth/bearer.h"
#include "auth/bearer_answer.h"
#include "auth/login_name.h"
#include "config/base64.h"
#include "tests/unit/check.h"

enum { NOW = 1795705400, QUESTION_MAX = 64 * 1024 };

/* Answers */

static enum login_status read_text(long status, const char *body, int64_t server_time,
	struct login_secret *token, struct login_fault *fault)
{
	const struct bearer_answer answer = {.http_status = status,
		.body = span_of_string(body),
		.asked_at = NOW,
		.server_time = server_time};

	*fault = (struct login_fault){.text = ""};
	return bearer_answer_read(&answer, token, fault);
}

static void test_a_token_is_taken(void)
{
	static const struct {
		const char *body, *token;
		int64_t life;
	} rows[] = {
		{"{\"access_token\":\"2YotnFZFEjr1zCsicMWpAA\",\"token_type\":\"Bearer\",\"expires_"
		 "in\":"
		 "3600,"
		 "\"refresh_token\":\"x\",\"more\":{\"a\":[1]}}",
			"2YotnFZFEjr1zCsicMWpAA", 3600},
		{"{\"access_token\":\"a.b-c_d~e+f/g==\",\"token_type\":\"bearer\"}",
			"a.b-c_d~e+f/g==", BEARER_LIFE_S},
		{" {\"access_token\":\"t\",\"token_type\":\"BEARER\",\"expires_in\":\"3599\"}\n",
			"t", 3599},
		{"{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":99999999999}",
			"t", BEARER_LIFE_MAX_S},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct login_secret token;
		struct login_fault fault;

		CU_ASSERT_EQUAL(
			read_text(200, rows[i].body, NOW + 500, &token, &fault), LOGIN_GIVEN);
		CU_ASSERT_TRUE(
			span_equal(span_of(token.bytes, token.len), span_of_string(rows[i].token)));
		CU_ASSERT_EQUAL(token.valid_until, NOW + rows[i].life);
	}
}

static void test_nonsense_is_no_token(void)
{
	static const char *const bodies[] = {"", "nonsense", "<html>", "[]", "null", "\"t\"",
		"{\"access_token\":\"t\"", "{}", "{\"token_type\":\"Bearer\"}",
		"{\"access_token\":\"t\"}", "{\"access_token\":\"t\",\"token_type\":\"mac\"}",
		"{\"access_token\":\"t\",\"token_type\":3}",
		"{\"access_token\":7,\"token_type\":\"Bearer\"}",
		"{\"access_token\":\"\",\"token_type\":\"Bearer\"}",
		"{\"access_token\":\"=\",\"token_type\":\"Bearer\"}",
		"{\"access_token\":\"a b\",\"token_type\":\"Bearer\"}",
		"{\"access_token\":\"a\\r\\nX: y\",\"token_type\":\"Bearer\"}",
		"{\"access_token\":\"a=b\",\"token_type\":\"Bearer\"}",
		"{\"access_token\":\"a\\u0000b\",\"token_type\":\"Bearer\"}",
		"{\"access_token\":\"\xc3\xa4\",\"token_type\":\"Bearer\"}",
		"{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":0}",
		"{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":-1}",
		"{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":\"1h\"}",
		"{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":null}",
		"{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":true}",
		"{\"access_token\":\"t\",\"access_token\":\"u\",\"token_type\":\"Bearer\"}"};

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct login_secret token;
		struct login_fault fault;

		CU_ASSERT_EQUAL(read_text(200, bodies[i], NOW, &token, &fault), LOGIN_UNAVAILABLE);
		CU_ASSERT_EQUAL(token.len, 0);
		CU_ASSERT_STRING_NOT_EQUAL(fault.text, "");
	}
}

static void test_a_token_that_is_too_large_is_none(void)
{
	static const char head[] = "{\"token_type\":\"Bearer\",\"access_token\":\"";
	struct login_secret token;
	struct login_fault fault;
	char body[LOGIN_SECRET_MAX + 200];

	for (size_t more = 0; more < 2; more++) {
		size_t len = sizeof(head) - 1;

		memcpy(body, head, len);
		memset(body + len, 'a', LOGIN_SECRET_MAX + more);
		strcpy(body + len + LOGIN_SECRET_MAX + more, "\"}");
		CU_ASSERT_EQUAL(read_text(200, body, NOW, &token, &fault),
			more == 0 ? LOGIN_GIVEN : LOGIN_UNAVAILABLE);
	}
}

/* RFC 6749 5.2 */
static void test_what_errors_mean(void)
{
	static const struct {
		long http;
		int64_t skew;
		enum login_status status;
		const char *body, *text, *hint;
	} rows[] = {
		{400, 0, LOGIN_REFUSED, "{\"error\":\"invalid_grant\"}", "invalid_grant",
			"bearer/issuer"},
		{400, 0, LOGIN_REFUSED,
			"{\"error\":\"invalid_grant\",\"error_description\":\"AADSTS50057: The "
			"user "
			"account is disabled.\"}",
			"account is disabled", "bearer/issuer"},
		/* Of an account, not of the assertion. */
		{400, 0, LOGIN_REFUSED,
			"{\"error\":\"invalid_grant\",\"error_description\":\"the password has "
			"expired, explain\"}",
			"expired", "bearer/issuer"},
		{400, 60, LOGIN_REFUSED, "{\"error\":\"invalid_grant\"}", "invalid_grant",
			"bearer/issuer"},
		{400, 61, LOGIN_MISCONFIGURED, "{\"error\":\"invalid_grant\"}", "61 s ahead of",
			"NTP"},
		{400, -600, LOGIN_MISCONFIGURED, "{\"error\":\"invalid_grant\"}", "600 s behind",
			"NTP"},
		{400, 0, LOGIN_MISCONFIGURED,
			"{\"error\":\"invalid_grant\",\"error_description\":\"nbf is in the "
			"future\"}",
			"nbf", "NTP"},
		{400, 0, LOGIN_MISCONFIGURED,
			"{\"error\":\"invalid_grant\",\"error_description\":\"Invalid (exp) "
			"claim\"}",
			"exp", "NTP"},
		{400, 0, LOGIN_MISCONFIGURED,
			"{\"error\":\"invalid_grant\",\"error_description\":\"NotOnOrAfter\"}",
			"NotOnOrAfter", "NTP"},
		{401, 0, LOGIN_MISCONFIGURED, "{\"error\":\"invalid_client\"}", "invalid_client",
			"client-id"},
		{401, -600, LOGIN_MISCONFIGURED, "{\"error\":\"invalid_client\"}", "invalid_client",
			"client-id"},
		{400, 0, LOGIN_MISCONFIGURED, "{\"error\":\"unauthorized_client\"}",
			"unauthorized_client", "grant"},
		{400, 0, LOGIN_MISCONFIGURED, "{\"error\":\"unsupported_grant_type\"}",
			"unsupported_grant_type", "grant"},
		{400, 0, LOGIN_MISCONFIGURED, "{\"error\":\"invalid_scope\"}", "invalid_scope",
			"bearer/scope"},
		{400, 0, LOGIN_MISCONFIGURED, "{\"error\":\"invalid_request\"}", "invalid_request",
			"log"},
		{400, 0, LOGIN_MISCONFIGURED, "{\"error\":\"of_its_own\"}", "of_its_own", "log"},
		{400, 0, LOGIN_UNAVAILABLE, "{\"error\":\"temporarily_unavailable\"}",
			"temporarily_unavailable", ""},
		{500, 0, LOGIN_UNAVAILABLE, "", "500", ""},
		{503, 0, LOGIN_UNAVAILABLE, "{\"error\":\"invalid_grant\"}", "503", ""},
		{429, 0, LOGIN_UNAVAILABLE, "slower", "429", ""},
		{404, 0, LOGIN_MISCONFIGURED, "<html>not here</html>", "404", "bearer/endpoint"},
		{400, 0, LOGIN_MISCONFIGURED, "{\"error\":17}", "400", "bearer/endpoint"},
		{400, 0, LOGIN_MISCONFIGURED, "[\"error\"]", "400", "bearer/endpoint"},
		{302, 0, LOGIN_MISCONFIGURED, "", "redirect", "bearer/endpoint"},
		{204, 0, LOGIN_UNAVAILABLE, "", "status", "bearer/endpoint"},
		{101, 0, LOGIN_UNAVAILABLE, "", "status", "bearer/endpoint"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct login_secret token;
		struct login_fault fault;

		CU_ASSERT_EQUAL(
			read_text(rows[i].http, rows[i].body, NOW + rows[i].skew, &token, &fault),
			rows[i].status);
		CU_ASSERT_PTR_NOT_NULL(strstr(fault.text, rows[i].text));
		CU_ASSERT_PTR_NOT_NULL(strstr(fault.hint, rows[i].hint));
		if (rows[i].hint[0] == '\0')
			CU_ASSERT_STRING_EQUAL(fault.hint, "");
	}
}

static void test_what_could_be_a_secret_is_not_shown(void)
{
	static const char body[] =
		"{\"error\":\"invalid_grant\",\"error_description\":\"bad assertion "
		"eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9.c2lnbmF0dXJlc2lnbmF0dXJl at "
		"https://login.contoso.test/token\\u0007\\nnext\"}";
	struct login_secret token;
	struct login_fault fault;

	CU_ASSERT_EQUAL(read_text(400, body, -1, &token, &fault), LOGIN_REFUSED);
	CU_ASSERT_STRING_EQUAL(fault.text,
		"the authorization server said invalid_grant: bad assertion (hidden).(hidden) at "
		"https://login.contoso.test/token  next");
}

/* Names */

static const struct login_subject alice = {.mailbox = "alice@contoso.test",
	.account = "aadams",
	.realm = "CORP.LOCAL",
	.upn = "a1@corp.local",
	.sid = "S-1-5-21-1-2-3-1104"};

static void test_names_are_filled_in(void)
{
	static const struct {
		const char *template, *name;
	} rows[] = {{"%{mailbox}", "alice@contoso.test"}, {"%{Local-Part}%%", "alice%"},
		{"%{account}@%{realm}", "aadams@CORP.LOCAL"}, {"%{upn}", "a1@corp.local"},
		{"sid:%{sid}, %{domain}", "sid:S-1-5-21-1-2-3-1104, contoso.test"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t room = strlen(rows[i].name) + 1;
		struct login_fault fault;
		char name[64];

		CU_ASSERT_EQUAL(
			login_name_fill(rows[i].template, &alice, name, room, &fault), LOGIN_GIVEN);
		CU_ASSERT_STRING_EQUAL(name, rows[i].name);
		CU_ASSERT_EQUAL(login_name_fill(rows[i].template, &alice, name, room - 1, &fault),
			LOGIN_REFUSED);
	}
}

static void test_nobody_is_named_by_what_is_not_known(void)
{
	static const struct login_subject bob = {.mailbox = "bob@contoso.test"};
	static const char *const templates[] = {
		"%{upn}", "x%{account}", "%{realm}", "%{sid}", "%{device-id}"};

	for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++) {
		struct login_fault fault;
		char name[64];

		CU_ASSERT_EQUAL(login_name_fill(templates[i], &bob, name, sizeof(name), &fault),
			LOGIN_REFUSED);
		CU_ASSERT_PTR_NOT_NULL(strstr(fault.text, "bob@contoso.test"));
	}
}

/* Fetching */

/* A server of one connection. */
struct server {
	int fd;
	char url[64];
	const char *answer;
	char question[QUESTION_MAX];
	pthread_t thread;
};

static void *serve(void *arg)
{
	struct server *server = arg;
	int fd = accept(server->fd, NULL, NULL);
	size_t len = 0, wanted = 0;

	while (len + 1 < sizeof(server->question)) {
		ssize_t got = read(fd, server->question + len, sizeof(server->question) - 1 - len);
		const char *field, *end;

		if (got <= 0)
			break;
		len += (size_t)got;
		server->question[len] = '\0';
		end = strstr(server->question, "\r\n\r\n");
		field = strcasestr(server->question, "\r\nContent-Length:");
		if (end != NULL && field != NULL)
			wanted = (size_t)(end + 4 - server->question) +
				 strtoul(field + 17, NULL, 10);
		if (wanted != 0 && len >= wanted)
			break;
	}
	if (write(fd, server->answer, strlen(server->answer)) == -1)
		perror("answering");
	close(fd);
	return NULL;
}

static void server_start(struct server *server, const char *answer)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);

	server->answer = answer;
	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL_FATAL(bind(server->fd, (struct sockaddr *)&address, len), 0);
	CU_ASSERT_EQUAL_FATAL(listen(server->fd, 1), 0);
	getsockname(server->fd, (struct sockaddr *)&address, &len);
	snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u/token",
		ntohs(address.sin_port));
	CU_ASSERT_EQUAL_FATAL(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_stop(struct server *server)
{
	pthread_join(server->thread, NULL);
	close(server->fd);
}

static struct config_file memory_file(const char *content)
{
	struct config_file file = {.path = "file", .fd = memfd_create("file", MFD_CLOEXEC)};

	CU_ASSERT_EQUAL(write(file.fd, content, strlen(content)), (ssize_t)strlen(content));
	return file;
}

static const char given[] = "HTTP/1.1 200 OK\r\nContent-Length: 70\r\n\r\n"
			    "{\"access_token\":\"tokenforalice\",\"token_type\":\"Bearer\","
			    "\"expires_in\":60}";

/* Signs with HMAC, so that no key has to be made; the others are the same from here on. */
static struct config_bearer config_for(struct server *server)
{
	return (struct config_bearer){.endpoint = server->url,
		.ca = {.fd = -1},
		.grant = CONFIG_GRANT_JWT,
		.client_id = "edge:1",
		.client_secret = {.fd = -1},
		.issuer = "",
		.audience = "",
		.subject = "%{upn}",
		.name_format = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
		.scope = "",
		.key = memory_file("0123456789abcdef0123456789abcdef"),
		.certificate = {.fd = -1},
		.key_id = "",
		.algorithm = CONFIG_SIGNATURE_HS256,
		.assertion_life_ms = 60000};
}

static enum login_status fetch(
	const struct config_bearer *config, struct login_secret *token, struct login_fault *fault)
{
	struct error err = {""};
	struct bearer_desk *desk = bearer_desk_new(config, 5000, &err);
	enum login_status status;

	CU_ASSERT_STRING_EQUAL(err.text, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(desk);
	status = bearer_fetch(desk, &alice, token, fault);
	bearer_desk_free(desk);
	return status;
}

/* The second part of the assertion that was sent. */
static void read_claims(const char *question, char claims[4096])
{
	const char *part = strstr(question, "&assertion=");
	char text[4096];
	size_t len;

	if (part == NULL)
		part = strstr(question, "assertion=");
	CU_ASSERT_PTR_NOT_NULL_FATAL(part);
	if (part == NULL)
		return;
	part += strcspn(part, ".") + 1;
	len = strcspn(part, ".");
	memcpy(text, part, len);
	for (size_t i = 0; i < len; i++)
		text[i] = (char)(text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
	while (len % 4 != 0)
		text[len++] = '=';
	CU_ASSERT_EQUAL(base64_decode(span_of(text, len), (uint8_t *)claims, &len), 0);
	claims[len] = '\0';
}

static void test_a_token_is_fetched(void)
{
	static struct server server;
	struct config_bearer config;
	struct login_secret token;
	struct login_fault fault = {.text = ""};
	char claims[4096], audience[100];

	server_start(&server, given);
	config = config_for(&server);
	config.scope = "eas offline_access";
	config.client_secret = memory_file("p:w %\n");
	CU_ASSERT_EQUAL(fetch(&config, &token, &fault), LOGIN_GIVEN);
	CU_ASSERT_STRING_EQUAL(fault.text, "");
	server_stop(&server);
	CU_ASSERT_TRUE(
		span_equal(span_of(token.bytes, token.len), span_of_string("tokenforalice")));
	CU_ASSERT_TRUE(token.valid_until > time(NULL) && token.valid_until <= time(NULL) + 60);
	CU_ASSERT_EQUAL(strncmp(server.question, "POST /token HTTP/1.1\r\n", 22), 0);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(server.question, "Content-Type: application/x-www-form-urlencoded\r\n"));
	/* edge%3A1:p%3Aw%20%25 */
	CU_ASSERT_PTR_NOT_NULL(
		strstr(server.question, "Authorization: Basic ZWRnZSUzQTE6cCUzQXclMjAlMjU=\r\n"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(server.question, "\r\n\r\ngrant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-"
					"type%3Ajwt-bearer&assertion="
					"ey"));
	CU_ASSERT_PTR_NOT_NULL(strstr(server.question, "&scope=eas%20offline_access"));
	CU_ASSERT_PTR_NULL(strstr(server.question, "client_id"));
	read_claims(server.question, claims);
	snprintf(audience, sizeof(audience), "\"aud\":\"%s\"", server.url);
	CU_ASSERT_PTR_NOT_NULL(strstr(claims, audience));
	CU_ASSERT_PTR_NOT_NULL(strstr(claims, "\"iss\":\"edge:1\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(claims, "\"sub\":\"a1@corp.local\""));
	close(config.key.fd);
	close(config.client_secret.fd);
}

static void test_a_client_says_who_it_is_by_an_assertion(void)
{
	static struct server server;
	struct config_bearer config;
	struct login_secret token;
	struct login_fault fault;
	char claims[4096];

	server_start(&server, given);
	config = config_for(&server);
	config.client_assertion = true;
	config.audience = "https://login.contoso.test/";
	CU_ASSERT_EQUAL(fetch(&config, &token, &fault), LOGIN_GIVEN);
	server_stop(&server);
	CU_ASSERT_PTR_NULL(strstr(server.question, "Authorization:"));
	CU_ASSERT_PTR_NOT_NULL(strstr(server.question,
		"&client_id=edge%3A1&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-"
		"assertion-type%3Ajwt-bearer&client_assertion=ey"));
	CU_ASSERT_PTR_NULL(strstr(server.question, "&scope="));
	read_claims(strstr(server.question, "client_assertion="), claims);
	CU_ASSERT_PTR_NOT_NULL(strstr(claims, "\"sub\":\"edge:1\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(claims, "\"aud\":\"https://login.contoso.test/\""));
	close(config.key.fd);
}

static void test_a_server_that_repeats_the_secret_is_not_quoted(void)
{
	static struct server server;
	struct config_bearer config;
	struct login_secret token;
	struct login_fault fault;

	server_start(&server,
		"HTTP/1.1 401 No\r\nContent-Length: 71\r\n\r\n"
		"{\"error\":\"invalid_client\",\"error_description\":\"wrong secret: hunter2!!\"}");
	config = config_for(&server);
	config.client_secret = memory_file("hunter2!!");
	CU_ASSERT_EQUAL(fetch(&config, &token, &fault), LOGIN_MISCONFIGURED);
	server_stop(&server);
	CU_ASSERT_PTR_NULL(strstr(fault.text, "hunter2"));
	CU_ASSERT_STRING_NOT_EQUAL(fault.text, "");
	CU_ASSERT_EQUAL(token.len, 0);
	close(config.key.fd);
	close(config.client_secret.fd);
}

static void test_a_server_that_is_not_there(void)
{
	static struct server server = {.url = "http://127.0.0.1:1/token"};
	struct config_bearer config = config_for(&server);
	struct login_secret token;
	struct login_fault fault;

	CU_ASSERT_EQUAL(fetch(&config, &token, &fault), LOGIN_UNAVAILABLE);
	CU_ASSERT_PTR_NOT_NULL(strstr(fault.text, "connecting"));
	close(config.key.fd);
}

static void test_a_user_without_a_name_is_not_asked_for(void)
{
	static struct server server = {.url = "http://127.0.0.1:1/token"};
	struct config_bearer config = config_for(&server);
	struct bearer_desk *desk = bearer_desk_new(&config, 5000, NULL);
	static const struct login_subject bob = {.mailbox = "bob@contoso.test"};
	struct login_secret token;
	struct login_fault fault;

	CU_ASSERT_PTR_NOT_NULL_FATAL(desk);
	CU_ASSERT_EQUAL(bearer_fetch(desk, &bob, &token, &fault), LOGIN_REFUSED);
	CU_ASSERT_PTR_NOT_NULL(strstr(fault.text, "upn"));
	bearer_desk_free(desk);
	close(config.key.fd);
}

static const struct check checks[] = {
	{"a token is taken", test_a_token_is_taken},
	{"nonsense is no token", test_nonsense_is_no_token},
	{"a token that is too large is none", test_a_token_that_is_too_large_is_none},
	{"what errors mean", test_what_errors_mean},
	{"what could be a secret is not shown", test_what_could_be_a_secret_is_not_shown},
	{"names are filled in", test_names_are_filled_in},
	{"nobody is named by what is not known", test_nobody_is_named_by_what_is_not_known},
	{"a token is fetched", test_a_token_is_fetched},
	{"a client says who it is by an assertion", test_a_client_says_who_it_is_by_an_assertion},
	{"a server that repeats the secret is not quoted",
		test_a_server_that_repeats_the_secret_is_not_quoted},
	{"a server that is not there", test_a_server_that_is_not_there},
	{"a user without a name is not asked for", test_a_user_without_a_name_is_not_asked_for},
};

int main(void)
{
	return check_run("auth/bearer", checks, sizeof(checks) / sizeof(checks[0]));
}
