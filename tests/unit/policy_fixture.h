/*
 * A configuration with rules alone, made of short texts, for the tests of proxy/policy*.c:
 *
 *	"mailbox=*@a.example|!b@a.example; action=deny; status=130"
 *
 * Options are set by the table of options, as the parser does; a "|" parts the entries of a list.
 */
#ifndef TESTS_POLICY_FIXTURE_H
#define TESTS_POLICY_FIXTURE_H

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/model.h"
#include "config/option.h"

static void policy_fixture_word(struct config_words *words, const char *text, size_t len, int line)
{
	words->list = realloc(words->list, (words->count + 1) * sizeof(*words->list));
	words->list[words->count].text = strndup(text, len);
	words->list[words->count++].line = line;
}

static void policy_fixture_words(struct config_words *words, const char *text, size_t len, int line)
{
	while (len > 0) {
		const char *bar = memchr(text, '|', len);
		size_t part = bar == NULL ? len : (size_t)(bar - text);

		if (part > 0)
			policy_fixture_word(words, text, part, line);
		text += part + (bar != NULL);
		len -= part + (bar != NULL);
	}
}

static void policy_fixture_set(
	struct config_rule *rule, const char *name, size_t name_len, const char *value, size_t len)
{
	const struct option *option = option_find(SECTION_RULE, name, name_len);
	void *field = option == NULL ? NULL : (char *)rule + option->offset;
	char *text = strndup(value, len);
	uint64_t number = 0;

	if (option == NULL) {
		free(text);
		return;
	}
	switch (option->type) {
	case OPTION_WORDS: policy_fixture_words(field, value, len, rule->place.line); break;
	case OPTION_TEXT:
		free(*(char **)field);
		*(char **)field = text;
		return;
	default:
		if (option_read_number(option, text, &number, NULL) == -1)
			break;
		if (option->size == sizeof(bool))
			*(bool *)field = number != 0;
		else if (option->size == sizeof(uint32_t))
			*(uint32_t *)field = (uint32_t)number;
		else
			*(uint64_t *)field = number;
	}
	free(text);
}

static void policy_fixture_group(struct config_policy *policy, const char *text)
{
	text += text[0] == '!';
	for (size_t i = 0; i < policy->group_count; i++)
		if (strcasecmp(policy->groups[i], text) == 0)
			return;
	if (policy->group_count == CONFIG_GROUPS_MAX)
		return;
	policy->groups =
		realloc(policy->groups, (policy->group_count + 1) * sizeof(*policy->groups));
	policy->groups[policy->group_count++] = strdup(text);
}

/* Rules are named r1, r2, … and stand in the lines 1, 2, … of "test.conf". */
static void policy_fixture_rule(struct config *config, const char *text)
{
	struct config_policy *policy = &config->policy;
	struct config_rule *rule;
	char name[16];

	policy->rules = realloc(policy->rules, (policy->rule_count + 1) * sizeof(*policy->rules));
	rule = &policy->rules[policy->rule_count++];
	memset(rule, 0, sizeof(*rule));
	snprintf(name, sizeof(name), "r%zu", policy->rule_count);
	rule->name = strdup(name);
	rule->place = (struct config_place){"test.conf", (int)policy->rule_count};
	while (*text != '\0') {
		size_t len = strcspn(text, ";");
		const char *equals = memchr(text, '=', len);

		if (equals != NULL)
			policy_fixture_set(rule, text, (size_t)(equals - text), equals + 1,
				len - (size_t)(equals + 1 - text));
		text += len;
		text += strspn(text, "; ");
	}
	for (size_t i = 0; i < rule->group.count; i++)
		policy_fixture_group(policy, rule->group.list[i].text);
}

/* sets: as in policy/use, with bars between them. */
static struct config *policy_fixture_new(const char *sets)
{
	struct config *config = calloc(1, sizeof(*config));

	config->path = strdup("test.conf");
	config->trust.store.fd = config->upstream.ca.fd = -1;
	config->upstream.basic_password.fd = config->directory.ca.fd = -1;
	config->directory.bind_password.fd = -1;
	config->limits.wbxml_depth = 32;
	config->limits.wbxml_elements = 200000;
	config->policy.document_size = UINT64_C(256) * 1024;
	policy_fixture_words(&config->policy.use, sets, strlen(sets), 1);
	return config;
}

#endif
