/* easproxyctl ca list and export: the trust store for people, and for other programs. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "auth/trust_document.h"
#include "auth/trust_file.h"
#include "auth/trust_strength.h"
#include "auth/trust_write.h"
#include "auth/x509_text.h"
#include "config/moment.h"
#include "proxy/easproxyctl_answer.h"
#include "proxy/easproxyctl_ca.h"
#include "proxy/easproxyctl_ca_place.h"

enum { INDENT = 2, DAY = 86400 };

/* UNIX seconds; 0 where the time makes no sense. */
static int64_t seconds_of(const ASN1_TIME *time)
{
	int64_t seconds;

	return x509_time_read(time, &seconds) == 0 ? seconds : 0;
}

static const char *type_of(const struct authority *authority)
{
	return authority->is_root         ? "root"
	       : authority->is_crl_signer ? "CRL signer"
					  : "intermediate";
}

/* Reads the store without changing it. NULL when that was said. */
static struct trust_store *read_store(
	struct ca_place *place, struct trust_file *file, trust_store_report *report)
{
	struct error err;

	if (ca_place_find(place, &err) == -1 || trust_file_look(file, place->store, &err) == -1) {
		fprintf(stderr, "easproxyctl: %s\n", err.text);
		return NULL;
	}
	if (!file->exists) {
		fprintf(stderr, "easproxyctl: " CA_STORE_MISSING "\n", file->path);
		return NULL;
	}
	return trust_store_read(
		span_of(file->content, file->len), file->path, file->directory, report, NULL);
}

/* list */

static void print_validity(const struct authority *authority, int64_t now)
{
	int64_t not_before = seconds_of(X509_get0_notBefore(authority->certificate));
	int64_t not_after = seconds_of(X509_get0_notAfter(authority->certificate));
	char from[MOMENT_TEXT_SIZE], to[MOMENT_TEXT_SIZE];

	moment_write(not_before, from);
	moment_write(not_after, to);
	printf("   %-9s %.10s to %.10s", "valid", from, to);
	if (not_after < now)
		puts(", EXPIRED");
	else if (not_before > now)
		puts(", NOT YET");
	else
		printf(", %lld days left\n", (long long)((not_after - now) / DAY));
}

static void print_locations(const struct authority *authority)
{
	if (authority->crl_count == 0 && !authority->is_crl_signer)
		printf("   %-9s none: what it has issued is not checked for revocation\n", "CRL");
	for (size_t i = 0; i < authority->crl_count; i++) {
		printf("   %-9s %s\n", "CRL", authority->crls[i].url);
		if (authority->crls[i].delta_url[0] != '\0')
			printf("   %-9s %s\n", "delta CRL", authority->crls[i].delta_url);
	}
}

/* What is written in the store, in its own words. */
static const char *text_of(json_t *entry, enum trust_member member)
{
	return json_string_value(trust_document_get(entry, member));
}

static void print_limits(json_t *entry)
{
	if (text_of(entry, TRUST_CRL_SIZE_LIMIT) != NULL)
		printf("   %-9s a CRL has at most %s\n", "limit",
			text_of(entry, TRUST_CRL_SIZE_LIMIT));
	if (text_of(entry, TRUST_CRL_TIME_LIMIT) != NULL)
		printf("   %-9s a download of a CRL takes at most %s\n", "limit",
			text_of(entry, TRUST_CRL_TIME_LIMIT));
}

static void print_exemption(const struct authority *authority, int64_t now)
{
	char until[MOMENT_TEXT_SIZE];

	moment_write(authority->exempt_until, until);
	printf("   %-9s %s %s%s%s\n", "exempt",
		authority->exempt_until > now ? "NOTHING IS CHECKED until" : "was until", until,
		authority->exempt_reason[0] != '\0' ? ": " : "", authority->exempt_reason);
}

