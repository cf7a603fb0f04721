#include "tests/unit/exchange_world.h"

static const uint8_t folder_sync[] = {
	0x03, 0x01, 0x6a, 0x00, 0x00, 0x07, 0x56, 0x52, 0x03, '0', 0x00, 0x01, 0x01};
/* For 480 seconds, of the folder "1". */
static const uint8_t ping[] = {0x03, 0x01, 0x6a, 0x00, 0x00, 0x0d, 0x45, 0x48, 0x03, '4', '8', '0',
	0x00, 0x01, 0x49, 0x4a, 0x4b, 0x03, '1', 0x00, 0x01, 0x4c, 0x03, 'E', 'm', 'a', 'i', 'l',
	0x00, 0x01, 0x01, 0x01, 0x01};

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
/* "server" in base64. */
#define OK_PROVEN OK "WWW-Authenticate: Negotiate c2VydmVy\r\n\r\n"
#define OK_PLAIN  OK "\r\n"
#define UNAUTHORIZED                                                                               \
	"HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\nWWW-Authenticate: Negotiate\r\n"        \
	"WWW-Authenticate: Basic realm=\"mail\"\r\n\r\nlog in"
#define UNAUTHORIZED_AGAIN                                                                         \
	"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: Negotiate "           \
	"c2Vydg==\r\n\r\n"

static void use(enum config_login login, const char *assertion)
{
	world.config->upstream.login = login;
	free(world.config->assertion.header);
	world.config->assertion.header = strdup(assertion);
	world.config->upstream.mutual = true;
	world.config->upstream.login_failed_ms = 0;
}

static void sync_folders(struct phone *phone)
{
	phone_say(phone, "FolderSync", folder_sync, sizeof(folder_sync));
}

static bool has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

/* Tokens by hand: "one" is b25l. */
static const char *answer_proven(unsigned int nth, const struct world_request *request)
{
	(void)nth;
	return has(request->text, "Authorization: Negotiate ") ? OK_PROVEN : OK_PLAIN;
}

static void test_a_connection_is_logged_in_once_and_for_one_owner(void)
{
	struct phone alice, bob;

	use(CONFIG_LOGIN_KERBEROS, "");
	world_log_in(answer_proven);
	phone_connect(&alice, "alice1@a.test");
	phone_connect(&bob, "bob1@a.test");
	sync_folders(&alice);
	CU_ASSERT_STRING_EQUAL(
		world_message(0, MESSAGE_LOGIN_QUERY)->u.login_query.mailbox, "alice1@a.test");
	CU_ASSERT_STRING_EQUAL(
		world_message(0, MESSAGE_LOGIN_QUERY)->u.login_query.service, "HTTP/127.0.0.1");
	CU_ASSERT_EQUAL(world.request_count, 0);
	world_give(0, "one", 7);
	/* The answer waits until the server has proven itself. */
	CU_ASSERT_EQUAL(world_message(1, MESSAGE_LOGIN_PROOF)->u.login_proof.context, 7);
	CU_ASSERT_EQUAL(recv(alice.fd, alice.text, 1, MSG_DONTWAIT), -1);
	world_prove(1, true);
	CU_ASSERT_EQUAL(phone_hear(&alice), 200);
	CU_ASSERT_TRUE(has(world.request.text, "Authorization: Negotiate b25l\r\n"));
	CU_ASSERT_FALSE(has(world.request.text, "Basic"));
	CU_ASSERT_FALSE(has(alice.text, "Authenticate"));
	/* Her next one needs no token. */
	sync_folders(&alice);
	CU_ASSERT_EQUAL(phone_hear(&alice), 200);
	CU_ASSERT_FALSE(has(world.request.text, "Authorization"));
	CU_ASSERT_EQUAL(world.connection_count, 1);
	CU_ASSERT_EQUAL(world.message_count, 2);
	/* Bob's gets a connection of its own, although hers is idle. */
	sync_folders(&bob);
	world_give(2, "two", 8);
	world_prove(3, true);
	CU_ASSERT_EQUAL(phone_hear(&bob), 200);
	CU_ASSERT_EQUAL(world.connection_count, 2);
	CU_ASSERT_EQUAL(world.request.connection, 1);
	CU_ASSERT_TRUE(has(world.request.text, "Negotiate dHdv\r\n"));
	sync_folders(&alice);
	CU_ASSERT_EQUAL(phone_hear(&alice), 200);
	CU_ASSERT_EQUAL(world.request.connection, 0);
	phone_end(&alice);
	phone_end(&bob);
	world_log_out();
}

