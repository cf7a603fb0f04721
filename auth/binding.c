#include "auth/binding.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "auth/address.h"
#include "auth/distinguished_name.h"
#include "auth/general_names.h"
#include "auth/unicode.h"
#include "config/hex.h"

enum {
	KEY_ID_MAX = 64, /* bytes; that of RFC 5280 4.2.1.2 has 20 */
	SERIAL_MAX = 20, /* RFC 5280 4.1.2.2 */
	SID_PARTS_MAX = 15,
};

/* A name of its kind that is there but cannot be used is "". */
static enum refusal add(struct identity_names *names, enum identity_kind kind, struct span value)
{
	if (identity_names_add(names, kind, value) == 0 ||
		identity_names_add(names, kind, span_of("", 0)) == 0)
		return REFUSAL_NONE;
	return REFUSAL_NAME_INVALID;
}

static enum refusal add_hex(struct identity_names *names, enum identity_kind kind,
	struct span bytes, size_t max, bool is_reversed)
{
	uint8_t octets[KEY_ID_MAX];
	char hex[2 * KEY_ID_MAX + 1];

	if (bytes.len == 0 || bytes.len > max)
		return add(names, kind, span_of("", 0));
	for (size_t i = 0; i < bytes.len; i++)
		octets[i] = bytes.data[is_reversed ? bytes.len - 1 - i : i];
	hex_write(span_of(octets, bytes.len), hex);
	return add(names, kind, span_of(hex, 2 * bytes.len));
}

static enum refusal add_ski(X509 *certificate, struct identity_names *names)
{
	const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(certificate);
	struct span value;

	if (ski == NULL)
		return REFUSAL_NONE;
	value = span_of(ASN1_STRING_get0_data(ski), (size_t)ASN1_STRING_length(ski));
	return add_hex(names, IDENTITY_SKI, value, KEY_ID_MAX, false);
}

static enum refusal add_key(const X509 *certificate, struct identity_names *names)
{
	unsigned char sha1[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (X509_pubkey_digest(certificate, EVP_sha1(), sha1, &len) != 1)
		len = 0;
	return add_hex(names, IDENTITY_KEY_SHA1, span_of(sha1, len), KEY_ID_MAX, false);
}

/* The bytes of the INTEGER as they stand in the certificate: a leading zero byte, which keeps the
 * number positive, is no part of what Windows shows. */
static enum refusal add_serial(const X509 *certificate, struct identity_names *names)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
	struct span value =
		span_of(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));

	if (ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER)
		value = span_of("", 0); /* RFC 5280 forbids it; its text would be that of another */
	return add_hex(names, IDENTITY_SERIAL, value, SERIAL_MAX, true);
}

static enum refusal add_distinguished_name(
	struct identity_names *names, enum identity_kind kind, const X509_NAME *name)
{
	char text[IDENTITY_NAME_MAX + 1];
	int len;

	if (X509_NAME_entry_count(name) == 0)
		return REFUSAL_NONE;
	len = distinguished_name_write(name, text, sizeof(text));
	return add(names, kind, span_of(text, len < 0 ? 0 : (size_t)len));
}

/* MS-DTYP 2.4.2.1: "S-1-" an authority and up to 15 sub-authorities, in decimal. */
bool binding_is_sid(struct span text)
{
	size_t parts = 0, digits = 0;

	if (text.len < 5 || text.len > BINDING_SID_MAX || memcmp(text.data, "S-1-", 4) != 0)
		return false;
	for (size_t i = 4; i < text.len; i++) {
		if (text.data[i] == '-' && digits > 0) {
			parts++;
			digits = 0;
		} else if (text.data[i] >= '0' && text.data[i] <= '9' && digits < 15) {
			digits++;
		} else {
			return false;
		}
	}
	return digits > 0 && parts >= 1 && parts <= SID_PARTS_MAX;
}

enum refusal binding_add_sid(struct identity_names *names, struct span sid)
{
	return add(names, IDENTITY_SID, binding_is_sid(sid) ? sid : span_of("", 0));
}

