/* Which rule decides, by a table of rules and requests; and what it then says. */
#include "tests/unit/check.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <time.h>

#include "config/moment.h"
#include "proxy/eas_body.h"
#include "proxy/policy.h"
#include "proxy/policy_words.h"
#include "tests/unit/policy_fixture.h"
#include "wbxml/buffer.h"
#include "wbxml/xml.h"

struct request {
	struct policy_facts facts;
	char texts[1024]; /* what the spans and pointers of facts point into */
	size_t len;
};

static const char *keep(struct request *request, const char *text, size_t len)
{
	char *at = request->texts + request->len;

	CU_ASSERT_FATAL(request->len + len + 1 <= sizeof(request->texts));
	memcpy(at, text, len);
	at[len] = '\0';
	request->len += len + 1;
	return at;
}

static uint32_t bits_of(const char *words, policy_bits_reader *read)
{
	uint32_t mask = 0;
	char copy[200], *rest = copy;

	snprintf(copy, sizeof(copy), "%s", words);
	for (char *word; (word = strsep(&rest, "|")) != NULL;) {
		uint32_t bits = 0;

		if (strcmp(word, "unknown") == 0)
			bits = 1U << EAS_CLASS_UNSAID;
		else
			CU_ASSERT_EQUAL(read(word, &bits, NULL), 0);
		mask |= bits;
	}
	return mask;
}

static void add_recipients(struct policy_facts *facts, const char *text)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "|");

		facts->recipients[facts->recipient_count++] = span_of(text, len);
		text += len + (text[len] == '|');
	}
}

/* "name:type|name:type" */
static void add_attachments(struct policy_facts *facts, const char *text)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "|");
		size_t name = strcspn(text, ":|");
		size_t type = name < len ? name + 1 : len;

		facts->attachments[facts->attachment_count++] = (struct policy_attachment){
			span_of(text, name), span_of(text + type, len - type)};
		text += len + (text[len] == '|');
	}
}

static void set_source(struct policy_facts *facts, const char *text)
{
	char mapped[80];

	snprintf(mapped, sizeof(mapped), "%s%s", strchr(text, ':') == NULL ? "::ffff:" : "", text);
	CU_ASSERT_EQUAL(inet_pton(AF_INET6, mapped, &facts->source), 1);
}

static void set_fact(struct request *request, const char *name, const char *value)
{
	struct policy_facts *facts = &request->facts;
	uint32_t bits;

	if (strcmp(name, "command") == 0) {
		facts->is_autodiscover = strcmp(value, "Autodiscover") == 0;
		CU_ASSERT_EQUAL(policy_command_bits(value, &bits, NULL), 0);
		facts->command = bits >> EAS_COMMAND_COUNT != 0
					 ? EAS_NO_COMMAND
					 : (enum eas_command)__builtin_ctz(bits);
	} else if (strcmp(name, "version") == 0) {
		facts->version = policy_version_read(value);
	} else if (strcmp(name, "mailbox") == 0) {
		facts->mailbox = value;
	} else if (strcmp(name, "issuer") == 0) {
		facts->issuer = value;
	} else if (strcmp(name, "groups") == 0) {
		facts->groups = strtoul(value, NULL, 0);
	} else if (strcmp(name, "oids") == 0) {
		facts->oids = strtoul(value, NULL, 0);
	} else if (strcmp(name, "source") == 0) {
		set_source(facts, value);
	} else if (strcmp(name, "time") == 0) {
		CU_ASSERT_EQUAL(moment_read(value, &facts->now, NULL), 0);
	} else if (strcmp(name, "device") == 0) {
		facts->device_id = value;
	} else if (strcmp(name, "type") == 0) {
		facts->device_type = value;
	} else if (strcmp(name, "model") == 0) {
		facts->model = value;
	} else if (strcmp(name, "os") == 0) {
		facts->os = value;
	} else if (strcmp(name, "agent") == 0) {
		facts->user_agent = span_of_string(value);
	} else if (strcmp(name, "body") == 0) {
		facts->has_body = true;
	} else if (strcmp(name, "class") == 0) {
		facts->classes = (uint8_t)bits_of(value, policy_class_bits);
	} else if (strcmp(name, "does") == 0) {
		facts->acts = bits_of(value, policy_act_bits);
	} else if (strcmp(name, "largest") == 0) {
		facts->attachment_largest = strtoul(value, NULL, 0);
	} else if (strcmp(name, "to") == 0) {
		add_recipients(facts, value);
	} else if (strcmp(name, "more-to") == 0) {
		facts->recipients_are_cut = true;
	} else if (strcmp(name, "file") == 0) {
		add_attachments(facts, value);
	} else {
		CU_FAIL_FATAL("no such fact");
	}
}

