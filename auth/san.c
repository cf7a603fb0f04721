#include "auth/san.h"

#include <openssl/x509v3.h>
#include <string.h>

#include "auth/address.h"
#include "auth/binding.h"
#include "auth/general_names.h"

static enum refusal add_address(struct identity_names *names, enum identity_kind kind,
	enum address_form form, const ASN1_STRING *value)
{
	struct span address = span_of(ASN1_STRING_get0_data(value), 0);

	if (ASN1_STRING_length(value) < 0 || ASN1_STRING_length(value) > IDENTITY_ADDRESS_MAX)
		return REFUSAL_NAME_INVALID;
	address.len = (size_t)ASN1_STRING_length(value);
	if (!address_is_sound(address, form) || names->count == SAN_COUNT_MAX ||
		identity_names_add(names, kind, address) == -1)
		return REFUSAL_NAME_INVALID;
	return REFUSAL_NONE;
}

static enum refusal add_other_name(struct identity_names *names, const OTHERNAME *other)
{
	static const struct {
		int nid;
		enum identity_kind kind;
		enum address_form form;
	} kinds[] = {
		{NID_ms_upn, IDENTITY_PRINCIPAL_NAME, ADDRESS_UTF8},
		{NID_id_on_SmtpUTF8Mailbox, IDENTITY_SMTP_UTF8_MAILBOX, ADDRESS_UTF8_LOCAL},
	};
	int nid = OBJ_obj2nid(other->type_id);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].nid != nid)
			continue;
		if (other->value->type != V_ASN1_UTF8STRING)
			return REFUSAL_NAME_INVALID;
		return add_address(
			names, kinds[i].kind, kinds[i].form, other->value->value.utf8string);
	}
	return REFUSAL_NONE;
}

/* Where the extension of AD's own CA has no place, because the names come with the request, Windows
 * takes the SID from a tag URI (RFC 4151). */
static enum refusal add_uri(struct identity_names *names, const ASN1_STRING *uri)
{
	static const char prefix[] = "tag:microsoft.com,2022-09-14:sid:";
	struct span value = span_of(ASN1_STRING_get0_data(uri), (size_t)ASN1_STRING_length(uri));

	if (value.len < sizeof(prefix) - 1 || memcmp(value.data, prefix, sizeof(prefix) - 1) != 0)
		return REFUSAL_NONE;
	if (names->count == SAN_COUNT_MAX)
		return REFUSAL_NAME_INVALID;
	return binding_add_sid(
		names, span_of(value.data + sizeof(prefix) - 1, value.len - (sizeof(prefix) - 1)));
}

static enum refusal read_name(const GENERAL_NAME *name, struct identity_names *names)
{
	switch (name->type) {
	case GEN_EMAIL:
		return add_address(names, IDENTITY_RFC822_NAME, ADDRESS_ASCII, name->d.rfc822Name);
	case GEN_OTHERNAME: return add_other_name(names, name->d.otherName);
	case GEN_URI: return add_uri(names, name->d.uniformResourceIdentifier);
	default: return REFUSAL_NONE;
	}
}

enum refusal san_read(struct span general_names, struct identity_names *names)
{
	GENERAL_NAMES *parsed = general_names_read(general_names);
	enum refusal refusal = parsed != NULL ? REFUSAL_NONE : REFUSAL_CERTIFICATE_UNREADABLE;

	memset(names, 0, sizeof(*names));
	for (int i = 0; refusal == REFUSAL_NONE && i < sk_GENERAL_NAME_num(parsed); i++)
		refusal = read_name(sk_GENERAL_NAME_value(parsed, i), names);
	if (refusal != REFUSAL_NONE)
		memset(names, 0, sizeof(*names));
	GENERAL_NAMES_free(parsed);
	return refusal;
}

enum refusal san_read_certificate(X509 *certificate, struct identity_names *names)
{
	struct span value;
	enum refusal refusal =
		general_names_extension(certificate, OBJ_nid2obj(NID_subject_alt_name), &value);

	memset(names, 0, sizeof(*names));
	if (refusal != REFUSAL_NONE || value.data == NULL)
		return refusal;
	return san_read(value, names);
}
