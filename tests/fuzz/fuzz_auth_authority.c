/*
 * Certificate files as CAs hand them out, and certificates as text: what is taken are whole certificates,
 * each once and in bounds; what is said of the rest is one line.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/authority.h"
#include "auth/authority_bundle.h"
#include "auth/trust_strength.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int is_so)
{
	if (!is_so)
		abort();
}

static void look_at(X509 *certificate)
{
	struct authority authority = {.certificate = certificate};
	char key_id[65], key[32];
	struct error err;

	authority.is_root = authority_check(certificate, true, &err) == 0;
	/* None is both. */
	require(!authority.is_root || authority_check(certificate, false, &err) == -1);
	require(!authority.is_root || authority_check_crl_signer(certificate, &err) == -1);
	require(authority_is_same(certificate, certificate) ||
		X509_get0_pubkey(certificate) == NULL);
	trust_strength_check(&authority, &err);
	trust_strength_describe(certificate, key);
	if (authority_key_id(certificate, key_id) == 0)
		require(strlen(key_id) <= 64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {""};
	STACK_OF(X509) *all = authority_bundle_decode(span_of(data, size), &err);
	X509 *certificate;

	require((all == NULL) == (err.text[0] != '\0'));
	require(all == NULL || (sk_X509_num(all) > 0 && sk_X509_num(all) <= AUTHORITY_MAX));
	for (int i = 0; i < sk_X509_num(all); i++)
		look_at(sk_X509_value(all, i));
	sk_X509_pop_free(all, X509_free);
	err.text[0] = '\0';
	certificate = authority_decode_text(span_of(data, size), &err);
	require((certificate == NULL) == (err.text[0] != '\0'));
	if (certificate != NULL)
		look_at(certificate);
	X509_free(certificate);
	return 0;
}
