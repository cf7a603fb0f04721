#include "proxy/easproxyctl_upstream.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "proxy/easproxyctl_answer.h"
#include "proxy/easproxyctl_client.h"
#include "proxy/easproxyctl_usage.h"
#include "proxy/shared.h"

enum {
	/* Without a word. easproxyd ends a test itself; this is for one that has stopped. */
	SILENCE_MS = 10 * 60 * 1000,
	TEXT_WIDTH = 64
};

/* List */

void ctl_print_endpoints(const json_t *endpoints)
{
	const json_t *endpoint;
	size_t i;

	printf("%-13s %12s %12s  %s\n", "state", "connections", "failures", "endpoint");
	json_array_foreach(endpoints, i, endpoint)
	{
		long long up = answer_number(endpoint, "up_for_workers");
		long long down = answer_number(endpoint, "down_for_workers");
		const char *service = answer_text(endpoint, "service");

		printf("%-13s %12lld %12lld  %s%s%s\n",
			down == 0 ? "up"
			: up == 0 ? "DOWN"
				  : "down for some",
			answer_number(endpoint, "connections_in_use"),
			answer_number(endpoint, "failures"), answer_text(endpoint, "endpoint"),
			service[0] != '\0' ? ", ticket for " : "", service);
	}
}

/* "up since MOMENT", and below why not, and what to do. */
static void print_state(const json_t *object)
{
	bool is_down = strcmp(answer_text(object, "state"), "down") == 0;
	char moment[MOMENT_TEXT_SIZE];

	fputs(is_down ? "DOWN" : "up", stdout);
	if (answer_number(object, "since") != 0)
		printf(" since %s", answer_moment(answer_number(object, "since"), moment));
	putchar('\n');
	if (answer_text(object, "reason")[0] != '\0')
		printf("%12s  %s\n", "", answer_text(object, "reason"));
	if (answer_text(object, "hint")[0] != '\0')
		printf("%12s  -> %s\n", "", answer_text(object, "hint"));
}

void ctl_print_logins(const json_t *logins, const json_t *directory)
{
	const json_t *login;
	size_t i;

	json_array_foreach(logins, i, login)
	{
		printf("login %s: ", answer_text(login, "login"));
		print_state(login);
	}
	if (json_is_object(directory)) {
		printf("directory %s: ", answer_text(directory, "backend"));
		print_state(directory);
	}
}

