/*
 * A public key as bytes from a phone: the context in which phones shake hands reads it, or does not, as
 * OpenSSL's own does.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/tls_library.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int is_so)
{
	if (!is_so)
		abort();
}

static X509_PUBKEY *read_in(OSSL_LIB_CTX *library, const uint8_t *data, size_t size)
{
	X509_PUBKEY *key = X509_PUBKEY_new_ex(library, NULL);

	require(key != NULL);
	return d2i_X509_PUBKEY(&key, &data, (long)size); /* frees it where it fails */
}

/* All that the two have to say of themselves: the curve, how it and the point are encoded, the point. */
static void check_same(const EVP_PKEY *ours, const EVP_PKEY *theirs)
{
	OSSL_PARAM *our_params, *their_params;
	size_t i;

	require(EVP_PKEY_eq(ours, theirs) == 1);
	require(EVP_PKEY_get_id(ours) == EVP_PKEY_get_id(theirs));
	require(EVP_PKEY_get_bits(ours) == EVP_PKEY_get_bits(theirs));
	require(EVP_PKEY_todata(ours, EVP_PKEY_PUBLIC_KEY, &our_params) == 1);
	require(EVP_PKEY_todata(theirs, EVP_PKEY_PUBLIC_KEY, &their_params) == 1);
	for (i = 0; our_params[i].key != NULL; i++) {
		const OSSL_PARAM *their = &their_params[i];

		require(their->key != NULL && strcmp(our_params[i].key, their->key) == 0);
		require(our_params[i].data_type == their->data_type);
		require(our_params[i].data_size == their->data_size);
		require(memcmp(our_params[i].data, their->data, their->data_size) == 0);
	}
	require(their_params[i].key == NULL);
	OSSL_PARAM_free(our_params);
	OSSL_PARAM_free(their_params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	X509_PUBKEY *ours = read_in(tls_library(), data, size);
	X509_PUBKEY *theirs = read_in(NULL, data, size);
	const EVP_PKEY *our_key, *their_key;

	require(tls_library() != NULL && (ours != NULL) == (theirs != NULL));
	if (ours != NULL) {
		our_key = X509_PUBKEY_get0(ours);
		their_key = X509_PUBKEY_get0(theirs);
		/* Kinds that no certificate may have are not known there. */
		require(our_key == NULL || their_key != NULL);
		if (their_key != NULL && EVP_PKEY_get_id(their_key) == EVP_PKEY_EC)
			require(our_key != NULL);
		if (our_key != NULL)
			check_same(our_key, their_key);
	}
	ERR_clear_error();
	X509_PUBKEY_free(ours);
	X509_PUBKEY_free(theirs);
	return 0;
}
