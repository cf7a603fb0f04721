/* From a rule as it is written to one as it is evaluated. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/oid.h"
#include "proxy/policy_rule.h"

struct compile {
	struct policy *policy;
	struct policy_report *report;
	struct policy_rule *rule;
	const struct config_rule *from; /* whose conditions are read */
	bool has_failed;
};

static void word_fault(struct compile *compile, const char *option, const struct config_word *word,
	const struct error *err)
{
	compile->has_failed = true;
	policy_fault(compile->report, word->line, "option '%s' in rule: %s", option, err->text);
}

static void rule_fault(struct compile *compile, const char *text)
{
	compile->has_failed = true;
	policy_fault(compile->report, compile->from->place.line, "rule '%s': %s",
		compile->from->name, text);
}

/* NULL when memory runs out. */
static struct policy_test *add_test(struct compile *compile, enum policy_fact fact)
{
	struct policy_rule *rule = compile->rule;
	struct policy_test *grown =
		realloc(rule->tests, (rule->test_count + 1) * sizeof(*rule->tests));
	struct policy_test *test;

	if (grown == NULL) {
		compile->has_failed = true;
		return NULL;
	}
	rule->tests = grown;
	test = &rule->tests[rule->test_count++];
	*test = (struct policy_test){.fact = (uint8_t)fact};
	return test;
}

static void clear_test(struct policy_test *test)
{
	switch ((enum policy_fact)test->fact) {
	case POLICY_FACT_SOURCE: free(test->networks); break;
	case POLICY_FACT_TIME: free(test->times); break;
	case POLICY_FACT_XPATH: policy_xpath_free(test->xpath); break;
	case POLICY_FACT_GROUP:
	case POLICY_FACT_OID:
	case POLICY_FACT_CLASS:
	case POLICY_FACT_ACT:
	case POLICY_FACT_ATTACHMENT_SIZE:
	case POLICY_FACT_COUNT: break;
	default: policy_texts_free(test->texts);
	}
}

void policy_rule_clear(struct policy_rule *rule)
{
	for (uint32_t i = 0; i < rule->test_count; i++)
		clear_test(&rule->tests[i]);
	free(rule->tests);
	policy_texts_free(rule->strip.types);
}

/* Conditions that are masks */

static uint32_t read_mask(struct compile *compile, const char *option,
	const struct config_words *words, policy_bits_reader *read, uint32_t all)
{
	const struct config_word *wrong;
	struct error err;
	uint32_t mask = 0;

	if (policy_words_mask(words, read, all, &mask, &wrong, &err) == -1)
		word_fault(compile, option, wrong, &err);
	else if (mask == 0)
		policy_fault(compile->report, words->list[0].line,
			"option '%s' in rule: nothing is left when all that is excluded is taken "
			"out",
			option);
	compile->has_failed |= mask == 0;
	return mask;
}

static void take_masks(struct compile *compile)
{
	const struct config_rule *from = compile->from;
	static const uint32_t all_versions = (1U << POLICY_VERSION_COUNT) - 1;
	struct policy_test *test;

	compile->rule->commands &= read_mask(
		compile, "command", &from->command, policy_command_bits, policy_all_commands);
	/* What says no version is in no list of them. */
	if (from->protocol.count > 0)
		compile->rule->versions &= (uint16_t)read_mask(compile, "protocol", &from->protocol,
			policy_version_bits, all_versions & ~1U);
	if (from->class.count > 0) {
		test = add_test(compile, POLICY_FACT_CLASS);
		if (test != NULL)
			test->bits =
				read_mask(compile, "class", &from->class, policy_class_bits, 0xff);
	}
	if (from->does.count > 0) {
		test = add_test(compile, POLICY_FACT_ACT);
		if (test != NULL)
			test->bits = read_mask(
				compile, "does", &from->does, policy_act_bits, UINT16_MAX);
	}
}

/* Conditions that are bits of a list of names */

static void add_bit(struct policy_test *test, bool is_not, size_t n)
{
	if (is_not)
		test->excluded |= UINT64_C(1) << n;
	else
		test->named |= UINT64_C(1) << n;
	test->names_any |= !is_not;
}

