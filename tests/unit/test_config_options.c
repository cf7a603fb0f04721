/* The table of options: its units and ranges, and that the documents agree with it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/option.h"
#include "tests/unit/check.h"

static const struct option *find(enum option_section section, const char *name)
{
	const struct option *option = option_find(section, name, strlen(name));

	CU_ASSERT_PTR_NOT_NULL_FATAL(option);
	return option;
}

struct reading {
	const char *text;
	int result;
	uint64_t value;
};

static void check_readings(
	const struct option *option, const struct reading *readings, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct error err;
		uint64_t value = 0;

		if (option_read_number(option, readings[i].text, &value, &err) !=
			readings[i].result)
			printf("\n%s: '%s'\n", option->name, readings[i].text);
		CU_ASSERT_EQUAL(option_read_number(option, readings[i].text, &value, &err),
			readings[i].result);
		if (readings[i].result == 0)
			CU_ASSERT_EQUAL(value, readings[i].value);
	}
}

static void test_sizes_are_powers_of_1024(void)
{
	static const struct reading readings[] = {{"1024B", 0, 1024}, {"1kB", 0, 1024},
		{"30MB", 0, 31457280}, {"1GB", 0, 1073741824}, {"1073741825B", -1, 0},
		{"1023B", -1, 0}, {"20", -1, 0}, {"20KB", -1, 0}, {"20 MB", -1, 0}, {"MB", -1, 0},
		{"", -1, 0}, {"-1MB", -1, 0}, {"+1MB", -1, 0}, {"1.5MB", -1, 0}, {"0x1MB", -1, 0},
		{"20MBs", -1, 0}, {"999999999999999999GB", -1, 0},
		{"99999999999999999999999B", -1, 0}};

	check_readings(find(SECTION_LIMITS, "body-size"), readings,
		sizeof(readings) / sizeof(readings[0]));
}

static void test_times_are_milliseconds(void)
{
	static const struct reading readings[] = {{"1000ms", 0, 1000}, {"20s", 0, 20000},
		{"59m", 0, 3540000}, {"2h", 0, 7200000}, {"7d", 0, 604800000}, {"8d", -1, 0},
		{"999ms", -1, 0}, {"20", -1, 0}, {"20x", -1, 0}, {"20S", -1, 0}, {"s", -1, 0},
		{"1h30m", -1, 0}};

	check_readings(find(SECTION_REVOCATION, "refresh"), readings,
		sizeof(readings) / sizeof(readings[0]));
}

static void test_switches_have_three_pairs_of_words(void)
{
	static const struct reading readings[] = {{"on", 0, 1}, {"off", 0, 0}, {"yes", 0, 1},
		{"no", 0, 0}, {"true", 0, 1}, {"false", 0, 0}, {"1", -1, 0}, {"On", -1, 0},
		{"", -1, 0}};

	check_readings(find(SECTION_UPSTREAM, "request-buffering"), readings,
		sizeof(readings) / sizeof(readings[0]));
}

static bool is_number(enum option_type type)
{
	return type == OPTION_COUNT || type == OPTION_SIZE || type == OPTION_TIME ||
	       type == OPTION_SWITCH || type == OPTION_CHOICE;
}

static void test_every_default_is_a_value_of_its_option(void)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option *option = &option_table[i];
		struct error err = {""};
		uint64_t value;

		if (is_number(option->type) && option->fallback != NULL &&
			option_read_number(option, option->fallback, &value, &err) == -1) {
			printf("\n%s: %s\n", option->name, err.text);
			CU_FAIL("a default is out of its own range");
		}
	}
}

static void test_no_option_fits_two_rows(void)
{
	for (size_t i = 0; i < option_count; i++)
		CU_ASSERT_PTR_EQUAL(
			find(option_table[i].section, option_table[i].name), &option_table[i]);
}

static char *read_document(const char *name)
{
	char path[512];
	FILE *file;
	char *text = calloc(1, 200000);

	snprintf(path, sizeof(path), "%s/../../%s", TEST_DATA_DIR, name);
	file = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	CU_ASSERT_FATAL(fread(text, 1, 199999, file) > 0);
	fclose(file);
	return text;
}

/* The part of a document from its heading up to the next one; the caller frees it. */
static char *cut_part(const char *text, const char *heading, const char *next)
{
	const char *begin = strstr(text, heading), *end;

	if (begin == NULL) {
		printf("\nno '%s'\n", heading);
		return strdup("");
	}
	end = strstr(begin + strlen(heading), next);
	return end == NULL ? strdup(begin) : strndup(begin, (size_t)(end - begin));
}

