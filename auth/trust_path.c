#include "auth/trust_path.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

int trust_paths_make(struct trust_paths *paths, const struct trust_store *store)
{
	paths->roots = X509_STORE_new();
	paths->intermediates = sk_X509_new_null();
	if (paths->roots == NULL || paths->intermediates == NULL)
		return -1;
	for (size_t i = 0; i < store->count; i++) {
		X509 *certificate = store->authorities[i].certificate;

		if (store->authorities[i].is_root
				? X509_STORE_add_cert(paths->roots, certificate) != 1
				: sk_X509_push(paths->intermediates, certificate) <= 0)
			return -1;
	}
	return X509_STORE_set_flags(
		       paths->roots, X509_V_FLAG_X509_STRICT | X509_V_FLAG_NO_CHECK_TIME) == 1
		       ? 0
		       : -1;
}

void trust_paths_clear(struct trust_paths *paths)
{
	sk_X509_free(paths->intermediates);
	X509_STORE_free(paths->roots);
}

int trust_paths_check(const struct trust_paths *paths, X509 *certificate, struct error *err)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int result = 0;

	if (ctx == NULL ||
		X509_STORE_CTX_init(ctx, paths->roots, certificate, paths->intermediates) != 1)
		result = error_set(err, "no valid path to a root: out of memory");
	else if (X509_verify_cert(ctx) != 1)
		result = error_set(err, "no valid path to a root: %s (depth %d)",
			X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)),
			X509_STORE_CTX_get_error_depth(ctx));
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return result;
}
