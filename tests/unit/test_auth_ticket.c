#include "tests/unit/check.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/ticket_fault.h"
#include "auth/ticket_wallet.h"
#include "tests/unit/ticket_maker.h"

enum { HOUR = 3600, TWO_HOURS = 7200 };

static const char alice[] = "alice@CONTOSO.TEST";

/* The bytes of a ticket. */

static const struct ticket_parts plain = {.key_type = 18,
	.flags = 0x40a80000,
	.login_time = 1700000000,
	.begin_time = 1700000001,
	.end_time = 1700036000};

static struct ticket_parts some_parts(void)
{
	struct ticket_parts parts = plain;

	parts.key = span_of_string("0123456789abcdef0123456789abcdef");
	parts.user = span_of_string(alice);
	parts.service = span_of_string(MAKER_SERVICE);
	parts.encrypted = span_of_string("what only the service can read");
	return parts;
}

static void test_what_is_written_is_read(void)
{
	struct ticket_parts parts = some_parts(), again;
	struct ticket ticket;

	CU_ASSERT_EQUAL_FATAL(ticket_write(&parts, &ticket), 0);

	CU_ASSERT_EQUAL(ticket.valid_until, 1700036000);
	CU_ASSERT_EQUAL_FATAL(ticket_read(span_of(ticket.bytes, ticket.len), &again), 0);
	CU_ASSERT_EQUAL(again.key_type, 18);
	CU_ASSERT_EQUAL(again.flags, 0x40a80000);
	CU_ASSERT_EQUAL(again.login_time, parts.login_time);
	CU_ASSERT_EQUAL(again.begin_time, parts.begin_time);
	CU_ASSERT_EQUAL(again.end_time, parts.end_time);
	CU_ASSERT(span_equal(again.key, parts.key));
	CU_ASSERT(span_equal(again.user, parts.user));
	CU_ASSERT(span_equal(again.service, parts.service));
	CU_ASSERT(span_equal(again.encrypted, parts.encrypted));
	ticket_clear(&ticket);
	CU_ASSERT_PTR_NULL(ticket.bytes);
}

static void test_a_ticket_with_a_part_too_few_or_too_many_is_refused(void)
{
	struct ticket_parts parts = some_parts(), again;
	uint8_t longer[TICKET_SIZE_MAX];
	struct ticket ticket;

	CU_ASSERT_EQUAL_FATAL(ticket_write(&parts, &ticket), 0);
	memcpy(longer, ticket.bytes, ticket.len);
	longer[ticket.len] = 0;

	for (size_t len = 0; len < ticket.len; len++) {
		/* On the heap, so that reading on would be noticed. */
		uint8_t *shorter = malloc(len + 1);

		if (shorter == NULL)
			abort();
		memcpy(shorter, ticket.bytes, len);
		CU_ASSERT_EQUAL(ticket_read(span_of(shorter, len), &again), -1);
		free(shorter);
	}
	CU_ASSERT_EQUAL(ticket_read(span_of(longer, ticket.len + 1), &again), -1);
	ticket_clear(&ticket);
}

static void test_what_is_no_ticket_is_not_written(void)
{
	static char long_name[TICKET_NAME_MAX + 2];
	static const uint8_t large[TICKET_ENCRYPTED_MAX + 1] = {1};
	struct ticket_parts parts[8];
	struct ticket ticket;

	memset(long_name, 'a', sizeof(long_name) - 1);
	for (size_t i = 0; i < 8; i++)
		parts[i] = some_parts();
	parts[0].key = span_of_string("");
	parts[1].key = span_of(large, TICKET_KEY_MAX + 1);
	parts[2].user = span_of_string("");
	parts[3].user = span_of("alice\0@CONTOSO.TEST", 19);
	parts[4].service = span_of_string(long_name);
	parts[5].encrypted = span_of(large, sizeof(large));
	parts[6].end_time = -1;
	parts[7].end_time = INT64_C(1) << 32;

	for (size_t i = 0; i < 8; i++) {
		CU_ASSERT_EQUAL(ticket_write(&parts[i], &ticket), -1);
		CU_ASSERT_PTR_NULL(ticket.bytes);
	}
}

