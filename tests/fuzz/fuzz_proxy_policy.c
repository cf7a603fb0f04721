/* Rules and a request: "use=…" and rules as tests/unit/policy_fixture.h has them, a line each; a line that
 * begins with "?" is the request. Whatever stands there, the rules are taken or told to be wrong, and the quick
 * way through them comes to what the slow one does. XPath has a target of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/policy_rule.h"
#include "tests/unit/policy_fixture.h"

enum { RULES_MAX = 12, LINE_MAX_LEN = 400 };

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void ignore(void *context, const char *text)
{
	(void)context;
	require(strncmp(text, "test.conf:", 10) == 0);
}

/* The nth word of a line; "" beyond the last. */
static const char *word(char *words[], size_t n)
{
	return words[n] == NULL ? "" : words[n];
}

/* Words with "|" between them: numbers as bits, texts as they are. */
static void read_request(char *line, struct policy_facts *facts)
{
	char *words[16] = {NULL};
	char *rest = line;

	for (size_t i = 0; i < 15 && rest != NULL; i++)
		words[i] = strsep(&rest, "|");
	facts->mailbox = word(words, 0);
	facts->issuer = word(words, 1);
	facts->device_id = word(words, 2);
	facts->device_type = word(words, 3);
	facts->model = word(words, 4);
	facts->os = word(words, 5);
	facts->user_agent = span_of_string(word(words, 6));
	facts->command =
		(enum eas_command)(strtoul(word(words, 7), NULL, 10) % (EAS_COMMAND_COUNT + 1));
	facts->version = policy_version_read(word(words, 8));
	facts->groups = strtoul(word(words, 9), NULL, 16);
	facts->now = (int64_t)(strtoul(word(words, 10), NULL, 10) % 4000000000U);
	facts->classes = (uint8_t)strtoul(word(words, 11), NULL, 16);
	facts->acts = (uint32_t)strtoul(word(words, 12), NULL, 16);
	facts->attachment_largest = strtoul(word(words, 13), NULL, 10);
	facts->has_body = facts->acts % 2 == 0;
	facts->recipients[0] = facts->attachments[0].name = span_of_string(word(words, 14));
	facts->recipient_count = facts->attachment_count = facts->recipients[0].len > 0;
	memcpy(&facts->source, word(words, 2), strnlen(word(words, 2), sizeof(facts->source)));
}

/* The slow way: every rule in full. True: a rule was passed over that could hold. */
static bool glance_is_wrong(struct policy *policy, const struct policy_facts *facts, bool is_whole)
{
	struct policy_findings findings;
	uint64_t asked;
	bool is_wrong = false;

	policy_findings_begin(policy, &findings, facts, is_whole);
	asked = UINT64_C(1) << findings.command |
		UINT64_C(1) << (findings.version + POLICY_VERSION_SHIFT) |
		UINT64_C(1) << POLICY_TIME_SHIFT | UINT64_C(1) << POLICY_ISSUER_SHIFT;
	for (uint32_t i = 0; i < policy->rule_count; i++) {
		const struct policy_glance *glance = &policy->glances[i];
		const struct policy_test *failed;

		if (policy_rule_judge(policy, &policy->rules[i], &findings, &failed) ==
			POLICY_FAILS)
			continue;
		is_wrong |= (glance->asks & asked) != asked;
		for (int j = 0; j < POLICY_GLANCES; j++)
			is_wrong |= (glance->marks[j] >> findings.marks[glance->mark[j]] & 1) == 0;
		is_wrong |= glance->groups != 0 && (glance->groups & facts->groups) == 0;
	}
	policy_findings_end(&findings);
	return is_wrong;
}

static void judge(struct policy *policy, const struct policy_facts *facts)
{
	struct policy_decision decision = {0}, at_once = {0};
	enum policy_outcome outcome = policy_evaluate(policy, facts, false, &decision);

	require(!glance_is_wrong(policy, facts, false));
	require(!glance_is_wrong(policy, facts, true));
	require(policy_evaluate(policy, facts, true, &at_once) == POLICY_DECIDED);
	if (outcome == POLICY_NEEDS_BODY)
		require(policy_evaluate(policy, facts, true, &decision) == POLICY_DECIDED);
	/* In two steps it is the same. */
	require(decision.action == at_once.action && decision.rule == at_once.rule);
	require(decision.limit_rule == at_once.limit_rule && decision.strip == at_once.strip);
	require(decision.note_count == at_once.note_count);
	require(decision.action == POLICY_ALLOW || decision.rule != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_facts facts = {.mailbox = "",
		.issuer = "",
		.device_id = "",
		.device_type = "",
		.model = "",
		.os = ""};
	char *text = strndup((const char *)data, size);
	char *rest = text;
	struct config *config;
	struct policy *policy;

	require(text != NULL);
	setenv("TZ", "UTC", 1);
	config = policy_fixture_new(
		strncmp(text, "use=", 4) == 0 ? "read-only|min-protocol 14.1" : "");
	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		if (strlen(line) > LINE_MAX_LEN)
			line[LINE_MAX_LEN] = '\0';
		if (line[0] == '?')
			read_request(line + 1, &facts);
		else if (line[0] != '\0' && config->policy.rule_count < RULES_MAX &&
			 strstr(line, "xpath") == NULL)
			policy_fixture_rule(config, line);
	}
	policy = policy_new(config, ignore, NULL);
	if (policy != NULL)
		judge(policy, &facts);
	require((policy != NULL) == (policy_config_check(config, NULL, NULL) == 0));
	policy_free(policy);
	config_free(config);
	free(text);
	return 0;
}