static const char *answer_unproven(unsigned int nth, const struct world_request *request)
{
	(void)request;
	return nth == 0 ? OK_PROVEN : OK_PLAIN;
}

static void test_a_server_that_is_not_the_one_gets_no_further(void)
{
	struct phone phone;

	use(CONFIG_LOGIN_KERBEROS, "");
	world_log_in(answer_unproven);
	phone_connect(&phone, "alice2@a.test");
	sync_folders(&phone);
	world_give(0, "one", 7);
	world_prove(1, false);
	CU_ASSERT_EQUAL(phone_hear(&phone), 502);
	CU_ASSERT_EQUAL(world_open(), 0);
	CU_ASSERT_EQUAL(world.worker->counters->refusals[REFUSAL_UPSTREAM_UNPROVEN], 1);
	/* One that gives no token at all is none either. */
	sync_folders(&phone);
	world_give(2, "one", 8);
	CU_ASSERT_EQUAL(phone_hear(&phone), 502);
	CU_ASSERT_EQUAL(world_open(), 0);
	CU_ASSERT_EQUAL(world_message(3, MESSAGE_LOGIN_FORGET)->u.login_forget.context, 8);
	/* Nor is one whose token nobody could check: it does not even hear of the request. */
	sync_folders(&phone);
	world_give_any(4, "one", 0);
	CU_ASSERT_EQUAL(phone_hear(&phone), 502);
	CU_ASSERT_EQUAL(world.request_count, 2);
	CU_ASSERT_EQUAL(world.worker->counters->refusals[REFUSAL_UPSTREAM_UNPROVEN], 3);
	phone_end(&phone);
	world_log_out();
}

static void test_where_nothing_is_to_be_proven_nothing_is_asked(void)
{
	struct phone phone;

	use(CONFIG_LOGIN_KERBEROS, "");
	world_log_in(answer_proven);
	phone_connect(&phone, "alice3@a.test");
	sync_folders(&phone);
	world_give(0, "one", 0);
	CU_ASSERT_EQUAL(phone_hear(&phone), 200);
	sync_folders(&phone);
	CU_ASSERT_EQUAL(phone_hear(&phone), 200);
	CU_ASSERT_EQUAL(world.connection_count, 1);
	CU_ASSERT_EQUAL(world.message_count, 1);
	phone_end(&phone);
	world_log_out();
}

static const char *answer_401_first(unsigned int nth, const struct world_request *request)
{
	(void)request;
	return nth == 0 ? UNAUTHORIZED : OK_PROVEN;
}

static void test_a_login_that_is_not_taken_is_got_anew_once(void)
{
	struct phone phone;

	use(CONFIG_LOGIN_KERBEROS, "");
	world_log_in(answer_401_first);
	phone_connect(&phone, "alice4@a.test");
	sync_folders(&phone);
	CU_ASSERT_EQUAL(world_message(0, MESSAGE_LOGIN_QUERY)->u.login_query.is_fresh, 0);
	world_give(0, "one", 7);
	CU_ASSERT_EQUAL(world_message(1, MESSAGE_LOGIN_FORGET)->u.login_forget.context, 7);
	CU_ASSERT_EQUAL(world_message(2, MESSAGE_LOGIN_QUERY)->u.login_query.is_fresh, 1);
	world_give(2, "two", 8);
	world_prove(3, true);
	CU_ASSERT_EQUAL(phone_hear(&phone), 200);
	CU_ASSERT_EQUAL(world.request_count, 2);
	CU_ASSERT_TRUE(has(world.request.text, "Negotiate dHdv\r\n"));
	/* All of it was sent again. */
	CU_ASSERT_TRUE(has(world.request.text, "Content-Length: 13\r\n"));
	phone_end(&phone);
	world_log_out();
}