/* What KDCs say. */

static void test_each_refusal_of_a_kdc_says_whose_fault_it_is(void)
{
	static const struct {
		enum ticket_step step;
		int32_t code;
		enum login_status status;
		const char *text, *hint;
	} cases[] = {
		{TICKET_STEP_SELF, KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN, LOGIN_REFUSED,
			"does not know alice@", "sAMAccountName"},
		{TICKET_STEP_OWN, KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN, LOGIN_MISCONFIGURED,
			"our account proxy@", "not its SPN"},
		{TICKET_STEP_SELF, KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN, LOGIN_MISCONFIGURED, "no SPN",
			"setspn"},
		{TICKET_STEP_ABROAD, KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN, LOGIN_REFUSED,
			"does not trust", "section kerberos"},
		{TICKET_STEP_ABROAD, KRB5KDC_ERR_CLIENT_REVOKED, LOGIN_REFUSED, "is disabled",
			"Enable"},
		{TICKET_STEP_OWN, KRB5KDC_ERR_PREAUTH_FAILED, LOGIN_MISCONFIGURED, "key of proxy@",
			"older password"},
		{TICKET_STEP_OWN, KRB5KDC_ERR_CLIENT_REVOKED, LOGIN_MISCONFIGURED,
			"our account proxy@", "Unlock"},
		{TICKET_STEP_SELF, KRB5KDC_ERR_CLIENT_REVOKED, LOGIN_REFUSED,
			"alice@CONTOSO.TEST is disabled", "unlock"},
		{TICKET_STEP_SELF, KRB5KDC_ERR_POLICY, LOGIN_REFUSED, "let alice@", "Enable"},
		{TICKET_STEP_PROXY, KRB5KDC_ERR_BADOPTION, LOGIN_MISCONFIGURED,
			"may not log in to HTTP/mail", "msDS-AllowedToDelegateTo"},
		{TICKET_STEP_PROXY, KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN, LOGIN_MISCONFIGURED,
			"the service HTTP/mail", "setspn"},
		{TICKET_STEP_SELF, KRB5KRB_AP_ERR_SKEW, LOGIN_MISCONFIGURED, "clocks", "NTP"},
		{TICKET_STEP_OWN, KRB5_KDCREP_SKEW, LOGIN_MISCONFIGURED, "clocks", "NTP"},
		{TICKET_STEP_PROXY, KRB5_KDC_UNREACH, LOGIN_UNAVAILABLE,
			"no KDC of CONTOSO.TEST answers", "port 88"},
		{TICKET_STEP_PROXY, KRB5KDC_ERR_ETYPE_NOSUPP, LOGIN_MISCONFIGURED, "encryption",
			"AES"},
		{TICKET_STEP_PROXY, KRB5KRB_ERR_GENERIC, LOGIN_UNAVAILABLE, "in their words",
			"log"},
	};
	const struct ticket_names names = {"alice@CONTOSO.TEST", "proxy@CONTOSO.TEST",
		"CONTOSO.TEST", "HTTP/mail.contoso.test"};
	struct login_fault fault;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(ticket_fault_set(&fault, cases[i].step, cases[i].code, &names,
					"in their words"),
			cases[i].status);
		CU_ASSERT_PTR_NOT_NULL(strstr(fault.text, cases[i].text));
		CU_ASSERT_PTR_NOT_NULL(strstr(fault.hint, cases[i].hint));
	}
}

