#include "auth/verify.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/openssl_error.h"
#include "auth/x509_text.h"

enum {
	SENT_COUNT_MAX = VERDICT_CHAIN_MAX + 1, /* the leaf may be among them */
	SENT_SIZE_MAX = 16384,                  /* of one certificate, in DER */
	CA_NAMES_SIZE_MAX = 60000,              /* RFC 8446 4.2.4: a vector of at most 65,535 */
};

struct verifier {
	const struct trust_store *trust;
	X509_STORE *roots;
	STACK_OF(X509) * intermediates; /* borrowed certificates */
};

/* What stands for OpenSSL's codes; all others break a rule of RFC 5280. */
static const struct {
	int code;
	enum refusal refusal;
} error_table[] = {
	{X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, REFUSAL_CERTIFICATE_UNTRUSTED},
	{X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, REFUSAL_CERTIFICATE_UNTRUSTED},
	{X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, REFUSAL_CERTIFICATE_UNTRUSTED},
	{X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, REFUSAL_CERTIFICATE_UNTRUSTED},
	{X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, REFUSAL_CERTIFICATE_UNTRUSTED},
	{X509_V_ERR_CERT_UNTRUSTED, REFUSAL_CERTIFICATE_UNTRUSTED},
	{X509_V_ERR_CERT_REJECTED, REFUSAL_CERTIFICATE_UNTRUSTED},
	{X509_V_ERR_INVALID_PURPOSE, REFUSAL_CERTIFICATE_PURPOSE},
	{X509_V_ERR_EE_KEY_TOO_SMALL, REFUSAL_CERTIFICATE_WEAK},
	{X509_V_ERR_CA_KEY_TOO_SMALL, REFUSAL_CERTIFICATE_WEAK},
	{X509_V_ERR_CA_MD_TOO_WEAK, REFUSAL_CERTIFICATE_WEAK},
	{X509_V_ERR_EC_KEY_EXPLICIT_PARAMS, REFUSAL_CERTIFICATE_WEAK},
	{X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD, REFUSAL_CERTIFICATE_UNREADABLE},
	{X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD, REFUSAL_CERTIFICATE_UNREADABLE},
	{X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY, REFUSAL_CERTIFICATE_UNREADABLE},
	{X509_V_ERR_EXTENSIONS_REQUIRE_VERSION_3, REFUSAL_CERTIFICATE_UNREADABLE},
	{X509_V_ERR_OUT_OF_MEM, REFUSAL_INTERNAL},
	{X509_V_ERR_INVALID_CALL, REFUSAL_INTERNAL},
	{X509_V_ERR_STORE_LOOKUP, REFUSAL_INTERNAL},
};

static enum refusal refusal_of_error(int code)
{
	for (size_t i = 0; i < sizeof(error_table) / sizeof(error_table[0]); i++)
		if (error_table[i].code == code)
			return error_table[i].refusal;
	return REFUSAL_CERTIFICATE_CHAIN;
}

/* The words are OpenSSL's or ours; the phone has no say in them. */
static enum refusal refuse(struct verdict *verdict, enum refusal refusal, const char *reason)
{
	verdict->refusal = refusal;
	snprintf(verdict->reason, sizeof(verdict->reason), "%s", reason);
	return refusal;
}

/* OpenSSL knows only named purposes; RFC 5280 4.2.1.12 lets anyExtendedKeyUsage stand for each. */
static bool is_ca_for_any_purpose(X509 *certificate)
{
	uint32_t flags = X509_get_extension_flags(certificate);

	return X509_check_ca(certificate) == 1 && (flags & EXFLAG_NSCERT) == 0 &&
	       (flags & EXFLAG_XKUSAGE) != 0 &&
	       (X509_get_extended_key_usage(certificate) & XKU_ANYEKU) != 0;
}

/* Called by OpenSSL for every fault it finds, and once for every certificate that has none. Times
 * are passed over here and not by X509_V_FLAG_NO_CHECK_TIME, so that the path is built from current
 * certificates where an authority has renewed its own. */
static int on_verify_step(int is_ok, X509_STORE_CTX *ctx)
{
	bool is_passed = false;

	if (is_ok)
		return 1;
	switch (X509_STORE_CTX_get_error(ctx)) {
	case X509_V_ERR_CERT_NOT_YET_VALID:
	case X509_V_ERR_CERT_HAS_EXPIRED: is_passed = true; break;
	case X509_V_ERR_INVALID_PURPOSE:
		/* The leaf's own purpose has been judged before. */
		is_passed = X509_STORE_CTX_get_error_depth(ctx) == 0 ||
			    is_ca_for_any_purpose(X509_STORE_CTX_get_current_cert(ctx));
		break;
	default: break;
	}
	if (is_passed)
		X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return is_passed;
}

