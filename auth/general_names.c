#include "auth/general_names.h"

#include <openssl/err.h>

enum { SIZE_MAX_DER = 65536 /* more than a certificate in a TLS handshake of ours can hold */ };

/* OpenSSL reads BER as well; what is not the one DER encoding could mean something else to another
 * reader of the same certificate. */
static bool is_der(struct span given, const GENERAL_NAMES *parsed)
{
	unsigned char *encoded = NULL;
	int len = i2d_GENERAL_NAMES(parsed, &encoded);
	bool is_same = len >= 0 && span_equal(given, span_of(encoded, (size_t)len));

	OPENSSL_free(encoded);
	return is_same;
}

GENERAL_NAMES *general_names_read(struct span der)
{
	const unsigned char *at = der.data;
	GENERAL_NAMES *parsed;

	if (der.len == 0 || der.len > SIZE_MAX_DER)
		return NULL;
	parsed = d2i_GENERAL_NAMES(NULL, &at, (long)der.len);
	if (parsed != NULL && !is_der(der, parsed)) {
		GENERAL_NAMES_free(parsed);
		parsed = NULL;
	}
	ERR_clear_error();
	return parsed;
}

enum refusal general_names_extension(
	const X509 *certificate, const ASN1_OBJECT *oid, struct span *value)
{
	int place = X509_get_ext_by_OBJ(certificate, oid, -1);
	const ASN1_OCTET_STRING *octets;
	const uint8_t *bytes;

	*value = span_of(NULL, 0);
	if (place < 0)
		return REFUSAL_NONE;
	if (X509_get_ext_by_OBJ(certificate, oid, place) >= 0)
		return REFUSAL_CERTIFICATE_UNREADABLE;
	octets = X509_EXTENSION_get_data(X509_get_ext(certificate, place));
	bytes = ASN1_STRING_get0_data(octets);
	*value = span_of(
		bytes != NULL ? (const void *)bytes : "", (size_t)ASN1_STRING_length(octets));
	return REFUSAL_NONE;
}
