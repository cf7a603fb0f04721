/* Rules are gone through here; policy_make.c makes them, of what policy_compile.c has for each. */
#include "proxy/policy.h"

#include <assert.h>
#include <string.h>

#include "proxy/eas_body.h"
#include "proxy/policy_rule.h"

static const char *const fact_names[POLICY_FACT_COUNT] = {
	[POLICY_FACT_GROUP] = "group",
	[POLICY_FACT_OID] = "certificate-policy",
	[POLICY_FACT_SOURCE] = "source",
	[POLICY_FACT_TIME] = "time",
	[POLICY_FACT_MAILBOX] = "mailbox",
	[POLICY_FACT_DOMAIN] = "domain",
	[POLICY_FACT_DEVICE] = "device",
	[POLICY_FACT_DEVICE_TYPE] = "device-type",
	[POLICY_FACT_MODEL] = "model",
	[POLICY_FACT_OS] = "os",
	[POLICY_FACT_USER_AGENT] = "user-agent",
	[POLICY_FACT_ISSUER] = "issuer",
	[POLICY_FACT_CLASS] = "class",
	[POLICY_FACT_ACT] = "does",
	[POLICY_FACT_ATTACHMENT_SIZE] = "attachment-larger-than",
	[POLICY_FACT_ATTACHMENT] = "attachment",
	[POLICY_FACT_RECIPIENT_DOMAIN] = "recipient-domain",
	[POLICY_FACT_XPATH] = "xpath",
};

const char *policy_fact_name(enum policy_fact fact)
{
	return fact_names[fact];
}

/* Facts */

static unsigned int command_of(const struct policy_facts *facts)
{
	if (facts->command != EAS_NO_COMMAND)
		return facts->command;
	return facts->is_autodiscover ? POLICY_AUTODISCOVER : POLICY_OPTIONS;
}

void policy_findings_end(struct policy_findings *findings)
{
	policy_document_free(findings->document);
}

static struct span domain_of(struct span address)
{
	const uint8_t *at = address.len == 0 ? NULL : memrchr(address.data, '@', address.len);

	if (at == NULL)
		return (struct span){0};
	return span_of(at + 1, (size_t)(address.data + address.len - (at + 1)));
}

/* The common name in a DN of RFC 2253, empty where there is none: it ends at a comma or plus that is not
 * escaped. */
static struct span common_name(const char *dn)
{
	for (const char *p = dn; *p != '\0';) {
		bool is_name = strncmp(p, "CN=", 3) == 0;
		const char *begin = p + 3;

		for (; *p != '\0' && *p != ',' && *p != '+'; p++)
			p += *p == '\\' && p[1] != '\0';
		if (is_name)
			return span_of(begin, (size_t)(p - begin));
		p += *p != '\0';
		p += *p == ' ';
	}
	return (struct span){0};
}

/* n: its place among the texts. */
static struct span read_text(const struct policy_facts *facts, unsigned int n)
{
	struct span agent = facts->user_agent;

	switch (n + POLICY_FIRST_TEXT) {
	case POLICY_FACT_MAILBOX: return span_of_string(facts->mailbox);
	case POLICY_FACT_DOMAIN: return domain_of(span_of_string(facts->mailbox));
	case POLICY_FACT_DEVICE: return span_of_string(facts->device_id);
	case POLICY_FACT_DEVICE_TYPE: return span_of_string(facts->device_type);
	case POLICY_FACT_MODEL: return span_of_string(facts->model);
	case POLICY_FACT_OS: return span_of_string(facts->os);
	default:
		assert(n + POLICY_FIRST_TEXT == POLICY_FACT_USER_AGENT); /* no other text */
		if (agent.len > POLICY_USER_AGENT_MAX)
			agent.len = POLICY_USER_AGENT_MAX;
		return agent;
	}
}

