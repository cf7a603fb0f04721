#include "tests/unit/check.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
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

/* Whether c needs a backslash between quotes, as any control character of ASCII and any lone octet of more does. */
static bool is_escaped(unsigned int c)
{
	return c < ' ' || c >= 0x7f || c == '"' || c == '\\';
}

/* Values are looked at in steps of eight octets: wherever in one an octet stands, it is seen. */
static void test_an_octet_is_seen_wherever_it_stands(void)
{
	char value[20];

	for (size_t len = 1; len <= sizeof(value); len++)
		for (size_t at = 0; at < len; at++)
			for (unsigned int octet = 0; octet < 256; octet++) {
				bool needs_quotes =
					is_escaped(octet) || octet == ' ' || octet == '=';
				const char *field;

				memset(value, 'x', sizeof(value));
				value[at] = (char)octet;
				field = field_of(CONFIG_LOG_LOGFMT, span_of(value, len));
				CU_ASSERT_EQUAL(field[0] == '"', needs_quotes);
				CU_ASSERT_EQUAL(strchr(field, '\\') != NULL, is_escaped(octet));
				CU_ASSERT(is_escaped(octet) ||
					  memcmp(field + needs_quotes, value, len) == 0);
			}
}

static void test_a_word_is_written_as_it_is(void)
{
	int fd = log_on_memory(CONFIG_LOG_LOGFMT, CONFIG_LOG_INFO);
	struct log_line line;

	log_begin(&line, CONFIG_LOG_INFO, "x");
	log_word(&line, "tls", "TLSv1.3");
	log_word(&line, "none", NULL);
	log_word(&line, "empty", "");
	log_end(&line);
	CU_ASSERT_STRING_EQUAL(strchr(logged(fd), 'Z'),
		"Z level=info process=worker slot=3 event=x tls=TLSv1.3\n");
	close(fd);
	fd = log_on_memory(CONFIG_LOG_JSON, CONFIG_LOG_INFO);
	log_begin(&line, CONFIG_LOG_INFO, "x");
	log_word(&line, "tls", "TLSv1.3");
	log_end(&line);
	CU_ASSERT_PTR_NOT_NULL(strstr(logged(fd), ",\"event\":\"x\",\"tls\":\"TLSv1.3\"}\n"));
	close(fd);
}

/* What is kept of a line's beginning is another's where the level or the process is. */
static void test_each_line_begins_with_its_own_level_and_process(void)
{
	int fd = log_on_memory(CONFIG_LOG_LOGFMT, CONFIG_LOG_DEBUG);
	struct config_log config = {.format = CONFIG_LOG_JSON, .level = CONFIG_LOG_INFO};
	static const char *const wanted[] = {
		"Z level=info process=worker slot=3 event=a ",
		"Z level=debug process=worker slot=3 event=b ",
		"Z level=info process=worker slot=3 event=c ",
		"Z\",\"level\":\"info\",\"process\":\"control\",\"event\":\"d\",",
	};

	log_message(CONFIG_LOG_INFO, "a", "x");
	log_message(CONFIG_LOG_DEBUG, "b", "x");
	log_message(CONFIG_LOG_INFO, "c", "x");
	log_open(&config, fd, "control", -1, NULL);
	log_message(CONFIG_LOG_INFO, "d", "x");
	logged(fd);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		CU_ASSERT_PTR_NOT_NULL(strstr(read_back, wanted[i]));
	close(fd);
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

/* Gathering */

static unsigned int dues;

static void on_due(void *context)
{
	CU_ASSERT_PTR_EQUAL(context, &dues);
	dues++;
}

static unsigned int count_of(const char *text, const char *what)
{
	unsigned int count = 0;

	for (; (text = strstr(text, what)) != NULL; text += strlen(what))
		count++;
	return count;
}

static struct log_batch *gather(void)
{
	struct log_batch *batch = log_batch_new();

	if (batch == NULL)
		abort();
	dues = 0;
	log_gather(batch, on_due, &dues);
	return batch;
}

static void test_gathered_lines_are_written_together_in_their_order(void)
{
	int fd = log_on_memory(CONFIG_LOG_LOGFMT, CONFIG_LOG_INFO);
	struct log_batch *batch = gather();
	const char *first, *second;

	log_message(CONFIG_LOG_INFO, "first", "x");
	log_message(CONFIG_LOG_INFO, "second", "x");
	CU_ASSERT_EQUAL(dues, 1);
	CU_ASSERT_STRING_EQUAL(logged(fd), "");
	log_flush();
	log_flush();
	first = strstr(logged(fd), "event=first");
	second = strstr(read_back, "event=second");
	CU_ASSERT_TRUE(first != NULL && second != NULL && first < second);
	CU_ASSERT_EQUAL(count_of(read_back, "\n"), 2);
	log_message(CONFIG_LOG_INFO, "third", "x");
	CU_ASSERT_EQUAL(dues, 2);
	/* The old log gets what belongs to it. */
	log_reopen(memfd_create("log", MFD_CLOEXEC));
	log_gather(NULL, NULL, NULL);
	log_batch_take_over(batch);
	close(log_fd());
}

static void test_more_lines_than_there_is_room_for_are_written_before_their_time(void)
{
	int fd = log_on_memory(CONFIG_LOG_LOGFMT, CONFIG_LOG_INFO);
	struct log_batch *batch = gather();
	char text[301];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 150; i++)
		log_message(CONFIG_LOG_INFO, "many", "%s", text);
	CU_ASSERT_TRUE(strlen(logged(fd)) > 0);
	log_flush();
	CU_ASSERT_EQUAL(count_of(logged(fd), "event=many"), 150);
	CU_ASSERT_EQUAL(count_of(read_back, "\n"), 150);
	log_gather(NULL, NULL, NULL);
	log_batch_take_over(batch);
	close(fd);
}

