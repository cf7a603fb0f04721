/* easproxyctl profile: makes one, after a look at all that goes into it. */
#include <getopt.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "auth/address.h"
#include "auth/offline_files.h"
#include "auth/trust_store.h"
#include "proxy/easproxyctl_profile.h"
#include "proxy/easproxyctl_usage.h"
#include "proxy/profile_pkcs12.h"
#include "proxy/profile_write.h"

enum { AUTHORITY_COUNT_MAX = 8, PROFILE_MAX = 4 * 1024 * 1024 };

struct arguments {
	const char *config_path, *mailbox, *p12, *password_file, *host, *organization, *crl, *out;
	const char *sign, *sign_key, *alias, *device_id;
	const char *authorities[AUTHORITY_COUNT_MAX];
	size_t authority_count;
	bool includes_password, is_android, is_forced;
};

/* What was read and made on the way. */
struct making {
	const struct arguments *arguments;
	struct config *config;
	struct profile_tally tally;
	struct profile_judge judge;
	uint8_t *p12;
	size_t p12_len;
	char *password;
	struct profile_pkcs12 pkcs12;
	unsigned char *authority_der[AUTHORITY_COUNT_MAX];
	struct span authorities[AUTHORITY_COUNT_MAX]; /* of that */
	bool authority_is_root[AUTHORITY_COUNT_MAX];
	char host[320];
};

enum long_option {
	LONG_MAILBOX = 256,
	LONG_P12,
	LONG_PASSWORD_FILE,
	LONG_INCLUDE_PASSWORD,
	LONG_HOST,
	LONG_CA,
	LONG_ORGANIZATION,
	LONG_SIGN,
	LONG_SIGN_KEY,
	LONG_CRL,
	LONG_ANDROID,
	LONG_ALIAS,
	LONG_DEVICE_ID,
	LONG_FORCE,
};

static const struct option long_options[] = {
	{"mailbox", required_argument, NULL, LONG_MAILBOX},
	{"p12", required_argument, NULL, LONG_P12},
	{"password-file", required_argument, NULL, LONG_PASSWORD_FILE},
	{"include-password", no_argument, NULL, LONG_INCLUDE_PASSWORD},
	{"host", required_argument, NULL, LONG_HOST},
	{"ca", required_argument, NULL, LONG_CA},
	{"organization", required_argument, NULL, LONG_ORGANIZATION},
	{"sign", required_argument, NULL, LONG_SIGN},
	{"sign-key", required_argument, NULL, LONG_SIGN_KEY},
	{"crl", required_argument, NULL, LONG_CRL},
	{"android", no_argument, NULL, LONG_ANDROID},
	{"alias", required_argument, NULL, LONG_ALIAS},
	{"device-id", required_argument, NULL, LONG_DEVICE_ID},
	{"force", no_argument, NULL, LONG_FORCE},
	{"config", required_argument, NULL, 'c'},
	{"output", required_argument, NULL, 'o'},
	{NULL, 0, NULL, 0},
};

static int usage(int argc, char **argv, const char *fault)
{
	if (!ctl_asks_for_help(argc, argv))
		fprintf(stderr, "easproxyctl profile: %s\n", fault);
	fputs("usage: easproxyctl profile --mailbox A --p12 FILE -o FILE.mobileconfig [OPTION...]\n"
	      "       easproxyctl profile --mailbox A --android [-o FILE.json] [OPTION...]\n"
	      "       easproxyctl profile lint FILE [OPTION...]\n"
	      "\n"
	      "  --mailbox A           whose mailbox it is\n"
	      "  --p12 FILE            certificate and key for the phone (PKCS#12)\n"
	      "  --password-file FILE  its password, the first line; -: standard input; without "
	      "it, "
	      "the\n"
	      "                        terminal is asked\n"
	      "  --include-password    put the password into the profile, so that phones do not "
	      "ask\n"
	      "  --host HOST[:PORT]    where phones find easproxyd (autodiscover/url)\n"
	      "  --ca FILE             an authority that phones are to trust (up to 8 times)\n"
	      "  --organization TEXT   who gives out the profile\n"
	      "  --sign CERT           sign it with this certificate (PEM, with its chain)\n"
	      "  --sign-key KEY        and its key (PEM, without a passphrase)\n"
	      "  --crl DIR             look at revocation with the CRLs in DIR\n"
	      "  --android             managed configurations for Android instead\n"
	      "  --alias TEXT          for --android: what the key is called on the phone\n"
	      "  --device-id ID        for --android: the device id that Gmail is to use\n"
	      "  --force               write it in spite of problems\n"
	      "  -c FILE               the configuration (" EASPROXY_CONFIG ")\n"
	      "  -o FILE               where it is written; -: standard output\n",
		ctl_usage_stream(argc, argv));
	return ctl_usage_status(argc, argv);
}