static void take_groups(struct compile *compile)
{
	const struct config_policy *config = &compile->policy->config->policy;
	const struct config_words *words = &compile->from->group;
	struct policy_test *test = words->count == 0 ? NULL : add_test(compile, POLICY_FACT_GROUP);

	if (test == NULL)
		return;
	for (size_t i = 0; i < words->count; i++) {
		bool is_not = words->list[i].text[0] == '!';

		/* config_load() has put every group that a rule names into the list. */
		for (size_t n = 0; n < config->group_count; n++)
			if (strcasecmp(config->groups[n], words->list[i].text + is_not) == 0)
				add_bit(test, is_not, n);
	}
}

/* Its number in policy->oids, or -1. */
static int find_oid(struct compile *compile, const char *text)
{
	struct policy *policy = compile->policy;

	for (uint32_t i = 0; i < policy->oid_count; i++)
		if (strcmp(policy->oids[i], text) == 0)
			return (int)i;
	if (policy->oid_count == POLICY_OIDS_MAX)
		return -1;
	policy->oids[policy->oid_count] = strdup(text);
	if (policy->oids[policy->oid_count] == NULL)
		return -1;
	return (int)policy->oid_count++;
}

static void take_oids(struct compile *compile)
{
	const struct config_words *words = &compile->from->certificate_policy;
	struct policy_test *test = words->count == 0 ? NULL : add_test(compile, POLICY_FACT_OID);

	for (size_t i = 0; test != NULL && i < words->count; i++) {
		const struct config_word *word = &words->list[i];
		bool is_not = word->text[0] == '!';
		struct error err;
		int n;

		if (oid_check(word->text + is_not, &err) == -1) {
			word_fault(compile, "certificate-policy", word, &err);
			continue;
		}
		n = find_oid(compile, word->text + is_not);
		if (n == -1) {
			error_set(&err, "more than %d policies in all rules", POLICY_OIDS_MAX);
			word_fault(compile, "certificate-policy", word, &err);
			continue;
		}
		add_bit(test, is_not, (size_t)n);
	}
}

/* Conditions that are lists of their own kind */

static void take_sources(struct compile *compile)
{
	const struct config_words *words = &compile->from->source;
	struct policy_test *test = words->count == 0 ? NULL : add_test(compile, POLICY_FACT_SOURCE);

	if (test == NULL)
		return;
	test->networks = calloc(words->count, sizeof(*test->networks));
	if (test->networks == NULL) {
		compile->has_failed = true;
		return;
	}
	for (size_t i = 0; i < words->count; i++) {
		struct error err;

		if (policy_network_read(
			    words->list[i].text, &test->networks[test->count++], &err) == -1)
			word_fault(compile, "source", &words->list[i], &err);
	}
}

static void take_times(struct compile *compile)
{
	const struct config_words *words = &compile->from->time;
	struct policy_test *test = words->count == 0 ? NULL : add_test(compile, POLICY_FACT_TIME);

	if (test == NULL)
		return;
	test->times = calloc(words->count, sizeof(*test->times));
	if (test->times == NULL) {
		compile->has_failed = true;
		return;
	}
	for (size_t i = 0; i < words->count; i++) {
		struct error err;

		if (policy_time_read(words->list[i].text, &test->times[test->count++], &err) == -1)
			word_fault(compile, "time", &words->list[i], &err);
	}
}

/* What can never be anybody's is a slip, which would let through what a rule is to refuse. */
static void check_names(struct compile *compile, const char *option,
	const struct config_words *words, bool are_addresses)
{
	for (size_t i = 0; i < words->count; i++) {
		const char *text = words->list[i].text;
		bool has_at = strchr(text, '@') != NULL;
		struct error err;

		if (are_addresses && !has_at && strpbrk(text, "*?") == NULL)
			error_set(&err,
				"'%.100s' is not the address of a mailbox; write it with its "
				"domain, or what stands for several, such as *@example.com",
				text);
		else if (!are_addresses && has_at)
			error_set(&err, "'%.100s' is not a domain, such as example.com", text);
		else
			continue;
		word_fault(compile, option, &words->list[i], &err);
	}
}

