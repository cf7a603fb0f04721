#include "auth/revocation_signature.h"

#include <limits.h>
#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdbool.h>

/* ASN1_item_verify() would do this too, but on two copies of the whole CRL. */

enum { SALT_MAX = 64, TRAILER_FIELD = 1 };

/* How a signature is checked. */
struct method {
	int nid;
	int salt_len;                       /* of PSS */
	const EVP_MD *(*digest)(void);      /* NULL: the algorithm's own */
	const EVP_MD *(*mask_digest)(void); /* of PSS */
	const char *key;
	bool is_pss;
};

static const struct method methods[] = {
	{.nid = NID_sha256WithRSAEncryption, .digest = EVP_sha256, .key = "RSA"},
	{.nid = NID_sha384WithRSAEncryption, .digest = EVP_sha384, .key = "RSA"},
	{.nid = NID_sha512WithRSAEncryption, .digest = EVP_sha512, .key = "RSA"},
	{.nid = NID_ecdsa_with_SHA256, .digest = EVP_sha256, .key = "EC"},
	{.nid = NID_ecdsa_with_SHA384, .digest = EVP_sha384, .key = "EC"},
	{.nid = NID_ecdsa_with_SHA512, .digest = EVP_sha512, .key = "EC"},
	{.nid = NID_ED25519, .key = "ED25519"},
	{.nid = NID_ED448, .key = "ED448"},
};

typedef const EVP_MD *digest_function(void);

/* NULL: none that is strong enough; PSS without a named hash means SHA-1. */
static digest_function *strong_digest(const X509_ALGOR *algorithm)
{
	const ASN1_OBJECT *object = NULL;

	if (algorithm == NULL)
		return NULL;
	X509_ALGOR_get0(&object, NULL, NULL, algorithm);
	switch (OBJ_obj2nid(object)) {
	case NID_sha256: return EVP_sha256;
	case NID_sha384: return EVP_sha384;
	case NID_sha512: return EVP_sha512;
	default: return NULL;
	}
}

/* The hash of MGF1, which is the only mask generation that there is (RFC 4055 2.2). */
static digest_function *mask_digest(const X509_ALGOR *generation)
{
	const ASN1_OBJECT *object = NULL;
	const void *value = NULL;
	digest_function *digest = NULL;
	X509_ALGOR *hash;
	int type = V_ASN1_UNDEF;

	if (generation == NULL)
		return NULL;
	X509_ALGOR_get0(&object, &type, &value, generation);
	if (OBJ_obj2nid(object) != NID_mgf1 || type != V_ASN1_SEQUENCE)
		return NULL;
	hash = ASN1_item_unpack(value, ASN1_ITEM_rptr(X509_ALGOR));
	digest = strong_digest(hash);
	X509_ALGOR_free(hash);
	return digest;
}

static bool pss_read(const RSA_PSS_PARAMS *parameters, struct method *method)
{
	long salt_len = 20; /* RFC 4055 3.1 */

	if (parameters->saltLength != NULL)
		salt_len = ASN1_INTEGER_get(parameters->saltLength);
	if (salt_len < 0 || salt_len > SALT_MAX)
		return false;
	if (parameters->trailerField != NULL &&
		ASN1_INTEGER_get(parameters->trailerField) != TRAILER_FIELD)
		return false;
	method->digest = strong_digest(parameters->hashAlgorithm);
	method->mask_digest = mask_digest(parameters->maskGenAlgorithm);
	method->salt_len = (int)salt_len;
	return method->digest != NULL && method->mask_digest != NULL;
}

static bool method_find(const X509_ALGOR *algorithm, struct method *method)
{
	const ASN1_OBJECT *object;
	RSA_PSS_PARAMS *parameters;
	const void *value;
	bool is_strong;
	int type;

	X509_ALGOR_get0(&object, &type, &value, algorithm);
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (methods[i].nid == OBJ_obj2nid(object)) {
			*method = methods[i];
			return true;
		}
	if (OBJ_obj2nid(object) != NID_rsassaPss || type != V_ASN1_SEQUENCE)
		return false;
	*method = (struct method){.nid = NID_rsassaPss, .key = "RSA", .is_pss = true};
	parameters = ASN1_item_unpack(value, ASN1_ITEM_rptr(RSA_PSS_PARAMS));
	is_strong = parameters != NULL && pss_read(parameters, method);
	RSA_PSS_PARAMS_free(parameters);
	return is_strong;
}

static bool has_key_for(const struct method *method, const EVP_PKEY *key)
{
	return key != NULL && (EVP_PKEY_is_a(key, method->key) ||
				      (method->is_pss && EVP_PKEY_is_a(key, "RSA-PSS")));
}

static bool pss_begin(const struct method *method, EVP_PKEY_CTX *ctx)
{
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, method->salt_len) == 1 &&
	       EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, method->mask_digest()) == 1;
}

static bool is_signed(
	struct span signed_part, const struct method *method, struct span signature, X509 *issuer)
{
	EVP_PKEY *key = X509_get0_pubkey(issuer);
	const EVP_MD *digest = method->digest != NULL ? method->digest() : NULL;
	EVP_MD_CTX *ctx;
	EVP_PKEY_CTX *parameters;
	bool holds;

	if (!has_key_for(method, key))
		return false;
	ctx = EVP_MD_CTX_new();
	holds = ctx != NULL && EVP_DigestVerifyInit(ctx, &parameters, digest, NULL, key) == 1 &&
		(!method->is_pss || pss_begin(method, parameters)) &&
		EVP_DigestVerify(
			ctx, signature.data, signature.len, signed_part.data, signed_part.len) == 1;
	EVP_MD_CTX_free(ctx);
	return holds;
}

int revocation_signature_check(struct span signed_part, struct span algorithm,
	struct span signature, X509 *issuer, struct error *err)
{
	const uint8_t *at = algorithm.data;
	struct method method;
	X509_ALGOR *parsed;
	int result = -1;

	if (signed_part.len > INT_MAX || algorithm.len > 4096 || signature.len > 65536 ||
		signature.len < 2 || signature.data[0] != 0)
		return error_set(err, "the signature is malformed");
	parsed = d2i_X509_ALGOR(NULL, &at, (long)algorithm.len);
	if (parsed == NULL || at != algorithm.data + algorithm.len)
		error_set(err, "the signature algorithm is malformed");
	else if (!method_find(parsed, &method))
		error_set(err, "the signature algorithm is unknown or too weak (SHA-256 at least)");
	else if (!is_signed(signed_part, &method, span_of(signature.data + 1, signature.len - 1),
			 issuer))
		error_set(err, "the signature does not hold under the issuer's key");
	else
		result = 0;
	X509_ALGOR_free(parsed);
	ERR_clear_error();
	return result;
}