/* "command=Sync version=16.1 body": of a phone that is like any other. */
static void read_request(struct request *request, const char *text)
{
	memset(request, 0, sizeof(*request));
	request->facts = (struct policy_facts){
		.mailbox = "anna@example.com",
		.issuer = "CN=Phones CA,O=Example",
		.device_id = "applex1",
		.device_type = "iPhone",
		.model = "",
		.os = "",
		.user_agent = span_of_string("Apple-iPhone12C1/1805.82"),
		.command = EAS_SYNC,
		.version = 161,
	};
	while (*text != '\0') {
		size_t len = strcspn(text, ";");
		size_t name_len = strcspn(text, "=;");
		const char *name = keep(request, text, name_len);
		const char *value = keep(request, text + name_len + (name_len < len),
			len - name_len - (name_len < len));

		set_fact(request, name, value);
		text += len;
		text += strspn(text, "; ");
	}
}

static struct policy *make(struct config *config, const char *rules)
{
	while (*rules != '\0') {
		size_t len = strcspn(rules, "\n");
		char line[400];

		snprintf(line, sizeof(line), "%.*s", (int)len, rules);
		policy_fixture_rule(config, line);
		rules += len + (rules[len] == '\n');
	}
	return policy_new(config, NULL, NULL);
}

/* "deny r1 130/403", "allow -", with what else was decided behind it. */
static void describe(
	const struct policy *policy, const struct policy_decision *decision, char text[200])
{
	static const char *const actions[] = {
		[POLICY_ALLOW] = "allow",
		[POLICY_DENY] = "deny",
		[POLICY_QUARANTINE] = "quarantine",
		[POLICY_WIPE] = "wipe",
	};
	int len = snprintf(text, 200, "%s %s", actions[decision->action],
		decision->rule == NULL ? "-" : decision->rule);

	if (decision->eas_status != 0)
		len += snprintf(text + len, 200 - (size_t)len, " %u/%u", decision->eas_status,
			decision->http_status);
	if (decision->wants_folders)
		len += snprintf(text + len, 200 - (size_t)len, " folders");
	if (decision->body_size_max != 0)
		len += snprintf(text + len, 200 - (size_t)len, " size=%u",
			(unsigned int)decision->body_size_max);
	if (decision->heartbeat_max_s != 0)
		len += snprintf(
			text + len, 200 - (size_t)len, " heartbeat=%u", decision->heartbeat_max_s);
	if (decision->rate != NULL)
		len += snprintf(text + len, 200 - (size_t)len, " rate=%u/%u", decision->rate->count,
			decision->rate->time_s);
	if (decision->strip != NULL)
		len += snprintf(text + len, 200 - (size_t)len, " strip=%s", decision->strip_rule);
	if (decision->hidden_classes != 0)
		len += snprintf(
			text + len, 200 - (size_t)len, " hidden=%02x", decision->hidden_classes);
	for (unsigned int i = 0; i < decision->note_count; i++) {
		bool is_shadow;
		const char *name = policy_note(policy, decision->notes[i], &is_shadow);

		len += snprintf(text + len, 200 - (size_t)len, " %s:%s",
			is_shadow ? "shadow" : "log", name);
	}
}

static void check_decision(const char *sets, const char *rules, const char *facts, bool needs_body,
	const char *expected)
{
	struct config *config = policy_fixture_new(sets);
	struct policy *policy = make(config, rules);
	struct policy_decision decision = {0};
	struct request request;
	enum policy_outcome outcome;
	char found[200];

	read_request(&request, facts);
	CU_ASSERT_PTR_NOT_NULL_FATAL(policy);
	outcome = policy_evaluate(policy, &request.facts, false, &decision);
	if (outcome != (needs_body ? POLICY_NEEDS_BODY : POLICY_DECIDED)) {
		printf("\n%s | %s: %s the body\n", rules, facts,
			needs_body ? "does not ask for" : "asks for");
		CU_FAIL("the outcome at the head");
	}
	if (outcome == POLICY_NEEDS_BODY)
		CU_ASSERT_EQUAL(
			policy_evaluate(policy, &request.facts, true, &decision), POLICY_DECIDED);
	describe(policy, &decision, found);
	if (strcmp(found, expected) != 0) {
		printf("\n%s | %s: %s, not %s\n", rules, facts, found, expected);
		CU_FAIL("the decision");
	}
	policy_free(policy);
	config_free(config);
}

struct decision_case {
	const char *rules, *facts, *expected;
};

static void check_cases(const char *sets, const struct decision_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool needs_body = cases[i].expected[0] == '+';

		check_decision(sets, cases[i].rules, cases[i].facts, needs_body,
			cases[i].expected + needs_body);
	}
}

#define CHECK(sets, cases) check_cases(sets, cases, sizeof(cases) / sizeof((cases)[0]))

/* "+" in front of what is expected: the body had to be seen. */

