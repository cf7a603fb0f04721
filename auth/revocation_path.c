#include "auth/revocation_path.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>

/* 112 bits: RSA of 2048 bits, and no SHA-1 (SSL_CTX_set_security_level(3)). */
enum { SECURITY_LEVEL = 2 };

struct revocation_paths {
	const struct trust_store *store;
	X509_STORE *roots;
	STACK_OF(X509) * intermediates;
};

static int paths_fill(struct revocation_paths *paths, int root)
{
	for (size_t i = 0; i < paths->store->count; i++) {
		const struct authority *authority = &paths->store->authorities[i];

		if (authority->is_crl_signer)
			continue;
		if (!authority->is_root) {
			if (sk_X509_push(paths->intermediates, authority->certificate) <= 0)
				return -1;
		} else if (root == REVOCATION_PATH_ANY_ROOT || (size_t)root == i) {
			if (X509_STORE_add_cert(paths->roots, authority->certificate) != 1)
				return -1;
		}
	}
	return 0;
}

struct revocation_paths *revocation_paths_new(const struct trust_store *store, int root)
{
	struct revocation_paths *paths = calloc(1, sizeof(*paths));

	if (paths == NULL)
		return NULL;
	paths->store = store;
	paths->roots = X509_STORE_new();
	paths->intermediates = sk_X509_new_null();
	if (paths->roots != NULL && paths->intermediates != NULL && paths_fill(paths, root) == 0)
		return paths;
	revocation_paths_free(paths);
	ERR_clear_error();
	return NULL;
}

void revocation_paths_free(struct revocation_paths *paths)
{
	if (paths == NULL)
		return;
	sk_X509_free(paths->intermediates);
	X509_STORE_free(paths->roots);
	free(paths);
}

static int number_of(const struct trust_store *store, const X509 *certificate)
{
	for (size_t i = 0; i < store->count; i++)
		if (X509_cmp(store->authorities[i].certificate, certificate) == 0)
			return (int)i;
	return -1;
}

static int chain_numbers(const struct trust_store *store, const STACK_OF(X509) * chain,
	int path[REVOCATION_PATH_MAX])
{
	int count = sk_X509_num(chain);

	if (count > REVOCATION_PATH_MAX)
		return -1;
	for (int i = 0; i < count; i++) {
		path[i] = number_of(store, sk_X509_value(chain, i));
		if (path[i] == -1)
			return -1;
	}
	return count;
}

/* A CA whose basicConstraints are not critical is one for verify.c too. */
static int on_fault(int is_ok, X509_STORE_CTX *ctx)
{
	if (is_ok)
		return 1;
	if (X509_STORE_CTX_get_error(ctx) != X509_V_ERR_CA_BCONS_NOT_CRITICAL)
		return 0;
	X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return 1;
}

/* See REVOCATION_PATH_ANY_TIME. */
static int on_fault_at_any_time(int is_ok, X509_STORE_CTX *ctx)
{
	int code = X509_STORE_CTX_get_error(ctx);

	if (is_ok || X509_STORE_CTX_get_error_depth(ctx) != 0 ||
		(code != X509_V_ERR_PERMITTED_VIOLATION && code != X509_V_ERR_EXCLUDED_VIOLATION &&
			code != X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE))
		return on_fault(is_ok, ctx);
	X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return 1;
}

int revocation_path_find(
	const struct revocation_paths *paths, int from, int64_t at, int path[REVOCATION_PATH_MAX])
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;
	unsigned long flags = X509_V_FLAG_X509_STRICT;
	int count = -1;

	if (ctx == NULL ||
		X509_STORE_CTX_init(ctx, paths->roots, paths->store->authorities[from].certificate,
			paths->intermediates) != 1)
		goto out;
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
	if (at == REVOCATION_PATH_ANY_TIME) {
		flags |= X509_V_FLAG_NO_CHECK_TIME;
		X509_STORE_CTX_set_verify_cb(ctx, on_fault_at_any_time);
	} else {
		X509_STORE_CTX_set_verify_cb(ctx, on_fault);
		X509_VERIFY_PARAM_set_time(param, (time_t)at);
	}
	if (X509_VERIFY_PARAM_set_flags(param, flags) == 1 && X509_verify_cert(ctx) == 1)
		count = chain_numbers(paths->store, X509_STORE_CTX_get0_chain(ctx), path);
out:
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return count;
}