static int take_option(
	struct arguments *arguments, int option, const char *value, struct error *err)
{
	switch (option) {
	case LONG_MAILBOX: arguments->mailbox = value; return 0;
	case LONG_P12: arguments->p12 = value; return 0;
	case LONG_PASSWORD_FILE: arguments->password_file = value; return 0;
	case LONG_INCLUDE_PASSWORD: arguments->includes_password = true; return 0;
	case LONG_HOST: arguments->host = value; return 0;
	case LONG_CA:
		if (arguments->authority_count == AUTHORITY_COUNT_MAX)
			return error_set(err, "more than %d authorities", (int)AUTHORITY_COUNT_MAX);
		arguments->authorities[arguments->authority_count++] = value;
		return 0;
	case LONG_ORGANIZATION: arguments->organization = value; return 0;
	case LONG_SIGN: arguments->sign = value; return 0;
	case LONG_SIGN_KEY: arguments->sign_key = value; return 0;
	case LONG_CRL: arguments->crl = value; return 0;
	case LONG_ANDROID: arguments->is_android = true; return 0;
	case LONG_ALIAS: arguments->alias = value; return 0;
	case LONG_DEVICE_ID: arguments->device_id = value; return 0;
	case LONG_FORCE: arguments->is_forced = true; return 0;
	case 'c': arguments->config_path = value; return 0;
	case 'o': arguments->out = value; return 0;
	default: return error_set(err, "an option that there is not, or one without its value");
	}
}

static int take_arguments(struct arguments *arguments, int argc, char **argv, struct error *err)
{
	int option;

	*arguments = (struct arguments){.config_path = EASPROXY_CONFIG};
	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, "c:o:", long_options, NULL)) != -1)
		if (take_option(arguments, option, optarg, err) == -1)
			return -1;
	if (optind != argc)
		return error_set(err, "\"%s\" is too much", argv[optind]);
	if (arguments->mailbox == NULL)
		return error_set(err, "--mailbox is missing");
	if (arguments->p12 == NULL && !arguments->is_android)
		return error_set(err, "--p12 is missing");
	if (arguments->out == NULL && !arguments->is_android)
		return error_set(err, "-o is missing: where is it to be written?");
	if ((arguments->sign == NULL) != (arguments->sign_key == NULL))
		return error_set(err, "--sign and --sign-key go together");
	return 0;
}

static void print_fault(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "%s\n", text);
}

/* From autodiscover/url, or as it was given: a name or address, and a port. */
static int choose_host(struct making *making, struct error *err)
{
	static const char scheme[] = "https://";
	const char *url = making->config->autodiscover.url;
	const char *host = making->arguments->host;

	if (host == NULL && url[0] != '\0')
		host = url + sizeof(scheme) - 1;
	if (host == NULL)
		return error_set(err,
			"--host is missing, and the configuration does not say it either "
			"(autodiscover/url)");
	if (strlen(host) >= sizeof(making->host) || host[0] == '\0' ||
		strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:") !=
			strlen(host))
		return error_set(err, "\"%s\" is no host", host);
	snprintf(making->host, sizeof(making->host), "%s", host);
	if (url[0] != '\0' && strcasecmp(host, url + sizeof(scheme) - 1) != 0)
		profile_tell(&making->judge.report, PROFILE_WARNING,
			"the host is %s, and autodiscover/url in the configuration leads to %s",
			host, url + sizeof(scheme) - 1);
	return 0;
}

static int read_authorities(struct making *making, struct error *err)
{
	for (size_t i = 0; i < making->arguments->authority_count; i++) {
		const char *path = making->arguments->authorities[i];
		X509 *certificate = NULL;
		uint8_t *data = NULL;
		size_t len = 0;
		int der_len;

		if (offline_load(path, PROFILE_PKCS12_MAX, &data, &len, err) == -1)
			return -1;
		if (profile_judge_authority(
			    &making->judge, span_of(data, len), path, &certificate) != 0) {
			free(data);
			return error_set(err, "%s is no certificate", path);
		}
		free(data);
		der_len = i2d_X509(certificate, &making->authority_der[i]);
		making->authority_is_root[i] = X509_self_signed(certificate, 1) == 1;
		making->authorities[i] =
			span_of(making->authority_der[i], der_len > 0 ? (size_t)der_len : 0);
		X509_free(certificate);
		if (der_len <= 0)
			return error_set(err, "%s: out of memory", path);
	}
	return 0;
}

