#include "proxy/easproxyctl_explain.h"

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "auth/revocation_reason.h"
#include "proxy/easproxyctl_answer.h"
#include "proxy/easproxyctl_client.h"
#include "proxy/easproxyctl_explain_find.h"
#include "proxy/easproxyctl_usage.h"

enum { EXIT_IN = 0, EXIT_REFUSED = 1, EXIT_UNKNOWN = 2, MARGIN = 13 };

static const char *moment_of(const json_t *object, const char *key, char text[MOMENT_TEXT_SIZE])
{
	if (!json_is_integer(json_object_get(object, key)))
		return "unknown";
	moment_write(answer_number(object, key), text);
	return text;
}

static bool is_refused(const json_t *object)
{
	return strcmp(answer_text(object, "refusal"), "none") != 0;
}

static void print_crl(const json_t *crl)
{
	char number[ANSWER_CRL_NUMBER_SIZE];
	char effective[MOMENT_TEXT_SIZE], next[MOMENT_TEXT_SIZE];

	printf("%*sCRL %s\n", MARGIN, "", answer_text(crl, "url"));
	if (!json_is_integer(json_object_get(crl, "effective"))) {
		printf("%*s  not loaded: never fetched, or never a good one\n", MARGIN, "");
		return;
	}
	printf("%*s  number %s", MARGIN, "", answer_crl_number(crl, "crl_number", number));
	if (json_object_get(crl, "delta_number") != NULL)
		printf(" of %s with delta %s", moment_of(crl, "base_effective", effective),
			answer_crl_number(crl, "delta_number", number));
	printf(", effective %s, next update %s, %lld revoked\n",
		moment_of(crl, "effective", effective), moment_of(crl, "next_update", next),
		answer_number(crl, "entries"));
}

static void print_revocation(const json_t *revocation)
{
	char moment[MOMENT_TEXT_SIZE];
	const json_t *crl;
	size_t i;

	json_array_foreach(json_object_get(revocation, "crls"), i, crl) print_crl(crl);
	if (json_object_get(revocation, "unchecked") != NULL)
		printf("%*srevocation is not looked up: %s\n", MARGIN, "",
			answer_text(revocation, "unchecked"));
	else if (json_object_get(revocation, "revoked_at") != NULL)
		printf("%*sREVOKED %s, %s, on %s\n", MARGIN, "",
			moment_of(revocation, "revoked_at", moment),
			revocation_reason_name((unsigned int)answer_number(revocation, "reason")),
			answer_text(revocation, "found_in"));
	else if (is_refused(revocation))
		printf("%*srevocation: %s\n", MARGIN, "", answer_text(revocation, "refusal"));
	else
		printf("%*snot revoked\n", MARGIN, "");
	if (answer_number(revocation, "invalid_since") != 0)
		printf("%*sinvalid since %s\n", MARGIN, "",
			moment_of(revocation, "invalid_since", moment));
}

static void print_certificate(const json_t *certificate, size_t place, size_t count)
{
	const json_t *revocation = json_object_get(certificate, "revocation");
	const char *what = place == 0 ? "certificate" : place + 1 < count ? "issued by" : "root";
	char from[MOMENT_TEXT_SIZE], to[MOMENT_TEXT_SIZE];

	printf("%-*s%s\n", MARGIN, what, answer_text(certificate, "subject"));
	printf("%*sserial %s, %s, signed with %s\n", MARGIN, "", answer_text(certificate, "serial"),
		answer_text(certificate, "key"), answer_text(certificate, "signature"));
	printf("%*svalid from %s to %s\n", MARGIN, "", moment_of(certificate, "not_before", from),
		moment_of(certificate, "not_after", to));
	if (revocation != NULL)
		print_revocation(revocation);
}

