#include <string.h>

#include "auth/mailbox.h"
#include "tests/unit/check.h"

static enum config_name_kind principal_first[] = {CONFIG_NAME_PRINCIPAL, CONFIG_NAME_RFC822};
static enum config_name_kind rfc822_first[] = {CONFIG_NAME_RFC822, CONFIG_NAME_PRINCIPAL};
static enum config_name_kind principal_only[] = {CONFIG_NAME_PRINCIPAL};
static char *domains[] = {"example.com", "example.org"};

static const struct config_mailbox by_principal = {
	.name_count = 2, .names = principal_first, .domain_count = 2, .domains = domains};
static const struct config_mailbox by_rfc822 = {
	.name_count = 2, .names = rfc822_first, .domain_count = 2, .domains = domains};
static const struct config_mailbox by_principal_alone = {
	.name_count = 1, .names = principal_only, .domain_count = 2, .domains = domains};

#define UPN(text)                                                                                  \
	{                                                                                          \
		IDENTITY_PRINCIPAL_NAME, text                                                      \
	}
#define RFC822(text)                                                                               \
	{                                                                                          \
		IDENTITY_RFC822_NAME, text                                                         \
	}

struct given {
	size_t count;
	struct {
		enum identity_kind kind;
		const char *text;
	} names[4];
};

static struct identity_names names_of(const struct given *given)
{
	struct identity_names names = {0};

	for (size_t i = 0; i < given->count; i++)
		CU_ASSERT_EQUAL_FATAL(identity_names_add(&names, given->names[i].kind,
					      span_of_string(given->names[i].text)),
			0);
	return names;
}

static const struct {
	const char *what;
	const struct config_mailbox *config;
	struct given names;
	enum refusal refusal;
	const char *mailbox;
} cases[] = {
	{"one name", &by_principal, {1, {UPN("alice@example.com")}}, REFUSAL_NONE,
		"alice@example.com"},
	{"lower case", &by_principal, {1, {UPN("Alice.O'Hara@EXAMPLE.com")}}, REFUSAL_NONE,
		"alice.o'hara@example.com"},
	{"first wanted kind decides", &by_principal,
		{2, {RFC822("bob@example.com"), UPN("alice@example.com")}}, REFUSAL_NONE,
		"alice@example.com"},
	{"the other order decides otherwise", &by_rfc822,
		{2, {RFC822("bob@example.com"), UPN("alice@example.com")}}, REFUSAL_NONE,
		"bob@example.com"},
	{"second kind where the first is absent", &by_principal, {1, {RFC822("bob@example.org")}},
		REFUSAL_NONE, "bob@example.org"},
	{"no second kind where the first cannot be routed", &by_principal,
		{2, {UPN("alice@corp.local"), RFC822("alice@example.com")}},
		REFUSAL_DOMAIN_NOT_ROUTABLE, ""},
	{"kind that is not wanted", &by_principal_alone, {1, {RFC822("bob@example.com")}},
		REFUSAL_NAME_MISSING, ""},
	{"no names", &by_principal, {0, {{IDENTITY_PRINCIPAL_NAME, NULL}}}, REFUSAL_NAME_MISSING,
		""},
	{"two of one kind", &by_principal, {2, {UPN("alice@example.com"), UPN("bob@example.com")}},
		REFUSAL_NAME_AMBIGUOUS, ""},
	{"the same twice in different case", &by_principal,
		{2, {UPN("alice@example.com"), UPN("ALICE@Example.COM")}}, REFUSAL_NONE,
		"alice@example.com"},
	{"two domains", &by_principal, {2, {UPN("alice@example.com"), UPN("alice@example.org")}},
		REFUSAL_NAME_AMBIGUOUS, ""},
	{"a third differs", &by_rfc822,
		{3, {RFC822("a@example.com"), RFC822("A@example.com"), RFC822("b@example.com")}},
		REFUSAL_NAME_AMBIGUOUS, ""},
	{"ambiguous before not routable", &by_principal,
		{2, {UPN("alice@corp.local"), UPN("alice@example.com")}}, REFUSAL_NAME_AMBIGUOUS,
		""},
	{"a domain under a routable one", &by_principal, {1, {UPN("alice@sub.example.com")}},
		REFUSAL_DOMAIN_NOT_ROUTABLE, ""},
	{"a domain that ends like a routable one", &by_principal,
		{1, {UPN("alice@evilexample.com")}}, REFUSAL_DOMAIN_NOT_ROUTABLE, ""},
	{"a domain that begins like a routable one", &by_principal,
		{1, {UPN("alice@example.com.evil.com")}}, REFUSAL_DOMAIN_NOT_ROUTABLE, ""},
};

