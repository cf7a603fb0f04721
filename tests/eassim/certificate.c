#include "certificate.h"

#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static const ASN1_STRING *principal_name(const GENERAL_NAME *name)
{
	char oid[64];
	const ASN1_TYPE *value;

	if (name->type != GEN_OTHERNAME ||
		OBJ_obj2txt(oid, sizeof(oid), name->d.otherName->type_id, 1) <= 0 ||
		strcmp(oid, "1.3.6.1.4.1.311.20.2.3") != 0)
		return NULL;
	value = name->d.otherName->value;
	return value->type == V_ASN1_UTF8STRING ? value->value.utf8string : NULL;
}

static bool name_copy(const ASN1_STRING *value, char name[321])
{
	int len = ASN1_STRING_length(value);
	const unsigned char *text = ASN1_STRING_get0_data(value);

	if (len <= 0 || len > 320 || memchr(text, '\0', (size_t)len) != NULL)
		return false;
	snprintf(name, 321, "%.*s", len, (const char *)text);
	return true;
}

bool certificate_mailbox(X509 *certificate, char name[321])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	const ASN1_STRING *upn = NULL, *rfc822 = NULL;
	bool is_named;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);

		if (upn == NULL)
			upn = principal_name(one);
		if (rfc822 == NULL && one->type == GEN_EMAIL)
			rfc822 = one->d.rfc822Name;
	}
	is_named = (upn != NULL && name_copy(upn, name)) ||
		   (upn == NULL && rfc822 != NULL && name_copy(rfc822, name));
	GENERAL_NAMES_free(names);
	return is_named;
}
