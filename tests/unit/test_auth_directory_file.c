/* The text of a directory file: what it leads to, and what is wrong with it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/directory_file.h"
#include "tests/unit/check.h"

enum { FAULTS_SIZE = 4096 };

static const char file[] =
	"# who is here\n"
	"\n"
	"alice@contoso.test smtp:Alice.Adams@contoso.test SMTP:sales@CONTOSO.test "
	"upn:a1@corp.local\n"
	"\tbob@contoso.test   # no more than that\r\n"
	"carol@contoso.test X509:<SKI>00FF x509:<i>CN=CA<sr>C3b2 \"X509:<S>O=Acme Inc,CN=\\\"C, "
	"D\\\"\"\n"
	"dan@contoso.test sid:S-1-5-21-7 X509:<PN>dan.d@corp.local "
	"X509:<RFC822>daniel@contoso.test\n"
	"erin@contoso.test disabled smtp:e@contoso.test\n"
	"m\xc3\xbcller@m\xc3\xbcnchen.example smtp:alice.adams@m\xc3\xbcnchen.example";

static struct directory_table *parse(const char *text)
{
	return directory_table_parse(span_of_string(text), "list", NULL, NULL, NULL);
}

static const struct {
	enum config_name_kind kind;
	enum directory_status status;
	const char *value, *mailbox, *entry;
} questions[] = {
	{CONFIG_NAME_RFC822, DIRECTORY_FOUND, "alice@contoso.test", "alice@contoso.test", "list:3"},
	{CONFIG_NAME_RFC822, DIRECTORY_FOUND, "alice.adams@contoso.test", "alice@contoso.test",
		"list:3"},
	{CONFIG_NAME_SMTP_UTF8, DIRECTORY_FOUND, "sales@contoso.test", "alice@contoso.test",
		"list:3"},
	{CONFIG_NAME_PRINCIPAL, DIRECTORY_FOUND, "a1@corp.local", "alice@contoso.test", "list:3"},
	/* Where a UPN is given, the address is none. */
	{CONFIG_NAME_PRINCIPAL, DIRECTORY_NOT_FOUND, "alice@contoso.test", "",
		"no line of list has it"},
	{CONFIG_NAME_PRINCIPAL, DIRECTORY_FOUND, "bob@contoso.test", "bob@contoso.test", "list:4"},
	{CONFIG_NAME_SKI, DIRECTORY_FOUND, "X509:<SKI>00ff", "carol@contoso.test", "list:5"},
	{CONFIG_NAME_ISSUER_SERIAL, DIRECTORY_FOUND, "X509:<I>CN=CA<SR>c3b2", "carol@contoso.test",
		"list:5"},
	{CONFIG_NAME_SUBJECT, DIRECTORY_FOUND, "X509:<S>O=Acme Inc,CN=\"C, D\"",
		"carol@contoso.test", "list:5"},
	{CONFIG_NAME_SID, DIRECTORY_FOUND, "S-1-5-21-7", "dan@contoso.test", "list:6"},
	{CONFIG_NAME_PRINCIPAL, DIRECTORY_FOUND, "dan.d@corp.local", "dan@contoso.test", "list:6"},
	{CONFIG_NAME_RFC822, DIRECTORY_FOUND, "daniel@contoso.test", "dan@contoso.test", "list:6"},
	{CONFIG_NAME_RFC822, DIRECTORY_DISABLED, "erin@contoso.test", "", "list:7: disabled"},
	{CONFIG_NAME_RFC822, DIRECTORY_DISABLED, "e@contoso.test", "", "list:7: disabled"},
	{CONFIG_NAME_SMTP_UTF8, DIRECTORY_FOUND, "m\xc3\xbcller@xn--mnchen-3ya.example",
		"m\xc3\xbcller@xn--mnchen-3ya.example", "list:8"},
	{CONFIG_NAME_RFC822, DIRECTORY_FOUND, "alice.adams@xn--mnchen-3ya.example",
		"m\xc3\xbcller@xn--mnchen-3ya.example", "list:8"},
	{CONFIG_NAME_SID, DIRECTORY_NOT_FOUND, "alice@contoso.test", "", "no line of list has it"},
	{CONFIG_NAME_SKI, DIRECTORY_NOT_FOUND, "S-1-5-21-7", "", "no line of list has it"},
	{CONFIG_NAME_RFC822, DIRECTORY_NOT_FOUND, "", "", "no line of list has it"},
	{CONFIG_NAME_RFC822, DIRECTORY_NOT_FOUND, "zoe@contoso.test", "", "no line of list has it"},
};

