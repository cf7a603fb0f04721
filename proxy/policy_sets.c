/* Ready-made rules, in the words that a configuration would have for them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/policy_rule.h"

/* Words of a list have blanks between them. NULL: no condition. */
struct row {
	const char *set;
	const char *commands, *classes, *does, *folders;
	enum config_rule_action action;
	uint16_t status, http;
};

static const struct row rows[] = {
	{"block-document-library", NULL, NULL, "search-documents", NULL, CONFIG_RULE_DENY, 0, 0},

	{"read-only", NULL, NULL, "send add change delete move empty folder respond set", NULL,
		CONFIG_RULE_DENY, 0, 0},

	/* Status 12 and 7 mean "the folders have changed": the phone asks for them, and is shown
	 * calendars only. */
	{"calendar-only", "Sync", "!calendar", NULL, NULL, CONFIG_RULE_DENY, 12, 0},
	{"calendar-only", "Ping", "!calendar", NULL, NULL, CONFIG_RULE_DENY, 7, 0},
	{"calendar-only", "GetItemEstimate ItemOperations", "!calendar", NULL, NULL,
		CONFIG_RULE_DENY, 0, 0},
	{"calendar-only", NULL, NULL, "send attachment search-mailbox search-documents move folder",
		NULL, CONFIG_RULE_DENY, 0, 0},
	{"calendar-only", "FolderSync GetHierarchy", NULL, NULL, "!calendar", CONFIG_RULE_STRIP, 0,
		0},

	{"no-attachments", NULL, NULL, "attachment", NULL, CONFIG_RULE_DENY, 0, 0},
	{"no-attachments", "Sync Search Find ItemOperations", NULL, NULL, NULL, CONFIG_RULE_STRIP,
		0, 0},

	/* VersionNotSupported, and what stands for it up to 12.1. */
	{"min-protocol", NULL, NULL, NULL, NULL, CONFIG_RULE_DENY, 138, 400},
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static const char min_protocol[] = "min-protocol";

unsigned int policy_set_min_protocol(const char *word)
{
	size_t len = strlen(min_protocol);

	if (strncmp(word, min_protocol, len) != 0 || word[len] != ' ')
		return 0;
	return policy_version_read(word + len + strspn(word + len, " "));
}

static int unknown(const char *word, struct error *err)
{
	return error_set(err,
		"'%.60s' is not a set; there are read-only, calendar-only, no-attachments, "
		"block-document-library, and min-protocol with a version behind it, such as "
		"\"min-protocol 14.1\"",
		word);
}

static int add_word(struct config_words *words, const char *text, size_t len)
{
	struct config_word *grown = realloc(words->list, (words->count + 1) * sizeof(*words->list));

	if (grown == NULL)
		return -1;
	words->list = grown;
	grown[words->count].line = 0;
	grown[words->count].text = strndup(text, len);
	return grown[words->count++].text == NULL ? -1 : 0;
}

static int add_words(struct config_words *words, const char *list)
{
	while (list != NULL && *list != '\0') {
		size_t len = strcspn(list, " ");

		if (add_word(words, list, len) == -1)
			return -1;
		list += len + strspn(list + len, " ");
	}
	return 0;
}

static int fill(struct config_rule *rule, const struct row *row, unsigned int version)
{
	rule->name = strdup(row->set);
	rule->action = row->action;
	rule->status = row->status;
	rule->http = row->http;
	if (rule->name == NULL || add_words(&rule->command, row->commands) == -1 ||
		add_words(&rule->class, row->classes) == -1 ||
		add_words(&rule->does, row->does) == -1 ||
		add_words(&rule->folders, row->folders) == -1)
		return -1;
	if (version != 0) {
		char text[8];

		snprintf(text, sizeof(text), "<%s", policy_version_text(version));
		return add_word(&rule->protocol, text, strlen(text));
	}
	return 0;
}

struct config_rule *policy_set_expand(const char *word, size_t *count, struct error *err)
{
	size_t len = strcspn(word, " ");
	unsigned int version = policy_set_min_protocol(word);
	struct config_rule *rules = calloc(ROWS, sizeof(*rules));

	*count = 0;
	if (rules == NULL) {
		error_set(err, "out of memory");
		return NULL;
	}
	for (size_t i = 0; i < ROWS; i++) {
		bool has_version = strcmp(rows[i].set, min_protocol) == 0;

		if (strlen(rows[i].set) != len || memcmp(rows[i].set, word, len) != 0 ||
			has_version != (version != 0) || (word[len] != '\0' && !has_version))
			continue;
		if (fill(&rules[(*count)++], &rows[i], version) == -1) {
			error_set(err, "out of memory");
			goto fail;
		}
	}
	if (*count > 0)
		return rules;
	unknown(word, err);
fail:
	for (size_t i = 0; i < *count; i++)
		config_rule_clear(&rules[i]);
	free(rules);
	return NULL;
}
