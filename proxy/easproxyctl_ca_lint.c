/* easproxyctl ca lint: every CRL location of the trust store, tried now. */
#include <stdio.h>
#include <time.h>

#include "auth/trust_file.h"
#include "config/moment.h"
#include "proxy/easproxyctl_answer.h"
#include "proxy/easproxyctl_ca.h"
#include "proxy/easproxyctl_ca_judge.h"
#include "proxy/easproxyctl_ca_place.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

struct lint {
	struct ca_place place;
	bool wants_json;
	const char *name; /* of the one authority; NULL: all */
	struct trust_file file;
	struct trust_store *store;
	struct ca_bounds bounds;
	json_t *results;
	size_t wrong_count;
};

static const char *text_of(json_t *result, const char *name)
{
	return json_string_value(json_object_get(result, name));
}

static void print_line(const char *name, json_t *result, const char *member)
{
	if (text_of(result, member) != NULL)
		printf("   %-12s %s\n", name, text_of(result, member));
}

static void print_number(const char *name, json_t *result, const char *member)
{
	char text[ANSWER_CRL_NUMBER_SIZE];

	if (text_of(result, member) != NULL)
		printf("   %-12s %s\n", name, answer_crl_number(result, member, text));
}

/* "in 3 d 4 h", "2 h 10 min ago". */
static void print_moment(const char *name, json_t *result, const char *member, int64_t now)
{
	const char *text = text_of(result, member);
	int64_t moment, distance;
	bool is_past;

	if (text == NULL || moment_read(text, &moment, NULL) == -1)
		return;
	is_past = moment <= now;
	distance = is_past ? now - moment : moment - now;
	printf("   %-12s %s, %s", name, text, is_past ? "" : "in ");
	if (distance >= DAY)
		printf("%lld d %lld h", (long long)(distance / DAY),
			(long long)(distance % DAY / HOUR));
	else
		printf("%lld h %lld min", (long long)(distance / HOUR),
			(long long)(distance % HOUR / MINUTE));
	puts(is_past ? " ago" : "");
}

static void print_list(const char *name, json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		printf("   %-12s %s\n", name, json_string_value(json_array_get(list, i)));
}

static void print_scope(json_t *scope)
{
	if (scope == NULL)
		return;
	printf("   %-12s ", "scope");
	if (json_array_size(scope) == 0)
		fputs("everything", stdout);
	for (size_t i = 0; i < json_array_size(scope); i++)
		printf("%s%s", i == 0 ? "" : "; ", json_string_value(json_array_get(scope, i)));
	putchar('\n');
}

static void print_result(const struct ca_location *location, json_t *result)
{
	json_t *size = json_object_get(result, "size");

	printf("%zu. %s: %s %s\n", location->authority + 1, text_of(result, "subject"),
		location->is_delta ? "delta CRL" : "CRL", location->url);
	printf("   %-12s ", size != NULL ? "fetched" : "tried");
	if (size != NULL)
		printf("%lld bytes (of at most %llu) ", (long long)json_integer_value(size),
			(unsigned long long)location->bounds.size_limit);
	printf("in %lld ms (of at most %lu)\n",
		(long long)json_integer_value(json_object_get(result, "time_ms")),
		(unsigned long)location->bounds.time_limit_ms);
	print_line("form", result, "form");
	print_number("number", result, "crl_number");
	print_number("base number", result, "base_number");
	print_moment("effective", result, "this_update", location->now);
	print_moment("next publish", result, "next_publish", location->now);
	print_moment("next update", result, "next_update", location->now);
	print_scope(json_object_get(result, "scope"));
	print_line("issuer", result, "issuer");
	print_line("issuer key", result, "key_identifier");
	print_line("signed by", result, "signer");
	if (json_object_get(result, "entries") != NULL)
		printf("   %-12s %lld%s\n", "entries",
			(long long)json_integer_value(json_object_get(result, "entries")),
			location->is_delta ? ", with those of its CRL" : "");
	print_list("remark", json_object_get(result, "remarks"));
	print_list("WRONG", json_object_get(result, "problems"));
}

