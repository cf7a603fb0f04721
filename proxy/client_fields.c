#include "proxy/client_fields.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static const size_t field_max = 12288; /* of either field, at most */

struct client_fields {
	size_t leaf_len, chain_len;
	char text[]; /* one behind the other */
};

/* ":BASE64:", the byte sequence of RFC 8941 3.3.5, appended to text. Returns the new length, or 0
 * where it does not fit. */
static size_t append_certificate(char *text, size_t len, size_t size, X509 *certificate)
{
	unsigned char *der = NULL;
	int der_len = i2d_X509(certificate, &der);
	size_t needed;

	if (der_len <= 0)
		return 0;
	needed = 4 * (((size_t)der_len + 2) / 3) + 2;
	if (needed + 1 > size - len) {
		OPENSSL_free(der);
		return 0;
	}
	text[len] = ':';
	EVP_EncodeBlock((unsigned char *)text + len + 1, der, der_len);
	text[len + needed - 1] = ':';
	OPENSSL_free(der);
	return len + needed;
}

/* RFC 9440 2.3: without the phone's own certificate. Returns the length, 0: none, or too long for a field, so
 * that the leaf alone is sent. */
static size_t append_chain(char *text, size_t size, X509 *leaf, const STACK_OF(X509) * chain)
{
	size_t len = 0;

	for (int i = 0; chain != NULL && i < sk_X509_num(chain); i++) {
		X509 *certificate = sk_X509_value(chain, i);
		size_t start = len;

		if (X509_cmp(certificate, leaf) == 0)
			continue;
		if (len > 0 && len + 2 < size) {
			text[len] = ',';
			text[len + 1] = ' ';
			start += 2;
		}
		len = append_certificate(text, start, size, certificate);
		if (len == 0)
			return 0;
	}
	return len;
}

struct client_fields *client_fields_new(X509 *leaf, const STACK_OF(X509) * chain)
{
	struct client_fields *fields = malloc(sizeof(*fields) + 2 * field_max), *fitting = NULL;

	if (fields == NULL)
		return NULL;
	fields->leaf_len = append_certificate(fields->text, 0, field_max, leaf);
	if (fields->leaf_len > 0) {
		fields->chain_len =
			append_chain(fields->text + fields->leaf_len, field_max, leaf, chain);
		fitting = realloc(fields, sizeof(*fields) + fields->leaf_len + fields->chain_len);
	}
	if (fitting == NULL)
		free(fields);
	return fitting;
}

void client_fields_write(const struct client_fields *fields, struct http_writer *writer)
{
	http_write_field(
		writer, span_of_string("Client-Cert"), span_of(fields->text, fields->leaf_len));
	if (fields->chain_len > 0)
		http_write_field(writer, span_of_string("Client-Cert-Chain"),
			span_of(fields->text + fields->leaf_len, fields->chain_len));
}