static void test_names_in_a_refusal_are_cut_and_printable(void)
{
	char user[600];
	const struct ticket_names names = {user, "proxy@R", "R", "HTTP/mail"};
	struct login_fault fault;

	memset(user, 'u', sizeof(user) - 1);
	user[3] = '\n';
	user[sizeof(user) - 1] = '\0';

	ticket_fault_set(&fault, TICKET_STEP_SELF, KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN, &names, "");

	CU_ASSERT(strlen(fault.text) <= LOGIN_TEXT_MAX);
	CU_ASSERT_PTR_NOT_NULL(strstr(fault.text, "uuu?uuu"));
}

/* The wallet. */

struct world {
	struct maker maker;
	struct ticket_wallet *wallet;
	struct ticket_token token;
	struct login_fault fault;
	int64_t now;
};

static void world_open(struct world *world, size_t tickets, bool is_mutual)
{
	struct error err = {""};

	memset(world, 0, sizeof(*world));
	world->wallet = ticket_wallet_new(tickets, is_mutual, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(world->wallet);
	maker_open(&world->maker);
	world->now = time(NULL);
}

static void world_close(struct world *world)
{
	ticket_wallet_free(world->wallet);
	maker_close(&world->maker);
}

static void put(struct world *world, uint64_t key, const char *user)
{
	struct ticket ticket =
		maker_ticket(&world->maker, user, world->now - HOUR, world->now + HOUR);

	CU_ASSERT_EQUAL(ticket_wallet_put(world->wallet, key, &ticket), 0);
	CU_ASSERT_PTR_NULL(ticket.bytes);
}

static enum ticket_token_status make(struct world *world, uint64_t key)
{
	return ticket_wallet_token(world->wallet, key, world->now, &world->token, &world->fault);
}

static struct span token_of(const struct world *world)
{
	return span_of(world->token.bytes, world->token.len);
}

static void test_a_server_learns_the_user_from_a_token_and_proves_itself(void)
{
	struct world world;
	gss_buffer_desc answer;
	OM_uint32 minor;
	char user[100];

	world_open(&world, 10, true);
	put(&world, 1, alice);

	CU_ASSERT_EQUAL_FATAL(make(&world, 1), TICKET_TOKEN_MADE);
	CU_ASSERT_EQUAL(world.token.valid_until, world.now + HOUR);
	CU_ASSERT_NOT_EQUAL(world.token.context, 0);
	CU_ASSERT_EQUAL(ticket_wallet_open_count(world.wallet), 1);
	CU_ASSERT_TRUE_FATAL(maker_accept(token_of(&world), user, sizeof(user), &answer));
	CU_ASSERT_STRING_EQUAL(user, alice);
	CU_ASSERT_TRUE(ticket_wallet_prove(world.wallet, world.token.context,
		span_of(answer.value, answer.length), &world.fault));

	CU_ASSERT_EQUAL(ticket_wallet_open_count(world.wallet), 0);
	gss_release_buffer(&minor, &answer);
	world_close(&world);
}

static void test_each_user_has_tokens_of_his_own(void)
{
	struct world world;
	gss_buffer_desc answer;
	OM_uint32 minor;
	char user[100], expected[100];

	world_open(&world, 100, true);
	for (unsigned int i = 0; i < 50; i++) {
		snprintf(expected, sizeof(expected), "user%u@CONTOSO.TEST", i);
		put(&world, i, expected);
	}

	for (unsigned int i = 0; i < 200; i++) {
		unsigned int which = i * 7919 % 50;

		snprintf(expected, sizeof(expected), "user%u@CONTOSO.TEST", which);
		CU_ASSERT_EQUAL(make(&world, which), TICKET_TOKEN_MADE);
		CU_ASSERT_TRUE(maker_accept(token_of(&world), user, sizeof(user), &answer));
		CU_ASSERT_STRING_EQUAL(user, expected);
		gss_release_buffer(&minor, &answer);
	}
	world_close(&world);
}

static void test_a_token_is_not_taken_twice(void)
{
	struct world world;
	gss_buffer_desc answer;
	OM_uint32 minor;
	char user[100];
	uint8_t first[LOGIN_SECRET_MAX];
	size_t len;

	world_open(&world, 10, true);
	put(&world, 1, alice);

	CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_MADE);
	len = world.token.len;
	memcpy(first, world.token.bytes, len);
	CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_MADE);

	CU_ASSERT(len != world.token.len || memcmp(first, world.token.bytes, len) != 0);
	CU_ASSERT_TRUE(maker_accept(token_of(&world), user, sizeof(user), &answer));
	gss_release_buffer(&minor, &answer);
	world_close(&world);
}

