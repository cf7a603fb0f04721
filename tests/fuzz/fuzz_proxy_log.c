/* Hostile values in log lines: whatever they are, they make one line of clean characters, whole in
 * its format. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static size_t write_line(enum config_log_format format, struct span value, char *text, size_t size)
{
	static int file = -1;
	struct config_log config = {.format = format, .level = CONFIG_LOG_INFO};
	struct log_line line;
	ssize_t len;

	if (file == -1)
		file = memfd_create("log", 0);
	require(file != -1 && ftruncate(file, 0) == 0 && lseek(file, 0, SEEK_SET) == 0);
	log_open(&config, file, "worker", 0, NULL);
	log_begin(&line, CONFIG_LOG_INFO, "request");
	for (int i = 0; i < 3; i++)
		log_span(&line, "value", value);
	log_number(&line, "number", 1);
	log_end(&line);
	len = pread(file, text, size, 0);
	require(len > 0);
	return (size_t)len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum config_log_format formats[] = {CONFIG_LOG_JSON, CONFIG_LOG_LOGFMT};
	static char text[2 * LOG_LINE_MAX];

	for (size_t i = 0; i < 2; i++) {
		size_t len = write_line(formats[i], span_of(data, size), text, sizeof(text));

		require(len <= LOG_LINE_MAX);
		require(memchr(text, '\n', len) == text + len - 1);
		for (size_t j = 0; j + 1 < len; j++)
			require((uint8_t)text[j] >= ' ' && text[j] != 0x7f);
		if (formats[i] == CONFIG_LOG_JSON) {
			/* jansson refuses what is not UTF-8; a NUL is well-formed JSON. */
			json_t *object = json_loadb(text, len, JSON_ALLOW_NUL, NULL);

			require(json_is_object(object));
			json_decref(object);
		}
	}
	return 0;
}