static void know_texts(const struct policy *policy, struct policy_findings *findings)
{
	for (uint32_t i = 0; i < policy->ask_count; i++) {
		const struct policy_ask *ask = &policy->asks[i];
		struct span text = read_text(findings->facts, ask->text);
		uint8_t *marks = &findings->marks[policy_mark_place(ask->text, POLICY_MARK_NONE)];

		findings->texts[ask->text] = text;
		if (ask->hash) {
			uint64_t hash = policy_texts_hash(text);

			findings->hashes[ask->text] = hash;
			marks[POLICY_MARK_HASH] = policy_mark(POLICY_MARK_HASH, text, hash);
		}
		if (ask->start)
			marks[POLICY_MARK_START] = policy_mark(POLICY_MARK_START, text, 0);
		if (ask->last)
			marks[POLICY_MARK_LAST] = policy_mark(POLICY_MARK_LAST, text, 0);
	}
}

static void set_glance(struct policy_glance *glance, int shift, bool holds)
{
	glance->asks &= ~(UINT64_C(1) << shift);
	glance->asks |= (uint64_t)holds << shift;
}

/* What conditions of time say is found out once a minute. */
static void know_time(struct policy *policy, int64_t now)
{
	uint32_t minute;

	if (policy->minute == now / 60)
		return;
	policy->minute = now / 60;
	minute = policy_minute_of_week(now);
	for (uint32_t i = 0; i < policy->rule_count; i++) {
		bool holds = true;

		for (uint32_t j = 0; j < policy->rules[i].test_count; j++) {
			struct policy_test *test = &policy->rules[i].tests[j];

			if (test->fact != POLICY_FACT_TIME)
				continue;
			test->holds_now = policy_times_accept(test->times, test->count, minute);
			holds &= test->holds_now;
		}
		set_glance(&policy->glances[i], POLICY_TIME_SHIFT, holds);
	}
}

/* There are few issuers, and many requests of each. One is known by its DN, or the common name in it. */
static void know_issuer(struct policy *policy, const char *issuer)
{
	struct span dn = span_of_string(issuer), name;

	if (dn.len > 0 && strcmp(policy->issuer, issuer) == 0)
		return;
	name = common_name(issuer);
	for (uint32_t i = 0; i < policy->rule_count; i++) {
		bool holds = true;

		for (uint32_t j = 0; j < policy->rules[i].test_count; j++) {
			struct policy_test *test = &policy->rules[i].tests[j];

			if (test->fact != POLICY_FACT_ISSUER)
				continue;
			test->holds_now = policy_texts_accept_either(test->texts, dn, name);
			holds &= test->holds_now;
		}
		set_glance(&policy->glances[i], POLICY_ISSUER_SHIFT, holds);
	}
	policy->issuer[0] = '\0';
	if (dn.len < sizeof(policy->issuer))
		memcpy(policy->issuer, issuer, dn.len + 1);
}

void policy_findings_begin(struct policy *policy, struct policy_findings *findings,
	const struct policy_facts *facts, bool is_whole)
{
	findings->facts = facts;
	findings->is_whole = is_whole || !facts->has_body;
	findings->command = command_of(facts);
	findings->version = policy_version_index(facts->version);
	findings->document = NULL;
	findings->has_failed = false;
	findings->marks[0] = 0;
	know_texts(policy, findings);
	if (policy->asks_time)
		know_time(policy, facts->now);
	if (policy->asks_issuer)
		know_issuer(policy, facts->issuer);
}

/* Tests */

static enum policy_result result_of(bool holds)
{
	return holds ? POLICY_HOLDS : POLICY_FAILS;
}

static enum policy_result text_result(
	const struct policy_test *test, const struct policy_findings *findings)
{
	unsigned int n = (unsigned int)test->fact - POLICY_FIRST_TEXT;

	return result_of(policy_texts_accept(test->texts, findings->texts[n], findings->hashes[n]));
}

static bool mask_accepts(const struct policy_test *test, uint64_t bits)
{
	return (!test->names_any || (bits & test->named) != 0) && (bits & test->excluded) == 0;
}

/* One of them is enough, here and below. Those that were too many to be kept count as accepted: nobody
 * knows that they would not be. */
static bool any_attachment(const struct policy_texts *texts, const struct policy_facts *facts)
{
	for (size_t i = 0; i < facts->attachment_count; i++)
		if (policy_texts_accept_either(
			    texts, facts->attachments[i].name, facts->attachments[i].type))
			return true;
	return facts->attachments_are_cut;
}

