#include "auth/san.h"

#include <openssl/x509v3.h>
#include <string.h>

#include "auth/general_names.h"
#include "config/span.h"

enum {
	LOCAL_PART_MAX = 64, /* RFC 5321 4.5.3.1.1 */
	DOMAIN_MAX = 255,    /* RFC 5321 4.5.3.1.2 */
	LABEL_MAX = 63,      /* RFC 1035 2.3.4 */
};

static bool is_letter_or_digit(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* RFC 5321 4.1.2, Dot-string, without characters that another program might take for syntax.
 * Quoted strings are left out: no mailbox of ours needs them, and programs differ in reading them. */
static bool is_local_part(struct span local)
{
	static const char syntax[] = "\"<>,;:\\/()[]@";

	if (local.len == 0 || local.len > LOCAL_PART_MAX)
		return false;
	for (size_t i = 0; i < local.len; i++) {
		uint8_t c = local.data[i];

		if (c < 0x21 || c > 0x7e || strchr(syntax, c) != NULL)
			return false;
		if (c == '.' && (i == 0 || i + 1 == local.len || local.data[i - 1] == '.'))
			return false;
	}
	return true;
}

static bool is_domain(struct span domain)
{
	size_t label = 0;

	if (domain.len == 0 || domain.len > DOMAIN_MAX)
		return false;
	for (size_t i = 0; i <= domain.len; i++) {
		if (i < domain.len && domain.data[i] != '.') {
			if (!is_letter_or_digit(domain.data[i]) && domain.data[i] != '-')
				return false;
			label++;
			continue;
		}
		if (label == 0 || label > LABEL_MAX || domain.data[i - label] == '-' ||
			domain.data[i - 1] == '-')
			return false;
		label = 0;
	}
	return true;
}

static bool is_address(struct span address)
{
	const uint8_t *at = NULL;

	if (address.len > 0)
		at = memchr(address.data, '@', address.len);
	if (at == NULL)
		return false;
	return is_local_part(span_of(address.data, (size_t)(at - address.data))) &&
	       is_domain(span_of(at + 1, address.len - (size_t)(at - address.data) - 1));
}

static enum refusal add_name(
	struct identity_names *names, enum identity_kind kind, const ASN1_STRING *value)
{
	struct span address = span_of(ASN1_STRING_get0_data(value), 0);

	if (ASN1_STRING_length(value) < 0 || ASN1_STRING_length(value) > IDENTITY_ADDRESS_MAX)
		return REFUSAL_NAME_INVALID;
	address.len = (size_t)ASN1_STRING_length(value);
	if (!is_address(address) || names->count == SAN_COUNT_MAX ||
		identity_names_add(names, kind, address) == -1)
		return REFUSAL_NAME_INVALID;
	return REFUSAL_NONE;
}

static enum refusal read_name(const GENERAL_NAME *name, struct identity_names *names)
{
	if (name->type == GEN_EMAIL)
		return add_name(names, IDENTITY_RFC822_NAME, name->d.rfc822Name);
	if (name->type != GEN_OTHERNAME || OBJ_obj2nid(name->d.otherName->type_id) != NID_ms_upn)
		return REFUSAL_NONE;
	if (name->d.otherName->value->type != V_ASN1_UTF8STRING)
		return REFUSAL_NAME_INVALID;
	return add_name(names, IDENTITY_PRINCIPAL_NAME, name->d.otherName->value->value.utf8string);
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