static const char *answer_401(unsigned int nth, const struct world_request *request)
{
	(void)request;
	return nth % 2 == 0 ? UNAUTHORIZED : UNAUTHORIZED_AGAIN;
}

static void test_a_phone_never_sees_that_the_server_wants_a_login(void)
{
	struct phone phone;

	use(CONFIG_LOGIN_KERBEROS, "");
	world_log_in(answer_401);
	phone_connect(&phone, "alice5@a.test");
	sync_folders(&phone);
	world_give(0, "one", 0);
	world_give(1, "two", 0);
	CU_ASSERT_EQUAL(phone_hear(&phone), 502);
	CU_ASSERT_FALSE(has(phone.text, "Authenticate"));
	CU_ASSERT_EQUAL(world.request_count, 2);
	CU_ASSERT_EQUAL(world.message_count, 2);
	CU_ASSERT_EQUAL(world.worker->counters->refusals[REFUSAL_UPSTREAM_LOGIN], 1);
	/* Not again for a while: a server that takes nobody must not cost the KDC twice as much. */
	world.config->upstream.login_failed_ms = 60000;
	sync_folders(&phone);
	world_give(2, "three", 0);
	CU_ASSERT_EQUAL(phone_hear(&phone), 502);
	CU_ASSERT_EQUAL(world.message_count, 3);
	phone_end(&phone);
	world_log_out();
}

static void test_an_endpoint_that_wants_a_login_each_time_gets_one(void)
{
	struct phone phone;

	use(CONFIG_LOGIN_KERBEROS, "");
	/* The second request is the first one that comes without. */
	world_log_in(NULL);
	world.answer = answer_proven;
	phone_connect(&phone, "alice6@a.test");
	sync_folders(&phone);
	world_give(0, "one", 0);
	CU_ASSERT_EQUAL(phone_hear(&phone), 200);
	world.answer = answer_401_first;
	world.request_count = 0;
	sync_folders(&phone);
	CU_ASSERT_EQUAL(world_message(1, MESSAGE_LOGIN_QUERY)->u.login_query.is_fresh, 0);
	world_give(1, "two", 0);
	CU_ASSERT_EQUAL(phone_hear(&phone), 200);
	/* From then on it brings one at once, on the same connection. */
	sync_folders(&phone);
	world_give(2, "three", 0);
	CU_ASSERT_EQUAL(phone_hear(&phone), 200);
	CU_ASSERT_EQUAL(world.request_count, 3);
	CU_ASSERT_EQUAL(world.connection_count, 2);
	CU_ASSERT_TRUE(has(world.request.text, "Negotiate dGhyZWU=\r\n"));
	phone_end(&phone);
	world_log_out();
}

static const char *answer_by_token(unsigned int nth, const struct world_request *request)
{
	(void)nth;
	return has(request->text, "Bearer old") ? UNAUTHORIZED : OK_PLAIN;
}

static void test_a_token_of_ones_own_on_a_connection_for_all(void)
{
	struct phone alice, bob;

	use(CONFIG_LOGIN_BEARER, "Owner-Assertion");
	world_log_in(answer_by_token);
	phone_connect(&alice, "alice7@a.test");
	phone_connect(&bob, "bob7@a.test");
	sync_folders(&alice);
	CU_ASSERT_EQUAL(world_message(0, MESSAGE_LOGIN_QUERY)->u.login_query.kind, LOGIN_BEARER);
	/* Nothing goes out before it is there. */
	CU_ASSERT_EQUAL(world.connection_count, 0);
	world_give(0, "alice-token", 0);
	CU_ASSERT_EQUAL(world_message(1, MESSAGE_LOGIN_QUERY)->u.login_query.kind, LOGIN_ASSERTION);
	world_give(1, "e30.e30.sig", 0);
	CU_ASSERT_EQUAL(phone_hear(&alice), 200);
	CU_ASSERT_TRUE(has(world.request.text, "Authorization: Bearer alice-token\r\n"));
	CU_ASSERT_TRUE(has(world.request.text, "Owner-Assertion: e30.e30.sig\r\n"));
	sync_folders(&bob);
	world_give(2, "old", 0);
	world_give(3, "e30.e30.bob", 0);
	/* One that is not taken is got anew. */
	CU_ASSERT_EQUAL(world_message(4, MESSAGE_LOGIN_QUERY)->u.login_query.is_fresh, 1);
	world_give(4, "new", 0);
	world_give(5, "e30.e30.bob2", 0);
	CU_ASSERT_EQUAL(phone_hear(&bob), 200);
	CU_ASSERT_TRUE(has(world.request.text, "Authorization: Bearer new\r\n"));
	CU_ASSERT_TRUE(has(world.request.text, "Owner-Assertion: e30.e30.bob2\r\n"));
	/* And kept. */
	sync_folders(&alice);
	CU_ASSERT_EQUAL(phone_hear(&alice), 200);
	CU_ASSERT_TRUE(has(world.request.text, "Authorization: Bearer alice-token\r\n"));
	CU_ASSERT_EQUAL(world.message_count, 6);
	CU_ASSERT_EQUAL(world.connection_count, 2); /* the first ended with the 401 */
	phone_end(&alice);
	phone_end(&bob);
	world_log_out();
}

