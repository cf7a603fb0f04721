#include "proxy/explain_chain.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "auth/trust_strength.h"
#include "auth/x509_text.h"
#include "config/hex.h"
#include "proxy/crl_facts.h"

static json_t *moment(const ASN1_TIME *time)
{
	int64_t seconds;

	return x509_time_read(time, &seconds) == 0 ? json_integer((json_int_t)seconds)
						   : json_null();
}

/* Subject, issuer, serial, validity, key and signature. */
static json_t *explain_certificate(X509 *certificate)
{
	uint8_t sha256[EVP_MAX_MD_SIZE];
	unsigned int sha256_len = 0;
	struct serial serial;
	char name[512], serial_text[41] = "", key[32], sha256_text[2 * EVP_MAX_MD_SIZE + 1];
	json_t *object = json_object();

	x509_name_format(X509_get_subject_name(certificate), name, sizeof(name));
	json_object_set_new(object, "subject", json_string(name));
	x509_name_format(X509_get_issuer_name(certificate), name, sizeof(name));
	json_object_set_new(object, "issuer", json_string(name));
	if (serial_from_asn1(&serial, X509_get0_serialNumber(certificate)) == 0)
		serial_format(&serial, serial_text);
	json_object_set_new(object, "serial", json_string(serial_text));
	json_object_set_new(object, "not_before", moment(X509_get0_notBefore(certificate)));
	json_object_set_new(object, "not_after", moment(X509_get0_notAfter(certificate)));
	trust_strength_describe(certificate, key);
	json_object_set_new(object, "key", json_string(key));
	json_object_set_new(
		object, "signature", json_string(OBJ_nid2ln(X509_get_signature_nid(certificate))));
	if (X509_digest(certificate, EVP_sha256(), sha256, &sha256_len) == 1) {
		hex_write(span_of(sha256, sha256_len), sha256_text);
		json_object_set_new(object, "sha256", json_string(sha256_text));
	}
	return object;
}

/* The certificate that issued: the store's own, or what the phone sent. */
static X509 *find_issuer(const struct trust_store *trust, const struct verdict_link *link,
	X509 *certificate, const STACK_OF(X509) * sent)
{
	if (link->authority >= 0 && (size_t)link->authority < trust->count)
		return trust->authorities[link->authority].certificate;
	for (int i = 0; sent != NULL && i < sk_X509_num(sent); i++)
		if (X509_check_issued(sk_X509_value(sent, i), certificate) == X509_V_OK)
			return sk_X509_value(sent, i);
	return NULL;
}

/* Why a certificate is not looked up; NULL: it is. */
static const char *unchecked_reason(
	const struct authority *authority, const struct verdict_link *link, int64_t now)
{
	if (authority->check == AUTHORITY_CHECK_NONE)
		return "its authority's check is none";
	if (authority->check == AUTHORITY_CHECK_LEAF && link->is_ca)
		return "its authority's check is leaf";
	if (now < authority->exempt_until)
		return "its authority is exempt";
	if (authority->crls[0].url[0] == '\0')
		return "its authority has no CRL location";
	return NULL;
}

static json_t *explain_index(const struct trust_store *trust, const struct authority *authority,
	const struct revocation_index *index, size_t place)
{
	json_t *object = json_object();

	json_object_set_new(object, "url", json_string(authority->crls[place].url));
	if (index != NULL)
		crl_facts_set(object, trust, revocation_index_facts(index));
	return object;
}

static json_t *explain_indexes(const struct trust_store *trust, const struct authority *authority,
	const struct revocation_slot *slot)
{
	json_t *list = json_array();

	for (size_t place = 0; place < CRL_LOCATION_MAX; place++)
		if (slot->is_place[place])
			json_array_append_new(
				list, explain_index(trust, authority, slot->indexes[place], place));
	return list;
}

static json_t *explain_revocation(const struct trust_store *trust,
	const struct revocation_set *revocation, const struct verdict *verdict, uint32_t i,
	int64_t now)
{
	const struct verdict_link *link = &verdict->links[i];
	const struct revocation_target target = {.authority = link->authority,
		.serial = link->serial,
		.is_ca = link->is_ca,
		.link = (uint8_t)i,
		.points = verdict->points,
		.point_count = verdict->point_count};
	struct revocation_finding finding = {0};
	json_t *object = json_object();
	const struct authority *authority;
	const char *why_not;
	enum refusal refusal;

	if (link->authority < 0 || (size_t)link->authority >= revocation->count) {
		json_object_set_new(object, "unchecked",
			json_string("its authority is not in the trust store"));
		return object;
	}
	authority = &trust->authorities[link->authority];
	why_not = unchecked_reason(authority, link, now);
	if (why_not != NULL)
		json_object_set_new(object, "unchecked", json_string(why_not));
	json_object_set_new(object, "crls",
		explain_indexes(trust, authority, &revocation->slots[link->authority]));
	refusal = revocation_set_check(revocation, &target, now, &finding);
	json_object_set_new(object, "refusal", json_string(refusal_row(refusal)->name));
	if (refusal != REFUSAL_CERTIFICATE_REVOKED)
		return object;
	json_object_set_new(object, "found_in", json_string(authority->crls[finding.place].url));
	json_object_set_new(object, "reason", json_integer((json_int_t)finding.reason));
	json_object_set_new(object, "revoked_at", json_integer((json_int_t)finding.date));
	json_object_set_new(
		object, "invalid_since", json_integer((json_int_t)finding.invalidity_date));
	return object;
}

json_t *explain_chain(const struct trust_store *trust, const struct revocation_set *revocation,
	const struct verdict *verdict, X509 *leaf, STACK_OF(X509) * sent, int64_t now)
{
	json_t *list = json_array();
	X509 *certificate = leaf;

	for (uint32_t i = 0; certificate != NULL && i < verdict->link_count; i++) {
		json_t *object = explain_certificate(certificate);

		json_object_set_new(object, "authority",
			json_integer(verdict->links[i].authority >= 0
					     ? verdict->links[i].authority + 1
					     : 0));
		json_object_set_new(object, "revocation",
			explain_revocation(trust, revocation, verdict, i, now));
		json_array_append_new(list, object);
		certificate = find_issuer(trust, &verdict->links[i], certificate, sent);
	}
	if (certificate != NULL)
		json_array_append_new(list, explain_certificate(certificate));
	return list;
}
