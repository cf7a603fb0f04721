#include "auth/trust_write.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "auth/trust_member.h"
#include "auth/trust_rule.h"
#include "auth/trust_terms.h"
#include "config/moment.h"

/* An object being written; is_whole says in the end whether memory sufficed. */
struct writing {
	json_t *object;
	enum trust_format format;
	bool is_whole;
};

static void put(struct writing *writing, enum trust_member member, json_t *value)
{
	const char *name = writing->format == TRUST_FORMAT_OLDER ? trust_member_older_name(member)
								 : trust_member_name(member);

	if (json_object_set_new(writing->object, name, value) == -1)
		writing->is_whole = false;
}

static void put_text(struct writing *writing, enum trust_member member, const char *text)
{
	put(writing, member, json_string(text));
}

/* Microsoft's formats have each member always. */
static void put_url(struct writing *writing, enum trust_member member, const char *url)
{
	if (url[0] != '\0')
		put_text(writing, member, url);
	else if (writing->format != TRUST_FORMAT_OWN)
		put(writing, member, json_null());
}

json_t *trust_write_certificate(X509 *certificate)
{
	unsigned char *der = NULL;
	int len = i2d_X509(certificate, &der);
	char *text = len > 0 ? malloc((size_t)len / 3 * 4 + 8) : NULL;
	json_t *string = NULL;

	if (text != NULL) {
		EVP_EncodeBlock((unsigned char *)text, der, len);
		string = json_string(text);
	}
	free(text);
	OPENSSL_free(der);
	return string;
}

static void put_type(struct writing *writing, bool is_root)
{
	if (writing->format == TRUST_FORMAT_OLDER)
		put_text(writing, TRUST_TYPE, is_root ? "RootAuthority" : "IntermediateAuthority");
	else
		put(writing, TRUST_IS_ROOT, json_boolean(is_root));
}

static void put_key_id(struct writing *writing, const char *key_id)
{
	char text[sizeof(((struct authority *)0)->key_id)];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)toupper((unsigned char)key_id[i]);
	put_text(writing, TRUST_ISSUER_SKI, text);
}

static void put_locations(struct writing *writing, const struct authority *authority)
{
	json_t *list = json_array();

	for (size_t i = 1; i < authority->crl_count; i++) {
		struct writing one = {json_object(), TRUST_FORMAT_OWN, true};

		put_url(&one, TRUST_CRL, authority->crls[i].url);
		put_url(&one, TRUST_DELTA_CRL, authority->crls[i].delta_url);
		if (json_array_append_new(list, one.object) == -1 || !one.is_whole)
			writing->is_whole = false;
	}
	put(writing, TRUST_MORE_CRLS, list);
}

static void put_exemption(struct writing *writing, const struct authority *authority)
{
	char until[MOMENT_TEXT_SIZE];

	moment_write(authority->exempt_until, until);
	put_text(writing, TRUST_EXEMPT_UNTIL, until);
	if (authority->exempt_reason[0] != '\0')
		put_text(writing, TRUST_EXEMPT_REASON, authority->exempt_reason);
}

static void put_limits(struct writing *writing, const struct authority *authority)
{
	char number[OPTION_NUMBER_SIZE];

	if (authority->crl_size_limit != 0) {
		option_write_size(authority->crl_size_limit, number);
		put_text(writing, TRUST_CRL_SIZE_LIMIT, number);
	}
	if (authority->crl_time_limit_ms != 0) {
		option_write_time(authority->crl_time_limit_ms, number);
		put_text(writing, TRUST_CRL_TIME_LIMIT, number);
	}
}

static void put_own(struct writing *writing, const struct authority *authority)
{
	char grace[OPTION_NUMBER_SIZE];

	if (authority->is_crl_signer)
		put(writing, TRUST_IS_CRL_SIGNER, json_true());
	if (authority->crl_count > 1)
		put_locations(writing, authority);
	if (authority->check != AUTHORITY_CHECK_CHAIN)
		put_text(writing, TRUST_CHECK,
			option_write_choice(&trust_check_option, (int)authority->check));
	if (authority->grace_s != 0) {
		option_write_time(authority->grace_s * UINT64_C(1000), grace);
		put_text(writing, TRUST_GRACE, grace);
	}
	if (authority->exempt_until != 0)
		put_exemption(writing, authority);
	put_limits(writing, authority);
	if (authority->ocsp != AUTHORITY_OCSP_OFF)
		put_text(writing, TRUST_OCSP,
			option_write_choice(&trust_ocsp_option, (int)authority->ocsp));
	if (authority->ocsp_url[0] != '\0')
		put_text(writing, TRUST_OCSP_URL, authority->ocsp_url);
	if (authority->rule_count > 0)
		put(writing, TRUST_RULES,
			trust_rules_write(authority->rules, authority->rule_count));
}

json_t *trust_write_authority(const struct authority *authority, enum trust_format format)
{
	struct writing writing = {json_object(), format, true};

	put_type(&writing, authority->is_root);
	put(&writing, TRUST_CERTIFICATE, trust_write_certificate(authority->certificate));
	put_url(&writing, TRUST_CRL, authority->crls[0].url);
	put_url(&writing, TRUST_DELTA_CRL, authority->crls[0].delta_url);
	put_text(&writing, TRUST_ISSUER, authority->issuer);
	put_key_id(&writing, authority->key_id);
	if (format == TRUST_FORMAT_OWN)
		put_own(&writing, authority);
	if (writing.is_whole)
		return writing.object;
	json_decref(writing.object);
	return NULL;
}

json_t *trust_write_document(json_t *authorities, enum trust_format format)
{
	switch (format) {
	case TRUST_FORMAT_OWN: return json_pack("{s:o}", "certificateAuthorities", authorities);
	case TRUST_FORMAT_GRAPH:
		return json_pack("{s:[{s:o}]}", "value", "certificateAuthorities", authorities);
	case TRUST_FORMAT_OLDER: break;
	}
	return authorities;
}
