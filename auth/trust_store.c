#include "auth/trust_store.h"

#include <ctype.h>
#include <jansson.h>
#include <libgen.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/authority.h"
#include "auth/x509_text.h"

enum {
	JSON_SIZE_MAX = 16 << 20, /* AUTHORITY_MAX of the largest certificates, as base64 */
	URL_SIZE_MAX = 2048,
	ISSUER_TEXT_SIZE = 1024,
	KEY_IDENTIFIER_MAX = 32, /* octets kept in authority.key_id */
};

/* What an authority's JSON object says, by what it means. */
enum member {
	MEMBER_IS_ROOT,
	MEMBER_TYPE,
	MEMBER_CERTIFICATE,
	MEMBER_CERTIFICATE_FILE,
	MEMBER_CRL,
	MEMBER_DELTA_CRL,
	MEMBER_ISSUER,
	MEMBER_ISSUER_SKI,
	MEMBER_COUNT
};

/* Graph's names, our own, then those of CertificateAuthorityInformation. Compared without case:
 * PowerShell writes the latter with capitals. */
static const struct {
	const char *name;
	enum member member;
} member_table[] = {
	{"isRootAuthority", MEMBER_IS_ROOT},
	{"certificate", MEMBER_CERTIFICATE},
	{"certificateFile", MEMBER_CERTIFICATE_FILE},
	{"certificateRevocationListUrl", MEMBER_CRL},
	{"deltaCertificateRevocationListUrl", MEMBER_DELTA_CRL},
	{"issuer", MEMBER_ISSUER},
	{"issuerSki", MEMBER_ISSUER_SKI},
	{"authorityType", MEMBER_TYPE},
	{"trustedCertificate", MEMBER_CERTIFICATE},
	{"crlDistributionPoint", MEMBER_CRL},
	{"deltaCrlDistributionPoint", MEMBER_DELTA_CRL},
	{"trustedIssuer", MEMBER_ISSUER},
	{"trustedIssuerSKI", MEMBER_ISSUER_SKI},
};

struct reader {
	const char *name;
	const char *base_dir;
	trust_store_report *report;
	void *context;
	struct trust_store *store;
	size_t number; /* of the authority being read, from 1 as people count; 0: none */
	size_t numbers[AUTHORITY_MAX]; /* of those in store: one that is faulty is not among them */
	size_t fault_count;
};

__attribute__((format(printf, 3, 0))) static void report_text(
	const struct reader *reader, const char *prefix, const char *format, va_list args)
{
	char what[768];
	char text[1024];
	char place[40] = "";

	vsnprintf(what, sizeof(what), format, args);
	if (reader->number > 0)
		snprintf(place, sizeof(place), "authority %zu: ", reader->number);
	snprintf(text, sizeof(text), "%s%s: %s%s", prefix, reader->name, place, what);
	/* One line each, whatever the file held. */
	for (char *c = text; *c != '\0'; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	if (reader->report != NULL)
		reader->report(reader->context, text);
}

__attribute__((format(printf, 2, 3))) static void fault(
	struct reader *reader, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report_text(reader, "", format, args);
	va_end(args);
	reader->fault_count++;
}

__attribute__((format(printf, 2, 3))) static void warn(
	const struct reader *reader, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report_text(reader, "warning: ", format, args);
	va_end(args);
}

/* OData's annotations say nothing about an authority. */
static bool is_annotation(const char *name)
{
	return strchr(name, '@') != NULL;
}

/* Sorts the members of an object by what they mean; null is the same as leaving it out. */
static void collect_members(struct reader *reader, json_t *object, json_t *members[MEMBER_COUNT])
{
	const size_t count = sizeof(member_table) / sizeof(member_table[0]);
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		size_t i = 0;

		while (i < count && strcasecmp(member_table[i].name, name) != 0)
			i++;
		if (i == count) {
			if (!is_annotation(name))
				warn(reader, "%.64s: unknown, not used", name);
		} else if (json_is_null(value)) {
			continue;
		} else if (members[member_table[i].member] != NULL) {
			fault(reader, "%.64s: given twice, under different names", name);
		} else {
			members[member_table[i].member] = value;
		}
	}
}

