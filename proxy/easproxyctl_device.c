#include "proxy/easproxyctl_device.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/moment.h"
#include "proxy/easproxyctl_answer.h"
#include "proxy/easproxyctl_client.h"
#include "proxy/easproxyctl_device_print.h"
#include "proxy/easproxyctl_history.h"
#include "proxy/easproxyctl_usage.h"

struct arguments {
	const char *socket, *id, *mailbox, *state, *type, *model, *os, *reason;
	bool has_seen_before, has_seen_after, wants_json, account_only, erase_whole_device;
	int64_t seen_before, seen_after;
	unsigned long limit; /* 0: none */
};

/* Commands */

static int fail(const struct error *err)
{
	fprintf(stderr, "easproxyctl: %s\n", err->text);
	return 1;
}

static void set_text(json_t *request, const char *key, const char *text)
{
	if (text != NULL)
		json_object_set_new(request, key, json_string(text));
}

static json_t *make_request(const char *name, const struct arguments *arguments)
{
	json_t *request = json_pack("{s:s}", "request", name);

	set_text(request, "id", arguments->id);
	set_text(request, "mailbox", arguments->mailbox);
	set_text(request, "state", arguments->state);
	set_text(request, "type", arguments->type);
	set_text(request, "model", arguments->model);
	set_text(request, "os", arguments->os);
	set_text(request, "reason", arguments->reason);
	if (arguments->has_seen_before)
		json_object_set_new(request, "seen_before", json_integer(arguments->seen_before));
	if (arguments->has_seen_after)
		json_object_set_new(request, "seen_after", json_integer(arguments->seen_after));
	if (arguments->account_only)
		json_object_set_new(request, "account_only", json_true());
	if (arguments->erase_whole_device)
		json_object_set_new(request, "erase_whole_device", json_true());
	return request;
}

/* Prints the page's devices, as many as are still wanted, and takes them off *limit. False: no more are. */
static bool print_page(const struct arguments *arguments, const json_t *page, unsigned long *limit)
{
	const json_t *device;
	size_t i;

	json_array_foreach(page, i, device)
	{
		if (arguments->wants_json)
			answer_print(device, JSON_COMPACT);
		else
			ctl_print_device_line(device);
		if (*limit > 0 && --*limit == 0)
			return false;
	}
	return true;
}

static int device_list(const struct arguments *arguments)
{
	unsigned long limit = arguments->limit;
	json_t *after = NULL;
	bool wants_more;

	do {
		json_t *request = make_request("device-list", arguments), *answer;
		struct error err;

		if (after != NULL)
			json_object_set_new(request, "after", after);
		answer = ctl_request(arguments->socket, request, &err);
		if (answer == NULL)
			return fail(&err);
		if (after == NULL && !arguments->wants_json)
			ctl_print_devices_head();
		wants_more = print_page(arguments, json_object_get(answer, "devices"), &limit);
		after = wants_more ? json_incref(json_object_get(answer, "next")) : NULL;
		json_decref(answer);
	} while (after != NULL);
	return 0;
}

static int device_show(const struct arguments *arguments)
{
	struct error err;
	json_t *answer =
		ctl_request(arguments->socket, make_request("device-show", arguments), &err);
	const json_t *device;
	size_t i;

	if (answer == NULL)
		return fail(&err);
	json_array_foreach(json_object_get(answer, "devices"), i, device)
	{
		if (arguments->wants_json)
			answer_print(device, JSON_COMPACT);
		else
			ctl_print_device(device);
	}
	json_decref(answer);
	return 0;
}

static int give_order(const struct arguments *arguments, const char *request, const char *done,
	const char *not_done)
{
	struct error err;
	json_t *answer = ctl_request(arguments->socket, make_request(request, arguments), &err);

	if (answer == NULL)
		return fail(&err);
	ctl_print_ordered(answer, done, not_done);
	json_decref(answer);
	return 0;
}

static int device_allow(const struct arguments *arguments)
{
	return give_order(arguments, "device-allow", "is allowed", "was allowed already");
}

static int device_block(const struct arguments *arguments)
{
	return give_order(arguments, "device-block", "is blocked", "was blocked already");
}

static int device_quarantine(const struct arguments *arguments)
{
	return give_order(
		arguments, "device-quarantine", "is in quarantine", "was in quarantine already");
}

static int device_wipe(const struct arguments *arguments)
{
	return give_order(arguments, "device-wipe", "is to be wiped", "was to be wiped already");
}

static int device_forget(const struct arguments *arguments)
{
	return give_order(arguments, "device-forget", "is forgotten", "was not known");
}

static int device_add(const struct arguments *arguments)
{
	return give_order(arguments, "device-add", "is registered", "was registered already");
}

/* Command lines */

static bool read_moment(const char *name, const char *text, int64_t *moment)
{
	struct error err;

	if (moment_read(text, moment, &err) == 0)
		return true;
	fprintf(stderr, "easproxyctl: --%s: %s\n", name, err.text);
	return false;
}