static int read_p12(struct making *making, struct error *err)
{
	const struct arguments *arguments = making->arguments;
	struct error cause;

	if (offline_load(arguments->p12, PROFILE_PKCS12_MAX, &making->p12, &making->p12_len, err) ==
		-1)
		return -1;
	making->password = profile_password(arguments->password_file, arguments->p12, err);
	if (making->password == NULL)
		return -1;
	if (profile_pkcs12_read(span_of(making->p12, making->p12_len), making->password,
		    &making->pkcs12, &cause) != 0)
		return error_set(err, "reading %s: %s", arguments->p12, cause.text);
	profile_pkcs12_judge(&making->pkcs12, &making->judge.report);
	profile_judge_identity(
		&making->judge, making->pkcs12.leaf, making->pkcs12.chain, arguments->mailbox);
	if (arguments->includes_password)
		profile_tell(&making->judge.report, PROFILE_WARNING,
			"the password will stand in the profile: whoever gets the file has the "
			"key");
	return 0;
}

static int write_profile(struct making *making, struct error *err)
{
	const struct arguments *arguments = making->arguments;
	const struct profile_content content = {.mailbox = arguments->mailbox,
		.host = making->host,
		.organization = arguments->organization,
		.pkcs12 = span_of(making->p12, making->p12_len),
		.password = arguments->includes_password ? making->password : NULL,
		.authority_count = arguments->authority_count,
		.authorities = making->authorities,
		.authority_is_root = making->authority_is_root};
	struct wbxml_buffer document = {.limit = PROFILE_MAX};
	uint8_t *der = NULL;
	size_t len = 0;
	int status = profile_write(&content, &document, err);

	if (status == 0 && arguments->sign != NULL)
		status = profile_sign(span_of(document.data, document.len), arguments->sign,
			arguments->sign_key, making->judge.now, &making->judge.report, &der, &len,
			err);
	if (status == 0)
		status = profile_save(arguments->out,
			der != NULL ? span_of(der, len) : span_of(document.data, document.len),
			err);
	OPENSSL_free(der);
	if (document.data != NULL)
		OPENSSL_cleanse(document.data, document.len);
	wbxml_buffer_free(&document);
	return status;
}

static int write_android(struct making *making, struct error *err)
{
	const struct arguments *arguments = making->arguments;

	return profile_android(
		&(struct profile_android){.mailbox = arguments->mailbox,
			.host = making->host,
			.alias = arguments->alias != NULL ? arguments->alias : arguments->mailbox,
			.device_id = arguments->device_id,
			.organization = arguments->organization},
		arguments->out != NULL ? arguments->out : "-", err);
}

static int make(struct making *making, struct error *err)
{
	if (!address_is_sound(span_of_string(making->arguments->mailbox), ADDRESS_UTF8))
		return error_set(err, "\"%s\" is no address", making->arguments->mailbox);
	if (choose_host(making, err) != 0 || read_authorities(making, err) != 0 ||
		(making->arguments->p12 != NULL && read_p12(making, err) != 0))
		return -1;
	if (making->tally.problems > 0 && !making->arguments->is_forced)
		return 0;
	return making->arguments->is_android ? write_android(making, err)
					     : write_profile(making, err);
}

static int end(struct making *making, int status, const struct error *err)
{
	bool is_forced = making->arguments->is_forced;

	profile_pkcs12_clear(&making->pkcs12);
	profile_password_free(making->password);
	if (making->p12 != NULL)
		OPENSSL_cleanse(making->p12, making->p12_len);
	free(making->p12);
	for (size_t i = 0; i < AUTHORITY_COUNT_MAX; i++)
		OPENSSL_free(making->authority_der[i]);
	config_free(making->config);
	if (status != 0) {
		fprintf(stderr, "easproxyctl profile: %s\n", err->text);
		return PROFILE_EXIT_USAGE;
	}
	if (making->tally.problems == 0)
		return PROFILE_EXIT_DONE;
	fprintf(stderr, "easproxyctl profile: %u problem%s; %s\n", making->tally.problems,
		making->tally.problems == 1 ? "" : "s",
		is_forced ? "written all the same" : "nothing was written (--force does)");
	return is_forced ? PROFILE_EXIT_DONE : PROFILE_EXIT_PROBLEMS;
}

int ctl_profile_make(int argc, char **argv)
{
	struct arguments arguments;
	struct making making = {.arguments = &arguments, .tally = {.stream = stderr}};
	struct error err;

	if (take_arguments(&arguments, argc, argv, &err) == -1)
		return usage(argc, argv, err.text);
	making.config =
		config_load(arguments.config_path, trust_store_config_check, print_fault, NULL);
	if (making.config == NULL)
		return PROFILE_EXIT_USAGE;
	making.judge = (struct profile_judge){.config = making.config,
		.crl = arguments.crl,
		.now = (int64_t)time(NULL),
		.report = profile_tally_report(&making.tally)};
	return end(&making, make(&making, &err), &err);
}