static void test_another_servers_proof_is_refused(void)
{
	struct world world;
	gss_buffer_desc answer;
	OM_uint32 minor;
	char user[100];
	uint32_t mine;

	world_open(&world, 10, true);
	put(&world, 1, alice);
	put(&world, 2, "bob@CONTOSO.TEST");
	CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_MADE);
	mine = world.token.context;
	CU_ASSERT_EQUAL(make(&world, 2), TICKET_TOKEN_MADE);
	CU_ASSERT_TRUE(maker_accept(token_of(&world), user, sizeof(user), &answer));

	CU_ASSERT_FALSE(ticket_wallet_prove(
		world.wallet, mine, span_of(answer.value, answer.length), &world.fault));

	CU_ASSERT_PTR_NOT_NULL(strstr(world.fault.text, "does not prove"));
	CU_ASSERT_PTR_NOT_NULL(strstr(world.fault.hint, "setspn"));
	gss_release_buffer(&minor, &answer);
	world_close(&world);
}

/* Around it, the library is lenient. */
static void test_every_altered_octet_of_what_is_encrypted_in_a_proof_matters(void)
{
	enum { ENCRYPTED = 100 };
	struct world world;
	gss_buffer_desc answer;
	OM_uint32 minor;
	char user[100];

	world_open(&world, 10, true);
	put(&world, 1, alice);

	for (size_t i = 1; i <= ENCRYPTED; i++) {
		CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_MADE);
		CU_ASSERT_TRUE(maker_accept(token_of(&world), user, sizeof(user), &answer));
		if (answer.value == NULL || answer.length <= ENCRYPTED)
			abort();
		((uint8_t *)answer.value)[answer.length - i] ^= 1;
		CU_ASSERT_FALSE(ticket_wallet_prove(world.wallet, world.token.context,
			span_of(answer.value, answer.length), &world.fault));
		gss_release_buffer(&minor, &answer);
	}

	CU_ASSERT_EQUAL(ticket_wallet_open_count(world.wallet), 0);
	world_close(&world);
}

static void test_no_proof_and_rubbish_are_refused(void)
{
	static const char *const answers[] = {
		"", "x", "NTLMSSP", "\xa1\x07\x30\x05\xa0\x03\x0a\x01\x02"};
	struct world world;

	world_open(&world, 10, true);
	put(&world, 1, alice);

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_MADE);
		CU_ASSERT_FALSE(ticket_wallet_prove(world.wallet, world.token.context,
			span_of_string(answers[i]), &world.fault));
		CU_ASSERT_NOT_EQUAL(world.fault.text[0], '\0');
	}
	CU_ASSERT_EQUAL(ticket_wallet_open_count(world.wallet), 0);
	world_close(&world);
}

static void test_without_mutual_nothing_stays_open(void)
{
	struct world world;
	gss_buffer_desc answer;
	OM_uint32 minor;
	char user[100];

	world_open(&world, 10, false);
	put(&world, 1, alice);

	CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_MADE);

	CU_ASSERT_EQUAL(world.token.context, 0);
	CU_ASSERT_EQUAL(ticket_wallet_open_count(world.wallet), 0);
	CU_ASSERT_TRUE(maker_accept(token_of(&world), user, sizeof(user), &answer));
	CU_ASSERT_STRING_EQUAL(user, alice);
	gss_release_buffer(&minor, &answer);
	world_close(&world);
}

