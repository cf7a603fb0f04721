#include "auth/revocation_scope.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

/* Of ASN1_STRINGs that are text (ASN1_MASK_CANON of OpenSSL): compared as what they say, whatever
 * their kind. Others are compared as they stand. */
static bool is_text(int type)
{
	switch (type) {
	case V_ASN1_UTF8STRING:
	case V_ASN1_BMPSTRING:
	case V_ASN1_UNIVERSALSTRING:
	case V_ASN1_PRINTABLESTRING:
	case V_ASN1_T61STRING:
	case V_ASN1_IA5STRING:
	case V_ASN1_VISIBLESTRING: return true;
	default: return false;
	}
}

static bool is_blank(unsigned char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static unsigned char lower(unsigned char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* In place: no blanks at the ends, one between words, ASCII letters in lower case. The new length. */
static size_t text_fold(unsigned char *text, size_t len)
{
	size_t to = 0;

	for (size_t i = 0; i < len; i++) {
		if (!is_blank(text[i]))
			text[to++] = lower(text[i]);
		else if (to > 0 && text[to - 1] != ' ')
			text[to++] = ' ';
	}
	return to > 0 && text[to - 1] == ' ' ? to - 1 : to;
}

/* Each piece with its kind and length before it, so that no two names run into one. */
static int put(EVP_MD_CTX *digest, int kind, const void *data, size_t len)
{
	const unsigned char head[] = {(unsigned char)(kind >> 8), (unsigned char)kind,
		(unsigned char)(len >> 24), (unsigned char)(len >> 16), (unsigned char)(len >> 8),
		(unsigned char)len};

	if (len > INT32_MAX || EVP_DigestUpdate(digest, head, sizeof(head)) != 1)
		return -1;
	return EVP_DigestUpdate(digest, data, len) == 1 ? 0 : -1;
}

static int finish(EVP_MD_CTX *digest, struct name_key *key)
{
	unsigned char sum[EVP_MAX_MD_SIZE];

	if (EVP_DigestFinal_ex(digest, sum, NULL) != 1)
		return -1;
	memcpy(key->octets, sum, sizeof(key->octets));
	return 0;
}

static int put_string(EVP_MD_CTX *digest, const ASN1_STRING *value)
{
	unsigned char *text = NULL;
	int result;
	int len;

	if (!is_text(ASN1_STRING_type(value)))
		return put(digest, ASN1_STRING_type(value), ASN1_STRING_get0_data(value),
			(size_t)ASN1_STRING_length(value));
	len = ASN1_STRING_to_UTF8(&text, value);
	if (len < 0)
		return -1;
	result = put(digest, V_ASN1_UTF8STRING, text, text_fold(text, (size_t)len));
	OPENSSL_free(text);
	return result;
}

static int put_name(EVP_MD_CTX *digest, const X509_NAME *name)
{
	for (int i = 0; i < X509_NAME_entry_count(name); i++) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
		const ASN1_OBJECT *type = X509_NAME_ENTRY_get_object(entry);
		const int set = X509_NAME_ENTRY_set(entry);

		if (put(digest, V_ASN1_SET, &set, sizeof(set)) == -1 ||
			put(digest, V_ASN1_OBJECT, OBJ_get0_data(type), OBJ_length(type)) == -1 ||
			put_string(digest, X509_NAME_ENTRY_get_data(entry)) == -1)
			return -1;
	}
	return 0;
}

/* RFC 5280 7.4: scheme and host without case, all else as it stands. */
static int put_uri(EVP_MD_CTX *digest, const ASN1_STRING *value)
{
	size_t len = (size_t)ASN1_STRING_length(value);
	unsigned char *uri = OPENSSL_memdup(ASN1_STRING_get0_data(value), len + (len == 0));
	size_t at = 0;
	int result;

	if (uri == NULL)
		return -1;
	while (at < len && uri[at] != ':' && uri[at] != '/')
		at++;
	if (len - at >= 3 && memcmp(uri + at, "://", 3) == 0) {
		size_t host = at + 3;
		size_t end = host;

		while (end < len && strchr("/?#", uri[end]) == NULL)
			if (uri[end++] == '@')
				host = end;
		for (size_t i = 0; i < end; i++)
			if (i < at || i >= host)
				uri[i] = lower(uri[i]);
	}
	result = put(digest, V_ASN1_IA5STRING, uri, len);
	OPENSSL_free(uri);
	return result;
}

static int put_der(EVP_MD_CTX *digest, const GENERAL_NAME *name)
{
	unsigned char *der = NULL;
	int len = i2d_GENERAL_NAME(name, &der);
	int result = len > 0 ? put(digest, V_ASN1_SEQUENCE, der, (size_t)len) : -1;

	OPENSSL_free(der);
	return result;
}

bool name_key_is_empty(const struct name_key *key)
{
	static const struct name_key empty;

	return name_key_equal(key, &empty);
}

bool name_key_equal(const struct name_key *a, const struct name_key *b)
{
	return memcmp(a->octets, b->octets, sizeof(a->octets)) == 0;
}

static EVP_MD_CTX *begin(void)
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();

	if (digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1)
		return digest;
	EVP_MD_CTX_free(digest);
	return NULL;
}