static void print_checks(const struct authority *authority, json_t *entry, int64_t now)
{
	if (authority->check != AUTHORITY_CHECK_CHAIN)
		printf("   %-9s %s\n", "checked",
			authority->check == AUTHORITY_CHECK_LEAF ? "phones' certificates alone"
								 : "NOTHING");
	if (authority->grace_s != 0)
		printf("   %-9s %s after a CRL's next update\n", "grace",
			text_of(entry, TRUST_GRACE));
	if (authority->exempt_until != 0)
		print_exemption(authority, now);
	if (authority->ocsp != AUTHORITY_OCSP_OFF)
		printf("   %-9s %s, %s\n", "OCSP", text_of(entry, TRUST_OCSP),
			authority->ocsp_url[0] != '\0' ? authority->ocsp_url
						       : "as certificates say");
}

static void print_rules(const struct authority *authority)
{
	for (size_t i = 0; i < authority->rule_count; i++) {
		const struct authority_rule *rule = &authority->rules[i];

		printf("   %-9s", i == 0 ? "only for" : "or");
		for (size_t n = 0; n < rule->domain_count; n++)
			printf(" %s", rule->domains[n]);
		for (size_t n = 0; n < rule->mailbox_count; n++)
			printf(" %s", rule->mailboxes[n]);
		if (rule->policy[0] != '\0')
			printf(" (with policy %s)", rule->policy);
		putchar('\n');
	}
}

static void print_authority(const struct authority *authority, size_t number, int64_t now)
{
	json_t *entry = trust_write_authority(authority, TRUST_FORMAT_OWN);
	char key[32], digest[65];
	struct error err = {""};

	trust_strength_check(authority, &err);
	trust_strength_describe(authority->certificate, key);
	ca_place_digest(authority->certificate, digest);
	printf("%zu. %s, %s\n", number, authority->issuer, type_of(authority));
	printf("   %-9s %s, identifier %s%s%s\n", "key", key, authority->key_id,
		err.text[0] != '\0' ? ", WEAK: " : "", err.text);
	printf("   %-9s %s\n", "SHA-256", digest);
	print_validity(authority, now);
	print_locations(authority);
	print_checks(authority, entry, now);
	print_limits(entry);
	print_rules(authority);
	json_decref(entry);
}

/* What is in the store, and what follows from the certificate. */
static json_t *describe_authority(const struct authority *authority, size_t number)
{
	json_t *object = json_pack("{s:I}", "number", (json_int_t)number);
	json_t *entry = trust_write_authority(authority, TRUST_FORMAT_OWN);
	char text[MOMENT_TEXT_SIZE], key[32], digest[65];

	trust_strength_describe(authority->certificate, key);
	ca_place_digest(authority->certificate, digest);
	json_object_set_new(object, "subject", json_string(authority->issuer));
	json_object_set_new(object, "type", json_string(type_of(authority)));
	json_object_set_new(object, "key", json_string(key));
	json_object_set_new(object, "keyIdentifier", json_string(authority->key_id));
	json_object_set_new(object, "sha256", json_string(digest));
	moment_write(seconds_of(X509_get0_notBefore(authority->certificate)), text);
	json_object_set_new(object, "notBefore", json_string(text));
	moment_write(seconds_of(X509_get0_notAfter(authority->certificate)), text);
	json_object_set_new(object, "notAfter", json_string(text));
	json_object_update_missing(object, entry);
	json_decref(entry);
	return object;
}

static void print_json(json_t *value)
{
	answer_print(value, JSON_INDENT(INDENT));
	json_decref(value);
}

static void print_store(const struct trust_store *store, bool wants_json)
{
	int64_t now = (int64_t)time(NULL);
	json_t *list = json_array();

	for (size_t i = 0; i < store->count; i++)
		if (wants_json)
			json_array_append_new(
				list, describe_authority(&store->authorities[i], i + 1));
		else
			print_authority(&store->authorities[i], i + 1, now);
	if (wants_json)
		print_json(list);
	else
		json_decref(list);
}

