#include "auth/mailbox.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "auth/address.h"
#include "auth/binding.h"
#include "auth/unicode.h"

uint32_t mailbox_identity_kinds(const struct config_mailbox *config)
{
	uint32_t kinds = 0;

	for (size_t i = 0; i < config->name_count; i++)
		kinds |= binding_identity_kinds(config->names[i]);
	return kinds;
}

void mailbox_begin(struct mailbox_search *search, const struct config_mailbox *config,
	const struct identity_names *names)
{
	memset(search, 0, sizeof(*search));
	search->config = config;
	search->names = names;
}

__attribute__((format(printf, 3, 4))) static void refuse(
	struct mailbox_search *search, enum refusal refusal, const char *format, ...)
{
	va_list args;

	search->refusal = refusal;
	search->mailbox[0] = '\0';
	search->users[0] = '\0';
	search->groups = 0;
	va_start(args, format);
	vsnprintf(search->reason, sizeof(search->reason), format, args);
	va_end(args);
	for (char *c = search->reason; *c != '\0'; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
}

bool mailbox_is_routable(const struct config_mailbox *config, const char *domain)
{
	for (size_t i = 0; i < config->domain_count; i++)
		if (strcasecmp(config->domains[i], domain) == 0)
			return true;
	return false;
}

static void finish(struct mailbox_search *search)
{
	const char *at = strchr(search->mailbox, '@');

	if (at == NULL || at == search->mailbox)
		refuse(search, REFUSAL_INTERNAL, "the directory's mailbox is no address");
	else if (!mailbox_is_routable(search->config, at + 1))
		refuse(search, REFUSAL_DOMAIN_NOT_ROUTABLE, "%.150s is not in mailbox/domains",
			at + 1);
}

static void give_up(struct mailbox_search *search)
{
	char last[MAILBOX_REASON_MAX + 1];

	if (search->has_low) {
		refuse(search, REFUSAL_AFFINITY_TOO_LOW,
			"none of its names of high affinity leads to a mailbox");
	} else if (search->was_asked) {
		memcpy(last, search->reason, sizeof(last)); /* of the last answer */
		refuse(search, REFUSAL_USER_UNKNOWN, "%s", last);
	} else {
		refuse(search, REFUSAL_NAME_MISSING,
			"it has none of the names that mailbox/names asks for");
	}
}

enum mailbox_step mailbox_next(struct mailbox_search *search, struct directory_question *question)
{
	const struct config_mailbox *config = search->config;

	for (; search->refusal == REFUSAL_NONE && search->kind < config->name_count;
		search->kind++, search->nth = 0) {
		enum config_name_kind kind = config->names[search->kind];
		int result = binding_question(search->names, kind, search->nth, question);

		if (result != 0 && config->affinity == CONFIG_AFFINITY_HIGH &&
			!binding_has_high_affinity(kind)) {
			search->has_low = true;
			continue;
		}
		if (result == 1) {
			search->nth++;
			return MAILBOX_ASK;
		}
		if (result == -1) {
			refuse(search, REFUSAL_NAME_INVALID, "its %s cannot be used",
				config_name_words[kind]);
			return MAILBOX_DONE;
		}
		if (search->mailbox[0] != '\0') {
			finish(search);
			return MAILBOX_DONE;
		}
	}
	if (search->refusal == REFUSAL_NONE)
		give_up(search);
	return MAILBOX_DONE;
}

static void take_found(struct mailbox_search *search, const struct directory_question *question,
	const struct directory_answer *answer)
{
	if (search->mailbox[0] == '\0') {
		snprintf(search->mailbox, sizeof(search->mailbox), "%s", answer->mailbox);
		snprintf(search->reason, sizeof(search->reason), "%s", answer->entry);
		snprintf(search->users, sizeof(search->users), "%s", answer->users);
		search->groups = answer->groups;
	} else if (strcmp(search->mailbox, answer->mailbox) != 0) {
		refuse(search, REFUSAL_NAME_AMBIGUOUS, "its %s lead to %.70s and %.70s",
			config_name_words[question->kind], search->mailbox, answer->mailbox);
	}
}

void mailbox_take(struct mailbox_search *search, const struct directory_question *question,
	const struct directory_answer *answer)
{
	const char *kind = config_name_words[question->kind];

	search->was_asked = true;
	if (search->refusal != REFUSAL_NONE)
		return;
	switch (answer->status) {
	case DIRECTORY_FOUND: take_found(search, question, answer); break;
	case DIRECTORY_NOT_FOUND:
		if (search->mailbox[0] == '\0')
			snprintf(search->reason, sizeof(search->reason), "%s %.90s: %.80s", kind,
				question->value, answer->entry);
		break;
	case DIRECTORY_AMBIGUOUS:
		refuse(search, REFUSAL_NAME_AMBIGUOUS, "%s %.90s: %.80s", kind, question->value,
			answer->entry);
		break;
	case DIRECTORY_DISABLED: refuse(search, REFUSAL_USER_DISABLED, "%s", answer->entry); break;
	case DIRECTORY_NO_MAILBOX: refuse(search, REFUSAL_USER_UNKNOWN, "%s", answer->entry); break;
	default: refuse(search, REFUSAL_DIRECTORY_UNAVAILABLE, "%s", answer->entry);
	}
}

static bool is_folded_user(const char *mailbox, struct span user)
{
	char folded[MAILBOX_MAX + 1];
	int len;

	if (memchr(user.data, '@', user.len) != NULL)
		return address_fold(user, folded) == 0 && strcmp(folded, mailbox) == 0;
	len = unicode_fold(user, folded, sizeof(folded));
	return len > 0 && (size_t)len == strcspn(mailbox, "@") &&
	       memcmp(folded, mailbox, (size_t)len) == 0;
}

bool mailbox_is_user(const char *mailbox, struct span user)
{
	const char *at = strchr(mailbox, '@');
	const uint8_t *backslash;
	struct span local;

	if (at == NULL || at == mailbox || user.len == 0)
		return false;
	if (span_equal_nocase(user, mailbox))
		return true;
	local = user;
	backslash = memchr(user.data, '\\', user.len);
	if (backslash != NULL) {
		local.data = backslash + 1;
		local.len = user.len - (size_t)(local.data - user.data);
		if (memchr(local.data, '@', local.len) != NULL)
			return false;
	}
	if (local.len == (size_t)(at - mailbox) &&
		strncasecmp((const char *)local.data, mailbox, local.len) == 0)
		return true;
	return !unicode_is_ascii(local) && is_folded_user(mailbox, local);
}

bool mailbox_has_user(const char *users, struct span user)
{
	char folded[MAILBOX_MAX + 1];
	const uint8_t *backslash = user.len > 0 ? memchr(user.data, '\\', user.len) : NULL;
	bool is_address;
	int len;

	if (users[0] == '\0' || user.len == 0)
		return false;
	if (backslash != NULL) {
		size_t before = (size_t)(backslash + 1 - user.data);

		user = span_of(user.data + before, user.len - before);
	}
	is_address = user.len > 0 && memchr(user.data, '@', user.len) != NULL;
	if (is_address && (backslash != NULL || address_fold(user, folded) == -1))
		return false;
	len = is_address ? (int)strlen(folded) : unicode_fold(user, folded, sizeof(folded));
	if (len <= 0)
		return false;
	for (const char *name = users; *name != '\0'; name += *name == ' ') {
		size_t name_len = strcspn(name, " ");

		if (name_len == (size_t)len && memcmp(name, folded, name_len) == 0)
			return true;
		name += name_len;
	}
	return false;
}
