#include "auth/verify.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "auth/verify_graph.h"
#include "auth/verify_path.h"
#include "auth/x509_text.h"

enum {
	SENT_COUNT_MAX = VERDICT_CHAIN_MAX + 1, /* the leaf may be among them */
	SENT_SIZE_MAX = 16384,                  /* of one certificate, in DER */
	CA_NAMES_SIZE_MAX = 60000,              /* RFC 8446 4.2.4: a vector of at most 65,535 */
};

struct verifier {
	const struct trust_store *trust;
	bool needs_client_auth, is_any_leaf; /* as in struct config_trust */
	struct verify_paths *paths;
	struct verify_graph *graph;
};

struct verifier *verifier_new(
	const struct trust_store *store, const struct config_trust *config, struct error *err)
{
	struct verifier *verifier = calloc(1, sizeof(*verifier));

	if (verifier == NULL) {
		error_sys(err, "making the verifier of client certificates");
		return NULL;
	}
	verifier->trust = store;
	verifier->needs_client_auth = config->needs_client_auth;
	verifier->is_any_leaf = config->is_any_leaf;
	verifier->graph = verify_graph_new(store);
	if (verifier->graph == NULL)
		error_set(err, "making the verifier of client certificates: out of memory");
	else
		verifier->paths = verify_paths_new(store, verifier->graph, config, err);
	if (verifier->paths != NULL)
		return verifier;
	verifier_free(verifier);
	return NULL;
}

void verifier_free(struct verifier *verifier)
{
	if (verifier == NULL)
		return;
	verify_paths_free(verifier->paths);
	verify_graph_free(verifier->graph);
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
		const struct authority *authority = &verifier->trust->authorities[i];
		const X509_NAME *name = X509_get_subject_name(authority->certificate);
		int len = i2d_X509_NAME(name, NULL);

		if (authority->is_crl_signer || has_name(names, name))
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
		return verdict_refuse(
			verdict, REFUSAL_INTERNAL, "the certificate's SHA-256 failed");
	return REFUSAL_NONE;
}

/* What OpenSSL's purpose would let pass: no extended key usage at all, which Entra refuses too, a
 * CA's own certificate, and a key that may agree on keys but not sign, as TLS 1.3 has it do. */
static enum refusal check_leaf(const struct verifier *verifier, X509 *leaf, struct verdict *verdict)
{
	uint32_t flags;

	if (X509_check_purpose(leaf, -1, 0) != 1)
		return verdict_refuse(verdict, REFUSAL_CERTIFICATE_UNREADABLE,
			"malformed or repeated extension at depth 0");
	flags = X509_get_extension_flags(leaf);
	if (X509_check_ca(leaf) != 0 && !verifier->is_any_leaf)
		return verdict_refuse(
			verdict, REFUSAL_CERTIFICATE_PURPOSE, "a CA certificate at depth 0");
	if ((flags & EXFLAG_XKUSAGE) == 0 && verifier->needs_client_auth)
		return verdict_refuse(
			verdict, REFUSAL_CERTIFICATE_PURPOSE, "no extended key usage at depth 0");
	if ((flags & EXFLAG_XKUSAGE) != 0 &&
		(X509_get_extended_key_usage(leaf) & (XKU_SSL_CLIENT | XKU_ANYEKU)) == 0)
		return verdict_refuse(verdict, REFUSAL_CERTIFICATE_PURPOSE,
			"extended key usage without clientAuth at depth 0");
	if ((X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) == 0 && !verifier->is_any_leaf)
		return verdict_refuse(verdict, REFUSAL_CERTIFICATE_PURPOSE,
			"key usage without digitalSignature at depth 0");
	if ((flags & EXFLAG_NSCERT) != 0 &&
		X509_check_purpose(leaf, X509_PURPOSE_SSL_CLIENT, 0) != 1)
		return verdict_refuse(verdict, REFUSAL_CERTIFICATE_PURPOSE,
			"Netscape certificate type without SSL client at depth 0");
	return REFUSAL_NONE;
}

static enum refusal check_sizes(X509 *leaf, const STACK_OF(X509) * sent, struct verdict *verdict)
{
	int count = sent != NULL ? sk_X509_num(sent) : 0;

	if (count > SENT_COUNT_MAX)
		return verdict_refuse(
			verdict, REFUSAL_CERTIFICATE_CHAIN, "too many certificates sent");
	for (int i = -1; i < count; i++) {
		int size = i2d_X509(i < 0 ? leaf : sk_X509_value(sent, i), NULL);

		if (size <= 0 || size > SENT_SIZE_MAX)
			return verdict_refuse(verdict, REFUSAL_CERTIFICATE_CHAIN,
				"a certificate sent is too large");
	}
	return REFUSAL_NONE;
}

/* Whether all of the chain but the leaf, whose times no other path can mend, is valid. */
static bool is_current(const struct verdict *verdict, int64_t now)
{
	return verdict->not_before <= now && now <= verdict->not_after;
}

/* Where OpenSSL's own path does not hold, or not now: the first other one that does. Where none holds,
 * what is wrong with OpenSSL's is told, unless that one did not even end in a root and another does. */
static void search_other_path(const struct verifier *verifier, X509 *leaf,
	const STACK_OF(X509) * sent, int64_t now, struct verdict *verdict)
{
	struct verify_search *search = verify_search_new(
		verifier->graph, leaf, sent, verify_paths_depth(verifier->paths), now);
	STACK_OF(X509) *path = sk_X509_new_null();
	struct verdict other = *verdict;
	bool is_found = false;
	bool path_is_current;

	while (!is_found && search != NULL && path != NULL &&
		verify_search_next(search, path, &path_is_current) &&
		(path_is_current || verdict->refusal != REFUSAL_NONE)) {
		is_found = verify_path_judge(verifier->paths, path, now, &other) == REFUSAL_NONE;
		if (is_found || verdict->refusal == REFUSAL_CERTIFICATE_UNTRUSTED)
			*verdict = other;
	}
	sk_X509_free(path);
	verify_search_free(search);
}

static enum refusal find_path(const struct verifier *verifier, X509 *leaf,
	const STACK_OF(X509) * sent, int64_t now, struct verdict *verdict)
{
	enum refusal refusal = verify_path_build(verifier->paths, leaf, sent, now, verdict);

	if (refusal != REFUSAL_NONE || !is_current(verdict, now))
		search_other_path(verifier, leaf, sent, now, verdict);
	return verdict->refusal;
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
		refusal = check_leaf(verifier, leaf, verdict);
	if (refusal == REFUSAL_NONE)
		refusal = find_path(verifier, leaf, sent, now, verdict);
	if (refusal != REFUSAL_NONE)
		verdict->link_count = 0;
	verdict->names_refusal =
		refusal == REFUSAL_NONE ? identity_names_read(leaf, &verdict->names) : refusal;
	ERR_clear_error();
	return refusal;
}
