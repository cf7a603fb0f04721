#include "proxy/easproxyctl_trace_print.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proxy/easproxyctl_answer.h"

/* What a phone or a server has said may hold what a terminal obeys: bytes below a blank, and the
 * characters U+0080 to U+009F. */
static void print_clean(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		bool is_c1 = c == 0xC2 && i + 1 < len && (unsigned char)text[i + 1] < 0xA0;

		putchar((c < ' ' && c != '\t') || c == 0x7F || is_c1 ? '?' : c);
		i += is_c1;
	}
}

static void print_lines(const char *text)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");

		fputs("    ", stdout);
		print_clean(text, len);
		putchar('\n');
		text += len + (text[len] == '\n');
	}
}

static void print_text(const char *before, const json_t *event, const char *key)
{
	const char *text = answer_text(event, key);

	if (text[0] == '\0')
		return;
	fputs(before, stdout);
	print_clean(text, strlen(text));
}

static void print_number(const char *before, const json_t *event, const char *key)
{
	if (answer_number(event, key) != 0)
		printf("%s%lld", before, answer_number(event, key));
}

/* "18:22:01.123", in the time of this place: it is being watched. */
static void print_moment(const json_t *event)
{
	long long at_ms = answer_number(event, "at_ms");
	time_t at = (time_t)(at_ms / 1000);
	struct tm local = {0};

	localtime_r(&at, &local);
	printf("%02d:%02d:%02d.%03lld", local.tm_hour, local.tm_min, local.tm_sec, at_ms % 1000);
}

static void print_begin(const json_t *event)
{
	print_text(" > ", event, "command");
	print_text(" ", event, "version");
	print_text(" ", event, "id");
	print_text("  ", event, "device");
	print_text(" of ", event, "mailbox");
	print_text(" from ", event, "client");
	print_number(":", event, "port");
	if (answer_is_true(event, "first"))
		fputs(", new connection", stdout);
	putchar('\n');
}

static void print_body(const json_t *event, const char *key)
{
	const json_t *body = json_object_get(event, key);

	if (body == NULL)
		return;
	printf("  %s, %lld bytes", key, answer_number(body, "bytes"));
	print_text(", ", body, "form");
	if (answer_is_true(body, "gzip"))
		fputs(", gzip", stdout);
	print_number(", cut after ", body, "cut_at");
	print_text(", faulty: ", body, "fault");
	putchar('\n');
	print_lines(answer_text(body, "text"));
}

static void print_end(const json_t *event)
{
	print_text(" < ", event, "command");
	print_text(" ", event, "version");
	print_text(" ", event, "id");
	printf("  HTTP %lld", answer_number(event, "status"));
	print_number(", status ", event, "eas_status");
	print_text(", refused: ", event, "refusal");
	print_text(", ", event, "reason");
	printf(", after %.3f s", (double)answer_number(event, "duration_us") / 1e6);
	print_number(", heartbeat ", event, "heartbeat");
	print_number(", collections ", event, "collections");
	print_number(", items ", event, "items");
	print_number(", items answered ", event, "answer_items");
	print_text(", from ", event, "endpoint");
	print_number(" HTTP ", event, "endpoint_status");
	if (answer_is_true(event, "begun_before"))
		fputs(", begun before the trace", stdout);
	putchar('\n');
	print_body(event, "request");
	print_body(event, "answer");
}

static void print_other(const json_t *event, const char *name)
{
	if (strcmp(name, "trace") == 0) {
		print_text("   following ", event, "target");
		printf(" at %lld workers, for %.0f s", answer_number(event, "workers"),
			(double)answer_number(event, "time_ms") / 1e3);
	} else if (strcmp(name, "worker-came") == 0 || strcmp(name, "worker-gone") == 0) {
		printf("   worker %lld has %s", answer_number(event, "worker"), name + 7);
	} else if (strcmp(name, "over") == 0) {
		print_text("   over: ", event, "reason");
		printf(", %lld events, %lld lost", answer_number(event, "events"),
			answer_number(event, "dropped_in_all"));
	} else {
		print_text("   ", event, "event");
	}
	putchar('\n');
}

void ctl_print_traced(const json_t *event)
{
	const char *name = answer_text(event, "event");

	if (answer_number(event, "dropped") > 0)
		printf("--- %lld events are lost here\n", answer_number(event, "dropped"));
	if (strcmp(name, "gap") == 0)
		return;
	printf("#%lld ", answer_number(event, "n"));
	print_moment(event);
	if (strcmp(name, "begin") == 0)
		print_begin(event);
	else if (strcmp(name, "end") == 0)
		print_end(event);
	else
		print_other(event, name);
}
