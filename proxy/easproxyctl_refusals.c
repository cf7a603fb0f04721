#include "proxy/easproxyctl_refusals.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "config/refusal.h"
#include "proxy/easproxyctl_usage.h"

/* RFC 8446 6.2. */
static const char *alert_name(int alert)
{
	static const struct {
		int alert;
		const char *name;
	} names[] = {
		{42, "bad_certificate"},
		{43, "unsupported_certificate"},
		{44, "certificate_revoked"},
		{45, "certificate_expired"},
		{46, "certificate_unknown"},
		{48, "unknown_ca"},
		{116, "certificate_required"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].alert == alert)
			return names[i].name;
	return alert == 0 ? "-" : "?";
}

/* "-" for 0, which stands for none. */
static const char *number_or_dash(int number, char text[12])
{
	if (number == 0)
		return "-";
	snprintf(text, 12, "%d", number);
	return text;
}

static void print_table(void)
{
	char http[12], eas[12];

	printf("%-26s %-24s %4s %4s  %s\n", "name", "TLS alert", "HTTP", "EAS", "in Entra");
	for (int code = REFUSAL_NONE + 1; code < REFUSAL_COUNT; code++) {
		const struct refusal_row *row = refusal_row((enum refusal)code);

		printf("%-26s %-24s %4s %4s  %s\n", row->name, alert_name(row->tls_alert),
			number_or_dash(row->http_status, http),
			number_or_dash(row->eas_status, eas),
			row->aadsts[0] != '\0' ? row->aadsts : "-");
	}
}

static void print_markdown(void)
{
	char http[12], eas[12];

	puts("# Refusals\n\n"
	     "Each way in which easproxyd refuses a connection or a request, under the name that\n"
	     "stands in the `refusal` field of the log, in `easproxyctl status` and here. Made by\n"
	     "`easproxyctl refusals --markdown` from `config/refusal.def`; change it there.\n\n"
	     "A refusal without a TLS alert and without an HTTP status ends the connection\n"
	     "unanswered. An EAS status is sent inside an HTTP 200 to phones of protocol 14.0 and\n"
	     "later, where the command has a place for it; other phones get the HTTP status.\n\n"
	     "AADSTS: what Microsoft Entra answers for the same, where it has a code for it.\n\n"
	     "| name | TLS alert | HTTP | EAS | AADSTS | cause | remedy |\n"
	     "|---|---|---|---|---|---|---|");
	for (int code = REFUSAL_NONE + 1; code < REFUSAL_COUNT; code++) {
		const struct refusal_row *row = refusal_row((enum refusal)code);

		printf("| `%s` | %s | %s | %s | %s | %s | %s |\n", row->name,
			alert_name(row->tls_alert), number_or_dash(row->http_status, http),
			number_or_dash(row->eas_status, eas),
			row->aadsts[0] != '\0' ? row->aadsts + 6 : "-", row->cause, row->remedy);
	}
}

static void print_answer(const struct refusal_row *row)
{
	const char *comma = "";

	printf("  the phone gets: ");
	if (row->tls_alert != 0) {
		printf("TLS alert %s", alert_name(row->tls_alert));
		comma = ", ";
	}
	if (row->http_status != 0) {
		printf("%sHTTP status %d", comma, row->http_status);
		comma = ", ";
	}
	if (row->eas_status != 0)
		printf("%sEAS status %d", comma, row->eas_status);
	puts(row->tls_alert == 0 && row->http_status == 0 ? "no answer: the connection ends" : "");
}

static int explain(const char *name)
{
	for (int code = REFUSAL_NONE + 1; code < REFUSAL_COUNT; code++) {
		const struct refusal_row *row = refusal_row((enum refusal)code);

		if (strcmp(row->name, name) != 0)
			continue;
		printf("%s\n  cause:  %s\n  remedy: %s\n", row->name, row->cause, row->remedy);
		print_answer(row);
		if (row->aadsts[0] != '\0')
			printf("  in Entra: %s\n", row->aadsts);
		return 0;
	}
	fprintf(stderr,
		"easproxyctl: there is no refusal \"%s\"; easproxyctl refusals lists them\n", name);
	return 1;
}

int ctl_refusals(int argc, char **argv)
{
	bool wants_markdown = argc == 2 && strcmp(argv[1], "--markdown") == 0;

	if (argc > 2 || (argc == 2 && argv[1][0] == '-' && !wants_markdown))
		return ctl_usage(argc, argv, "refusals [NAME | --markdown]");
	if (argc == 2 && !wants_markdown)
		return explain(argv[1]);
	if (wants_markdown)
		print_markdown();
	else
		print_table();
	return 0;
}
