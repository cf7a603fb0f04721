/*
 * JSON Web Tokens: the examples of RFC 7515, Appendix A.1 to A.3, and what our own say, which is verified by
 * OpenSSL alone.
 */
#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/assertion.h"
#include "auth/login_check.h"
#include "config/base64.h"
#include "tests/unit/check.h"

enum { TEXT_MAX = 4096, NOW = 1795705400 };

static const char payload[] = "{\"iss\":\"joe\",\r\n"
			      " \"exp\":1300819380,\r\n"
			      " \"http://example.com/is_root\":true}";

/* A.1 */
static const char mac_header[] = "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}";
static const char mac_key[] =
	"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
static const char mac_token[] =
	"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
	"Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEj"
	"Xk";

/* A.2 */
static const char rsa_header[] = "{\"alg\":\"RS256\"}";
static const char *const rsa_key[] = {
	"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0"
	"Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXnd"
	"S5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5Ihl"
	"JH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
	"AQAB",
	"Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2"
	"NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X"
	"0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGU"
	"l_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
	"4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_P"
	"y5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
	"uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeL"
	"QeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
	"BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKn"
	"u1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
	"h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0"
	"ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
	"IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5"
	"cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U"};
static const char rsa_token[] =
	"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
	"LmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZm"
	"h7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyT"
	"yWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqt"
	"FZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_Io"
	"ypGlUPQGe77Rw";

/* A.3 */
static const char ec_header[] = "{\"alg\":\"ES256\"}";
static const char *const ec_key[] = {"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
	"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
	"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"};
static const char ec_token[] =
	"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
	"LmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISl"
	"SApmWQxfKTUJqPP3-Kg6NU1Q";

static size_t from_base64url(const char *text, size_t text_len, uint8_t *octets)
{
	char plain[TEXT_MAX];
	size_t len = 0;

	memcpy(plain, text, text_len);
	for (size_t i = 0; i < text_len; i++)
		plain[i] = (char)(plain[i] == '-' ? '+' : plain[i] == '_' ? '/' : plain[i]);
	while (text_len % 4 != 0)
		plain[text_len++] = '=';
	CU_ASSERT_EQUAL_FATAL(base64_decode(span_of(plain, text_len), octets, &len), 0);
	return len;
}

static BIGNUM *number_of(const char *text)
{
	uint8_t octets[TEXT_MAX];

	return BN_bin2bn(octets, (int)from_base64url(text, strlen(text), octets), NULL);
}

static EVP_PKEY *key_of(const char *type, OSSL_PARAM_BLD *builder)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY *key = NULL;

	CU_ASSERT_EQUAL_FATAL(EVP_PKEY_fromdata_init(context), 1);
	CU_ASSERT_EQUAL_FATAL(EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params), 1);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(builder);
	EVP_PKEY_CTX_free(context);
	return key;
}

static EVP_PKEY *rsa_of_the_rfc(void)
{
	static const char *const names[] = {OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E,
		OSSL_PKEY_PARAM_RSA_D, OSSL_PKEY_PARAM_RSA_FACTOR1, OSSL_PKEY_PARAM_RSA_FACTOR2,
		OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2,
		OSSL_PKEY_PARAM_RSA_COEFFICIENT1};
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM *numbers[8];
	EVP_PKEY *key;

	for (size_t i = 0; i < 8; i++) {
		numbers[i] = number_of(rsa_key[i]);
		OSSL_PARAM_BLD_push_BN(builder, names[i], numbers[i]);
	}
	key = key_of("RSA", builder);
	for (size_t i = 0; i < 8; i++)
		BN_free(numbers[i]);
	return key;
}

static EVP_PKEY *ec_of_the_rfc(void)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM *secret = number_of(ec_key[2]);
	uint8_t point[65] = {POINT_CONVERSION_UNCOMPRESSED};
	EVP_PKEY *key;

	from_base64url(ec_key[0], strlen(ec_key[0]), point + 1);
	from_base64url(ec_key[1], strlen(ec_key[1]), point + 33);
	OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
	OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point));
	OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, secret);
	key = key_of("EC", builder);
	BN_free(secret);
	return key;
}

/* The caller frees it. */
static char *pem_of(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *copy;
	long len;

	PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	len = BIO_get_mem_data(bio, &data);
	copy = strndup(data, (size_t)len);
	BIO_free(bio);
	return copy;
}