/* The extension of AD's own CA: GeneralNames with one otherName, whose value is an OCTET STRING with
 * the SID as text (MS-WCCE 2.2.2.7.7.4). */
static enum refusal read_sid(
	struct span extension, const ASN1_OBJECT *name_oid, struct identity_names *names)
{
	GENERAL_NAMES *parsed = general_names_read(extension);
	enum refusal refusal = REFUSAL_NONE;

	if (parsed == NULL)
		return REFUSAL_CERTIFICATE_UNREADABLE;
	for (int i = 0; refusal == REFUSAL_NONE && i < sk_GENERAL_NAME_num(parsed); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(parsed, i);
		const ASN1_TYPE *value;

		if (name->type != GEN_OTHERNAME ||
			OBJ_cmp(name->d.otherName->type_id, name_oid) != 0)
			continue;
		value = name->d.otherName->value;
		if (value->type == V_ASN1_OCTET_STRING)
			refusal = binding_add_sid(names,
				span_of(ASN1_STRING_get0_data(value->value.octet_string),
					(size_t)ASN1_STRING_length(value->value.octet_string)));
		else
			refusal = binding_add_sid(names, span_of("", 0));
	}
	GENERAL_NAMES_free(parsed);
	return refusal;
}

static enum refusal add_sid(const X509 *certificate, struct identity_names *names)
{
	ASN1_OBJECT *extension_oid = OBJ_txt2obj("1.3.6.1.4.1.311.25.2", 1);
	ASN1_OBJECT *name_oid = OBJ_txt2obj("1.3.6.1.4.1.311.25.2.1", 1);
	enum refusal refusal = REFUSAL_INTERNAL;
	struct span extension = {NULL, 0};

	if (extension_oid != NULL && name_oid != NULL)
		refusal = general_names_extension(certificate, extension_oid, &extension);
	if (refusal == REFUSAL_NONE && extension.data != NULL)
		refusal = read_sid(extension, name_oid, names);
	ASN1_OBJECT_free(extension_oid);
	ASN1_OBJECT_free(name_oid);
	return refusal;
}

enum refusal binding_read_certificate(X509 *certificate, struct identity_names *names)
{
	enum refusal refusal = add_ski(certificate, names);

	if (refusal == REFUSAL_NONE)
		refusal = add_key(certificate, names);
	if (refusal == REFUSAL_NONE)
		refusal = add_distinguished_name(
			names, IDENTITY_ISSUER, X509_get_issuer_name(certificate));
	if (refusal == REFUSAL_NONE)
		refusal = add_serial(certificate, names);
	if (refusal == REFUSAL_NONE)
		refusal = add_distinguished_name(
			names, IDENTITY_SUBJECT, X509_get_subject_name(certificate));
	if (refusal == REFUSAL_NONE)
		refusal = add_sid(certificate, names);
	ERR_clear_error();
	return refusal;
}

bool binding_has_high_affinity(enum config_name_kind kind)
{
	switch (kind) {
	case CONFIG_NAME_SKI:
	case CONFIG_NAME_KEY_SHA1:
	case CONFIG_NAME_ISSUER_SERIAL:
	case CONFIG_NAME_SID: return true;
	default: return false;
	}
}

static bool is_hex(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (strchr("0123456789abcdefABCDEF", text.data[i]) == NULL || text.data[i] == '\0')
			return false;
	return text.len > 0 && text.len % 2 == 0;
}

static bool skip(struct span *text, const char *prefix)
{
	size_t len = strlen(prefix);

	if (text->len < len || strncasecmp((const char *)text->data, prefix, len) != 0)
		return false;
	*text = span_of(text->data + len, text->len - len);
	return true;
}

/* Moves text behind the tag that follows a name, or to its end where there is none. */
static bool skip_past(struct span *text, const char *tag)
{
	struct span rest = *text;

	while (rest.len > 0) {
		if (skip(&rest, tag)) {
			/* Something has to stand before it. */
			bool is_first = rest.data - strlen(tag) == text->data;

			*text = rest;
			return !is_first;
		}
		rest = span_of(rest.data + 1, rest.len - 1);
	}
	return false;
}