static void test_what_a_killed_process_has_gathered_is_written_by_another(void)
{
	int fd = log_on_memory(CONFIG_LOG_LOGFMT, CONFIG_LOG_INFO);
	struct log_batch *batch = log_batch_new();
	pid_t child = fork();
	int status;

	if (child == 0) {
		log_gather(batch, on_due, &dues);
		log_message(CONFIG_LOG_INFO, "last", "words");
		kill(getpid(), SIGKILL);
	}
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_TRUE(WIFSIGNALED(status));
	CU_ASSERT_STRING_EQUAL(logged(fd), "");
	log_batch_take_over(batch);
	CU_ASSERT_PTR_NOT_NULL(strstr(logged(fd), "event=last message=words"));
	close(fd);
}

static void test_a_batch_that_makes_no_sense_is_not_written(void)
{
	static const uint32_t ends[][2] = {{0, LOG_BATCH_MAX + 1}, {7, 6}, {UINT32_MAX, 2}};
	int fd = log_on_memory(CONFIG_LOG_LOGFMT, CONFIG_LOG_INFO);

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct log_batch *batch = log_batch_new();

		atomic_store(&batch->begin, ends[i][0]);
		atomic_store(&batch->end, ends[i][1]);
		log_batch_take_over(batch);
	}
	CU_ASSERT_STRING_EQUAL(logged(fd), "");
	close(fd);
}

static void test_a_pipe_gets_whole_lines_that_stay_together(void)
{
	struct config_log config = {.format = CONFIG_LOG_LOGFMT, .level = CONFIG_LOG_INFO};
	_Atomic uint64_t dropped = 0;
	struct log_batch *batch;
	char text[500];
	unsigned int lines = 0;
	int ends[2];
	ssize_t len;

	/* One that keeps what was written apart. */
	CU_ASSERT_EQUAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	log_open(&config, ends[1], "worker", 3, &dropped);
	batch = gather();
	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 40; i++)
		log_message(CONFIG_LOG_INFO, "piece", "%s", text);
	log_flush();
	while ((len = recv(ends[0], read_back, sizeof(read_back) - 1, 0)) > 0) {
		CU_ASSERT_TRUE(len <= PIPE_BUF);
		CU_ASSERT_EQUAL(read_back[len - 1], '\n');
		read_back[len] = '\0';
		CU_ASSERT_EQUAL(strncmp(read_back, "time=", 5), 0);
		lines += count_of(read_back, "\n");
	}
	CU_ASSERT_EQUAL(lines, 40);
	CU_ASSERT_EQUAL(dropped, 0);
	/* Nobody reads any more: each line that is lost counts. */
	signal(SIGPIPE, SIG_IGN);
	close(ends[0]);
	for (int i = 0; i < 30; i++)
		log_message(CONFIG_LOG_INFO, "piece", "%s", text);
	log_flush();
	CU_ASSERT_EQUAL(dropped, 30);
	log_gather(NULL, NULL, NULL);
	log_batch_take_over(batch);
	close(ends[1]);
}

int main(void)
{
	static const struct check checks[] = {
		{"values are escaped for their format", test_values_are_escaped},
		{"no value forges a line", test_no_value_forges_a_line},
		{"every octet gives one clean line", test_every_octet_gives_one_clean_line},
		{"an octet is seen wherever it stands", test_an_octet_is_seen_wherever_it_stands},
		{"a word is written as it is", test_a_word_is_written_as_it_is},
		{"each line begins with its own level and process",
			test_each_line_begins_with_its_own_level_and_process},
		{"a line has its facts in order", test_line_has_its_facts_in_order},
		{"lower levels are not written", test_lower_levels_are_not_written},
		{"long values are cut between characters",
			test_long_values_are_cut_between_characters},
		{"a full line says that it was cut", test_full_line_says_that_it_was_cut},
		{"a full pipe drops lines and counts them",
			test_full_pipe_drops_lines_and_counts_them},
		{"a reopened log goes to the new file", test_reopened_log_goes_to_the_new_file},
		{"gathered lines are written together in their order",
			test_gathered_lines_are_written_together_in_their_order},
		{"more lines than there is room for are written before their time",
			test_more_lines_than_there_is_room_for_are_written_before_their_time},
		{"what a killed process has gathered is written by another",
			test_what_a_killed_process_has_gathered_is_written_by_another},
		{"a batch that makes no sense is not written",
			test_a_batch_that_makes_no_sense_is_not_written},
		{"a pipe gets whole lines that stay together",
			test_a_pipe_gets_whole_lines_that_stay_together},
	};

	return check_run("proxy/log", checks, sizeof(checks) / sizeof(checks[0]));
}
