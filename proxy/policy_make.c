/* A policy is made of the configuration here, and asked about itself. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proxy/policy.h"
#include "proxy/policy_rule.h"

void policy_fault(struct policy_report *report, int line, const char *format, ...)
{
	char text[700];
	int len = snprintf(text, sizeof(text), "%s:%d: ", report->file, line);
	va_list args;

	va_start(args, format);
	if (len > 0 && (size_t)len < sizeof(text))
		vsnprintf(text + len, sizeof(text) - (size_t)len, format, args);
	va_end(args);
	report->has_failed = true;
	if (report->report != NULL)
		report->report(report->context, text);
}

/* The rules of a set, for everybody or within a rule that has action = use. */
static void add_set(struct policy *policy, struct policy_report *report,
	const struct config_word *word, const struct config_rule *outer)
{
	struct error err;
	size_t count;
	struct config_rule *rules = policy_set_expand(word->text, &count, &err);
	struct policy_set *grown;

	if (rules == NULL) {
		policy_fault(report, word->line, "option 'use' in %s: %s",
			outer == NULL ? "policy" : "rule", err.text);
		return;
	}
	grown = realloc(policy->sets, (policy->set_count + 1) * sizeof(*grown));
	if (grown == NULL) {
		for (size_t i = 0; i < count; i++)
			config_rule_clear(&rules[i]);
		free(rules);
		report->has_failed = true;
		return;
	}
	policy->sets = grown;
	policy->sets[policy->set_count++] = (struct policy_set){count, rules};
	for (size_t i = 0; i < count; i++)
		if (policy_compile(policy, report, &rules[i], outer, word->text) == -1)
			report->has_failed = true;
	if (outer == NULL && !policy->is_shadow) {
		unsigned int version = policy_set_min_protocol(word->text);

		if (version > policy->min_protocol)
			policy->min_protocol = version;
	}
}

static void add_rule(
	struct policy *policy, struct policy_report *report, const struct config_rule *rule)
{
	if (rule->action == CONFIG_RULE_USE && rule->use.count == 0)
		policy_fault(report, rule->place.line,
			"rule '%s': action = use needs use, the names of sets", rule->name);
	if (rule->action != CONFIG_RULE_USE && rule->use.count > 0)
		policy_fault(report, rule->use.list[0].line,
			"rule '%s': sets are used by action = use", rule->name);
	if (rule->action == CONFIG_RULE_USE) {
		for (size_t i = 0; i < rule->use.count; i++)
			add_set(policy, report, &rule->use.list[i], rule);
	} else if (policy_compile(policy, report, rule, NULL, NULL) == -1) {
		report->has_failed = true;
	}
}

struct policy *policy_new(const struct config *config, config_report *report, void *context)
{
	struct policy_report faults = {report, context, config->path, false};
	struct policy *policy = calloc(1, sizeof(*policy));

	if (policy == NULL)
		return NULL;
	tzset();
	policy->config = config;
	policy->is_shadow = config->policy.is_shadow;
	policy->minute = -1;
	for (size_t i = 0; i < config->policy.use.count; i++)
		add_set(policy, &faults, &config->policy.use.list[i], NULL);
	for (size_t i = 0; i < config->policy.rule_count; i++)
		add_rule(policy, &faults, &config->policy.rules[i]);
	if (!faults.has_failed)
		return policy;
	policy_free(policy);
	return NULL;
}

void policy_free(struct policy *policy)
{
	if (policy == NULL)
		return;
	for (uint32_t i = 0; i < policy->rule_count; i++)
		policy_rule_clear(&policy->rules[i]);
	for (uint32_t i = 0; i < policy->set_count; i++) {
		for (size_t j = 0; j < policy->sets[i].count; j++)
			config_rule_clear(&policy->sets[i].rules[j]);
		free(policy->sets[i].rules);
	}
	for (uint32_t i = 0; i < policy->oid_count; i++)
		free(policy->oids[i]);
	free(policy->sets);
	free(policy->glances);
	free(policy->rules);
	free(policy);
}

int policy_config_check(const struct config *config, config_report *report, void *context)
{
	struct policy *policy = policy_new(config, report, context);

	if (policy == NULL)
		return -1;
	policy_free(policy);
	return 0;
}

/* What is asked of it */

unsigned int policy_min_protocol(const struct policy *policy)
{
	return policy->min_protocol;
}

uint64_t policy_document_size(const struct policy *policy)
{
	return policy->config->policy.document_size;
}

const char *policy_note(const struct policy *policy, uint16_t note, bool *is_shadow)
{
	*is_shadow = policy->rules[note].is_shadow;
	return policy->rules[note].name;
}

bool policy_may_strip(const struct policy *policy)
{
	for (uint32_t i = 0; i < policy->rule_count; i++)
		if (policy->rules[i].action == CONFIG_RULE_STRIP && !policy->rules[i].is_shadow)
			return true;
	return false;
}

bool policy_asks_document(const struct policy *policy)
{
	return policy->asks_xpath;
}

bool policy_asks_class(const struct policy *policy)
{
	return policy->asks_class;
}

bool policy_asks_user_agent(const struct policy *policy)
{
	for (uint32_t i = 0; i < policy->ask_count; i++)
		if (policy->asks[i].text == POLICY_FACT_USER_AGENT - POLICY_FIRST_TEXT)
			return true;
	return false;
}

const char *policy_action_word(unsigned int action)
{
	static const char *const words[] = {
		[CONFIG_RULE_ALLOW] = "allow",
		[CONFIG_RULE_DENY] = "deny",
		[CONFIG_RULE_QUARANTINE] = "quarantine",
		[CONFIG_RULE_WIPE] = "wipe",
		[CONFIG_RULE_LOG] = "log",
		[CONFIG_RULE_LIMIT] = "limit",
		[CONFIG_RULE_STRIP] = "strip",
		[CONFIG_RULE_USE] = "use",
	};

	return words[action];
}
