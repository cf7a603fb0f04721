/* What is asked of an LDAP server, and whether what it answers was asked for. */
#include <string.h>

#include "auth/directory_cache.h"
#include "auth/directory_match.h"
#include "tests/unit/check.h"

static char *bindings[] = {"altSecurityIdentities", "certificateUserIds"};
static const struct config_directory ad = {.filter = "(objectClass=user)",
	.address_attribute = "proxyAddresses",
	.mail_attribute = "mail",
	.upn_attribute = "userPrincipalName",
	.sid_attribute = "objectSid",
	.control_attribute = "userAccountControl",
	.binding_attributes = bindings,
	.binding_attribute_count = 2};

static struct directory_question ask(enum config_name_kind kind, const char *value)
{
	struct directory_question question = {.kind = kind};

	snprintf(question.value, sizeof(question.value), "%s", value);
	return question;
}

static const struct {
	enum config_name_kind kind;
	const char *value, *filter;
} filters[] = {
	{CONFIG_NAME_PRINCIPAL, "a@b.c",
		"(&(objectClass=user)(|(userPrincipalName=a\\40b\\2ec)"
		"(altSecurityIdentities=X509\\3a\\3cPN\\3ea\\40b\\2ec)"
		"(certificateUserIds=X509\\3a\\3cPN\\3ea\\40b\\2ec)))"},
	{CONFIG_NAME_RFC822, "*)(cn=*",
		"(&(objectClass=user)(|(proxyAddresses=smtp\\3a\\2a\\29\\28cn\\3d\\2a)"
		"(proxyAddresses=\\2a\\29\\28cn\\3d\\2a)(mail=\\2a\\29\\28cn\\3d\\2a)"
		"(altSecurityIdentities=X509\\3a\\3cRFC822\\3e\\2a\\29\\28cn\\3d\\2a)"
		"(certificateUserIds=X509\\3a\\3cRFC822\\3e\\2a\\29\\28cn\\3d\\2a)))"},
	{CONFIG_NAME_SKI, "X509:<SKI>0a",
		"(&(objectClass=user)(|(altSecurityIdentities=X509\\3a\\3cSKI\\3e0a)"
		"(certificateUserIds=X509\\3a\\3cSKI\\3e0a)))"},
	{CONFIG_NAME_SID, "S-1-5-21-7-8",
		"(&(objectClass=user)(|(objectSid=\\01\\03\\00\\00\\00\\00\\00\\05\\15\\00\\00\\00"
		"\\07\\00\\00\\00\\08\\00\\00\\00)))"},
};

static void test_no_value_can_be_more_than_a_value(void)
{
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		struct directory_question question = ask(filters[i].kind, filters[i].value);
		char filter[1024];

		CU_ASSERT_EQUAL(directory_filter_write(&ad, &question, filter, sizeof(filter)), 0);
		CU_ASSERT_STRING_EQUAL(filter, filters[i].filter);
	}
}

static void test_longest_question_fits(void)
{
	char *many[8] = {"a", "b", "c", "d", "e", "f", "g", "h"};
	struct config_directory config = ad;
	struct directory_question question = ask(CONFIG_NAME_ISSUER_SUBJECT, "");
	static char filter[DIRECTORY_FILTER_SIZE];

	config.binding_attributes = many;
	config.binding_attribute_count = 8;
	memset(question.value, '*', DIRECTORY_VALUE_MAX);
	CU_ASSERT_EQUAL(directory_filter_write(&config, &question, filter, sizeof(filter)), 0);
	CU_ASSERT_EQUAL(directory_filter_write(&config, &question, filter, 1000), -1);
}

static void test_without_an_attribute_nothing_is_asked(void)
{
	struct config_directory config = ad;
	struct directory_question question = ask(CONFIG_NAME_SKI, "X509:<SKI>0a");
	char filter[256];

	config.binding_attribute_count = 0;
	CU_ASSERT_EQUAL(directory_filter_write(&config, &question, filter, sizeof(filter)), -1);
}

