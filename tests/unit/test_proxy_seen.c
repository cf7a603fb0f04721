#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/seen.h"

static const int64_t NOW = 1700000000;

static struct seen *seen;
static const uint8_t alice[32] = {1, 2, 3, 4, 5, 6, 7, 8, 1, 0};
static const uint8_t bob[32] = {8, 7, 6, 5, 4, 3, 2, 1, 2, 0};
static const uint8_t in_alices_place[32] = {9, 9, 9, 9, 9, 9, 9, 9, 1, 0};

static void begin(void)
{
	seen = calloc(1, sizeof(*seen));
}

static void end(void)
{
	free(seen);
}

/* As a worker does whose channel has room. */
static bool report(const uint8_t sha256[32], enum refusal refusal, const char *mailbox, int64_t now)
{
	if (!seen_is_due(seen, sha256, refusal, mailbox, now))
		return false;
	seen_note(seen, sha256, refusal, mailbox, now);
	return true;
}

static void test_once_an_hour(void)
{
	begin();
	CU_ASSERT_TRUE(report(alice, REFUSAL_NONE, "alice@a", NOW));
	CU_ASSERT_FALSE(report(alice, REFUSAL_NONE, "alice@a", NOW + 1));
	CU_ASSERT_TRUE(report(bob, REFUSAL_NONE, "bob@a", NOW + 1));
	CU_ASSERT_FALSE(report(alice, REFUSAL_NONE, "alice@a", NOW + SEEN_AGAIN_S - 1));
	CU_ASSERT_TRUE(report(alice, REFUSAL_NONE, "alice@a", NOW + SEEN_AGAIN_S));
	CU_ASSERT_FALSE(report(alice, REFUSAL_NONE, "alice@a", NOW + SEEN_AGAIN_S + 1));
	end();
}

static void test_what_could_not_be_sent_is_due_again(void)
{
	begin();
	CU_ASSERT_TRUE(seen_is_due(seen, alice, REFUSAL_NONE, "", NOW));
	CU_ASSERT_TRUE(seen_is_due(seen, alice, REFUSAL_NONE, "", NOW));
	end();
}

static void test_at_once_when_something_else_became_of_it(void)
{
	begin();
	CU_ASSERT_TRUE(report(alice, REFUSAL_NONE, "alice@a", NOW));
	CU_ASSERT_TRUE(report(alice, REFUSAL_CERTIFICATE_REVOKED, "", NOW + 1));
	CU_ASSERT_FALSE(report(alice, REFUSAL_CERTIFICATE_REVOKED, "", NOW + 2));
	CU_ASSERT_TRUE(report(alice, REFUSAL_NONE, "alice@a", NOW + 3));
	CU_ASSERT_TRUE(report(alice, REFUSAL_NONE, "alice@b", NOW + 4));
	end();
}

static void test_one_in_the_place_of_another_is_reported(void)
{
	begin();
	CU_ASSERT_TRUE(report(alice, REFUSAL_NONE, "", NOW));
	CU_ASSERT_TRUE(report(in_alices_place, REFUSAL_NONE, "", NOW));
	CU_ASSERT_TRUE(report(alice, REFUSAL_NONE, "", NOW));
	end();
}

static void test_strangers_are_bounded_and_phones_are_not(void)
{
	uint8_t stranger[32] = {0};
	int reported = 0;

	begin();
	for (int i = 0; i < 10 * SEEN_REFUSED_MAX; i++) {
		stranger[0] = (uint8_t)i;
		stranger[8] = (uint8_t)i;
		reported += report(stranger, REFUSAL_CERTIFICATE_UNTRUSTED, "", NOW);
	}
	CU_ASSERT_EQUAL(reported, SEEN_REFUSED_MAX);
	CU_ASSERT_TRUE(report(alice, REFUSAL_NONE, "alice@a", NOW));
	CU_ASSERT_TRUE(report(bob, REFUSAL_CERTIFICATE_REVOKED, "", NOW + 1));
	end();
}

static void test_a_clock_that_is_set_back_silences_nobody(void)
{
	begin();
	CU_ASSERT_TRUE(report(alice, REFUSAL_NONE, "", NOW));
	CU_ASSERT_TRUE(report(alice, REFUSAL_NONE, "", NOW - 1000000));
	end();
}

static const struct check checks[] = {
	{"once an hour", test_once_an_hour},
	{"what could not be sent is due again", test_what_could_not_be_sent_is_due_again},
	{"at once when something else became of it", test_at_once_when_something_else_became_of_it},
	{"one in the place of another is reported", test_one_in_the_place_of_another_is_reported},
	{"strangers are bounded, and phones are not",
		test_strangers_are_bounded_and_phones_are_not},
	{"a clock that is set back silences nobody", test_a_clock_that_is_set_back_silences_nobody},
};

int main(void)
{
	return check_run("proxy/seen", checks, sizeof(checks) / sizeof(checks[0]));
}
