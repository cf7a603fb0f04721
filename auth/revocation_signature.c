#include "auth/revocation_signature.h"

#include <limits.h>
#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <stdbool.h>

static bool is_strong_digest(int nid)
{
	return nid == NID_sha256 || nid == NID_sha384 || nid == NID_sha512;
}

/* Without a named hash PSS means SHA-1. */
static bool is_strong_pss(const X509_ALGOR *algorithm)
{
	const ASN1_OBJECT *hash = NULL;
	RSA_PSS_PARAMS *parameters;
	const void *value;
	bool is_strong;
	int type;

	X509_ALGOR_get0(NULL, &type, &value, algorithm);
	if (type != V_ASN1_SEQUENCE)
		return false;
	parameters = ASN1_item_unpack(value, ASN1_ITEM_rptr(RSA_PSS_PARAMS));
	if (parameters != NULL && parameters->hashAlgorithm != NULL)
		X509_ALGOR_get0(&hash, NULL, NULL, parameters->hashAlgorithm);
	is_strong = hash != NULL && is_strong_digest(OBJ_obj2nid(hash));
	RSA_PSS_PARAMS_free(parameters);
	return is_strong;
}

static bool is_strong_algorithm(const X509_ALGOR *algorithm)
{
	const ASN1_OBJECT *object;

	X509_ALGOR_get0(&object, NULL, NULL, algorithm);
	switch (OBJ_obj2nid(object)) {
	case NID_sha256WithRSAEncryption:
	case NID_sha384WithRSAEncryption:
	case NID_sha512WithRSAEncryption:
	case NID_ecdsa_with_SHA256:
	case NID_ecdsa_with_SHA384:
	case NID_ecdsa_with_SHA512:
	case NID_ED25519:
	case NID_ED448: return true;
	case NID_rsassaPss: return is_strong_pss(algorithm);
	default: return false;
	}
}

/* ASN1_item_verify() does for any item what X509_CRL_verify() does for a CRL, parameters of PSS
 * included; as an ASN1_SEQUENCE, whose encoding is its own bytes, the CRL needs no parsing. */
static bool is_signed(
	struct span signed_part, const X509_ALGOR *algorithm, struct span signature, X509 *issuer)
{
	ASN1_STRING *item = ASN1_STRING_type_new(V_ASN1_SEQUENCE);
	ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
	bool holds = false;

	if (item != NULL && bits != NULL &&
		ASN1_STRING_set(item, signed_part.data, (int)signed_part.len) == 1 &&
		ASN1_STRING_set(bits, signature.data, (int)signature.len) == 1) {
		bits->flags |= ASN1_STRING_FLAG_BITS_LEFT; /* no unused bits */
		holds = ASN1_item_verify(ASN1_ITEM_rptr(ASN1_SEQUENCE), algorithm, bits, item,
				X509_get0_pubkey(issuer)) == 1;
	}
	ASN1_BIT_STRING_free(bits);
	ASN1_STRING_free(item);
	return holds;
}

int revocation_signature_check(struct span signed_part, struct span algorithm,
	struct span signature, X509 *issuer, struct error *err)
{
	const uint8_t *at = algorithm.data;
	X509_ALGOR *parsed;
	int result = -1;

	if (signed_part.len > INT_MAX || algorithm.len > 4096 || signature.len > 65536 ||
		signature.len < 2 || signature.data[0] != 0)
		return error_set(err, "the signature is malformed");
	parsed = d2i_X509_ALGOR(NULL, &at, (long)algorithm.len);
	if (parsed == NULL || at != algorithm.data + algorithm.len)
		error_set(err, "the signature algorithm is malformed");
	else if (!is_strong_algorithm(parsed))
		error_set(err, "the signature algorithm is unknown or too weak (SHA-256 at least)");
	else if (!is_signed(signed_part, parsed, span_of(signature.data + 1, signature.len - 1),
			 issuer))
		error_set(err, "the signature does not hold under the issuer's key");
	else
		result = 0;
	X509_ALGOR_free(parsed);
	ERR_clear_error();
	return result;
}
