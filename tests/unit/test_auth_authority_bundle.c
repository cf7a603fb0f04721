#include <openssl/pkcs7.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/authority_bundle.h"
#include "auth/trust_store.h"
#include "tests/unit/check.h"
#include "tests/unit/test_pki.h"

static struct pki root, issuing;

/* DER or PEM of a PKCS#7 with these certificates and nothing signed, as openssl crl2pkcs7 makes it. */
static size_t make_bundle(X509 *first, X509 *second, bool is_pem, uint8_t *bytes, size_t size)
{
	PKCS7 *bundle = PKCS7_new();
	BIO *out = BIO_new(BIO_s_mem());
	char *data;
	long len;

	PKI_MUST(PKCS7_set_type(bundle, NID_pkcs7_signed) == 1);
	PKI_MUST(PKCS7_content_new(bundle, NID_pkcs7_data) == 1);
	PKI_MUST(first == NULL || PKCS7_add_certificate(bundle, first) == 1);
	PKI_MUST(second == NULL || PKCS7_add_certificate(bundle, second) == 1);
	PKI_MUST((is_pem ? PEM_write_bio_PKCS7(out, bundle) : i2d_PKCS7_bio(out, bundle)) == 1);
	len = BIO_get_mem_data(out, &data);
	PKI_MUST(len > 0 && (size_t)len <= size);
	memcpy(bytes, data, (size_t)len);
	BIO_free(out);
	PKCS7_free(bundle);
	return (size_t)len;
}

static void expect(struct span bytes, X509 *first, X509 *second)
{
	struct error err = {""};
	STACK_OF(X509) *all = authority_bundle_decode(bytes, &err);

	CU_ASSERT_STRING_EQUAL(err.text, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(all);
	CU_ASSERT_EQUAL_FATAL(sk_X509_num(all), second != NULL ? 2 : 1);
	CU_ASSERT_EQUAL(X509_cmp(sk_X509_value(all, 0), first), 0);
	if (second != NULL)
		CU_ASSERT_EQUAL(X509_cmp(sk_X509_value(all, 1), second), 0);
	sk_X509_pop_free(all, X509_free);
}

static void expect_fault(struct span bytes, const char *words)
{
	struct error err = {""};
	STACK_OF(X509) *all = authority_bundle_decode(bytes, &err);

	CU_ASSERT_PTR_NULL(all);
	if (strstr(err.text, words) == NULL)
		fprintf(stderr, "wanted %s\ngot %s\n", words, err.text);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, words));
	sk_X509_pop_free(all, X509_free);
}

static void test_each_form_is_read(void)
{
	uint8_t bytes[16384];
	unsigned char *der = NULL;
	int len = i2d_X509(root.certificate, &der);
	char *pem = pki_pem(root.certificate), *second = pki_pem(issuing.certificate);
	char both[16384];

	expect(span_of(der, (size_t)len), root.certificate, NULL);
	expect(span_of_string(pem), root.certificate, NULL);
	snprintf(both, sizeof(both), "Root CA, as of today\n%s\nand\n%s%s", pem, second, pem);
	expect(span_of_string(both), root.certificate, issuing.certificate);
	for (int i = 0; i < 2; i++) {
		size_t size = make_bundle(
			root.certificate, issuing.certificate, i == 1, bytes, sizeof(bytes));

		expect(span_of(bytes, size), root.certificate, issuing.certificate);
	}
	free(second);
	free(pem);
	OPENSSL_free(der);
}

static void test_what_is_no_certificate_is_refused(void)
{
	static const uint8_t bundle_of_data[] = {0x30, 0x0f, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
		0xf7, 0x0d, 0x01, 0x07, 0x01, 0xa0, 0x02, 0x04, 0x00};
	uint8_t bytes[16384];
	unsigned char *der = NULL;
	int len = i2d_X509(root.certificate, &der);
	char *pem = pki_pem(root.certificate);
	char text[8192];
	size_t size;

	expect_fault(span_of(NULL, 0), "empty");
	expect_fault(span_of_string("hello"), "neither PEM, nor a certificate or PKCS#7 in DER");
	expect_fault(span_of(der, (size_t)len - 1), "neither PEM");
	memcpy(bytes, der, (size_t)len);
	bytes[len] = 0;
	expect_fault(span_of(bytes, (size_t)len + 1), "bytes after the end of the certificate");
	size = make_bundle(root.certificate, NULL, false, bytes, sizeof(bytes) - 1);
	bytes[size] = 0;
	expect_fault(span_of(bytes, size + 1), "bytes after the end of the PKCS#7");
	size = make_bundle(NULL, NULL, false, bytes, sizeof(bytes));
	expect_fault(span_of(bytes, size), "a PKCS#7 without certificates");
	expect_fault(
		span_of(bundle_of_data, sizeof(bundle_of_data)), "a PKCS#7 without certificates");
	snprintf(text, sizeof(text),
		"%s-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", pem);
	expect_fault(span_of_string(text), "a block \"PRIVATE KEY\", which is neither");
	/* One that is cut must not pass for a shorter list. */
	snprintf(text, sizeof(text), "%s%.200s", pem, pem);
	expect_fault(span_of_string(text), "not a certificate in PEM");
	expect_fault(span_of_string("-----BEGIN CERTIFICATE-----\n"), "not a certificate in PEM");
	free(pem);
	OPENSSL_free(der);
}

static void test_too_much_is_refused(void)
{
	size_t size = AUTHORITY_BUNDLE_SIZE_MAX + 1;
	char *bytes = calloc(1, size);

	expect_fault(span_of(bytes, size), "larger than 4 MiB");
	free(bytes);
}

static void test_a_file_is_named_in_what_is_wrong_with_it(void)
{
	struct error err = {""};

	CU_ASSERT_PTR_NULL(authority_bundle_read("/nonexistent/ca.cer", &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/nonexistent/ca.cer: "));
	CU_ASSERT_PTR_NULL(authority_bundle_read("/dev/null", &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/dev/null: "));
}

static const struct check checks[] = {
	{"each form is read", test_each_form_is_read},
	{"what is no certificate is refused", test_what_is_no_certificate_is_refused},
	{"too much is refused", test_too_much_is_refused},
	{"a file is named in what is wrong with it", test_a_file_is_named_in_what_is_wrong_with_it},
};

int main(void)
{
	int status;

	root = pki_make_ca("Root CA", NULL);
	issuing = pki_make_ca("Issuing CA", &root);
	status = check_run("auth/authority_bundle", checks, sizeof(checks) / sizeof(checks[0]));
	pki_free(&issuing);
	pki_free(&root);
	return status;
}