/* The caller frees it. */
static char *certificate_of(EVP_PKEY *key)
{
	X509 *certificate = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *copy;
	long len;

	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	CU_ASSERT_TRUE_FATAL(X509_sign(certificate, key, EVP_sha256()) > 0);
	PEM_write_bio_X509(bio, certificate);
	len = BIO_get_mem_data(bio, &data);
	copy = strndup(data, (size_t)len);
	BIO_free(bio);
	X509_free(certificate);
	return copy;
}

static struct signing_key *open_pem(enum config_signature algorithm, const char *pem,
	const char *certificate, const char *key_id)
{
	struct error err = {""};
	struct signing_key *key = signing_key_open(
		algorithm, span_of_string(pem), span_of_string(certificate), key_id, &err);

	CU_ASSERT_STRING_EQUAL(err.text, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(key);
	return key;
}

static struct signing_key *open_mac(const char *key_id)
{
	uint8_t secret[TEXT_MAX];
	size_t len = from_base64url(mac_key, strlen(mac_key), secret);
	struct signing_key *key = signing_key_open(
		CONFIG_SIGNATURE_HS256, span_of(secret, len), span_of(NULL, 0), key_id, NULL);

	CU_ASSERT_PTR_NOT_NULL_FATAL(key);
	return key;
}

/* Whether OpenSSL takes the signature of a token for that of the public key. */
static bool is_signed_by(EVP_PKEY *key, const char *token, size_t token_len)
{
	const char *dot = memrchr(token, '.', token_len);
	uint8_t signature[TEXT_MAX], *der = NULL;
	size_t len = from_base64url(dot + 1, token_len - (size_t)(dot + 1 - token), signature);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool is_good;

	if (EVP_PKEY_is_a(key, "EC")) {
		ECDSA_SIG *numbers = ECDSA_SIG_new();

		CU_ASSERT_EQUAL_FATAL(len, 64);
		ECDSA_SIG_set0(numbers, BN_bin2bn(signature, 32, NULL),
			BN_bin2bn(signature + 32, 32, NULL));
		len = (size_t)i2d_ECDSA_SIG(numbers, &der);
		ECDSA_SIG_free(numbers);
	}
	EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key);
	is_good = EVP_DigestVerify(context, der != NULL ? der : signature, len,
			  (const uint8_t *)token, (size_t)(dot - token)) == 1;
	EVP_MD_CTX_free(context);
	OPENSSL_free(der);
	return is_good;
}

static size_t compact(const struct signing_key *key, const char *header, char token[TEXT_MAX])
{
	struct error err = {""};
	size_t len;

	CU_ASSERT_EQUAL_FATAL(assertion_compact(key, span_of_string(header),
				      span_of_string(payload), token, TEXT_MAX, &len, &err),
		0);
	return len;
}

static void test_the_example_with_hmac(void)
{
	struct signing_key *key = open_mac("");
	char token[TEXT_MAX];
	size_t len = compact(key, mac_header, token);

	CU_ASSERT_TRUE(span_equal(span_of(token, len), span_of_string(mac_token)));
	signing_key_close(key);
}

static void test_the_example_with_rsa(void)
{
	EVP_PKEY *private = rsa_of_the_rfc();
	char *pem = pem_of(private), token[TEXT_MAX];
	struct signing_key *key = open_pem(CONFIG_SIGNATURE_RS256, pem, "", "");
	size_t len = compact(key, rsa_header, token);

	CU_ASSERT_TRUE(span_equal(span_of(token, len), span_of_string(rsa_token)));
	CU_ASSERT_TRUE(is_signed_by(private, token, len));
	signing_key_close(key);
	EVP_PKEY_free(private);
	free(pem);
}

/* ECDSA signs differently every time: what is said is the RFC's, and so is the key that verifies. */
static void test_the_example_with_ecdsa(void)
{
	EVP_PKEY *private = ec_of_the_rfc();
	char *pem = pem_of(private), token[TEXT_MAX];
	struct signing_key *key = open_pem(CONFIG_SIGNATURE_ES256, pem, "", "");
	size_t said = strlen(ec_token) - 86;

	CU_ASSERT_TRUE(is_signed_by(private, ec_token, strlen(ec_token)));
	for (int i = 0; i < 50; i++) { /* so that numbers with a zero in front are among them */
		size_t len = compact(key, ec_header, token);

		CU_ASSERT_EQUAL(len, strlen(ec_token));
		CU_ASSERT_TRUE(span_equal(span_of(token, said), span_of(ec_token, said)));
		CU_ASSERT_TRUE(is_signed_by(private, token, len));
	}
	token[0] ^= 1;
	CU_ASSERT_FALSE(is_signed_by(private, token, strlen(ec_token)));
	signing_key_close(key);
	EVP_PKEY_free(private);
	free(pem);
}