static void test_who_gets_no_login_is_told_so(void)
{
	struct phone phone;

	use(CONFIG_LOGIN_BEARER, "");
	world_log_in(answer_proven);
	phone_connect(&phone, "alice8@a.test");
	sync_folders(&phone);
	world_give_none(0, REFUSAL_LOGIN_REFUSED, "the account is disabled");
	CU_ASSERT_EQUAL(phone_hear(&phone), 403);
	sync_folders(&phone);
	world_give_none(1, REFUSAL_LOGIN_UNAVAILABLE, "the KDC does not answer");
	CU_ASSERT_EQUAL(phone_hear(&phone), 503);
	CU_ASSERT_TRUE(has(phone.text, "Retry-After: "));
	/* And at once where there is nobody who could be asked. */
	sync_folders(&phone);
	world_message(2, MESSAGE_LOGIN_QUERY);
	world_lose_identity();
	CU_ASSERT_EQUAL(phone_hear(&phone), 503);
	sync_folders(&phone);
	CU_ASSERT_EQUAL(phone_hear(&phone), 503);
	CU_ASSERT_EQUAL(world.request_count, 0);
	phone_end(&phone);
	world_log_out();
}

static const char *answer_never(unsigned int nth, const struct world_request *request)
{
	(void)nth;
	(void)request;
	return NULL;
}

static void test_a_phone_that_leaves_takes_its_login_with_it(void)
{
	struct phone phone;

	use(CONFIG_LOGIN_KERBEROS, "");
	world_log_in(answer_never);
	/* While a token is got. */
	phone_connect(&phone, "alice9@a.test");
	sync_folders(&phone);
	world_message(0, MESSAGE_LOGIN_QUERY);
	phone_end(&phone);
	world_give(0, "one", 7);
	CU_ASSERT_EQUAL(world_message(1, MESSAGE_LOGIN_FORGET)->u.login_forget.context, 7);
	CU_ASSERT_EQUAL(world_open(), 0);
	/* While the answer is awaited. */
	phone_connect(&phone, "alice9@a.test");
	sync_folders(&phone);
	world_give(2, "one", 8);
	world_run();
	CU_ASSERT_EQUAL(world.request_count, 1);
	phone_end(&phone);
	CU_ASSERT_EQUAL(world_message(3, MESSAGE_LOGIN_FORGET)->u.login_forget.context, 8);
	CU_ASSERT_EQUAL(world_open(), 0);
	world_log_out();
}

static void test_a_connection_that_ends_while_the_token_is_got_costs_no_answer(void)
{
	struct phone phone;

	use(CONFIG_LOGIN_KERBEROS, "");
	world_log_in(answer_proven);
	phone_connect(&phone, "alice10@a.test");
	sync_folders(&phone);
	world_message(0, MESSAGE_LOGIN_QUERY);
	close(world.connections[0].fd);
	world.connections[0].fd = -1;
	world_give(0, "one", 7);
	CU_ASSERT_EQUAL(world_message(1, MESSAGE_LOGIN_FORGET)->u.login_forget.context, 7);
	world_give(2, "two", 0);
	CU_ASSERT_EQUAL(phone_hear(&phone), 200);
	phone_end(&phone);
	world_log_out();
}

