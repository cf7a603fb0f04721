/*
 * What it costs to look into a body: bench_proxy_eas_body [COMMAND request|answer FILE [ROUNDS]]
 * reads the WBXML of FILE so often, or, without arguments, a Ping and a Sync answer of 500 kB that
 * it makes. Prints CPU time. For instructions:
 *
 *	valgrind --tool=callgrind --toggle-collect=eas_body_new --toggle-collect=eas_body_feed \
 *		--toggle-collect=eas_body_end --toggle-collect=eas_body_free bench_proxy_eas_body …
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/eas_body.h"
#include "proxy/eas_command.h"
#include "tests/bench/sync_answer.h"
#include "wbxml/writer.h"

enum { PIECE = 16384, SYNC_SIZE = 500000, ROUNDS = 200 };

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void measure(const char *name, const struct eas_body_terms *terms,
	const struct wbxml_buffer *document, unsigned long rounds)
{
	double begun = seconds();

	for (unsigned long round = 0; round < rounds; round++) {
		struct eas_body *body = eas_body_new(terms);

		if (body == NULL)
			exit(1);
		for (size_t at = 0; at < document->len; at += PIECE)
			eas_body_feed(body,
				span_of(document->data + at,
					document->len - at < PIECE ? document->len - at : PIECE));
		if (eas_body_end(body) != REFUSAL_NONE) {
			fprintf(stderr, "%s: %s\n", name, eas_body_fault_text(body));
			exit(1);
		}
		eas_body_free(body);
	}
	printf("%s: %zu bytes, %.2f us each\n", name, document->len,
		(seconds() - begun) / (double)rounds * 1e6);
}

static void measure_sync(void)
{
	const struct eas_body_terms terms = {
		.kind = EAS_BODY_WBXML, .command = EAS_SYNC, .version = 161, .is_answer = true};
	struct wbxml_buffer document = sync_answer_make(SYNC_SIZE);

	measure("Sync answer", &terms, &document, ROUNDS);
	wbxml_buffer_free(&document);
}

static void measure_ping(void)
{
	const struct eas_body_terms terms = {
		.kind = EAS_BODY_WBXML, .command = EAS_PING, .version = 161};
	struct wbxml_buffer document = {.limit = 4096};
	struct wbxml_writer writer;

	wbxml_write_header(&writer, &document);
	wbxml_write_start(&writer, WBXML_PING_PING);
	wbxml_write_element(&writer, WBXML_PING_HEARTBEATINTERVAL, "480");
	wbxml_write_start(&writer, WBXML_PING_FOLDERS);
	for (int i = 0; i < 2; i++) {
		wbxml_write_start(&writer, WBXML_PING_FOLDER);
		wbxml_write_element(&writer, WBXML_PING_ID, i == 0 ? "5" : "1");
		wbxml_write_element(&writer, WBXML_PING_CLASS, i == 0 ? "Email" : "Calendar");
		wbxml_write_end(&writer);
	}
	wbxml_write_end(&writer);
	wbxml_write_end(&writer);
	measure("Ping", &terms, &document, 100UL * ROUNDS);
	wbxml_buffer_free(&document);
}

static int measure_file(char **arguments, unsigned long rounds)
{
	const struct eas_body_terms terms = {.kind = EAS_BODY_WBXML,
		.command = eas_command_find(span_of_string(arguments[0])),
		.version = 161,
		.is_answer = strcmp(arguments[1], "answer") == 0};
	struct wbxml_buffer document = {.limit = 1 << 26};
	char chunk[65536];
	size_t got;
	FILE *file = fopen(arguments[2], "rb");

	if (file == NULL) {
		perror(arguments[2]);
		return 1;
	}
	while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0)
		wbxml_buffer_append(&document, chunk, got);
	fclose(file);
	measure(arguments[2], &terms, &document, rounds);
	wbxml_buffer_free(&document);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 4)
		return measure_file(argv + 1, argc > 4 ? strtoul(argv[4], NULL, 10) : ROUNDS);
	measure_ping();
	measure_sync();
	return 0;
}
