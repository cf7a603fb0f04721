#include "proxy/easproxyctl_device_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/easproxyctl_answer.h"
#include "proxy/easproxyctl_user_print.h"

static const char *or_dash(const char *text)
{
	return text[0] == '\0' ? "-" : text;
}

void ctl_print_devices_head(void)
{
	printf("%-21s  %-12s  %-32s  %-32s  %s\n", "last seen", "state", "mailbox", "device",
		"type, model, system");
}

static void print_what_it_is(const json_t *device)
{
	static const char *const keys[] = {"type", "model", "os"};
	const char *separator = "";

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *text = answer_text(device, keys[i]);

		if (text[0] == '\0')
			continue;
		printf("%s%s", separator, text);
		separator = ", ";
	}
	printf("%s\n", separator[0] == '\0' ? "-" : "");
}

void ctl_print_device_line(const json_t *device)
{
	char seen[MOMENT_TEXT_SIZE];

	printf("%-21s  %-12s  %-32s  %-32s  ",
		answer_moment(answer_number(device, "last_seen"), seen),
		answer_text(device, "state"), answer_text(device, "mailbox"),
		answer_text(device, "id"));
	print_what_it_is(device);
}

/* An operator is "user 0" in the registry; others are words: a rule, the device's acknowledgement. */
static const char *by_name(const char *by, char text[ACCOUNT_NAME_SIZE])
{
	static const char prefix[] = "user ";
	char *end;
	unsigned long user_id;

	if (strncmp(by, prefix, sizeof(prefix) - 1) != 0)
		return by;
	user_id = strtoul(by + sizeof(prefix) - 1, &end, 10);
	return *end == '\0' ? ctl_account_name((long long)user_id, text) : by;
}

static void print_state(const json_t *device)
{
	char name[ACCOUNT_NAME_SIZE];
	char moment[MOMENT_TEXT_SIZE];

	printf("  state       %s", answer_text(device, "state"));
	if (answer_number(device, "state_at") != 0)
		printf(" since %s", answer_moment(answer_number(device, "state_at"), moment));
	if (answer_text(device, "state_by")[0] != '\0')
		printf(" by %s", by_name(answer_text(device, "state_by"), name));
	if (answer_text(device, "reason")[0] != '\0')
		printf(": %s", answer_text(device, "reason"));
	printf("%s\n", answer_is_true(device, "registered") ? ", registered" : "");
}

static void print_wipe(const json_t *wipe)
{
	char moment[MOMENT_TEXT_SIZE];

	if (wipe == NULL)
		return;
	if (answer_number(wipe, "ordered_at") == 0)
		printf("  wipe        for its revoked certificate,");
	else
		printf("  wipe        of %s, ordered %s, sent %s,",
			strcmp(answer_text(wipe, "kind"), "all") == 0 ? "all that is on it"
								      : "the account",
			answer_moment(answer_number(wipe, "ordered_at"), moment),
			answer_moment(
				answer_number(wipe, "sent_at"), (char[MOMENT_TEXT_SIZE]){""}));
	printf(" acknowledged %s", answer_moment(answer_number(wipe, "acknowledged_at"), moment));
	if (answer_number(wipe, "acknowledged_at") != 0)
		printf(" with status %lld (%s)", answer_number(wipe, "status"),
			answer_number(wipe, "status") == 1 ? "done" : "failed");
	printf("\n");
}

/* MS-ASPROV 2.2.2.1: AccountOnlyRemoteWipe is of 16.1. */
static void print_hindrance(const json_t *device)
{
	const char *protocol = answer_text(device, "protocol");

	if (strcmp(answer_text(device, "state"), "wipe-account") == 0 && protocol[0] != '\0' &&
		strcmp(protocol, "16.1") != 0)
		printf("  blocked     it speaks %s, and the account alone can be wiped from 16.1 "
		       "on; "
		       "device wipe --erase-whole-device wipes all of it\n",
			protocol);
}

void ctl_print_device(const json_t *device)
{
	static const struct {
		const char *title, *key;
	} rows[] = {{"type", "type"}, {"model", "model"}, {"system", "os"},
		{"name", "friendly_name"}, {"language", "language"}, {"user agent", "user_agent"},
		{"protocol", "protocol"}};
	const json_t *certificate = json_object_get(device, "certificate");
	char first[MOMENT_TEXT_SIZE], last[MOMENT_TEXT_SIZE];

	printf("%s of %s\n", answer_text(device, "id"), answer_text(device, "mailbox"));
	print_state(device);
	print_wipe(json_object_get(device, "wipe"));
	print_hindrance(device);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (answer_text(device, rows[i].key)[0] != '\0')
			printf("  %-10s  %s\n", rows[i].title, answer_text(device, rows[i].key));
	printf("  seen        first %s, last %s\n",
		answer_moment(answer_number(device, "first_seen"), first),
		answer_moment(answer_number(device, "last_seen"), last));
	if (certificate == NULL)
		return;
	printf("  certificate %s%s\n    issuer    %s\n    SHA-256   %s\n",
		answer_text(certificate, "serial"),
		answer_is_true(certificate, "bound") ? ", to which it is bound" : "",
		or_dash(answer_text(certificate, "issuer")), answer_text(certificate, "sha256"));
}

void ctl_print_ordered(const json_t *answer, const char *done, const char *not_done)
{
	const json_t *device;
	size_t i;

	ctl_print_notes(answer);
	json_array_foreach(json_object_get(answer, "devices"), i, device)
	{
		printf("%s of %s %s", answer_text(device, "id"), answer_text(device, "mailbox"),
			answer_is_true(device, "changed") ? done : not_done);
		if (strcmp(answer_text(device, "state"), "wipe-all") == 0)
			printf(", with all that is on it");
		else if (strcmp(answer_text(device, "state"), "wipe-account") == 0)
			printf(", of the account alone");
		printf("\n");
	}
}
