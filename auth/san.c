#include "auth/san.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "config/span.h"

enum {
	GENERAL_NAMES_MAX = 65536, /* more than a certificate in a TLS handshake of ours can hold */
	LOCAL_PART_MAX = 64,       /* RFC 5321 4.5.3.1.1 */
	DOMAIN_MAX = 255,          /* RFC 5321 4.5.3.1.2 */
	LABEL_MAX = 63,            /* RFC 1035 2.3.4 */
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

static enum refusal add_name(struct san_names *names, enum san_kind kind, const ASN1_STRING *value)
{
	struct span address = span_of(ASN1_STRING_get0_data(value), 0);
	struct san_name *name;

	if (ASN1_STRING_length(value) < 0 || ASN1_STRING_length(value) > SAN_NAME_MAX)
		return REFUSAL_NAME_INVALID;
	address.len = (size_t)ASN1_STRING_length(value);
	if (!is_address(address) || names->count == SAN_COUNT_MAX)
		return REFUSAL_NAME_INVALID;
	name = &names->names[names->count++];
	name->kind = kind;
	memcpy(name->value, address.data, address.len);
	name->value[address.len] = '\0';
	return REFUSAL_NONE;
}

static enum refusal read_name(const GENERAL_NAME *name, struct san_names *names)
{
	if (name->type == GEN_EMAIL)
		return add_name(names, SAN_RFC822_NAME, name->d.rfc822Name);
	if (name->type != GEN_OTHERNAME || OBJ_obj2nid(name->d.otherName->type_id) != NID_ms_upn)
		return REFUSAL_NONE;
	if (name->d.otherName->value->type != V_ASN1_UTF8STRING)
		return REFUSAL_NAME_INVALID;
	return add_name(names, SAN_PRINCIPAL_NAME, name->d.otherName->value->value.utf8string);
}

/* OpenSSL reads BER as well; what is not the one DER encoding could mean something else to another
 * reader of the same certificate. */
static bool is_der(struct span given, const GENERAL_NAMES *parsed)
{
	unsigned char *encoded = NULL;
	int len = i2d_GENERAL_NAMES(parsed, &encoded);
	bool is_same = len >= 0 && span_equal(given, span_of(encoded, (size_t)len));

	OPENSSL_free(encoded);
	return is_same;
}

enum refusal san_read(struct span general_names, struct san_names *names)
{
	const unsigned char *at = general_names.data;
	enum refusal refusal = REFUSAL_NONE;
	GENERAL_NAMES *parsed;

	memset(names, 0, sizeof(*names));
	if (general_names.len == 0 || general_names.len > GENERAL_NAMES_MAX)
		return REFUSAL_CERTIFICATE_UNREADABLE;
	parsed = d2i_GENERAL_NAMES(NULL, &at, (long)general_names.len);
	if (parsed == NULL || !is_der(general_names, parsed))
		refusal = REFUSAL_CERTIFICATE_UNREADABLE;
	for (int i = 0; refusal == REFUSAL_NONE && i < sk_GENERAL_NAME_num(parsed); i++)
		refusal = read_name(sk_GENERAL_NAME_value(parsed, i), names);
	if (refusal != REFUSAL_NONE)
		memset(names, 0, sizeof(*names));
	GENERAL_NAMES_free(parsed);
	ERR_clear_error();
	return refusal;
}

enum refusal san_read_certificate(X509 *certificate, struct san_names *names)
{
	int place = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
	const ASN1_OCTET_STRING *value;

	memset(names, 0, sizeof(*names));
	if (place < 0)
		return REFUSAL_NONE;
	/* RFC 5280 4.2: at most one instance of an extension. */
	if (X509_get_ext_by_NID(certificate, NID_subject_alt_name, place) >= 0)
		return REFUSAL_CERTIFICATE_UNREADABLE;
	value = X509_EXTENSION_get_data(X509_get_ext(certificate, place));
	return san_read(
		span_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)), names);
}