/* The text of a member: "" where it is not given, NULL (reported) where it is no text. */
static const char *member_text(struct reader *reader, json_t *value, const char *name)
{
	if (value == NULL)
		return "";
	if (!json_is_string(value)) {
		fault(reader, "%s: must be a string", name);
		return NULL;
	}
	return json_string_value(value);
}

static int read_type(struct reader *reader, json_t *members[MEMBER_COUNT], bool *is_root)
{
	json_t *type = members[MEMBER_TYPE];
	const char *text;

	if (members[MEMBER_IS_ROOT] != NULL && type != NULL) {
		fault(reader, "isRootAuthority: given beside authorityType");
		return -1;
	}
	if (members[MEMBER_IS_ROOT] != NULL) {
		if (!json_is_boolean(members[MEMBER_IS_ROOT])) {
			fault(reader, "isRootAuthority: must be true or false");
			return -1;
		}
		*is_root = json_is_true(members[MEMBER_IS_ROOT]);
		return 0;
	}
	if (type == NULL) {
		fault(reader, "isRootAuthority: missing");
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
	fault(reader, "authorityType: must be root or intermediate");
	return -1;
}

static X509 *read_certificate(struct reader *reader, json_t *members[MEMBER_COUNT])
{
	json_t *inside = members[MEMBER_CERTIFICATE];
	json_t *file = members[MEMBER_CERTIFICATE_FILE];
	const char *name = file != NULL ? "certificateFile" : "certificate";
	const char *text;
	struct error err;
	X509 *certificate;

	if ((inside == NULL) == (file == NULL)) {
		fault(reader, "certificate: %s",
			inside == NULL ? "missing" : "given beside certificateFile");
		return NULL;
	}
	text = member_text(reader, file != NULL ? file : inside, name);
	if (text == NULL)
		return NULL;
	if (file != NULL)
		certificate = authority_decode_file(reader->base_dir, text, &err);
	else
		certificate =
			authority_decode_text(span_of(text, json_string_length(inside)), &err);
	if (certificate == NULL)
		fault(reader, "%s: %s", name, err.text);
	return certificate;
}

/* A copy of a CRL location, "" where none is given; NULL (reported) where it cannot be used. */
static char *read_url(struct reader *reader, json_t *value, const char *name)
{
	const char *url = member_text(reader, value, name);
	char *copy;

	if (url == NULL)
		return NULL;
	for (const char *c = url; *c != '\0'; c++)
		if (*c < 0x21 || *c > 0x7e || c - url >= URL_SIZE_MAX) {
			fault(reader, "%s: %s", name,
				c - url < URL_SIZE_MAX ? "a blank or a character that is not ASCII"
						       : "too long");
			return NULL;
		}
	if (url[0] != '\0' &&
		!(strncasecmp(url, "http://", 7) == 0 && isalnum((unsigned char)url[7])) &&
		!(strncasecmp(url, "http://[", 8) == 0) && strncasecmp(url, "file:/", 6) != 0) {
		fault(reader, "%s: must begin with http://host or file:/", name);
		return NULL;
	}
	copy = strdup(url);
	if (copy == NULL)
		fault(reader, "%s: out of memory", name);
	return copy;
}

/* Written in many ways: with colons, blanks, capitals. */
static void check_ski(struct reader *reader, const char *given, const char *key_id)
{
	char hex[2 * KEY_IDENTIFIER_MAX + 1];
	size_t len = 0;

	for (const char *c = given; *c != '\0' && len < sizeof(hex) - 1; c++)
		if (isxdigit((unsigned char)*c))
			hex[len++] = (char)tolower((unsigned char)*c);
	hex[len] = '\0';
	if (len > 0 && strncmp(hex, key_id, 2 * KEY_IDENTIFIER_MAX) != 0)
		fault(reader, "issuerSki: is not the certificate's, %s", key_id);
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
	const struct reader *reader, const char *given, const struct authority *authority)
{
	char issuer[ISSUER_TEXT_SIZE];

	x509_name_format(X509_get_issuer_name(authority->certificate), issuer, sizeof(issuer));
	if (given[0] != '\0' && !has_parts(given, authority->issuer) && !has_parts(given, issuer))
		warn(reader, "issuer: does not look like the certificate's, %.256s",
			authority->issuer);
}

static void check_derived(
	struct reader *reader, json_t *members[MEMBER_COUNT], const struct authority *authority)
{
	const char *issuer = member_text(reader, members[MEMBER_ISSUER], "issuer");
	const char *ski = member_text(reader, members[MEMBER_ISSUER_SKI], "issuerSki");

	if (issuer != NULL)
		check_issuer(reader, issuer, authority);
	if (ski != NULL)
		check_ski(reader, ski, authority->key_id);
}

static bool is_same_authority(X509 *a, X509 *b)
{
	const EVP_PKEY *key = X509_get0_pubkey(a);
	bool is_same = key != NULL &&
		       X509_NAME_cmp(X509_get_subject_name(a), X509_get_subject_name(b)) == 0 &&
		       X509_get0_pubkey(b) != NULL && EVP_PKEY_eq(key, X509_get0_pubkey(b)) == 1;

	ERR_clear_error();
	return is_same;
}

/* An authority may stand there twice, with a renewed certificate or one signed by another. Its
 * certificates are then checked against one CRL, which both entries must agree on. */
static void check_others(struct reader *reader, const struct authority *authority)
{
	for (size_t i = 0; i < reader->store->count; i++) {
		const struct authority *other = &reader->store->authorities[i];

		if (X509_cmp(other->certificate, authority->certificate) == 0)
			fault(reader, "certificate: the same as authority %zu's",
				reader->numbers[i]);
		else if (is_same_authority(other->certificate, authority->certificate)) {
			if (strcmp(other->crl_url, authority->crl_url) != 0 ||
				strcmp(other->delta_crl_url, authority->delta_crl_url) != 0)
				fault(reader,
					"certificateRevocationListUrl: not that of authority %zu, "
					"which has the same name and key",
					reader->numbers[i]);
		} else if (strcmp(other->key_id, authority->key_id) == 0)
			fault(reader,
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

static void warn_about(const struct reader *reader, const struct authority *authority)
{
	X509 *certificate = authority->certificate;
	const char *unfit = find_unfit_extension(certificate);

	if (unfit != NULL)
		warn(reader, "certificate: %s, so that none of its phones will be let in", unfit);
	if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
		warn(reader, "certificate: expired");
	if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
		warn(reader, "certificate: not valid yet");
	if (authority->crl_url[0] != '\0' && (X509_get_key_usage(certificate) & KU_CRL_SIGN) == 0)
		warn(reader, "certificate: keyUsage without cRLSign, so that none of its CRLs will "
			     "be taken");
}

static void authority_clear(struct authority *authority)
{
	X509_free(authority->certificate);
	free(authority->crl_url);
	free(authority->delta_crl_url);
	free(authority->issuer);
}

static int describe_authority(struct reader *reader, struct authority *authority)
{
	char issuer[ISSUER_TEXT_SIZE];

	x509_name_format(X509_get_subject_name(authority->certificate), issuer, sizeof(issuer));
	authority->issuer = strdup(issuer);
	if (authority->issuer != NULL &&
		authority_key_id(authority->certificate, authority->key_id) == 0)
		return 0;
	fault(reader, "certificate: out of memory");
	return -1;
}

static void read_authority(struct reader *reader, json_t *object)
{
	json_t *members[MEMBER_COUNT] = {NULL};
	struct authority authority = {0};
	size_t faults_before = reader->fault_count;
	bool is_type_known;
	struct error err;

	if (!json_is_object(object)) {
		fault(reader, "must be an object");
		return;
	}
	collect_members(reader, object, members);
	is_type_known = read_type(reader, members, &authority.is_root) == 0;
	authority.crl_url = read_url(reader, members[MEMBER_CRL], "certificateRevocationListUrl");
	authority.delta_crl_url =
		read_url(reader, members[MEMBER_DELTA_CRL], "deltaCertificateRevocationListUrl");
	if (authority.crl_url != NULL && authority.delta_crl_url != NULL &&
		authority.crl_url[0] == '\0' && authority.delta_crl_url[0] != '\0')
		fault(reader,
			"deltaCertificateRevocationListUrl: without certificateRevocationListUrl");
	authority.certificate = read_certificate(reader, members);
	if (authority.certificate == NULL)
		goto out;
	if (is_type_known && authority_check(authority.certificate, authority.is_root, &err) == -1)
		fault(reader, "certificate: %s", err.text);
	if (describe_authority(reader, &authority) == -1)
		goto out;
	check_derived(reader, members, &authority);
	if (authority.crl_url != NULL && authority.delta_crl_url != NULL)
		check_others(reader, &authority);
	if (reader->fault_count > faults_before)
		goto out;
	warn_about(reader, &authority);
	reader->numbers[reader->store->count] = reader->number;
	reader->store->authorities[reader->store->count++] = authority;
	return;
out:
	authority_clear(&authority);
}

static void read_authorities(struct reader *reader, json_t *list)
{
	if (!json_is_array(list)) {
		fault(reader, "certificateAuthorities: must be a list");
		return;
	}
	if (json_array_size(list) > AUTHORITY_MAX) {
		fault(reader, "certificateAuthorities: %zu of them, of at most %d",
			json_array_size(list), AUTHORITY_MAX);
		return;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		reader->number++;
		read_authority(reader, json_array_get(list, i));
	}
	reader->number = 0;
}

/* One certificateBasedAuthConfiguration. */
static void read_configuration(struct reader *reader, json_t *object)
{
	json_t *list = NULL;
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		if (strcmp(name, "certificateAuthorities") == 0)
			list = value;
		else if (strcmp(name, "id") != 0 && !is_annotation(name))
			warn(reader, "%.64s: unknown, not used", name);
	}
	read_authorities(reader, list);
}

/* A configuration, Graph's envelope around one, or a bare list of authorities. */
static void read_document(struct reader *reader, json_t *root)
{
	json_t *value = json_object_get(root, "value");

	if (json_object_get(root, "certificateAuthorities") != NULL)
		read_configuration(reader, root);
	else if (json_is_array(root))
		read_authorities(reader, root);
	else if (json_is_array(value) && json_array_size(value) == 1 &&
		 json_object_get(json_array_get(value, 0), "certificateAuthorities") != NULL)
		read_configuration(reader, json_array_get(value, 0));
	else if (json_is_array(value))
		read_authorities(reader, value);
	else
		fault(reader, "certificateAuthorities: missing");
}

static int make_paths(
	const struct trust_store *store, X509_STORE *roots, STACK_OF(X509) * intermediates)
{
	for (size_t i = 0; i < store->count; i++) {
		X509 *certificate = store->authorities[i].certificate;

		if (store->authorities[i].is_root ? X509_STORE_add_cert(roots, certificate) != 1
						  : sk_X509_push(intermediates, certificate) <= 0)
			return -1;
	}
	return X509_STORE_set_flags(roots, X509_V_FLAG_X509_STRICT | X509_V_FLAG_NO_CHECK_TIME) == 1
		       ? 0
		       : -1;
}

/* Phones of an intermediate without a path, or with one that breaks RFC 5280, will all be refused:
 * better known now than from their owners. */
static void check_path(
	struct reader *reader, X509_STORE *roots, STACK_OF(X509) * intermediates, X509 *certificate)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();

	if (ctx == NULL || X509_STORE_CTX_init(ctx, roots, certificate, intermediates) != 1)
		fault(reader, "certificate: out of memory");
	else if (X509_verify_cert(ctx) != 1)
		warn(reader, "certificate: no valid path to a root: %s (depth %d)",
			X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)),
			X509_STORE_CTX_get_error_depth(ctx));
	X509_STORE_CTX_free(ctx);
}