static void test_the_first_rule_that_matches_decides(void)
{
	static const struct decision_case cases[] = {
		{"", "", "allow -"},
		{"action=deny", "", "deny r1 130/403"},
		{"mailbox=bert@*; action=deny\nmailbox=anna@*; action=allow\naction=deny", "",
			"allow r2"},
		{"action=quarantine", "", "quarantine r1"},
		{"action=wipe\naction=deny", "", "wipe r1"},
		{"device=x; command=Ping; action=deny\naction=deny; status=126; http=401", "",
			"deny r2 126/401"},
	};

	CHECK("", cases);
}

static void test_conditions_about_who_asks(void)
{
	static const struct decision_case cases[] = {
		{"mailbox=anna@example.com; action=deny", "", "deny r1 130/403"},
		{"mailbox=ANNA@example.com; action=deny", "", "deny r1 130/403"},
		{"mailbox=a@b|c@d|e@f|g@h|i@j|anna@example.com|k@l; action=deny", "",
			"deny r1 130/403"},
		{"mailbox=a@b|c@d|e@f|g@h|i@j|anna@example.net|k@l; action=deny", "", "allow -"},
		{"mailbox=*@example.com|!anna@*; action=deny", "", "allow -"},
		{"mailbox=!bert@*; action=deny", "", "deny r1 130/403"},
		{"mailbox=a?na@*.com; action=deny", "", "deny r1 130/403"},
		{"domain=example.com; action=deny", "", "deny r1 130/403"},
		{"domain=example.net|*.example.com; action=deny", "", "allow -"},
		{"domain=*.example.com; action=deny", "mailbox=a@b.example.com", "deny r1 130/403"},
		{"issuer=Phones CA; action=deny", "", "deny r1 130/403"},
		{"issuer=cn=phones ca,*; action=deny", "", "deny r1 130/403"},
		{"issuer=!Phones CA; action=deny", "", "allow -"},
		{"issuer=CA; action=deny", "", "allow -"},
		{"issuer=Sales\\, CA; action=deny", "issuer=OU=a\\,CN=CA,CN=Sales\\, CA",
			"deny r1 130/403"},
		{"group=staff|temps; action=deny", "groups=2", "deny r1 130/403"},
		{"group=staff; action=deny", "groups=2", "allow -"},
		{"group=!staff; action=deny", "groups=2", "deny r1 130/403"},
		{"group=!staff; action=deny", "groups=1", "allow -"},
		{"group=staff; action=allow\ngroup=temps; action=deny", "groups=2",
			"deny r2 130/403"},
		{"certificate-policy=1.2.3; action=deny\ncertificate-policy=!1.2.3|1.2.4; "
		 "action=quarantine",
			"oids=2", "quarantine r2"},
		{"source=192.0.2.0/24; action=deny", "source=192.0.2.77", "deny r1 130/403"},
		{"source=192.0.2.0/24; action=deny", "source=192.0.3.77", "allow -"},
		{"source=192.0.2.0/24|!192.0.2.77; action=deny", "source=192.0.2.77", "allow -"},
		{"source=2001:db8::/32; action=deny", "source=2001:db8:1::1", "deny r1 130/403"},
		{"source=!2001:db8::/32; action=deny", "source=192.0.2.1", "deny r1 130/403"},
		{"source=::/0; action=deny", "source=192.0.2.1", "deny r1 130/403"},
	};

	CHECK("", cases);
}

static void test_conditions_about_the_device(void)
{
	static const struct decision_case cases[] = {
		{"device=APPLEX1; action=deny", "", "deny r1 130/403"},
		{"device-type=iphone|ipad; action=deny", "", "deny r1 130/403"},
		{"device-type=!i*; action=deny", "", "allow -"},
		{"model=iPhone12*; action=deny", "model=iPhone12C1", "deny r1 130/403"},
		{"model=iPhone12*; action=deny", "", "allow -"},
		{"os=*android*; action=deny", "os=Google Android 9", "deny r1 130/403"},
		{"user-agent=*12C1*; action=deny", "", "deny r1 130/403"},
		{"user-agent=Apple-*/18??.*; action=deny", "", "deny r1 130/403"},
		{"user-agent=Outlook-iOS*; action=deny", "", "allow -"},
		{"user-agent=*; action=deny", "agent=", "deny r1 130/403"},
	};

	CHECK("", cases);
}

static void test_conditions_about_protocol_versions(void)
{
	static const struct decision_case cases[] = {
		{"protocol=<14.1; action=deny", "version=14.0", "deny r1 130/403"},
		{"protocol=<14.1; action=deny", "version=14.1", "allow -"},
		{"protocol=>=16.0; action=deny", "version=16.1", "deny r1 130/403"},
		{"protocol=>=16.0|12.1; action=deny", "version=12.1", "deny r1 130/403"},
		{"protocol=>16.0; action=deny", "version=16.0", "allow -"},
		{"protocol=<=12.1; action=deny", "version=2.5", "deny r1 130/403"},
		{"protocol=!16.1; action=deny", "version=16.0", "deny r1 130/403"},
		/* What says no version is in no list. */
		{"protocol=!16.1; action=deny", "command=OPTIONS; version=", "allow -"},
		{"protocol=<14.1; action=deny", "command=OPTIONS; version=", "allow -"},
		{"action=deny", "command=OPTIONS; version=", "deny r1 130/403"},
	};

	CHECK("", cases);
}

