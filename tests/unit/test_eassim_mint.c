/* Certificates that eassim makes for its phones. */
#include "tests/eassim/mint.h"

#include <unistd.h>

#include "tests/eassim/certificate.h"
#include "tests/unit/check.h"
#include "tests/unit/test_pki.h"

static char folder[] = "/tmp/easproxy-mint-XXXXXX";
static char certificate_path[64], key_path[64];
static struct pki issuer;
static struct mint *mint;

static void issuer_write(void)
{
	FILE *file;

	PKI_MUST(mkdtemp(folder) != NULL);
	snprintf(certificate_path, sizeof(certificate_path), "%s/ca.pem", folder);
	snprintf(key_path, sizeof(key_path), "%s/ca.key", folder);
	issuer = pki_make_ca("Issuing", NULL);
	file = fopen(certificate_path, "we");
	PKI_MUST(file != NULL && PEM_write_X509(file, issuer.certificate) == 1);
	fclose(file);
	file = fopen(key_path, "we");
	PKI_MUST(file != NULL &&
		 PEM_write_PrivateKey(file, issuer.key, NULL, NULL, 0, NULL, NULL) == 1);
	fclose(file);
}

static void issuer_remove(void)
{
	unlink(certificate_path);
	unlink(key_path);
	rmdir(folder);
	pki_free(&issuer);
}

static void test_each_is_for_its_mailbox_and_signed(void)
{
	EVP_PKEY *key = pki_make_key(0);

	for (uint32_t number = 0; number < 3; number++) {
		char mailbox[64], found[321];
		struct error err;
		X509 *made;

		snprintf(mailbox, sizeof(mailbox), "phone%u@contoso.test", number);
		made = mint_certificate(mint, number, mailbox, key, 0, &err);
		CU_ASSERT_PTR_NOT_NULL_FATAL(made);
		CU_ASSERT_EQUAL(X509_verify(made, issuer.key), 1);
		CU_ASSERT_EQUAL(X509_check_private_key(made, key), 1);
		CU_ASSERT_EQUAL(
			ASN1_INTEGER_get(X509_get0_serialNumber(made)), MINT_SERIAL + number);
		CU_ASSERT_TRUE(certificate_mailbox(made, found));
		CU_ASSERT_STRING_EQUAL(found, mailbox);
		CU_ASSERT((X509_get_extended_key_usage(made) & XKU_SSL_CLIENT) != 0);
		X509_free(made);
	}
	EVP_PKEY_free(key);
}

static void test_they_are_as_long_as_is_asked_for(void)
{
	static const uint32_t sizes[] = {1, 1500, 2000, 4000};
	EVP_PKEY *keys[] = {pki_make_key(0), pki_make_key(2048)};

	for (int kind = 0; kind < 2; kind++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			struct error err;
			X509 *made = mint_certificate(
				mint, 1, "phone1@contoso.test", keys[kind], sizes[i], &err);

			CU_ASSERT_PTR_NOT_NULL_FATAL(made);
			CU_ASSERT(i2d_X509(made, NULL) >= (int)sizes[i]);
			CU_ASSERT(i2d_X509(made, NULL) <= (int)sizes[i] + 40 || sizes[i] <= 1500);
			CU_ASSERT(X509_get_ext_by_NID(made, NID_crl_distribution_points, -1) >= 0);
			CU_ASSERT_EQUAL(X509_verify(made, issuer.key), 1);
			X509_free(made);
		}
		EVP_PKEY_free(keys[kind]);
	}
}

static void test_a_key_that_is_not_the_issuers_is_refused(void)
{
	struct error err = {""};

	CU_ASSERT_PTR_NULL(mint_open(certificate_path, certificate_path, &err));
	CU_ASSERT(strstr(err.text, "private key") != NULL);
	CU_ASSERT_PTR_NULL(mint_open("/nowhere/ca.pem", key_path, &err));
	CU_ASSERT(strstr(err.text, "/nowhere/ca.pem") != NULL);
}

static const struct check checks[] = {
	{"each is for its mailbox and signed", test_each_is_for_its_mailbox_and_signed},
	{"they are as long as is asked for", test_they_are_as_long_as_is_asked_for},
	{"a key that is not the issuer's is refused",
		test_a_key_that_is_not_the_issuers_is_refused},
};

int main(void)
{
	struct error err;
	int status = 2;

	issuer_write();
	mint = mint_open(certificate_path, key_path, &err);
	if (mint != NULL)
		status = check_run("eassim/mint", checks, sizeof(checks) / sizeof(checks[0]));
	mint_close(mint);
	issuer_remove();
	return status;
}