static bool any_recipient(const struct policy_texts *texts, const struct policy_facts *facts)
{
	for (size_t i = 0; i < facts->recipient_count; i++) {
		struct span domain = domain_of(facts->recipients[i]);

		if (policy_texts_accept(texts, domain, policy_texts_hash(domain)))
			return true;
	}
	return facts->recipients_are_cut;
}

/* A document that cannot be judged is refused, whatever its rule would have said of it. */
static enum policy_result xpath_failed(struct policy_findings *findings)
{
	findings->has_failed = true;
	return POLICY_HOLDS;
}

static enum policy_result xpath_result(
	struct policy *policy, const struct policy_test *test, struct policy_findings *findings)
{
	const struct policy_facts *facts = findings->facts;
	const struct config_limits *limits = &policy->config->limits;
	struct error err;
	int status;

	if (facts->document_is_too_large)
		return xpath_failed(findings);
	if (facts->document.len == 0)
		return result_of(!test->needs_document);
	if (findings->document == NULL) {
		const struct wbxml_limits bounds = {
			.depth = limits->wbxml_depth, .elements = limits->wbxml_elements};

		findings->document = policy_document_new(facts->document, &bounds, &err);
	}
	if (findings->document == NULL)
		return xpath_failed(findings);
	status = policy_xpath_holds(test->xpath, findings->document, &err);
	if (status == -1)
		return xpath_failed(findings);
	return result_of(status == 1);
}

/* "other" also means folders of which it is known that nobody knows. */
static enum policy_result class_result(const struct policy_test *test, uint8_t classes)
{
	static const uint8_t unsaid = 1 << EAS_CLASS_UNSAID;

	if ((classes & ~unsaid & test->bits) != 0)
		return POLICY_HOLDS;
	return (classes & unsaid) != 0 ? POLICY_UNKNOWN : POLICY_FAILS;
}

/* What the body says, or that it has not said it yet. */
static enum policy_result body_result(
	struct policy *policy, const struct policy_test *test, struct policy_findings *findings)
{
	const struct policy_facts *facts = findings->facts;

	/* That the command has a body that says something about it was seen to by policy_compile(). */
	if (test->fact == POLICY_FACT_ACT &&
		(policy_acts_of_command[findings->command] & test->bits) != 0)
		return POLICY_HOLDS;
	if (!findings->is_whole)
		return POLICY_UNKNOWN;
	switch (test->fact) {
	case POLICY_FACT_CLASS: return class_result(test, facts->classes);
	case POLICY_FACT_ACT: return result_of((facts->acts & test->bits) != 0);
	case POLICY_FACT_ATTACHMENT_SIZE: return result_of(facts->attachment_largest > test->bound);
	case POLICY_FACT_ATTACHMENT: return result_of(any_attachment(test->texts, facts));
	case POLICY_FACT_RECIPIENT_DOMAIN: return result_of(any_recipient(test->texts, facts));
	default: return xpath_result(policy, test, findings);
	}
}

static enum policy_result test_result(
	struct policy *policy, const struct policy_test *test, struct policy_findings *findings)
{
	const struct policy_facts *facts = findings->facts;

	switch (test->fact) {
	case POLICY_FACT_GROUP: return result_of(mask_accepts(test, facts->groups));
	case POLICY_FACT_OID: return result_of(mask_accepts(test, facts->oids));
	case POLICY_FACT_SOURCE:
		return result_of(
			policy_networks_accept(test->networks, test->count, &facts->source));
	case POLICY_FACT_TIME:
	case POLICY_FACT_ISSUER: return result_of(test->holds_now);
	default: break;
	}
	if (test->fact < POLICY_FACT_CLASS)
		return text_result(test, findings);
	return body_result(policy, test, findings);
}

/* failed: the first test that does not hold. */
static enum policy_result judge_tests(struct policy *policy, const struct policy_rule *rule,
	struct policy_findings *findings, const struct policy_test **failed)
{
	enum policy_result result = POLICY_HOLDS;

	for (uint32_t i = 0; i < rule->test_count; i++) {
		const struct policy_test *test = &rule->tests[i];
		enum policy_result one = test_result(policy, test, findings);

		if (one == POLICY_FAILS) {
			*failed = test;
			return POLICY_FAILS;
		}
		if (one == POLICY_UNKNOWN)
			result = POLICY_UNKNOWN;
		if (findings->has_failed)
			break;
	}
	return result;
}

