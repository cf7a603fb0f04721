#include "proxy/easproxyctl_crl.h"

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "proxy/easproxyctl_answer.h"
#include "proxy/easproxyctl_client.h"
#include "proxy/easproxyctl_usage.h"

enum { LABEL_WIDTH = 15 };

static void print_text(const char *label, const char *text)
{
	if (text[0] != '\0')
		printf("    %-*s %s\n", LABEL_WIDTH, label, text);
}

static void print_moment(const json_t *object, const char *key, const char *label)
{
	char text[MOMENT_TEXT_SIZE];

	if (answer_number(object, key) != 0)
		print_text(label, answer_moment(answer_number(object, key), text));
}

static void print_number(const json_t *object, const char *key, const char *label)
{
	char text[ANSWER_CRL_NUMBER_SIZE];

	if (json_object_get(object, key) != NULL)
		print_text(label, answer_crl_number(object, key, text));
}

/* How the looks at one URL went. */
static void print_half(const json_t *half, const char *label)
{
	char looked[MOMENT_TEXT_SIZE], next[MOMENT_TEXT_SIZE];

	if (half == NULL)
		return;
	print_text(label, answer_text(half, "url"));
	printf("    %-*s ", LABEL_WIDTH, "");
	if (answer_number(half, "looked_at") == 0)
		printf("not looked at since the start");
	else
		printf("looked at %s%s", answer_moment(answer_number(half, "looked_at"), looked),
			answer_is_true(half, "unchanged") ? " (unchanged)" : "");
	printf(", next %s%s%s\n", answer_moment(answer_number(half, "next_look"), next),
		answer_text(half, "form")[0] == '\0' ? "" : "; ", answer_text(half, "form"));
	if (answer_text(half, "error")[0] != '\0')
		printf("    %-*s FAILED %lld times in a row, last: %s\n", LABEL_WIDTH, "",
			answer_number(half, "failures"), answer_text(half, "error"));
}

static void print_scope(const json_t *crl)
{
	const json_t *word;
	size_t i;

	if (json_object_get(crl, "scope") == NULL)
		return;
	printf("    %-*s", LABEL_WIDTH, "speaks for");
	json_array_foreach(json_object_get(crl, "scope"), i, word)
		printf("%s %s", i == 0 ? "" : ",", json_string_value(word));
	printf("\n");
}

static void print_crl(const json_t *crl)
{
	char text[96];

	printf("  %s: %s\n", answer_text(crl, "state"), answer_text(crl, "consequence"));
	print_half(json_object_get(crl, "base"), "CRL");
	print_half(json_object_get(crl, "delta"), "delta CRL");
	if (json_object_get(crl, "entries") == NULL)
		return;
	print_number(crl, "crl_number", "number");
	print_number(crl, "delta_number", "delta number");
	print_moment(crl, "effective", "effective");
	print_moment(crl, "next_publish", "next publish");
	print_moment(crl, "next_update", "next update");
	snprintf(text, sizeof(text), "%lld, %lld bytes as CRL, %lld mapped",
		answer_number(crl, "entries"), answer_number(crl, "size_bytes"),
		answer_number(crl, "mapped_bytes"));
	print_text("entries", text);
	print_text("signed by", answer_text(crl, "signer"));
	print_scope(crl);
}

static void print_list(const json_t *answer)
{
	const json_t *authority, *crl;
	size_t i, j;

	json_array_foreach(json_object_get(answer, "authorities"), i, authority)
	{
		printf("%s%lld. %s\n", i == 0 ? "" : "\n", answer_number(authority, "number"),
			answer_text(authority, "issuer"));
		if (json_array_size(json_object_get(authority, "crls")) == 0)
			printf("  %s: %s\n", answer_text(authority, "state"),
				answer_text(authority, "consequence"));
		json_array_foreach(json_object_get(authority, "crls"), j, crl) print_crl(crl);
	}
}

/* Whether a look at any location has failed. */
static bool has_failed(const json_t *answer)
{
	const json_t *authority, *crl;
	size_t i, j;

	json_array_foreach(json_object_get(answer, "authorities"), i, authority)
		json_array_foreach(json_object_get(authority, "crls"), j,
			crl) if (answer_text(json_object_get(crl, "base"), "error")[0] != '\0' ||
				 answer_text(json_object_get(crl, "delta"), "error")[0] !=
					 '\0') return true;
	return false;
}

static int usage(int argc, char **argv)
{
	return ctl_usage(argc, argv,
		"crl list [--json] [-s SOCKET]\n"
		"       easproxyctl crl refresh [CA] [--json] [-s SOCKET]");
}

static int ask(const char *socket_path, json_t *request, bool wants_json, bool is_refresh)
{
	struct error err;
	json_t *answer = ctl_request(socket_path, request, &err);
	int status;

	if (answer == NULL) {
		fprintf(stderr, "easproxyctl: %s\n", err.text);
		return 1;
	}
	status = is_refresh && has_failed(answer) ? 1 : 0;
	if (wants_json) {
		answer_print(answer, JSON_COMPACT);
	} else {
		print_list(answer);
	}
	json_decref(answer);
	return status;
}

int ctl_crl(int argc, char **argv)
{
	static const struct option options[] = {{"socket", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	char help[] = "--help";
	const char *path = CTL_DEFAULT_SOCKET;
	const char *what = argc > 1 ? argv[1] : "";
	bool is_refresh = strcmp(what, "refresh") == 0, wants_json = false;
	int option;

	if (strcmp(what, "help") == 0)
		argv[1] = help;
	if (!is_refresh && strcmp(what, "list") != 0)
		return usage(argc, argv);
	argc--;
	argv++;
	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, "s:j", options, NULL)) != -1)
		switch (option) {
		case 's': path = optarg; break;
		case 'j': wants_json = true; break;
		default: return usage(argc, argv);
		}
	if (argc - optind > (is_refresh ? 1 : 0))
		return usage(argc, argv);
	return ask(path,
		optind < argc
			? json_pack(
				  "{s:s,s:s}", "request", "crl-refresh", "authority", argv[optind])
			: json_pack("{s:s}", "request", is_refresh ? "crl-refresh" : "crl-list"),
		wants_json, is_refresh);
}
