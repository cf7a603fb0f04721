#include "proxy/easproxyctl_ca_change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "auth/trust_document.h"
#include "auth/trust_strength.h"
#include "auth/trust_write.h"
#include "proxy/easproxyctl_ca_phones.h"
#include "proxy/easproxyctl_client.h"

enum { INDENT = 2 };

static void report_nothing(void *context, const char *text)
{
	(void)context;
	(void)text;
}

static struct trust_store *read_old(const struct trust_file *file)
{
	return trust_store_read(span_of(file->content, file->len), file->path, file->directory,
		report_nothing, NULL);
}

int ca_change_begin(struct ca_change *change, struct error *err)
{
	struct error cause;

	change->file.directory_fd = -1;
	if (ca_place_find(&change->place, err) == -1 ||
		trust_file_open(&change->file, change->place.store, err) == -1)
		return -1;
	change->old = read_old(&change->file);
	if (change->file.len == 0)
		change->document = json_pack("{s:[]}", "certificateAuthorities");
	else
		change->document = trust_document_parse(
			span_of(change->file.content, change->file.len), &cause);
	if (change->document == NULL)
		return error_set(err, "%s: %s", change->file.path, cause.text);
	change->list = trust_document_list(change->document);
	if (!json_is_array(change->list))
		return error_set(
			err, "%s: certificateAuthorities: must be a list", change->file.path);
	return 0;
}

int ca_change_select(const struct ca_change *change, const char *name, struct error *err)
{
	unsigned long number;
	char *end;

	if (change->file.len == 0)
		return error_set(err, CA_STORE_MISSING, change->file.path);
	/* Without faults all that is in the list is in the store, in its order. */
	if (change->old != NULL)
		return ca_place_select(change->old, name, err);
	number = strtoul(name, &end, 10);
	if (*end == '\0' && number >= 1 && number <= json_array_size(change->list))
		return (int)number - 1;
	return error_set(err,
		"%s has faults (easproxyctl check lists them), so that an authority can only be "
		"meant "
		"by its number, from 1 to %zu",
		change->file.path, json_array_size(change->list));
}

static const struct authority *find_same(const struct trust_store *store, X509 *certificate)
{
	for (size_t i = 0; store != NULL && i < store->count; i++)
		if (X509_cmp(store->authorities[i].certificate, certificate) == 0)
			return &store->authorities[i];
	return NULL;
}

/* What is asked of new ones. Returns how many faults there are. */
static size_t check_new(const struct ca_change *change, const struct trust_store *now)
{
	size_t fault_count = 0;
	struct error err;

	for (size_t i = 0; i < now->count; i++) {
		const struct authority *authority = &now->authorities[i];

		if (find_same(change->old, authority->certificate) != NULL ||
			(trust_strength_check(authority, &err) == 0 &&
				(change->is_lenient || trust_standing_check(now, i, &err) == 0)))
			continue;
		fprintf(stderr, "%s: authority %zu: %s: %s\n", change->file.path, i + 1,
			authority->issuer, err.text);
		fault_count++;
	}
	return fault_count;
}

