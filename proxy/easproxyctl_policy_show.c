/* Rules as they stand in the file, by the table of options. */
#include <stdio.h>
#include <string.h>

#include "config/option.h"
#include "proxy/easproxyctl_policy.h"
#include "proxy/policy_rule.h"

static json_t *words_json(const struct config_words *words)
{
	json_t *list = json_array();

	for (size_t i = 0; i < words->count; i++)
		json_array_append_new(list, json_string(words->list[i].text));
	return list;
}

/* A number as it would be written. */
static json_t *number_json(const struct option *option, uint64_t value)
{
	char text[OPTION_NUMBER_SIZE];

	if (option->type == OPTION_SIZE)
		option_write_size(value, text);
	else if (option->type == OPTION_TIME)
		option_write_time(value, text);
	else
		return json_integer((json_int_t)value);
	return json_string(text);
}

static uint64_t number_of(const struct option *option, const void *field)
{
	uint32_t small;
	uint64_t large;

	if (option->size == sizeof(small)) {
		memcpy(&small, field, sizeof(small));
		return small;
	}
	memcpy(&large, field, sizeof(large));
	return large;
}

/* NULL: it has its default. */
static json_t *option_json(const struct option *option, const struct config_rule *rule)
{
	const void *field = (const char *)rule + option->offset;
	const char *text;
	uint64_t number;

	switch (option->type) {
	case OPTION_WORDS:
		return ((const struct config_words *)field)->count == 0 ? NULL : words_json(field);
	case OPTION_TEXT:
		text = *(const char *const *)field;
		return text == NULL || text[0] == '\0' ? NULL : json_string(text);
	case OPTION_COUNT:
	case OPTION_SIZE:
	case OPTION_TIME:
		number = number_of(option, field);
		return number == 0 ? NULL : number_json(option, number);
	default: return NULL; /* action and shadow stand by themselves */
	}
}

/* Options in front of "action" in the table are conditions. */
static void add_options(json_t *json, const struct config_rule *rule, bool wants_conditions)
{
	bool is_condition = true;

	for (size_t i = 0; i < option_count; i++) {
		const struct option *option = &option_table[i];
		json_t *value;

		if (option->section != SECTION_RULE)
			continue;
		is_condition &= strcmp(option->name, "action") != 0;
		value = is_condition == wants_conditions ? option_json(option, rule) : NULL;
		if (value != NULL)
			json_object_set_new(json, option->name, value);
	}
}

json_t *policy_rule_json(const struct policy *policy, uint32_t n)
{
	const struct policy_rule *rule = &policy->rules[n];
	json_t *json = json_object(), *conditions = json_object(), *terms = json_object();

	json_object_set_new(json, "name", json_string(rule->name));
	if (rule->set != NULL)
		json_object_set_new(json, "set", json_string(rule->set));
	json_object_set_new(json, "action", json_string(policy_action_word(rule->action)));
	json_object_set_new(json, "shadow", json_boolean(rule->is_shadow));
	add_options(conditions, rule->own, true);
	json_object_set_new(json, "conditions", conditions);
	if (rule->outer != NULL) {
		json_t *more = json_object();

		add_options(more, rule->outer, true);
		json_object_set_new(json, "rule_conditions", more);
	}
	add_options(terms, rule->own, false);
	json_object_set_new(json, "terms", terms);
	return json;
}

static void print_value(const json_t *value)
{
	size_t i;
	json_t *entry;

	if (json_is_integer(value)) {
		printf("%lld", (long long)json_integer_value(value));
		return;
	}
	if (json_is_string(value)) {
		printf("%s", json_string_value(value));
		return;
	}
	putchar('{');
	json_array_foreach(value, i, entry)
		printf("%s\"%s\"", i == 0 ? "" : ", ", json_string_value(entry));
	putchar('}');
}

void policy_print_options(const json_t *options, const char *indent)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)options, name, value)
	{
		printf("%s%s = ", indent, name);
		print_value(value);
		putchar('\n');
	}
}