static void test_conditions_about_time(void)
{
	static const struct decision_case cases[] = {
		/* 26 November 2026 is a Thursday. */
		{"time=mon-fri 07:00-19:00; action=allow\naction=deny", "time=2026-11-26T07:00:00Z",
			"allow r1"},
		{"time=mon-fri 07:00-19:00; action=allow\naction=deny", "time=2026-11-26T19:00:00Z",
			"deny r2 130/403"},
		{"time=mon-fri 07:00-19:00; action=allow\naction=deny", "time=2026-11-28T12:00:00Z",
			"deny r2 130/403"},
		{"time=sat,sun; action=deny", "time=2026-11-28T23:59:00Z", "deny r1 130/403"},
		{"time=fri 22:00-06:00; action=deny", "time=2026-11-28T05:59:00Z",
			"deny r1 130/403"},
		{"time=fri 22:00-06:00; action=deny", "time=2026-11-27T05:59:00Z", "allow -"},
		{"time=sat-mon; action=deny", "time=2026-11-30T12:00:00Z", "deny r1 130/403"},
		{"time=!mon-fri; action=deny", "time=2026-11-28T12:00:00Z", "deny r1 130/403"},
		{"time=12:00-13:00; action=deny", "time=2026-11-28T12:30:00Z", "deny r1 130/403"},
	};

	CHECK("", cases);
}

static void test_conditions_about_what_is_asked(void)
{
	static const struct decision_case cases[] = {
		{"command=Sync|Ping; action=deny", "", "deny r1 130/403"},
		{"command=!Sync; action=deny", "", "allow -"},
		{"command=!Sync; action=deny", "command=Autodiscover; version=", "deny r1 130/403"},
		{"command=options; action=deny", "command=OPTIONS; version=", "deny r1 130/403"},
		{"class=email; action=deny", "body; class=email|calendar", "+deny r1 130/403"},
		{"class=email; action=deny", "body; class=calendar", "+allow -"},
		{"class=!calendar; action=deny", "body; class=calendar", "+allow -"},
		{"class=!calendar; action=deny", "body; class=calendar|tasks", "+deny r1 130/403"},
		/* Of a command that has no folders nothing has to be seen. */
		{"class=!calendar; action=deny", "command=SendMail; body", "allow -"},
		{"does=send; action=deny", "command=SendMail; body", "deny r1 167/403"},
		{"does=send; action=deny", "command=SmartReply; body; version=14.0",
			"deny r1 120/403"},
		{"does=send; action=deny", "command=FolderSync; body", "allow -"},
		{"does=send; action=deny", "body; does=send", "+deny r1 130/403"},
		{"does=add|delete; action=deny", "body; does=change", "+allow -"},
		{"does=set; action=deny", "command=Settings; body; does=set", "+deny r1 7/403"},
		{"does=respond; action=deny", "command=MeetingResponse; body", "deny r1 130/400"},
		{"recipient-domain=!example.com; action=deny",
			"command=SendMail; body; to=a@example.com|b@example.com", "+allow -"},
		{"recipient-domain=!example.com; action=deny",
			"command=SendMail; body; to=a@example.com|b@elsewhere.example",
			"+deny r1 167/403"},
		{"recipient-domain=!example.com; action=deny",
			"command=SendMail; body; to=a@example.com; more-to", "+deny r1 167/403"},
		{"recipient-domain=rival.example; action=log",
			"command=SendMail; body; to=a@rival.example", "+allow - log:r1"},
		{"attachment-larger-than=1kB; action=deny", "command=SendMail; body; largest=1024",
			"+allow -"},
		{"attachment-larger-than=1kB; action=deny", "command=SendMail; body; largest=1025",
			"+deny r1 167/403"},
		{"attachment=*.exe|application/zip; action=deny",
			"command=SendMail; body; file=a.txt:text/plain|b:application/zip",
			"+deny r1 167/403"},
		{"attachment=!*.pdf; action=deny",
			"command=SendMail; body; file=a.pdf:application/pdf", "+allow -"},
		{"attachment=!*.pdf; action=deny", "command=SendMail; body", "+allow -"},
	};

	CHECK("", cases);
}

