/* What the rules would make of a request, and why. */
#include <stdio.h>
#include <string.h>

#include "proxy/easproxyctl_answer.h"
#include "proxy/easproxyctl_policy.h"
#include "proxy/easproxyctl_policy_trial.h"
#include "proxy/easproxyctl_usage.h"
#include "proxy/policy_rule.h"

static const char usage[] =
	"policy test [--request FILE|-] [--command NAME] [--version V] [--mailbox A] [--device ID] "
	"[--device-type T] [--model M] [--os O] [--user-agent U] [--source IP] [--time T] [--group "
	"G]... [--class C]... [--issuer DN | --cert FILE] [--json] [-c FILE]";

/* The option that leaves the command out: by name, or because it is about bodies of other commands. */
static const char *option_of_command(const struct config_rule *rule)
{
	return rule->command.count > 0                                          ? "command"
	       : rule->does.count > 0                                           ? "does"
	       : rule->class.count > 0                                          ? "class"
	       : rule->recipient_domain.count > 0                               ? "recipient-domain"
	       : rule->attachment.count > 0 || rule->attachment_larger_than > 0 ? "attachment"
										: NULL;
}

static const char *why_not(const struct policy_rule *rule, const struct policy_test *failed,
	const struct policy_findings *findings)
{
	const char *option;

	if (failed != NULL)
		return policy_fact_name((enum policy_fact)failed->fact);
	if ((rule->commands >> findings->command & 1) != 0)
		return "protocol";
	option = rule->outer == NULL ? NULL : option_of_command(rule->outer);
	return option != NULL ? option : option_of_command(rule->own);
}

/* What the request has there, where that is a text. */
static void add_value(
	json_t *json, const struct policy_test *failed, const struct policy_findings *findings)
{
	struct span text;

	if (failed == NULL || failed->fact < POLICY_FIRST_TEXT ||
		failed->fact >= POLICY_FACT_ISSUER)
		return;
	text = findings->texts[failed->fact - POLICY_FIRST_TEXT];
	json_object_set_new(json, "value", json_stringn((const char *)text.data, text.len));
}

/* One rule. True: it decides, or what comes after it depends on the body. */
static bool judge_rule(
	struct trial *trial, uint32_t n, struct policy_findings *findings, json_t *list)
{
	const struct policy_rule *rule = &trial->policy->rules[n];
	const struct policy_test *failed;
	enum policy_result result = policy_rule_judge(trial->policy, rule, findings, &failed);
	json_t *json = policy_rule_json(trial->policy, n);
	bool only_notes = rule->is_shadow || rule->action == CONFIG_RULE_LOG;
	bool ends = false;

	if (result == POLICY_FAILS) {
		json_object_set_new(json, "result", json_string("does not hold"));
		json_object_set_new(
			json, "condition", json_string(why_not(rule, failed, findings)));
		add_value(json, failed, findings);
	} else if (result == POLICY_UNKNOWN) {
		json_object_set_new(json, "result",
			json_string(findings->is_whole ? "depends on the class of folders"
						       : "depends on the body"));
		ends = !findings->is_whole || !only_notes;
	} else if (findings->has_failed) {
		json_object_set_new(json, "result", json_string("cannot see the document"));
		ends = !only_notes;
		findings->has_failed = false;
	} else {
		json_object_set_new(json, "result", json_string("holds"));
		ends = rule->action <= CONFIG_RULE_WIPE &&
		       (!rule->is_shadow || trial->policy->is_shadow);
	}
	json_array_append_new(list, json);
	return ends;
}

static void add_terms(json_t *answer, const struct policy_decision *decision)
{
	char words[100];

	if (decision->eas_status != 0) {
		json_object_set_new(answer, "eas_status", json_integer(decision->eas_status));
		json_object_set_new(answer, "http_status", json_integer(decision->http_status));
	}
	if (decision->limit_rule != NULL)
		json_object_set_new(answer, "limit_rule", json_string(decision->limit_rule));
	if (decision->strip_rule != NULL)
		json_object_set_new(answer, "strip_rule", json_string(decision->strip_rule));
	if (decision->hidden_classes != 0) {
		policy_class_words(decision->hidden_classes, words, sizeof(words));
		json_object_set_new(answer, "hidden_folders", json_string(words));
	}
}

static const char *decision_word(
	const struct policy_decision *decision, enum policy_outcome outcome)
{
	static const char *const words[] = {[POLICY_ALLOW] = "allow",
		[POLICY_DENY] = "deny",
		[POLICY_QUARANTINE] = "quarantine",
		[POLICY_WIPE] = "wipe"};

	if (outcome == POLICY_NEEDS_BODY)
		return "depends on the body";
	if (decision->has_failed)
		return "deny (policy-document)";
	if (decision->wants_folders)
		return "deny (folders-unknown)";
	return words[decision->action];
}