static void print_ocsp(const json_t *ocsp)
{
	const char *url = answer_text(ocsp, "url");
	char from[MOMENT_TEXT_SIZE], to[MOMENT_TEXT_SIZE];

	printf("%-*s%s, %s: %s", MARGIN, "OCSP", answer_text(ocsp, "mode"),
		url[0] != '\0' ? url : "no responder is known", answer_text(ocsp, "status"));
	if (json_object_get(ocsp, "effective") != NULL)
		printf(", effective %s, next update %s%s", moment_of(ocsp, "effective", from),
			moment_of(ocsp, "next_update", to),
			json_is_true(json_object_get(ocsp, "counts"))
				? ""
				: ", too old, or by a signer that is revoked");
	putchar('\n');
	if (json_object_get(ocsp, "revoked_at") != NULL)
		printf("%*sREVOKED %s, %s\n", MARGIN, "", moment_of(ocsp, "revoked_at", from),
			revocation_reason_name((unsigned int)answer_number(ocsp, "reason")));
	else if (is_refused(ocsp))
		printf("%*sa good answer is asked for: %s\n", MARGIN, "",
			answer_text(ocsp, "refusal"));
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
		printf("%-*sdoes not hold: %s (%s)\n", MARGIN, "path", answer_text(path, "refusal"),
			answer_text(path, "reason"));
	else
		printf("%-*sholds, with %zu certificates\n", MARGIN, "path",
			json_array_size(chain));
	if (ocsp != NULL)
		print_ocsp(ocsp);
}

/* What the directory can know the certificate by, in the form that altSecurityIdentities has it. */
static const struct name_form {
	const char *kind, *first, *first_of, *second, *second_of;
} name_forms[] = {
	{"principal-name", "", "principal-name", NULL, NULL},
	{"rfc822-name", "", "rfc822-name", NULL, NULL},
	{"smtp-utf8-mailbox", "", "smtp-utf8-mailbox", NULL, NULL},
	{"ski", "X509:<SKI>", "ski", NULL, NULL},
	{"sha1-public-key", "X509:<SHA1-PUKEY>", "sha1-public-key", NULL, NULL},
	{"issuer-and-serial-number", "X509:<I>", "issuer", "<SR>", "serial"},
	{"issuer-and-subject", "X509:<I>", "issuer", "<S>", "subject"},
	{"subject", "X509:<S>", "subject", NULL, NULL},
	{"sid", "", "sid", NULL, NULL},
};

/* The value of a kind that there is once; NULL: there is none. */
static const char *value_of(const json_t *values, const char *kind)
{
	const json_t *name;
	size_t i;

	json_array_foreach(values, i, name) if (strcmp(answer_text(name, "kind"), kind) ==
						0) return answer_text(name, "value");
	return NULL;
}

static void print_forms(const json_t *values, const struct name_form *form, const char **title)
{
	const char *second = form->second != NULL ? value_of(values, form->second_of) : "";
	const json_t *name;
	size_t i;

	json_array_foreach(values, i, name)
	{
		if (strcmp(answer_text(name, "kind"), form->first_of) != 0 || second == NULL)
			continue;
		printf("%-*s%s %s%s%s%s\n", MARGIN, *title, form->kind, form->first,
			answer_text(name, "value"), form->second != NULL ? form->second : "",
			second);
		*title = "";
	}
}

static void print_groups(const json_t *groups)
{
	const char *title = "groups";

	for (size_t i = 0; i < json_array_size(groups); i++) {
		printf("%-*s%s\n", MARGIN, title, json_string_value(json_array_get(groups, i)));
		title = "";
	}
}

static void print_names(const json_t *answer)
{
	const json_t *names = json_object_get(answer, "names");
	const json_t *mailbox = json_object_get(answer, "mailbox");
	const char *title = "names";

	for (size_t i = 0; i < sizeof(name_forms) / sizeof(name_forms[0]); i++)
		print_forms(json_object_get(names, "values"), &name_forms[i], &title);
	if (is_refused(names))
		printf("%-*s%s\n", MARGIN, title, answer_text(names, "refusal"));
	else if (title[0] != '\0')
		printf("%-*snone\n", MARGIN, title);
	if (mailbox == NULL)
		return;
	printf("%-*s%s", MARGIN, "mailbox",
		is_refused(mailbox) ? answer_text(mailbox, "refusal")
				    : answer_text(mailbox, "mailbox"));
	if (answer_text(mailbox, "reason")[0] != '\0')
		printf(" (%s)", answer_text(mailbox, "reason"));
	putchar('\n');
	print_groups(json_object_get(mailbox, "groups"));
}