static void test_the_body_is_asked_for_only_where_a_rule_depends_on_it(void)
{
	static const struct decision_case cases[] = {
		{"class=email; mailbox=bert@*; action=deny", "body", "allow -"},
		{"action=allow\nclass=email; action=deny", "body", "allow r1"},
		{"class=email; action=deny\naction=wipe", "body; class=email", "+deny r1 130/403"},
		{"class=email; action=deny\naction=wipe", "body", "+wipe r2"},
		{"class=email; action=deny\naction=wipe", "", "wipe r2"},
		/* What was said before the body is not said again. */
		{"action=log\nclass=email; action=deny\naction=log", "body; class=tasks",
			"+allow - log:r1 log:r3"},
	};

	CHECK("", cases);
}

static void test_a_class_that_nobody_knows_is_asked_for(void)
{
	static const struct decision_case cases[] = {
		{"class=email; action=deny", "body; class=unknown", "+deny r1 folders"},
		{"class=email; action=deny", "body; class=unknown|email", "+deny r1 130/403"},
		{"class=email; does=add; action=deny", "body; class=unknown", "+allow -"},
		{"class=email; action=log", "body; class=unknown", "+allow -"},
		{"class=email; action=deny; shadow=on", "body; class=unknown", "+allow -"},
		{"command=FolderSync; action=deny", "body; class=unknown", "allow -"},
	};

	CHECK("", cases);
}

static void test_limits_and_strips_do_not_decide(void)
{
	static const struct decision_case cases[] = {
		{"action=limit; body-size=1kB", "", "allow - size=1024"},
		{"action=limit; body-size=1kB\naction=limit; body-size=2kB; heartbeat=10m; "
		 "rate=60/1m",
			"", "allow - size=1024 heartbeat=600 rate=60/60"},
		{"action=strip\naction=deny", "", "deny r2 130/403 strip=r1"},
		{"action=allow\naction=limit; body-size=1kB", "", "allow r1"},
		{"action=strip; folders=tasks|notes", "", "allow - hidden=30"},
		{"action=strip; larger-than=1MB\naction=strip; folders=tasks", "",
			"allow - strip=r1 hidden=10"},
	};

	CHECK("", cases);
}

static void test_shadow_only_leaves_notes(void)
{
	static const struct decision_case cases[] = {
		{"action=deny; shadow=on", "", "allow - shadow:r1"},
		{"action=deny; shadow=on\naction=wipe", "", "wipe r2 shadow:r1"},
		{"action=limit; body-size=1kB; shadow=on", "", "allow - shadow:r1"},
		{"action=log", "", "allow - log:r1"},
		{"action=log\naction=log\naction=log\naction=log\naction=log\naction=deny", "",
			"deny r6 130/403 log:r1 log:r2 log:r3 log:r4"},
	};

	CHECK("", cases);
}

static void test_a_whole_policy_in_shadow(void)
{
	struct config *config = policy_fixture_new("min-protocol 14.1");
	struct policy_decision decision = {0};
	struct request request;
	struct policy *policy;
	char found[200];

	config->policy.is_shadow = true;
	policy = make(config, "mailbox=anna@*; action=deny\naction=wipe");
	read_request(&request, "");
	CU_ASSERT_EQUAL(policy_evaluate(policy, &request.facts, false, &decision), POLICY_DECIDED);
	describe(policy, &decision, found);
	/* As it would have been: the first that matches is the last that is looked at. */
	CU_ASSERT_STRING_EQUAL(found, "allow - shadow:r1");
	CU_ASSERT_EQUAL(policy_min_protocol(policy), 0);
	policy_free(policy);
	config_free(config);
}