static void test_everything_on_a_line_leads_to_its_mailbox(void)
{
	struct directory_table *table = parse(file);

	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	CU_ASSERT_EQUAL(directory_table_count(table), 6);
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		struct directory_question question = {.kind = questions[i].kind};
		struct directory_answer answer;

		snprintf(question.value, sizeof(question.value), "%s", questions[i].value);
		directory_table_ask(table, &question, &answer);
		if (answer.status != questions[i].status)
			fprintf(stderr, "%s\n", questions[i].value);
		CU_ASSERT_EQUAL(answer.status, questions[i].status);
		CU_ASSERT_STRING_EQUAL(answer.mailbox, questions[i].mailbox);
		CU_ASSERT_STRING_EQUAL(answer.entry, questions[i].entry);
	}
	directory_table_free(table);
}

static void collect(void *context, const char *text)
{
	char *all = context; /* of FAULTS_SIZE */
	size_t len = strlen(all);

	snprintf(all + len, FAULTS_SIZE - len, "%s\n", text);
}

static const struct {
	const char *text, *faults;
} faulty[] = {
	{"bob\n", "list:1: 'bob' is not a mailbox; a line begins with its address, user@domain\n"},
	{"a@b.c smtp:x\n\nd@e.f upn:\n", "list:1: 'x' is not an address; write user@domain\n"
					 "list:3: '' is not an address; write user@domain\n"},
	{"a@b.c nonsense\n", "list:1: 'nonsense' is none of smtp:…, upn:…, sid:…, X509:<…>…, "
			     "group:… and disabled\n"},
	{"a@b.c sid:S-1\n", "list:1: 'S-1' is not a SID; write S-1-5-21-…\n"},
	{"a@b.c X509:<SKI>0\n",
		"list:1: 'X509:<SKI>0' is no binding; write X509:<SKI>, X509:<SHA1-PUKEY>, "
		"X509:<I>…<SR>…, X509:<I>…<S>…, X509:<S>…, X509:<PN> or X509:<RFC822> with its "
		"value, as in altSecurityIdentities\n"},
	{"a@b.c \"smtp:d@e.f\n",
		"list:1: a word in quotes does not end, or something stands right behind it\n"},
	{"a@b.c \"smtp:d@e.f\"x\n",
		"list:1: a word in quotes does not end, or something stands right behind it\n"},
	{"a@b.c \"smtp:d@e.f\\\n",
		"list:1: a word in quotes does not end, or something stands right behind it\n"},
	{"a@b.c smtp:shared@b.c\nd@b.c\ne@b.c smtp:Shared@b.c\n",
		"list:3: 'shared@b.c' leads to another mailbox already, line 1\n"},
	{"a@b.c\nA@B.C\n", "list:2: 'a@b.c' leads to another mailbox already, line 1\n"
			   "list:2: 'a@b.c' leads to another mailbox already, line 1\n"},
	{"a@b.c X509:<SKI>aa\nd@b.c X509:<SKI>AA\n",
		"list:2: 'x509:<ski>aa' leads to another mailbox already, line 1\n"},
	{"a@b.c\x01\n", "list:1: 'a@b.c?' is not a mailbox; a line begins with its address, "
			"user@domain\n"},
};