/* As it is written in front of a text: name = default, where strings have quotes. */
static void write_default(const struct option *option, char *text, size_t size)
{
	bool is_quoted = !is_number(option->type) && !option_is_list(option);

	snprintf(text, size, "%s = %s%s%s", option->name, is_quoted ? "\"" : "", option->fallback,
		is_quoted ? "\"" : "");
}

static void expect(const char *part, const char *wanted, const struct option *option)
{
	if (strstr(part, wanted) == NULL)
		printf("\n%s %s: no '%s'\n", option_sections[option->section].name, option->name,
			wanted);
	CU_ASSERT_PTR_NOT_NULL(strstr(part, wanted));
}

static void test_the_sample_has_every_option_with_its_default(void)
{
	char *sample = read_document("config/easproxy.conf");

	for (size_t i = 0; i < option_count; i++) {
		const struct option *option = &option_table[i];
		const char *section = option_sections[option->section].name;
		bool is_inner = option->section == SECTION_CERTIFICATE;
		char heading[64], wanted[256], *part;

		snprintf(heading, sizeof(heading), "\n%s%s ", is_inner ? "\t" : "", section);
		if (option->section == SECTION_ROOT)
			part = cut_part(sample, "# easproxy.conf", "\nlog {");
		else if (option->section == SECTION_RULE) /* there is none unless one is written */
			part = cut_part(sample, "\n\t#rule ", "\n\t#}");
		else if (option->section == SECTION_KERBEROS)
			part = cut_part(sample, "\n#kerberos ", "\n#}");
		else
			part = cut_part(sample, heading, is_inner ? "\n\t}" : "\n}");
		/* Required ones, and headers, which nobody does without, have an example. */
		if ((option->section == SECTION_RULE || option->section == SECTION_KERBEROS) &&
			option->fallback == NULL)
			snprintf(wanted, sizeof(wanted), "\t#%s = ", option->name);
		else if (option->fallback == NULL || strcmp(option->name, "headers") == 0)
			snprintf(wanted, sizeof(wanted), "\t%s = ", option->name);
		else {
			wanted[0] = '#';
			write_default(option, wanted + 1, sizeof(wanted) - 1);
		}
		expect(part, wanted, option);
		free(part);
	}
	free(sample);
}

static void test_the_manual_has_every_option_with_its_default(void)
{
	static const char *const headings[SECTION_COUNT] = {"\n# GENERAL OPTIONS", "\n# LOG",
		"\n# LIMITS", "\n# LISTENER", "\n## CERTIFICATE", "\n# TRUST", "\n# REVOCATION",
		"\n# MAILBOX", "\n# DIRECTORY", "\n# UPSTREAM", "\n# KERBEROS",
		"\n# MINTED-CERTIFICATE", "\n# BEARER", "\n# ASSERTION", "\n# DEVICES",
		"\n# ACTIVESYNC", "\n# AUTODISCOVER", "\n# POLICY", "\n## RULE"};
	char *manual = read_document("docs/man/easproxy.conf.5.scd");

	for (size_t i = 0; i < option_count; i++) {
		const struct option *option = &option_table[i];
		char *part = cut_part(manual, headings[option->section], "\n#");
		char words[256] = "\n*", *end;

		if (option->fallback == NULL)
			snprintf(words + 2, sizeof(words) - 2, "%s", option->name);
		else
			write_default(option, words + 2, sizeof(words) - 2);
		end = words + strlen(words);
		snprintf(end, sizeof(words) - (size_t)(end - words), "*\n\t%s",
			option->fallback == NULL ? "Required." : "");
		expect(part, words, option);
		free(part);
	}
	free(manual);
}

static const struct check checks[] = {
	{"sizes are powers of 1024", test_sizes_are_powers_of_1024},
	{"times are milliseconds", test_times_are_milliseconds},
	{"switches have three pairs of words", test_switches_have_three_pairs_of_words},
	{"every default is a value of its option", test_every_default_is_a_value_of_its_option},
	{"no option fits two rows", test_no_option_fits_two_rows},
	{"the sample has every option with its default",
		test_the_sample_has_every_option_with_its_default},
	{"the manual has every option with its default",
		test_the_manual_has_every_option_with_its_default},
};

int main(void)
{
	return check_run("config/options", checks, sizeof(checks) / sizeof(checks[0]));
}
