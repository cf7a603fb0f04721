#include "auth/trust_compare.h"

#include <string.h>

#include "auth/trust_member.h"

static bool texts_differ(char *const *a, size_t a_count, char *const *b, size_t b_count)
{
	if (a_count != b_count)
		return true;
	for (size_t i = 0; i < a_count; i++)
		if (strcmp(a[i], b[i]) != 0)
			return true;
	return false;
}

static bool rules_differ(const struct authority *a, const struct authority *b)
{
	if (a->rule_count != b->rule_count)
		return true;
	for (size_t i = 0; i < a->rule_count; i++) {
		const struct authority_rule *x = &a->rules[i];
		const struct authority_rule *y = &b->rules[i];

		if (strcmp(x->policy, y->policy) != 0 ||
			texts_differ(x->domains, x->domain_count, y->domains, y->domain_count) ||
			texts_differ(
				x->mailboxes, x->mailbox_count, y->mailboxes, y->mailbox_count))
			return true;
	}
	return false;
}

const char *trust_terms_difference(const struct authority *a, const struct authority *b)
{
	/* The first is always there, if as "". */
	if (strcmp(a->crls[0].url, b->crls[0].url) != 0)
		return trust_member_name(TRUST_CRL);
	if (strcmp(a->crls[0].delta_url, b->crls[0].delta_url) != 0)
		return trust_member_name(TRUST_DELTA_CRL);
	if (a->crl_count != b->crl_count)
		return trust_member_name(TRUST_MORE_CRLS);
	for (size_t i = 1; i < a->crl_count; i++)
		if (strcmp(a->crls[i].url, b->crls[i].url) != 0 ||
			strcmp(a->crls[i].delta_url, b->crls[i].delta_url) != 0)
			return trust_member_name(TRUST_MORE_CRLS);
	if (a->check != b->check)
		return trust_member_name(TRUST_CHECK);
	if (a->grace_s != b->grace_s)
		return trust_member_name(TRUST_GRACE);
	if (a->exempt_until != b->exempt_until)
		return trust_member_name(TRUST_EXEMPT_UNTIL);
	if (a->ocsp != b->ocsp)
		return trust_member_name(TRUST_OCSP);
	if (strcmp(a->ocsp_url, b->ocsp_url) != 0)
		return trust_member_name(TRUST_OCSP_URL);
	return rules_differ(a, b) ? trust_member_name(TRUST_RULES) : NULL;
}

static bool holds_in(const struct trust_store *now, const struct authority *authority)
{
	for (size_t i = 0; i < now->count; i++)
		if (X509_cmp(now->authorities[i].certificate, authority->certificate) == 0)
			return now->authorities[i].is_root == authority->is_root &&
			       now->authorities[i].is_crl_signer == authority->is_crl_signer &&
			       trust_terms_difference(&now->authorities[i], authority) == NULL;
	return false;
}

void trust_store_compare(const struct trust_store *old, const struct trust_store *now,
	uint64_t withdrawn[AUTHORITY_MAX / 64])
{
	memset(withdrawn, 0, AUTHORITY_MAX / 8);
	for (size_t i = 0; i < old->count; i++)
		if (!holds_in(now, &old->authorities[i]))
			withdrawn[i / 64] |= UINT64_C(1) << i % 64;
}
