#include "auth/authority_bundle.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <stdlib.h>
#include <string.h>

#include "auth/openssl_error.h"
#include "auth/revocation_local.h"
#include "auth/trust_store.h"

static const char pem_begin[] = "-----BEGIN ";

/* Adds it, unless it is there; takes the caller's reference in no case. */
static int add(STACK_OF(X509) * all, X509 *certificate, struct error *err)
{
	for (int i = 0; i < sk_X509_num(all); i++)
		if (X509_cmp(sk_X509_value(all, i), certificate) == 0)
			return 0;
	if (sk_X509_num(all) >= AUTHORITY_MAX)
		return error_set(err, "more than %d certificates", AUTHORITY_MAX);
	if (X509_up_ref(certificate) != 1)
		return error_set(err, "out of memory");
	if (sk_X509_push(all, certificate) > 0)
		return 0;
	X509_free(certificate);
	return error_set(err, "out of memory");
}

static int add_certificate(STACK_OF(X509) * all, struct span der, struct error *err)
{
	const unsigned char *at = der.data;
	X509 *certificate = d2i_X509(NULL, &at, (long)der.len);
	int result = -1;

	if (certificate == NULL)
		error_openssl(err, "neither PEM, nor a certificate or PKCS#7 in DER");
	else if (at != der.data + der.len)
		error_set(err, "bytes after the end of the certificate");
	else
		result = add(all, certificate, err);
	X509_free(certificate);
	return result;
}

static int add_bundle(STACK_OF(X509) * all, PKCS7 *bundle, struct error *err)
{
	STACK_OF(X509) *certificates = NULL;

	if (PKCS7_type_is_signed(bundle) && bundle->d.sign != NULL)
		certificates = bundle->d.sign->cert;
	if (sk_X509_num(certificates) <= 0)
		return error_set(err, "a PKCS#7 without certificates");
	for (int i = 0; i < sk_X509_num(certificates); i++)
		if (add(all, sk_X509_value(certificates, i), err) == -1)
			return -1;
	return 0;
}

/* 1: added; 0: no PKCS#7; -1 with err filled. */
static int try_bundle(STACK_OF(X509) * all, struct span der, struct error *err)
{
	const unsigned char *at = der.data;
	PKCS7 *bundle = d2i_PKCS7(NULL, &at, (long)der.len);
	int result = 0;

	if (bundle != NULL && at != der.data + der.len)
		result = error_set(err, "bytes after the end of the PKCS#7");
	else if (bundle != NULL)
		result = add_bundle(all, bundle, err) == -1 ? -1 : 1;
	PKCS7_free(bundle);
	ERR_clear_error();
	return result;
}

static int add_der(STACK_OF(X509) * all, struct span der, struct error *err)
{
	int tried = try_bundle(all, der, err);

	return tried == 0 ? add_certificate(all, der, err) : tried == 1 ? 0 : -1;
}

/* What a block of PEM is called by whom: RFC 7468 5 and 8, OpenSSL, Windows. */
static int add_block(STACK_OF(X509) * all, const char *name, struct span der, struct error *err)
{
	if (strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0)
		return add_certificate(all, der, err);
	if (strcmp(name, PEM_STRING_PKCS7) == 0 || strcmp(name, PEM_STRING_PKCS7_SIGNED) == 0 ||
		strcmp(name, PEM_STRING_CMS) == 0)
		return add_der(all, der, err);
	return error_set(err, "a block \"%.40s\", which is neither a certificate nor PKCS#7", name);
}

static int add_pem(STACK_OF(X509) * all, struct span text, struct error *err)
{
	BIO *in = BIO_new_mem_buf(text.data, (int)text.len);
	int result = in == NULL ? error_set(err, "out of memory") : 0;

	while (result == 0) {
		unsigned char *data = NULL;
		char *name = NULL, *header = NULL;
		long len = 0;

		if (PEM_read_bio(in, &name, &header, &data, &len) != 1)
			break;
		result = add_block(all, name, span_of(data, (size_t)len), err);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(data, (size_t)len);
	}
	/* The end of the text is the one way in which it may end. */
	if (result == 0 && (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE ||
				   sk_X509_num(all) == 0))
		result = error_openssl(err, "not a certificate in PEM");
	BIO_free(in);
	ERR_clear_error();
	return result;
}

STACK_OF(X509) * authority_bundle_decode(struct span bytes, struct error *err)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	int result;

	if (all == NULL)
		result = error_set(err, "out of memory");
	else if (bytes.len == 0 || bytes.len > AUTHORITY_BUNDLE_SIZE_MAX)
		result = error_set(err, "%s", bytes.len == 0 ? "empty" : "larger than 4 MiB");
	else if (memmem(bytes.data, bytes.len, pem_begin, sizeof(pem_begin) - 1) != NULL)
		result = add_pem(all, bytes, err);
	else
		result = add_der(all, bytes, err);
	if (result == 0)
		return all;
	sk_X509_pop_free(all, X509_free);
	return NULL;
}

STACK_OF(X509) * authority_bundle_read(const char *path, struct error *err)
{
	STACK_OF(X509) *all = NULL;
	uint8_t *data = NULL;
	struct error cause;
	size_t len;

	if (revocation_file_read(path, AUTHORITY_BUNDLE_SIZE_MAX, &data, &len, &cause) == -1) {
		error_set(err, "%s: %s", path, cause.text);
		return NULL;
	}
	all = authority_bundle_decode(span_of(data, len), &cause);
	if (all == NULL)
		error_set(err, "%s: %s", path, cause.text);
	free(data);
	return all;
}