static void take_texts(struct compile *compile)
{
	const struct config_rule *from = compile->from;
	const struct {
		enum policy_fact fact;
		const struct config_words *words;
	} lists[] = {
		{POLICY_FACT_MAILBOX, &from->mailbox},
		{POLICY_FACT_DOMAIN, &from->domain},
		{POLICY_FACT_DEVICE, &from->device},
		{POLICY_FACT_DEVICE_TYPE, &from->device_type},
		{POLICY_FACT_MODEL, &from->model},
		{POLICY_FACT_OS, &from->os},
		{POLICY_FACT_USER_AGENT, &from->user_agent},
		{POLICY_FACT_ISSUER, &from->issuer},
		{POLICY_FACT_ATTACHMENT, &from->attachment},
		{POLICY_FACT_RECIPIENT_DOMAIN, &from->recipient_domain},
	};

	check_names(compile, "mailbox", &from->mailbox, true);
	check_names(compile, "domain", &from->domain, false);
	check_names(compile, "recipient-domain", &from->recipient_domain, false);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct policy_test *test =
			lists[i].words->count == 0 ? NULL : add_test(compile, lists[i].fact);

		if (test == NULL)
			continue;
		test->texts = policy_texts_new(lists[i].words);
		compile->has_failed |= test->texts == NULL;
	}
}

/* "(boolean(A) or boolean(B)) and not(boolean(C))": what any of a list is, as one expression. Every part
 * was found to be one of its own before. The caller frees it; NULL when memory runs out. */
static char *join_xpaths(const struct config_words *words, bool *names_any)
{
	size_t size = 1;
	char *text, *at;

	for (size_t i = 0; i < words->count; i++)
		size += strlen(words->list[i].text) + sizeof(" and not(boolean())");
	text = at = calloc(1, size + sizeof("() and true()"));
	if (text == NULL)
		return NULL;
	*names_any = false;
	for (size_t i = 0; i < words->count; i++) {
		if (words->list[i].text[0] == '!')
			continue;
		at += sprintf(at, "%sboolean(%s)", *names_any ? " or " : "(", words->list[i].text);
		*names_any = true;
	}
	at += sprintf(at, "%s", *names_any ? ")" : "true()");
	for (size_t i = 0; i < words->count; i++)
		if (words->list[i].text[0] == '!')
			at += sprintf(at, " and not(boolean(%s))", words->list[i].text + 1);
	return text;
}

static void take_xpaths(struct compile *compile)
{
	const struct config_words *words = &compile->from->xpath;
	struct policy_test *test = words->count == 0 ? NULL : add_test(compile, POLICY_FACT_XPATH);
	struct error err;
	char *text;

	if (test == NULL)
		return;
	compile->rule->asks_xpath = true;
	for (size_t i = 0; i < words->count; i++) {
		const char *part = words->list[i].text + (words->list[i].text[0] == '!');
		struct policy_xpath *xpath = policy_xpath_new(part, &err);

		if (xpath == NULL)
			word_fault(compile, "xpath", &words->list[i], &err);
		policy_xpath_free(xpath);
	}
	if (compile->has_failed)
		return;
	text = join_xpaths(words, &test->needs_document);
	test->xpath = text == NULL ? NULL : policy_xpath_new(text, &err);
	compile->has_failed |= test->xpath == NULL;
	free(text);
}

static void take_conditions(struct compile *compile, const struct config_rule *from)
{
	compile->from = from;
	take_masks(compile);
	take_groups(compile);
	take_oids(compile);
	take_sources(compile);
	take_times(compile);
	take_texts(compile);
	if (from->attachment_larger_than > 0) {
		struct policy_test *test = add_test(compile, POLICY_FACT_ATTACHMENT_SIZE);

		if (test != NULL)
			test->bound = from->attachment_larger_than;
	}
	take_xpaths(compile);
}

/* Two of its lists of texts, if it has as many, by which most requests are passed over. */
static void make_glance(const struct policy_rule *rule, struct policy_glance *glance)
{
	unsigned int n = 0;

	*glance = (struct policy_glance){
		.asks = rule->commands | (uint64_t)rule->versions << POLICY_VERSION_SHIFT |
			UINT64_C(1) << POLICY_TIME_SHIFT | UINT64_C(1) << POLICY_ISSUER_SHIFT,
		.marks = {UINT64_MAX, UINT64_MAX},
	};
	for (uint32_t i = 0; i < rule->test_count && n < POLICY_GLANCES; i++) {
		const struct policy_test *test = &rule->tests[i];
		enum policy_mark mark;

		if (test->fact == POLICY_FACT_GROUP && test->names_any)
			glance->groups = test->named;
		if (test->fact < POLICY_FIRST_TEXT || test->fact >= POLICY_FACT_ISSUER)
			continue;
		mark = policy_texts_marks(test->texts, &glance->marks[n]);
		if (mark != POLICY_MARK_NONE)
			glance->mark[n++] =
				(uint8_t)policy_mark_place(test->fact - POLICY_FIRST_TEXT, mark);
	}
}