bool binding_is_value(struct span text)
{
	struct span rest = text, issuer;

	if (text.len > DIRECTORY_VALUE_MAX || !unicode_is_plain(text, true) ||
		!skip(&rest, "X509:"))
		return false;
	if (skip(&rest, "<SKI>") || skip(&rest, "<SHA1-PUKEY>"))
		return is_hex(rest);
	if (skip(&rest, "<S>"))
		return rest.len > 0;
	if (!skip(&rest, "<I>"))
		return false;
	issuer = rest;
	if (skip_past(&rest, "<SR>"))
		return is_hex(rest);
	rest = issuer;
	return skip_past(&rest, "<S>") && rest.len > 0;
}

static const struct form {
	enum identity_kind first, second; /* second: IDENTITY_KIND_COUNT where there is none */
	const char *before, *between;
} forms[CONFIG_NAME_COUNT] = {
	[CONFIG_NAME_PRINCIPAL] = {IDENTITY_PRINCIPAL_NAME, IDENTITY_KIND_COUNT, "", ""},
	[CONFIG_NAME_RFC822] = {IDENTITY_RFC822_NAME, IDENTITY_KIND_COUNT, "", ""},
	[CONFIG_NAME_SMTP_UTF8] = {IDENTITY_SMTP_UTF8_MAILBOX, IDENTITY_KIND_COUNT, "", ""},
	[CONFIG_NAME_SKI] = {IDENTITY_SKI, IDENTITY_KIND_COUNT, "X509:<SKI>", ""},
	[CONFIG_NAME_KEY_SHA1] = {IDENTITY_KEY_SHA1, IDENTITY_KIND_COUNT, "X509:<SHA1-PUKEY>", ""},
	[CONFIG_NAME_ISSUER_SERIAL] = {IDENTITY_ISSUER, IDENTITY_SERIAL, "X509:<I>", "<SR>"},
	[CONFIG_NAME_ISSUER_SUBJECT] = {IDENTITY_ISSUER, IDENTITY_SUBJECT, "X509:<I>", "<S>"},
	[CONFIG_NAME_SUBJECT] = {IDENTITY_SUBJECT, IDENTITY_KIND_COUNT, "X509:<S>", ""},
	[CONFIG_NAME_SID] = {IDENTITY_SID, IDENTITY_KIND_COUNT, "", ""},
};

uint32_t binding_identity_kinds(enum config_name_kind kind)
{
	const struct form *form = &forms[kind];
	uint32_t kinds = UINT32_C(1) << form->first;

	if (form->second != IDENTITY_KIND_COUNT)
		kinds |= UINT32_C(1) << form->second;
	return kinds;
}

static const char *nth_of(const struct identity_names *names, enum identity_kind kind, size_t nth)
{
	for (size_t i = 0; i < names->count; i++)
		if (names->names[i].kind == kind && nth-- == 0)
			return identity_names_text(names, i);
	return NULL;
}

int binding_question(const struct identity_names *names, enum config_name_kind kind, size_t nth,
	struct directory_question *question)
{
	const struct form *form = &forms[kind];
	const char *first = nth_of(names, form->first, nth);
	const char *second = "";

	memset(question, 0, sizeof(*question));
	question->kind = kind;
	if (form->second != IDENTITY_KIND_COUNT)
		second = nth_of(names, form->second, nth);
	if (first == NULL || second == NULL)
		return 0;
	if (first[0] == '\0' || (form->second != IDENTITY_KIND_COUNT && second[0] == '\0'))
		return -1;
	if (form->first <= IDENTITY_SMTP_UTF8_MAILBOX)
		return address_fold(span_of_string(first), question->value) == 0 ? 1 : -1;
	snprintf(question->value, sizeof(question->value), "%s%s%s%s", form->before, first,
		form->between, second);
	return 1;
}
