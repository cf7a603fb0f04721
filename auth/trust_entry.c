#include "auth/trust_entry.h"

#include <ctype.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/authority.h"
#include "auth/revocation_compile.h"
#include "auth/trust_compare.h"
#include "auth/trust_member.h"
#include "auth/trust_rule.h"
#include "auth/trust_terms.h"
#include "auth/trust_value.h"
#include "auth/x509_text.h"

enum {
	ISSUER_TEXT_SIZE = 1024,
	KEY_ID_SIZE = 64, /* of authority.key_id, without its end */
};

int trust_entry_type(
	struct trust_reader *reader, json_t *members[TRUST_MEMBER_COUNT], bool *is_root)
{
	json_t *type = members[TRUST_TYPE];
	const char *text;

	if (members[TRUST_IS_ROOT] != NULL && type != NULL) {
		trust_reader_fault(reader, "isRootAuthority: given beside authorityType");
		return -1;
	}
	if (members[TRUST_IS_ROOT] != NULL) {
		if (!json_is_boolean(members[TRUST_IS_ROOT])) {
			trust_reader_fault(reader, "isRootAuthority: must be true or false");
			return -1;
		}
		*is_root = json_is_true(members[TRUST_IS_ROOT]);
		return 0;
	}
	if (type == NULL) {
		trust_reader_fault(reader, "isRootAuthority: missing");
		return -1;
	}
	/* An enumeration of .NET comes as its number where nobody asked for the name. */
	text = json_is_string(type) ? json_string_value(type) : "";
	*is_root = strcasecmp(text, "root") == 0 || strcasecmp(text, "RootAuthority") == 0 ||
		   (json_is_integer(type) && json_integer_value(type) == 0);
	if (*is_root || strcasecmp(text, "intermediate") == 0 ||
		strcasecmp(text, "IntermediateAuthority") == 0 ||
		(json_is_integer(type) && json_integer_value(type) == 1))
		return 0;
	trust_reader_fault(reader, "authorityType: must be root or intermediate");
	return -1;
}

X509 *trust_entry_certificate(struct trust_reader *reader, json_t *members[TRUST_MEMBER_COUNT])
{
	json_t *inside = members[TRUST_CERTIFICATE];
	json_t *file = members[TRUST_CERTIFICATE_FILE];
	const char *name = file != NULL ? "certificateFile" : "certificate";
	const char *text;
	struct error err;
	X509 *certificate;

	if ((inside == NULL) == (file == NULL)) {
		trust_reader_fault(reader, "certificate: %s",
			inside == NULL ? "missing" : "given beside certificateFile");
		return NULL;
	}
	text = trust_value_text(reader, file != NULL ? file : inside, name);
	if (text == NULL)
		return NULL;
	if (file != NULL)
		certificate = authority_decode_file(reader->base_dir, text, &err);
	else
		certificate =
			authority_decode_text(span_of(text, json_string_length(inside)), &err);
	if (certificate == NULL)
		trust_reader_fault(reader, "%s: %s", name, err.text);
	return certificate;
}

/* Written in many ways: with colons, blanks, capitals. */
static void check_ski(struct trust_reader *reader, const char *given, const char *key_id)
{
	char hex[KEY_ID_SIZE + 1];
	size_t len = 0;

	for (const char *c = given; *c != '\0' && len < sizeof(hex) - 1; c++)
		if (isxdigit((unsigned char)*c))
			hex[len++] = (char)tolower((unsigned char)*c);
	hex[len] = '\0';
	if (len > 0 && strncmp(hex, key_id, KEY_ID_SIZE) != 0)
		trust_reader_fault(reader, "issuerSki: is not the certificate's, %s", key_id);
}

