#include "auth/revocation_describe.h"

#include <openssl/crypto.h>

#include "auth/revocation_crl.h"
#include "auth/x509_text.h"
#include "config/hex.h"

enum { KEY_OCTETS_MAX = 32 };

static void write_key(const ASN1_OCTET_STRING *key, char text[65])
{
	size_t len = (size_t)ASN1_STRING_length(key);

	hex_write(span_of(ASN1_STRING_get0_data(key), len < KEY_OCTETS_MAX ? len : KEY_OCTETS_MAX),
		text);
}

int revocation_crl_describe(struct span crl, struct revocation_words *words, struct error *err)
{
	struct revocation_crl parts;
	struct span der;
	uint8_t *owned = NULL;
	int result;

	*words = (struct revocation_words){.issuer = ""};
	if (revocation_crl_unwrap(crl, &der, &owned, err) == -1)
		return -1;
	result = revocation_crl_read(&parts, der, err);
	if (result == 0) {
		x509_name_format(parts.issuer, words->issuer, sizeof(words->issuer));
		if (parts.signing_key != NULL && parts.signing_key->keyid != NULL)
			write_key(parts.signing_key->keyid, words->signing_key);
	}
	revocation_crl_clear(&parts);
	OPENSSL_free(owned);
	return result;
}
