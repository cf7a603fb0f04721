/* Which names mean the same group, and what a server is asked about one. */
#include <stdio.h>
#include <string.h>

#include "auth/directory_file.h"
#include "auth/directory_groups.h"
#include "auth/directory_ldap_groups.h"
#include "tests/unit/check.h"

static const struct {
	const char *one, *two;
	bool is_same;
} names[] = {
	{"CN=Sales,OU=Groups,DC=contoso,DC=test", "cn=sales,ou=groups,dc=CONTOSO,dc=test", true},
	{"CN=Sales,OU=Groups,DC=contoso", "CN=Sales, OU=Groups, DC=contoso", true},
	{"CN=Smith\\, Jane,DC=contoso", "CN=Smith\\2c Jane,DC=contoso", true},
	{"CN=a+OU=b,DC=c", "OU=b+CN=a,DC=c", true},
	{"CN=caf\xc3\xa9,DC=c", "CN=cafe\xcc\x81,DC=c", true},
	{"CN=caf\xc3\xa9,DC=c", "CN=cafe,DC=c", false},
	{"CN=Sales,DC=contoso", "CN=Sales,DC=contoso,DC=test", false},
	{"CN=Sales,OU=a,DC=c", "OU=a,CN=Sales,DC=c", false},
	/* A value that looks like a part of a name is none. */
	{"CN=a\\,OU=b,DC=c", "CN=a,OU=b,DC=c", false},
	{"CN=a/OU=b", "CN=a,OU=b", false},
	{"Field Staff", "field staff", true},
	{"Field Staff", "fieldstaff", false},
	{"sales", "CN=sales", false},
	{"CN=#0c0161", "CN=a", false}, /* the bytes of an encoding are not looked into */
	{"CN=#0C0161", "CN=#0c0161", true},
	{"CN=#0c0161", "CN=\\#0c0161", false},
	{"CN=a\\ ,DC=c", "CN=a ,DC=c", false},
	{"CN=a+CN=a+OU=b", "OU=b+CN=a+CN=a", true},
	{"CN=a+CN=ab", "CN=ab+CN=a", true},
	/* What is no name is a text. */
	{"a=\\", "A=\\", true},
	{"a=\\", "a=", false},
	{"CN=a,", "CN=a", false},
	{"=a", "=A", true},
};

static void test_names_are_compared_as_what_they_are(void)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char name[100];
		char *list[] = {name};
		struct directory_groups *groups;
		struct error err;
		bool is_same;

		snprintf(name, sizeof(name), "%s", names[i].one);
		groups = directory_groups_new(1, list, &err);
		CU_ASSERT_PTR_NOT_NULL_FATAL(groups);
		is_same = directory_groups_find(groups, span_of_string(names[i].two)) == 1;
		if (is_same != names[i].is_same)
			fprintf(stderr, "%s and %s\n", names[i].one, names[i].two);
		CU_ASSERT_EQUAL(is_same, names[i].is_same);
		directory_groups_free(groups);
	}
}

