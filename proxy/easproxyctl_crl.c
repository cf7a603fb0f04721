#include "proxy/easproxyctl_crl.h"

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/easproxyctl_client.h"

enum { LABEL_WIDTH = 15 };

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text == NULL ? "" : text;
}

static long long number_of(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static void format_moment(char *text, size_t size, long long moment)
{
	time_t when = (time_t)moment;
	struct tm utc;

	if (moment == 0 || gmtime_r(&when, &utc) == NULL)
		snprintf(text, size, "-");
	else
		strftime(text, size, "%Y-%m-%d %H:%M:%S UTC", &utc);
}

static void print_text(const char *label, const char *text)
{
	if (text[0] != '\0')
		printf("    %-*s %s\n", LABEL_WIDTH, label, text);
}

static void print_moment(const json_t *object, const char *key, const char *label)
{
	char text[40];

	if (number_of(object, key) == 0)
		return;
	format_moment(text, sizeof(text), number_of(object, key));
	print_text(label, text);
}

static void print_number(const json_t *object, const char *key, const char *label)
{
	char hex_key[40], text[128];

	if (text_of(object, key)[0] == '\0')
		return;
	snprintf(hex_key, sizeof(hex_key), "%s_hex", key);
	snprintf(text, sizeof(text), "%s (0x%s)", text_of(object, key), text_of(object, hex_key));
	print_text(label, text);
}

/* How the looks at one URL went. */
static void print_half(const json_t *half, const char *label)
{
	char looked[40], next[40];

	if (half == NULL)
		return;
	print_text(label, text_of(half, "url"));
	format_moment(looked, sizeof(looked), number_of(half, "looked_at"));
	format_moment(next, sizeof(next), number_of(half, "next_look"));
	printf("    %-*s looked at %s%s, next %s%s%s\n", LABEL_WIDTH, "", looked,
		json_is_true(json_object_get(half, "unchanged")) ? " (unchanged)" : "", next,
		text_of(half, "form")[0] == '\0' ? "" : "; ", text_of(half, "form"));
	if (text_of(half, "error")[0] != '\0')
		printf("    %-*s FAILED %lld times in a row, last: %s\n", LABEL_WIDTH, "",
			number_of(half, "failures"), text_of(half, "error"));
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

	printf("  %s: %s\n", text_of(crl, "state"), text_of(crl, "consequence"));
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
		number_of(crl, "entries"), number_of(crl, "size_bytes"),
		number_of(crl, "mapped_bytes"));
	print_text("entries", text);
	print_text("signed by", text_of(crl, "signer"));
	print_scope(crl);
}

static void print_list(const json_t *answer)
{
	const json_t *authority, *crl;
	size_t i, j;

	json_array_foreach(json_object_get(answer, "authorities"), i, authority)
	{
		printf("%s%lld %s\n", i == 0 ? "" : "\n", number_of(authority, "number"),
			text_of(authority, "issuer"));
		if (json_array_size(json_object_get(authority, "crls")) == 0)
			printf("  %s: %s\n", text_of(authority, "state"),
				text_of(authority, "consequence"));
		json_array_foreach(json_object_get(authority, "crls"), j, crl) print_crl(crl);
	}
}

/* Whether a look at any location has failed. */
static bool has_failed(const json_t *answer)
{
	const json_t *authority, *crl;
	size_t i, j;

	json_array_foreach(json_object_get(answer, "authorities"), i, authority) json_array_foreach(
		json_object_get(authority, "crls"), j,
		crl) if (text_of(json_object_get(crl, "base"), "error")[0] != '\0' ||
			 text_of(json_object_get(crl, "delta"), "error")[0] != '\0') return true;
	return false;
}

static int usage(void)
{
	fputs("usage: easproxyctl crl list [-s SOCKET] [--json]\n"
	      "       easproxyctl crl refresh [-s SOCKET] [--json] [CA]\n",
		stderr);
	return 2;
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
		json_dumpf(answer, stdout, JSON_COMPACT);
		fputc('\n', stdout);
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
	const char *path = CTL_DEFAULT_SOCKET;
	const char *what = argc > 1 ? argv[1] : "";
	bool is_refresh = strcmp(what, "refresh") == 0, wants_json = false;
	int option;

	if (!is_refresh && strcmp(what, "list") != 0)
		return usage();
	argc--;
	argv++;
	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, "s:j", options, NULL)) != -1)
		switch (option) {
		case 's': path = optarg; break;
		case 'j': wants_json = true; break;
		default: return usage();
		}
	if (argc - optind > (is_refresh ? 1 : 0))
		return usage();
	return ask(path,
		optind < argc
			? json_pack(
				  "{s:s,s:s}", "request", "crl-refresh", "authority", argv[optind])
			: json_pack("{s:s}", "request", is_refresh ? "crl-refresh" : "crl-list"),
		wants_json, is_refresh);
}