/* Conditions about bodies only ever hold for commands whose bodies say something about them. */
static void narrow_commands(struct policy_rule *rule)
{
	for (uint32_t i = 0; i < rule->test_count; i++) {
		const struct policy_test *test = &rule->tests[i];

		switch ((enum policy_fact)test->fact) {
		case POLICY_FACT_CLASS: rule->commands &= policy_commands_with_classes(); break;
		case POLICY_FACT_ACT:
			rule->commands &= policy_commands_doing((uint32_t)test->bits);
			break;
		case POLICY_FACT_ATTACHMENT_SIZE:
		case POLICY_FACT_ATTACHMENT:
		case POLICY_FACT_RECIPIENT_DOMAIN:
			rule->commands &= policy_commands_with_mail();
			break;
		default: break;
		}
	}
}

static void note_text(struct policy *policy, unsigned int text, const struct policy_texts *texts)
{
	struct policy_ask *ask = policy->asks;
	uint64_t marks;
	enum policy_mark mark = policy_texts_marks(texts, &marks);

	while (ask < policy->asks + policy->ask_count && ask->text != text)
		ask++;
	if (ask == policy->asks + policy->ask_count) {
		policy->ask_count++;
		*ask = (struct policy_ask){.text = (uint8_t)text};
	}
	ask->hash |= policy_texts_ask_hash(texts);
	ask->start |= mark == POLICY_MARK_START;
	ask->last |= mark == POLICY_MARK_LAST;
}

static void note_what_is_asked(struct policy *policy, const struct policy_rule *rule)
{
	for (uint32_t i = 0; i < rule->test_count; i++) {
		const struct policy_test *test = &rule->tests[i];

		policy->asks_time |= test->fact == POLICY_FACT_TIME;
		policy->asks_xpath |= test->fact == POLICY_FACT_XPATH;
		policy->asks_class |= test->fact == POLICY_FACT_CLASS;
		policy->asks_issuer |= test->fact == POLICY_FACT_ISSUER;
		if (test->fact >= POLICY_FIRST_TEXT && test->fact < POLICY_FACT_ISSUER)
			note_text(policy, test->fact - POLICY_FIRST_TEXT, test->texts);
	}
}

static int compare_tests(const void *a, const void *b)
{
	const struct policy_test *one = a, *other = b;

	return (int)one->fact - (int)other->fact;
}

/* What the action needs */

static bool read_count(const char **p, uint32_t max, uint32_t *value)
{
	size_t len = strspn(*p, "0123456789");
	unsigned long number;

	if (len == 0 || len > 9 || (*p)[0] == '0')
		return false;
	number = strtoul(*p, NULL, 10);
	*p += len;
	*value = (uint32_t)number;
	return number <= max;
}

/* "60/1m" */
static bool read_rate(const char *text, struct policy_rate *rate)
{
	static const char units[] = "smhd";
	static const uint32_t seconds[] = {1, 60, 3600, 86400};
	const char *unit;

	if (!read_count(&text, 1000000, &rate->count) || *text++ != '/' ||
		!read_count(&text, 86400, &rate->time_s) || *text == '\0' || text[1] != '\0')
		return false;
	unit = strchr(units, *text);
	if (unit == NULL)
		return false;
	rate->time_s *= seconds[unit - units];
	return rate->time_s <= 86400;
}

static void take_rate(struct compile *compile, const struct config_rule *from)
{
	struct policy_rule *rule = compile->rule;

	if (from->rate == NULL || from->rate[0] == '\0')
		return;
	if (!read_rate(from->rate, &rule->rate)) {
		rule_fault(compile,
			"rate is a number of requests and a time of one day at most, such as "
			"60/1m");
		return;
	}
	if (compile->policy->rate_count == POLICY_RATES_MAX) {
		rule_fault(compile, "more than 4 rules with a rate");
		return;
	}
	rule->has_rate = true;
	rule->rate.slot = compile->policy->rate_count++;
}