static const struct {
	const char *value, *attribute, *found;
	enum config_name_kind kind;
	bool matches;
} matches[] = {
	{"a@b.c", "proxyAddresses", "SMTP:A@B.c", CONFIG_NAME_RFC822, true},
	{"a@b.c", "PROXYADDRESSES", "smtp:a@b.c", CONFIG_NAME_RFC822, true},
	{"a@b.c", "proxyAddresses", "a@b.c", CONFIG_NAME_RFC822, true},
	{"a@b.c", "proxyAddresses", "SIP:a@b.c", CONFIG_NAME_RFC822, false},
	{"a@b.c", "proxyAddresses", "smtp:x@b.c", CONFIG_NAME_RFC822, false},
	{"a@b.c", "mail", "a@b.c", CONFIG_NAME_RFC822, true},
	{"a@b.c", "userPrincipalName", "a@b.c", CONFIG_NAME_RFC822, false},
	{"a@b.c", "altSecurityIdentities", "X509:<RFC822>a@b.c", CONFIG_NAME_RFC822, true},
	{"a@b.c", "altSecurityIdentities", "a@b.c", CONFIG_NAME_RFC822, false},
	{"a@b.c", "userPrincipalName", "A@b.C", CONFIG_NAME_PRINCIPAL, true},
	{"a@b.c", "mail", "a@b.c", CONFIG_NAME_PRINCIPAL, false},
	{"a@b.c", "certificateUserIds", "X509:<PN>a@b.c", CONFIG_NAME_PRINCIPAL, true},
	/* What a server may take for the same is not. */
	{"jose@b.c", "userPrincipalName", "jos\xc3\xa9@b.c", CONFIG_NAME_PRINCIPAL, false},
	{"jos\xc3\xa9@b.c", "userPrincipalName", "jose\xcc\x81@b.c", CONFIG_NAME_PRINCIPAL, true},
	{"ab@b.c", "userPrincipalName",
		"a\xe2\x80\x8b"
		"b@b.c",
		CONFIG_NAME_PRINCIPAL, false},
	{"X509:<S>CN=a b", "altSecurityIdentities", "x509:<s>cn=A B", CONFIG_NAME_SUBJECT, true},
	{"X509:<S>CN=a b", "altSecurityIdentities", "X509:<S>CN=a  b", CONFIG_NAME_SUBJECT, false},
	{"X509:<S>CN=a", "mail", "X509:<S>CN=a", CONFIG_NAME_SUBJECT, false},
	{"S-1-5-21", "objectSid", "S-1-5-21", CONFIG_NAME_SID, false},
	{"no SID", "objectSid", "", CONFIG_NAME_SID, false},
};

static void test_only_what_was_asked_for_matches(void)
{
	struct directory_question sid = ask(CONFIG_NAME_SID, "S-1-5-21");

	for (size_t i = 0; i < sizeof(matches) / sizeof(matches[0]); i++) {
		struct directory_question question = ask(matches[i].kind, matches[i].value);
		bool is_it = directory_value_matches(
			&ad, &question, matches[i].attribute, span_of_string(matches[i].found));

		if (is_it != matches[i].matches)
			fprintf(stderr, "%s: %s\n", matches[i].attribute, matches[i].found);
		CU_ASSERT_EQUAL(is_it, matches[i].matches);
	}
	CU_ASSERT_TRUE(directory_value_matches(
		&ad, &sid, "objectSid", span_of("\1\1\0\0\0\0\0\5\x15\0\0\0", 12)));
	CU_ASSERT_FALSE(directory_value_matches(
		&ad, &sid, "objectSid", span_of("\1\1\0\0\0\0\0\5\x16\0\0\0", 12)));
}

static void test_sids_become_bytes(void)
{
	static const char *const none[] = {"", "S-1-", "S-1-5", "S-1-5-", "S-1-5-4294967296",
		"S-1-281474976710656-1", "S-1-5-1x", "x"};
	uint8_t bytes[68];

	CU_ASSERT_EQUAL(directory_sid_bytes("S-1-5-21-4294967295", bytes), 16);
	CU_ASSERT_EQUAL(memcmp(bytes, "\1\2\0\0\0\0\0\5\x15\0\0\0\xff\xff\xff\xff", 16), 0);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		CU_ASSERT_EQUAL(directory_sid_bytes(none[i], bytes), 0);
}

static void test_bytes_become_a_sid(void)
{
	static const char sid[] = "S-1-5-21-1-4294967295-3-500";
	uint8_t bytes[68];
	size_t len = directory_sid_bytes(sid, bytes);
	char text[DIRECTORY_SID_MAX + 1];

	CU_ASSERT_EQUAL(directory_sid_text(span_of(bytes, len), text, sizeof(text)), 0);
	CU_ASSERT_STRING_EQUAL(text, sid);
	CU_ASSERT_EQUAL(directory_sid_text(span_of(bytes, len - 1), text, sizeof(text)), -1);
	CU_ASSERT_EQUAL(directory_sid_text(span_of(bytes, len), text, strlen(sid)), -1);
	CU_ASSERT_EQUAL(directory_sid_text(span_of(bytes, 0), text, sizeof(text)), -1);
	bytes[1] = 16;
	CU_ASSERT_EQUAL(directory_sid_text(span_of(bytes, 68), text, sizeof(text)), -1);
}

