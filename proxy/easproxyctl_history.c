#include "proxy/easproxyctl_history.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "config/moment.h"
#include "proxy/easproxyctl_answer.h"
#include "proxy/easproxyctl_client.h"
#include "proxy/easproxyctl_usage.h"

struct arguments {
	const char *socket, *device, *mailbox;
	bool wants_json;
};

/* What there is to say of an exchange beside its columns. */
static void print_rest(const json_t *exchange)
{
	static const struct {
		const char *key, *text;
	} numbers[] = {{"heartbeat", "heartbeat (s)"}, {"collections", "collections"},
		{"items", "items"}, {"answer_items", "items answered"}};
	static const struct {
		const char *key, *text;
	} flags[] = {{"has_more", " more to come"}, {"own", " answered here"},
		{"answer_malformed", " malformed answer"}, {"first", " new connection"}};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		long long value = answer_number(exchange, numbers[i].key);

		if (value != 0)
			printf(" %s %lld", numbers[i].text, value);
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (answer_is_true(exchange, flags[i].key))
			fputs(flags[i].text, stdout);
	if (answer_text(exchange, "refusal")[0] != '\0')
		printf(" refused: %s", answer_text(exchange, "refusal"));
}

static void print_duration(long long us)
{
	if (us < 10000)
		printf("%6lld us", us);
	else if (us < 10000000)
		printf("%6lld ms", us / 1000);
	else
		printf("%6lld s ", us / 1000000);
}

static void print_number(long long value)
{
	if (value != 0)
		printf(" %4lld", value);
	else
		printf("    -");
}

static void print_exchange(const json_t *exchange, bool names_mailbox)
{
	long long at_ms = answer_number(exchange, "at_ms");
	char moment[MOMENT_TEXT_SIZE];

	moment_write(at_ms / 1000, moment);
	moment[strcspn(moment, "Z")] = '\0';
	printf("%s.%03lldZ ", moment, at_ms % 1000);
	print_duration(answer_number(exchange, "duration_us"));
	printf("  %-17s %4s", answer_text(exchange, "command"), answer_text(exchange, "version"));
	print_number(answer_number(exchange, "status"));
	print_number(answer_number(exchange, "eas_status"));
	print_number(answer_number(exchange, "endpoint_status"));
	printf(" %8lld %8lld ", answer_number(exchange, "bytes_in"),
		answer_number(exchange, "bytes_out"));
	if (names_mailbox)
		printf(" %s", answer_text(exchange, "mailbox"));
	print_rest(exchange);
	putchar('\n');
}

/* Whether they are of one mailbox, whose name is then said once. */
static bool is_one_mailbox(const json_t *exchanges)
{
	const char *first = answer_text(json_array_get(exchanges, 0), "mailbox");
	const json_t *exchange;
	size_t i;

	json_array_foreach(exchanges, i,
		exchange) if (strcmp(answer_text(exchange, "mailbox"), first) != 0) return false;
	return true;
}

static void print_history(const json_t *answer)
{
	const json_t *exchanges = json_object_get(answer, "exchanges"), *exchange;
	bool is_one = is_one_mailbox(exchanges);
	size_t i;

	if (json_array_size(exchanges) == 0) {
		printf("nothing is remembered of device %s\n", answer_text(answer, "device"));
		return;
	}
	printf("device %s", answer_text(answer, "device"));
	if (is_one)
		printf(" of %s", answer_text(json_array_get(exchanges, 0), "mailbox"));
	printf("\n%-24s %9s  %-17s %4s %4s %4s %4s %8s %8s\n", "began", "took", "command", "vers",
		"http", "eas", "from", "in", "out");
	json_array_foreach(exchanges, i, exchange) print_exchange(exchange, !is_one);
}

static int show(const struct arguments *arguments)
{
	json_t *request =
		json_pack("{s:s,s:s}", "request", "device-history", "device", arguments->device);
	struct error err;
	json_t *answer;

	if (arguments->mailbox != NULL)
		json_object_set_new(request, "mailbox", json_string(arguments->mailbox));
	answer = ctl_request(arguments->socket, request, &err);
	if (answer == NULL) {
		fprintf(stderr, "easproxyctl: %s\n", err.text);
		return 1;
	}
	if (arguments->wants_json)
		answer_print(answer, JSON_COMPACT);
	else
		print_history(answer);
	if (answer_number(answer, "unanswered") > 0)
		fprintf(stderr, "note: %lld workers did not answer in time\n",
			answer_number(answer, "unanswered"));
	if (answer_is_true(answer, "cut"))
		fputs("note: there are more exchanges than are shown; name a mailbox\n", stderr);
	json_decref(answer);
	return 0;
}

int ctl_device_history(int argc, char **argv)
{
	static const struct option options[] = {{"socket", required_argument, NULL, 's'},
		{"mailbox", required_argument, NULL, 'm'}, {"json", no_argument, NULL, 'j'},
		{NULL, 0, NULL, 0}};
	struct arguments arguments = {.socket = CTL_DEFAULT_SOCKET};
	int option;

	optind = 0;
	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, "s:", options, NULL)) != -1) {
		switch (option) {
		case 's': arguments.socket = optarg; break;
		case 'm': arguments.mailbox = optarg; break;
		case 'j': arguments.wants_json = true; break;
		default: optind = argc; break;
		}
	}
	if (optind != argc - 1)
		return ctl_usage(
			argc, argv, "device history ID [--mailbox A] [--json] [-s SOCKET]");
	arguments.device = argv[optind];
	return show(&arguments);
}
