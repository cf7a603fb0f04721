/* What becomes of answers: the table, and that docs/http-statuses.md says the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/command.h"
#include "proxy/answer_table.h"
#include "proxy/eas_command.h"
#include "tests/unit/check.h"

static void test_every_status_has_a_row(void)
{
	static const struct {
		unsigned int status;
		enum answer_way way;
	} cases[] = {{200, ANSWER_PASSES}, {204, ANSWER_PASSES}, {301, ANSWER_REFUSED},
		{302, ANSWER_REFUSED}, {304, ANSWER_PASSES}, {307, ANSWER_REDIRECTS},
		{308, ANSWER_REDIRECTS}, {309, ANSWER_REFUSED}, {400, ANSWER_PASSES},
		{401, ANSWER_REFUSED}, {403, ANSWER_PASSES}, {407, ANSWER_REFUSED},
		{449, ANSWER_PASSES}, {451, ANSWER_REDIRECTS}, {456, ANSWER_BECOMES},
		{457, ANSWER_BECOMES}, {503, ANSWER_PASSES}, {507, ANSWER_PASSES}};

	for (unsigned int status = 200; status < 600; status++) {
		const struct answer_status_row *row = answer_status_find(status);

		CU_ASSERT_TRUE(row->first <= status && status <= row->last);
		CU_ASSERT_EQUAL(row->way == ANSWER_BECOMES, row->status != 0);
		CU_ASSERT_EQUAL(row->way == ANSWER_REFUSED || row->way == ANSWER_REDIRECTS,
			row->refusal != REFUSAL_NONE);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(answer_status_find(cases[i].status)->way, cases[i].way);
}

static void test_fields_are_found_by_name_and_by_beginning(void)
{
	static const struct {
		const char *name;
		enum answer_field_way way;
	} cases[] = {{"X-FEServer", FIELD_INSIDE}, {"x-feserver2", FIELD_PASSES},
		{"X-AspNetMvc-Version", FIELD_INSIDE}, {"Set-Cookie", FIELD_COOKIE},
		{"Content-Length", FIELD_OURS}, {"request-id", FIELD_PASSES}, {"", FIELD_PASSES},
		{"X-MS-RP", FIELD_VERSIONS}, {"X-MS-ASThrottle", FIELD_PASSES}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(answer_field_way(span_of_string(cases[i].name)), cases[i].way);
	for (size_t i = 0; i < answer_field_count; i++)
		for (const char *c = answer_fields[i].name; *c != '\0'; c++)
			CU_ASSERT_FALSE(*c >= 'A' && *c <= 'Z');
}

static const char *way_text(const struct answer_status_row *row, char text[120])
{
	switch (row->way) {
	case ANSWER_PASSES: return "the same";
	case ANSWER_BECOMES: snprintf(text, 120, "%u", row->status); return text;
	case ANSWER_REFUSED:
		snprintf(text, 120, "%d, `%s`", refusal_row(row->refusal)->http_status,
			refusal_row(row->refusal)->name);
		return text;
	case ANSWER_REDIRECTS:
		snprintf(text, 120, "as `upstream/redirects` says, else %d, `%s`",
			refusal_row(row->refusal)->http_status, refusal_row(row->refusal)->name);
		return text;
	}
	return "";
}

static char *read_document(void)
{
	char *text = calloc(1, 65536);
	FILE *file = fopen(TEST_DATA_DIR "/../../docs/http-statuses.md", "r");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	CU_ASSERT_FATAL(fread(text, 1, 65535, file) > 0);
	fclose(file);
	return text;
}

/* The lines behind a table's head, which is there once. */
static void expect_table(const char *document, const char *head, const char *rows)
{
	const char *found = strstr(document, head);
	size_t len = strlen(rows);

	CU_ASSERT_PTR_NOT_NULL_FATAL(found);
	found += strlen(head);
	CU_ASSERT_FALSE(strncmp(found, rows, len) != 0 || found[len] == '|');
	if (strncmp(found, rows, len) != 0)
		printf("\n%s%s", head, rows);
}

static void test_the_document_has_the_same_tables(void)
{
	char *document = read_document();
	char rows[16384] = "", way[120];
	size_t len = 0;

	for (size_t i = 0; i < answer_status_count; i++) {
		const struct answer_status_row *row = &answer_statuses[i];

		len += (size_t)snprintf(rows + len, sizeof(rows) - len, "| %u", row->first);
		if (row->last != row->first)
			len += (size_t)snprintf(
				rows + len, sizeof(rows) - len, " to %u", row->last);
		len += (size_t)snprintf(rows + len, sizeof(rows) - len, " | %s | %s |\n",
			way_text(row, way), row->text);
	}
	expect_table(document, "| endpoint | phone | |\n|---|---|---|\n", rows);
	len = 0;
	for (size_t i = 0; i < answer_field_count; i++) {
		static const char *const ways[] = {
			[FIELD_OURS] = "ours", [FIELD_INSIDE] = "not passed on"};
		enum answer_field_way is = answer_fields[i].way;

		len += (size_t)snprintf(rows + len, sizeof(rows) - len, "| `%s` | %s | %s |\n",
			answer_fields[i].name,
			is == FIELD_OURS || is == FIELD_INSIDE ? ways[is] : "changed",
			answer_fields[i].text);
	}
	expect_table(document, "| field | | |\n|---|---|---|\n", rows);
	free(document);
}

/* config/ has the names for the options, proxy/ for the protocol. */
static void test_commands_have_the_same_names_in_both_rooms(void)
{
	CU_ASSERT_EQUAL(COMMAND_COUNT, EAS_COMMAND_COUNT);
	for (unsigned int i = 0; i < COMMAND_COUNT; i++) {
		CU_ASSERT_STRING_EQUAL(command_name(i), eas_command_name((enum eas_command)i));
		CU_ASSERT_EQUAL(command_find(command_name(i)), i);
	}
}

static const struct check checks[] = {
	{"every status has a row", test_every_status_has_a_row},
	{"fields are found by name and by beginning",
		test_fields_are_found_by_name_and_by_beginning},
	{"the document has the same tables", test_the_document_has_the_same_tables},
	{"commands have the same names in both rooms",
		test_commands_have_the_same_names_in_both_rooms},
};

int main(void)
{
	return check_run("proxy/answer_table", checks, sizeof(checks) / sizeof(checks[0]));
}
