#include <dirent.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "auth/offline.h"
#include "config/algorithm.h"
#include "tests/unit/auth_crl_maker.h"
#include "tests/unit/check.h"
#include "tests/unit/test_pki.h"

enum { LEAF_SERIAL = 0x41 };

static struct pki root, ca, leaf;
static char folder[] = "/tmp/test_auth_offline.XXXXXX";

static const struct config_trust usual = {
	.security_level = 2, .depth = 5, .algorithms = ALGORITHMS_USUAL, .needs_client_auth = true};

/* A file of the test's folder; the text is a ring's. */
static const char *path_of(const char *name)
{
	static char paths[8][300];
	static unsigned int next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static void put_bytes(const char *name, const void *data, size_t len)
{
	FILE *file = fopen(path_of(name), "wb");

	PKI_MUST(file != NULL && fwrite(data, 1, len, file) == len);
	fclose(file);
}

static void put_der(const char *name, X509 *certificate)
{
	unsigned char *der = NULL;
	int len = i2d_X509(certificate, &der);

	put_bytes(name, der, (size_t)len);
	OPENSSL_free(der);
}

/* Several in one file, with something between them. */
static void put_pem(const char *name, X509 *const certificates[], size_t count)
{
	char *all = calloc(1, 100000);

	strcpy(all, "Bag Attributes\n");
	for (size_t i = 0; i < count; i++) {
		char *pem = pki_pem(certificates[i]);

		strcat(all, pem);
		strcat(all, "subject: something\n");
		free(pem);
	}
	put_bytes(name, all, strlen(all));
	free(all);
}

static X509_CRL *make_crl(const struct pki *issuer, long number)
{
	const struct maker_ca maker = {.key = issuer->key, .certificate = issuer->certificate};

	return maker_crl_new(&maker, -100 + number, 1000, number);
}

/* Takes the CRL over. */
static void put_crl(const char *name, X509_CRL *crl, const struct pki *issuer)
{
	const struct maker_ca maker = {.key = issuer->key, .certificate = issuer->certificate};
	struct span der = maker_crl_sign(crl, &maker, EVP_sha256());

	put_bytes(name, der.data, der.len);
	maker_span_free(&der);
}

static void put_pem_crls(
	const char *name, X509_CRL *crls[], const struct pki *issuers[], size_t count)
{
	BIO *out = BIO_new_file(path_of(name), "w");

	PKI_MUST(out != NULL);
	for (size_t i = 0; i < count; i++) {
		PKI_MUST(X509_CRL_sign(crls[i], issuers[i]->key, EVP_sha256()) > 0);
		PKI_MUST(PEM_write_bio_X509_CRL(out, crls[i]) == 1);
		X509_CRL_free(crls[i]);
	}
	BIO_free(out);
}

static void revoke_leaf(X509_CRL *crl, int reason)
{
	static const uint8_t serial[] = {LEAF_SERIAL};

	maker_revoke(crl, serial, sizeof(serial), 0, reason);
}

static void make_delta(X509_CRL *crl, long base)
{
	ASN1_INTEGER *value = ASN1_INTEGER_new();

	ASN1_INTEGER_set(value, base);
	PKI_MUST(X509_CRL_add1_ext_i2d(crl, NID_delta_crl, value, 1, 0) == 1);
	ASN1_INTEGER_free(value);
}

static void empty(const char *name)
{
	DIR *directory = opendir(path_of(name));
	const struct dirent *entry;

	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		char path[600];

		snprintf(path, sizeof(path), "%s/%s", path_of(name), entry->d_name);
		(void)unlink(path);
	}
	if (directory != NULL)
		closedir(directory);
}

/* The usual files: a root and a CA, a leaf, and no CRL. */
static void begin(void)
{
	empty("ca");
	empty("crl");
	put_der("ca/root.crt", root.certificate);
	put_der("ca/ca.crt", ca.certificate);
	put_pem("leaf.pem", (X509 *const[]){leaf.certificate}, 1);
}

static void remember_report(void *context, const char *text)
{
	char *reports = context;

	if (reports != NULL && strlen(reports) + strlen(text) < 3900) {
		strcat(reports, text);
		strcat(reports, "\n");
	}
}

/* intermediate and reports may be NULL. */
static enum refusal judge(const char *authorities, const char *intermediate, bool needs_crls,
	char reports[4000], struct verdict_finding *finding)
{
	struct error err = {""};
	struct offline *offline = offline_new(remember_report, reports, &err);
	struct verdict_finding unused;
	struct verdict verdict;
	enum refusal refusal = REFUSAL_INTERNAL;

	if (offline_add_authorities(offline, authorities, &err) == 0 &&
		offline_set_leaf(offline, path_of("leaf.pem"), &err) == 0 &&
		(intermediate == NULL ||
			offline_add_intermediates(offline, intermediate, &err) == 0) &&
		(!needs_crls || offline_add_crls(offline, path_of("crl"), &err) == 0))
		refusal = offline_judge(offline, &usual, time(NULL), needs_crls, &verdict,
			finding != NULL ? finding : &unused, &err);
	CU_ASSERT_EQUAL(refusal == REFUSAL_INTERNAL, err.text[0] != '\0');
	offline_free(offline);
	return refusal;
}

