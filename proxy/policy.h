/*
 * The rules of policy { … }: what may pass, within which limits, and what is taken out of the answer.
 *
 * Rules are gone through in order, once: at the head as far as it can be said what they make of the
 * request without its body, and from there on when the body is whole. The first allow, deny,
 * quarantine or wipe that matches ends it. Of limit and strip the first that matches says how far and
 * what, and what comes after may still refuse; log, and all that is in shadow, only leaves a note.
 *
 * The sets of policy/use come first, then the rules as they are written. policy_new() allocates all
 * there will be; evaluation allocates nothing, but for XPath. For workers and easproxyctl.
 */
#ifndef PROXY_POLICY_H
#define PROXY_POLICY_H

#include <netinet/in.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/error.h"
#include "config/model.h"
#include "config/span.h"
#include "proxy/eas.h"

struct policy;

enum {
	POLICY_NOTES_MAX = 4,       /* of one request; more are counted only */
	POLICY_RATES_MAX = 4,       /* rules of one policy that limit a rate */
	POLICY_OIDS_MAX = 64,       /* certificate policies that rules of one policy name */
	POLICY_TEXTS_MAX = 16,      /* recipients or attachments that are looked at */
	POLICY_USER_AGENT_MAX = 256 /* so much of it is compared */
};

/* What a request does, beside what its command says: bits of policy_facts.acts. The words of the
 * condition "does" are in policy_words.c. */
enum policy_act {
	POLICY_ACT_SEND = 1 << 0, /* mail goes out */
	POLICY_ACT_ADD = 1 << 1,  /* items */
	POLICY_ACT_CHANGE = 1 << 2,
	POLICY_ACT_DELETE = 1 << 3,
	POLICY_ACT_MOVE = 1 << 4,
	POLICY_ACT_EMPTY = 1 << 5,      /* a whole folder */
	POLICY_ACT_FOLDER = 1 << 6,     /* makes, renames or deletes folders */
	POLICY_ACT_RESPOND = 1 << 7,    /* to a meeting */
	POLICY_ACT_SET = 1 << 8,        /* the out of office text or the device's password */
	POLICY_ACT_ATTACHMENT = 1 << 9, /* fetches one */
	POLICY_ACT_SEARCH_MAILBOX = 1 << 10,
	POLICY_ACT_SEARCH_GAL = 1 << 11,
	POLICY_ACT_SEARCH_DOCUMENTS = 1 << 12, /* searches or fetches from file shares */
};

struct policy_attachment {
	struct span name, type; /* of its content; empty: not said */
};

/* What rules look at. Texts are never NULL, "" is what was not said; all is borrowed. */
struct policy_facts {
	/* Of the session. */
	const char *mailbox;    /* lower case */
	const char *issuer;     /* of the certificate, RFC 2253 */
	uint64_t groups;        /* bit n: in config->policy.groups[n] */
	uint64_t oids;          /* of the certificate: policy_oids_of() */
	struct in6_addr source; /* an IPv4 one is mapped */

	/* Of the head. */
	int64_t now;              /* UNIX seconds */
	enum eas_command command; /* EAS_NO_COMMAND: OPTIONS, or Autodiscover */
	bool is_autodiscover;
	unsigned int version; /* 25, 120, …; 0: not said */
	const char *device_id, *device_type;
	const char *model, *os; /* as the phone said them once; "" when it did not */
	struct span user_agent;

	/* Of the body; nothing is said about it before it is whole. */
	bool has_body;
	/* 1 << enum eas_class over the collections that are asked for; EAS_CLASS_UNSAID: of one of them
	 * nobody knows it */
	uint8_t classes;
	uint32_t acts; /* enum policy_act; those that the command implies need not be there */
	uint64_t attachment_largest;
	size_t attachment_count, recipient_count;
	bool attachments_are_cut, recipients_are_cut; /* there are more than these */
	bool document_is_too_large;                   /* to be kept */
	struct span document; /* WBXML, where policy_decision.wants_document */
	/* Last: nobody looks beyond the counts, so that they need not be zero. */
	struct policy_attachment attachments[POLICY_TEXTS_MAX];
	struct span recipients[POLICY_TEXTS_MAX]; /* addresses, lower case */
};

