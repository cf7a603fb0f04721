/*
 * The names of a certificate, as bytes from a phone: whatever is taken must be an address as san.h
 * has it, lead to a mailbox in lower case that is its own User, and be taken the same way again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/mailbox.h"
#include "auth/san.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int is_so)
{
	if (!is_so)
		abort();
}

static void check_name(const char *name)
{
	size_t len = strlen(name);
	const char *at = strchr(name, '@');

	require(len >= 3 && len <= IDENTITY_ADDRESS_MAX);
	require(at != NULL && at != name && at[1] != '\0' && strchr(at + 1, '@') == NULL);
	for (size_t i = 0; i < len; i++)
		require(name[i] > 0x20 && name[i] < 0x7f);
}

static void check_mailbox(const struct identity_names *names)
{
	enum config_name_kind kinds[] = {CONFIG_NAME_PRINCIPAL, CONFIG_NAME_RFC822};
	char domain_text[IDENTITY_ADDRESS_MAX + 1];
	char *domain = domain_text;
	struct config_mailbox config = {
		.name_count = 2, .names = kinds, .domain_count = 1, .domains = &domain};
	char mailbox[MAILBOX_MAX + 1];
	enum refusal refusal;

	snprintf(domain_text, sizeof(domain_text), "%s",
		strchr(identity_names_text(names, 0), '@') + 1);
	refusal = mailbox_resolve(&config, names, mailbox);

	require((refusal == REFUSAL_NONE) == (mailbox[0] != '\0'));
	if (refusal != REFUSAL_NONE)
		return;
	require(mailbox_is_user(mailbox, span_of_string(mailbox)));
	require(strpbrk(mailbox, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct identity_names names;
	struct identity_names again;
	enum refusal refusal = san_read(span_of(data, size), &names);

	require(refusal == REFUSAL_NONE || names.count == 0);
	require(names.count <= SAN_COUNT_MAX);
	for (size_t i = 0; i < names.count; i++)
		check_name(identity_names_text(&names, i));
	if (names.count > 0)
		check_mailbox(&names);
	require(san_read(span_of(data, size), &again) == refusal);
	require(memcmp(&names, &again, sizeof(names)) == 0);
	return 0;
}