static void test_directory_of_der_and_pem_makes_a_store(void)
{
	begin();
	CU_ASSERT_EQUAL(judge(path_of("ca"), NULL, false, NULL, NULL), REFUSAL_NONE);
	empty("ca");
	put_pem("ca/all.pem",
		(X509 *const[]){
			leaf.certificate, ca.certificate, root.certificate, root.certificate},
		4);
	put_bytes("ca/README", "nothing", 7);
	CU_ASSERT_EQUAL(judge(path_of("ca"), NULL, false, NULL, NULL), REFUSAL_NONE);
	/* One file does too. */
	CU_ASSERT_EQUAL(judge(path_of("ca/all.pem"), NULL, false, NULL, NULL), REFUSAL_NONE);
}

static void test_intermediates_are_no_roots(void)
{
	begin();
	(void)unlink(path_of("ca/ca.crt"));
	put_der("ca.der", ca.certificate);
	put_pem("both.pem", (X509 *const[]){ca.certificate, root.certificate}, 2);
	CU_ASSERT_EQUAL(
		judge(path_of("ca"), NULL, false, NULL, NULL), REFUSAL_CERTIFICATE_UNTRUSTED);
	CU_ASSERT_EQUAL(judge(path_of("ca"), path_of("ca.der"), false, NULL, NULL), REFUSAL_NONE);
	(void)unlink(path_of("ca/root.crt"));
	put_der("ca/ca.crt", ca.certificate);
	CU_ASSERT_EQUAL(judge(path_of("ca"), path_of("both.pem"), false, NULL, NULL),
		REFUSAL_CERTIFICATE_UNTRUSTED);
}

static void test_every_certificate_has_to_be_covered(void)
{
	begin();
	CU_ASSERT_EQUAL(
		judge(path_of("ca"), NULL, true, NULL, NULL), REFUSAL_REVOCATION_UNAVAILABLE);
	put_crl("crl/ca.crl", make_crl(&ca, 1), &ca);
	CU_ASSERT_EQUAL(
		judge(path_of("ca"), NULL, true, NULL, NULL), REFUSAL_REVOCATION_UNAVAILABLE);
	put_crl("crl/root.crl", make_crl(&root, 1), &root);
	CU_ASSERT_EQUAL(judge(path_of("ca"), NULL, true, NULL, NULL), REFUSAL_NONE);
	/* All in one file of PEM. */
	empty("crl");
	put_pem_crls("crl/all.pem", (X509_CRL *[]){make_crl(&ca, 1), make_crl(&root, 1)},
		(const struct pki *[]){&ca, &root}, 2);
	CU_ASSERT_EQUAL(judge(path_of("ca"), NULL, true, NULL, NULL), REFUSAL_NONE);
}

static void test_revoked_is_told_with_its_link_and_reason(void)
{
	struct verdict_finding finding = {0};
	X509_CRL *crl = make_crl(&ca, 1);

	begin();
	revoke_leaf(crl, 1);
	put_crl("crl/ca.crl", crl, &ca);
	put_crl("crl/root.crl", make_crl(&root, 1), &root);
	CU_ASSERT_EQUAL(
		judge(path_of("ca"), NULL, true, NULL, &finding), REFUSAL_CERTIFICATE_REVOKED);
	CU_ASSERT_EQUAL(finding.link, 0);
	CU_ASSERT_EQUAL(finding.revocation.reason, 1);
	/* An older CRL beside it takes nothing back. */
	put_crl("crl/old.crl", make_crl(&ca, 0), &ca);
	CU_ASSERT_EQUAL(judge(path_of("ca"), NULL, true, NULL, NULL), REFUSAL_CERTIFICATE_REVOKED);
	/* The same serial of another issuer is another certificate. */
	begin();
	crl = make_crl(&root, 1);
	revoke_leaf(crl, 1);
	put_crl("crl/root.crl", crl, &root);
	put_crl("crl/ca.crl", make_crl(&ca, 1), &ca);
	CU_ASSERT_EQUAL(judge(path_of("ca"), NULL, true, NULL, NULL), REFUSAL_NONE);
}

static void test_delta_is_merged_into_the_base_that_it_fits(void)
{
	X509_CRL *delta = make_crl(&ca, 2);

	begin();
	put_crl("crl/root.crl", make_crl(&root, 1), &root);
	put_crl("crl/ca.crl", make_crl(&ca, 1), &ca);
	make_delta(delta, 1);
	revoke_leaf(delta, 4);
	put_crl("crl/a-delta.crl", delta, &ca); /* whatever stands first */
	CU_ASSERT_EQUAL(judge(path_of("ca"), NULL, true, NULL, NULL), REFUSAL_CERTIFICATE_REVOKED);
	/* Alone it is no CRL. */
	(void)unlink(path_of("crl/ca.crl"));
	CU_ASSERT_EQUAL(
		judge(path_of("ca"), NULL, true, NULL, NULL), REFUSAL_REVOCATION_UNAVAILABLE);
}