int ctl_ca_list(int argc, char **argv)
{
	static const struct option options[] = {
		CA_PLACE_OPTIONS, {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	bool wants_json = false, is_wrong = false;
	struct trust_store *store = NULL;
	struct trust_file file = {.directory_fd = -1};
	struct ca_place place;
	int option, status;

	ca_place_begin(&place);
	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, CA_PLACE_LETTERS, options, NULL)) != -1) {
		if (option == 'j')
			wants_json = true;
		else if (!ca_place_take(&place, option, optarg))
			is_wrong = true;
	}
	if (is_wrong || optind != argc) {
		status = ctl_ca_usage(argc, argv);
		goto out;
	}
	store = read_store(&place, &file, ca_place_report);
	status = store != NULL ? 0 : 1;
	if (store != NULL)
		print_store(store, wants_json);
out:
	trust_store_free(store);
	trust_file_close(&file);
	ca_place_end(&place);
	return status;
}

/* export */

static const struct {
	const char *word;
	enum trust_format format;
} formats[] = {
	{"own", TRUST_FORMAT_OWN}, {"graph", TRUST_FORMAT_GRAPH}, {"legacy", TRUST_FORMAT_OLDER}};

static int find_format(const char *word, enum trust_format *format)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (strcmp(formats[i].word, word) == 0) {
			*format = formats[i].format;
			return 0;
		}
	return -1;
}

/* What Microsoft derives from a certificate is given back as it came: tools write it in different ways. */
static json_t *export_authority(
	const struct authority *authority, json_t *entry, enum trust_format format)
{
	static const enum trust_member given[] = {TRUST_ISSUER, TRUST_ISSUER_SKI};
	json_t *object = trust_write_authority(authority, format);

	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
		json_t *value = trust_document_get(entry, given[i]);

		if (value != NULL)
			trust_document_set(object, given[i], json_incref(value));
	}
	return object;
}

static json_t *export_all(
	const struct trust_store *store, json_t *document, enum trust_format format)
{
	json_t *entries = trust_document_list(document);
	json_t *list = json_array();

	for (size_t i = 0; i < store->count; i++) {
		if (store->authorities[i].is_crl_signer && format != TRUST_FORMAT_OWN) {
			fprintf(stderr,
				"warning: left out, there are no CRL signers in that format: %s\n",
				store->authorities[i].issuer);
			continue;
		}
		json_array_append_new(list, export_authority(&store->authorities[i],
						    json_array_get(entries, i), format));
	}
	return trust_write_document(list, format);
}

static void ignore(void *context, const char *text)
{
	if (strncmp(text, "warning: ", strlen("warning: ")) != 0)
		ca_place_report(context, text);
}

static int export_in(struct ca_place *place, enum trust_format format)
{
	struct trust_file file = {.directory_fd = -1};
	struct trust_store *store = read_store(place, &file, ignore);
	json_t *document = NULL;
	int status = 1;

	if (store != NULL)
		document = trust_document_parse(span_of(file.content, file.len), NULL);
	if (document != NULL) {
		print_json(export_all(store, document, format));
		status = 0;
	}
	json_decref(document);
	trust_store_free(store);
	trust_file_close(&file);
	return status;
}

int ctl_ca_export(int argc, char **argv)
{
	static const struct option options[] = {
		CA_PLACE_OPTIONS, {"format", required_argument, NULL, 'f'}, {NULL, 0, NULL, 0}};
	enum trust_format format = TRUST_FORMAT_OWN;
	bool is_wrong = false;
	struct ca_place place;
	int option, status;

	ca_place_begin(&place);
	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, CA_PLACE_LETTERS, options, NULL)) != -1)
		if (option == 'f' ? find_format(optarg, &format) == -1
				  : !ca_place_take(&place, option, optarg))
			is_wrong = true;
	status = is_wrong || optind != argc ? ctl_ca_usage(argc, argv) : export_in(&place, format);
	ca_place_end(&place);
	return status;
}