/* Whether the parts of a distinguished name, separated by commas, stand in text, in any order. */
static bool has_parts(const char *text, const char *parts)
{
	const char *from = parts;

	for (const char *c = parts;; c++) {
		size_t len = (size_t)(c - from);
		const char *found = text;

		if (*c != '\0' && (*c != ',' || (c > parts && c[-1] == '\\')))
			continue;
		while (*found != '\0' && strncasecmp(found, from, len) != 0)
			found++;
		if (*found == '\0' && len > 0)
			return false;
		if (*c == '\0')
			return true;
		from = c + 1;
	}
}

/* Tools differ in how they write a name, so that a difference is no proof of a mistake. */
static void check_issuer(
	const struct trust_reader *reader, const char *given, const struct authority *authority)
{
	char issuer[ISSUER_TEXT_SIZE];

	x509_name_format(X509_get_issuer_name(authority->certificate), issuer, sizeof(issuer));
	if (given[0] != '\0' && !has_parts(given, authority->issuer) && !has_parts(given, issuer))
		trust_reader_warn(reader, "issuer: does not look like the certificate's, %.256s",
			authority->issuer);
}

static void check_derived(struct trust_reader *reader, json_t *members[TRUST_MEMBER_COUNT],
	const struct authority *authority)
{
	const char *issuer = trust_value_text(reader, members[TRUST_ISSUER], "issuer");
	const char *ski = trust_value_text(reader, members[TRUST_ISSUER_SKI], "issuerSki");

	if (issuer != NULL)
		check_issuer(reader, issuer, authority);
	if (ski != NULL)
		check_ski(reader, ski, authority->key_id);
}

/* An authority may stand there twice, with a renewed certificate or one signed by another. What it has
 * issued is judged by the terms of one of them, on which both must agree. */
static void check_twin(struct trust_reader *reader, const struct authority *authority,
	const struct authority *other, size_t other_number)
{
	const char *difference = trust_terms_difference(other, authority);

	if (difference != NULL)
		trust_reader_fault(reader,
			"%s: not that of authority %zu, which has the same name and key",
			difference, other_number);
}

static void check_others(struct trust_reader *reader, const struct authority *authority)
{
	for (size_t i = 0; i < reader->store->count; i++) {
		const struct authority *other = &reader->store->authorities[i];

		if (X509_cmp(other->certificate, authority->certificate) == 0)
			trust_reader_fault(reader, "certificate: the same as authority %zu's",
				reader->numbers[i]);
		else if (authority_is_same(other->certificate, authority->certificate))
			check_twin(reader, authority, other, reader->numbers[i]);
		else if (strcmp(other->key_id, authority->key_id) == 0)
			trust_reader_fault(reader,
				"certificate: its key identifier is that of authority %zu, "
				"which is another",
				reader->numbers[i]);
	}
}

/* What verification in OpenSSL's strict mode asks of every CA (RFC 5280 4.2.1.2, 4.2.1.3, 4.2.1.9), and
 * tools for home-made ones tend to leave out. */
static const char *find_unfit_extension(X509 *certificate)
{
	if ((X509_get_extension_flags(certificate) & EXFLAG_BCONS_CRITICAL) == 0)
		return "basicConstraints is not critical";
	if (X509_get_key_usage(certificate) == UINT32_MAX)
		return "keyUsage is missing";
	if (X509_get0_subject_key_id(certificate) == NULL)
		return "subjectKeyIdentifier is missing";
	return NULL;
}

static void warn_about(const struct trust_reader *reader, const struct authority *authority)
{
	X509 *certificate = authority->certificate;
	const char *unfit = authority->is_crl_signer ? NULL : find_unfit_extension(certificate);

	if (unfit != NULL)
		trust_reader_warn(reader,
			"certificate: %s, so that none of its phones will be let in", unfit);
	if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
		trust_reader_warn(reader, "certificate: expired");
	if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
		trust_reader_warn(reader, "certificate: not valid yet");
	if (authority->crl_count > 0 && (X509_get_key_usage(certificate) & KU_CRL_SIGN) == 0)
		trust_reader_warn(reader, "certificate: keyUsage without cRLSign, so that none of "
					  "its CRLs will be taken");
}

