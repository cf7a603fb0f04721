#include "auth/offline.h"

#include <libgen.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "auth/authority.h"
#include "auth/offline_crls.h"
#include "auth/revocation_compile.h"
#include "auth/x509_text.h"

enum { STORE_SIZE_MAX = 16 << 20 };

struct offline {
	struct trust_store *store;
	struct offline_crls *crls;
	struct revocation_set revocation;
	X509 *leaf;
	STACK_OF(X509) * sent; /* borrowed; NULL: nothing */
	bool may_be_roots;     /* the certificates being read */
	offline_report *report;
	void *context;
};

struct offline *offline_new(offline_report *report, void *context, struct error *err)
{
	struct offline *offline = calloc(1, sizeof(*offline));

	if (offline == NULL)
		goto fail;
	offline->report = report;
	offline->context = context;
	offline->crls = offline_crls_new(report, context);
	offline->store = calloc(1, sizeof(*offline->store));
	if (offline->crls == NULL || offline->store == NULL)
		goto fail;
	offline->store->authorities = calloc(AUTHORITY_MAX, sizeof(*offline->store->authorities));
	if (offline->store->authorities != NULL)
		return offline;
fail:
	error_set(err, "preparing to verify: out of memory");
	offline_free(offline);
	return NULL;
}

void offline_free(struct offline *offline)
{
	if (offline == NULL)
		return;
	X509_free(offline->leaf);
	revocation_set_clear(&offline->revocation);
	offline_crls_free(offline->crls);
	trust_store_free(offline->store);
	free(offline);
}

const struct trust_store *offline_store(const struct offline *offline)
{
	return offline->store;
}

/* What the reading of files and stores tells goes on to whoever asked. */
static void report_file(void *context, const char *text)
{
	const struct offline *offline = context;

	if (offline->report != NULL)
		offline->report(offline->context, text);
}

static bool has_certificate(const struct trust_store *store, X509 *certificate)
{
	for (size_t i = 0; i < store->count; i++)
		if (X509_cmp(store->authorities[i].certificate, certificate) == 0)
			return true;
	return false;
}

static bool may_sign_crls(X509 *certificate)
{
	return (X509_get_key_usage(certificate) & KU_CRL_SIGN) != 0;
}

static bool may_sign_certificates(X509 *certificate)
{
	return X509_check_ca(certificate) != 0 &&
	       (X509_get_key_usage(certificate) & KU_KEY_CERT_SIGN) != 0;
}

/* The texts of an entry, which trust_store_free() frees. */
static int describe(struct authority *authority)
{
	char issuer[1024];

	x509_name_format(X509_get_subject_name(authority->certificate), issuer, sizeof(issuer));
	authority->issuer = strdup(issuer);
	authority->ocsp_url = strdup("");
	authority->exempt_reason = strdup("");
	for (size_t i = 0; i < CRL_LOCATION_MAX; i++) {
		authority->crls[i].url = strdup("");
		authority->crls[i].delta_url = strdup("");
		if (authority->crls[i].url == NULL || authority->crls[i].delta_url == NULL)
			return -1;
	}
	return authority->issuer != NULL && authority->ocsp_url != NULL &&
			       authority->exempt_reason != NULL
		       ? 0
		       : -1;
}

static bool is_authority(X509 *certificate)
{
	return may_sign_certificates(certificate) || may_sign_crls(certificate);
}

/* Takes the certificate over. */
static int add_certificate(
	struct offline *offline, X509 *certificate, const char *name, struct error *err)
{
	struct trust_store *store = offline->store;
	struct authority *authority;

	if (has_certificate(store, certificate) ||
		(offline->may_be_roots && !is_authority(certificate))) {
		X509_free(certificate);
		return 0;
	}
	if (store->count == AUTHORITY_MAX) {
		X509_free(certificate);
		return error_set(err, "%s: more than %d certificates of authorities", name,
			(int)AUTHORITY_MAX);
	}
	authority = &store->authorities[store->count++];
	authority->certificate = certificate;
	authority->is_root = offline->may_be_roots && X509_self_signed(certificate, 1) == 1;
	authority->is_crl_signer = !authority->is_root && !may_sign_certificates(certificate) &&
				   may_sign_crls(certificate);
	if (describe(authority) == -1)
		return error_set(err, "%s: out of memory", name);
	(void)authority_key_id(certificate, authority->key_id);
	return revocation_authority_key(certificate, authority->key, err);
}

static X509 *decode(const struct offline *offline, const char *name, struct span der)
{
	const unsigned char *at = der.data;
	X509 *certificate = d2i_X509(NULL, &at, (long)der.len);

	if (certificate == NULL || at != der.data + der.len) {
		char text[300];

		snprintf(text, sizeof(text), "%.200s: not a certificate", name);
		if (offline->report != NULL)
			offline->report(offline->context, text);
		X509_free(certificate);
		certificate = NULL;
	} else {
		X509_check_purpose(certificate, -1, 0); /* has its extensions read */
	}
	ERR_clear_error();
	return certificate;
}

static int take_authority(void *context, const char *name, struct span der, struct error *err)
{
	struct offline *offline = context;
	X509 *certificate = decode(offline, name, der);

	return certificate == NULL ? 0 : add_certificate(offline, certificate, name, err);
}

static int read_certificates(
	struct offline *offline, const char *path, bool may_be_roots, struct error *err)
{

	const struct offline_reader reader = {.kind = OFFLINE_CERTIFICATE,
		.take = take_authority,
		.report = report_file,
		.context = offline};

