#include "auth/trust_rule.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { POLICY_TEXT_SIZE = 128 };

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
