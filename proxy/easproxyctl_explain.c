#include "proxy/easproxyctl_explain.h"

#include <getopt.h>
#include <jansson.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/openssl_error.h"
#include "proxy/easproxyctl_client.h"

enum { CERTIFICATES_MAX = 11, MOMENT_SIZE = 32, MARGIN = 13 };

/* What is to be explained */

static int add_certificate(json_t *chain, X509 *certificate)
{
	unsigned char *der = NULL;
	int len = i2d_X509(certificate, &der);
	char *text = len > 0 ? malloc((size_t)len / 3 * 4 + 5) : NULL;
	int result = -1;

	if (text != NULL) {
		EVP_EncodeBlock((unsigned char *)text, der, len);
		result = json_array_append_new(chain, json_string(text));
	}
	free(text);
	OPENSSL_free(der);
	return result;
}

/* All certificates of a PEM file, or the one of a DER file, the phone's first. */
static json_t *read_chain(const char *path, struct error *err)
{
	BIO *in = BIO_new_file(path, "rb");
	json_t *chain = json_array();
	X509 *certificate;
	int result = 0;

	if (in == NULL) {
		error_openssl(err, "%s", path);
		json_decref(chain);
		return NULL;
	}
	while (result == 0 && json_array_size(chain) < CERTIFICATES_MAX &&
		(certificate = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
		result = add_certificate(chain, certificate);
		X509_free(certificate);
	}
	if (json_array_size(chain) == 0 && BIO_reset(in) == 0 &&
		(certificate = d2i_X509_bio(in, NULL)) != NULL) {
		result = add_certificate(chain, certificate);
		X509_free(certificate);
	}
	BIO_free(in);
	ERR_clear_error();
	if (result == 0 && json_array_size(chain) > 0)
		return chain;
	json_decref(chain);
	error_set(err, "%s: no certificate in PEM or DER", path);
	return NULL;
}

/* How it is shown */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text == NULL ? "" : text;
}

