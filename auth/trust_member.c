#include "auth/trust_member.h"

#include <string.h>
#include <strings.h>

static const struct {
	const char *name;
	const char *older_name; /* NULL: there is none */
} member_table[TRUST_MEMBER_COUNT] = {
	[TRUST_IS_ROOT] = {"isRootAuthority", NULL},
	[TRUST_TYPE] = {"authorityType", "authorityType"},
	[TRUST_CERTIFICATE] = {"certificate", "trustedCertificate"},
	[TRUST_CERTIFICATE_FILE] = {"certificateFile", NULL},
	[TRUST_CRL] = {"certificateRevocationListUrl", "crlDistributionPoint"},
	[TRUST_DELTA_CRL] = {"deltaCertificateRevocationListUrl", "deltaCrlDistributionPoint"},
	[TRUST_ISSUER] = {"issuer", "trustedIssuer"},
	[TRUST_ISSUER_SKI] = {"issuerSki", "trustedIssuerSKI"},
	[TRUST_IS_CRL_SIGNER] = {"isCrlSigner", NULL},
	[TRUST_MORE_CRLS] = {"additionalCertificateRevocationLists", NULL},
	[TRUST_CHECK] = {"revocationCheck", NULL},
	[TRUST_GRACE] = {"revocationGrace", NULL},
	[TRUST_EXEMPT_UNTIL] = {"revocationExemptUntil", NULL},
	[TRUST_EXEMPT_REASON] = {"revocationExemptReason", NULL},
	[TRUST_CRL_SIZE_LIMIT] = {"crlSizeLimit", NULL},
	[TRUST_CRL_TIME_LIMIT] = {"crlTimeLimit", NULL},
	[TRUST_OCSP] = {"ocsp", NULL},
	[TRUST_OCSP_URL] = {"ocspUrl", NULL},
	[TRUST_RULES] = {"rules", NULL},
};

const char *trust_member_name(enum trust_member member)
{
	return member_table[member].name;
}

const char *trust_member_older_name(enum trust_member member)
{
	return member_table[member].older_name != NULL ? member_table[member].older_name
						       : member_table[member].name;
}

enum trust_member trust_member_find(const char *name)
{
	for (enum trust_member i = 0; i < TRUST_MEMBER_COUNT; i++)
		if (strcasecmp(trust_member_name(i), name) == 0 ||
			strcasecmp(trust_member_older_name(i), name) == 0)
			return i;
	return TRUST_MEMBER_COUNT;
}

void trust_members_collect(
	struct trust_reader *reader, json_t *object, json_t *members[TRUST_MEMBER_COUNT])
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		enum trust_member member = trust_member_find(name);

		if (member == TRUST_MEMBER_COUNT) {
			trust_reader_warn_unknown(reader, name);
		} else if (json_is_null(value)) {
			continue;
		} else if (members[member] != NULL) {
			trust_reader_fault(
				reader, "%.64s: given twice, under different names", name);
		} else {
			members[member] = value;
		}
	}
}