static const char *answer_ping(unsigned int nth, const struct world_request *request)
{
	(void)request;
	return nth == 0 ? UNAUTHORIZED : NULL;
}

static void test_a_ping_is_renewed_as_long_as_it_does_not_sleep(void)
{
	struct exchange *exchange;
	struct phone phone;

	use(CONFIG_LOGIN_KERBEROS, "");
	world_log_in(answer_ping);
	phone_connect(&phone, "alice11@a.test");
	phone_say(&phone, "Ping", ping, sizeof(ping));
	world_give(0, "one", 0);
	CU_ASSERT_EQUAL(world_message(1, MESSAGE_LOGIN_QUERY)->u.login_query.is_fresh, 1);
	world_give(1, "two", 0);
	world_run();
	CU_ASSERT_EQUAL(world.request_count, 2);
	/* It is not renewed twice, so nothing is kept of it, and it sleeps. */
	CU_ASSERT_PTR_NOT_NULL(phone.session->sleeper);
	CU_ASSERT_EQUAL(world.worker->counters->polls_open, 1);
	exchange = exchange_wake(phone.session);
	CU_ASSERT_PTR_NOT_NULL_FATAL(exchange);
	CU_ASSERT_TRUE(exchange->is_poll);
	CU_ASSERT_PTR_NULL(exchange->kept);
	CU_ASSERT_PTR_NULL(exchange->login);
	phone_leave(&phone);
	phone_end(&phone);

	/* One that is taken is kept until Exchange would have said no. */
	world.answer = answer_never;
	phone_connect(&phone, "bob11@a.test");
	phone_say(&phone, "Ping", ping, sizeof(ping));
	world_give(2, "three", 9);
	world_run();
	exchange = phone.session->exchange;
	CU_ASSERT_PTR_NOT_NULL_FATAL(exchange);
	CU_ASSERT_PTR_NOT_NULL(exchange->kept);
	CU_ASSERT_TRUE(exchange_answer_time(exchange) < 60 * 1000);
	exchange_timed_out(exchange);
	CU_ASSERT_PTR_EQUAL(phone.session->exchange, exchange);
	CU_ASSERT_PTR_NULL(exchange->kept);
	CU_ASSERT_TRUE(exchange_answer_time(exchange) >= 480 * 1000);
	world_run();
	CU_ASSERT_PTR_NOT_NULL(phone.session->sleeper);
	/* The second time its heartbeat is over, and more. */
	exchange_timed_out(exchange_wake(phone.session));
	CU_ASSERT_EQUAL(phone_hear(&phone), 504);
	phone_end(&phone);
	world_log_out();
}

static void test_with_the_certificate_goes_the_login(void)
{
	struct phone phone;

	use(CONFIG_LOGIN_KERBEROS, "");
	world_log_in(answer_proven);
	phone_connect(&phone, "alice12@a.test");
	sync_folders(&phone);
	world_give(0, "one", 0);
	CU_ASSERT_EQUAL(phone_hear(&phone), 200);
	phone_leave(&phone);
	/* Nobody is there, and the connection waits for somebody. */
	CU_ASSERT_EQUAL(world_open(), 1);
	phone.credential->accepted->not_after = 1;
	login_table_recheck(world.worker->logins);
	world_run();
	CU_ASSERT_EQUAL(world_open(), 0);
	CU_ASSERT_STRING_EQUAL(
		world_message(1, MESSAGE_LOGIN_DROP)->u.login_drop.mailbox, "alice12@a.test");
	CU_ASSERT_EQUAL(world.message_count, 2);
	phone_end(&phone);
	/* Somebody is: it goes with the session. */
	phone_connect(&phone, "bob12@a.test");
	sync_folders(&phone);
	world_give(2, "two", 0);
	CU_ASSERT_EQUAL(phone_hear(&phone), 200);
	CU_ASSERT_EQUAL(world_open(), 1);
	phone.credential->accepted->not_after = 1;
	CU_ASSERT_TRUE(session_recheck(phone.session));
	world_run();
	CU_ASSERT_EQUAL(world_open(), 0);
	CU_ASSERT_EQUAL(world_message(3, MESSAGE_LOGIN_DROP)->type, MESSAGE_LOGIN_DROP);
	phone_end(&phone);
	world_log_out();
}

