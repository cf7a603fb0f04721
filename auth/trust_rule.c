#include "auth/trust_rule.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/trust_value.h"

enum {
	POLICY_TEXT_SIZE = 128,
	NAME_SIZE_MAX = 320, /* RFC 5321 4.5.3.1: 64, @, 255 */
	NAME_COUNT_MAX = 4096,
};

/* As certificates of CAs assert it to say that any policy will do, not a policy of its own. */
static const char any_policy[] = "2.5.29.32.0";

static void free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

void trust_rules_free(struct authority_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(rules[i].policy);
		free_texts(rules[i].domains, rules[i].domain_count);
		free_texts(rules[i].mailboxes, rules[i].mailbox_count);
	}
	free(rules);
}

/* Checks a policy's OID: dotted decimal, as it is written in every tool. */
static int check_policy(struct trust_reader *reader, const char *policy)
{
	ASN1_OBJECT *object = policy[0] != '\0' ? OBJ_txt2obj(policy, 1) : NULL;
	char text[POLICY_TEXT_SIZE] = "";
	bool is_same = policy[0] == '\0';

	if (object != NULL) {
		int len = OBJ_obj2txt(text, sizeof(text), object, 1);

		is_same = len > 0 && (size_t)len < sizeof(text) && strcmp(text, policy) == 0;
	}
	ASN1_OBJECT_free(object);
	ERR_clear_error();
	if (!is_same)
		trust_reader_fault(reader,
			"rules: policy: must be an object identifier, such as 1.3.6.1.4.1.99999.1");
	else if (strcmp(policy, any_policy) == 0)
		trust_reader_fault(reader,
			"rules: policy: %s says nothing of a certificate; leave "
			"policy out where all are meant",
			any_policy);
	else
		return 0;
	return -1;
}

/* A name in lower case, or NULL (reported). */
static char *read_name(struct trust_reader *reader, json_t *value, bool is_mailbox)
{
	const char *name = is_mailbox ? "rules: mailboxes" : "rules: domains";
	char *copy =
		json_is_string(value) ? trust_value_copy(reader, value, name, NAME_SIZE_MAX) : NULL;
	const char *domain = copy;
	const char *found;

	if (!json_is_string(value))
		trust_reader_fault(reader, "%s: must be a list of strings", name);
	if (copy == NULL)
		return NULL;
	for (char *c = copy; *c != '\0'; c++)
		*c = (char)(isascii((unsigned char)*c) ? tolower((unsigned char)*c) : *c);
	if (is_mailbox) {
		const char *at = strrchr(copy, '@');

		domain = at != NULL && at > copy ? at + 1 : "";
	} else if (strcmp(copy, "*") == 0) {
		return copy;
	}
	found = domain;
	while (isalnum((unsigned char)*found) || *found == '-' || *found == '.')
		found++;
	if (domain[0] != '\0' && domain[0] != '.' && *found == '\0')
		return copy;
	trust_reader_fault(reader, "%s: '%.100s' is not a %s", name, copy,
		is_mailbox ? "mailbox, such as alice@example.com"
			   : "domain, such as example.com (not ASCII: xn--...), nor *");
	free(copy);
	return NULL;
}

static int read_names(
	struct trust_reader *reader, json_t *list, bool is_mailbox, char ***names, size_t *count)
{
	const char *name = is_mailbox ? "rules: mailboxes" : "rules: domains";

	if (list == NULL)
		return 0;
	if (!json_is_array(list) || json_array_size(list) > NAME_COUNT_MAX) {
		trust_reader_fault(
			reader, "%s: must be a list of at most %d strings", name, NAME_COUNT_MAX);
		return -1;
	}
	*names = calloc(json_array_size(list) + 1, sizeof(**names));
	if (*names == NULL) {
		trust_reader_fault(reader, "%s: out of memory", name);
		return -1;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		(*names)[i] = read_name(reader, json_array_get(list, i), is_mailbox);
		if ((*names)[i] == NULL)
			return -1;
		(*count)++;
	}
	return 0;
}