enum policy_result policy_rule_judge(struct policy *policy, const struct policy_rule *rule,
	struct policy_findings *findings, const struct policy_test **failed)
{
	*failed = NULL;
	if ((rule->commands >> findings->command & 1) == 0 ||
		(rule->versions >> findings->version & 1) == 0)
		return POLICY_FAILS;
	return judge_tests(policy, rule, findings, failed);
}

/* Decisions */

static void note(const struct policy *policy, struct policy_decision *decision,
	const struct policy_rule *rule)
{
	if (decision->note_count < POLICY_NOTES_MAX)
		decision->notes[decision->note_count++] = (uint16_t)(rule - policy->rules);
}

/* What a phone takes for an answer to this command, and does not send the same again at once. */
static void fit_status(const struct policy_findings *findings, const struct policy_rule *rule,
	struct policy_decision *decision)
{
	unsigned int version = findings->facts->version;

	decision->eas_status = 130;  /* AccessDenied */
	decision->http_status = 403; /* what MS-ASCMD 2.2.2 has for it up to 12.1 */
	switch (findings->command) {
	case EAS_SEND_MAIL:
	case EAS_SMART_FORWARD:
	case EAS_SMART_REPLY:
		/* AccountSendDisabled; before there was that, MailSubmissionFailed. */
		decision->eas_status = version >= 141 ? 167 : 120;
		break;
	case EAS_SETTINGS: decision->eas_status = 7; break;          /* denied by policy */
	case EAS_GET_ATTACHMENT: decision->http_status = 500; break; /* as if it were gone */
	case EAS_MEETING_RESPONSE:
		/* No place for a status of its own, and 403 makes phones provision. */
		if (version >= 140)
			decision->http_status = 400;
		break;
	default: break;
	}
	if (rule->status != 0)
		decision->eas_status = rule->status;
	if (rule->http != 0)
		decision->http_status = rule->http;
}

static void limit(struct policy_decision *decision, const struct policy_rule *rule)
{
	if (decision->body_size_max == 0)
		decision->body_size_max = rule->body_size;
	if (decision->heartbeat_max_s == 0)
		decision->heartbeat_max_s = rule->heartbeat_s;
	if (decision->rate == NULL && rule->has_rate)
		decision->rate = &rule->rate;
	if (decision->limit_rule == NULL)
		decision->limit_rule = rule->name;
}

static void strip(struct policy_decision *decision, const struct policy_rule *rule)
{
	decision->hidden_classes |= rule->hidden_classes;
	if (decision->strip == NULL && rule->has_strip)
		decision->strip = &rule->strip;
	if (decision->strip_rule == NULL)
		decision->strip_rule = rule->name;
}

/* The rule holds. True: it decides. */
static bool apply(const struct policy *policy, const struct policy_rule *rule,
	const struct policy_findings *findings, struct policy_decision *decision)
{
	if (rule->is_shadow) {
		note(policy, decision, rule);
		return policy->is_shadow && rule->action <= CONFIG_RULE_WIPE;
	}
	switch ((enum config_rule_action)rule->action) {
	case CONFIG_RULE_LOG: note(policy, decision, rule); return false;
	case CONFIG_RULE_LIMIT: limit(decision, rule); return false;
	case CONFIG_RULE_STRIP: strip(decision, rule); return false;
	case CONFIG_RULE_DENY:
		decision->action = POLICY_DENY;
		fit_status(findings, rule, decision);
		break;
	case CONFIG_RULE_QUARANTINE: decision->action = POLICY_QUARANTINE; break;
	case CONFIG_RULE_WIPE: decision->action = POLICY_WIPE; break;
	case CONFIG_RULE_ALLOW:
	case CONFIG_RULE_USE: decision->action = POLICY_ALLOW; break;
	}
	decision->rule = rule->name;
	return true;
}

static bool fail(struct policy_decision *decision, const struct policy_rule *rule)
{
	decision->action = POLICY_DENY;
	decision->has_failed = true;
	decision->rule = rule->name;
	return true;
}

