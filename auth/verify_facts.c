#include "auth/verify_facts.h"

#include <openssl/x509v3.h>
#include <string.h>

#include "auth/ocsp.h"
#include "auth/verify_path.h"
#include "auth/x509_text.h"

static int narrow_validity(struct verdict *verdict, const X509 *certificate)
{
	int64_t from;
	int64_t to;

	if (x509_time_read(X509_get0_notBefore(certificate), &from) == -1 ||
		x509_time_read(X509_get0_notAfter(certificate), &to) == -1)
		return -1;
	if (verdict->not_before == INT64_MIN)
		verdict->leaf_not_before = from; /* the first that is looked at */
	if (from > verdict->not_before)
		verdict->not_before = from;
	if (to < verdict->not_after)
		verdict->not_after = to;
	return 0;
}

static enum refusal read_link(
	struct verdict *verdict, const struct trust_store *trust, X509 *certificate, X509 *issuer)
{
	uint8_t number = (uint8_t)verdict->link_count++;
	struct verdict_link *link = &verdict->links[number];
	size_t points = verdict->point_count;

	link->authority = (int16_t)trust_store_find(trust, issuer);
	link->is_ca = X509_check_ca(certificate) != 0;
	if (serial_from_asn1(&link->serial, X509_get0_serialNumber(certificate)) == -1)
		return verdict_refuse(verdict, REFUSAL_CERTIFICATE_UNREADABLE,
			"serial number longer than 20 octets");
	if (revocation_points_read(
		    certificate, number, verdict->points, VERDICT_POINT_MAX, &points) == -1)
		return verdict_refuse(verdict, REFUSAL_CERTIFICATE_UNREADABLE,
			"malformed CRL distribution points");
	verdict->point_count = (uint32_t)points;
	return REFUSAL_NONE;
}

/* Whether the whole chain is valid for a policy, which the leaf alone can claim of itself. */
static bool is_valid_for(const X509_POLICY_TREE *policies, const char *wanted)
{
	const X509_POLICY_LEVEL *leaf;
	char text[128];

	if (policies == NULL || X509_policy_tree_level_count(policies) == 0)
		return false;
	leaf = X509_policy_tree_get0_level(policies, X509_policy_tree_level_count(policies) - 1);
	for (int i = 0; i < X509_policy_level_node_count((X509_POLICY_LEVEL *)leaf); i++) {
		const X509_POLICY_NODE *node =
			X509_policy_level_get0_node((X509_POLICY_LEVEL *)leaf, i);

		if (OBJ_obj2txt(text, sizeof(text), X509_policy_node_get0_policy(node), 1) > 0 &&
			strcmp(text, wanted) == 0)
			return true;
	}
	return false;
}

static uint32_t read_rules(
	const struct authority *authority, X509 *leaf, const X509_POLICY_TREE *policies)
{
	uint32_t rules = trust_rules_match(authority, leaf);

	for (size_t i = 0; i < authority->rule_count; i++) {
		const char *policy = authority->rules[i].policy;

		if (policy[0] != '\0' && !is_valid_for(policies, policy))
			rules &= ~(UINT32_C(1) << i);
	}
	return rules;
}

enum refusal verify_facts_read(const struct trust_store *trust, const STACK_OF(X509) * chain,
	const X509_POLICY_TREE *policies, struct verdict *verdict)
{
	int count = sk_X509_num(chain);
	X509 *leaf = sk_X509_value(chain, 0);

	if (count < 2 || count - 1 > VERDICT_CHAIN_MAX)
		return verdict_refuse(
			verdict, REFUSAL_CERTIFICATE_CHAIN, "certificate chain too long");
	verdict->link_count = 0;
	verdict->point_count = 0;
	verdict->ocsp_url[0] = '\0';
	verdict->not_before = INT64_MIN;
	verdict->not_after = INT64_MAX;
	for (int i = 0; i < count; i++) {
		X509 *certificate = sk_X509_value(chain, i);

		if (narrow_validity(verdict, certificate) == -1)
			return verdict_refuse(
				verdict, REFUSAL_CERTIFICATE_UNREADABLE, "malformed validity time");
		if (i + 1 < count && read_link(verdict, trust, certificate,
					     sk_X509_value(chain, i + 1)) != REFUSAL_NONE)
			return verdict->refusal;
	}
	verdict->rules = verdict->links[0].authority < 0
				 ? 0
				 : read_rules(&trust->authorities[verdict->links[0].authority],
					   leaf, policies);
	ocsp_url_read(leaf, verdict->ocsp_url);
	return REFUSAL_NONE;
}
