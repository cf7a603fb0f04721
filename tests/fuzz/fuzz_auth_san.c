/*
 * The names of a certificate, as bytes from a phone: whatever is taken must be an address as san.h
 * has it, lead to a mailbox in lower case that is its own User, and be taken the same way again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/address.h"
#include "auth/binding.h"
#include "auth/mailbox.h"
#include "auth/san.h"
#include "auth/unicode.h"

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
		require((unsigned char)name[i] > 0x20 && name[i] != 0x7f);
	require(unicode_is_plain(span_of(name, len), false));
}

static void check_sid(const char *sid)
{
	require(sid[0] == '\0' || binding_is_sid(span_of_string(sid)));
}

/* Without a directory, with the domain of the first address as the only routable one. */
static void check_mailbox(const struct identity_names *names)
{
	enum config_name_kind kinds[] = {
		CONFIG_NAME_PRINCIPAL, CONFIG_NAME_RFC822, CONFIG_NAME_SMTP_UTF8};
	char folded[IDENTITY_ADDRESS_MAX + 1];
	char *domain;
	struct config_mailbox config = {
		.name_count = 3, .names = kinds, .domain_count = 1, .domains = &domain};
	struct directory_question question;
	struct directory_answer answer;
	struct mailbox_search search;

	require(address_fold(span_of_string(identity_names_text(names, 0)), folded) == 0);
	domain = strchr(folded, '@') + 1;
	mailbox_begin(&search, &config, names);
	while (mailbox_next(&search, &question) == MAILBOX_ASK) {
		directory_answer_set(&answer, DIRECTORY_FOUND, question.value, "%s", "");
		mailbox_take(&search, &question, &answer);
	}
	require((search.refusal == REFUSAL_NONE) == (search.mailbox[0] != '\0'));
	if (search.refusal != REFUSAL_NONE)
		return;
	require(mailbox_is_user(search.mailbox, span_of_string(search.mailbox)));
	require(strpbrk(search.mailbox, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL);
	require(address_fold(span_of_string(search.mailbox), folded) == 0);
	require(strcmp(search.mailbox, folded) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct identity_names names;
	struct identity_names again;
	enum refusal refusal = san_read(span_of(data, size), &names);

	require(refusal == REFUSAL_NONE || names.count == 0);
	require(identity_names_are_sound(&names) && names.count <= SAN_COUNT_MAX);
	for (size_t i = 0; i < names.count; i++) {
		if (names.names[i].kind == IDENTITY_SID)
			check_sid(identity_names_text(&names, i));
		else
			check_name(identity_names_text(&names, i));
	}
	if (names.count > 0 && names.names[0].kind != IDENTITY_SID)
		check_mailbox(&names);
	require(san_read(span_of(data, size), &again) == refusal);
	require(memcmp(&names, &again, sizeof(names)) == 0);
	return 0;
}