/* A directory in a table; without one every address is its own mailbox. */
struct known {
	enum config_name_kind kind;
	enum directory_status status;
	const char *value, *mailbox;
};

static enum refusal resolve_with(const struct config_mailbox *config,
	const struct identity_names *names, const struct known *table, size_t count,
	struct mailbox_search *search)
{
	struct directory_question question;

	mailbox_begin(search, config, names);
	while (mailbox_next(search, &question) == MAILBOX_ASK) {
		struct directory_answer answer;

		if (table == NULL)
			directory_answer_set(
				&answer, DIRECTORY_FOUND, question.value, "%s", "itself");
		else
			directory_answer_set(&answer, DIRECTORY_NOT_FOUND, "", "nobody has it");
		for (size_t i = 0; i < count; i++)
			if (table[i].kind == question.kind &&
				strcmp(table[i].value, question.value) == 0)
				directory_answer_set(
					&answer, table[i].status, table[i].mailbox, "entry %zu", i);
		mailbox_take(search, &question, &answer);
	}
	return search->refusal;
}

static enum refusal resolve(const struct config_mailbox *config, const struct identity_names *names,
	char mailbox[MAILBOX_MAX + 1])
{
	struct mailbox_search search;
	enum refusal refusal = resolve_with(config, names, NULL, 0, &search);

	memcpy(mailbox, search.mailbox, sizeof(search.mailbox));
	return refusal;
}

static void test_names_lead_to_one_mailbox_or_none(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char mailbox[MAILBOX_MAX + 1] = "left from before";
		struct identity_names names = names_of(&cases[i].names);
		enum refusal refusal = resolve(cases[i].config, &names, mailbox);

		if (refusal != cases[i].refusal)
			fprintf(stderr, "%s: %s\n", cases[i].what, refusal_row(refusal)->name);
		CU_ASSERT_EQUAL(refusal, cases[i].refusal);
		CU_ASSERT_STRING_EQUAL(mailbox, cases[i].mailbox);
	}
}

static enum config_name_kind with_bindings[] = {
	CONFIG_NAME_SKI, CONFIG_NAME_PRINCIPAL, CONFIG_NAME_RFC822, CONFIG_NAME_SUBJECT};
static const struct config_mailbox low = {
	.name_count = 4, .names = with_bindings, .domain_count = 2, .domains = domains};
static const struct config_mailbox high = {.name_count = 4,
	.names = with_bindings,
	.affinity = CONFIG_AFFINITY_HIGH,
	.domain_count = 2,
	.domains = domains};
static const struct known known[] = {
	{CONFIG_NAME_SKI, DIRECTORY_FOUND, "X509:<SKI>01", "alice@example.com"},
	{CONFIG_NAME_PRINCIPAL, DIRECTORY_FOUND, "a@corp.local", "alice@example.com"},
	{CONFIG_NAME_PRINCIPAL, DIRECTORY_FOUND, "b@corp.local", "bob@example.com"},
	{CONFIG_NAME_PRINCIPAL, DIRECTORY_DISABLED, "off@corp.local", ""},
	{CONFIG_NAME_PRINCIPAL, DIRECTORY_AMBIGUOUS, "two@corp.local", ""},
	{CONFIG_NAME_PRINCIPAL, DIRECTORY_NO_MAILBOX, "empty@corp.local", ""},
	{CONFIG_NAME_PRINCIPAL, DIRECTORY_UNAVAILABLE, "down@corp.local", ""},
	{CONFIG_NAME_PRINCIPAL, DIRECTORY_FOUND, "else@corp.local", "alice@elsewhere.com"},
	{CONFIG_NAME_RFC822, DIRECTORY_FOUND, "bob@example.com", "bob@example.com"},
	{CONFIG_NAME_SUBJECT, DIRECTORY_FOUND, "X509:<S>CN=Bob", "bob@example.com"},
};

