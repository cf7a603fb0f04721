#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/log.h"

static char read_back[64 * 1024];

/* Opens the log anew on a memory file, as the process "worker", slot 3. */
static int log_on_memory(enum config_log_format format, enum config_log_level level)
{
	struct config_log config = {.format = format, .level = level, .file = NULL};
	int fd = memfd_create("log", MFD_CLOEXEC);

	if (fd == -1)
		abort();
	log_open(&config, fd, "worker", 3, NULL);
	return fd;
}

/* What was logged, all of it. */
static const char *logged(int fd)
{
	ssize_t len = pread(fd, read_back, sizeof(read_back) - 1, 0);

	read_back[len < 0 ? 0 : len] = '\0';
	return read_back;
}

/* The one field of a line with one field, as it was written. */
static const char *field_of(enum config_log_format format, struct span value)
{
	int fd = log_on_memory(format, CONFIG_LOG_INFO);
	struct log_line line;
	char *field;

	log_begin(&line, CONFIG_LOG_INFO, "x");
	log_span(&line, "v", value);
	log_end(&line);
	logged(fd);
	close(fd);
	field = strstr(read_back, format == CONFIG_LOG_JSON ? ",\"v\":" : " v=");
	CU_ASSERT_EQUAL(read_back[strlen(read_back) - 1], '\n');
	read_back[strlen(read_back) - (format == CONFIG_LOG_JSON ? 2 : 1)] = '\0';
	return field == NULL ? "" : field + (format == CONFIG_LOG_JSON ? 5 : 3);
}