void trust_entry_clear(struct authority *authority)
{
	X509_free(authority->certificate);
	for (size_t i = 0; i < CRL_LOCATION_MAX; i++) {
		free(authority->crls[i].url);
		free(authority->crls[i].delta_url);
	}
	free(authority->exempt_reason);
	free(authority->ocsp_url);
	trust_rules_free(authority->rules, authority->rule_count);
	free(authority->issuer);
}

static int describe_authority(struct trust_reader *reader, struct authority *authority)
{
	char issuer[ISSUER_TEXT_SIZE];

	x509_name_format(X509_get_subject_name(authority->certificate), issuer, sizeof(issuer));
	authority->issuer = strdup(issuer);
	if (authority->issuer != NULL &&
		authority_key_id(authority->certificate, authority->key_id) == 0 &&
		revocation_authority_key(authority->certificate, authority->key, NULL) == 0)
		return 0;
	trust_reader_fault(reader, "certificate: out of memory");
	return -1;
}

/* A signer of CRLs vouches for nobody, so that there are no terms for it. */
static void read_signer(struct trust_reader *reader, json_t *members[TRUST_MEMBER_COUNT],
	struct authority *authority)
{
	json_t *is_signer = members[TRUST_IS_CRL_SIGNER];

	if (is_signer == NULL)
		return;
	if (!json_is_boolean(is_signer)) {
		trust_reader_fault(reader, "isCrlSigner: must be true or false");
		return;
	}
	authority->is_crl_signer = json_is_true(is_signer);
	for (enum trust_member i = TRUST_CERTIFICATE; i < TRUST_MEMBER_COUNT; i++)
		if (authority->is_crl_signer && members[i] != NULL && i != TRUST_IS_CRL_SIGNER &&
			i != TRUST_CERTIFICATE && i != TRUST_CERTIFICATE_FILE &&
			i != TRUST_ISSUER && i != TRUST_ISSUER_SKI)
			trust_reader_fault(
				reader, "%s: not for a CRL signer", trust_member_name(i));
	if (authority->is_crl_signer && authority->is_root)
		trust_reader_fault(reader, "isCrlSigner: a root signs its CRLs anyway");
}

static void check_certificate(struct trust_reader *reader, const struct authority *authority)
{
	X509 *certificate = authority->certificate;
	struct error err;

	if ((authority->is_crl_signer
			    ? authority_check_crl_signer(certificate, &err)
			    : authority_check(certificate, authority->is_root, &err)) == -1)
		trust_reader_fault(reader, "certificate: %s", err.text);
}

void trust_entry_read(struct trust_reader *reader, json_t *object)
{
	json_t *members[TRUST_MEMBER_COUNT] = {NULL};
	struct authority authority = {0};
	size_t faults_before = reader->fault_count;
	bool is_type_known, has_terms;

	if (!json_is_object(object)) {
		trust_reader_fault(reader, "must be an object");
		return;
	}
	trust_members_collect(reader, object, members);
	is_type_known = trust_entry_type(reader, members, &authority.is_root) == 0;
	read_signer(reader, members, &authority);
	has_terms = trust_terms_read(reader, members, &authority) == 0 &&
		    trust_rules_read(reader, members[TRUST_RULES], &authority) == 0;
	authority.certificate = trust_entry_certificate(reader, members);
	if (authority.certificate == NULL)
		goto out;
	if (is_type_known)
		check_certificate(reader, &authority);
	if (describe_authority(reader, &authority) == -1)
		goto out;
	check_derived(reader, members, &authority);
	if (has_terms)
		check_others(reader, &authority);
	if (reader->fault_count > faults_before)
		goto out;
	warn_about(reader, &authority);
	reader->numbers[reader->store->count] = reader->number;
	reader->store->authorities[reader->store->count++] = authority;
	return;
out:
	trust_entry_clear(&authority);
}
