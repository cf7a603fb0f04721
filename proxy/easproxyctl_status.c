#include "proxy/easproxyctl_status.h"

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/easproxyctl_answer.h"
#include "proxy/easproxyctl_client.h"
#include "proxy/easproxyctl_upstream.h"
#include "proxy/easproxyctl_usage.h"
#include "proxy/shared.h"

static void format_duration(char *text, size_t size, long long seconds)
{
	if (seconds < 60)
		snprintf(text, size, "%lld s", seconds);
	else if (seconds < 3600)
		snprintf(text, size, "%lld min %lld s", seconds / 60, seconds % 60);
	else if (seconds < 86400)
		snprintf(text, size, "%lld h %lld min", seconds / 3600, seconds % 3600 / 60);
	else
		snprintf(text, size, "%lld d %lld h", seconds / 86400, seconds % 86400 / 3600);
}

static void print_head(const json_t *status)
{
	char uptime[48];

	format_duration(uptime, sizeof(uptime), answer_number(status, "uptime_s"));
	printf("easproxyd %s, process %lld, up %s\n", answer_text(status, "version"),
		answer_number(status, "pid"), uptime);
	printf("configuration %s, reloads %lld, sandbox %s\n", answer_text(status, "config"),
		answer_number(status, "generation") - 1,
		answer_is_true(status, "sandbox") ? "on" : "OFF");
}

static void print_totals(const json_t *status)
{
	const json_t *totals = json_object_get(status, "totals");

	printf("\nall workers since the start\n");
#define COUNTER(name, help) printf("%12lld  %s\n", answer_number(totals, #name), help);
	SHARED_COUNTERS(COUNTER)
#undef COUNTER
}

static void print_workers(const json_t *status)
{
	const json_t *worker;
	size_t i;

	printf("\n%8s %8s %12s %12s %12s %12s\n", "worker", "process", "connections", "polls",
		"handshakes", "requests");
	json_array_foreach(json_object_get(status, "workers"), i, worker)
	{
		const json_t *counters = json_object_get(worker, "counters");

		printf("%8lld %8lld %12lld %12lld %12lld %12lld\n", answer_number(worker, "slot"),
			answer_number(worker, "pid"), answer_number(counters, "connections_open"),
			answer_number(counters, "polls_open"),
			answer_number(counters, "handshakes"), answer_number(counters, "requests"));
	}
}

static void print_refusals(json_t *status)
{
	json_t *refusals = json_object_get(status, "refusals");
	const char *name;
	json_t *count;

	if (json_object_size(refusals) == 0) {
		printf("\nnobody was refused\n");
		return;
	}
	printf("\nrefused (easproxyctl refusals NAME explains)\n");
	json_object_foreach(refusals, name, count)
		printf("%12lld  %s\n", (long long)json_integer_value(count), name);
}

static void print_restarts(json_t *status)
{
	const char *role;
	json_t *count;
	bool is_first = true;

	json_object_foreach(json_object_get(status, "restarts"), role, count)
	{
		if (json_integer_value(count) == 0)
			continue;
		if (is_first)
			printf("\nprocesses that died and were started again\n");
		is_first = false;
		printf("%12lld  %s\n", (long long)json_integer_value(count), role);
	}
}

static void print_upstream(const json_t *status)
{
	putchar('\n');
	ctl_print_endpoints(json_object_get(status, "endpoints"));
	ctl_print_logins(json_object_get(status, "logins"), json_object_get(status, "directory"));
}

static void print_authorities(const json_t *status)
{
	const json_t *authority;
	size_t i;

	printf("\n%-13s %-20s %-20s %9s  %s\n", "CRL", "effective", "next update", "entries",
		"authority");
	json_array_foreach(json_object_get(status, "authorities"), i, authority)
	{
		char this_update[MOMENT_TEXT_SIZE], next_update[MOMENT_TEXT_SIZE];

		printf("%-13s %-20s %-20s %9lld  %s\n", answer_text(authority, "state"),
			answer_moment(answer_number(authority, "this_update"), this_update),
			answer_moment(answer_number(authority, "next_update"), next_update),
			answer_number(authority, "entries"), answer_text(authority, "issuer"));
		if (answer_text(authority, "error")[0] != '\0')
			printf("%-13s last try failed: %s\n", "", answer_text(authority, "error"));
	}
}

static void print_state_store(const json_t *status)
{
	const json_t *store = json_object_get(status, "state_store");

	printf("\nstate store: %s; users revoked: %lld; certificates seen: %lld, of strangers "
	       "%lld\n",
		answer_text(store, "state"), answer_number(store, "revoked_users"),
		answer_number(store, "certificates"), answer_number(store, "strangers"));
	if (answer_text(store, "error")[0] != '\0')
		printf("%s\n", answer_text(store, "error"));
}

static void print_devices(const json_t *status)
{
	static const char *const states[] = {
		"blocked", "quarantined", "wipe-account", "wipe-all", "wiped", "wipe-failed"};
	const json_t *devices = json_object_get(status, "devices");

	printf("devices: %lld known", answer_number(devices, "known"));
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (answer_number(devices, states[i]) > 0)
			printf(", %lld %s", answer_number(devices, states[i]), states[i]);
	printf("\n");
}

static int print_status(const char *answer)
{
	json_t *status = json_loads(answer, 0, NULL);

	if (!answer_is_true(status, "ok")) {
		fprintf(stderr, "easproxyctl: easproxyd's answer makes no sense\n");
		json_decref(status);
		return 1;
	}
	print_head(status);
	print_totals(status);
	print_workers(status);
	print_refusals(status);
	print_restarts(status);
	print_upstream(status);
	print_authorities(status);
	print_state_store(status);
	print_devices(status);
	json_decref(status);
	return 0;
}

int ctl_status(int argc, char **argv)
{
	static const struct option options[] = {{"socket", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	const char *path = CTL_DEFAULT_SOCKET;
	bool wants_json = false, is_wrong = false;
	struct error err;
	int option, status = 0;
	char *answer;

	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, "s:j", options, NULL)) != -1)
		switch (option) {
		case 's': path = optarg; break;
		case 'j': wants_json = true; break;
		default: is_wrong = true; break;
		}
	if (is_wrong || optind != argc)
		return ctl_usage(argc, argv, "status [--json] [-s SOCKET]");
	answer = ctl_ask(path, "status", &err);
	if (answer == NULL) {
		fprintf(stderr, "easproxyctl: %s\n", err.text);
		return 1;
	}
	if (wants_json)
		fputs(answer, stdout);
	else
		status = print_status(answer);
	free(answer);
	return status;
}
