#include "proxy/device_facts.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "auth/unicode.h"

void device_id_fold(const char *id, char folded[EAS_DEVICE_ID_MAX + 1])
{
	size_t len = 0;

	for (; len < EAS_DEVICE_ID_MAX && id[len] != '\0'; len++)
		folded[len] =
			(char)(id[len] >= 'A' && id[len] <= 'Z' ? id[len] - 'A' + 'a' : id[len]);
	folded[len] = '\0';
}

void device_text_clean(char *text, size_t size)
{
	text[size - 1] = '\0';
	if (unicode_is_plain(span_of_string(text), true))
		return;
	for (char *at = text; *at != '\0'; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
}

static bool is_id(const char *id)
{
	if (id[0] == '\0')
		return false;
	for (; *id != '\0'; id++)
		if (isalnum((unsigned char)*id) == 0 || isupper((unsigned char)*id) != 0)
			return false;
	return true;
}

bool device_names_end(char mailbox[MAILBOX_MAX + 1], char id[EAS_DEVICE_ID_MAX + 1])
{
	mailbox[MAILBOX_MAX] = '\0';
	id[EAS_DEVICE_ID_MAX] = '\0';
	return mailbox[0] != '\0' && unicode_is_plain(span_of_string(mailbox), false) && is_id(id);
}

bool device_facts_clean(struct device_facts *facts)
{
	device_text_clean(facts->type, sizeof(facts->type));
	device_text_clean(facts->user_agent, sizeof(facts->user_agent));
	device_text_clean(facts->model, sizeof(facts->model));
	device_text_clean(facts->os, sizeof(facts->os));
	device_text_clean(facts->friendly_name, sizeof(facts->friendly_name));
	device_text_clean(facts->language, sizeof(facts->language));
	device_text_clean(facts->issuer, sizeof(facts->issuer));
	return device_names_end(facts->mailbox, facts->id);
}