static void test_the_least_recently_used_ticket_makes_room(void)
{
	struct world world;

	world_open(&world, 3, true);
	put(&world, 1, alice);
	put(&world, 2, alice);
	put(&world, 3, alice);
	CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_MADE);

	put(&world, 4, alice);

	CU_ASSERT_EQUAL(ticket_wallet_count(world.wallet), 3);
	CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_MADE);
	CU_ASSERT_EQUAL(make(&world, 2), TICKET_TOKEN_NO_TICKET);
	CU_ASSERT_EQUAL(make(&world, 3), TICKET_TOKEN_MADE);
	CU_ASSERT_EQUAL(make(&world, 4), TICKET_TOKEN_MADE);
	world_close(&world);
}

static void test_a_dropped_ticket_takes_its_open_logins_along(void)
{
	struct world world;

	world_open(&world, 10, true);
	put(&world, 1, alice);
	put(&world, 2, "bob@CONTOSO.TEST");
	CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_MADE);
	CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_MADE);
	CU_ASSERT_EQUAL(make(&world, 2), TICKET_TOKEN_MADE);

	ticket_wallet_drop(world.wallet, 1);
	ticket_wallet_drop(world.wallet, 77);

	CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_NO_TICKET);
	CU_ASSERT_EQUAL(ticket_wallet_open_count(world.wallet), 1);
	CU_ASSERT_EQUAL(ticket_wallet_count(world.wallet), 1);
	world_close(&world);
}

static void test_a_ticket_that_is_over_makes_no_token(void)
{
	struct world world;

	world_open(&world, 10, true);
	put(&world, 1, alice);
	world.now += HOUR;

	CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_NO_TICKET);

	CU_ASSERT_EQUAL(ticket_wallet_count(world.wallet), 0);
	world_close(&world);
}

static void test_a_renewed_ticket_takes_the_place_of_the_old_one(void)
{
	struct world world;
	struct ticket ticket;

	world_open(&world, 10, true);
	put(&world, 1, alice);
	ticket = maker_ticket(&world.maker, alice, world.now - HOUR, world.now + TWO_HOURS);
	CU_ASSERT_EQUAL(ticket_wallet_put(world.wallet, 1, &ticket), 0);

	CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_MADE);

	CU_ASSERT_EQUAL(world.token.valid_until, world.now + TWO_HOURS);
	CU_ASSERT_EQUAL(ticket_wallet_count(world.wallet), 1);
	world_close(&world);
}

static void test_too_many_open_logins_forget_the_oldest(void)
{
	struct world world;
	gss_buffer_desc answer;
	OM_uint32 minor;
	char user[100];
	uint32_t first, last = 0;

	world_open(&world, 2, true);
	put(&world, 1, alice);
	CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_MADE);
	first = world.token.context;
	for (int i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_MADE);
		last = world.token.context;
	}

	CU_ASSERT_EQUAL(ticket_wallet_open_count(world.wallet), 4);
	CU_ASSERT_FALSE(
		ticket_wallet_prove(world.wallet, first, span_of_string("anything"), &world.fault));
	CU_ASSERT_PTR_NOT_NULL(strstr(world.fault.text, "forgotten"));
	CU_ASSERT_TRUE(maker_accept(token_of(&world), user, sizeof(user), &answer));
	CU_ASSERT_TRUE(ticket_wallet_prove(
		world.wallet, last, span_of(answer.value, answer.length), &world.fault));
	gss_release_buffer(&minor, &answer);
	world_close(&world);
}

static void test_a_number_of_a_login_is_not_used_again_soon(void)
{
	struct world world;
	uint32_t first;

	world_open(&world, 1, true);
	put(&world, 1, alice);
	CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_MADE);
	first = world.token.context;
	ticket_wallet_forget(world.wallet, first);
	ticket_wallet_forget(world.wallet, first);
	ticket_wallet_forget(world.wallet, 0);
	ticket_wallet_forget(world.wallet, UINT32_MAX);

	for (int i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_MADE);
		CU_ASSERT_NOT_EQUAL(world.token.context, first);
		ticket_wallet_forget(world.wallet, world.token.context);
	}
	CU_ASSERT_EQUAL(ticket_wallet_open_count(world.wallet), 0);
	world_close(&world);
}

