#include "auth/verify_algorithms.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "config/algorithm.h"

/* A larger key of RSA makes each look at a signature dearer than any certificate is worth. */
enum { RSA_BITS_MAX = 8192 };

static const struct {
	enum config_algorithm algorithm;
	int bits;
} rsa_sizes[] = {
	{ALGORITHM_RSA_1024, 1024},
	{ALGORITHM_RSA_2048, 2048},
	{ALGORITHM_RSA_3072, 3072},
	{ALGORITHM_RSA_4096, 4096},
};

static const struct {
	enum config_algorithm algorithm;
	const char *group;
} curves[] = {
	{ALGORITHM_ECDSA_P256, "prime256v1"},
	{ALGORITHM_ECDSA_P384, "secp384r1"},
	{ALGORITHM_ECDSA_P521, "secp521r1"},
};

static const int digests[] = {
	NID_sha256, NID_sha384, NID_sha512, NID_sha3_256, NID_sha3_384, NID_sha3_512};

static bool is_in(uint32_t allowed, enum config_algorithm algorithm)
{
	return (allowed >> algorithm & 1) != 0;
}

static bool rsa_is_allowed(int bits, uint32_t allowed)
{
	if (bits > RSA_BITS_MAX)
		return false;
	for (size_t i = 0; i < sizeof(rsa_sizes) / sizeof(rsa_sizes[0]); i++)
		if (is_in(allowed, rsa_sizes[i].algorithm) && bits >= rsa_sizes[i].bits)
			return true;
	return false;
}

static bool curve_is_allowed(const char *group, uint32_t allowed)
{
	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
		if (strcmp(curves[i].group, group) == 0)
			return is_in(allowed, curves[i].algorithm);
	return false;
}

/* what: of which kind it is, for messages. */
static bool key_is_allowed(const EVP_PKEY *key, uint32_t allowed, char *what, size_t what_size)
{
	char group[64] = "";
	int bits = EVP_PKEY_get_bits(key);

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		snprintf(what, what_size, "an RSA key of %d bits", bits);
		return rsa_is_allowed(bits, allowed);
	case EVP_PKEY_EC:
		EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
		snprintf(what, what_size, "an EC key of %s", group[0] != '\0' ? group : "no name");
		return curve_is_allowed(group, allowed);
	case EVP_PKEY_ED25519:
		snprintf(what, what_size, "an Ed25519 key");
		return is_in(allowed, ALGORITHM_ED25519);
	case EVP_PKEY_ED448:
		snprintf(what, what_size, "an Ed448 key");
		return is_in(allowed, ALGORITHM_ED448);
	default:
		snprintf(what, what_size, "a key of %.40s", OBJ_nid2ln(EVP_PKEY_get_base_id(key)));
		return false;
	}
}

/* Signatures of EdDSA have no digest to name. */
static bool digest_is_allowed(X509 *certificate, const char **name)
{
	int digest = NID_undef;
	int key = NID_undef;

	*name = "an unknown digest";
	if (X509_get_signature_info(certificate, &digest, &key, NULL, NULL) != 1)
		return false;
	if (digest == NID_undef)
		return key == NID_ED25519 || key == NID_ED448;
	*name = OBJ_nid2sn(digest);
	for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++)
		if (digests[i] == digest)
			return true;
	return false;
}

bool verify_algorithms_allow(
	const STACK_OF(X509) * chain, uint32_t allowed, char *reason, size_t reason_size)
{
	int count = sk_X509_num(chain);

	for (int i = 0; i < count; i++) {
		X509 *certificate = sk_X509_value(chain, i);
		const EVP_PKEY *key = X509_get0_pubkey(certificate);
		char what[80] = "a key of an unknown kind";
		const char *digest;

		if (key == NULL || !key_is_allowed(key, allowed, what, sizeof(what))) {
			snprintf(reason, reason_size,
				"%s, which trust/algorithms does not allow, at depth %d", what, i);
			return false;
		}
		if (i < count - 1 && !digest_is_allowed(certificate, &digest)) {
			snprintf(reason, reason_size,
				"a signature over %s, where SHA-256 or better is asked for, at "
				"depth %d",
				digest, i);
			return false;
		}
	}
	return true;
}
