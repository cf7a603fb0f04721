#include "proxy/easproxyctl_trace.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "config/clock.h"
#include "proxy/easproxyctl_answer.h"
#include "proxy/easproxyctl_client.h"
#include "proxy/easproxyctl_number.h"
#include "proxy/easproxyctl_trace_print.h"
#include "proxy/easproxyctl_usage.h"
#include "proxy/worker_trace.h"

enum {
	SILENCE_MS = 30 * 1000, /* beyond its end; then easproxyd is given up */
	AGAIN_MS = 1000,        /* less is not worth to follow on after a reload */
	TIME_DEFAULT_MS = 60000,
	BODY_DEFAULT = 65536
};

static const char usage[] = "trace DEVICE|MAILBOX [--for TIME] [--bodies on|off] "
			    "[--max-body SIZE] [--content] [--json] [-s SOCKET]";

struct tracing {
	const char *socket, *target;
	uint64_t time_ms, body_max;
	bool with_bodies, with_content, wants_json;
	/* How it goes. */
	uint64_t ends_ms;
	bool has_begun, is_over, goes_on;
};

/* What easproxyd says last: only after a reload is there more to come, from its new processes. */
static void note_over(struct tracing *tracing, const json_t *event)
{
	tracing->is_over = true;
	tracing->goes_on = strcmp(answer_text(event, "reason"), "reload") == 0 &&
			   tracing->ends_ms > (uint64_t)clock_ms() + AGAIN_MS;
}

static void take_line(void *context, const char *line)
{
	struct tracing *tracing = context;
	json_t *event = json_loads(line, 0, NULL);

	if (!json_is_true(json_object_get(event, "ok")) && json_object_get(event, "ok") != NULL) {
		fprintf(stderr, "easproxyctl: %s\n", answer_text(event, "error"));
		tracing->is_over = true;
		tracing->has_begun = false;
		json_decref(event);
		return;
	}
	tracing->has_begun |= event != NULL;
	if (strcmp(answer_text(event, "event"), "over") == 0)
		note_over(tracing, event);
	if (tracing->wants_json)
		puts(line);
	else if (event != NULL)
		ctl_print_traced(event);
	fflush(stdout);
	json_decref(event);
}

static json_t *request_of(const struct tracing *tracing, uint64_t time_ms)
{
	return json_pack("{s:s,s:s,s:I,s:b,s:I,s:b}", "request", "trace", "target", tracing->target,
		"time_ms", (json_int_t)time_ms, "bodies", tracing->with_bodies, "body_max",
		(json_int_t)tracing->body_max, "content", tracing->with_content);
}

static int follow(struct tracing *tracing)
{
	uint64_t time_ms = tracing->time_ms;
	struct error err;

	tracing->ends_ms = (uint64_t)clock_ms() + time_ms;
	do {
		tracing->is_over = tracing->goes_on = tracing->has_begun = false;
		if (ctl_stream(tracing->socket, request_of(tracing, time_ms),
			    (uint32_t)time_ms + SILENCE_MS, take_line, tracing, &err) != 0) {
			fprintf(stderr, "easproxyctl: %s\n", err.text);
			return 1;
		}
		if (!tracing->is_over) {
			fputs("easproxyctl: the control process of easproxyd has ended, and the "
			      "trace with it\n",
				stderr);
			return 1;
		}
		if (tracing->goes_on)
			time_ms = tracing->ends_ms - (uint64_t)clock_ms();
	} while (tracing->goes_on);
	return tracing->has_begun ? 0 : 1;
}

/* Command lines */

static int switch_read(const char *text, bool *value)
{
	*value = strcmp(text, "on") == 0;
	return *value || strcmp(text, "off") == 0 ? 0 : -1;
}

static int option_read(int option, struct tracing *tracing)
{
	switch (option) {
	case 's': tracing->socket = optarg; return 0;
	case 'f': return ctl_read_time(optarg, 1000, TRACE_TIME_MAX_MS, &tracing->time_ms);
	case 'b': return switch_read(optarg, &tracing->with_bodies);
	case 'm': return ctl_read_size(optarg, 1, TRACE_BODY_MAX, &tracing->body_max);
	case 'c': tracing->with_content = true; return 0;
	case 'j': tracing->wants_json = true; return 0;
	default: return -1;
	}
}

int ctl_trace(int argc, char **argv)
{
	static const struct option options[] = {{"socket", required_argument, NULL, 's'},
		{"for", required_argument, NULL, 'f'}, {"bodies", required_argument, NULL, 'b'},
		{"max-body", required_argument, NULL, 'm'}, {"content", no_argument, NULL, 'c'},
		{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	struct tracing tracing = {.socket = CTL_DEFAULT_SOCKET,
		.time_ms = TIME_DEFAULT_MS,
		.body_max = BODY_DEFAULT,
		.with_bodies = true};
	int option;

	optind = 0;
	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, "s:", options, NULL)) != -1)
		if (option_read(option, &tracing) != 0)
			return ctl_usage(argc, argv, usage);
	if (optind != argc - 1)
		return ctl_usage(argc, argv, usage);
	tracing.target = argv[optind];
	return follow(&tracing);
}
