#include "auth/minted_extensions.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "auth/unicode.h"

static int add(X509 *certificate, int nid, void *value, bool is_critical)
{
	if (value == NULL || X509_add1_ext_i2d(certificate, nid, value, is_critical, 0) != 1)
		return -1;
	return 0;
}

static int add_basic_constraints(X509 *certificate)
{
	BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
	int result = add(certificate, NID_basic_constraints, constraints, true);

	BASIC_CONSTRAINTS_free(constraints);
	return result;
}

/* TLS clients sign, whatever the kind of their key. */
static int add_key_usage(X509 *certificate)
{
	ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
	int result = -1;

	if (usage != NULL && ASN1_BIT_STRING_set_bit(usage, 0 /* digitalSignature */, 1) == 1)
		result = add(certificate, NID_key_usage, usage, true);
	ASN1_BIT_STRING_free(usage);
	return result;
}

static int add_extended_key_usage(X509 *certificate)
{
	EXTENDED_KEY_USAGE *usage = EXTENDED_KEY_USAGE_new();
	ASN1_OBJECT *purpose = OBJ_nid2obj(NID_client_auth);
	int result = -1;

	if (usage != NULL && sk_ASN1_OBJECT_push(usage, purpose) > 0)
		result = add(certificate, NID_ext_key_usage, usage, false);
	EXTENDED_KEY_USAGE_free(usage);
	return result;
}

/* RFC 7093 2, method 1: the first 160 bits of a SHA-256. */
static ASN1_OCTET_STRING *identify_key(const X509 *certificate)
{
	enum { IDENTIFIER_LEN = 20 };
	ASN1_OCTET_STRING *identifier = ASN1_OCTET_STRING_new();
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len;

	if (identifier != NULL &&
		X509_pubkey_digest(certificate, EVP_sha256(), digest, &len) == 1 &&
		ASN1_OCTET_STRING_set(identifier, digest, IDENTIFIER_LEN) == 1)
		return identifier;
	ASN1_OCTET_STRING_free(identifier);
	return NULL;
}

static int add_subject_key_identifier(X509 *certificate)
{
	ASN1_OCTET_STRING *identifier = identify_key(certificate);
	int result = add(certificate, NID_subject_key_identifier, identifier, false);

	ASN1_OCTET_STRING_free(identifier);
	return result;
}

/* An issuer that does not say how its key is identified is compared with nothing; RFC 5280 4.2.1.1
 * wants an identifier all the same. */
static int add_authority_key_identifier(X509 *certificate, X509 *issuer)
{
	AUTHORITY_KEYID *identifier = AUTHORITY_KEYID_new();
	const ASN1_OCTET_STRING *known = X509_get0_subject_key_id(issuer);
	int result = -1;

	if (identifier != NULL) {
		identifier->keyid =
			known == NULL ? identify_key(issuer) : ASN1_OCTET_STRING_dup(known);
		if (identifier->keyid != NULL)
			result = add(certificate, NID_authority_key_identifier, identifier, false);
	}
	AUTHORITY_KEYID_free(identifier);
	return result;
}

int minted_extensions_add_usage(X509 *certificate, X509 *issuer)
{
	if (add_basic_constraints(certificate) == -1 || add_key_usage(certificate) == -1 ||
		add_extended_key_usage(certificate) == -1 ||
		add_subject_key_identifier(certificate) == -1)
		return -1;
	return add_authority_key_identifier(certificate, issuer);
}

/* A string of that type; NULL: out of memory. */
static ASN1_STRING *make_string(int type, struct span text)
{
	ASN1_STRING *string = ASN1_STRING_type_new(type);

	if (string != NULL && ASN1_STRING_set(string, text.data, (int)text.len) == 1)
		return string;
	ASN1_STRING_free(string);
	return NULL;
}

/* Takes value over. */
static int push_other_name(GENERAL_NAMES *names, const char *oid, int type, ASN1_STRING *value)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_OBJECT *kind = OBJ_txt2obj(oid, 1);
	ASN1_TYPE *typed = ASN1_TYPE_new();

	if (name == NULL || kind == NULL || typed == NULL || value == NULL)
		goto failed;
	ASN1_TYPE_set(typed, type, value);
	value = NULL;
	if (GENERAL_NAME_set0_othername(name, kind, typed) != 1)
		goto failed;
	kind = NULL;
	typed = NULL;
	if (sk_GENERAL_NAME_push(names, name) > 0)
		return 0;