static void check_paths(struct reader *reader)
{
	X509_STORE *roots = X509_STORE_new();
	STACK_OF(X509) *intermediates = sk_X509_new_null();

	if (roots == NULL || intermediates == NULL ||
		make_paths(reader->store, roots, intermediates) == -1) {
		fault(reader, "out of memory");
		goto out;
	}
	for (size_t i = 0; i < reader->store->count; i++) {
		if (reader->store->authorities[i].is_root)
			continue;
		reader->number = i + 1;
		check_path(reader, roots, intermediates, reader->store->authorities[i].certificate);
	}
	reader->number = 0;
out:
	sk_X509_free(intermediates);
	X509_STORE_free(roots);
}

static void check_store(struct reader *reader)
{
	size_t root_count = 0;

	for (size_t i = 0; i < reader->store->count; i++)
		if (reader->store->authorities[i].is_root)
			root_count++;
	if (root_count == 0)
		fault(reader, "no root authority, so that no certificate could be trusted");
	else
		check_paths(reader);
}

static void read_text(struct reader *reader, struct span json)
{
	json_error_t error;
	json_t *root;

	if (json.len > JSON_SIZE_MAX) {
		fault(reader, "larger than %d MiB", JSON_SIZE_MAX >> 20);
		return;
	}
	root = json_loadb((const char *)json.data, json.len, JSON_REJECT_DUPLICATES, &error);
	if (root == NULL) {
		fault(reader, "line %d: %s", error.line, error.text);
		return;
	}
	read_document(reader, root);
	reader->number = 0;
	if (reader->fault_count == 0)
		check_store(reader);
	json_decref(root);
}