static void test_faults_are_told_with_their_lines(void)
{
	for (size_t i = 0; i < sizeof(faulty) / sizeof(faulty[0]); i++) {
		char faults[FAULTS_SIZE] = "";

		CU_ASSERT_PTR_NULL(directory_table_parse(
			span_of_string(faulty[i].text), "list", NULL, collect, faults));
		CU_ASSERT_STRING_EQUAL(faults, faulty[i].faults);
		if (strcmp(faults, faulty[i].faults) != 0)
			fprintf(stderr, "%s%s", faulty[i].text, faults);
	}
}

static void test_faults_are_not_told_without_end(void)
{
	char text[2 * 100 + 1], faults[FAULTS_SIZE] = "";
	size_t lines = 0;

	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = i % 2 == 0 ? 'x' : '\n';
	text[sizeof(text) - 1] = '\0';
	CU_ASSERT_PTR_NULL(
		directory_table_parse(span_of_string(text), "list", NULL, collect, faults));
	for (const char *c = faults; *c != '\0'; c++)
		lines += *c == '\n';
	CU_ASSERT_EQUAL(lines, DIRECTORY_FILE_FAULTS_MAX);
}

static void test_the_same_twice_on_a_line_is_no_fault(void)
{
	struct directory_table *table = parse("a@b.c smtp:A@b.c upn:a@b.c upn:a@B.c\n");

	CU_ASSERT_PTR_NOT_NULL(table);
	directory_table_free(table);
}

static void test_line_that_is_too_long_is_a_fault(void)
{
	size_t len = DIRECTORY_FILE_LINE_MAX;
	char *text = malloc(len + 3), faults[FAULTS_SIZE] = "";
	struct directory_table *table;

	memset(text, ' ', len + 2);
	memcpy(text, "a@b.c", 5);
	text[len] = '\0';
	table = parse(text);
	CU_ASSERT_PTR_NOT_NULL(table);
	directory_table_free(table);
	text[len] = ' ';
	text[len + 1] = '\0';
	CU_ASSERT_PTR_NULL(
		directory_table_parse(span_of_string(text), "list", NULL, collect, faults));
	CU_ASSERT_STRING_EQUAL(faults, "list:1: the line is longer than 16384 bytes\n");
	free(text);
}

static void test_nothing_and_nobody_are_files_too(void)
{
	struct directory_table *table = parse("");

	CU_ASSERT_PTR_NOT_NULL(table);
	CU_ASSERT_EQUAL(directory_table_count(table), 0);
	directory_table_free(table);
	table = directory_table_parse(span_of(NULL, 0), "list", NULL, NULL, NULL);
	CU_ASSERT_PTR_NOT_NULL(table);
	directory_table_free(table);
}

static void test_without_a_directory_only_plain_addresses_are_mailboxes(void)
{
	static const struct {
		enum config_name_kind kind;
		enum directory_status status;
		const char *value;
	} cases[] = {
		{CONFIG_NAME_PRINCIPAL, DIRECTORY_FOUND, "bob@contoso.test"},
		{CONFIG_NAME_PRINCIPAL, DIRECTORY_FOUND, "bob@xn--mnchen-3ya.example"},
		{CONFIG_NAME_PRINCIPAL, DIRECTORY_NOT_FOUND,
			"b\xc3\xb6"
			"b@contoso.test"},
		{CONFIG_NAME_SMTP_UTF8, DIRECTORY_FOUND,
			"b\xc3\xb6"
			"b@contoso.test"},
		{CONFIG_NAME_SKI, DIRECTORY_NOT_FOUND, "X509:<SKI>00"},
		{CONFIG_NAME_SID, DIRECTORY_NOT_FOUND, "S-1-5-21-7"},
	};
	const struct config_directory config = {.backend = CONFIG_DIRECTORY_NONE};
	struct error err;
	struct directory *directory = directory_new(&config, &err);

	CU_ASSERT_PTR_NOT_NULL_FATAL(directory);
	CU_ASSERT_EQUAL(directory_watch_fd(directory), -1);
	CU_ASSERT_EQUAL(directory_refresh(directory, &err), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct directory_question question = {.kind = cases[i].kind};
		struct directory_answer answer;

		snprintf(question.value, sizeof(question.value), "%s", cases[i].value);
		directory_ask(directory, &question, &answer);
		CU_ASSERT_EQUAL(answer.status, cases[i].status);
		CU_ASSERT_STRING_EQUAL(
			answer.mailbox, cases[i].status == DIRECTORY_FOUND ? cases[i].value : "");
	}
	directory_free(directory);
}