static void test_with_the_account_goes_the_login(void)
{
	struct message message = {.type = MESSAGE_LOGIN_DROP};
	struct phone phone;

	use(CONFIG_LOGIN_KERBEROS, "");
	world_log_in(answer_proven);
	phone_connect(&phone, "alice13@a.test");
	sync_folders(&phone);
	world_give(0, "one", 0);
	CU_ASSERT_EQUAL(phone_hear(&phone), 200);
	CU_ASSERT_EQUAL(world_open(), 1);
	strcpy(message.u.login_drop.mailbox, "bob13@a.test");
	world_say(&message);
	world_run();
	CU_ASSERT_EQUAL(world_open(), 1);
	strcpy(message.u.login_drop.mailbox, "alice13@a.test");
	world_say(&message);
	world_run();
	CU_ASSERT_EQUAL(world_open(), 0);
	/* The phone is none the wiser. */
	sync_folders(&phone);
	world_give(1, "two", 0);
	CU_ASSERT_EQUAL(phone_hear(&phone), 200);
	phone_end(&phone);
	world_log_out();
}

/* It cannot be brought about from outside; were there such an error, nothing is written. */
static void test_a_request_on_anothers_connection_is_refused(void)
{
	struct phone phone;
	struct link *link;

	use(CONFIG_LOGIN_KERBEROS, "");
	world_log_in(answer_proven);
	phone_connect(&phone, "alice13@a.test");
	sync_folders(&phone);
	world_message(0, MESSAGE_LOGIN_QUERY);
	link = phone.session->exchange->link;
	login_end_link(link->login, link);
	login_begin_link(login_table_pin(world.worker->logins, "bob13@a.test"), link);
	world_give(0, "one", 0);
	CU_ASSERT_NOT_EQUAL(phone_hear(&phone), 200);
	CU_ASSERT_EQUAL(world.request_count, 0);
	CU_ASSERT_EQUAL(world_open(), 0);
	login_unpin(login_table_find(world.worker->logins, "bob13@a.test"));
	phone_end(&phone);
	world_log_out();
}

static const struct check checks[] = {
	{"a connection is logged in once, and for one owner",
		test_a_connection_is_logged_in_once_and_for_one_owner},
	{"a server that is not the one gets no further",
		test_a_server_that_is_not_the_one_gets_no_further},
	{"where nothing is to be proven nothing is asked",
		test_where_nothing_is_to_be_proven_nothing_is_asked},
	{"a login that is not taken is got anew once",
		test_a_login_that_is_not_taken_is_got_anew_once},
	{"a phone never sees that the server wants a login",
		test_a_phone_never_sees_that_the_server_wants_a_login},
	{"an endpoint that wants a login each time gets one",
		test_an_endpoint_that_wants_a_login_each_time_gets_one},
	{"a token of one's own on a connection for all",
		test_a_token_of_ones_own_on_a_connection_for_all},
	{"who gets no login is told so", test_who_gets_no_login_is_told_so},
	{"a phone that leaves takes its login with it",
		test_a_phone_that_leaves_takes_its_login_with_it},
	{"a connection that ends while the token is got costs no answer",
		test_a_connection_that_ends_while_the_token_is_got_costs_no_answer},
	{"a Ping is renewed as long as it does not sleep",
		test_a_ping_is_renewed_as_long_as_it_does_not_sleep},
	{"with the certificate goes the login", test_with_the_certificate_goes_the_login},
	{"with the account goes the login", test_with_the_account_goes_the_login},
	{"a request on another's connection is refused",
		test_a_request_on_anothers_connection_is_refused},
};

int main(void)
{
	int status;

	world_begin();
	status = check_run("proxy/exchange_login", checks, sizeof(checks) / sizeof(checks[0]));
	world_end();
	return status;
}
