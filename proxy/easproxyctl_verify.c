#include "proxy/easproxyctl_verify.h"

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/offline.h"
#include "auth/revocation_reason.h"
#include "config/algorithm.h"
#include "config/model.h"
#include "config/moment.h"
#include "config/oid.h"
#include "proxy/easproxyctl_answer.h"
#include "proxy/easproxyctl_usage.h"

enum { EXIT_ACCEPTED = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, POLICY_MAX = 64 };

struct arguments {
	const char *ca, *crl, *config_path;
	int64_t at;
	bool has_no_crl, is_json, is_verbose;
	char *policies[POLICY_MAX]; /* of argv */
	size_t policy_count;
	bool explicit_policy, inhibit_policy_mapping, inhibit_any_policy;
	char **files; /* the leaf, then its intermediates */
	int file_count;
};

/* RFC 5280 with the purpose clientAuth, and the algorithms that are the daemon's default: for those who
 * have no configuration. */
static const struct config_trust rfc5280 = {
	.security_level = 2,
	.depth = VERDICT_CHAIN_MAX - 1,
	.algorithms = ALGORITHMS_USUAL,
	.is_any_leaf = true,
};

static int usage(int argc, char **argv, const char *fault)
{
	if (!ctl_asks_for_help(argc, argv))
		fprintf(stderr, "easproxyctl verify: %s\n", fault);
	fputs("usage: easproxyctl verify --ca DIR|STORE --crl DIR [OPTION...] LEAF.pem "
	      "[INTERMEDIATE.pem...]\n"
	      "\n"
	      "  --ca DIR|STORE            authorities: a directory of certificates, or a trust "
	      "store\n"
	      "  --crl DIR                 CRLs and delta CRLs\n"
	      "  --no-crl                  do not look at revocation\n"
	      "  --at TIME                 judge as of 2026-11-26T14:30:00Z, or of UNIX seconds\n"
	      "  --policy OID              accept this certificate policy (more than once: any of "
	      "them)\n"
	      "  --explicit-policy         ask for an accepted policy\n"
	      "  --inhibit-policy-mapping  let no authority equate policies\n"
	      "  --inhibit-any-policy      do not take anyPolicy for the accepted ones\n"
	      "  -c FILE                   judge by the trust settings of that easproxy.conf\n"
	      "  --verbose                 say which files were passed over, and why\n"
	      "  --json                    answer as one JSON object\n",
		ctl_usage_stream(argc, argv));
	return ctl_usage_status(argc, argv);
}

enum long_option {
	LONG_CA = 256,
	LONG_CRL,
	LONG_NO_CRL,
	LONG_AT,
	LONG_POLICY,
	LONG_EXPLICIT,
	LONG_INHIBIT_MAPPING,
	LONG_INHIBIT_ANY,
	LONG_VERBOSE,
	LONG_JSON,
};

static const struct option long_options[] = {
	{"ca", required_argument, NULL, LONG_CA},
	{"crl", required_argument, NULL, LONG_CRL},
	{"no-crl", no_argument, NULL, LONG_NO_CRL},
	{"at", required_argument, NULL, LONG_AT},
	{"policy", required_argument, NULL, LONG_POLICY},
	{"explicit-policy", no_argument, NULL, LONG_EXPLICIT},
	{"inhibit-policy-mapping", no_argument, NULL, LONG_INHIBIT_MAPPING},
	{"inhibit-any-policy", no_argument, NULL, LONG_INHIBIT_ANY},
	{"config", required_argument, NULL, 'c'},
	{"verbose", no_argument, NULL, LONG_VERBOSE},
	{"json", no_argument, NULL, LONG_JSON},
	{NULL, 0, NULL, 0},
};

/* As operators write times, as certificates do, or in UNIX seconds. 0, or -1 with err filled. */
static int read_time(const char *text, int64_t *at, struct error *err)
{
	size_t digits = strspn(text, "0123456789");
	char iso[MOMENT_TEXT_SIZE];

	if (digits == 14 && strcmp(text + digits, "Z") == 0) {
		snprintf(iso, sizeof(iso), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", text, text + 4,
			text + 6, text + 8, text + 10, text + 12);
		return moment_read(iso, at, err);
	}
	if (digits > 0 && digits <= 11 && text[digits] == '\0') {
		*at = (int64_t)strtoll(text, NULL, 10);
		return 0;
	}
	return moment_read(text, at, err);
}