	offline->may_be_roots = may_be_roots;
	return offline_read(&reader, path, err) < 0 ? -1 : 0;
}

int offline_add_intermediates(struct offline *offline, const char *path, struct error *err)
{
	return read_certificates(offline, path, false, err);
}

static int add_store(
	struct offline *offline, struct trust_store *more, const char *path, struct error *err)
{
	struct trust_store *store = offline->store;

	if (store->count + more->count > AUTHORITY_MAX)
		return error_set(err, "%s: more than %d certificates of authorities", path,
			(int)AUTHORITY_MAX);
	memcpy(store->authorities + store->count, more->authorities,
		more->count * sizeof(*more->authorities));
	store->count += more->count;
	more->count = 0; /* what they own has moved */
	return 0;
}

/* Whether a file is JSON and no certificate: PEM and DER never begin so. */
static bool is_json(struct span content)
{
	size_t i = 0;

	while (i < content.len && strchr(" \t\r\n", content.data[i]) != NULL &&
		content.data[i] != '\0')
		i++;
	return i < content.len && (content.data[i] == '{' || content.data[i] == '[');
}

static int read_store(
	struct offline *offline, const char *path, struct span json, struct error *err)
{
	char *directory = strdup(path);
	struct trust_store *more;
	int result;

	if (directory == NULL)
		return error_set(err, "%s: out of memory", path);
	more = trust_store_read(json, path, dirname(directory), report_file, offline);
	free(directory);
	if (more == NULL)
		return error_set(err, "%s is no valid trust store", path);
	result = add_store(offline, more, path, err);
	trust_store_free(more);
	return result;
}

int offline_add_authorities(struct offline *offline, const char *path, struct error *err)
{
	uint8_t *data = NULL;
	size_t len = 0;
	struct stat st;
	int result;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return read_certificates(offline, path, true, err);
	if (offline_load(path, STORE_SIZE_MAX, &data, &len, err) == -1)
		return -1;
	result = is_json(span_of(data, len)) ? read_store(offline, path, span_of(data, len), err)
					     : read_certificates(offline, path, true, err);
	free(data);
	return result;
}

int offline_add_crls(struct offline *offline, const char *path, struct error *err)
{
	return offline_crls_read(offline->crls, path, err);
}

static int take_leaf(void *context, const char *name, struct span der, struct error *err)
{
	struct offline *offline = context;

	(void)err;
	if (offline->leaf == NULL)
		offline->leaf = decode(offline, name, der);
	return 0;
}

int offline_set_leaf(struct offline *offline, const char *path, struct error *err)
{
	const struct offline_reader reader = {.kind = OFFLINE_CERTIFICATE,
		.take = take_leaf,
		.report = report_file,
		.context = offline};
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return error_set(
			err, "reading %s: a directory, where one certificate is asked for", path);
	if (offline_read(&reader, path, err) < 0)
		return -1;
	return offline->leaf != NULL ? 0 : error_set(err, "%s: not a certificate", path);
}

void offline_use_leaf(struct offline *offline, X509 *leaf, STACK_OF(X509) * sent)
{
	X509_up_ref(leaf);
	X509_free(offline->leaf);
	offline->leaf = leaf;
	offline->sent = sent;
}

static enum refusal judge_path(struct offline *offline, const struct config_trust *config,
	int64_t at, struct verdict *verdict, struct error *err)
{
	struct verifier *verifier = verifier_new(offline->store, config, err);
	enum refusal refusal;

	if (verifier == NULL)
		return REFUSAL_INTERNAL;
	refusal = verifier_run(verifier, offline->leaf, offline->sent, at, verdict);
	if (refusal == REFUSAL_INTERNAL)
		error_set(err, "verifying the certificate: %s", verdict->reason);
	verifier_free(verifier);
	return refusal;
}

/* Without CRLs the same check runs over a store whose authorities have no location. */
static int prepare_revocation(struct offline *offline, const struct verdict *verdict, int64_t at,
	bool needs_crls, struct error *err)
{
	for (size_t i = 0; i < offline->store->count; i++)
		for (size_t place = 0; place < CRL_LOCATION_MAX; place++) {
			struct crl_location *crl = &offline->store->authorities[i].crls[place];

			free(crl->url);
			crl->url = strdup(needs_crls ? "offline:" : "");
			if (crl->url == NULL)
				return error_set(err, "preparing to verify: out of memory");
		}
	if (revocation_set_init(&offline->revocation, offline->store, err) == -1)
		return -1;
	return needs_crls ? offline_crls_put(offline->crls, offline->store, verdict, at,
				    &offline->revocation, err)
			  : 0;
}

enum refusal offline_judge(struct offline *offline, const struct config_trust *config, int64_t at,
	bool needs_crls, struct verdict *verdict, struct verdict_finding *finding,
	struct error *err)
{
	struct verdict_links links;
	enum refusal refusal = judge_path(offline, config, at, verdict, err);

	*finding = (struct verdict_finding){0};
	if (refusal != REFUSAL_NONE)
		return refusal;
	if (prepare_revocation(offline, verdict, at, needs_crls, err) == -1)
		return REFUSAL_INTERNAL;
	links = verdict_links_of(verdict);
	refusal = verdict_links_explain(&links, offline->store, &offline->revocation, at, finding);
	if (refusal == REFUSAL_INTERNAL)
		error_set(err, "verifying the certificate: its chain cannot be looked at again");
	return refusal;
}