/* The nth part of a token. */
static json_t *part_of(const struct login_secret *token, int nth)
{
	const char *part = (const char *)token->bytes;
	const char *end = part + token->len, *dot;
	uint8_t octets[TEXT_MAX];
	size_t len;
	json_t *json;

	for (; nth > 0; nth--)
		part = (const char *)memchr(part, '.', (size_t)(end - part)) + 1;
	dot = memchr(part, '.', (size_t)(end - part));
	len = from_base64url(part, (size_t)(dot - part), octets);
	json = json_loadb((const char *)octets, len, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(json);
	return json;
}

static const char *text_of(const json_t *json, const char *name)
{
	const char *text = json_string_value(json_object_get(json, name));

	return text != NULL ? text : "";
}

static int64_t number_in(const json_t *json, const char *name)
{
	return json_integer_value(json_object_get(json, name));
}

static const struct assertion_claims claims = {.issuer = "easproxy",
	.subject = "m\xc3\xbcller@contoso.test",
	.audience = "https://login.contoso.test/token",
	.now = NOW,
	.life_s = 300};

static void test_what_a_token_claims(void)
{
	struct signing_key *key = open_mac("");
	struct login_secret token, other;
	json_t *header, *body;

	CU_ASSERT_EQUAL_FATAL(assertion_write(key, &claims, &token, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(assertion_write(key, &claims, &other, NULL), 0);
	header = part_of(&token, 0);
	CU_ASSERT_STRING_EQUAL(text_of(header, "alg"), "HS256");
	CU_ASSERT_STRING_EQUAL(text_of(header, "typ"), "JWT");
	CU_ASSERT_EQUAL(json_object_size(header), 2);
	body = part_of(&token, 1);
	CU_ASSERT_STRING_EQUAL(text_of(body, "iss"), claims.issuer);
	CU_ASSERT_STRING_EQUAL(text_of(body, "sub"), claims.subject);
	CU_ASSERT_STRING_EQUAL(text_of(body, "aud"), claims.audience);
	CU_ASSERT_EQUAL(number_in(body, "iat"), NOW);
	CU_ASSERT_EQUAL(number_in(body, "nbf"), NOW - ASSERTION_SKEW_S);
	CU_ASSERT_EQUAL(number_in(body, "exp"), NOW + 300);
	CU_ASSERT_EQUAL(token.valid_until, NOW + 300);
	CU_ASSERT_EQUAL(strlen(text_of(body, "jti")), ASSERTION_ID_SIZE - 1);
	CU_ASSERT_FALSE(
		span_equal(span_of(token.bytes, token.len), span_of(other.bytes, other.len)));
	json_decref(header);
	json_decref(body);
	signing_key_close(key);
}

static void test_a_token_names_its_key(void)
{
	EVP_PKEY *private = ec_of_the_rfc();
	char *pem = pem_of(private), *certificate = certificate_of(private);
	struct signing_key *key = open_pem(CONFIG_SIGNATURE_ES256, pem, certificate, "key \"1\"");
	uint8_t digest[EVP_MAX_MD_SIZE], said[TEXT_MAX];
	struct login_secret token;
	unsigned int len;
	json_t *header;

	CU_ASSERT_EQUAL_FATAL(assertion_write(key, &claims, &token, NULL), 0);
	CU_ASSERT_TRUE(is_signed_by(private, (const char *)token.bytes, token.len));
	header = part_of(&token, 0);
	CU_ASSERT_STRING_EQUAL(text_of(header, "kid"), "key \"1\"");
	X509_digest(key->certificate, EVP_sha256(), digest, &len);
	CU_ASSERT_EQUAL(from_base64url(text_of(header, "x5t#S256"), 43, said), len);
	CU_ASSERT_EQUAL(memcmp(said, digest, len), 0);
	X509_digest(key->certificate, EVP_sha1(), digest, &len);
	CU_ASSERT_EQUAL(from_base64url(text_of(header, "x5t"), 27, said), len);
	CU_ASSERT_EQUAL(memcmp(said, digest, len), 0);
	json_decref(header);
	signing_key_close(key);
	EVP_PKEY_free(private);
	free(certificate);
	free(pem);
}

static void test_a_text_that_is_not_utf8_is_not_signed(void)
{
	struct assertion_claims broken = claims;
	struct signing_key *key = open_mac("");
	struct login_secret token;
	struct error err;

	broken.subject = "m\xfcller@contoso.test";
	CU_ASSERT_EQUAL(assertion_write(key, &broken, &token, &err), -1);
	CU_ASSERT_EQUAL(token.len, 0);
	signing_key_close(key);
}

static void test_what_does_not_fit_is_not_signed(void)
{
	char large[LOGIN_SECRET_MAX];
	struct assertion_claims broken = claims;
	struct signing_key *key = open_mac("");
	struct login_secret token;
	struct error err;
	char small[100];
	size_t len;

	memset(large, 'x', sizeof(large));
	for (size_t size = sizeof(large) - 1; size > sizeof(large) - 3500; size -= 500) {
		large[size] = '\0';
		broken.subject = large;
		CU_ASSERT_EQUAL(assertion_write(key, &broken, &token, &err), -1);
	}
	for (size_t size = 0; size < sizeof(small); size++)
		CU_ASSERT_EQUAL(assertion_compact(key, span_of_string(mac_header),
					span_of_string(payload), small, size, &len, &err),
			-1);
	signing_key_close(key);
}

static void test_keys_of_another_kind_are_refused(void)
{
	EVP_PKEY *rsa = rsa_of_the_rfc(), *ec = ec_of_the_rfc();
	EVP_PKEY *p384 = EVP_EC_gen("P-384"), *short_rsa = EVP_RSA_gen(1024);
	char *rsa_pem = pem_of(rsa), *ec_pem = pem_of(ec), *p384_pem = pem_of(p384);
	char *short_pem = pem_of(short_rsa), *certificate = certificate_of(rsa);
	const struct {
		enum config_signature algorithm;
		const char *key, *certificate;
	} rows[] = {
		{CONFIG_SIGNATURE_RS256, ec_pem, ""},
		{CONFIG_SIGNATURE_ES256, rsa_pem, ""},
		{CONFIG_SIGNATURE_ES256, p384_pem, ""},
		{CONFIG_SIGNATURE_RS256, short_pem, ""},
		{CONFIG_SIGNATURE_RS256, "no key", ""},
		{CONFIG_SIGNATURE_RS256, "", ""},
		{CONFIG_SIGNATURE_ES256, ec_pem, certificate},
		{CONFIG_SIGNATURE_RS256, rsa_pem, "no certificate"},
		{CONFIG_SIGNATURE_HS256, "a short secret", ""},
		{CONFIG_SIGNATURE_HS256, rsa_pem, ""},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = {""};

		CU_ASSERT_PTR_NULL(signing_key_open(rows[i].algorithm, span_of_string(rows[i].key),
			span_of_string(rows[i].certificate), "", &err));
		CU_ASSERT_STRING_NOT_EQUAL(err.text, "");
		CU_ASSERT_PTR_NULL(strstr(err.text, "short secret"));
	}
	free(rsa_pem), free(ec_pem), free(p384_pem), free(short_pem), free(certificate);
	EVP_PKEY_free(rsa), EVP_PKEY_free(ec), EVP_PKEY_free(p384), EVP_PKEY_free(short_rsa);
}

/* What editors and `openssl rand -hex` leave behind is not part of it; of bytes, all are. */
static void test_a_secret_is_a_line_or_bytes(void)
{
	static const char line[] = "0123456789abcdef0123456789abcdef";
	static const char bytes[] = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0b\x0c\x0d\x0e\x0f\x10"
				    "\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"
				    "\x20\r\n";
	const struct {
		struct span file, secret;
	} rows[] = {
		{span_of(line, 32), span_of(line, 32)},
		{span_of("0123456789abcdef0123456789abcdef\r\n", 34), span_of(line, 32)},
		{span_of(bytes, 33), span_of(bytes, 33)},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct signing_key *key = signing_key_open(
			CONFIG_SIGNATURE_HS256, rows[i].file, span_of(NULL, 0), "", NULL);
		uint8_t taken[64];
		size_t len = sizeof(taken);

		CU_ASSERT_PTR_NOT_NULL_FATAL(key);
		CU_ASSERT_EQUAL(EVP_PKEY_get_raw_private_key(key->key, taken, &len), 1);
		CU_ASSERT_TRUE(span_equal(span_of(taken, len), rows[i].secret));
		signing_key_close(key);
	}
}

static struct config_file memory_file(const char *content)
{
	struct config_file file = {.path = "key.pem", .fd = memfd_create("key", MFD_CLOEXEC)};

	CU_ASSERT_EQUAL(write(file.fd, content, strlen(content)), (ssize_t)strlen(content));
	return file;
}

static void keep_fault(void *context, const char *text)
{
	*(struct error *)context = (struct error){""};
	error_set(context, "%s", text);
}

static void test_keys_are_tried_with_the_configuration(void)
{
	struct config config = {.upstream = {.login = CONFIG_LOGIN_BEARER},
		.bearer = {.algorithm = CONFIG_SIGNATURE_RS256,
			.key = memory_file("no key"),
			.certificate = {.fd = -1}},
		.assertion = {.header = (char *)"",
			.algorithm = CONFIG_SIGNATURE_HS256,
			.key = memory_file("short")}};
	struct error fault = {""};

	config.bearer.key.place = (struct config_place){"c", 7};
	config.assertion.key.place = (struct config_place){"c", 9};
	CU_ASSERT_EQUAL(login_config_check(&config, keep_fault, &fault), -1);
	CU_ASSERT_EQUAL(strncmp(fault.text, "c:7: key.pem: reading a private key", 35), 0);
	config.upstream.login = CONFIG_LOGIN_NONE;
	CU_ASSERT_EQUAL(login_config_check(&config, keep_fault, &fault), 0);
	config.assertion.header = (char *)"x-assertion";
	CU_ASSERT_EQUAL(login_config_check(&config, keep_fault, &fault), -1);
	CU_ASSERT_STRING_EQUAL(
		fault.text, "c:9: key.pem: a key for HS256 has at least 32 bytes, this one 5");
	close(config.bearer.key.fd);
	close(config.assertion.key.fd);
}

static void test_the_field_of_a_mailbox(void)
{
	static const struct login_subject subject = {.mailbox = "alice@contoso.test"};
	struct config_assertion config = {.header = "x-assertion",
		.algorithm = CONFIG_SIGNATURE_HS256,
		.key = memory_file("0123456789abcdef0123456789abcdef\n"),
		.key_id = "2026",
		.issuer = "easproxy",
		.audience = "",
		.life_ms = 90000};
	struct assertion_signer *signer = assertion_signer_new(&config, NULL);
	struct login_secret token;
	struct login_fault fault;
	json_t *body;

	CU_ASSERT_PTR_NOT_NULL_FATAL(signer);
	CU_ASSERT_EQUAL(assertion_sign(signer, &subject, NOW, &token, &fault), LOGIN_GIVEN);
	CU_ASSERT_EQUAL(token.valid_until, NOW + 90);
	body = part_of(&token, 1);
	CU_ASSERT_STRING_EQUAL(text_of(body, "sub"), "alice@contoso.test");
	CU_ASSERT_PTR_NULL(json_object_get(body, "aud"));
	json_decref(body);
	assertion_signer_free(signer);
	close(config.key.fd);
	config.key = memory_file("too short");
	CU_ASSERT_PTR_NULL(assertion_signer_new(&config, NULL));
	close(config.key.fd);
}

static const struct check checks[] = {
	{"RFC 7515 A.1: HMAC", test_the_example_with_hmac},
	{"RFC 7515 A.2: RSA", test_the_example_with_rsa},
	{"RFC 7515 A.3: ECDSA", test_the_example_with_ecdsa},
	{"what a token claims", test_what_a_token_claims},
	{"a token names its key", test_a_token_names_its_key},
	{"a text that is not UTF-8 is not signed", test_a_text_that_is_not_utf8_is_not_signed},
	{"what does not fit is not signed", test_what_does_not_fit_is_not_signed},
	{"keys of another kind are refused", test_keys_of_another_kind_are_refused},
	{"a secret is a line, or bytes", test_a_secret_is_a_line_or_bytes},
	{"keys are tried with the configuration", test_keys_are_tried_with_the_configuration},
	{"the field of a mailbox", test_the_field_of_a_mailbox},
};

int main(void)
{
	return check_run("auth/assertion", checks, sizeof(checks) / sizeof(checks[0]));
}
