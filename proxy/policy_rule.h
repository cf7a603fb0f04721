/*
 * A rule as it is evaluated, and the parts behind policy.h. Private to proxy/policy*.c and
 * easproxyctl_policy*.c.
 */
#ifndef PROXY_POLICY_RULE_H
#define PROXY_POLICY_RULE_H

#include "proxy/policy.h"
#include "proxy/policy_source.h"
#include "proxy/policy_texts.h"
#include "proxy/policy_time.h"
#include "proxy/policy_words.h"
#include "proxy/policy_xpath.h"

/* What a test looks at. In the order in which tests are made: what costs little first, what needs the
 * body last. */
enum policy_fact {
	POLICY_FACT_GROUP,
	POLICY_FACT_OID,
	POLICY_FACT_SOURCE,
	POLICY_FACT_TIME,
	POLICY_FACT_MAILBOX, /* texts from here */
	POLICY_FACT_DOMAIN,
	POLICY_FACT_DEVICE,
	POLICY_FACT_DEVICE_TYPE,
	POLICY_FACT_MODEL,
	POLICY_FACT_OS,
	POLICY_FACT_USER_AGENT,
	POLICY_FACT_ISSUER, /* to here */
	POLICY_FACT_CLASS,  /* of the body from here */
	POLICY_FACT_ACT,
	POLICY_FACT_ATTACHMENT_SIZE,
	POLICY_FACT_ATTACHMENT,
	POLICY_FACT_RECIPIENT_DOMAIN,
	POLICY_FACT_XPATH,
	POLICY_FACT_COUNT
};

enum {
	POLICY_FIRST_TEXT = POLICY_FACT_MAILBOX,
	POLICY_TEXT_FACTS =
		POLICY_FACT_ISSUER - POLICY_FACT_MAILBOX, /* without it: it has two texts */

	/* Marks of texts; 0 is one that all have. */
	POLICY_MARK_KINDS = 3,
	POLICY_MARKS = 1 + POLICY_MARK_KINDS * POLICY_TEXT_FACTS,
	POLICY_GLANCES = 2
};

/* What is looked at first of every rule: whether it can hold at all. */
struct policy_glance {
	uint64_t asks;   /* bits of commands, and from POLICY_VERSION_SHIFT on of versions */
	uint64_t groups; /* one of them; 0: whoever it is */
	uint64_t marks[POLICY_GLANCES];
	uint8_t mark[POLICY_GLANCES]; /* place in policy_findings.marks */
};

enum {
	POLICY_VERSION_SHIFT = 32,
	POLICY_TIME_SHIFT = 62,   /* set while the rule's times hold */
	POLICY_ISSUER_SHIFT = 63, /* set while its issuers hold, for policy->issuer */
	POLICY_ISSUER_MAX = 255
};

/* A text of a request that rules ask for, and what they want to know of it. */
struct policy_ask {
	uint8_t text; /* its place */
	bool hash, start, last;
};

/* text: its place, from 0. */
static inline unsigned int policy_mark_place(unsigned int text, enum policy_mark mark)
{
	return POLICY_MARK_KINDS * text + (unsigned int)mark;
}

struct policy_test {
	uint8_t fact;   /* enum policy_fact */
	uint32_t count; /* of times, networks */
	union {
		struct {
			uint64_t named, excluded; /* groups, OIDs: bits */
			bool names_any;
		};
		uint64_t bits;  /* classes, acts: one of them will do */
		uint64_t bound; /* the largest attachment is larger */
		struct {
			struct policy_texts *texts;
			struct policy_span_of_week *times;
			bool holds_now; /* times: at policy->minute; issuers: for policy->issuer */
		};
		struct policy_network *networks;
		struct {
			struct policy_xpath *xpath;
			bool needs_document; /* without one it does not hold */
		};
	};
};

struct policy_strip {
	uint64_t larger_than;
	struct policy_texts *types; /* NULL: of any kind */
};