/* 0, or -1 with what is wrong. */
static int take_option(struct arguments *arguments, int option, char *value, struct error *err)
{
	struct error cause;

	switch (option) {
	case LONG_CA: arguments->ca = value; return 0;
	case LONG_CRL: arguments->crl = value; return 0;
	case LONG_NO_CRL: arguments->has_no_crl = true; return 0;
	case LONG_AT:
		if (read_time(value, &arguments->at, &cause) == -1)
			return error_set(err, "--at: %s", cause.text);
		return 0;
	case LONG_POLICY:
		if (strcmp(value, "anyPolicy") == 0)
			value = (char *)"2.5.29.32.0";
		if (arguments->policy_count == POLICY_MAX)
			return error_set(err, "more than %d policies", (int)POLICY_MAX);
		if (oid_check(value, &cause) == -1)
			return error_set(err, "--policy: %s", cause.text);
		arguments->policies[arguments->policy_count++] = value;
		return 0;
	case LONG_EXPLICIT: arguments->explicit_policy = true; return 0;
	case LONG_INHIBIT_MAPPING: arguments->inhibit_policy_mapping = true; return 0;
	case LONG_INHIBIT_ANY: arguments->inhibit_any_policy = true; return 0;
	case 'c': arguments->config_path = value; return 0;
	case LONG_VERBOSE: arguments->is_verbose = true; return 0;
	case LONG_JSON: arguments->is_json = true; return 0;
	default: return error_set(err, "an option that there is not, or one without its value");
	}
}

static int take_arguments(struct arguments *arguments, int argc, char **argv, struct error *err)
{
	int option;

	*arguments = (struct arguments){.at = (int64_t)time(NULL)};
	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, "c:", long_options, NULL)) != -1)
		if (take_option(arguments, option, optarg, err) == -1)
			return -1;
	arguments->files = argv + optind;
	arguments->file_count = argc - optind;
	if (arguments->file_count == 0)
		return error_set(err, "which certificate?");
	if (arguments->ca == NULL && arguments->config_path == NULL)
		return error_set(err, "--ca is missing: which authorities are trusted?");
	if (arguments->crl == NULL && !arguments->has_no_crl)
		return error_set(err, "--crl is missing (--no-crl does without)");
	if (arguments->crl != NULL && arguments->has_no_crl)
		return error_set(err, "--crl beside --no-crl");
	return 0;
}

static void print_fault(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "%s\n", text);
}

static void say_nothing(void *context, const char *text)
{
	(void)context;
	(void)text;
}

static int load_files(struct offline *offline, const struct arguments *arguments, const char *ca,
	struct error *err)
{
	if (offline_add_authorities(offline, ca, err) == -1 ||
		offline_set_leaf(offline, arguments->files[0], err) == -1)
		return -1;
	for (int i = 1; i < arguments->file_count; i++)
		if (offline_add_intermediates(offline, arguments->files[i], err) == -1)
			return -1;
	return arguments->crl == NULL ? 0 : offline_add_crls(offline, arguments->crl, err);
}

/* What is said of the result beside its code. */
struct result {
	enum refusal refusal;
	const struct verdict *verdict;
	const struct trust_store *store;
	char reason[1600];
};

static const char *issuer_of(const struct result *result, uint32_t link)
{
	int authority = result->verdict->links[link].authority;

	return authority >= 0 ? result->store->authorities[authority].issuer : "an unknown issuer";
}

static void describe_revocation(struct result *result, const struct verdict_finding *finding)
{
	char serial[41];
	char date[MOMENT_TEXT_SIZE];

	serial_format(&result->verdict->links[finding->link].serial, serial);
	moment_write(finding->revocation.date, date);
	if (result->refusal == REFUSAL_CERTIFICATE_REVOKED)
		snprintf(result->reason, sizeof(result->reason),
			"serial %s of %s at depth %u was revoked on %s: %s", serial,
			issuer_of(result, finding->link), finding->link, date,
			revocation_reason_name(finding->revocation.reason));
	else
		snprintf(result->reason, sizeof(result->reason), "serial %s of %s at depth %u",
			serial, issuer_of(result, finding->link), finding->link);
}

static void describe_times(struct result *result)
{
	char from[MOMENT_TEXT_SIZE];
	char to[MOMENT_TEXT_SIZE];

	moment_write(result->verdict->not_before, from);
	moment_write(result->verdict->not_after, to);
	snprintf(result->reason, sizeof(result->reason), "the chain is valid from %s to %s", from,
		to);
}