static void test_unusable_files_are_reported_and_passed_over(void)
{
	char reports[4000] = "";

	begin();
	put_crl("crl/root.crl", make_crl(&root, 1), &root);
	put_crl("crl/ca.crl", make_crl(&ca, 1), &root); /* forged */
	put_bytes("crl/noise.bin", "noise", 5);
	put_bytes("ca/broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n", 33);
	CU_ASSERT_EQUAL(
		judge(path_of("ca"), NULL, true, reports, NULL), REFUSAL_REVOCATION_UNAVAILABLE);
	CU_ASSERT_PTR_NOT_NULL(strstr(reports, "crl/ca.crl: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(reports, "crl/noise.bin: no CRL in it"));
	CU_ASSERT_PTR_NOT_NULL(strstr(reports, "ca/broken.pem: a broken PEM block"));
	CU_ASSERT_PTR_NULL(strstr(reports, "root.crl"));
}

static void test_what_is_asked_for_by_name_must_be_there(void)
{
	begin();
	put_bytes("empty", "", 0);
	CU_ASSERT_EQUAL(judge(path_of("nowhere"), NULL, false, NULL, NULL), REFUSAL_INTERNAL);
	CU_ASSERT_EQUAL(
		judge(path_of("ca"), path_of("empty"), false, NULL, NULL), REFUSAL_INTERNAL);
	put_bytes("leaf.pem", "x", 1);
	CU_ASSERT_EQUAL(judge(path_of("ca"), NULL, false, NULL, NULL), REFUSAL_INTERNAL);
}

static void test_trust_store_is_taken_with_its_terms(void)
{
	static const char form[] =
		"{\"certificateAuthorities\": ["
		"{\"isRootAuthority\": true, \"certificate\": \"%s\"},"
		"{\"isRootAuthority\": false, \"certificateFile\": \"ca.der\"}]}";
	char *encoded = pki_base64(root.certificate);
	char *json = calloc(1, strlen(encoded) + sizeof(form));

	begin();
	put_der("ca.der", ca.certificate);
	sprintf(json, form, encoded);
	put_bytes("trust.json", json, strlen(json));
	CU_ASSERT_EQUAL(judge(path_of("trust.json"), NULL, false, NULL, NULL), REFUSAL_NONE);
	CU_ASSERT_EQUAL(judge(path_of("trust.json"), NULL, true, NULL, NULL),
		REFUSAL_REVOCATION_UNAVAILABLE);
	put_crl("crl/root.crl", make_crl(&root, 1), &root);
	put_crl("crl/ca.crl", make_crl(&ca, 1), &ca);
	CU_ASSERT_EQUAL(judge(path_of("trust.json"), NULL, true, NULL, NULL), REFUSAL_NONE);
	put_bytes("trust.json", "{}", 2);
	CU_ASSERT_EQUAL(judge(path_of("trust.json"), NULL, false, NULL, NULL), REFUSAL_INTERNAL);
	free(json);
	free(encoded);
}

static const struct check checks[] = {
	{"a directory of DER and PEM makes a store", test_directory_of_der_and_pem_makes_a_store},
	{"intermediates are no roots", test_intermediates_are_no_roots},
	{"every certificate has to be covered", test_every_certificate_has_to_be_covered},
	{"revoked is told with its link and reason", test_revoked_is_told_with_its_link_and_reason},
	{"a delta is merged into the base that it fits",
		test_delta_is_merged_into_the_base_that_it_fits},
	{"unusable files are reported and passed over",
		test_unusable_files_are_reported_and_passed_over},
	{"what is asked for by name must be there", test_what_is_asked_for_by_name_must_be_there},
	{"a trust store is taken with its terms", test_trust_store_is_taken_with_its_terms},
};

int main(void)
{
	static const char *const names[] = {
		"leaf.pem", "ca.der", "both.pem", "empty", "trust.json"};
	struct pki_spec spec;
	int status;

	root = pki_make_ca("Root CA", NULL);
	ca = pki_make_ca("CA", &root);
	spec = pki_phone(&ca);
	spec.serial = LEAF_SERIAL;
	leaf = pki_make(spec);
	PKI_MUST(mkdtemp(folder) != NULL);
	PKI_MUST(mkdir(path_of("ca"), 0700) == 0 && mkdir(path_of("crl"), 0700) == 0);
	status = check_run("auth/offline", checks, sizeof(checks) / sizeof(checks[0]));
	empty("ca");
	empty("crl");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(path_of(names[i]));
	(void)rmdir(path_of("ca"));
	(void)rmdir(path_of("crl"));
	(void)rmdir(folder);
	pki_free(&leaf);
	pki_free(&ca);
	pki_free(&root);
	return status;
}
