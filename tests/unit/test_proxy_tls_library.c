#include <openssl/err.h>
#include <openssl/ssl.h>

#include "proxy/tls_library.h"
#include "tests/unit/check.h"
#include "tests/unit/test_pki.h"

/* The certificate as a handshake has it: read from its bytes. */
static X509 *read_in(OSSL_LIB_CTX *library, X509 *certificate)
{
	unsigned char *der = NULL;
	int len = i2d_X509(certificate, &der);
	const unsigned char *at = der;
	X509 *read = X509_new_ex(library, NULL);

	PKI_MUST(len > 0 && read != NULL && d2i_X509(&read, &at, len) != NULL);
	OPENSSL_free(der);
	return read;
}

static void check_kind(const char *key_type, int rsa_bits, const EVP_MD *digest)
{
	struct pki made = pki_make((struct pki_spec){
		.name = "Alice", .key_type = key_type, .rsa_bits = rsa_bits, .digest = digest});
	X509 *read = read_in(tls_library(), made.certificate);
	EVP_PKEY *key = X509_get0_pubkey(read);

	CU_ASSERT_PTR_NOT_NULL(key);
	CU_ASSERT(key != NULL && EVP_PKEY_eq(key, made.key) == 1);
	CU_ASSERT_EQUAL(X509_verify(read, key), 1);
	/* And by a key of OpenSSL's own context, as those of the trust store are. */
	CU_ASSERT_EQUAL(X509_verify(read, made.key), 1);
	X509_free(read);
	pki_free(&made);
}

static void test_keys_and_signatures_of_every_allowed_kind_are_read(void)
{
	check_kind(NULL, 0, EVP_sha256());
	check_kind("P-384", 0, EVP_sha384());
	check_kind("P-521", 0, EVP_sha512());
	check_kind("ED25519", 0, NULL);
	check_kind("ED448", 0, NULL);
	check_kind(NULL, 2048, EVP_sha256());
	/* OpenSSL 3.0 has no name for ECDSA over SHA-3. */
	check_kind(NULL, 2048, EVP_sha3_256());
}

static void test_a_key_that_cannot_be_read_is_none(void)
{
	struct pki made = pki_make((struct pki_spec){.name = "Alice"});
	unsigned char *der = NULL;
	int len = i2d_X509(made.certificate, &der);
	const unsigned char *at = der;
	X509 *read = X509_new_ex(tls_library(), NULL);
	unsigned char *point = der;

	/* The point's last byte is another one, so that it is not on the curve. */
	while (memcmp(point, "\x03\x42\x00\x04", 4) != 0)
		point++;
	point[67] ^= 1;
	PKI_MUST(d2i_X509(&read, &at, len) != NULL);
	CU_ASSERT_PTR_NULL(X509_get0_pubkey(read));
	ERR_clear_error();
	X509_free(read);
	OPENSSL_free(der);
	pki_free(&made);
}

static void test_there_is_a_context_of_its_own_where_nothing_else_is_configured(void)
{
	CU_ASSERT_PTR_NOT_NULL(tls_library());
	CU_ASSERT_PTR_EQUAL(tls_library(), tls_library());
}

static const struct check checks[] = {
	{"there is a context of its own where nothing else is configured",
		test_there_is_a_context_of_its_own_where_nothing_else_is_configured},
	{"keys and signatures of every allowed kind are read",
		test_keys_and_signatures_of_every_allowed_kind_are_read},
	{"a key that cannot be read is none", test_a_key_that_cannot_be_read_is_none},
};

int main(void)
{
	return check_run("proxy/tls_library", checks, sizeof(checks) / sizeof(checks[0]));
}
