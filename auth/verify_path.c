#include "auth/verify_path.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/openssl_error.h"
#include "auth/verify_algorithms.h"
#include "auth/verify_facts.h"
#include "auth/verify_names.h"
#include "auth/verify_signatures.h"

struct verify_paths {
	const struct trust_store *trust;
	uint32_t algorithms;
	X509_STORE *roots;              /* builds */
	X509_STORE *given;              /* judges a path that is there already */
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

enum refusal verdict_refuse(struct verdict *verdict, enum refusal refusal, const char *reason)
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
	case X509_V_ERR_CERT_HAS_EXPIRED:
	/* RFC 5280 4.2.1.9 asks authorities to mark it critical; 6.1.4 does not ask us to refuse. */
	case X509_V_ERR_CA_BCONS_NOT_CRITICAL: is_passed = true; break;
	case X509_V_ERR_INVALID_PURPOSE:
		/* The leaf's own purpose has been judged before. */
		is_passed = X509_STORE_CTX_get_error_depth(ctx) == 0 ||
			    is_ca_for_any_purpose(X509_STORE_CTX_get_current_cert(ctx));
		break;
	case X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE:
		/* That may be one of a Principal Name. verify_names_check() looks at all
		 * constraints again, and knows these. */
		is_passed = true;
		break;
	default: break;
	}
	if (is_passed)
		X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return is_passed;
}

/* Has OpenSSL's builder follow a path that is given, whatever else would fit. */
static int is_next_on_path(X509_STORE_CTX *ctx, X509 *certificate, X509 *issuer)
{
	const STACK_OF(X509) *path = X509_STORE_CTX_get_app_data(ctx);
	int count = sk_X509_num(path);

	for (int i = 0; i < count; i++)
		if (sk_X509_value(path, i) == certificate)
			return issuer == sk_X509_value(path, i + 1 < count ? i + 1 : i);
	return 0;
}

/* RFC 5280 6.1.1 (c): without a set any policy will do, but where a CA requires one, there must be
 * one. To OpenSSL an empty set means that none will do. */
static int set_policies(X509_VERIFY_PARAM *param, const struct config_trust *config)
{
	if (config->policy_count == 0)
		return X509_VERIFY_PARAM_add0_policy(param, OBJ_nid2obj(NID_any_policy)) == 1 ? 0
											      : -1;
	for (size_t i = 0; i < config->policy_count; i++) {
		ASN1_OBJECT *policy = OBJ_txt2obj(config->policies[i], 1);

		if (policy == NULL || X509_VERIFY_PARAM_add0_policy(param, policy) != 1) {
			ASN1_OBJECT_free(policy);
			return -1;
		}
	}
	return 0;
}

static int set_parameters(X509_STORE *store, const struct config_trust *config)
{
	X509_VERIFY_PARAM *param = X509_STORE_get0_param(store);
	unsigned long flags = X509_V_FLAG_X509_STRICT | X509_V_FLAG_POLICY_CHECK;
	uint32_t depth = config->depth;

	if (config->explicit_policy)
		flags |= X509_V_FLAG_EXPLICIT_POLICY;
	if (config->inhibit_policy_mapping)
		flags |= X509_V_FLAG_INHIBIT_MAP;
	if (config->inhibit_any_policy)
		flags |= X509_V_FLAG_INHIBIT_ANY;
	/* The leaf and its intermediates each take a link of the verdict. */
	if (depth > VERDICT_CHAIN_MAX - 1)
		depth = VERDICT_CHAIN_MAX - 1;
	X509_VERIFY_PARAM_set_depth(param, (int)depth);
	X509_VERIFY_PARAM_set_auth_level(param, (int)config->security_level);
	/* The CN of a phone's certificate is a person's, and no name of a host. */
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	X509_STORE_set_verify_cb(store, on_verify_step);
	if (X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT) != 1 ||
		X509_VERIFY_PARAM_set_flags(param, flags) != 1)
		return -1;
	return set_policies(param, config);
}

static int add_authorities(struct verify_paths *paths)
{
	for (size_t i = 0; i < paths->trust->count; i++) {
		const struct authority *authority = &paths->trust->authorities[i];

		if (authority->is_crl_signer)
			continue;
		if (authority->is_root
				? X509_STORE_add_cert(paths->roots, authority->certificate) != 1
				: sk_X509_push(paths->intermediates, authority->certificate) <= 0)
			return -1;
	}
	return 0;
}

