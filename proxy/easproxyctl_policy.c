#include "proxy/easproxyctl_policy.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "auth/trust_store.h"
#include "proxy/easproxyctl_answer.h"
#include "proxy/easproxyctl_usage.h"
#include "proxy/policy_rule.h"

/* Warnings are for easproxyctl check. */
static void print_fault(void *context, const char *text)
{
	(void)context;
	if (strstr(text, ": warning: ") == NULL)
		fprintf(stderr, "%s\n", text);
}

struct policy *policy_load(const char *path, struct config **config)
{
	struct policy *policy;

	*config = config_load(path, trust_store_config_check, print_fault, NULL);
	if (*config == NULL)
		return NULL;
	policy = policy_new(*config, print_fault, NULL);
	if (policy == NULL)
		config_free(*config);
	return policy;
}

static void print_rule(const json_t *rule, uint32_t n)
{
	const char *set = answer_text(rule, "set");

	printf("%u. %s: %s", n + 1, answer_text(rule, "name"), answer_text(rule, "action"));
	if (set[0] != '\0')
		printf(", of the set %s", set);
	if (answer_is_true(rule, "shadow"))
		printf(", in shadow");
	putchar('\n');
	policy_print_options(json_object_get(rule, "rule_conditions"), "\t");
	policy_print_options(json_object_get(rule, "conditions"), "\t");
	policy_print_options(json_object_get(rule, "terms"), "\t-> ");
}

static void print_list(const struct policy *policy, bool wants_json)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < policy->rule_count; i++)
		json_array_append_new(list, policy_rule_json(policy, i));
	if (wants_json) {
		answer_print(list, JSON_INDENT(2));
	} else {
		for (uint32_t i = 0; i < policy->rule_count; i++)
			print_rule(json_array_get(list, i), i);
		if (policy->rule_count == 0)
			puts("There are no rules: everything passes.");
	}
	json_decref(list);
}

int ctl_policy_list(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	const char *path = EASPROXY_CONFIG;
	bool wants_json = false;
	struct config *config;
	struct policy *policy;
	int option;

	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (option == 'c')
			path = optarg;
		else if (option == 'j')
			wants_json = true;
		else
			break;
	}
	if (option != -1 || optind != argc)
		return ctl_usage(argc, argv, "policy list [--json] [-c FILE]");
	policy = policy_load(path, &config);
	if (policy == NULL)
		return POLICY_EXIT_USAGE;
	print_list(policy, wants_json);
	policy_free(policy);
	config_free(config);
	return POLICY_EXIT_PASSES;
}

int ctl_policy(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "list") == 0)
		return ctl_policy_list(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "test") == 0)
		return ctl_policy_test(argc - 1, argv + 1);
	return ctl_usage(argc, argv, "policy list | test [--request FILE|-] [OPTION...]");
}