static void describe(struct result *result, const struct verdict_finding *finding)
{
	result->reason[0] = '\0';
	if (result->verdict->refusal != REFUSAL_NONE)
		snprintf(result->reason, sizeof(result->reason), "%s", result->verdict->reason);
	else if (result->refusal == REFUSAL_CERTIFICATE_EXPIRED ||
		 result->refusal == REFUSAL_CERTIFICATE_NOT_YET_VALID)
		describe_times(result);
	else if (result->refusal != REFUSAL_NONE)
		describe_revocation(result, finding);
}

static void print_text(const struct result *result)
{
	const struct verdict *verdict = result->verdict;
	char serial[41];

	if (result->refusal == REFUSAL_NONE)
		puts("accepted");
	else
		printf("refused: %s: %s\n", refusal_row(result->refusal)->name, result->reason);
	printf("  %s\n", verdict->subject);
	for (uint32_t i = 0; i < verdict->link_count; i++) {
		serial_format(&verdict->links[i].serial, serial);
		printf("    serial %s, issued by %s\n", serial, issuer_of(result, i));
	}
}

static json_t *chain_to_json(const struct result *result)
{
	json_t *chain = json_array();
	char serial[41];

	for (uint32_t i = 0; i < result->verdict->link_count; i++) {
		serial_format(&result->verdict->links[i].serial, serial);
		json_array_append_new(chain,
			json_pack("{s:s, s:s}", "serial", serial, "issuer", issuer_of(result, i)));
	}
	return chain;
}

static void print_json(const struct result *result, int64_t at)
{
	bool is_good = result->refusal == REFUSAL_NONE;
	char when[MOMENT_TEXT_SIZE];
	json_t *root;

	moment_write(at, when);
	root = json_pack("{s:b, s:s, s:s, s:s, s:s, s:o}", "accepted", is_good, "refusal",
		is_good ? "" : refusal_row(result->refusal)->name, "reason", result->reason, "at",
		when, "subject", result->verdict->subject, "chain", chain_to_json(result));
	answer_print(root, JSON_INDENT(2));
	json_decref(root);
}

static int verify(const struct arguments *arguments, const struct config_trust *trust)
{
	struct offline *offline;
	struct verdict_finding finding;
	struct verdict verdict;
	struct result result;
	struct error err = {""};
	int status = EXIT_USAGE;

	offline = offline_new(arguments->is_verbose ? print_fault : say_nothing, NULL, &err);
	if (offline == NULL)
		goto fail;
	if (load_files(offline, arguments,
		    arguments->ca != NULL ? arguments->ca : trust->store.path, &err) == -1)
		goto fail;
	result.refusal = offline_judge(
		offline, trust, arguments->at, !arguments->has_no_crl, &verdict, &finding, &err);
	if (result.refusal == REFUSAL_INTERNAL)
		goto fail;
	result.verdict = &verdict;
	result.store = offline_store(offline);
	describe(&result, &finding);
	if (arguments->is_json)
		print_json(&result, arguments->at);
	else
		print_text(&result);
	status = result.refusal == REFUSAL_NONE ? EXIT_ACCEPTED : EXIT_REFUSED;
	goto out;
fail:
	fprintf(stderr, "easproxyctl verify: %s\n", err.text);
out:
	offline_free(offline);
	return status;
}

/* The command line adds to a configuration, and takes nothing from it. */
static struct config_trust merge(
	const struct config_trust *config, const struct arguments *arguments)
{
	struct config_trust trust = *config;

	if (arguments->policy_count > 0) {
		trust.policies = (char **)arguments->policies;
		trust.policy_count = arguments->policy_count;
	}
	trust.explicit_policy |= arguments->explicit_policy;
	trust.inhibit_policy_mapping |= arguments->inhibit_policy_mapping;
	trust.inhibit_any_policy |= arguments->inhibit_any_policy;
	return trust;
}

int ctl_verify(int argc, char **argv)
{
	struct arguments arguments;
	struct config *config = NULL;
	struct config_trust trust;
	struct error err;
	int status;

	if (take_arguments(&arguments, argc, argv, &err) == -1)
		return usage(argc, argv, err.text);
	if (arguments.config_path != NULL) {
		config = config_load(
			arguments.config_path, trust_store_config_check, print_fault, NULL);
		if (config == NULL)
			return EXIT_USAGE;
	}
	trust = merge(config != NULL ? &config->trust : &rfc5280, &arguments);
	status = verify(&arguments, &trust);
	config_free(config);
	return status;
}
