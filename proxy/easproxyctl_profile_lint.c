/* easproxyctl profile lint: looks at a profile that there is. */
#include <getopt.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/offline_files.h"
#include "auth/trust_store.h"
#include "proxy/easproxyctl_profile.h"
#include "proxy/easproxyctl_usage.h"
#include "proxy/plist.h"
#include "proxy/profile_lint.h"
#include "proxy/profile_pkcs12.h"

struct arguments {
	const char *config_path, *password_file, *crl, *path;
};

struct linting {
	const struct arguments *arguments;
	struct profile_judge judge;
	char *password; /* of the PKCS#12 files that have none in the profile; asked for once */
};

static const char usage_text[] =
	"profile lint FILE [-c FILE] [--password-file FILE] [--crl DIR]\n"
	"\n"
	"  -c FILE               judge certificates by this configuration\n"
	"  --password-file FILE  the password of the PKCS#12 file in it, the first line; -: "
	"standard\n"
	"                        input; without it, the terminal is asked\n"
	"  --crl DIR             look at revocation with the CRLs in DIR";

static int take_arguments(struct arguments *arguments, int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
		{"password-file", required_argument, NULL, 'p'},
		{"crl", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};
	int option;

	*arguments = (struct arguments){.path = NULL};
	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		switch (option) {
		case 'c': arguments->config_path = optarg; break;
		case 'p': arguments->password_file = optarg; break;
		case 'r': arguments->crl = optarg; break;
		default: return -1;
		}
	}
	if (optind + 1 != argc)
		return -1;
	arguments->path = argv[optind];
	return 0;
}

static void print_fault(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "%s\n", text);
}

static void look_at_identity(
	void *context, struct span content, const char *password, const char *address)
{
	struct linting *linting = context;
	struct profile_pkcs12 pkcs12;
	struct error err = {""};

	if (password == NULL && linting->password == NULL)
		linting->password = profile_password(
			linting->arguments->password_file, "the PKCS#12 file in the profile", &err);
	if (password == NULL)
		password = linting->password;
	if (password == NULL) {
		profile_tell(&linting->judge.report, PROFILE_NOTE,
			"the certificate was not looked at: %s", err.text);
		return;
	}
	if (profile_pkcs12_read(content, password, &pkcs12, &err) != 0) {
		profile_tell(
			&linting->judge.report, PROFILE_PROBLEM, "the PKCS#12 file: %s", err.text);
		return;
	}
	profile_pkcs12_judge(&pkcs12, &linting->judge.report);
	profile_judge_identity(&linting->judge, pkcs12.leaf, pkcs12.chain, address);
	profile_pkcs12_clear(&pkcs12);
}

static void look_at_authority(void *context, struct span content)
{
	struct linting *linting = context;
	X509 *certificate;

	if (profile_judge_authority(
		    &linting->judge, content, "an authority in the profile", &certificate) == 0)
		X509_free(certificate);
}

/* A DER SEQUENCE is a signed one; XML never begins so. */
static int look_at_file(struct linting *linting, struct span content, struct error *err)
{
	const struct config *config = linting->judge.config;
	const struct profile_lint lint = {.report = linting->judge.report,
		.host = config != NULL && config->autodiscover.url[0] != '\0'
				? config->autodiscover.url + strlen("https://")
				: NULL,
		.identity = look_at_identity,
		.authority = look_at_authority,
		.context = linting};
	uint8_t *inner = NULL;
	size_t len = 0;
	int status;

	if (content.len == 0 || content.data[0] != 0x30)
		return profile_lint(content, &lint, err);
	if (profile_unsign(
		    content, linting->judge.now, &linting->judge.report, &inner, &len, err) != 0)
		return -1;
	status = profile_lint(span_of(inner, len), &lint, err);
	OPENSSL_clear_free(inner, len);
	return status;
}

static int finish(const struct arguments *arguments, const struct profile_tally *tally)
{
	if (tally->problems > 0) {
		printf("%s: %u problem%s, %u warning%s\n", arguments->path, tally->problems,
			tally->problems == 1 ? "" : "s", tally->warnings,
			tally->warnings == 1 ? "" : "s");
		return PROFILE_EXIT_PROBLEMS;
	}
	printf("%s: good, with %u warning%s\n", arguments->path, tally->warnings,
		tally->warnings == 1 ? "" : "s");
	return PROFILE_EXIT_DONE;
}

int ctl_profile_lint(int argc, char **argv)
{
	struct arguments arguments;
	struct profile_tally tally = {.stream = stdout};
	struct linting linting = {.arguments = &arguments};
	struct config *config = NULL;
	struct error err;
	uint8_t *data = NULL;
	size_t len = 0;
	int status;

	if (take_arguments(&arguments, argc, argv) != 0)
		return ctl_usage(argc, argv, usage_text);
	if (arguments.config_path != NULL) {
		config = config_load(
			arguments.config_path, trust_store_config_check, print_fault, NULL);
		if (config == NULL)
			return PROFILE_EXIT_USAGE;
	}
	linting.judge = (struct profile_judge){.config = config,
		.crl = arguments.crl,
		.now = (int64_t)time(NULL),
		.report = profile_tally_report(&tally)};
	status = offline_load(arguments.path, PLIST_SIZE_MAX, &data, &len, &err);
	if (status == 0)
		status = look_at_file(&linting, span_of(data, len), &err);
	profile_password_free(linting.password);
	if (data != NULL)
		OPENSSL_cleanse(data, len);
	free(data);
	config_free(config);
	if (status == 0)
		return finish(&arguments, &tally);
	fprintf(stderr, "easproxyctl profile lint: %s: %s\n", arguments.path, err.text);
	return PROFILE_EXIT_USAGE;
}