static int end(EVP_MD_CTX *digest, int result, struct name_key *key)
{
	memset(key, 0, sizeof(*key));
	if (result == 0)
		result = finish(digest, key);
	EVP_MD_CTX_free(digest);
	ERR_clear_error();
	return result;
}

int name_key_of_name(const X509_NAME *name, struct name_key *key)
{
	EVP_MD_CTX *digest = begin();

	return end(digest, digest == NULL ? -1 : put_name(digest, name), key);
}

int name_key_of_general_name(const GENERAL_NAME *name, struct name_key *key)
{
	EVP_MD_CTX *digest = begin();
	int result = -1;

	if (digest == NULL)
		return end(digest, -1, key);
	if (name->type == GEN_DIRNAME)
		result = put_name(digest, name->d.directoryName);
	else if (name->type == GEN_URI)
		result = put_uri(digest, name->d.uniformResourceIdentifier);
	else
		result = put_der(digest, name);
	return end(digest, result, key);
}

/* The keys of a list of names; of those that have a key. At most max; *is_whole is false where some
 * were left out. */
struct key_list {
	struct name_key keys[REVOCATION_SCOPE_NAME_MAX];
	size_t count;
	bool is_whole;
};

static void keys_of_names(const GENERAL_NAMES *names, struct key_list *list)
{
	list->count = 0;
	list->is_whole = true;
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		struct name_key key;

		if (name_key_of_general_name(sk_GENERAL_NAME_value(names, i), &key) == -1 ||
			list->count == REVOCATION_SCOPE_NAME_MAX)
			list->is_whole = false;
		else
			list->keys[list->count++] = key;
	}
}

/* nameRelativeToCRLIssuer (RFC 5280 4.2.1.13): one more RDN after the issuer's. */
static int key_of_relative(
	STACK_OF(X509_NAME_ENTRY) * relative, const X509_NAME *issuer, struct name_key *key)
{
	X509_NAME *whole = X509_NAME_dup(issuer);
	int result = -1;

	memset(key, 0, sizeof(*key));
	if (whole == NULL)
		return -1;
	for (int i = 0; i < sk_X509_NAME_ENTRY_num(relative); i++)
		if (X509_NAME_add_entry(
			    whole, sk_X509_NAME_ENTRY_value(relative, i), -1, i == 0 ? 0 : -1) != 1)
			goto out;
	if (sk_X509_NAME_ENTRY_num(relative) > 0)
		result = name_key_of_name(whole, key);
out:
	X509_NAME_free(whole);
	return result;
}

/* The keys of a DistributionPointName; issuer completes a relative one. */
static void keys_of_point_name(
	const DIST_POINT_NAME *name, const X509_NAME *issuer, struct key_list *list)
{
	list->count = 0;
	list->is_whole = false;
	if (name->type == 0) {
		keys_of_names(name->name.fullname, list);
	} else if (issuer != NULL &&
		   key_of_relative(name->name.relativename, issuer, &list->keys[0]) == 0) {
		list->count = 1;
		list->is_whole = true;
	}
}

/* Bit 0 is "unused". 0, or -1 where bits beyond aACompromise or none at all are set. */
static int reasons_read(const ASN1_BIT_STRING *bits, uint16_t *reasons)
{
	*reasons = 0;
	if (bits == NULL) {
		*reasons = REVOCATION_REASONS_ALL;
		return 0;
	}
	for (int bit = 0; bit < ASN1_STRING_length(bits) * 8; bit++)
		if (ASN1_BIT_STRING_get_bit(bits, bit))
			*reasons |= (uint16_t)(bit <= 8 ? 1 << bit : 0);
	*reasons &= REVOCATION_REASONS_ALL;
	return *reasons == 0 ? -1 : 0;
}

/* The issuer of CRLs that a point names; NULL: that of the certificate. A relative name cannot have
 * several to start from (RFC 5280 4.2.1.13). */
static const X509_NAME *relative_base(const DIST_POINT *point, const X509_NAME *issuer)
{
	const GENERAL_NAME *name;

	if (point->CRLissuer == NULL)
		return issuer;
	if (sk_GENERAL_NAME_num(point->CRLissuer) != 1)
		return NULL;
	name = sk_GENERAL_NAME_value(point->CRLissuer, 0);
	return name->type == GEN_DIRNAME ? name->d.directoryName : NULL;
}

/* Every name with every issuer of CRLs. A part that is there but says nothing that can be compared
 * makes the point one that no CRL answers. */