static int set_parameters(X509_STORE *roots, const struct config_trust *config)
{
	X509_VERIFY_PARAM *param = X509_STORE_get0_param(roots);
	uint32_t depth = config->depth;

	/* The leaf and its intermediates each take a link of the verdict. */
	if (depth > VERDICT_CHAIN_MAX - 1)
		depth = VERDICT_CHAIN_MAX - 1;
	X509_VERIFY_PARAM_set_depth(param, (int)depth);
	X509_VERIFY_PARAM_set_auth_level(param, (int)config->security_level);
	X509_STORE_set_verify_cb(roots, on_verify_step);
	if (X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT) != 1 ||
		X509_VERIFY_PARAM_set_flags(
			param, X509_V_FLAG_X509_STRICT | X509_V_FLAG_POLICY_CHECK) != 1)
		return -1;
	/* RFC 5280 6.1.1 (c): any policy will do, but where a CA requires one, there must be one.
	 * To OpenSSL an empty set means that none will do. */
	return X509_VERIFY_PARAM_add0_policy(param, OBJ_nid2obj(NID_any_policy)) == 1 ? 0 : -1;
}

struct verifier *verifier_new(
	const struct trust_store *store, const struct config_trust *config, struct error *err)
{
	struct verifier *verifier = calloc(1, sizeof(*verifier));
	bool is_added = true;

	if (verifier == NULL) {
		error_sys(err, "making the verifier of client certificates");
		return NULL;
	}
	verifier->trust = store;
	verifier->roots = X509_STORE_new();
	verifier->intermediates = sk_X509_new_null();
	if (verifier->roots == NULL || verifier->intermediates == NULL)
		goto fail;
	for (size_t i = 0; is_added && i < store->count; i++) {
		X509 *certificate = store->authorities[i].certificate;

		if (store->authorities[i].is_root)
			is_added = X509_STORE_add_cert(verifier->roots, certificate) == 1;
		else
			is_added = sk_X509_push(verifier->intermediates, certificate) > 0;
	}
	if (is_added && set_parameters(verifier->roots, config) == 0)
		return verifier;
fail:
	error_openssl(err, "making the verifier of client certificates");
	verifier_free(verifier);
	return NULL;
}

void verifier_free(struct verifier *verifier)
{
	if (verifier == NULL)
		return;
	sk_X509_free(verifier->intermediates);
	X509_STORE_free(verifier->roots);
	free(verifier);
}

static bool has_name(const STACK_OF(X509_NAME) * names, const X509_NAME *name)
{
	for (int i = 0; i < sk_X509_NAME_num(names); i++)
		if (X509_NAME_cmp(sk_X509_NAME_value(names, i), name) == 0)
			return true;
	return false;
}

STACK_OF(X509_NAME) * verifier_ca_names(const struct verifier *verifier)
{
	STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
	X509_NAME *copy = NULL;
	size_t size = 0;

	for (size_t i = 0; names != NULL && i < verifier->trust->count; i++) {
		const X509_NAME *name =
			X509_get_subject_name(verifier->trust->authorities[i].certificate);
		int len = i2d_X509_NAME(name, NULL);

		if (has_name(names, name))
			continue;
		size += len > 0 ? (size_t)len + 2 : 0;
		copy = X509_NAME_dup(name);
		if (copy == NULL || sk_X509_NAME_push(names, copy) <= 0)
			goto fail;
	}
	/* Half a list would keep phones of the other half from offering their certificate. */
	if (size > CA_NAMES_SIZE_MAX)
		while (sk_X509_NAME_num(names) > 0)
			X509_NAME_free(sk_X509_NAME_pop(names));
	return names;
fail:
	X509_NAME_free(copy);
	sk_X509_NAME_pop_free(names, X509_NAME_free);
	ERR_clear_error();
	return NULL;
}

static enum refusal describe_leaf(X509 *leaf, struct verdict *verdict)
{
	unsigned int len = sizeof(verdict->leaf_sha256);

	x509_name_format(X509_get_subject_name(leaf), verdict->subject, sizeof(verdict->subject));
	x509_name_format(X509_get_issuer_name(leaf), verdict->issuer, sizeof(verdict->issuer));
	if (X509_digest(leaf, EVP_sha256(), verdict->leaf_sha256, &len) != 1)
		return refuse(verdict, REFUSAL_INTERNAL, "the certificate's SHA-256 failed");
	return REFUSAL_NONE;
}

/* What OpenSSL's purpose would let pass: no extended key usage at all, which Entra refuses too, a
 * CA's own certificate, and a key that may agree on keys but not sign, as TLS 1.3 has it do. */
static enum refusal check_leaf(X509 *leaf, struct verdict *verdict)
{
	uint32_t flags;