static void test_sets(void)
{
	static const struct {
		const char *sets, *rules, *facts, *expected;
	} cases[] = {
		{"block-document-library", "", "command=Search; body; does=search-documents",
			"+deny block-document-library 130/403"},
		{"block-document-library", "", "command=Search; body; does=search-gal", "+allow -"},
		{"block-document-library", "",
			"command=ItemOperations; body; does=search-documents",
			"+deny block-document-library 130/403"},
		{"block-document-library", "", "body", "allow -"},
		{"block-document-library", "", "command=SendMail; body", "allow -"},
		{"block-document-library", "action=allow",
			"command=Search; body; does=search-documents",
			"+deny block-document-library 130/403"},
		{"min-protocol 14.1", "", "version=14.0", "deny min-protocol 138/400"},
		{"min-protocol 14.1", "", "version=14.1", "allow -"},
		{"read-only", "", "command=SendMail; body", "deny read-only 167/403"},
		{"read-only", "", "body; does=change", "+deny read-only 130/403"},
		{"read-only", "", "body", "+allow -"},
		{"read-only", "", "command=MoveItems; body", "deny read-only 130/403"},
		{"read-only", "", "command=FolderDelete; body", "deny read-only 130/403"},
		{"read-only", "", "command=Settings; body; does=set", "+deny read-only 7/403"},
		{"read-only", "", "command=ItemOperations; body; does=empty",
			"+deny read-only 130/403"},
		{"read-only", "", "command=Provision; body", "allow -"},
		{"read-only", "", "command=Ping; body", "allow -"},
		{"calendar-only", "", "body; class=email", "+deny calendar-only 12/403"},
		{"calendar-only", "", "body; class=calendar", "+allow -"},
		{"calendar-only", "", "command=Ping; body; class=calendar|contacts",
			"+deny calendar-only 7/403"},
		{"calendar-only", "", "command=FolderSync; body", "allow - hidden=fb"},
		{"calendar-only", "", "command=Search; body; does=search-mailbox",
			"+deny calendar-only 130/403"},
		{"calendar-only", "", "command=Search; body; does=search-gal", "+allow -"},
		{"calendar-only", "", "command=SendMail; body", "deny calendar-only 167/403"},
		{"no-attachments", "", "command=GetAttachment; version=12.1",
			"deny no-attachments 130/500"},
		{"no-attachments", "", "command=ItemOperations; body; does=attachment",
			"+deny no-attachments 130/403"},
		{"no-attachments", "", "body", "+allow - strip=no-attachments"},
		{"", "group=temps; action=use; use=read-only|min-protocol 16.0",
			"groups=1; command=SendMail; body", "deny r1 167/403"},
		{"", "group=temps; action=use; use=read-only", "command=SendMail; body", "allow -"},
		{"", "command=Sync; action=use; use=read-only", "command=SendMail; body",
			"allow -"},
		{"", "action=use; use=read-only; shadow=on", "command=SendMail; body",
			"allow - shadow:r1"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool needs_body = cases[i].expected[0] == '+';

		check_decision(cases[i].sets, cases[i].rules, cases[i].facts, needs_body,
			cases[i].expected + needs_body);
	}
}

static void test_the_lowest_version_is_known_to_who_writes_options(void)
{
	struct config *config = policy_fixture_new("min-protocol 12.1|min-protocol 14.1");
	struct policy *policy = make(config, "action=use; use=min-protocol 16.1");

	/* That of a rule is not for everybody. */
	CU_ASSERT_EQUAL(policy_min_protocol(policy), 141);
	policy_free(policy);
	config_free(config);
}

static void test_what_is_taken_out(void)
{
	struct config *config = policy_fixture_new("");
	struct policy *policy =
		make(config, "action=strip; larger-than=1kB; types=*.exe|image/*|!image/png");
	struct policy_decision decision = {0};
	const struct policy_strip *strip;
	const struct span none = {0};
	struct request request;

	read_request(&request, "");
	policy_evaluate(policy, &request.facts, true, &decision);
	strip = decision.strip;
	CU_ASSERT_PTR_NOT_NULL_FATAL(strip);
	CU_ASSERT_TRUE(policy_strips(strip, span_of_string("a.EXE"), none, 1025));
	CU_ASSERT_FALSE(policy_strips(strip, span_of_string("a.exe"), none, 1024));
	CU_ASSERT_TRUE(policy_strips(strip, span_of_string("a.exe"), none, UINT64_MAX));
	CU_ASSERT_FALSE(policy_strips(strip, span_of_string("a.txt"), none, 2000));
	CU_ASSERT_TRUE(
		policy_strips(strip, span_of_string("a"), span_of_string("image/gif"), 2000));
	CU_ASSERT_FALSE(
		policy_strips(strip, span_of_string("a"), span_of_string("image/png"), 2000));
	policy_free(policy);
	config_free(config);
}

/* XPath */

static int xpath_action(const char *rule, const char *xml, struct policy_decision *decision)
{
	const struct wbxml_xml_options options = {0};
	struct config *config = policy_fixture_new("");
	struct wbxml_buffer document = {.limit = 10000};
	struct policy *policy = make(config, rule);
	struct request request;
	struct error err;
	enum policy_outcome outcome;

	*decision = (struct policy_decision){0};
	CU_ASSERT_PTR_NOT_NULL_FATAL(policy);
	CU_ASSERT_EQUAL(wbxml_from_xml(span_of_string(xml), &options, &document, &err), 0);
	read_request(&request, "body");
	outcome = policy_evaluate(policy, &request.facts, false, decision);
	CU_ASSERT_EQUAL(outcome, POLICY_NEEDS_BODY);
	CU_ASSERT_TRUE(decision->wants_document);
	request.facts.document = span_of(document.data, document.len);
	policy_evaluate(policy, &request.facts, true, decision);
	wbxml_buffer_free(&document);
	policy_free(policy);
	config_free(config);
	return (int)decision->action;
}

static const char sync_document[] =
	"<Sync xmlns='AirSync'><Collections><Collection><SyncKey>1</SyncKey>"
	"<CollectionId>7</CollectionId><WindowSize>512</WindowSize><Commands><Add><ClientId>c1"
	"</ClientId><ApplicationData><Subject xmlns='Email'>Secret plans</Subject>"
	"</ApplicationData></Add></Commands></Collection></Collections></Sync>";

static void test_xpath_sees_the_document(void)
{
	static const struct {
		const char *rule;
		enum policy_action action;
	} cases[] = {
		{"xpath=//email:Subject; action=deny", POLICY_DENY},
		{"xpath=//email:Subject[contains(., 'Secret')]; action=deny", POLICY_DENY},
		{"xpath=//email:Subject[contains(., 'Public')]; action=deny", POLICY_ALLOW},
		{"xpath=//calendar:Subject; action=deny", POLICY_ALLOW},
		{"xpath=!//calendar:Subject; action=deny", POLICY_DENY},
		{"xpath=//calendar:Subject|//email:Subject; action=deny", POLICY_DENY},
		{"xpath=//email:Subject|!//airsync:WindowSize; action=deny", POLICY_ALLOW},
		{"xpath=airsync:Sync/airsync:Collections; action=deny", POLICY_DENY},
		{"xpath=number(//airsync:WindowSize) > 100; action=deny", POLICY_DENY},
		{"xpath=count(//airsync:Collection) - 1; action=deny", POLICY_ALLOW},
		{"xpath=string(//airsync:Missing); action=deny", POLICY_ALLOW},
	};
	struct policy_decision decision;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int action = xpath_action(cases[i].rule, sync_document, &decision);

		if (action != (int)cases[i].action)
			printf("\n%s\n", cases[i].rule);
		CU_ASSERT_EQUAL(action, (int)cases[i].action);
		CU_ASSERT_FALSE(decision.has_failed);
	}
}