#define SKI(text)                                                                                  \
	{                                                                                          \
		IDENTITY_SKI, text                                                                 \
	}

static const struct {
	const char *what;
	const struct config_mailbox *config;
	struct given names;
	enum refusal refusal;
	const char *mailbox;
} directory_cases[] = {
	{"by key", &low, {1, {SKI("01")}}, REFUSAL_NONE, "alice@example.com"},
	{"the first kind that is found decides", &low, {2, {UPN("b@corp.local"), SKI("01")}},
		REFUSAL_NONE, "alice@example.com"},
	{"a kind that is not found is passed over", &low, {2, {UPN("b@corp.local"), SKI("02")}},
		REFUSAL_NONE, "bob@example.com"},
	{"two names, one mailbox", &low, {2, {UPN("a@corp.local"), UPN("A@CORP.local")}},
		REFUSAL_NONE, "alice@example.com"},
	{"two names, two mailboxes", &low, {2, {UPN("a@corp.local"), UPN("b@corp.local")}},
		REFUSAL_NAME_AMBIGUOUS, ""},
	{"two names, one of them nobody's", &low, {2, {UPN("x@corp.local"), UPN("b@corp.local")}},
		REFUSAL_NONE, "bob@example.com"},
	{"two entries", &low, {2, {UPN("two@corp.local"), RFC822("bob@example.com")}},
		REFUSAL_NAME_AMBIGUOUS, ""},
	{"disabled, though another name is good", &low,
		{2, {UPN("off@corp.local"), RFC822("bob@example.com")}}, REFUSAL_USER_DISABLED, ""},
	{"disabled, beside a good one", &low, {2, {UPN("a@corp.local"), UPN("off@corp.local")}},
		REFUSAL_USER_DISABLED, ""},
	{"no mailbox", &low, {1, {UPN("empty@corp.local")}}, REFUSAL_USER_UNKNOWN, ""},
	{"no answer", &low, {2, {UPN("down@corp.local"), RFC822("bob@example.com")}},
		REFUSAL_DIRECTORY_UNAVAILABLE, ""},
	{"nobody", &low, {2, {UPN("x@corp.local"), SKI("02")}}, REFUSAL_USER_UNKNOWN, ""},
	{"a mailbox elsewhere", &low, {1, {UPN("else@corp.local")}}, REFUSAL_DOMAIN_NOT_ROUTABLE,
		""},
	{"no name", &low, {0, {{IDENTITY_SKI, NULL}}}, REFUSAL_NAME_MISSING, ""},
	{"a name that cannot be used", &low, {2, {UPN("x@corp.local"), {IDENTITY_SUBJECT, ""}}},
		REFUSAL_NAME_INVALID, ""},
	{"one that is not looked at any more", &low,
		{2, {UPN("a@corp.local"), {IDENTITY_SUBJECT, ""}}}, REFUSAL_NONE,
		"alice@example.com"},
	{"by subject", &low, {1, {{IDENTITY_SUBJECT, "CN=Bob"}}}, REFUSAL_NONE, "bob@example.com"},
	{"high: by key", &high, {2, {UPN("b@corp.local"), SKI("01")}}, REFUSAL_NONE,
		"alice@example.com"},
	{"high: only by address", &high, {1, {UPN("b@corp.local")}}, REFUSAL_AFFINITY_TOO_LOW, ""},
	{"high: key unknown", &high, {2, {UPN("b@corp.local"), SKI("02")}},
		REFUSAL_AFFINITY_TOO_LOW, ""},
	{"high: key unknown, nothing else", &high, {1, {SKI("02")}}, REFUSAL_USER_UNKNOWN, ""},
	{"high: nothing", &high, {0, {{IDENTITY_SKI, NULL}}}, REFUSAL_NAME_MISSING, ""},
};

