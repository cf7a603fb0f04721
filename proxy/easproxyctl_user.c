#include "proxy/easproxyctl_user.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "config/moment.h"
#include "proxy/easproxyctl_answer.h"
#include "proxy/easproxyctl_client.h"
#include "proxy/easproxyctl_usage.h"
#include "proxy/easproxyctl_user_print.h"

struct arguments {
	const char *socket, *name, *reason;
	bool has_valid_from, wants_json;
	int64_t valid_from;
};

/* Commands */

static int fail(const struct error *err)
{
	fprintf(stderr, "easproxyctl: %s\n", err->text);
	return 1;
}

static int user_revoke(const struct arguments *arguments)
{
	json_t *request =
		json_pack("{s:s,s:s}", "request", "user-revoke", "mailbox", arguments->name);
	char moment[MOMENT_TEXT_SIZE];
	struct error err;
	json_t *answer;

	if (arguments->has_valid_from)
		json_object_set_new(request, "valid_from", json_integer(arguments->valid_from));
	if (arguments->reason != NULL)
		json_object_set_new(request, "reason", json_string(arguments->reason));
	answer = ctl_request(arguments->socket, request, &err);
	if (answer == NULL)
		return fail(&err);
	ctl_print_notes(answer);
	printf("%s is revoked: valid from %s\n", answer_text(answer, "mailbox"),
		answer_moment(answer_number(answer, "valid_from"), moment));
	json_decref(answer);
	return 0;
}

static int user_allow(const struct arguments *arguments)
{
	struct error err;
	json_t *answer = ctl_request(arguments->socket,
		json_pack("{s:s,s:s}", "request", "user-allow", "mailbox", arguments->name), &err);

	if (answer == NULL)
		return fail(&err);
	printf("%s %s\n", answer_text(answer, "mailbox"),
		answer_is_true(answer, "was_revoked") ? "is not revoked any more"
						      : "was not revoked");
	json_decref(answer);
	return 0;
}

static int user_show(const struct arguments *arguments)
{
	struct error err;
	json_t *answer = ctl_request(arguments->socket,
		json_pack("{s:s,s:s}", "request", "user-show", "mailbox", arguments->name), &err);

	if (answer == NULL)
		return fail(&err);
	if (arguments->wants_json) {
		answer_print(answer, JSON_COMPACT);
	} else {
		ctl_print_notes(answer);
		ctl_print_user(answer);
	}
	json_decref(answer);
	return 0;
}

/* Asks page after page and hands each to print, or prints each member as a line of JSON. */
static int print_pages(const struct arguments *arguments, const char *request, const char *members,
	void (*print)(const json_t *page), json_t *(*next_of)(const json_t *answer))
{
	json_t *after = NULL;

	do {
		json_t *ask = json_pack("{s:s}", "request", request), *answer;
		const json_t *page, *member;
		struct error err;
		size_t i;

		if (after != NULL)
			json_object_set_new(ask, "after", after);
		answer = ctl_request(arguments->socket, ask, &err);
		if (answer == NULL)
			return fail(&err);
		page = json_object_get(answer, members);
		if (!arguments->wants_json)
			print(page);
		else
			json_array_foreach(page, i, member) answer_print(member, JSON_COMPACT);
		after = next_of(answer);
		json_decref(answer);
	} while (after != NULL);
	return 0;
}

static json_t *next_user(const json_t *answer)
{
	const json_t *users = json_object_get(answer, "users");

	if (!answer_is_true(answer, "has_more") || json_array_size(users) == 0)
		return NULL;
	return json_incref(
		json_object_get(json_array_get(users, json_array_size(users) - 1), "mailbox"));
}

static json_t *next_seen(const json_t *answer)
{
	return json_incref(json_object_get(answer, "next"));
}

static int user_list(const struct arguments *arguments)
{
	if (!arguments->wants_json)
		ctl_print_users_head();
	return print_pages(arguments, "user-list", "users", ctl_print_users, next_user);
}

/* Command lines */

/* allowed: the short letters of the options that the command has. */
static bool read_arguments(
	int argc, char **argv, const char *allowed, size_t name_count, struct arguments *arguments)
{
	static const struct option options[] = {{"socket", required_argument, NULL, 's'},
		{"valid-from", required_argument, NULL, 'v'},
		{"reason", required_argument, NULL, 'r'}, {"json", no_argument, NULL, 'j'},
		{NULL, 0, NULL, 0}};
	struct error err;
	int option;

	*arguments = (struct arguments){.socket = CTL_DEFAULT_SOCKET};
	optind = 0;
	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, "s:j", options, NULL)) != -1) {
		if (option == '?' || strchr(allowed, option) == NULL)
			return false;
		switch (option) {
		case 's': arguments->socket = optarg; break;
		case 'r': arguments->reason = optarg; break;
		case 'j': arguments->wants_json = true; break;
		default:
			arguments->has_valid_from = true;
			if (moment_read(optarg, &arguments->valid_from, &err) == -1) {
				fprintf(stderr, "easproxyctl: --valid-from: %s\n", err.text);
				return false;
			}
			break;
		}
	}
	if ((size_t)(argc - optind) != name_count)
		return false;
	arguments->name = name_count == 1 ? argv[optind] : NULL;
	return true;
}

static const struct subcommand {
	const char *name, *usage;
	const char *options;
	size_t name_count;
	int (*run)(const struct arguments *arguments);
} subcommands[] = {
	{"revoke", "NAME [--valid-from DATE] [--reason TEXT] [-s SOCKET]", "svr", 1, user_revoke},
	{"allow", "NAME [-s SOCKET]", "s", 1, user_allow},
	{"show", "NAME [--json] [-s SOCKET]", "sj", 1, user_show},
	{"list", "[--json] [-s SOCKET]", "sj", 0, user_list},
};

enum { SUBCOMMAND_COUNT = sizeof(subcommands) / sizeof(subcommands[0]) };

int ctl_user(int argc, char **argv)
{
	char option[] = "--help";
	const char *name = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
		const struct subcommand *sub = &subcommands[i];
		struct arguments arguments;

		if (strcmp(sub->name, name) != 0)
			continue;
		if (read_arguments(argc - 1, argv + 1, sub->options, sub->name_count, &arguments))
			return sub->run(&arguments);
		fprintf(ctl_usage_stream(argc, argv), "usage: easproxyctl user %s %s\n", sub->name,
			sub->usage);
		return ctl_usage_status(argc, argv);
	}
	if (strcmp(name, "help") == 0)
		argv[1] = option;
	for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
		fprintf(ctl_usage_stream(argc, argv), "%s easproxyctl user %s %s\n",
			i == 0 ? "usage:" : "      ", subcommands[i].name, subcommands[i].usage);
	return ctl_usage_status(argc, argv);
}

int ctl_seen(int argc, char **argv)
{
	struct arguments arguments;

	if (read_arguments(argc, argv, "sj", 0, &arguments))
		return print_pages(&arguments, "seen", "certificates", ctl_print_seen, next_seen);
	return ctl_usage(argc, argv, "seen [--json] [-s SOCKET]");
}