static bool read_limit(const char *text, unsigned long *limit)
{
	char *end;

	*limit = strtoul(text, &end, 10);
	if (*limit > 0 && *end == '\0' && text[0] >= '0' && text[0] <= '9')
		return true;
	fprintf(stderr, "easproxyctl: --limit: \"%s\" is not a number above 0\n", text);
	return false;
}

static bool read_option(int option, struct arguments *arguments)
{
	switch (option) {
	case 's': arguments->socket = optarg; return true;
	case 'j': arguments->wants_json = true; return true;
	case 'm': arguments->mailbox = optarg; return true;
	case 't': arguments->state = optarg; return true;
	case 'y': arguments->type = optarg; return true;
	case 'o': arguments->model = optarg; return true;
	case 'O': arguments->os = optarg; return true;
	case 'r': arguments->reason = optarg; return true;
	case 'a': arguments->account_only = true; return true;
	case 'e': arguments->erase_whole_device = true; return true;
	case 'b':
		arguments->has_seen_before = true;
		return read_moment("seen-before", optarg, &arguments->seen_before);
	case 'A':
		arguments->has_seen_after = true;
		return read_moment("seen-after", optarg, &arguments->seen_after);
	default: return read_limit(optarg, &arguments->limit);
	}
}

/* allowed: the letters of the options that the command has. */
static bool read_arguments(
	int argc, char **argv, const char *allowed, bool has_id, struct arguments *arguments)
{
	static const struct option options[] = {{"socket", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'}, {"mailbox", required_argument, NULL, 'm'},
		{"state", required_argument, NULL, 't'}, {"type", required_argument, NULL, 'y'},
		{"model", required_argument, NULL, 'o'}, {"os", required_argument, NULL, 'O'},
		{"reason", required_argument, NULL, 'r'}, {"account-only", no_argument, NULL, 'a'},
		{"erase-whole-device", no_argument, NULL, 'e'},
		{"seen-before", required_argument, NULL, 'b'},
		{"seen-after", required_argument, NULL, 'A'},
		{"limit", required_argument, NULL, 'l'}, {NULL, 0, NULL, 0}};
	int option;

	*arguments = (struct arguments){.socket = CTL_DEFAULT_SOCKET};
	optind = 0;
	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, "s:", options, NULL)) != -1)
		if (option == '?' || strchr(allowed, option) == NULL ||
			!read_option(option, arguments))
			return false;
	if (argc - optind != has_id || (arguments->account_only && arguments->erase_whole_device))
		return false;
	arguments->id = has_id ? argv[optind] : NULL;
	return true;
}

static const struct subcommand {
	const char *name, *usage;
	const char *options;
	bool has_id;
	bool needs_mailbox;
	int (*run)(const struct arguments *arguments);
} subcommands[] = {
	{"list",
		"[--mailbox NAME] [--state STATE] [--type TEXT] [--model TEXT] [--os TEXT]\n"
		"       [--seen-before DATE] [--seen-after DATE] [--limit N] [--json] [-s SOCKET]",
		"smtyoObAlj", false, false, device_list},
	{"show", "ID [--mailbox NAME] [--json] [-s SOCKET]", "smj", true, false, device_show},
	{"allow", "ID [--mailbox NAME] [--reason TEXT] [-s SOCKET]", "smr", true, false,
		device_allow},
	{"block", "ID [--mailbox NAME] [--reason TEXT] [-s SOCKET]", "smr", true, false,
		device_block},
	{"quarantine", "ID [--mailbox NAME] [--reason TEXT] [-s SOCKET]", "smr", true, false,
		device_quarantine},
	{"wipe",
		"ID [--account-only | --erase-whole-device] [--mailbox NAME] [--reason TEXT] "
		"[-s SOCKET]",
		"smrae", true, false, device_wipe},
	{"forget", "ID [--mailbox NAME] [-s SOCKET]", "sm", true, false, device_forget},
	{"add", "ID --mailbox NAME [-s SOCKET]", "sm", true, true, device_add},
};

enum { SUBCOMMAND_COUNT = sizeof(subcommands) / sizeof(subcommands[0]) };

static int run(const struct subcommand *sub, int argc, char **argv)
{
	struct arguments arguments;

	if (read_arguments(argc - 1, argv + 1, sub->options, sub->has_id, &arguments) &&
		(!sub->needs_mailbox || arguments.mailbox != NULL))
		return sub->run(&arguments);
	fprintf(ctl_usage_stream(argc, argv), "usage: easproxyctl device %s %s\n", sub->name,
		sub->usage);
	return ctl_usage_status(argc, argv);
}

int ctl_device(int argc, char **argv)
{
	char option[] = "--help";
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "history") == 0)
		return ctl_device_history(argc - 1, argv + 1);
	for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
		if (strcmp(subcommands[i].name, name) == 0)
			return run(&subcommands[i], argc, argv);
	if (strcmp(name, "help") == 0)
		argv[1] = option;
	for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
		fprintf(ctl_usage_stream(argc, argv), "%s easproxyctl device %s %s\n",
			i == 0 ? "usage:" : "      ", subcommands[i].name, subcommands[i].usage);
	fputs("       easproxyctl device history ID [--mailbox A] [--json] [-s SOCKET]\n",
		ctl_usage_stream(argc, argv));
	return ctl_usage_status(argc, argv);
}