static void test_each_group_has_its_bit(void)
{
	static char text[64][8];
	char *list[64];
	struct directory_groups *groups;
	struct error err;

	for (size_t i = 0; i < 64; i++) {
		snprintf(text[i], sizeof(text[i]), i % 2 == 0 ? "g%zu" : "CN=%zu", i);
		list[i] = text[i];
	}
	groups = directory_groups_new(64, list, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(groups);
	CU_ASSERT_EQUAL(directory_groups_count(groups), 64);
	for (size_t i = 0; i < 64; i++) {
		CU_ASSERT_EQUAL(
			directory_groups_find(groups, span_of_string(text[i])), UINT64_C(1) << i);
		CU_ASSERT_EQUAL(directory_groups_dn(groups, i) != NULL, i % 2 == 1);
	}
	CU_ASSERT_EQUAL(directory_groups_find(groups, span_of_string("g1")), 0);
	directory_groups_free(groups);
}

static void test_what_can_be_no_group_is_a_fault(void)
{
	static char many[DIRECTORY_GROUPS_MAX + 1][8], longest[DIRECTORY_GROUP_SIZE + 2];
	char *list[DIRECTORY_GROUPS_MAX + 1];
	char empty[] = "", broken[] = "CN=\xff";
	char *bad[] = {empty, broken, longest};
	struct error err;

	memset(longest, 'a', sizeof(longest) - 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_PTR_NULL(directory_groups_new(1, &bad[i], &err));
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cannot be looked for"));
	}
	for (size_t i = 0; i <= DIRECTORY_GROUPS_MAX; i++) {
		snprintf(many[i], sizeof(many[i]), "g%zu", i);
		list[i] = many[i];
	}
	CU_ASSERT_PTR_NULL(directory_groups_new(DIRECTORY_GROUPS_MAX + 1, list, &err));
}

static void test_nothing_is_found_where_nobody_asks(void)
{
	struct error err;
	struct directory_groups *none = directory_groups_new(0, NULL, &err);

	CU_ASSERT_EQUAL(directory_groups_find(none, span_of_string("CN=a")), 0);
	CU_ASSERT_EQUAL(directory_groups_find(NULL, span_of_string("CN=a")), 0);
	directory_groups_free(none);
	directory_groups_free(NULL);
}

static void test_no_name_can_be_more_than_a_value(void)
{
	char attribute[] = "memberOf";
	const struct config_directory config = {.group_attribute = attribute};
	char filter[256];

	CU_ASSERT_EQUAL(
		directory_group_filter(&config, false, "CN=a)(b=*", filter, sizeof(filter)), 0);
	CU_ASSERT_STRING_EQUAL(filter, "(memberOf=CN\\3da\\29\\28b\\3d\\2a)");
	CU_ASSERT_EQUAL(directory_group_filter(&config, true, "CN=a", filter, sizeof(filter)), 0);
	CU_ASSERT_STRING_EQUAL(filter, "(memberOf:1.2.840.113556.1.4.1941:=CN\\3da)");
	CU_ASSERT_EQUAL(directory_group_filter(&config, false, "CN=a", filter, 16), -1);
	CU_ASSERT_EQUAL(directory_group_filter(&config, false, "CN=a", filter, 20), 0);
}

static void test_a_file_says_who_is_in_which_group(void)
{
	static const char file[] = "alice@contoso.test group:sales \"group:Field Staff\"\n"
				   "bob@contoso.test \"group:CN=Sales, DC=contoso\" group:other\n"
				   "carol@contoso.test\n";
	static const struct {
		const char *address;
		uint64_t groups;
	} people[] = {
		{"alice@contoso.test", 3}, {"bob@contoso.test", 4}, {"carol@contoso.test", 0}};
	char sales[] = "Sales", staff[] = "field staff", dn[] = "cn=sales,dc=contoso";
	char *list[] = {sales, staff, dn};
	struct directory_groups *groups;
	struct directory_table *table;
	struct error err;

	groups = directory_groups_new(3, list, &err);
	table = directory_table_parse(span_of_string(file), "list", groups, NULL, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	for (size_t i = 0; i < sizeof(people) / sizeof(people[0]); i++) {
		struct directory_question question = {.kind = CONFIG_NAME_RFC822};
		struct directory_answer answer = {0};

		snprintf(question.value, sizeof(question.value), "%s", people[i].address);
		directory_table_ask(table, &question, &answer);
		CU_ASSERT_EQUAL(answer.status, DIRECTORY_FOUND);
		CU_ASSERT_EQUAL(answer.groups, people[i].groups);
	}
	directory_table_free(table);
	directory_groups_free(groups);
	CU_ASSERT_PTR_NULL(
		directory_table_parse(span_of_string("a@b.c group:\n"), "list", NULL, NULL, NULL));
}

static const struct check checks[] = {
	{"names are compared as what they are", test_names_are_compared_as_what_they_are},
	{"each group has its bit", test_each_group_has_its_bit},
	{"what can be no group is a fault", test_what_can_be_no_group_is_a_fault},
	{"nothing is found where nobody asks", test_nothing_is_found_where_nobody_asks},
	{"no name can be more than a value", test_no_name_can_be_more_than_a_value},
	{"a file says who is in which group", test_a_file_says_who_is_in_which_group},
};

int main(void)
{
	return check_run("auth/directory_groups", checks, sizeof(checks) / sizeof(checks[0]));
}