static void write_file(const char *path, const char *text)
{
	char fresh[128];
	FILE *out;

	snprintf(fresh, sizeof(fresh), "%s.new", path);
	out = fopen(fresh, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	fputs(text, out);
	fclose(out);
	CU_ASSERT_EQUAL_FATAL(rename(fresh, path), 0);
}

static enum directory_status ask(struct directory *directory, const char *address)
{
	struct directory_question question = {.kind = CONFIG_NAME_RFC822};
	struct directory_answer answer;

	snprintf(question.value, sizeof(question.value), "%s", address);
	directory_ask(directory, &question, &answer);
	return (enum directory_status)answer.status;
}

static void test_a_faulty_new_file_keeps_what_the_old_one_said(void)
{
	char folder[] = "/tmp/test-directory-XXXXXX", path[64];
	struct config_directory config = {.backend = CONFIG_DIRECTORY_FILE, .file = path};
	struct directory *directory;
	struct error err;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/list", folder);
	CU_ASSERT_PTR_NULL(directory_new(&config, &err));
	write_file(path, "a@b.c\n");
	directory = directory_new(&config, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(directory);
	CU_ASSERT_FALSE(directory_may_block(&config));
	CU_ASSERT_NOT_EQUAL(directory_watch_fd(directory), -1);
	CU_ASSERT_EQUAL(directory_refresh(directory, &err), 0);
	write_file(path, "x@y.z\n");
	CU_ASSERT_EQUAL(directory_refresh(directory, &err), 1);
	CU_ASSERT_EQUAL(ask(directory, "a@b.c"), DIRECTORY_NOT_FOUND);
	CU_ASSERT_EQUAL(ask(directory, "x@y.z"), DIRECTORY_FOUND);
	write_file(path, "nobody\n");
	CU_ASSERT_EQUAL(directory_refresh(directory, &err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "list:1: 'nobody' is not a mailbox"));
	CU_ASSERT_EQUAL(ask(directory, "x@y.z"), DIRECTORY_FOUND);
	/* Told once. */
	CU_ASSERT_EQUAL(directory_refresh(directory, &err), 0);
	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_EQUAL(directory_refresh(directory, &err), -1);
	CU_ASSERT_EQUAL(ask(directory, "x@y.z"), DIRECTORY_FOUND);
	CU_ASSERT_EQUAL(directory_refresh(directory, &err), 0);
	write_file(path, "a@b.c\n");
	CU_ASSERT_EQUAL(directory_refresh(directory, &err), 1);
	CU_ASSERT_EQUAL(ask(directory, "a@b.c"), DIRECTORY_FOUND);
	directory_free(directory);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	static const struct check checks[] = {
		{"everything on a line leads to its mailbox",
			test_everything_on_a_line_leads_to_its_mailbox},
		{"faults are told with their lines", test_faults_are_told_with_their_lines},
		{"faults are not told without end", test_faults_are_not_told_without_end},
		{"the same twice on a line is no fault", test_the_same_twice_on_a_line_is_no_fault},
		{"a line that is too long is a fault", test_line_that_is_too_long_is_a_fault},
		{"nothing and nobody are files too", test_nothing_and_nobody_are_files_too},
		{"without a directory only plain addresses are mailboxes",
			test_without_a_directory_only_plain_addresses_are_mailboxes},
		{"a faulty new file keeps what the old one said",
			test_a_faulty_new_file_keeps_what_the_old_one_said},
	};

	return check_run("auth/directory_file", checks, sizeof(checks) / sizeof(checks[0]));
}