static void take_strip(struct compile *compile, const struct config_rule *from)
{
	struct policy_rule *rule = compile->rule;

	if (from->folders.count > 0)
		rule->hidden_classes = (uint8_t)read_mask(
			compile, "folders", &from->folders, policy_class_bits, 0xff);
	rule->has_strip =
		from->larger_than > 0 || from->types.count > 0 || from->folders.count == 0;
	rule->strip.larger_than = from->larger_than;
	if (from->types.count > 0) {
		rule->strip.types = policy_texts_new(&from->types);
		compile->has_failed |= rule->strip.types == NULL;
	}
}

static void check_action(struct compile *compile, const struct config_rule *from)
{
	bool has_limit = from->body_size > 0 || from->heartbeat_ms > 0 ||
			 (from->rate != NULL && from->rate[0] != '\0');
	bool has_strip = from->larger_than > 0 || from->types.count > 0 || from->folders.count > 0;

	if (from->action == CONFIG_RULE_LIMIT && !has_limit)
		rule_fault(compile, "action = limit needs body-size, rate or heartbeat");
	if (from->action != CONFIG_RULE_LIMIT && has_limit)
		rule_fault(compile, "body-size, rate and heartbeat are for action = limit");
	if (from->action != CONFIG_RULE_STRIP && has_strip)
		rule_fault(compile, "larger-than, types and folders are for action = strip");
	if (from->action != CONFIG_RULE_DENY && (from->status != 0 || from->http != 0))
		rule_fault(compile, "status and http are for action = deny");
	if (from->http != 0 && from->http < 400)
		rule_fault(compile, "http is a status from 400 to 599");
	if (from->heartbeat_ms > 0 && from->heartbeat_ms < 60000)
		rule_fault(compile, "heartbeat is at least 60s: phones take none below");
}

static struct policy_rule *grow(struct policy *policy)
{
	struct policy_rule *grown =
		realloc(policy->rules, (policy->rule_count + 1) * sizeof(*grown));

	struct policy_glance *glances =
		realloc(policy->glances, (policy->rule_count + 1) * sizeof(*glances));

	if (grown != NULL)
		policy->rules = grown;
	if (glances != NULL)
		policy->glances = glances;
	if (grown == NULL || glances == NULL)
		return NULL;
	grown += policy->rule_count++;
	*grown = (struct policy_rule){.commands = policy_all_commands, .versions = UINT16_MAX};
	return grown;
}

int policy_compile(struct policy *policy, struct policy_report *report,
	const struct config_rule *rule, const struct config_rule *outer, const char *set)
{
	struct compile compile = {policy, report, grow(policy), rule, false};

	if (compile.rule == NULL)
		return -1;
	compile.rule->own = rule;
	compile.rule->outer = outer;
	compile.rule->name = outer == NULL ? rule->name : outer->name;
	compile.rule->set = set;
	compile.rule->action = (uint8_t)rule->action;
	compile.rule->is_shadow =
		policy->is_shadow || rule->is_shadow || (outer != NULL && outer->is_shadow);
	compile.rule->status = (uint16_t)rule->status;
	compile.rule->http = (uint16_t)rule->http;
	compile.rule->body_size = rule->body_size;
	compile.rule->heartbeat_s = rule->heartbeat_ms / 1000;
	take_conditions(&compile, rule);
	if (outer != NULL)
		take_conditions(&compile, outer);
	if (compile.rule->test_count > 1)
		qsort(compile.rule->tests, compile.rule->test_count, sizeof(struct policy_test),
			compare_tests);
	compile.from = rule;
	check_action(&compile, rule);
	take_rate(&compile, rule);
	if (rule->action == CONFIG_RULE_STRIP)
		take_strip(&compile, rule);
	if (compile.has_failed)
		return -1;
	narrow_commands(compile.rule);
	note_what_is_asked(policy, compile.rule);
	make_glance(compile.rule, &policy->glances[policy->rule_count - 1]);
	return 0;
}