struct policy_rule {
	uint32_t commands; /* policy_words.h */
	uint16_t versions;
	uint8_t action; /* enum config_rule_action, but for USE */
	bool is_shadow;
	uint32_t test_count;
	struct policy_test *tests;
	bool asks_xpath;

	uint16_t status, http; /* of a deny; 0: what fits */
	uint8_t hidden_classes;
	bool has_strip, has_rate;
	struct policy_strip strip;
	struct policy_rate rate;
	uint64_t body_size;
	uint32_t heartbeat_s;

	const char *name;
	const char *set; /* that it is of; NULL: it is written in the file */
	/* What it was made of: its own words, and those of the rule with action = use, NULL for none.
	 * Borrowed from policy->config or policy->sets. */
	const struct config_rule *own, *outer;
};

/* What a set stands for, in the words of the configuration. */
struct policy_set {
	size_t count;
	struct config_rule *rules;
};

struct policy {
	const struct config *config;
	uint32_t rule_count;
	struct policy_rule *rules;
	struct policy_glance *glances; /* of each rule */
	uint32_t ask_count;
	struct policy_ask asks[POLICY_TEXT_FACTS];
	bool asks_time, asks_issuer;
	char issuer[POLICY_ISSUER_MAX + 1]; /* for which the glances are right; "": for none */
	bool is_shadow;                     /* all of it */
	bool asks_xpath;                    /* any rule */
	bool asks_class;
	uint32_t rate_count;
	uint32_t oid_count;
	char *oids[POLICY_OIDS_MAX];
	unsigned int min_protocol;
	uint32_t set_count;
	struct policy_set *sets; /* one for each time that one is named */
	int64_t minute;          /* of UNIX time, for which holds_now was found */
};

/* Faults of policy_new(). */
struct policy_report {
	config_report *report;
	void *context;
	const char *file;
	bool has_failed;
};

void policy_fault(struct policy_report *report, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* policy_compile.c. Appends what a rule of the configuration means; outer: the rule with action = use
 * whose conditions are added, NULL for none. 0, or -1: a fault was reported, or memory ran out. */
int policy_compile(struct policy *policy, struct policy_report *report,
	const struct config_rule *rule, const struct config_rule *outer, const char *set);
void policy_rule_clear(struct policy_rule *rule);

/* policy_sets.c. The rules that a set stands for, written as in the file; *count of them, with names of
 * their own, all owned by the caller (config_rule_clear() each, then free()). word: the name, and a
 * version behind it where the set has one. NULL with err filled. */
struct config_rule *policy_set_expand(const char *word, size_t *count, struct error *err);

/* The version of "min-protocol 14.1", 0 for another set. */
unsigned int policy_set_min_protocol(const char *word);

/* policy.c, for easproxyctl policy test. */
enum policy_result {
	POLICY_FAILS,
	POLICY_HOLDS,
	POLICY_UNKNOWN /* before the body, or as long as a class is not known */
};

/* What was found out about the facts of one evaluation. */
struct policy_findings {
	const struct policy_facts *facts;
	bool is_whole;
	unsigned int command, version; /* their bits */
	/* Of the texts that rules ask for. */
	struct span texts[POLICY_TEXT_FACTS];
	uint64_t hashes[POLICY_TEXT_FACTS];
	uint8_t marks[POLICY_MARKS];
	struct policy_document *document;
	bool has_failed; /* what XPath asks for could not be found out */
};

void policy_findings_begin(struct policy *policy, struct policy_findings *findings,
	const struct policy_facts *facts, bool is_whole);
void policy_findings_end(struct policy_findings *findings);

/* failed: the first test that does not hold, NULL where commands or versions do not. */
enum policy_result policy_rule_judge(struct policy *policy, const struct policy_rule *rule,
	struct policy_findings *findings, const struct policy_test **failed);

/* "deny", "strip": enum config_rule_action. */
const char *policy_action_word(unsigned int action);

/* The option that a test was made of: "user-agent". */
const char *policy_fact_name(enum policy_fact fact);

#endif