static struct revocation_index *lint_location(
	struct lint *lint, const struct ca_location *location, const struct revocation_index *base)
{
	struct revocation_index *index;
	json_t *result = ca_location_judge(location, base, &index);

	if (!answer_is_true(result, "ok"))
		lint->wrong_count++;
	if (!lint->wants_json)
		print_result(location, result);
	json_array_append_new(lint->results, result);
	return index;
}

static void lint_pair(struct lint *lint, size_t number, const struct crl_location *pair)
{
	const struct authority *authority = &lint->store->authorities[number];
	struct ca_location location = {
		.store = lint->store,
		.authority = number,
		.url = pair->url,
		.bounds = lint->bounds,
		.now = (int64_t)time(NULL),
	};
	struct revocation_index *base;

	if (authority->crl_size_limit != 0)
		location.bounds.size_limit = authority->crl_size_limit;
	if (authority->crl_time_limit_ms != 0)
		location.bounds.time_limit_ms = authority->crl_time_limit_ms;
	base = lint_location(lint, &location, NULL);

	if (pair->delta_url[0] != '\0') {
		location.url = pair->delta_url;
		location.is_delta = true;
		revocation_index_close(lint_location(lint, &location, base));
	}
	revocation_index_close(base);
}

static void lint_authority(struct lint *lint, size_t number)
{
	const struct authority *authority = &lint->store->authorities[number];

	for (size_t i = 0; i < authority->crl_count; i++)
		lint_pair(lint, number, &authority->crls[i]);
	if (authority->crl_count == 0 && !authority->is_crl_signer && !lint->wants_json)
		printf("%zu. %s: no CRL location, so that nothing it has issued is checked\n",
			number + 1, authority->issuer);
}

static int lint_run(struct lint *lint)
{
	struct error err;
	int only = -1;

	if (ca_place_find(&lint->place, &err) == -1 ||
		trust_file_look(&lint->file, lint->place.store, &err) == -1)
		goto fail;
	if (!lint->file.exists) {
		error_set(&err, CA_STORE_MISSING, lint->file.path);
		goto fail;
	}
	lint->store = trust_store_read(span_of(lint->file.content, lint->file.len), lint->file.path,
		lint->file.directory, ca_place_report, NULL);
	if (lint->store == NULL)
		return 1;
	if (lint->name != NULL) {
		only = ca_place_select(lint->store, lint->name, &err);
		if (only == -1)
			goto fail;
	}
	ca_bounds_find(lint->place.store_given == NULL ? lint->place.config : NULL, &lint->bounds);
	for (size_t i = 0; i < lint->store->count; i++)
		if (only == -1 || i == (size_t)only)
			lint_authority(lint, i);
	if (lint->wants_json) {
		answer_print(lint->results, JSON_INDENT(2));
	} else {
		printf("%zu location%s, %zu with something wrong\n", json_array_size(lint->results),
			json_array_size(lint->results) == 1 ? "" : "s", lint->wrong_count);
	}
	return lint->wrong_count == 0 ? 0 : 1;
fail:
	fprintf(stderr, "easproxyctl: %s\n", err.text);
	return 1;
}

int ctl_ca_lint(int argc, char **argv)
{
	static const struct option options[] = {
		CA_PLACE_OPTIONS, {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	struct lint lint = {.file.directory_fd = -1, .results = json_array()};
	bool is_wrong = false;
	int option, status;

	ca_place_begin(&lint.place);
	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, CA_PLACE_LETTERS, options, NULL)) != -1) {
		if (option == 'j')
			lint.wants_json = true;
		else if (!ca_place_take(&lint.place, option, optarg))
			is_wrong = true;
	}
	if (optind == argc - 1)
		lint.name = argv[optind];
	status = is_wrong || optind < argc - 1 ? ctl_ca_usage(argc, argv) : lint_run(&lint);
	json_decref(lint.results);
	trust_store_free(lint.store);
	trust_file_close(&lint.file);
	ca_place_end(&lint.place);
	return status;
}