struct trust_store *trust_store_read(struct span json, const char *name, const char *base_dir,
	trust_store_report *report, void *context)
{
	struct reader reader = {
		.name = name, .base_dir = base_dir, .report = report, .context = context};

	reader.store = calloc(1, sizeof(*reader.store));
	if (reader.store != NULL)
		reader.store->authorities =
			calloc(AUTHORITY_MAX, sizeof(*reader.store->authorities));
	if (reader.store == NULL || reader.store->authorities == NULL)
		fault(&reader, "out of memory");
	else
		read_text(&reader, json);
	ERR_clear_error();
	if (reader.fault_count == 0)
		return reader.store;
	trust_store_free(reader.store);
	return NULL;
}

void trust_store_free(struct trust_store *store)
{
	if (store == NULL)
		return;
	for (size_t i = 0; i < store->count; i++)
		authority_clear(&store->authorities[i]);
	free(store->authorities);
	free(store);
}

int trust_store_find(const struct trust_store *store, X509 *certificate)
{
	for (size_t i = 0; i < store->count; i++)
		if (is_same_authority(store->authorities[i].certificate, certificate))
			return (int)i;
	return -1;
}

struct trust_store *trust_store_load(
	const struct config_file *file, trust_store_report *report, void *context)
{
	struct trust_store *store = NULL;
	char *content = NULL;
	char *base_dir = strdup(file->path);
	struct error err;
	size_t len;

	if (base_dir != NULL)
		content = config_file_read(file, &len, &err);
	else
		error_sys(&err, "reading %s", file->path);
	if (content != NULL) {
		store = trust_store_read(
			span_of(content, len), file->path, dirname(base_dir), report, context);
	} else {
		report(context, err.text);
	}
	free(content);
	free(base_dir);
	return store;
}

int trust_store_config_check(const struct config_file *file, config_report *report, void *context)
{
	struct trust_store *store = trust_store_load(file, report, context);
	bool is_good = store != NULL;

	trust_store_free(store);
	return is_good ? 0 : -1;
}