static void print_difference(const char *name, json_t *was, json_t *is)
{
	char *before = was != NULL ? json_dumps(was, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	char *after = is != NULL ? json_dumps(is, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	printf("  %s: %s (was %s)\n", name, after != NULL ? after : "not set",
		before != NULL ? before : "not set");
	free(before);
	free(after);
}

/* Compares what two entries say, and prints it. Returns whether they differ. */
static bool print_change(
	const struct ca_change *change, const struct authority *was, const struct authority *is)
{
	json_t *before = trust_write_authority(was, TRUST_FORMAT_OWN);
	json_t *after = trust_write_authority(is, TRUST_FORMAT_OWN);
	bool differs = json_equal(before, after) == 0;
	const char *name;
	json_t *value;

	if (differs)
		printf("%s %s\n", change->is_dry_run ? "would change" : "changed", is->issuer);
	json_object_foreach(
		before, name, value) if (json_equal(value, json_object_get(after, name)) == 0)
		print_difference(name, value, json_object_get(after, name));
	json_object_foreach(after, name, value) if (json_object_get(before, name) == NULL)
		print_difference(name, NULL, value);
	json_decref(before);
	json_decref(after);
	return differs;
}

static void print_changes(const struct ca_change *change, const struct trust_store *now)
{
	size_t kept = 0;

	for (size_t i = 0; change->old != NULL && i < change->old->count; i++)
		if (find_same(now, change->old->authorities[i].certificate) == NULL)
			printf("%s %s\n", change->is_dry_run ? "would remove" : "removed",
				change->old->authorities[i].issuer);
	for (size_t i = 0; i < now->count; i++) {
		const struct authority *is = &now->authorities[i];
		const struct authority *was = find_same(change->old, is->certificate);

		if (was == NULL)
			printf("%s %s (%s)\n", change->is_dry_run ? "would add" : "added",
				is->issuer,
				is->is_root         ? "root"
				: is->is_crl_signer ? "CRL signer"
						    : "intermediate");
		else if (!print_change(change, was, is))
			kept++;
	}
	printf("%s %zu as %s\n", change->is_dry_run ? "would keep" : "kept", kept,
		kept == 1 ? "it was" : "they were");
}

/* 0: somebody listens there; else why not, as errno. */
static int probe(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, result;

	if (strlen(path) >= sizeof(address.sun_path))
		return ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return errno;
	result = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
	close(fd);
	return result;
}

static void put_back(struct ca_change *change)
{
	struct error err;

	if (trust_file_restore(&change->file, &err) == -1)
		fprintf(stderr, "easproxyctl: %s\n", err.text);
	else
		fprintf(stderr, "%s is as it was before\n", change->file.path);
}

static int have_reloaded(struct ca_change *change)
{
	struct error err;
	char *text = ctl_ask(change->place.socket, "reload", &err);
	json_t *answer = text != NULL ? json_loads(text, 0, NULL) : NULL;
	bool is_ok = json_is_true(json_object_get(answer, "ok"));
	const char *error = json_string_value(json_object_get(answer, "error"));

	if (text == NULL) {
		fprintf(stderr,
			"easproxyctl: %s is changed, but whether easproxyd has taken it over is "
			"not "
			"known: %s\n",
			change->file.path, err.text);
	} else if (is_ok) {
		puts("easproxyd has taken it over");
	} else {
		fprintf(stderr, "easproxyctl: easproxyd does not take it over: %s\n",
			error != NULL ? error : "its answer makes no sense");
		put_back(change);
	}
	json_decref(answer);
	free(text);
	return is_ok ? 0 : 1;
}

static int take_over(struct ca_change *change)
{
	int why;

	if (change->place.socket[0] == '\0') {
		puts("easproxyd is not told: it has no control socket here; it reads the trust "
		     "store "
		     "when it "
		     "starts or reloads");
		return 0;
	}
	why = probe(change->place.socket);
	if (why == ENOENT || why == ECONNREFUSED) {
		puts("no easproxyd runs that could take it over; it reads the trust store when it "
		     "starts");
		return 0;
	}
	if (why != 0) {
		fprintf(stderr,
			"easproxyctl: %s is changed, but easproxyd cannot be told: reaching it on "
			"%s: "
			"%s\n",
			change->file.path, change->place.socket, strerror(why));
		return 1;
	}
	return have_reloaded(change);
}

static int write_and_take_over(
	struct ca_change *change, const struct trust_store *now, const char *text)
{
	struct error err;

	if (trust_file_replace(&change->file, text, strlen(text), &err) == 0) {
		print_changes(change, now);
		return take_over(change);
	}
	fprintf(stderr, "easproxyctl: %s\n", err.text);
	return 1;
}

static int show(const struct ca_change *change, const struct trust_store *now)
{
	print_changes(change, now);
	return ca_phones_compare(&change->place, change->old, now);
}

/* Whether the document says what the file says. */
static bool is_as_before(const struct ca_change *change)
{
	json_t *before =
		trust_document_parse(span_of(change->file.content, change->file.len), NULL);
	bool is_so = json_equal(before, change->document) == 1;

	json_decref(before);
	return is_so;
}

static int finish_with(struct ca_change *change, const char *text)
{
	struct trust_store *now = trust_store_read(span_of_string(text), change->file.path,
		change->file.directory, ca_place_report, NULL);
	int status = 1;

	if (now == NULL || check_new(change, now) > 0) {
		fprintf(stderr, "easproxyctl: nothing was changed\n");
		goto out;
	}
	if (is_as_before(change)) {
		puts("nothing to change");
		status = 0;
	} else if (change->is_dry_run) {
		status = show(change, now);
	} else {
		status = write_and_take_over(change, now, text);
	}
out:
	trust_store_free(now);
	return status;
}

int ca_change_finish(struct ca_change *change)
{
	char *dumped = json_dumps(change->document, JSON_INDENT(INDENT));
	char *text = NULL;
	int status = 1;

	if (dumped == NULL || asprintf(&text, "%s\n", dumped) == -1) {
		fprintf(stderr, "easproxyctl: out of memory\n");
		text = NULL;
	} else {
		status = finish_with(change, text);
	}
	free(text);
	free(dumped);
	return status;
}

void ca_change_end(struct ca_change *change)
{
	json_decref(change->document);
	trust_store_free(change->old);
	trust_file_close(&change->file);
	ca_place_end(&change->place);
}
