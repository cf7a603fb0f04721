#include "proxy/easproxyctl_user_print.h"

#include <openssl/x509.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "auth/revocation_index.h"
#include "auth/x509_text.h"
#include "proxy/easproxyctl_answer.h"

void ctl_print_notes(const json_t *answer)
{
	const json_t *note;
	size_t i;

	json_array_foreach(json_object_get(answer, "notes"), i, note)
		fprintf(stderr, "note: %s\n", json_string_value(note));
}

const char *ctl_account_name(long long user_id, char text[ACCOUNT_NAME_SIZE])
{
	const struct passwd *account = getpwuid((uid_t)user_id);

	if (account == NULL)
		snprintf(text, ACCOUNT_NAME_SIZE, "user id %lld", user_id);
	else
		snprintf(text, ACCOUNT_NAME_SIZE, "%s", account->pw_name);
	return text;
}

/* Certificates */

static void print_leaf(const json_t *seen)
{
	X509 *leaf = answer_certificate(json_array_get(json_object_get(seen, "chain"), 0));
	struct serial serial;
	char number[41], subject[512], issuer[512];

	if (leaf == NULL) {
		printf("  not a certificate that can be read\n");
		return;
	}
	x509_name_format(X509_get_subject_name(leaf), subject, sizeof(subject));
	x509_name_format(X509_get_issuer_name(leaf), issuer, sizeof(issuer));
	printf("  subject %s\n  issuer  %s\n", subject, issuer);
	if (serial_from_asn1(&serial, X509_get0_serialNumber(leaf)) == 0) {
		serial_format(&serial, number);
		printf("  serial  %s\n", number);
	}
	X509_free(leaf);
}

static void print_certificate(const json_t *seen)
{
	const char *refusal = answer_text(seen, "refusal"), *mailbox = answer_text(seen, "mailbox");
	char first[MOMENT_TEXT_SIZE], last[MOMENT_TEXT_SIZE];

	printf("%s  %s  %s\n", answer_moment(answer_number(seen, "last_seen"), last),
		refusal[0] == '\0' ? "came in" : refusal, mailbox[0] == '\0' ? "-" : mailbox);
	print_leaf(seen);
	printf("  SHA-256 %s\n  first seen %s\n", answer_text(seen, "sha256"),
		answer_moment(answer_number(seen, "first_seen"), first));
}

void ctl_print_seen(const json_t *certificates)
{
	const json_t *seen;
	size_t i;

	json_array_foreach(certificates, i, seen) print_certificate(seen);
}

/* Users */

static void print_authorities(const json_t *answer)
{
	const json_t *authority;
	char moment[MOMENT_TEXT_SIZE];
	size_t i;

	printf("\nwhat lets the phones in again, by the authority of their certificates\n");
	json_array_foreach(json_object_get(answer, "authorities"), i, authority)
	{
		const char *state = answer_text(authority, "state");

		printf("  %s\n    ", answer_text(authority, "issuer"));
		if (strcmp(state, "decides") == 0)
			printf("its CRL of %s decides\n",
				answer_moment(answer_number(authority, "effective_date"), moment));
		else if (strcmp(state, "never") == 0)
			printf("has no CRL that is looked at: only easproxyctl user allow\n");
		else if (strcmp(state, "exempt") == 0)
			printf("waits for the end of its exemption; a later CRL decides then\n");
		else if (answer_number(authority, "effective_date") == 0)
			printf("waits for a CRL; none that is in force has been loaded\n");
		else
			printf("waits for a later CRL than that of %s\n",
				answer_moment(answer_number(authority, "effective_date"), moment));
	}
}

void ctl_print_user(const json_t *answer)
{
	const json_t *certificates = json_object_get(answer, "certificates");
	char valid_from[MOMENT_TEXT_SIZE], revoked_at[MOMENT_TEXT_SIZE], account[ACCOUNT_NAME_SIZE];

	if (answer_is_true(answer, "revoked")) {
		printf("%s is revoked\n  valid from %s: what was established before is void\n"
		       "  revoked at %s by %s\n",
			answer_text(answer, "mailbox"),
			answer_moment(answer_number(answer, "valid_from"), valid_from),
			answer_moment(answer_number(answer, "revoked_at"), revoked_at),
			ctl_account_name(answer_number(answer, "user_id"), account));
		if (answer_text(answer, "reason")[0] != '\0')
			printf("  reason: %s\n", answer_text(answer, "reason"));
		print_authorities(answer);
	} else {
		printf("%s is not revoked\n", answer_text(answer, "mailbox"));
	}
	if (json_array_size(certificates) > 0) {
		printf("\ncertificates that came for this mailbox, the latest first\n");
		ctl_print_seen(certificates);
	}
}

void ctl_print_users_head(void)
{
	printf("%-21s  %-32s  %-12s  %s\n", "valid from", "user", "revoked by", "reason");
}

void ctl_print_users(const json_t *users)
{
	const json_t *user;
	char valid_from[MOMENT_TEXT_SIZE], account[ACCOUNT_NAME_SIZE];
	size_t i;

	json_array_foreach(users, i, user) printf("%-21s  %-32s  %-12s  %s\n",
		answer_moment(answer_number(user, "valid_from"), valid_from),
		answer_text(user, "mailbox"),
		ctl_account_name(answer_number(user, "user_id"), account),
		answer_text(user, "reason"));
}
