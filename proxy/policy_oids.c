#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "proxy/policy.h"
#include "proxy/policy_rule.h"

/* Of the certificate itself: the path was judged by trust/policies. */
static bool asserts(const CERTIFICATEPOLICIES *policies, const char *oid)
{
	for (int i = 0; i < sk_POLICYINFO_num(policies); i++) {
		char text[128];
		int len = OBJ_obj2txt(
			text, sizeof(text), sk_POLICYINFO_value(policies, i)->policyid, 1);

		if (len > 0 && (size_t)len < sizeof(text) && strcmp(text, oid) == 0)
			return true;
	}
	return false;
}

uint64_t policy_oids_of(const struct policy *policy, X509 *certificate)
{
	CERTIFICATEPOLICIES *policies;
	uint64_t oids = 0;

	if (policy->oid_count == 0)
		return 0;
	policies = X509_get_ext_d2i(certificate, NID_certificate_policies, NULL, NULL);
	for (uint32_t i = 0; policies != NULL && i < policy->oid_count; i++)
		if (asserts(policies, policy->oids[i]))
			oids |= UINT64_C(1) << i;
	CERTIFICATEPOLICIES_free(policies);
	ERR_clear_error();
	return oids;
}
