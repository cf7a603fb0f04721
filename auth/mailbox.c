#include "auth/mailbox.h"

#include <string.h>
#include <strings.h>

static enum identity_kind kind_of(enum config_name_kind kind)
{
	return kind == CONFIG_NAME_PRINCIPAL ? IDENTITY_PRINCIPAL_NAME : IDENTITY_RFC822_NAME;
}

/* The one address that all names of the kind have: NULL in *address where there is none. */
static enum refusal pick_address(
	const struct identity_names *names, enum identity_kind kind, const char **address)
{
	*address = NULL;
	for (size_t i = 0; i < names->count; i++) {
		const char *text = identity_names_text(names, i);

		if (names->names[i].kind != kind)
			continue;
		if (*address == NULL)
			*address = text;
		else if (strcasecmp(*address, text) != 0)
			return REFUSAL_NAME_AMBIGUOUS;
	}
	return REFUSAL_NONE;
}

static bool is_routable(const struct config_mailbox *config, const char *domain)
{
	for (size_t i = 0; i < config->domain_count; i++)
		if (strcasecmp(config->domains[i], domain) == 0)
			return true;
	return false;
}

static enum refusal route_address(
	const struct config_mailbox *config, const char *address, char mailbox[MAILBOX_MAX + 1])
{
	const char *at = strchr(address, '@');
	size_t len = strlen(address);

	if (at == NULL || at == address || len > MAILBOX_MAX)
		return REFUSAL_NAME_INVALID;
	if (!is_routable(config, at + 1))
		return REFUSAL_DOMAIN_NOT_ROUTABLE;
	memcpy(mailbox, address, len + 1);
	for (size_t i = 0; i < len; i++)
		if (mailbox[i] >= 'A' && mailbox[i] <= 'Z')
			mailbox[i] |= 0x20; /* the bit that makes an ASCII capital a small letter */
	return REFUSAL_NONE;
}

enum refusal mailbox_resolve(const struct config_mailbox *config,
	const struct identity_names *names, char mailbox[MAILBOX_MAX + 1])
{
	mailbox[0] = '\0';
	for (size_t i = 0; i < config->name_count; i++) {
		const char *address;
		enum refusal refusal = pick_address(names, kind_of(config->names[i]), &address);

		if (refusal != REFUSAL_NONE)
			return refusal;
		if (address != NULL)
			return route_address(config, address, mailbox);
	}
	return REFUSAL_NAME_MISSING;
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
	}
	return local.len == (size_t)(at - mailbox) &&
	       strncasecmp((const char *)local.data, mailbox, local.len) == 0;
}