struct verify_paths *verify_paths_new(const struct trust_store *store,
	const struct verify_graph *graph, const struct config_trust *config, struct error *err)
{
	struct verify_paths *paths = calloc(1, sizeof(*paths));

	if (paths == NULL) {
		error_sys(err, "making the verifier of client certificates");
		return NULL;
	}
	paths->trust = store;
	paths->algorithms = config->algorithms;
	paths->roots = X509_STORE_new();
	paths->given = X509_STORE_new();
	paths->intermediates = sk_X509_new_null();
	if (paths->roots != NULL && paths->given != NULL && paths->intermediates != NULL &&
		add_authorities(paths) == 0 && set_parameters(paths->roots, config) == 0 &&
		set_parameters(paths->given, config) == 0 &&
		verify_signatures_use(paths->roots, graph) == 0 &&
		verify_signatures_use(paths->given, graph) == 0) {
		X509_STORE_set_check_issued(paths->given, is_next_on_path);
		return paths;
	}
	error_openssl(err, "making the verifier of client certificates");
	verify_paths_free(paths);
	return NULL;
}

void verify_paths_free(struct verify_paths *paths)
{
	if (paths == NULL)
		return;
	sk_X509_free(paths->intermediates);
	X509_STORE_free(paths->given);
	X509_STORE_free(paths->roots);
	free(paths);
}

int verify_paths_depth(const struct verify_paths *paths)
{
	return X509_VERIFY_PARAM_get_depth(X509_STORE_get0_param(paths->roots));
}

/* What OpenSSL has not looked at. */
static enum refusal judge_chain(
	const struct verify_paths *paths, X509_STORE_CTX *ctx, struct verdict *verdict)
{
	const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
	char reason[sizeof(verdict->reason)];
	const char *fault;
	int depth = 0;

	if (!verify_algorithms_allow(chain, paths->algorithms, reason, sizeof(reason)))
		return verdict_refuse(verdict, REFUSAL_CERTIFICATE_WEAK, reason);
	fault = verify_names_check(chain, &depth);
	if (fault != NULL) {
		snprintf(reason, sizeof(reason), "%s at depth %d", fault, depth);
		return verdict_refuse(verdict, REFUSAL_CERTIFICATE_CHAIN, reason);
	}
	return verify_facts_read(
		paths->trust, chain, X509_STORE_CTX_get0_policy_tree(ctx), verdict);
}

static enum refusal run(
	const struct verify_paths *paths, X509_STORE_CTX *ctx, int64_t now, struct verdict *verdict)
{
	char reason[sizeof(verdict->reason)];
	int code;

	verdict->refusal = REFUSAL_NONE;
	verdict->reason[0] = '\0';
	X509_STORE_CTX_set_time(ctx, 0, (time_t)now);
	if (X509_verify_cert(ctx) == 1)
		return judge_chain(paths, ctx, verdict);
	code = X509_STORE_CTX_get_error(ctx);
	snprintf(reason, sizeof(reason), "%s at depth %d", X509_verify_cert_error_string(code),
		X509_STORE_CTX_get_error_depth(ctx));
	return verdict_refuse(verdict, refusal_of_error(code), reason);
}

/* The certificates between leaf and root: the trust store's before the phone's, whose own copies
 * are never preferred. */
static STACK_OF(X509) *
	collect_intermediates(const struct verify_paths *paths, const STACK_OF(X509) * sent)
{
	STACK_OF(X509) *all = sk_X509_dup(paths->intermediates);

	for (int i = 0; all != NULL && sent != NULL && i < sk_X509_num(sent); i++)
		if (sk_X509_push(all, sk_X509_value(sent, i)) <= 0) {
			sk_X509_free(all);
			return NULL;
		}
	return all;
}

enum refusal verify_path_build(const struct verify_paths *paths, X509 *leaf,
	const STACK_OF(X509) * sent, int64_t now, struct verdict *verdict)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *intermediates = collect_intermediates(paths, sent);
	enum refusal refusal;

	if (ctx != NULL && intermediates != NULL &&
		X509_STORE_CTX_init(ctx, paths->roots, leaf, intermediates) == 1)
		refusal = run(paths, ctx, now, verdict);
	else
		refusal = verdict_refuse(verdict, REFUSAL_INTERNAL, "out of memory");
	X509_STORE_CTX_free(ctx);
	sk_X509_free(intermediates);
	return refusal;
}

enum refusal verify_path_judge(const struct verify_paths *paths, STACK_OF(X509) * path, int64_t now,
	struct verdict *verdict)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *above = sk_X509_dup(path);
	STACK_OF(X509) *root = sk_X509_new_null();
	enum refusal refusal = REFUSAL_INTERNAL;

	if (ctx == NULL || above == NULL || root == NULL ||
		sk_X509_push(root, sk_X509_value(path, sk_X509_num(path) - 1)) <= 0 ||
		X509_STORE_CTX_init(ctx, paths->given, sk_X509_shift(above), above) != 1 ||
		X509_STORE_CTX_set_app_data(ctx, path) != 1) {
		refusal = verdict_refuse(verdict, REFUSAL_INTERNAL, "out of memory");
	} else {
		(void)sk_X509_pop(above);
		X509_STORE_CTX_set0_trusted_stack(ctx, root);
		refusal = run(paths, ctx, now, verdict);
	}
	X509_STORE_CTX_free(ctx);
	sk_X509_free(root);
	sk_X509_free(above);
	return refusal;
}
