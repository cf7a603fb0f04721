#include "auth/trust_strength.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "auth/trust_path.h"

enum { RSA_BITS_MIN = 2048, CURVE_BITS_MIN = 256, HASH_BITS_MIN = 128 };

static int check_key(X509 *certificate, struct error *err)
{
	const EVP_PKEY *key = X509_get0_pubkey(certificate);
	int bits = key != NULL ? EVP_PKEY_get_bits(key) : 0;

	switch (key != NULL ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		if (bits < RSA_BITS_MIN)
			return error_set(err, "an RSA key of %d bits; at least %d are needed", bits,
				RSA_BITS_MIN);
		return 0;
	case EVP_PKEY_EC:
		if (bits < CURVE_BITS_MIN)
			return error_set(err,
				"an elliptic curve of %d bits; at least %d are needed", bits,
				CURVE_BITS_MIN);
		return 0;
	case EVP_PKEY_ED25519:
	case EVP_PKEY_ED448: return 0;
	default: return error_set(err, "a kind of key that is not taken; RSA, ECDSA and EdDSA are");
	}
}

int trust_strength_check(const struct authority *authority, struct error *err)
{
	int hash = NID_undef, bits = 0, result = 0;

	if (check_key(authority->certificate, err) == -1)
		return -1;
	/* A root's signature of itself proves nothing, so that it can harm nothing. */
	if (authority->is_root)
		return 0;
	if (X509_get_signature_info(authority->certificate, &hash, NULL, &bits, NULL) != 1)
		result = error_set(err, "a signature that is not known here");
	else if (hash != NID_undef && bits < HASH_BITS_MIN)
		result = error_set(
			err, "signed with %s; SHA-256 or stronger is needed", OBJ_nid2ln(hash));
	ERR_clear_error();
	return result;
}

void trust_strength_describe(X509 *certificate, char text[32])
{
	const EVP_PKEY *key = X509_get0_pubkey(certificate);
	char curve[24] = "";

	if (key == NULL)
		snprintf(text, 32, "unknown");
	else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
		 EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) == 1)
		snprintf(text, 32, "%s",
			strcmp(curve, "prime256v1") == 0  ? "P-256"
			: strcmp(curve, "secp384r1") == 0 ? "P-384"
			: strcmp(curve, "secp521r1") == 0 ? "P-521"
							  : curve);
	else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA ||
		 EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA_PSS)
		snprintf(text, 32, "RSA %d", EVP_PKEY_get_bits(key));
	else
		snprintf(text, 32, "%s", EVP_PKEY_get0_type_name(key));
	ERR_clear_error();
}

int trust_standing_check(const struct trust_store *store, size_t number, struct error *err)
{
	const struct authority *authority = &store->authorities[number];
	struct trust_paths paths;
	int result;

	if (X509_cmp_current_time(X509_get0_notAfter(authority->certificate)) < 0)
		return error_set(err, "expired");
	if (authority->is_root)
		return 0;
	result = trust_paths_make(&paths, store) == -1
			 ? error_set(err, "out of memory")
			 : trust_paths_check(&paths, authority->certificate, err);
	trust_paths_clear(&paths);
	return result;
}