failed:
	ASN1_STRING_free(value);
	ASN1_TYPE_free(typed);
	ASN1_OBJECT_free(kind);
	GENERAL_NAME_free(name);
	return -1;
}

/* kind: GEN_EMAIL or GEN_URI */
static int push_text(GENERAL_NAMES *names, int kind, struct span text)
{
	ASN1_STRING *value = make_string(V_ASN1_IA5STRING, text);
	GENERAL_NAME *name = GENERAL_NAME_new();

	if (value == NULL || name == NULL) {
		ASN1_STRING_free(value);
		GENERAL_NAME_free(name);
		return -1;
	}
	GENERAL_NAME_set0_value(name, kind, value);
	if (sk_GENERAL_NAME_push(names, name) > 0)
		return 0;
	GENERAL_NAME_free(name);
	return -1;
}

static int push_mailbox(GENERAL_NAMES *names, struct span mailbox)
{
	if (unicode_is_ascii(mailbox))
		return push_text(names, GEN_EMAIL, mailbox);
	return push_other_name(names, "1.3.6.1.5.5.7.8.9", V_ASN1_UTF8STRING,
		make_string(V_ASN1_UTF8STRING, mailbox));
}

int minted_extensions_add_names(
	X509 *certificate, struct span principal, struct span mailbox, bool is_critical)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	int result = -1;

	if (names != NULL &&
		push_other_name(names, "1.3.6.1.4.1.311.20.2.3", V_ASN1_UTF8STRING,
			make_string(V_ASN1_UTF8STRING, principal)) == 0 &&
		push_mailbox(names, mailbox) == 0)
		result = add(certificate, NID_subject_alt_name, names, is_critical);
	GENERAL_NAMES_free(names);
	return result;
}

/* A list of one point with one name. */
int minted_extensions_add_crl(X509 *certificate, struct span url)
{
	CRL_DIST_POINTS *points = CRL_DIST_POINTS_new();
	DIST_POINT *point = DIST_POINT_new();
	int result = -1;

	if (points == NULL || point == NULL)
		goto out;
	point->distpoint = DIST_POINT_NAME_new();
	if (point->distpoint == NULL)
		goto out;
	point->distpoint->type = 0; /* fullName */
	point->distpoint->name.fullname = GENERAL_NAMES_new();
	if (point->distpoint->name.fullname == NULL ||
		push_text(point->distpoint->name.fullname, GEN_URI, url) == -1 ||
		sk_DIST_POINT_push(points, point) <= 0)
		goto out;
	point = NULL;
	result = add(certificate, NID_crl_distribution_points, points, false);
out:
	DIST_POINT_free(point);
	CRL_DIST_POINTS_free(points);
	return result;
}

/* OpenSSL has no type for it, so it is added as the octets that it is. */
static int add_octets(X509 *certificate, const char *oid, unsigned char *der, int len)
{
	ASN1_OBJECT *kind = OBJ_txt2obj(oid, 1);
	ASN1_STRING *value = make_string(V_ASN1_OCTET_STRING, span_of(der, (size_t)len));
	X509_EXTENSION *extension = NULL;
	int result = -1;

	if (kind != NULL && value != NULL)
		extension = X509_EXTENSION_create_by_OBJ(NULL, kind, 0, value);
	if (extension != NULL && X509_add_ext(certificate, extension, -1) == 1)
		result = 0;
	X509_EXTENSION_free(extension);
	ASN1_STRING_free(value);
	ASN1_OBJECT_free(kind);
	return result;
}

int minted_extensions_add_sid(X509 *certificate, struct span sid)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	unsigned char *der = NULL;
	int len = -1, result = -1;

	if (names != NULL && push_other_name(names, "1.3.6.1.4.1.311.25.2.1", V_ASN1_OCTET_STRING,
				     make_string(V_ASN1_OCTET_STRING, sid)) == 0)
		len = i2d_GENERAL_NAMES(names, &der);
	if (len > 0)
		result = add_octets(certificate, "1.3.6.1.4.1.311.25.2", der, len);
	OPENSSL_free(der);
	GENERAL_NAMES_free(names);
	return result;
}