static void test_what_is_no_ticket_is_not_kept(void)
{
	struct world world;
	struct ticket ticket = {.bytes = (uint8_t *)strdup("no ticket"), .len = 9};

	world_open(&world, 10, true);

	CU_ASSERT_EQUAL(ticket_wallet_put(world.wallet, 1, &ticket), -1);

	CU_ASSERT_PTR_NULL(ticket.bytes);
	CU_ASSERT_EQUAL(ticket_wallet_count(world.wallet), 0);
	world_close(&world);
}

/* A ticket that the library cannot make anything of, and for which it would ask a KDC if it knew one. */
static void test_a_ticket_of_an_unknown_kind_fails_and_asks_nobody(void)
{
	struct world world;
	struct ticket_parts parts = some_parts();
	struct ticket ticket;

	world_open(&world, 10, true);
	parts.key_type = 4711;
	parts.end_time = world.now + HOUR;
	CU_ASSERT_EQUAL_FATAL(ticket_write(&parts, &ticket), 0);
	CU_ASSERT_EQUAL(ticket_wallet_put(world.wallet, 1, &ticket), 0);

	CU_ASSERT_EQUAL(make(&world, 1), TICKET_TOKEN_FAILED);

	CU_ASSERT_NOT_EQUAL(world.fault.text[0], '\0');
	CU_ASSERT_EQUAL(ticket_wallet_open_count(world.wallet), 0);
	world_close(&world);
}

int main(void)
{
	static const struct check checks[] = {
		{"what is written is read", test_what_is_written_is_read},
		{"a ticket with a part too few or too many is refused",
			test_a_ticket_with_a_part_too_few_or_too_many_is_refused},
		{"what is no ticket is not written", test_what_is_no_ticket_is_not_written},
		{"each refusal of a KDC says whose fault it is",
			test_each_refusal_of_a_kdc_says_whose_fault_it_is},
		{"names in a refusal are cut and printable",
			test_names_in_a_refusal_are_cut_and_printable},
		{"a server learns the user from a token and proves itself",
			test_a_server_learns_the_user_from_a_token_and_proves_itself},
		{"each user has tokens of his own", test_each_user_has_tokens_of_his_own},
		{"a token is not taken twice", test_a_token_is_not_taken_twice},
		{"another server's proof is refused", test_another_servers_proof_is_refused},
		{"every altered octet of what is encrypted in a proof matters",
			test_every_altered_octet_of_what_is_encrypted_in_a_proof_matters},
		{"no proof and rubbish are refused", test_no_proof_and_rubbish_are_refused},
		{"without mutual nothing stays open", test_without_mutual_nothing_stays_open},
		{"the least recently used ticket makes room",
			test_the_least_recently_used_ticket_makes_room},
		{"a dropped ticket takes its open logins along",
			test_a_dropped_ticket_takes_its_open_logins_along},
		{"a ticket that is over makes no token", test_a_ticket_that_is_over_makes_no_token},
		{"a renewed ticket takes the place of the old one",
			test_a_renewed_ticket_takes_the_place_of_the_old_one},
		{"too many open logins forget the oldest",
			test_too_many_open_logins_forget_the_oldest},
		{"a number of a login is not used again soon",
			test_a_number_of_a_login_is_not_used_again_soon},
		{"what is no ticket is not kept", test_what_is_no_ticket_is_not_kept},
		{"a ticket of an unknown kind fails and asks nobody",
			test_a_ticket_of_an_unknown_kind_fails_and_asks_nobody},
	};

	return check_run("auth/ticket", checks, sizeof(checks) / sizeof(checks[0]));
}