/* Whether a rule from here on may want to look into the document. */
static bool wants_document(struct policy *policy, uint32_t from, struct policy_findings *findings)
{
	const struct policy_test *failed;

	if (!policy->asks_xpath)
		return false;
	for (uint32_t i = from; i < policy->rule_count; i++)
		if (policy->rules[i].asks_xpath && policy_rule_judge(policy, &policy->rules[i],
							   findings, &failed) == POLICY_UNKNOWN)
			return true;
	return false;
}

/* False: the rule cannot hold. A few instructions for most rules. */
static inline bool glance_passes(
	const struct policy_glance *glance, uint64_t asked, uint64_t groups, const uint8_t *marks)
{
	return (glance->asks & asked) == asked &&
	       (glance->marks[0] >> marks[glance->mark[0]] & 1) != 0 &&
	       (glance->marks[1] >> marks[glance->mark[1]] & 1) != 0 &&
	       (glance->groups == 0 || (glance->groups & groups) != 0);
}

/* A rule that depends on the body, which is not there yet, or on a class that nobody knows. True: it
 * decides. */
static bool leave_open(struct policy *policy, uint32_t nth, struct policy_findings *findings,
	struct policy_decision *decision, bool *is_open)
{
	const struct policy_rule *rule = &policy->rules[nth];

	if (!findings->is_whole) {
		decision->next = (uint16_t)nth;
		decision->wants_document = wants_document(policy, nth, findings);
		*is_open = true;
		return true;
	}
	if (rule->is_shadow || rule->action == CONFIG_RULE_LOG)
		return false;
	decision->wants_folders = true;
	decision->action = POLICY_DENY;
	decision->rule = rule->name;
	return true;
}

/* In shadow nothing is refused, also not for what could not be found out. True: it decides. */
static bool leave_failed(const struct policy *policy, const struct policy_rule *rule,
	struct policy_findings *findings, struct policy_decision *decision)
{
	if (!rule->is_shadow && rule->action != CONFIG_RULE_LOG)
		return fail(decision, rule);
	findings->has_failed = false;
	note(policy, decision, rule);
	return false;
}

/* Goes on from decision->next. False: the body has to be seen first. */
static bool go_through(
	struct policy *policy, struct policy_findings *findings, struct policy_decision *decision)
{
	const uint64_t asked = UINT64_C(1) << findings->command |
			       UINT64_C(1) << (findings->version + POLICY_VERSION_SHIFT) |
			       UINT64_C(1) << POLICY_TIME_SHIFT |
			       UINT64_C(1) << POLICY_ISSUER_SHIFT;
	const uint64_t groups = findings->facts->groups;
	const struct policy_glance *end, *glance;
	bool is_open = false;

	if (policy->rule_count == 0)
		return true;
	end = policy->glances + policy->rule_count;
	glance = policy->glances + decision->next;
	for (; glance < end; glance++) {
		const struct policy_rule *rule;
		const struct policy_test *failed;
		enum policy_result result;
		bool decides;

		if (!glance_passes(glance, asked, groups, findings->marks))
			continue;
		rule = &policy->rules[glance - policy->glances];
		result = judge_tests(policy, rule, findings, &failed);
		if (result == POLICY_FAILS)
			continue;
		if (result == POLICY_UNKNOWN)
			decides = leave_open(policy, (uint32_t)(glance - policy->glances), findings,
				decision, &is_open);
		else if (findings->has_failed)
			decides = leave_failed(policy, rule, findings, decision);
		else
			decides = apply(policy, rule, findings, decision);
		if (decides)
			break;
	}
	return !is_open;
}

enum policy_outcome policy_evaluate(struct policy *policy, const struct policy_facts *facts,
	bool is_whole, struct policy_decision *decision)
{
	struct policy_findings findings;
	bool is_decided;

	policy_findings_begin(policy, &findings, facts, is_whole);
	is_decided = go_through(policy, &findings, decision);
	policy_findings_end(&findings);
	return is_decided ? POLICY_DECIDED : POLICY_NEEDS_BODY;
}

bool policy_strips(
	const struct policy_strip *strip, struct span name, struct span content_type, uint64_t size)
{
	if (strip->larger_than > 0 && size <= strip->larger_than)
		return false;
	return strip->types == NULL || policy_texts_accept_either(strip->types, name, content_type);
}