static void expect_realm(const char *dn, const char *expected)
{
	char realm[16] = "before";

	directory_realm(dn, realm, sizeof(realm));
	CU_ASSERT_STRING_EQUAL(realm, expected);
}

static void test_the_realm_is_in_the_name(void)
{
	expect_realm("CN=bob,OU=a,DC=contoso,dc=Test", "CONTOSO.TEST");
	expect_realm("CN=b\\,DC=evil,DC=good", "GOOD");
	expect_realm("CN=b\\", "");
	expect_realm("uid=bob,o=example", "");
	expect_realm("", "");
	expect_realm("DC=con toso,DC=test", "");
	expect_realm("DC=contoso,DC=", "");
	expect_realm("DC=contoso,DC=testing.x", "");
	expect_realm("DC=contoso,DC=test,DC=toolong", "");
}

static void test_primary_addresses_are_those_in_capitals(void)
{
	struct span address = span_of(NULL, 0);

	CU_ASSERT_TRUE(directory_is_primary(span_of_string("SMTP:a@b.c"), &address));
	CU_ASSERT_TRUE(span_equal(address, span_of_string("a@b.c")));
	CU_ASSERT_FALSE(directory_is_primary(span_of_string("smtp:a@b.c"), &address));
	CU_ASSERT_FALSE(directory_is_primary(span_of_string("Smtp:a@b.c"), &address));
	CU_ASSERT_FALSE(directory_is_primary(span_of_string("a@b.c"), &address));
	CU_ASSERT_FALSE(directory_is_primary(span_of_string("SMT"), &address));
}

static void put(struct directory_cache *cache, const char *value, int64_t now_ms)
{
	struct directory_question question = ask(CONFIG_NAME_RFC822, value);
	struct directory_answer answer;

	directory_answer_set(&answer, DIRECTORY_FOUND, value, "entry of %s", value);
	directory_cache_put(cache, &question, &answer, now_ms);
}

static const struct directory_known *find(struct directory_cache *cache, const char *value)
{
	struct directory_question question = ask(CONFIG_NAME_RFC822, value);

	return directory_cache_find(cache, &question);
}

static void test_answers_are_remembered_the_least_used_one_replaced(void)
{
	struct directory_cache *cache = directory_cache_new(2);
	struct directory_question other = ask(CONFIG_NAME_PRINCIPAL, "a");

	CU_ASSERT_PTR_NULL(find(cache, "a"));
	put(cache, "a", 1);
	put(cache, "b", 2);
	CU_ASSERT_PTR_NULL(directory_cache_find(cache, &other));
	CU_ASSERT_EQUAL(find(cache, "a")->asked_at_ms, 1);
	put(cache, "c", 3);
	CU_ASSERT_PTR_NULL(find(cache, "b"));
	CU_ASSERT_STRING_EQUAL(find(cache, "a")->answer.mailbox, "a");
	CU_ASSERT_STRING_EQUAL(find(cache, "c")->answer.entry, "entry of c");
	put(cache, "a", 4);
	CU_ASSERT_EQUAL(find(cache, "a")->asked_at_ms, 4);
	CU_ASSERT_EQUAL(directory_cache_count(cache), 2);
	directory_cache_free(cache);
}

static void test_cache_of_nothing_finds_nothing(void)
{
	struct directory_cache *cache = directory_cache_new(0);

	put(cache, "a", 1);
	CU_ASSERT_PTR_NULL(find(cache, "a"));
	directory_cache_free(cache);
	directory_cache_free(NULL);
}

int main(void)
{
	static const struct check checks[] = {
		{"no value can be more than a value", test_no_value_can_be_more_than_a_value},
		{"the longest question fits", test_longest_question_fits},
		{"without an attribute nothing is asked",
			test_without_an_attribute_nothing_is_asked},
		{"only what was asked for matches", test_only_what_was_asked_for_matches},
		{"SIDs become bytes", test_sids_become_bytes},
		{"bytes become a SID", test_bytes_become_a_sid},
		{"the realm is in the name", test_the_realm_is_in_the_name},
		{"primary addresses are those in capitals",
			test_primary_addresses_are_those_in_capitals},
		{"answers are remembered, the least used one replaced",
			test_answers_are_remembered_the_least_used_one_replaced},
		{"a cache of nothing finds nothing", test_cache_of_nothing_finds_nothing},
	};

	return check_run("auth/directory_ldap", checks, sizeof(checks) / sizeof(checks[0]));
}
