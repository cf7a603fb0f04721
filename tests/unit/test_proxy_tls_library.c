#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/ssl.h>
#include <string.h>

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

/* As that of a certificate is read in a handshake; NULL: it is none. */
static EVP_PKEY *read_key(const unsigned char *der, int len)
{
	X509_PUBKEY *read = X509_PUBKEY_new_ex(tls_library(), NULL);
	EVP_PKEY *key = NULL;

	if (d2i_X509_PUBKEY(&read, &der, len) != NULL)
		key = X509_PUBKEY_get(read);
	X509_PUBKEY_free(read);
	ERR_clear_error();
	return key;
}

static void check_form(const char *curve, const char *form, const char *encoding)
{
	EVP_PKEY *made = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve), *key;
	unsigned char *der = NULL;
	char group[32] = "", made_group[32] = "", point_form[32] = "";
	int len;

	PKI_MUST(made != NULL);
	PKI_MUST(EVP_PKEY_set_utf8_string_param(
			 made, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, form) == 1);
	PKI_MUST(EVP_PKEY_set_utf8_string_param(made, OSSL_PKEY_PARAM_EC_ENCODING, encoding) == 1);
	PKI_MUST((len = i2d_PUBKEY(made, &der)) > 0);
	key = read_key(der, len);
	CU_ASSERT_PTR_NOT_NULL_FATAL(key);
	CU_ASSERT_EQUAL(EVP_PKEY_eq(key, made), 1);
	CU_ASSERT_EQUAL(
		EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
			point_form, sizeof(point_form), NULL),
		1);
	CU_ASSERT_STRING_EQUAL(point_form, form);
	CU_ASSERT_EQUAL(EVP_PKEY_get_group_name(key, group, sizeof(group), NULL), 1);
	PKI_MUST(EVP_PKEY_get_group_name(made, made_group, sizeof(made_group), NULL) == 1);
	CU_ASSERT_STRING_EQUAL(group, made_group);
	EVP_PKEY_free(key);
	der[len - 1] ^= 1;
	key = read_key(der, len);
	/* Another x is on the curve at every other time; another y never is. */
	CU_ASSERT(strcmp(form, "compressed") == 0 || key == NULL);
	EVP_PKEY_free(key);
	der[len - 1] ^= 1;
	der[der[1] > 0x80 ? 1 + (der[1] & 0x7f) : 1]--; /* the last octet of its length */
	CU_ASSERT_PTR_NULL(read_key(der, len - 1));
	OPENSSL_free(der);
	EVP_PKEY_free(made);
}

static void test_keys_are_read_in_every_form_and_only_whole(void)
{
	static const char *const curves[] = {"P-256", "P-384", "P-521", "secp256k1"};
	static const char *const forms[] = {"uncompressed", "compressed", "hybrid"};

	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < 3; k++) {
			check_form(curves[i], forms[k], OSSL_PKEY_EC_ENCODING_GROUP);
			check_form(curves[i], forms[k], OSSL_PKEY_EC_ENCODING_EXPLICIT);
		}
}

/* What is done to one says nothing of the next. */
static void test_keys_on_one_curve_are_apart(void)
{
	EVP_PKEY *made[2], *read[2];

	for (size_t i = 0; i < 2; i++) {
		unsigned char *der = NULL;
		int len = -1;

		made[i] = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
		PKI_MUST(made[i] != NULL && (len = i2d_PUBKEY(made[i], &der)) > 0);
		read[i] = read_key(der, len);
		CU_ASSERT_PTR_NOT_NULL_FATAL(read[i]);
		OPENSSL_free(der);
	}
	CU_ASSERT_EQUAL(EVP_PKEY_eq(read[0], made[0]), 1);
	CU_ASSERT_EQUAL(EVP_PKEY_eq(read[0], read[1]), 0);
	EVP_PKEY_free(read[0]);
	CU_ASSERT_EQUAL(EVP_PKEY_eq(read[1], made[1]), 1);
	EVP_PKEY_free(read[1]);
	EVP_PKEY_free(made[0]);
	EVP_PKEY_free(made[1]);
}

static void test_there_is_a_context_of_its_own_where_nothing_else_is_configured(void)
{
	CU_ASSERT_PTR_NOT_NULL(tls_library());
	CU_ASSERT_PTR_EQUAL(tls_library(), tls_library());
}

static uint8_t heard[64];
static size_t heard_len;

static void on_secret(const void *label, size_t label_len, const uint8_t *secret, size_t len)
{
	if (label_len != 12 || memcmp(label, "c ap traffic", 12) != 0 || len > sizeof(heard))
		return;
	memcpy(heard, secret, len);
	heard_len = len;
}

/* HKDF-Expand-Label of RFC 8446 7.1, from a secret of zeros. */
static void derive(const char *label, uint8_t out[32])
{
	uint8_t zeros[32] = {0};
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	EVP_KDF *kdf = EVP_KDF_fetch(tls_library(), "TLS13-KDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	const OSSL_PARAM params[] = {OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, zeros, sizeof(zeros)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, (char *)"tls13 ", 6),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_LABEL, (char *)label, strlen(label)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_DATA, zeros, sizeof(zeros)),
		OSSL_PARAM_construct_end()};

	PKI_MUST(EVP_KDF_derive(ctx, out, 32, params) == 1);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

static void test_who_listens_is_told_what_is_derived_with_its_label(void)
{
	uint8_t client[32], server[32];

	CU_ASSERT(tls_library_listen(on_secret));
	derive("c ap traffic", client);
	CU_ASSERT_EQUAL(heard_len, sizeof(client));
	CU_ASSERT_EQUAL(memcmp(heard, client, sizeof(client)), 0);
	derive("s ap traffic", server);
	CU_ASSERT_NOT_EQUAL(memcmp(client, server, sizeof(client)), 0);
	CU_ASSERT_EQUAL(memcmp(heard, client, sizeof(client)), 0);

	heard_len = 0;
	tls_library_listen(NULL);
	derive("c ap traffic", server);
	CU_ASSERT_EQUAL(memcmp(client, server, sizeof(client)), 0);
	CU_ASSERT_EQUAL(heard_len, 0);
}

static const struct check checks[] = {
	{"there is a context of its own where nothing else is configured",
		test_there_is_a_context_of_its_own_where_nothing_else_is_configured},
	{"keys and signatures of every allowed kind are read",
		test_keys_and_signatures_of_every_allowed_kind_are_read},
	{"a key that cannot be read is none", test_a_key_that_cannot_be_read_is_none},
	{"keys are read in every form, and only whole",
		test_keys_are_read_in_every_form_and_only_whole},
	{"keys on one curve are apart", test_keys_on_one_curve_are_apart},
	{"who listens is told what is derived, with its label",
		test_who_listens_is_told_what_is_derived_with_its_label},
};

int main(void)
{
	return check_run("proxy/tls_library", checks, sizeof(checks) / sizeof(checks[0]));
}