	if (X509_check_purpose(leaf, -1, 0) != 1)
		return refuse(verdict, REFUSAL_CERTIFICATE_UNREADABLE,
			"malformed or repeated extension at depth 0");
	flags = X509_get_extension_flags(leaf);
	if (X509_check_ca(leaf) != 0)
		return refuse(verdict, REFUSAL_CERTIFICATE_PURPOSE, "a CA certificate at depth 0");
	if ((flags & EXFLAG_XKUSAGE) == 0)
		return refuse(
			verdict, REFUSAL_CERTIFICATE_PURPOSE, "no extended key usage at depth 0");
	if ((X509_get_extended_key_usage(leaf) & (XKU_SSL_CLIENT | XKU_ANYEKU)) == 0)
		return refuse(verdict, REFUSAL_CERTIFICATE_PURPOSE,
			"extended key usage without clientAuth at depth 0");
	if ((X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) == 0)
		return refuse(verdict, REFUSAL_CERTIFICATE_PURPOSE,
			"key usage without digitalSignature at depth 0");
	if ((flags & EXFLAG_NSCERT) != 0 &&
		X509_check_purpose(leaf, X509_PURPOSE_SSL_CLIENT, 0) != 1)
		return refuse(verdict, REFUSAL_CERTIFICATE_PURPOSE,
			"Netscape certificate type without SSL client at depth 0");
	return REFUSAL_NONE;
}

static enum refusal check_sizes(X509 *leaf, const STACK_OF(X509) * sent, struct verdict *verdict)
{
	int count = sent != NULL ? sk_X509_num(sent) : 0;

	if (count > SENT_COUNT_MAX)
		return refuse(verdict, REFUSAL_CERTIFICATE_CHAIN, "too many certificates sent");
	for (int i = -1; i < count; i++) {
		int size = i2d_X509(i < 0 ? leaf : sk_X509_value(sent, i), NULL);

		if (size <= 0 || size > SENT_SIZE_MAX)
			return refuse(verdict, REFUSAL_CERTIFICATE_CHAIN,
				"a certificate sent is too large");
	}
	return REFUSAL_NONE;
}

/* The certificates between leaf and root: the trust store's before the phone's, whose own copies
 * are never preferred. */
static STACK_OF(X509) *
	collect_intermediates(const struct verifier *verifier, const STACK_OF(X509) * sent)
{
	STACK_OF(X509) *all = sk_X509_dup(verifier->intermediates);

	for (int i = 0; all != NULL && sent != NULL && i < sk_X509_num(sent); i++)
		if (sk_X509_push(all, sk_X509_value(sent, i)) <= 0) {
			sk_X509_free(all);
			return NULL;
		}
	return all;
}

static int time_from_asn1(int64_t *seconds, const ASN1_TIME *time)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(time, &tm) != 1)
		return -1;
	*seconds = timegm(&tm);
	return 0;
}

static int narrow_validity(struct verdict *verdict, const X509 *certificate)
{
	int64_t from;
	int64_t to;

	if (time_from_asn1(&from, X509_get0_notBefore(certificate)) == -1 ||
		time_from_asn1(&to, X509_get0_notAfter(certificate)) == -1)
		return -1;
	if (from > verdict->not_before)
		verdict->not_before = from;
	if (to < verdict->not_after)
		verdict->not_after = to;
	return 0;
}

static enum refusal remember_chain(
	const struct trust_store *trust, const STACK_OF(X509) * chain, struct verdict *verdict)
{
	int count = sk_X509_num(chain);

	if (count < 2 || count - 1 > VERDICT_CHAIN_MAX)
		return refuse(verdict, REFUSAL_CERTIFICATE_CHAIN, "certificate chain too long");
	verdict->not_before = INT64_MIN;
	verdict->not_after = INT64_MAX;
	for (int i = 0; i < count; i++) {
		X509 *certificate = sk_X509_value(chain, i);
		struct verdict_link *link;

		if (narrow_validity(verdict, certificate) == -1)
			return refuse(
				verdict, REFUSAL_CERTIFICATE_UNREADABLE, "malformed validity time");
		if (i == count - 1)
			break;
		link = &verdict->links[verdict->link_count++];
		link->authority = trust_store_find(trust, sk_X509_value(chain, i + 1));
		link->is_ca = X509_check_ca(certificate) != 0;
		if (serial_from_asn1(&link->serial, X509_get0_serialNumber(certificate)) == -1)
			return refuse(verdict, REFUSAL_CERTIFICATE_UNREADABLE,
				"serial number longer than 20 octets");
	}
	return REFUSAL_NONE;
}