static long long number_of(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static const char *moment_of(const json_t *object, const char *key, char text[MOMENT_SIZE])
{
	time_t when = (time_t)number_of(object, key);
	struct tm utc;

	if (!json_is_integer(json_object_get(object, key)) || gmtime_r(&when, &utc) == NULL)
		snprintf(text, MOMENT_SIZE, "unknown");
	else
		strftime(text, MOMENT_SIZE, "%Y-%m-%d %H:%M:%SZ", &utc);
	return text;
}

/* Hex, without the zeros in front. */
static const char *number_text(const json_t *object, const char *key)
{
	const char *text = text_of(object, key);

	while (text[0] == '0' && text[1] != '\0')
		text++;
	return text[0] == '\0' ? "none" : text;
}

static bool is_refused(const json_t *object)
{
	return strcmp(text_of(object, "refusal"), "none") != 0;
}

static void print_crl(const json_t *crl)
{
	char effective[MOMENT_SIZE], next[MOMENT_SIZE];

	printf("%*sCRL %s\n", MARGIN, "", text_of(crl, "url"));
	if (!json_is_integer(json_object_get(crl, "effective"))) {
		printf("%*s  not loaded: never fetched, or never a good one\n", MARGIN, "");
		return;
	}
	printf("%*s  number 0x%s", MARGIN, "", number_text(crl, "number"));
	if (json_object_get(crl, "delta_number") != NULL)
		printf(" of %s with delta 0x%s", moment_of(crl, "base_effective", effective),
			number_text(crl, "delta_number"));
	printf(", effective %s, next update %s, %lld revoked\n",
		moment_of(crl, "effective", effective), moment_of(crl, "next_update", next),
		number_of(crl, "entries"));
}

static void print_revocation(const json_t *revocation)
{
	char moment[MOMENT_SIZE];
	const json_t *crl;
	size_t i;

	json_array_foreach(json_object_get(revocation, "crls"), i, crl) print_crl(crl);
	if (json_object_get(revocation, "unchecked") != NULL)
		printf("%*srevocation is not looked up: %s\n", MARGIN, "",
			text_of(revocation, "unchecked"));
	else if (json_object_get(revocation, "revoked_at") != NULL)
		printf("%*sREVOKED %s, CRLReason %lld, on %s\n", MARGIN, "",
			moment_of(revocation, "revoked_at", moment),
			number_of(revocation, "reason"), text_of(revocation, "found_in"));
	else if (is_refused(revocation))
		printf("%*srevocation: %s\n", MARGIN, "", text_of(revocation, "refusal"));
	else
		printf("%*snot revoked\n", MARGIN, "");
	if (number_of(revocation, "invalid_since") != 0)
		printf("%*sinvalid since %s\n", MARGIN, "",
			moment_of(revocation, "invalid_since", moment));
}

static void print_certificate(const json_t *certificate, size_t place, size_t count)
{
	const json_t *revocation = json_object_get(certificate, "revocation");
	const char *what = place == 0 ? "certificate" : place + 1 < count ? "issued by" : "root";
	char from[MOMENT_SIZE], to[MOMENT_SIZE];

	printf("%-*s%s\n", MARGIN, what, text_of(certificate, "subject"));
	printf("%*sserial %s, %s, signed with %s\n", MARGIN, "", text_of(certificate, "serial"),
		text_of(certificate, "key"), text_of(certificate, "signature"));
	printf("%*svalid from %s to %s\n", MARGIN, "", moment_of(certificate, "not_before", from),
		moment_of(certificate, "not_after", to));
	if (revocation != NULL)
		print_revocation(revocation);
}

static void print_ocsp(const json_t *ocsp)
{
	const char *url = text_of(ocsp, "url");
	char from[MOMENT_SIZE], to[MOMENT_SIZE];

	printf("%-*s%s, %s: %s", MARGIN, "OCSP", text_of(ocsp, "mode"),
		url[0] != '\0' ? url : "no responder is known", text_of(ocsp, "status"));
	if (json_object_get(ocsp, "effective") != NULL)
		printf(", effective %s, next update %s%s", moment_of(ocsp, "effective", from),
			moment_of(ocsp, "next_update", to),
			json_is_true(json_object_get(ocsp, "counts"))
				? ""
				: ", too old, or by a signer that is revoked");
	putchar('\n');
	if (json_object_get(ocsp, "revoked_at") != NULL)
		printf("%*sREVOKED %s, CRLReason %lld\n", MARGIN, "",
			moment_of(ocsp, "revoked_at", from), number_of(ocsp, "reason"));
	else if (is_refused(ocsp))
		printf("%*sa good answer is asked for: %s\n", MARGIN, "", text_of(ocsp, "refusal"));
}

static void print_path(const json_t *answer)
{
	const json_t *path = json_object_get(answer, "path");
	const json_t *chain = json_object_get(answer, "chain");
	const json_t *ocsp = json_object_get(answer, "ocsp");
	const json_t *certificate;
	size_t i;

	json_array_foreach(chain, i, certificate)
		print_certificate(certificate, i, json_array_size(chain));
	if (is_refused(path))
		printf("%-*sdoes not hold: %s (%s)\n", MARGIN, "path", text_of(path, "refusal"),
			text_of(path, "reason"));
	else
		printf("%-*sholds, with %zu certificates\n", MARGIN, "path",
			json_array_size(chain));
	if (ocsp != NULL)
		print_ocsp(ocsp);
}

static void print_names(const json_t *answer)
{
	const json_t *names = json_object_get(answer, "names");
	const json_t *mailbox = json_object_get(answer, "mailbox");
	const json_t *name;
	const char *title = "names";
	size_t i;

	json_array_foreach(json_object_get(names, "values"), i, name)
	{
		printf("%-*s%s %s\n", MARGIN, title, text_of(name, "kind"), text_of(name, "value"));
		title = "";
	}
	if (is_refused(names))
		printf("%-*s%s\n", MARGIN, title, text_of(names, "refusal"));
	else if (title[0] != '\0')
		printf("%-*snone\n", MARGIN, title);
	if (mailbox == NULL)
		return;
	printf("%-*s%s", MARGIN, "mailbox",
		is_refused(mailbox) ? text_of(mailbox, "refusal") : text_of(mailbox, "mailbox"));
	if (text_of(mailbox, "reason")[0] != '\0')
		printf(" (%s)", text_of(mailbox, "reason"));
	putchar('\n');
}

static void print_user(const json_t *answer)
{
	const json_t *user = json_object_get(answer, "user");
	const json_t *rules = json_object_get(answer, "rules");
	const json_t *device = json_object_get(answer, "device");
	char from[MOMENT_SIZE], effective[MOMENT_SIZE];

	if (number_of(rules, "count") > 0)
		printf("%-*s%s\n", MARGIN, "rules",
			json_is_true(json_object_get(rules, "allowed"))
				? "let the authority vouch for this mailbox"
				: "do not let the authority vouch for this mailbox");
	if (user != NULL && !json_is_true(json_object_get(user, "revoked")))
		printf("%-*s%s\n", MARGIN, "user",
			text_of(user, "error")[0] != '\0' ? text_of(user, "error") : "not revoked");
	else if (user != NULL)
		printf("%-*srevoked, valid from %s; effective date of the CRL %s: %s\n", MARGIN,
			"user", moment_of(user, "valid_from", from),
			moment_of(user, "effective", effective),
			json_is_true(json_object_get(user, "is_out")) ? "still out"
								      : "the CRL decides");
	if (device != NULL)
		printf("%-*s%s: %s\n", MARGIN, "device", text_of(device, "id"),
			json_is_true(json_object_get(device, "well_formed"))
				? "nothing is kept of devices, so it changes nothing"
				: "no DeviceId of MS-ASHTTP (1 to 32 letters and digits)");
}

static void print_verdict(const json_t *answer)
{
	if (!is_refused(answer)) {
		printf("\nit would come in\n");
		return;
	}
	printf("\nREFUSED: %s\n", text_of(answer, "refusal"));
	printf("%-*s%s\n", MARGIN, "cause", text_of(answer, "cause"));
	printf("%-*s%s\n", MARGIN, "what to do", text_of(answer, "remedy"));
	if (text_of(answer, "aadsts")[0] != '\0')
		printf("%-*s%s\n", MARGIN, "in Entra", text_of(answer, "aadsts"));
}

static int show(json_t *answer, bool wants_json)
{
	int status = is_refused(answer) ? 1 : 0;

	if (wants_json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_path(answer);
		print_names(answer);
		print_user(answer);
		print_verdict(answer);
	}
	json_decref(answer);
	return status;
}

int ctl_explain(int argc, char **argv)
{
	static const struct option options[] = {{"socket", required_argument, NULL, 's'},
		{"device", required_argument, NULL, 'd'}, {"json", no_argument, NULL, 'j'},
		{NULL, 0, NULL, 0}};
	const char *socket = CTL_DEFAULT_SOCKET, *device = NULL;
	bool wants_json = false;
	json_t *chain, *request, *answer;
	struct error err;
	int option;

	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, "s:", options, NULL)) != -1) {
		if (option == 's')
			socket = optarg;
		else if (option == 'd')
			device = optarg;
		else if (option == 'j')
			wants_json = true;
		else
			break;
	}
	if (option != -1 || optind + 1 != argc) {
		fputs("usage: easproxyctl explain [-s SOCKET] [--device ID] [--json] CERT\n",
			stderr);
		return 2;
	}
	chain = read_chain(argv[optind], &err);
	if (chain == NULL) {
		fprintf(stderr, "easproxyctl: %s\n", err.text);
		return 1;
	}
	request = json_pack("{s:s,s:o}", "request", "explain", "chain", chain);
	if (device != NULL)
		json_object_set_new(request, "device", json_string(device));
	answer = ctl_request(socket, request, &err);
	if (answer == NULL) {
		fprintf(stderr, "easproxyctl: %s\n", err.text);
		return 1;
	}
	return show(answer, wants_json);
}