static json_t *judge(struct trial *trial, int *status)
{
	json_t *answer = json_object(), *rules = json_array();
	bool is_whole = trial->has_body;
	struct policy_decision decision = {0};
	struct policy_findings findings;
	enum policy_outcome outcome;
	char words[200];

	decision.wants_document = true;
	outcome = policy_evaluate(trial->policy, &trial->facts, is_whole, &decision);
	policy_findings_begin(trial->policy, &findings, &trial->facts, is_whole);
	for (uint32_t i = 0; i < trial->policy->rule_count; i++)
		if (judge_rule(trial, i, &findings, rules))
			break;
	policy_findings_end(&findings);

	json_object_set_new(answer, "decision", json_string(decision_word(&decision, outcome)));
	if (decision.rule != NULL)
		json_object_set_new(answer, "rule", json_string(decision.rule));
	json_object_set_new(answer, "command",
		json_string(trial->facts.command != EAS_NO_COMMAND
				    ? eas_command_name(trial->facts.command)
			    : trial->facts.is_autodiscover ? "Autodiscover"
							   : "OPTIONS"));
	policy_act_words(
		trial->facts.acts | policy_acts_of_command[findings.command], words, sizeof(words));
	json_object_set_new(answer, "does", json_string(words));
	policy_class_words(trial->facts.classes, words, sizeof(words));
	json_object_set_new(answer, "classes", json_string(words));
	add_terms(answer, &decision);
	json_object_set_new(answer, "rules", rules);
	*status = outcome == POLICY_DECIDED && decision.action == POLICY_ALLOW
			  ? POLICY_EXIT_PASSES
			  : POLICY_EXIT_REFUSED;
	return answer;
}

static void print_rule(const json_t *rule)
{
	printf("%-24s %-10s %s", answer_text(rule, "name"), answer_text(rule, "action"),
		answer_text(rule, "result"));
	if (answer_text(rule, "condition")[0] != '\0')
		printf(": %s", answer_text(rule, "condition"));
	if (json_object_get(rule, "value") != NULL)
		printf(" (\"%s\")", answer_text(rule, "value"));
	if (answer_is_true(rule, "shadow"))
		printf(" (in shadow)");
	putchar('\n');
}

static void print_answer(const json_t *answer)
{
	size_t i;
	const json_t *rule;

	json_array_foreach(json_object_get(answer, "rules"), i, rule) print_rule(rule);
	printf("%s%s: %s", i == 0 ? "" : "\n", answer_text(answer, "command"),
		answer_text(answer, "decision"));
	if (answer_text(answer, "rule")[0] != '\0')
		printf(", by the rule %s", answer_text(answer, "rule"));
	else if (strcmp(answer_text(answer, "decision"), "allow") == 0)
		printf(", as no rule decides");
	if (answer_number(answer, "eas_status") != 0)
		printf(" (EAS status %lld from 14.0 on, else HTTP %lld)",
			answer_number(answer, "eas_status"), answer_number(answer, "http_status"));
	putchar('\n');
	if (answer_text(answer, "does")[0] != '\0')
		printf("it does: %s\n", answer_text(answer, "does"));
	if (answer_text(answer, "classes")[0] != '\0')
		printf("its folders hold: %s\n", answer_text(answer, "classes"));
	if (answer_text(answer, "limit_rule")[0] != '\0')
		printf("within the limits of the rule %s\n", answer_text(answer, "limit_rule"));
	if (answer_text(answer, "strip_rule")[0] != '\0')
		printf("its answer is changed by the rule %s\n", answer_text(answer, "strip_rule"));
	if (answer_text(answer, "hidden_folders")[0] != '\0')
		printf("folders that are not shown: %s\n", answer_text(answer, "hidden_folders"));
}

int ctl_policy_test(int argc, char **argv)
{
	struct trial trial = {0};
	struct trial_arguments arguments;
	struct config *config;
	struct error err;
	int status = POLICY_EXIT_USAGE;

	if (trial_read_arguments(argc, argv, &arguments) == -1)
		return ctl_usage(argc, argv, usage);
	trial.policy = policy_load(arguments.config_path, &config);
	if (trial.policy == NULL)
		return POLICY_EXIT_USAGE;
	if (trial_take(&trial, &arguments, &err) == -1) {
		fprintf(stderr, "easproxyctl policy test: %s\n", err.text);
	} else {
		json_t *answer = judge(&trial, &status);

		if (arguments.wants_json)
			answer_print(answer, JSON_INDENT(2));
		else
			print_answer(answer);
		json_decref(answer);
	}
	trial_free(&trial);
	policy_free(trial.policy);
	config_free(config);
	return status;
}