static void print_device(const json_t *device)
{
	if (device == NULL)
		return;
	printf("%-*s%s: ", MARGIN, "device", answer_text(device, "id"));
	if (!answer_is_true(device, "well_formed"))
		printf("no DeviceId of MS-ASHTTP (1 to 32 letters and digits)\n");
	else if (json_object_get(device, "state") == NULL)
		printf("not looked for, without a mailbox\n");
	else
		printf("%s, %s%s%s\n", answer_is_true(device, "known") ? "known" : "new",
			is_refused(device) ? answer_text(device, "refusal")
					   : answer_text(device, "state"),
			answer_text(device, "reason")[0] == '\0' ? "" : ": ",
			answer_text(device, "reason"));
}

/* Not a step of the phone's: it comes in, and gets 503 or 403 where nobody can be logged in for it. */
static void print_logins(const json_t *answer)
{
	const json_t *logins = json_object_get(answer, "logins"), *login;
	const char *mailbox = answer_text(json_object_get(answer, "mailbox"), "mailbox");
	size_t i;

	json_array_foreach(logins, i, login)
	{
		bool is_down = strcmp(answer_text(login, "state"), "down") == 0;

		printf("%-*s%s is %s%s%s\n", MARGIN, "login", answer_text(login, "login"),
			is_down ? "DOWN" : "up",
			answer_text(login, "reason")[0] != '\0' ? ": " : "",
			answer_text(login, "reason"));
	}
	if (json_array_size(logins) > 0)
		printf("%-*seasproxyctl upstream test --as %s tries it\n", MARGIN, "", mailbox);
}

static void print_user(const json_t *answer)
{
	const json_t *user = json_object_get(answer, "user");
	const json_t *rules = json_object_get(answer, "rules");
	char from[MOMENT_TEXT_SIZE], effective[MOMENT_TEXT_SIZE];

	if (answer_number(rules, "count") > 0)
		printf("%-*s%s\n", MARGIN, "rules",
			answer_is_true(rules, "allowed")
				? "let the authority vouch for this mailbox"
				: "do not let the authority vouch for this mailbox");
	if (user != NULL && !answer_is_true(user, "revoked"))
		printf("%-*s%s\n", MARGIN, "user",
			answer_text(user, "error")[0] != '\0' ? answer_text(user, "error")
							      : "not revoked");
	else if (user != NULL)
		printf("%-*srevoked, valid from %s; effective date of the CRL %s: %s\n", MARGIN,
			"user", moment_of(user, "valid_from", from),
			moment_of(user, "effective", effective),
			answer_is_true(user, "is_out") ? "still out" : "the CRL decides");
	print_device(json_object_get(answer, "device"));
	print_logins(answer);
}

static void print_verdict(const json_t *answer)
{
	if (!is_refused(answer)) {
		printf("\nit would come in\n");
		return;
	}
	printf("\nREFUSED: %s\n", answer_text(answer, "refusal"));
	printf("%-*s%s\n", MARGIN, "cause", answer_text(answer, "cause"));
	printf("%-*s%s\n", MARGIN, "what to do", answer_text(answer, "remedy"));
	if (answer_text(answer, "aadsts")[0] != '\0')
		printf("%-*s%s\n", MARGIN, "in Entra", answer_text(answer, "aadsts"));
}

static int fail(const struct error *err)
{
	fprintf(stderr, "easproxyctl: %s\n", err->text);
	return EXIT_UNKNOWN;
}

static int show(json_t *answer, bool wants_json)
{
	int status = is_refused(answer) ? EXIT_REFUSED : EXIT_IN;

	if (wants_json) {
		answer_print(answer, JSON_INDENT(2));
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
	if (option != -1 || optind + 1 != argc)
		return ctl_usage(argc, argv, "explain CERT [--device ID] [--json] [-s SOCKET]");
	chain = ctl_explain_find(socket, argv[optind], &err);
	if (chain == NULL)
		return fail(&err);
	request = json_pack("{s:s,s:o}", "request", "explain", "chain", chain);
	if (device != NULL)
		json_object_set_new(request, "device", json_string(device));
	answer = ctl_request(socket, request, &err);
	if (answer == NULL)
		return fail(&err);
	return show(answer, wants_json);
}