static enum refusal build_path(const struct verifier *verifier, X509 *leaf,
	const STACK_OF(X509) * sent, int64_t now, struct verdict *verdict)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *intermediates = collect_intermediates(verifier, sent);
	enum refusal refusal;
	char reason[sizeof(verdict->reason)];
	int code;

	if (ctx == NULL || intermediates == NULL ||
		X509_STORE_CTX_init(ctx, verifier->roots, leaf, intermediates) != 1) {
		refusal = refuse(verdict, REFUSAL_INTERNAL, "out of memory");
		goto out;
	}
	X509_STORE_CTX_set_time(ctx, 0, (time_t)now);
	if (X509_verify_cert(ctx) == 1) {
		refusal = remember_chain(verifier->trust, X509_STORE_CTX_get0_chain(ctx), verdict);
	} else {
		code = X509_STORE_CTX_get_error(ctx);
		snprintf(reason, sizeof(reason), "%s at depth %d",
			X509_verify_cert_error_string(code), X509_STORE_CTX_get_error_depth(ctx));
		refusal = refuse(verdict, refusal_of_error(code), reason);
	}
out:
	X509_STORE_CTX_free(ctx);
	sk_X509_free(intermediates);
	return refusal;
}

enum refusal verifier_run(struct verifier *verifier, X509 *leaf, STACK_OF(X509) * sent, int64_t now,
	struct verdict *verdict)
{
	enum refusal refusal;

	memset(verdict, 0, sizeof(*verdict));
	refusal = describe_leaf(leaf, verdict);
	if (refusal == REFUSAL_NONE)
		refusal = check_sizes(leaf, sent, verdict);
	if (refusal == REFUSAL_NONE)
		refusal = check_leaf(leaf, verdict);
	if (refusal == REFUSAL_NONE)
		refusal = build_path(verifier, leaf, sent, now, verdict);
	verdict->names_refusal =
		refusal == REFUSAL_NONE ? identity_names_read(leaf, &verdict->names) : refusal;
	ERR_clear_error();
	return refusal;
}

/* Whether the authority of a link above wants revocation looked at. */
static bool is_checked_above(
	const struct verdict_links *links, uint32_t link, const struct trust_store *store)
{
	for (uint32_t i = link + 1; i < links->count; i++) {
		int authority = links->links[i].authority;

		if (authority >= 0 && (size_t)authority < store->count &&
			store->authorities[authority].crls[0].url[0] != '\0')
			return true;
	}
	return false;
}

static enum refusal check_link(const struct verdict_links *links, uint32_t i,
	const struct trust_store *store, const struct revocation_set *revocation, int64_t now)
{
	const struct verdict_link *link = &links->links[i];

	if (link->authority < 0)
		return is_checked_above(links, i, store) ? REFUSAL_ISSUER_UNKNOWN : REFUSAL_NONE;
	if ((size_t)link->authority >= store->count)
		return REFUSAL_INTERNAL;
	if (store->authorities[link->authority].crls[0].url[0] == '\0')
		return REFUSAL_NONE;
	/* A set that does not know of the location has no say that there is nothing to check. */
	if ((size_t)link->authority >= revocation->count ||
		!revocation->slots[link->authority].is_configured)
		return REFUSAL_REVOCATION_UNAVAILABLE;
	return revocation_set_check(revocation,
		&(struct revocation_target){.authority = link->authority,
			.serial = link->serial,
			.is_ca = link->is_ca,
			.link = (uint8_t)i,
			.points = links->points,
			.point_count = links->point_count},
		now, NULL);
}

enum refusal verdict_links_check(const struct verdict_links *links, const struct trust_store *store,
	const struct revocation_set *revocation, int64_t now)
{
	enum refusal refusal = REFUSAL_NONE;

	if (links->count == 0 || links->count > VERDICT_CHAIN_MAX)
		return REFUSAL_INTERNAL; /* a verdict that nobody has filled */
	if (now < links->not_before)
		return REFUSAL_CERTIFICATE_NOT_YET_VALID;
	if (now > links->not_after)
		return REFUSAL_CERTIFICATE_EXPIRED;
	/* From the root down (RFC 5280 6.1): a revoked authority says more than what is under it. */
	for (uint32_t i = links->count; refusal == REFUSAL_NONE && i > 0; i--)
		refusal = check_link(links, i - 1, store, revocation, now);
	return refusal;
}

struct verdict_links verdict_links_of(const struct verdict *verdict)
{
	return (struct verdict_links){.links = verdict->links,
		.points = verdict->points,
		.count = verdict->link_count,
		.point_count = verdict->point_count,
		.not_before = verdict->not_before,
		.not_after = verdict->not_after};
}

enum refusal verdict_check(const struct verdict *verdict, const struct trust_store *store,
	const struct revocation_set *revocation, int64_t now)
{
	const struct verdict_links links = verdict_links_of(verdict);

	if (verdict->refusal != REFUSAL_NONE)
		return verdict->refusal;
	return verdict_links_check(&links, store, revocation, now);
}