static void point_read(const DIST_POINT *point, const X509_NAME *issuer,
	struct revocation_point base, struct revocation_point *points, size_t max, size_t *count)
{
	struct key_list names = {.count = 1, .is_whole = true};
	struct key_list issuers = {.count = 1, .is_whole = true};

	if (point->distpoint != NULL)
		keys_of_point_name(point->distpoint, relative_base(point, issuer), &names);
	if (point->CRLissuer != NULL)
		keys_of_names(point->CRLissuer, &issuers);
	for (size_t i = 0; i < names.count; i++)
		for (size_t j = 0; j < issuers.count && *count < max; j++) {
			points[*count] = base;
			points[*count].name = names.keys[i];
			points[*count].crl_issuer = issuers.keys[j];
			++*count;
		}
}

int revocation_points_read(
	X509 *certificate, uint8_t link, struct revocation_point *points, size_t max, size_t *count)
{
	CRL_DIST_POINTS *all;
	int critical; /* -1: missing, -2: there twice */

	all = X509_get_ext_d2i(certificate, NID_crl_distribution_points, &critical, NULL);
	if (all == NULL) {
		ERR_clear_error();
		return critical == -1 ? 0 : -1;
	}
	for (int i = 0; i < sk_DIST_POINT_num(all) && i <= UINT8_MAX; i++) {
		const DIST_POINT *point = sk_DIST_POINT_value(all, i);
		struct revocation_point base = {.link = link, .point = (uint8_t)i};

		if (reasons_read(point->reasons, &base.reasons) == 0)
			point_read(
				point, X509_get_issuer_name(certificate), base, points, max, count);
	}
	CRL_DIST_POINTS_free(all);
	return 0;
}

static int scope_fill(
	const ISSUING_DIST_POINT *idp, const X509_NAME *issuer, struct revocation_scope *scope)
{
	struct key_list names = {.count = 0, .is_whole = true};

	scope->only_user = idp->onlyuser > 0;
	scope->only_ca = idp->onlyCA > 0;
	scope->only_attributes = idp->onlyattr > 0;
	scope->is_indirect = idp->indirectCRL > 0;
	if (scope->only_user + scope->only_ca + scope->only_attributes > 1)
		return -1; /* RFC 5280 5.2.5: at most one of them */
	if (reasons_read(idp->onlysomereasons, &scope->reasons) == -1)
		return -1;
	if (idp->distpoint == NULL)
		return 0;
	keys_of_point_name(idp->distpoint, issuer, &names);
	if (!names.is_whole || names.count == 0)
		return -1;
	memcpy(scope->names, names.keys, sizeof(scope->names));
	scope->name_count = (uint16_t)names.count;
	return 0;
}

int revocation_scope_read(struct span der, const X509_NAME *issuer, struct revocation_scope *scope)
{
	const unsigned char *at = der.data;
	ISSUING_DIST_POINT *idp;
	int result = -1;

	if (der.len > 65536)
		return -1;
	idp = d2i_ISSUING_DIST_POINT(NULL, &at, (long)der.len);
	if (idp != NULL && at == der.data + der.len)
		result = scope_fill(idp, issuer, scope);
	ISSUING_DIST_POINT_free(idp);
	ERR_clear_error();
	return result;
}

static bool has_name(const struct revocation_scope *scope, const struct name_key *name)
{
	for (size_t i = 0; i < scope->name_count && i < REVOCATION_SCOPE_NAME_MAX; i++)
		if (name_key_equal(&scope->names[i], name))
			return true;
	return false;
}

bool revocation_scope_equal(const struct revocation_scope *a, const struct revocation_scope *b)
{
	if (a->only_user != b->only_user || a->only_ca != b->only_ca ||
		a->only_attributes != b->only_attributes || a->is_indirect != b->is_indirect ||
		a->reasons != b->reasons || a->name_count != b->name_count ||
		!name_key_equal(&a->issuer, &b->issuer))
		return false;
	for (size_t i = 0; i < a->name_count && i < REVOCATION_SCOPE_NAME_MAX; i++)
		if (!has_name(a, &b->names[i]) || !has_name(b, &a->names[i]))
			return false;
	return true;
}

bool revocation_scope_has_point(const struct revocation_scope *scope, const struct name_key *issuer,
	const struct revocation_point *point)
{
	bool has_issuer = !name_key_is_empty(&point->crl_issuer);

	if (has_issuer ? !scope->is_indirect || !name_key_equal(&scope->issuer, &point->crl_issuer)
		       : !name_key_equal(&scope->issuer, issuer))
		return false;
	if (scope->name_count == 0)
		return true;
	if (!name_key_is_empty(&point->name))
		return has_name(scope, &point->name);
	return has_issuer && has_name(scope, &point->crl_issuer);
}

bool revocation_scope_has_kind(const struct revocation_scope *scope, bool is_ca)
{
	if (scope->only_attributes)
		return false;
	return is_ca ? !scope->only_user : !scope->only_ca;
}