static double real_of(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

static void print_login(const json_t *login)
{
	printf("\nlogin %s: ", answer_text(login, "login"));
	print_state(login);
	printf("%12.1f  logins given a second, in the last seconds\n",
		real_of(login, "given_per_second"));
	printf("%12.1f  of them got from outside\n", real_of(login, "fetched_per_second"));
#define COUNTER(name, help) printf("%12lld  %s\n", answer_number(login, #name), help);
	SHARED_LOGIN_COUNTERS(COUNTER)
#undef COUNTER
	printf("%9.1f ms  on average until one was got from outside\n",
		(double)answer_number(login, "fetch_us") / 1e3);
}

static void print_list(const json_t *answer)
{
	const json_t *logins = json_object_get(answer, "logins"), *login;
	const json_t *directory = json_object_get(answer, "directory");
	const json_t *mutual = json_object_get(answer, "mutual");
	size_t i;

	printf("upstream %s, login %s%s\n\n", answer_text(answer, "upstream"),
		answer_text(answer, "login"),
		mutual == NULL         ? ""
		: json_is_true(mutual) ? ", servers prove who they are"
				       : ", servers do not prove who they are (mutual = off)");
	ctl_print_endpoints(json_object_get(answer, "endpoints"));
	json_array_foreach(logins, i, login) print_login(login);
	if (json_is_object(directory)) {
		putchar('\n');
		ctl_print_logins(NULL, directory);
	}
}

static int list(const char *socket, bool wants_json)
{
	struct error err;
	json_t *answer = ctl_request(socket, json_pack("{s:s}", "request", "upstream-list"), &err);

	if (answer == NULL) {
		fprintf(stderr, "easproxyctl: %s\n", err.text);
		return 1;
	}
	if (wants_json)
		answer_print(answer, JSON_COMPACT);
	else
		print_list(answer);
	json_decref(answer);
	return 0;
}

/* Test */

struct testing {
	bool wants_json;
	char endpoint[256]; /* of the step before */
	json_t *answer;     /* with its steps */
	bool has_begun, is_over, is_good;
};

/* In lines of TEXT_WIDTH, each behind the same margin, but for the first, which stands behind what is
 * printed already. */
static void print_wrapped(const char *text, const char *margin)
{
	size_t len = strlen(text);

	while (len > TEXT_WIDTH) {
		size_t cut = TEXT_WIDTH;

		while (cut > 0 && text[cut] != ' ')
			cut--;
		if (cut == 0)
			cut = strcspn(text, " ");
		if (text[cut] == '\0')
			break;
		printf("%.*s\n%s", (int)cut, text, margin);
		text += cut + 1;
		len = strlen(text);
	}
	puts(text);
}

static void print_step(struct testing *testing, const json_t *step)
{
	static const char margin[] = "                                   ";
	const char *endpoint = answer_text(step, "endpoint");
	const char *hint = answer_text(step, "hint");
	bool is_good = answer_is_true(step, "good");

	if (strcmp(endpoint, testing->endpoint) != 0) {
		printf("\n%s\n", endpoint);
		snprintf(testing->endpoint, sizeof(testing->endpoint), "%s", endpoint);
	}
	printf("  %-8s%-12s%8.1f ms  ",
		!is_good          ? "FAILED"
		: hint[0] != '\0' ? "warning"
				  : "ok",
		answer_text(step, "step"), (double)answer_number(step, "time_us") / 1e3);
	print_wrapped(answer_text(step, "text"), margin);
	if (hint[0] != '\0') {
		printf("%.*s-> ", (int)sizeof(margin) - 1 - 3, margin);
		print_wrapped(hint, margin);
	}
}

static void begin(struct testing *testing, const json_t *event)
{
	testing->has_begun = true;
	if (testing->wants_json) {
		testing->answer = json_pack("{s:O,s:O,s:O,s:[]}", "upstream",
			json_object_get(event, "upstream"), "login",
			json_object_get(event, "login"), "mailbox",
			json_object_get(event, "mailbox"), "steps");
		return;
	}
	printf("upstream %s as %s, login %s\n", answer_text(event, "upstream"),
		answer_text(event, "mailbox"), answer_text(event, "login"));
}

static void take_step(struct testing *testing, json_t *event)
{
	if (!testing->wants_json) {
		print_step(testing, event);
		return;
	}
	json_object_del(event, "event");
	json_array_append(json_object_get(testing->answer, "steps"), event);
}

static void take_line(void *context, const char *line)
{
	struct testing *testing = context;
	json_t *event = json_loads(line, 0, NULL);
	const char *name = answer_text(event, "event");

	if (json_is_false(json_object_get(event, "ok"))) {
		fprintf(stderr, "easproxyctl: %s\n", answer_text(event, "error"));
		testing->is_over = true;
	} else if (strcmp(name, "test") == 0 && !testing->has_begun) {
		begin(testing, event);
	} else if (strcmp(name, "step") == 0 && testing->has_begun) {
		take_step(testing, event);
	} else if (strcmp(name, "over") == 0) {
		testing->is_over = true;
		testing->is_good = testing->has_begun && answer_is_true(event, "good");
	}
	fflush(stdout);
	json_decref(event);
}

static void print_end(struct testing *testing)
{
	if (testing->wants_json) {
		json_object_set_new(testing->answer, "ok", json_boolean(testing->is_good));
		answer_print(testing->answer, JSON_COMPACT);
	} else {
		printf("\n%s\n", testing->is_good ? "all is well" : "something is wrong");
	}
}

static int test(const char *socket, json_t *request, bool wants_json)
{
	struct testing testing = {.wants_json = wants_json};
	struct error err;
	int result = ctl_stream(socket, request, SILENCE_MS, take_line, &testing, &err);

	if (result != 0)
		fprintf(stderr, "easproxyctl: %s\n", err.text);
	else if (!testing.is_over)
		fputs("easproxyctl: the control process of easproxyd has ended, and the test with "
		      "it\n",
			stderr);
	if (testing.has_begun)
		print_end(&testing);
	json_decref(testing.answer);
	return testing.is_good ? 0 : 1;
}

/* Command lines */

static int usage(int argc, char **argv)
{
	return ctl_usage(argc, argv,
		"upstream list [--json] [-s SOCKET]\n"
		"       easproxyctl upstream test --as MAILBOX [--endpoint URL] [--json] [-s "
		"SOCKET]");
}

static json_t *test_request(const char *mailbox, const char *endpoint)
{
	json_t *request = json_pack("{s:s,s:s}", "request", "upstream-test", "mailbox", mailbox);

	if (endpoint != NULL)
		json_object_set_new(request, "endpoint", json_string(endpoint));
	return request;
}

int ctl_upstream(int argc, char **argv)
{
	static const struct option options[] = {{"socket", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'}, {"as", required_argument, NULL, 'a'},
		{"endpoint", required_argument, NULL, 'e'}, {NULL, 0, NULL, 0}};
	const char *what = argc > 1 ? argv[1] : "";
	const char *socket = CTL_DEFAULT_SOCKET, *mailbox = NULL, *endpoint = NULL;
	bool is_test = strcmp(what, "test") == 0, wants_json = false;
	int option;

	if (ctl_asks_for_help(argc, argv) || (!is_test && strcmp(what, "list") != 0))
		return usage(argc, argv);
	argc--;
	argv++;
	optind = 0;
	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, "s:", options, NULL)) != -1)
		switch (option) {
		case 's': socket = optarg; break;
		case 'j': wants_json = true; break;
		case 'a': mailbox = optarg; break;
		case 'e': endpoint = optarg; break;
		default: return usage(argc, argv);
		}
	if (optind != argc || is_test != (mailbox != NULL) || (endpoint != NULL && !is_test))
		return usage(argc, argv);
	return is_test ? test(socket, test_request(mailbox, endpoint), wants_json)
		       : list(socket, wants_json);
}