enum policy_action { POLICY_ALLOW, POLICY_DENY, POLICY_QUARANTINE, POLICY_WIPE };

/* What is taken out of an answer. */
struct policy_strip;

/* How often a device may come. */
struct policy_rate {
	uint32_t count;
	uint32_t time_s;
	uint32_t slot; /* which bucket of a device is meant, below POLICY_RATES_MAX */
};

/* All zero before the head is judged. Pointers live as long as the policy. */
struct policy_decision {
	enum policy_action action;
	const char *rule;     /* that decided; NULL: none, so that it is allowed */
	uint16_t eas_status;  /* of a deny: from 14.0 on, where the command has a place for it */
	uint16_t http_status; /* of a deny: for all others */
	bool wants_document;  /* it has to be kept for XPath, up to policy/document-size */
	bool has_failed;      /* XPath could not be evaluated: refused as policy-document */
	bool wants_folders; /* a rule asks for a class that is not known: refused as folders-unknown */
	uint8_t hidden_classes; /* folders that FolderSync does not show: 1 << enum eas_class */
	uint8_t note_count;
	uint16_t next;                       /* rule to go on with */
	uint32_t heartbeat_max_s;            /* 0: as it is */
	uint64_t body_size_max;              /* of the request; 0: as it is */
	const struct policy_rate *rate;      /* NULL: none */
	const struct policy_strip *strip;    /* NULL: nothing but hidden_classes */
	const char *limit_rule, *strip_rule; /* that said so; NULL: none */
	uint16_t notes[POLICY_NOTES_MAX];    /* numbers of rules: policy_note() */
};

enum policy_outcome { POLICY_DECIDED, POLICY_NEEDS_BODY };

/* The rules as they are evaluated. config is borrowed and lives as long. Faults are reported by
 * "file:line: …", all of them; NULL then, or when memory runs out. Also reads the host's time zone, so
 * that nothing has to be opened later. */
struct policy *policy_new(const struct config *config, config_report *report, void *context);
void policy_free(struct policy *policy);

/* Whether policy_new() would succeed: 0, or -1 when faults were reported. */
int policy_config_check(const struct config *config, config_report *report, void *context);

/* Judges the head (is_whole false), and after NEEDS_BODY the whole with the same decision. A request
 * without a body is whole at its head. DECIDED whenever is_whole. */
enum policy_outcome policy_evaluate(struct policy *policy, const struct policy_facts *facts,
	bool is_whole, struct policy_decision *decision);

/* Whether the strip takes out an attachment of this name, content type and size. What is not known is
 * empty, or UINT64_MAX. */
bool policy_strips(const struct policy_strip *strip, struct span name, struct span content_type,
	uint64_t size);

/* The lowest protocol version that phones of every kind may speak, by the set min-protocol in
 * policy/use: 0 without it, or in shadow. OPTIONS offers no lower one. */
unsigned int policy_min_protocol(const struct policy *policy);

/* Largest document that is kept for XPath. */
uint64_t policy_document_size(const struct policy *policy);

/* A note of a decision: the name of its rule, and whether it is one of shadow, as against one of action =
 * log. */
const char *policy_note(const struct policy *policy, uint16_t note, bool *is_shadow);

/* Whether any rule may take something out of answers, or want to see the document, the User-Agent, or the
 * classes of folders. */
bool policy_may_strip(const struct policy *policy);
bool policy_asks_document(const struct policy *policy);
bool policy_asks_user_agent(const struct policy *policy);
bool policy_asks_class(const struct policy *policy);

/* Which of the certificate policies that rules name it asserts, a bit for each: policy_facts.oids. */
uint64_t policy_oids_of(const struct policy *policy, X509 *certificate);

#endif
