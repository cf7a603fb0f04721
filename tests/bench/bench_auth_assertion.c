/*
 * What a signed assertion costs: bench_auth_assertion [COUNT] signs so many in each form and with each kind of
 * key, and prints the CPU time of one, how many that is a second, and its bytes.
 */
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/assertion.h"
#include "auth/saml_assertion.h"

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct signing_key *make_key(enum config_signature algorithm)
{
	static const char secret[] = "0123456789abcdef0123456789abcdef";
	EVP_PKEY *made =
		algorithm == CONFIG_SIGNATURE_ES256 ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
	BIO *bio = BIO_new(BIO_s_mem());
	struct signing_key *key;
	char *text;
	long len;

	if (made == NULL || PEM_write_bio_PrivateKey(bio, made, NULL, NULL, 0, NULL, NULL) != 1)
		abort();
	len = BIO_get_mem_data(bio, &text);
	key = signing_key_open(algorithm,
		algorithm == CONFIG_SIGNATURE_HS256 ? span_of_string(secret)
						    : span_of(text, (size_t)len),
		span_of(NULL, 0), "key", NULL);
	if (key == NULL)
		abort();
	BIO_free(bio);
	EVP_PKEY_free(made);
	return key;
}

static void print(const char *name, double used, int count, size_t len)
{
	printf("%-12s %7.3f ms of CPU each, %7.0f a second; %zu bytes\n", name, used * 1e3 / count,
		count / used, len);
}

static void measure_jwt(const char *name, enum config_signature algorithm, int count)
{
	const struct assertion_claims claims = {.issuer = "easproxy",
		.subject = "bob@example.com",
		.audience = "https://login.example.com/token",
		.now = time(NULL),
		.life_s = 300};
	struct signing_key *key = make_key(algorithm);
	static struct login_secret token;
	double begin = cpu_seconds();

	for (int i = 0; i < count; i++)
		if (assertion_write(key, &claims, &token, NULL) == -1)
			abort();
	print(name, cpu_seconds() - begin, count, token.len);
	signing_key_close(key);
}

static void measure_saml(const char *name, enum config_signature algorithm, int count)
{
	const struct saml_claims claims = {.issuer = "easproxy",
		.subject = "bob@example.com",
		.name_format = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
		.audience = "https://login.example.com/token",
		.recipient = "https://login.example.com/token",
		.now = time(NULL),
		.life_s = 300};
	struct signing_key *key = make_key(algorithm);
	struct saml_signer *signer = saml_signer_new(key, NULL);
	char xml[LOGIN_SECRET_MAX];
	double begin = cpu_seconds();
	size_t len = 0;

	for (int i = 0; i < count; i++)
		if (saml_assertion_write(signer, &claims, xml, sizeof(xml), &len, NULL) == -1)
			abort();
	print(name, cpu_seconds() - begin, count, len);
	saml_signer_free(signer);
	signing_key_close(key);
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 2000;

	if (count < 1)
		return 2;
	measure_jwt("JWT HS256", CONFIG_SIGNATURE_HS256, count);
	measure_jwt("JWT ES256", CONFIG_SIGNATURE_ES256, count);
	measure_jwt("JWT RS256", CONFIG_SIGNATURE_RS256, count);
	measure_saml("SAML ES256", CONFIG_SIGNATURE_ES256, count);
	measure_saml("SAML RS256", CONFIG_SIGNATURE_RS256, count);
	return 0;
}
