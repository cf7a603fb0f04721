#include "auth/verify_signatures.h"

#include <openssl/x509v3.h>

static int graph_index(void)
{
	static int index = -1;

	if (index == -1)
		index = X509_STORE_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	return index;
}

static int check_signature(const struct verify_graph *graph, X509 *subject, X509 *issuer)
{
	EVP_PKEY *key;

	if (verify_graph_knows(graph, subject, issuer))
		return X509_V_OK;
	key = X509_get0_pubkey(issuer);
	if (key == NULL)
		return X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY;
	return X509_verify(subject, key) == 1 ? X509_V_OK : X509_V_ERR_CERT_SIGNATURE_FAILURE;
}

static int fail(X509_STORE_CTX *ctx, int code, X509 *certificate, int depth)
{
	X509_STORE_CTX_set_error(ctx, code);
	X509_STORE_CTX_set_error_depth(ctx, depth);
	X509_STORE_CTX_set_current_cert(ctx, certificate);
	return 0;
}

/* From the root down, so that no key is used that a trusted one has not signed. The last certificate is
 * a root of the trust store, and is trusted for that and not for its signature. Times are judged
 * elsewhere: see verifier_run(). */
static int check_path(X509_STORE_CTX *ctx)
{
	const STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(ctx);
	const struct verify_graph *graph =
		X509_STORE_get_ex_data(X509_STORE_CTX_get0_store(ctx), graph_index());

	for (int i = sk_X509_num(path) - 2; i >= 0; i--) {
		X509 *subject = sk_X509_value(path, i);
		X509 *issuer = sk_X509_value(path, i + 1);
		int code;

		/* RFC 5280 6.1.4 (n) */
		if ((X509_get_key_usage(issuer) & KU_KEY_CERT_SIGN) == 0)
			return fail(ctx, X509_V_ERR_KEYUSAGE_NO_CERTSIGN, issuer, i + 1);
		code = check_signature(graph, subject, issuer);
		if (code == X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY)
			return fail(ctx, code, issuer, i + 1);
		if (code != X509_V_OK)
			return fail(ctx, code, subject, i);
	}
	return 1;
}

int verify_signatures_use(X509_STORE *store, const struct verify_graph *graph)
{
	/* What a store keeps for others is never const. */
	if (graph_index() == -1 || X509_STORE_set_ex_data(store, graph_index(), (void *)graph) != 1)
		return -1;
	X509_STORE_set_verify(store, check_path);
	return 0;
}