static void test_directory_decides_whose_mailbox_it_is(void)
{
	for (size_t i = 0; i < sizeof(directory_cases) / sizeof(directory_cases[0]); i++) {
		struct identity_names names = names_of(&directory_cases[i].names);
		struct mailbox_search search;
		enum refusal refusal = resolve_with(directory_cases[i].config, &names, known,
			sizeof(known) / sizeof(known[0]), &search);

		if (refusal != directory_cases[i].refusal)
			fprintf(stderr, "%s: %s\n", directory_cases[i].what,
				refusal_row(refusal)->name);
		CU_ASSERT_EQUAL(refusal, directory_cases[i].refusal);
		CU_ASSERT_STRING_EQUAL(search.mailbox, directory_cases[i].mailbox);
		CU_ASSERT_NOT_EQUAL(search.reason[0], '\0');
	}
}

static void test_no_domains_route_nothing(void)
{
	const struct config_mailbox config = {.name_count = 1, .names = principal_only};
	const struct given given = {1, {UPN("alice@example.com")}};
	const struct identity_names names = names_of(&given);
	char mailbox[MAILBOX_MAX + 1];

	CU_ASSERT_EQUAL(resolve(&config, &names, mailbox), REFUSAL_DOMAIN_NOT_ROUTABLE);
}

static const struct {
	const char *user;
	size_t len; /* where it has a NUL; else 0 */
	bool is_same;
} users[] = {
	{"alice@example.com", 0, true},
	{"ALICE@Example.Com", 0, true},
	{"alice", 0, true},
	{"Alice", 0, true},
	{"CORP\\alice", 0, true},
	{"corp.example\\ALICE", 0, true},
	{"\\alice", 0, true},
	{"", 0, false},
	{"\\", 0, false},
	{"CORP\\", 0, false},
	{"CORP\\bob", 0, false},
	{"CORP\\alice\\", 0, false},
	{"X\\CORP\\alice", 0, false},
	{"CORP\\alice@example.com", 0, false},
	{"bob@example.com", 0, false},
	{"alice@example.org", 0, false},
	{"alice@", 0, false},
	{"@example.com", 0, false},
	{"alic", 0, false},
	{"alicee", 0, false},
	{" alice", 0, false},
	{"alice ", 0, false},
	{"alice@example.com ", 0, false},
	{"alice@example.co", 0, false},
	{"alice\0", 6, false},
	{"alice\0@bob.com", 14, false},
	{"alice@example.com\0", 18, false},
};

static void test_user_means_the_mailbox_or_not(void)
{
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		size_t len = users[i].len != 0 ? users[i].len : strlen(users[i].user);
		bool is_same = mailbox_is_user("alice@example.com", span_of(users[i].user, len));

		if (is_same != users[i].is_same)
			fprintf(stderr, "user %s\n", users[i].user);
		CU_ASSERT_EQUAL(is_same, users[i].is_same);
	}
}

static void test_letters_beyond_ascii_are_the_same_in_any_form(void)
{
	static const char mailbox[] = "m\xc3\xbcller@xn--mnchen-3ya.example";

	CU_ASSERT_TRUE(mailbox_is_user(mailbox, span_of_string(mailbox)));
	CU_ASSERT_TRUE(
		mailbox_is_user(mailbox, span_of_string("M\xc3\xbcLLER@xn--MNCHEN-3ya.example")));
	CU_ASSERT_TRUE(
		mailbox_is_user(mailbox, span_of_string("mu\xcc\x88ller@m\xc3\xbcnchen.example")));
	CU_ASSERT_TRUE(mailbox_is_user(mailbox, span_of_string("CORP\\mu\xcc\x88ller")));
	CU_ASSERT_TRUE(mailbox_is_user(mailbox, span_of_string("m\xc3\xbcller")));
	CU_ASSERT_FALSE(mailbox_is_user(mailbox, span_of_string("m\xc3\x9cller")));
	CU_ASSERT_FALSE(mailbox_is_user(mailbox, span_of_string("muller")));
	CU_ASSERT_FALSE(mailbox_is_user(mailbox, span_of("m\xc3\xbcller\0", 8)));
	CU_ASSERT_FALSE(mailbox_is_user(
		mailbox, span_of_string("CORP\\m\xc3\xbcller@m\xc3\xbcnchen.example")));
	CU_ASSERT_FALSE(
		mailbox_is_user(mailbox, span_of_string("m\xc3\xbcller@m\xc3\xbcnchen.test")));
}