static void test_values_are_escaped(void)
{
	static const struct {
		const char *value;
		const char *json, *logfmt;
	} cases[] = {
		{"plain", "\"plain\"", "plain"},
		{"two words", "\"two words\"", "\"two words\""},
		{"a=b", "\"a=b\"", "\"a=b\""},
		{"say \"hi\"", "\"say \\\"hi\\\"\"", "\"say \\\"hi\\\"\""},
		{"back\\slash", "\"back\\\\slash\"", "\"back\\\\slash\""},
		{"line\nfeed", "\"line\\nfeed\"", "\"line\\nfeed\""},
		{"\r\t", "\"\\r\\t\"", "\"\\r\\t\""},
		{"\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\"", "\"\\u0001\\u001f\\u007f\""},
		{"\x1b[2J", "\"\\u001b[2J\"", "\"\\u001b[2J\""},
		{"J\xc3\xb6rg", "\"J\xc3\xb6rg\"", "\"J\xc3\xb6rg\""},
		{"\xf0\x9f\x93\xb1", "\"\xf0\x9f\x93\xb1\"", "\"\xf0\x9f\x93\xb1\""},
		/* not UTF-8: a lone byte, an overlong slash, a surrogate, past the last code point, cut */
		{"\xe9", "\"\\\\xe9\"", "\"\\xe9\""},
		{"\xc0\xaf", "\"\\\\xc0\\\\xaf\"", "\"\\xc0\\xaf\""},
		{"\xe0\x80\xaf", "\"\\\\xe0\\\\x80\\\\xaf\"", "\"\\xe0\\x80\\xaf\""},
		{"\xed\xa0\x80", "\"\\\\xed\\\\xa0\\\\x80\"", "\"\\xed\\xa0\\x80\""},
		{"\xf4\x90\x80\x80", "\"\\\\xf4\\\\x90\\\\x80\\\\x80\"",
			"\"\\xf4\\x90\\x80\\x80\""},
		{"\xe2\x82", "\"\\\\xe2\\\\x82\"", "\"\\xe2\\x82\""},
		/* C1 control, line separator, right-to-left override */
		{"\xc2\x85", "\"\\u0085\"", "\"\\u0085\""},
		{"\xe2\x80\xa8", "\"\\u2028\"", "\"\\u2028\""},
		/* NOLINTNEXTLINE(misc-misleading-bidirectional) */
		{"\xe2\x80\xae", "\"\\u202e\"", "\"\\u202e\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span value = span_of_string(cases[i].value);

		CU_ASSERT_STRING_EQUAL(field_of(CONFIG_LOG_JSON, value), cases[i].json);
		CU_ASSERT_STRING_EQUAL(field_of(CONFIG_LOG_LOGFMT, value), cases[i].logfmt);
	}
	CU_ASSERT_STRING_EQUAL(field_of(CONFIG_LOG_JSON, span_of("a\0b", 3)), "\"a\\u0000b\"");
}

static void test_no_value_forges_a_line(void)
{
	static const char hostile[] = "x\"}\n{\"time\":\"2026\",\"event\":\"ready\"} event=ready\n";
	static const enum config_log_format formats[] = {CONFIG_LOG_JSON, CONFIG_LOG_LOGFMT};

	for (size_t i = 0; i < 2; i++) {
		int fd = log_on_memory(formats[i], CONFIG_LOG_INFO);
		struct log_line line;
		const char *text;

		log_begin(&line, CONFIG_LOG_INFO, "request");
		log_text(&line, "device", hostile);
		log_end(&line);
		text = logged(fd);
		CU_ASSERT_PTR_EQUAL(strchr(text, '\n'), text + strlen(text) - 1);
		CU_ASSERT_PTR_NULL(strstr(text, "x\"}"));
		close(fd);
	}
}

static void test_every_octet_gives_one_clean_line(void)
{
	static const enum config_log_format formats[] = {CONFIG_LOG_JSON, CONFIG_LOG_LOGFMT};

	for (unsigned int octet = 0; octet < 256; octet++)
		for (size_t i = 0; i < 2; i++) {
			uint8_t value[3] = {'a', (uint8_t)octet, 'b'};
			const char *field = field_of(formats[i], span_of(value, sizeof(value)));

			for (; *field != '\0'; field++)
				CU_ASSERT(*field >= ' ' && *field < 0x7f);
		}
}

static void test_line_has_its_facts_in_order(void)
{
	int fd = log_on_memory(CONFIG_LOG_JSON, CONFIG_LOG_INFO);
	struct log_line line;
	const char *text;

	log_begin(&line, CONFIG_LOG_WARNING, "request");
	log_number(&line, "status", -200);
	log_bool(&line, "resumed", false);
	log_text(&line, "empty", "");
	log_text(&line, "null", NULL);
	log_end(&line);
	text = logged(fd);
	CU_ASSERT_EQUAL(strncmp(text, "{\"time\":\"20", 11), 0);
	CU_ASSERT_EQUAL(text[strlen("{\"time\":\"2026-11-23T18:09:20.291")], 'Z');
	CU_ASSERT_STRING_EQUAL(strchr(text, 'Z'),
		"Z\",\"level\":\"warning\",\"process\":\"worker\",\"slot\":3,\"event\":\"request\","
		"\"status\":-200,\"resumed\":false}\n");
	close(fd);

	fd = log_on_memory(CONFIG_LOG_LOGFMT, CONFIG_LOG_INFO);
	log_message(CONFIG_LOG_ERROR, "bind", "port %d", 443);
	CU_ASSERT_STRING_EQUAL(strchr(logged(fd), 'Z'),
		"Z level=error process=worker slot=3 event=bind message=\"port 443\"\n");
	close(fd);
}

static void test_lower_levels_are_not_written(void)
{
	int fd = log_on_memory(CONFIG_LOG_JSON, CONFIG_LOG_WARNING);
	struct log_line line;

	log_begin(&line, CONFIG_LOG_INFO, "x");
	CU_ASSERT_FALSE(line.is_wanted);
	log_text(&line, "a", "b");
	log_number(&line, "n", 1);
	log_end(&line);
	log_message(CONFIG_LOG_DEBUG, "x", "y");
	CU_ASSERT_STRING_EQUAL(logged(fd), "");
	log_message(CONFIG_LOG_WARNING, "x", "y");
	CU_ASSERT_STRING_NOT_EQUAL(logged(fd), "");
	close(fd);
}

static void test_long_values_are_cut_between_characters(void)
{
	char value[1200];
	const char *field;

	memset(value, 'a', sizeof(value));
	field = field_of(CONFIG_LOG_JSON, span_of(value, 512));
	CU_ASSERT_EQUAL(strlen(field), 514);
	field = field_of(CONFIG_LOG_JSON, span_of(value, 513));
	CU_ASSERT_EQUAL(strlen(field), 512 + strlen("\"…\""));
	CU_ASSERT_STRING_EQUAL(field + 513, "…\"");
	/* An ö whose first byte is the 512th is left out whole. */
	value[511] = '\xc3';
	value[512] = '\xb6';
	field = field_of(CONFIG_LOG_JSON, span_of(value, 600));
	CU_ASSERT_STRING_EQUAL(field + 512, "…\"");
}

static void test_full_line_says_that_it_was_cut(void)
{
	static const enum config_log_format formats[] = {CONFIG_LOG_JSON, CONFIG_LOG_LOGFMT};
	static const char *const ends[] = {",\"cut\":true}\n", " cut=true\n"};
	char value[512];

	memset(value, '\x01', sizeof(value)); /* six characters each */
	for (size_t i = 0; i < 2; i++) {
		int fd = log_on_memory(formats[i], CONFIG_LOG_INFO);
		struct log_line line;
		const char *text;

		log_begin(&line, CONFIG_LOG_INFO, "x");
		for (int j = 0; j < 20; j++)
			log_span(&line, "v", span_of(value, sizeof(value)));
		log_text(&line, "last", "fits");
		log_end(&line);
		text = logged(fd);
		CU_ASSERT(strlen(text) <= LOG_LINE_MAX);
		CU_ASSERT_STRING_EQUAL(text + strlen(text) - strlen(ends[i]), ends[i]);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, "fits"));
		close(fd);
	}
}