static void test_xpath_that_takes_too_long_refuses(void)
{
	char xml[6000] = "<Ping xmlns='Ping'><Folders>";
	struct policy_decision decision;
	size_t len = strlen(xml);

	for (int i = 0; i < 150; i++)
		len += (size_t)snprintf(
			xml + len, sizeof(xml) - len, "<Folder><Id>1</Id></Folder>");
	snprintf(xml + len, sizeof(xml) - len, "</Folders></Ping>");
	CU_ASSERT_EQUAL(xpath_action("xpath=//*[count(//*[count(//*) > 0]) > 0]; action=allow", xml,
				&decision),
		(int)POLICY_DENY);
	CU_ASSERT_TRUE(decision.has_failed);
}

static void test_a_document_that_is_too_large_refuses_unless_nothing_depends_on_it(void)
{
	static const struct {
		const char *rules;
		bool wants, fails;
	} cases[] = {
		{"xpath=//email:Subject; action=deny", true, true},
		{"xpath=//email:Subject; action=allow", true, true},
		{"xpath=//email:Subject; action=deny; shadow=on", true, false},
		{"xpath=//email:Subject; action=log", true, false},
		{"xpath=//email:Subject; mailbox=bert@*; action=deny", false, false},
		{"xpath=//email:Subject; class=calendar; action=deny", true, false},
		{"class=email; action=deny\nxpath=//email:Subject; action=deny", true, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *config = policy_fixture_new("");
		struct policy *policy = make(config, cases[i].rules);
		struct policy_decision decision = {0};
		struct request request;

		read_request(&request, "body; class=email");
		policy_evaluate(policy, &request.facts, false, &decision);
		CU_ASSERT_EQUAL(decision.wants_document, cases[i].wants);
		request.facts.document_is_too_large = true;
		policy_evaluate(policy, &request.facts, true, &decision);
		CU_ASSERT_EQUAL(decision.has_failed, cases[i].fails);
		policy_free(policy);
		config_free(config);
	}
}

/* Faults */

struct faults {
	char text[2000];
};

static void note_fault(void *context, const char *text)
{
	struct faults *faults = context;

	size_t len = strlen(faults->text);

	snprintf(faults->text + len, sizeof(faults->text) - len, "%s\n", text);
}

static void test_faults_name_line_and_option(void)
{
	static const struct {
		const char *sets, *rules, *expected;
	} cases[] = {
		{"", "command=Sink; action=deny", "test.conf:1: option 'command' in rule: 'Sink'"},
		{"", "action=deny\nclass=mail; action=deny",
			"test.conf:2: option 'class' in rule: 'mail' is not one of email, "
			"calendar"},
		{"", "does=harm; action=deny", "'harm' is not one of send, add"},
		{"", "protocol=15; action=deny", "'15' is not a protocol version"},
		{"", "source=192.0.2.1/24; action=deny", "has bits set"},
		{"", "source=192.0.2.0/33; action=deny", "is not a network"},
		{"", "source=example.com; action=deny", "is not a network"},
		{"", "mailbox=!bob; action=deny", "'!bob' is not the address of a mailbox"},
		{"", "domain=bob@example.com; action=deny", "is not a domain"},
		{"", "recipient-domain=!bob@example.com; action=deny", "is not a domain"},
		{"", "time=morning; action=deny", "is not a time"},
		{"", "time=mon 25:00-26:00; action=deny", "is not a time"},
		{"", "time=mon 07:00; action=deny", "is not a time"},
		{"", "time=mon 07:00-07:00; action=deny", "is not a time"},
		{"", "certificate-policy=1.2.x; action=deny", "option 'certificate-policy'"},
		{"", "xpath=//; action=deny", "test.conf:1: option 'xpath' in rule: '//' is not"},
		{"", "xpath=//nowhere:Subject; action=deny", "a prefix that is none"},
		{"", "xpath=nothing(); action=deny", "a function that XPath 1.0 does not have"},
		{"", "xpath=$x; action=deny", "a variable; there are none"},
		{"", "xpath=1) or (1; action=deny", "is not an XPath"},
		{"", "command=Sync|!Sync; action=deny", "nothing is left"},
		{"", "action=limit", "needs body-size, rate or heartbeat"},
		{"", "action=limit; rate=60", "rate is a number of requests and a time"},
		{"", "action=limit; rate=0/1m", "rate is a number of requests and a time"},
		{"", "action=limit; rate=1/2d", "rate is a number of requests and a time"},
		{"", "action=limit; heartbeat=10s", "heartbeat is at least 60s"},
		{"", "action=deny; body-size=1kB", "are for action = limit"},
		{"", "action=deny; types=*.exe", "are for action = strip"},
		{"", "action=allow; status=130", "are for action = deny"},
		{"", "action=deny; http=200", "from 400 to 599"},
		{"", "action=use", "needs use"},
		{"", "action=deny; use=read-only", "used by action = use"},
		{"", "action=use; use=write-only", "'write-only' is not a set"},
		{"min-protocol", "", "test.conf:1: option 'use' in policy: 'min-protocol' is not"},
		{"min-protocol 15", "", "is not a set"},
		{"read-only 2", "", "is not a set"},
		{"",
			"action=limit; rate=1/1s\naction=limit; rate=1/1s\naction=limit; "
			"rate=1/1s\n"
			"action=limit; rate=1/1s\naction=limit; rate=1/1s",
			"test.conf:5: rule 'r5': more than 4"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *config = policy_fixture_new(cases[i].sets);
		struct faults faults = {""};
		struct policy *policy = make(config, cases[i].rules);

		CU_ASSERT_PTR_NULL(policy);
		CU_ASSERT_EQUAL(policy_config_check(config, note_fault, &faults), -1);
		if (strstr(faults.text, cases[i].expected) == NULL) {
			printf("\n%s: %s\n", cases[i].rules, faults.text);
			CU_FAIL("the fault");
		}
		policy_free(policy);
		config_free(config);
	}
}

static void test_every_fault_is_told(void)
{
	struct config *config = policy_fixture_new("x");
	struct faults faults = {""};

	CU_ASSERT_PTR_NULL(make(config, "command=a|Sync|b; action=deny\nsource=c|d; action=deny"));
	CU_ASSERT_EQUAL(policy_config_check(config, note_fault, &faults), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(faults.text, "'x' is not a set"));
	CU_ASSERT_PTR_NOT_NULL(strstr(faults.text, "'a' is not a command"));
	CU_ASSERT_PTR_NOT_NULL(strstr(faults.text, "'c' is not a network"));
	CU_ASSERT_PTR_NOT_NULL(strstr(faults.text, "'d' is not a network"));
	config_free(config);
}

static const struct check checks[] = {
	{"the first rule that matches decides", test_the_first_rule_that_matches_decides},
	{"conditions about who asks", test_conditions_about_who_asks},
	{"conditions about the device", test_conditions_about_the_device},
	{"conditions about protocol versions", test_conditions_about_protocol_versions},
	{"conditions about time", test_conditions_about_time},
	{"conditions about what is asked", test_conditions_about_what_is_asked},
	{"the body is asked for only where a rule depends on it",
		test_the_body_is_asked_for_only_where_a_rule_depends_on_it},
	{"a class that nobody knows is asked for", test_a_class_that_nobody_knows_is_asked_for},
	{"limits and strips do not decide", test_limits_and_strips_do_not_decide},
	{"shadow only leaves notes", test_shadow_only_leaves_notes},
	{"a whole policy in shadow", test_a_whole_policy_in_shadow},
	{"sets", test_sets},
	{"the lowest version is known to who writes options",
		test_the_lowest_version_is_known_to_who_writes_options},
	{"what is taken out", test_what_is_taken_out},
	{"xpath sees the document", test_xpath_sees_the_document},
	{"xpath that takes too long refuses", test_xpath_that_takes_too_long_refuses},
	{"a document that is too large refuses unless nothing depends on it",
		test_a_document_that_is_too_large_refuses_unless_nothing_depends_on_it},
	{"faults name line and option", test_faults_name_line_and_option},
	{"every fault is told", test_every_fault_is_told},
};

int main(void)
{
	setenv("TZ", "UTC", 1);
	return check_run("proxy/policy", checks, sizeof(checks) / sizeof(checks[0]));
}