static int read_rule(struct trust_reader *reader, json_t *object, struct authority_rule *rule)
{
	json_t *policy = NULL, *domains = NULL, *mailboxes = NULL;
	const char *name, *text;
	json_t *value;

	if (!json_is_object(object)) {
		trust_reader_fault(reader, "rules: must be a list of objects");
		return -1;
	}
	json_object_foreach(object, name, value)
	{
		if (strcasecmp(name, "policy") == 0 && !json_is_null(value))
			policy = value;
		else if (strcasecmp(name, "domains") == 0 && !json_is_null(value))
			domains = value;
		else if (strcasecmp(name, "mailboxes") == 0 && !json_is_null(value))
			mailboxes = value;
		else if (!json_is_null(value)) {
			/* Elsewhere a warning; but a rule that is half understood allows too much. */
			trust_reader_fault(reader, "rules: %.64s: unknown", name);
			return -1;
		}
	}
	text = trust_value_text(reader, policy, "rules: policy");
	if (text == NULL || check_policy(reader, text) == -1)
		return -1;
	rule->policy = strdup(text);
	if (rule->policy == NULL) {
		trust_reader_fault(reader, "rules: out of memory");
		return -1;
	}
	if (read_names(reader, domains, false, &rule->domains, &rule->domain_count) == -1 ||
		read_names(reader, mailboxes, true, &rule->mailboxes, &rule->mailbox_count) == -1)
		return -1;
	if (rule->domain_count + rule->mailbox_count > 0)
		return 0;
	trust_reader_fault(reader, "rules: a rule names domains or mailboxes; \"*\" among domains "
				   "stands for all");
	return -1;
}

int trust_rules_read(struct trust_reader *reader, json_t *list, struct authority *authority)
{
	if (list == NULL)
		return 0;
	if (!json_is_array(list) || json_array_size(list) == 0 ||
		json_array_size(list) > AUTHORITY_RULE_MAX) {
		trust_reader_fault(
			reader, "rules: must be a list of 1 to %d objects", AUTHORITY_RULE_MAX);
		return -1;
	}
	authority->rules = calloc(json_array_size(list), sizeof(*authority->rules));
	if (authority->rules == NULL) {
		trust_reader_fault(reader, "rules: out of memory");
		return -1;
	}
	authority->rule_count = json_array_size(list);
	for (size_t i = 0; i < authority->rule_count; i++)
		if (read_rule(reader, json_array_get(list, i), &authority->rules[i]) == -1)
			return -1;
	return 0;
}

static json_t *write_names(char *const *names, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; list != NULL && i < count; i++)
		if (json_array_append_new(list, json_string(names[i])) == -1) {
			json_decref(list);
			list = NULL;
		}
	return list;
}

static json_t *write_rule(const struct authority_rule *rule)
{
	json_t *object = json_object();

	if (object == NULL ||
		(rule->policy[0] != '\0' &&
			json_object_set_new(object, "policy", json_string(rule->policy)) == -1) ||
		(rule->domain_count > 0 &&
			json_object_set_new(object, "domains",
				write_names(rule->domains, rule->domain_count)) == -1) ||
		(rule->mailbox_count > 0 &&
			json_object_set_new(object, "mailboxes",
				write_names(rule->mailboxes, rule->mailbox_count)) == -1)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

json_t *trust_rules_write(const struct authority_rule *rules, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; list != NULL && i < count; i++)
		if (json_array_append_new(list, write_rule(&rules[i])) == -1) {
			json_decref(list);
			list = NULL;
		}
	return list;
}

static bool has_policy(const CERTIFICATEPOLICIES *policies, const char *policy)
{
	char text[POLICY_TEXT_SIZE];

	for (int i = 0; policies != NULL && i < sk_POLICYINFO_num(policies); i++) {
		int len = OBJ_obj2txt(
			text, sizeof(text), sk_POLICYINFO_value(policies, i)->policyid, 1);

		if (len > 0 && (size_t)len < sizeof(text) && strcmp(text, policy) == 0)
			return true;
	}
	return false;
}

uint32_t trust_rules_match(const struct authority *authority, X509 *certificate)
{
	CERTIFICATEPOLICIES *policies;
	uint32_t rules = 0;
	int critical;

	if (authority->rule_count == 0)
		return 0;
	policies = X509_get_ext_d2i(certificate, NID_certificate_policies, &critical, NULL);
	/* -1: there is none. All else is one too many, or one that cannot be read. */
	if (policies != NULL || critical == -1)
		for (size_t i = 0; i < authority->rule_count; i++)
			if (authority->rules[i].policy[0] == '\0' ||
				has_policy(policies, authority->rules[i].policy))
				rules |= UINT32_C(1) << i;
	CERTIFICATEPOLICIES_free(policies);
	ERR_clear_error();
	return rules;
}

static bool rule_names(const struct authority_rule *rule, const char *mailbox)
{
	const char *at = strrchr(mailbox, '@');

	for (size_t i = 0; i < rule->mailbox_count; i++)
		if (strcasecmp(rule->mailboxes[i], mailbox) == 0)
			return true;
	for (size_t i = 0; i < rule->domain_count; i++)
		if (strcmp(rule->domains[i], "*") == 0 ||
			(at != NULL && strcasecmp(rule->domains[i], at + 1) == 0))
			return true;
	return false;
}

bool trust_rules_allow(const struct authority *authority, uint32_t rules, const char *mailbox)
{
	for (size_t i = 0; i < authority->rule_count; i++)
		if ((rules >> i & 1) != 0 && rule_names(&authority->rules[i], mailbox))
			return true;
	return authority->rule_count == 0;
}