static void test_full_pipe_drops_lines_and_counts_them(void)
{
	struct config_log config = {.format = CONFIG_LOG_LOGFMT, .level = CONFIG_LOG_INFO};
	_Atomic uint64_t dropped = 0;
	int ends[2];

	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	fcntl(ends[1], F_SETPIPE_SZ, 4096);
	log_open(&config, ends[1], "worker", 0, &dropped);
	for (int i = 0; i < 1000; i++)
		log_message(CONFIG_LOG_INFO, "x", "nobody reads this");
	CU_ASSERT(dropped > 900);
	CU_ASSERT(dropped < 1000);
	close(ends[0]);
	close(ends[1]);
}

static void test_reopened_log_goes_to_the_new_file(void)
{
	int old = log_on_memory(CONFIG_LOG_LOGFMT, CONFIG_LOG_INFO);
	int kept = dup(old), fresh = memfd_create("log", MFD_CLOEXEC);

	log_message(CONFIG_LOG_INFO, "one", "1");
	log_reopen(fresh);
	log_message(CONFIG_LOG_INFO, "two", "2");
	CU_ASSERT_PTR_NOT_NULL(strstr(logged(kept), "event=one"));
	CU_ASSERT_PTR_NULL(strstr(logged(kept), "event=two"));
	CU_ASSERT_PTR_NOT_NULL(strstr(logged(fresh), "event=two"));
	CU_ASSERT_EQUAL(fcntl(old, F_GETFD), -1);
	close(kept);
	close(fresh);
}

int main(void)
{
	static const struct check checks[] = {
		{"values are escaped for their format", test_values_are_escaped},
		{"no value forges a line", test_no_value_forges_a_line},
		{"every octet gives one clean line", test_every_octet_gives_one_clean_line},
		{"a line has its facts in order", test_line_has_its_facts_in_order},
		{"lower levels are not written", test_lower_levels_are_not_written},
		{"long values are cut between characters",
			test_long_values_are_cut_between_characters},
		{"a full line says that it was cut", test_full_line_says_that_it_was_cut},
		{"a full pipe drops lines and counts them",
			test_full_pipe_drops_lines_and_counts_them},
		{"a reopened log goes to the new file", test_reopened_log_goes_to_the_new_file},
	};

	return check_run("proxy/log", checks, sizeof(checks) / sizeof(checks[0]));
}
