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

/* Either all of it can be seen, or it is shown in ASCII. */
static void clean_text(char *text, size_t size)
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

bool device_facts_clean(struct device_facts *facts)
{
	clean_text(facts->type, sizeof(facts->type));
	clean_text(facts->user_agent, sizeof(facts->user_agent));
	clean_text(facts->model, sizeof(facts->model));
	clean_text(facts->os, sizeof(facts->os));
	clean_text(facts->friendly_name, sizeof(facts->friendly_name));
	clean_text(facts->language, sizeof(facts->language));
	clean_text(facts->issuer, sizeof(facts->issuer));
	facts->mailbox[MAILBOX_MAX] = '\0';
	facts->id[EAS_DEVICE_ID_MAX] = '\0';
	return facts->mailbox[0] != '\0' &&
	       unicode_is_plain(span_of_string(facts->mailbox), false) && is_id(facts->id);
}