static const struct {
	const char *user;
	size_t len; /* where it has a NUL; else 0 */
	bool is_same;
} other_users[] = {
	{"a1@corp.local", 0, true},
	{"A1@Corp.Local", 0, true},
	{"u1042", 0, true},
	{"CONTOSO\\U1042", 0, true},
	{"m\xc3\xbcller@xn--mnchen-3ya.example", 0, true},
	{"mu\xcc\x88ller@m\xc3\xbcnchen.example", 0, true},
	{"", 0, false},
	{"\\", 0, false},
	{"u104", 0, false},
	{"u10422", 0, false},
	{"a1", 0, false},
	{"a1@corp.local u1042", 0, false},
	{" ", 0, false},
	{"CONTOSO\\a1@corp.local", 0, false},
	{"X\\CONTOSO\\u1042", 0, false},
	{"u1042\0", 6, false},
	{"u1042@corp.local", 0, false},
};

static void test_other_names_of_the_directory_mean_the_mailbox_too(void)
{
	static const char known_as[] = "a1@corp.local u1042 m\xc3\xbcller@xn--mnchen-3ya.example";

	for (size_t i = 0; i < sizeof(other_users) / sizeof(other_users[0]); i++) {
		const char *user = other_users[i].user;
		struct span span =
			span_of(user, other_users[i].len != 0 ? other_users[i].len : strlen(user));
		bool is_same = mailbox_has_user(known_as, span);

		if (is_same != other_users[i].is_same)
			fprintf(stderr, "user %s\n", user);
		CU_ASSERT_EQUAL(is_same, other_users[i].is_same);
		CU_ASSERT_FALSE(mailbox_has_user("", span));
	}
}

static void test_names_that_do_not_fit_are_left_out(void)
{
	struct directory_answer answer = {.status = DIRECTORY_FOUND};

	directory_answer_add_user(&answer, span_of_string("A@b.c"));
	directory_answer_add_user(&answer, span_of_string("no address@"));
	directory_answer_add_user(&answer, span_of_string("two words"));
	directory_answer_add_user(&answer, span_of("nul\0", 4));
	directory_answer_add_user(&answer, span_of_string(""));
	directory_answer_add_user(&answer, span_of_string("U1"));
	CU_ASSERT_STRING_EQUAL(answer.users, "a@b.c u1");
	for (int i = 0; i < 200; i++)
		directory_answer_add_user(&answer, span_of_string("abcdefghi"));
	CU_ASSERT(strlen(answer.users) <= DIRECTORY_USERS_MAX);
	CU_ASSERT_STRING_EQUAL(answer.users + strlen(answer.users) - 10, " abcdefghi");
}

static void test_no_mailbox_is_nobodys(void)
{
	CU_ASSERT_FALSE(mailbox_is_user("", span_of("", 0)));
	CU_ASSERT_FALSE(mailbox_is_user("", span_of_string("alice")));
	CU_ASSERT_FALSE(mailbox_is_user("alice", span_of_string("alice")));
	CU_ASSERT_FALSE(mailbox_is_user("@example.com", span_of_string("@example.com")));
	CU_ASSERT_FALSE(mailbox_is_user("alice@example.com", span_of(NULL, 0)));
}

static const struct check checks[] = {
	{"names lead to one mailbox or none", test_names_lead_to_one_mailbox_or_none},
	{"a directory decides whose mailbox it is", test_directory_decides_whose_mailbox_it_is},
	{"letters beyond ASCII are the same in any form",
		test_letters_beyond_ascii_are_the_same_in_any_form},
	{"other names of the directory mean the mailbox too",
		test_other_names_of_the_directory_mean_the_mailbox_too},
	{"names that do not fit are left out", test_names_that_do_not_fit_are_left_out},
	{"no domains route nothing", test_no_domains_route_nothing},
	{"a User means the mailbox or not", test_user_means_the_mailbox_or_not},
	{"no mailbox is nobody's", test_no_mailbox_is_nobodys},
};

int main(void)
{
	return check_run("auth/mailbox", checks, sizeof(checks) / sizeof(checks[0]));
}
