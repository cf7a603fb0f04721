#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/trust_store.h"
#include "tests/unit/check.h"
#include "tests/unit/test_pki.h"

static struct pki root;
static struct pki issuing;
static struct pki phone;
static char *root_base64;
static char *issuing_base64;
static char *phone_base64;

/* What was reported, one line each. */
struct reports {
	size_t count;
	char text[16384];
};

static void on_report(void *context, const char *text)
{
	struct reports *reports = context;
	size_t len = strlen(reports->text);

	reports->count++;
	snprintf(reports->text + len, sizeof(reports->text) - len, "%s\n", text);
}

static struct trust_store *read_in(const char *base_dir, const char *json, struct reports *reports)
{
	memset(reports, 0, sizeof(*reports));
	return trust_store_read(span_of_string(json), "trust.json", base_dir, on_report, reports);
}

/* Builds the JSON text from a template, where $R, $I and $P are the certificates of root, issuing
 * CA and phone, and ' stands for ". The caller frees it. */
static char *json_of(const char *template)
{
	size_t size = 65536;
	char *json = calloc(1, size);
	char *at = json;

	for (const char *c = template; *c != '\0'; c++) {
		const char *put = NULL;

		if (c[0] == '$')
			put = c[1] == 'R'   ? root_base64
			      : c[1] == 'I' ? issuing_base64
					    : phone_base64;
		if (put != NULL) {
			CU_ASSERT_FATAL((size_t)(at - json) + strlen(put) < size - 1);
			at = stpcpy(at, put);
			c++;
		} else {
			*at = *c;
			if (*at == '\'')
				*at = '"';
			at++;
		}
	}
	return json;
}

static struct trust_store *read_template(const char *template, struct reports *reports)
{
	char *json = json_of(template);
	struct trust_store *store = read_in("/nonexistent", json, reports);

	free(json);
	return store;
}

static void expect_usual(const struct trust_store *store)
{
	CU_ASSERT_EQUAL_FATAL(store->count, 2);
	CU_ASSERT_TRUE(store->authorities[0].is_root);
	CU_ASSERT_FALSE(store->authorities[1].is_root);
	CU_ASSERT_EQUAL(X509_cmp(store->authorities[0].certificate, root.certificate), 0);
	CU_ASSERT_EQUAL(X509_cmp(store->authorities[1].certificate, issuing.certificate), 0);
	CU_ASSERT_STRING_EQUAL(store->authorities[0].issuer, "CN=Root CA");
	CU_ASSERT_STRING_EQUAL(store->authorities[1].issuer, "CN=Issuing CA");
	CU_ASSERT_STRING_EQUAL(store->authorities[0].crls[0].url, "");
	CU_ASSERT_STRING_EQUAL(store->authorities[1].crls[0].url, "http://crl.example.com/i.crl");
	CU_ASSERT_STRING_EQUAL(store->authorities[1].crls[0].delta_url, "file:/var/lib/delta.crl");
	CU_ASSERT_EQUAL(strlen(store->authorities[0].key_id), 40);
}

#define GRAPH_AUTHORITIES                                                                          \
	"[{'isRootAuthority': true, 'certificate': '$R', 'certificateRevocationListUrl': null,"    \
	"  'deltaCertificateRevocationListUrl': null, 'issuer': 'CN=Root CA'},"                    \
	" {'isRootAuthority': false, 'certificate': '$I',"                                         \
	"  'certificateRevocationListUrl': 'http://crl.example.com/i.crl',"                        \
	"  'deltaCertificateRevocationListUrl': 'file:/var/lib/delta.crl',"                        \
	"  'issuer': 'CN=Root CA', 'issuerSki': null}]"

#define OLD_AUTHORITIES                                                                            \
	"[{'AuthorityType': 'RootAuthority', 'TrustedCertificate': '$R',"                          \
	"  'CrlDistributionPoint': '', 'DeltaCrlDistributionPoint': ''},"                          \
	" {'authorityType': 'intermediate', 'trustedCertificate': '$I',"                           \
	"  'crlDistributionPoint': 'http://crl.example.com/i.crl',"                                \
	"  'deltaCrlDistributionPoint': 'file:/var/lib/delta.crl',"                                \
	"  'trustedIssuer': 'CN=Issuing CA'}]"

static void test_every_form_is_read(void)
{
	static const char *const templates[] = {
		"{'certificateAuthorities': " GRAPH_AUTHORITIES "}",
		"{'@odata.context': 'x', 'id': 'y', 'certificateAuthorities': " GRAPH_AUTHORITIES
		"}",
		"{'@odata.context': 'x', 'value': [{'id': 'y', "
		"'certificateAuthorities': " GRAPH_AUTHORITIES "}]}",
		"{'value': " GRAPH_AUTHORITIES "}",
		OLD_AUTHORITIES,
		"{'value': " OLD_AUTHORITIES "}",
		"{'certificateAuthorities': " OLD_AUTHORITIES "}",
	};
	struct reports reports;

	for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++) {
		struct trust_store *store = read_template(templates[i], &reports);

		if (store == NULL || reports.count != 0)
			fprintf(stderr, "form %zu: %s", i, reports.text);
		CU_ASSERT_EQUAL(reports.count, 0);
		CU_ASSERT_PTR_NOT_NULL_FATAL(store);
		expect_usual(store);
		trust_store_free(store);
	}
}

#define ROOT     "{'isRootAuthority': true, 'certificate': '$R'}"
#define ISSUING  "'isRootAuthority': false, 'certificate': '$I'"
#define WITH(it) "{'certificateAuthorities': [" ROOT ", {" it "}]}"

static const struct {
	const char *template;
	const char *report; /* what is said of it, from its beginning */
} faults[] = {
	{"", "trust.json: line 1: "},
	{"{'certificateAuthorities': [}", "trust.json: line 1: "},
	{"{'certificateAuthorities': [], 'certificateAuthorities': []}", "trust.json: line 1: dup"},
	{"[] []", "trust.json: line 1: "},
	{"null", "trust.json: line 1: "},
	{"{}", "trust.json: certificateAuthorities: missing"},
	{"{'value': {}}", "trust.json: certificateAuthorities: missing"},
	{"{'certificateAuthorities': {}}", "trust.json: certificateAuthorities: must be a list"},
	{"{'certificateAuthorities': []}", "trust.json: no root authority"},
	{"{'certificateAuthorities': [{" ISSUING "}]}", "trust.json: no root authority"},
	{"{'certificateAuthorities': [7]}", "trust.json: authority 1: must be an object"},
	{"{'value': [[]]}", "trust.json: authority 1: must be an object"},
	{WITH("'certificate': '$I'"), "trust.json: authority 2: isRootAuthority: missing"},
	{WITH("'isRootAuthority': 'false', 'certificate': '$I'"),
		"trust.json: authority 2: isRootAuthority: must be true or false"},
	{WITH(ISSUING ", 'authorityType': 'root'"),
		"trust.json: authority 2: isRootAuthority: given beside authorityType"},
	{WITH("'authorityType': 'leaf', 'certificate': '$I'"),
		"trust.json: authority 2: authorityType: must be root or intermediate"},
	{WITH("'authorityType': 2, 'certificate': '$I'"),
		"trust.json: authority 2: authorityType: must be root or intermediate"},
	{WITH("'isRootAuthority': false"), "trust.json: authority 2: certificate: missing"},
	{WITH(ISSUING ", 'certificateFile': 'x'"),
		"trust.json: authority 2: certificate: given beside certificateFile"},
	{WITH(ISSUING ", 'trustedCertificate': '$I'"),
		"trust.json: authority 2: trustedCertificate: given twice"},
	{WITH("'isRootAuthority': false, 'certificate': [48, 130]"),
		"trust.json: authority 2: certificate: must be a string"},
	{WITH("'isRootAuthority': false, 'certificate': ''"),
		"trust.json: authority 2: certificate: empty"},
	{WITH("'isRootAuthority': false, 'certificate': 'MIIB!'"),
		"trust.json: authority 2: certificate: neither PEM nor base64"},
	{WITH("'isRootAuthority': false, 'certificate': 'MIIBA'"),
		"trust.json: authority 2: certificate: neither PEM nor base64"},
	{WITH("'isRootAuthority': false, 'certificate': 'MIIB=MIIB==='"),
		"trust.json: authority 2: certificate: neither PEM nor base64"},
	{WITH("'isRootAuthority': false, 'certificate': 'MIIB'"),
		"trust.json: authority 2: certificate: neither PEM nor a certificate in DER: "},
	{WITH("'isRootAuthority': false, 'certificate': '-----BEGIN CERTIFICATE-----'"),
		"trust.json: authority 2: certificate: not a certificate in PEM: "},
	{WITH("'isRootAuthority': false, 'certificateFile': 'ca.pem'"),
		"trust.json: authority 2: certificateFile: /nonexistent/ca.pem: No such file"},
	{WITH("'isRootAuthority': false, 'certificateFile': '/dev/zero'"),
		"trust.json: authority 2: certificateFile: /dev/zero: not a regular file"},
	{WITH("'isRootAuthority': false, 'certificate': '$P'"),
		"trust.json: authority 2: certificate: not a CA"},
	{WITH("'isRootAuthority': true, 'certificate': '$I'"),
		"trust.json: authority 2: certificate: given as a root, but not self-signed"},
	{"[{'isRootAuthority': false, 'certificate': '$R'}]",
		"trust.json: authority 1: certificate: given as an intermediate, but self-signed"},
	{"[" ROOT ", {" ISSUING "}, {" ISSUING "}]",
		"trust.json: authority 3: certificate: the same as authority 2's"},
	{WITH(ISSUING ", 'issuerSki': '00:11'"), "trust.json: authority 2: issuerSki: is not"},
	{WITH(ISSUING ", 'issuerSki': 7"), "trust.json: authority 2: issuerSki: must be a string"},
	{WITH(ISSUING ", 'certificateRevocationListUrl': 'https://x/y'"),
		"trust.json: authority 2: certificateRevocationListUrl: must begin with"},
	{WITH(ISSUING ", 'certificateRevocationListUrl': 'ftp://x/y'"),
		"trust.json: authority 2: certificateRevocationListUrl: must begin with"},
	{WITH(ISSUING ", 'certificateRevocationListUrl': 'http:///y'"),
		"trust.json: authority 2: certificateRevocationListUrl: must begin with"},
	{WITH(ISSUING ", 'certificateRevocationListUrl': 'file:y'"),
		"trust.json: authority 2: certificateRevocationListUrl: must begin with"},
	{WITH(ISSUING ", 'certificateRevocationListUrl': 'http://x/y z'"),
		"trust.json: authority 2: certificateRevocationListUrl: a blank"},
	{WITH(ISSUING ", 'certificateRevocationListUrl': 'http://x/\\u000ay'"),
		"trust.json: authority 2: certificateRevocationListUrl: a blank"},
	{WITH(ISSUING ", 'deltaCertificateRevocationListUrl': 'http://x/y'"),
		"trust.json: authority 2: deltaCertificateRevocationListUrl: without"},
};

static void test_faults_are_reported_with_their_place(void)
{
	struct reports reports;

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct trust_store *store = read_template(faults[i].template, &reports);
		bool is_same =
			strncmp(reports.text, faults[i].report, strlen(faults[i].report)) == 0;

		if (store != NULL || !is_same || reports.count != 1)
			fprintf(stderr, "fault %zu: wanted %s\ngot %s", i, faults[i].report,
				reports.text);
		CU_ASSERT_PTR_NULL(store);
		CU_ASSERT_TRUE(is_same);
		CU_ASSERT_EQUAL(reports.count, 1);
		trust_store_free(store);
	}
}

static void test_all_faults_are_reported_at_once(void)
{
	struct reports reports;

	CU_ASSERT_PTR_NULL(read_template("[{'isRootAuthority': 1, 'certificate': 'x',"
					 "  'certificateRevocationListUrl': 'ftp://x'},"
					 " {'isRootAuthority': false, 'certificate': '$P',"
					 "  'issuerSki': 'ff'}]",
		&reports));
	CU_ASSERT_EQUAL(reports.count, 5);
	CU_ASSERT_PTR_NOT_NULL(strstr(reports.text, "authority 1: isRootAuthority: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(reports.text, "authority 1: certificateRevocationListUrl: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(reports.text, "authority 1: certificate: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(reports.text, "authority 2: certificate: not a CA"));
	CU_ASSERT_PTR_NOT_NULL(strstr(reports.text, "authority 2: issuerSki: "));
}

static void test_nul_and_too_much_are_refused(void)
{
	struct reports reports = {0};
	size_t size = (16 << 20) + 1;
	char *json = malloc(size);

	CU_ASSERT_PTR_NULL(
		trust_store_read(span_of("[]\0", 3), "trust.json", ".", on_report, &reports));
	CU_ASSERT_EQUAL(reports.count, 1);
	CU_ASSERT_PTR_NULL(
		trust_store_read(span_of(NULL, 0), "trust.json", ".", on_report, &reports));
	CU_ASSERT_EQUAL(reports.count, 2);
	memset(json, '[', size);
	CU_ASSERT_PTR_NULL(
		trust_store_read(span_of(json, size), "trust.json", ".", on_report, &reports));
	CU_ASSERT_PTR_NOT_NULL(strstr(reports.text, "larger than 16 MiB"));
	CU_ASSERT_PTR_NULL(
		trust_store_read(span_of(json, size - 1), "trust.json", ".", on_report, &reports));
	free(json);
}

static void test_more_authorities_than_are_kept_are_refused(void)
{
	char *json = calloc(1, 65536);
	struct reports reports;

	strcpy(json, "[");
	for (int i = 0; i <= AUTHORITY_MAX; i++)
		strcat(json, i == 0 ? "{}" : ",{}");
	strcat(json, "]");
	CU_ASSERT_PTR_NULL(read_in(".", json, &reports));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(reports.text, "certificateAuthorities: 257 of them, of at most 256"));
	free(json);
}

/* Reads one root and expects it to be kept with a warning. */
static void expect_warning(struct pki_spec spec, const char *members, const char *words)
{
	struct pki ca = pki_make(spec);
	char *base64 = pki_base64(ca.certificate);
	char json[8192];
	struct reports reports;
	struct trust_store *store;

	snprintf(json, sizeof(json), "[{\"isRootAuthority\": true, \"certificate\": \"%s\"%s}]",
		base64, members);
	store = read_in(".", json, &reports);
	if (reports.count != 1 || strstr(reports.text, words) == NULL)
		fprintf(stderr, "wanted %s\ngot %s", words, reports.text);
	CU_ASSERT_EQUAL(reports.count, 1);
	CU_ASSERT_EQUAL(strncmp(reports.text, "warning: trust.json: authority 1: ", 34), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(reports.text, words));
	CU_ASSERT_PTR_NOT_NULL(store);
	trust_store_free(store);
	free(base64);
	pki_free(&ca);
}

static void test_what_may_be_meant_so_is_kept_with_a_warning(void)
{
	const struct pki_spec usual = {.name = "Some CA",
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage};
	struct pki_spec spec = usual;

	spec.not_before = -2000;
	spec.not_after = -1000;
	expect_warning(spec, "", "expired");
	spec.not_before = 1000;
	spec.not_after = 2000;
	expect_warning(spec, "", "not valid yet");
	expect_warning(usual, ", \"displayName\": \"x\"", "displayName: unknown, not used");
	expect_warning(usual, ", \"issuer\": \"CN=Another CA\"",
		"issuer: does not look like the certificate's, CN=Some CA");
	spec = usual;
	spec.key_usage = "critical,keyCertSign";
	expect_warning(
		spec, ", \"certificateRevocationListUrl\": \"http://x/y\"", "without cRLSign");
	/* What strict verification will not take, and phones would otherwise run into. */
	spec = usual;
	spec.basic_constraints = "CA:TRUE";
	expect_warning(spec, "", "basicConstraints is not critical");
	spec = usual;
	spec.key_usage = NULL;
	expect_warning(spec, "", "keyUsage is missing");
	spec = usual;
	spec.has_no_key_identifiers = true;
	expect_warning(spec, "", "subjectKeyIdentifier is missing");
}

static void test_intermediate_without_its_root_is_warned_of(void)
{
	struct pki other = pki_make_ca("Other Root", NULL);
	char *base64 = pki_base64(other.certificate);
	char json[16384];
	struct reports reports;
	struct trust_store *store;

	snprintf(json, sizeof(json),
		"[{\"isRootAuthority\": true, \"certificate\": \"%s\"},"
		" {\"isRootAuthority\": false, \"certificate\": \"%s\"}]",
		base64, issuing_base64);
	store = read_in(".", json, &reports);
	CU_ASSERT_PTR_NOT_NULL(store);
	CU_ASSERT_EQUAL(reports.count, 1);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(reports.text, "warning: trust.json: authority 2: certificate: no valid path "
				     "to a root: unable to"));
	trust_store_free(store);
	free(base64);
	pki_free(&other);
}

static void test_a_root_with_a_forged_signature_is_refused(void)
{
	struct pki forged = pki_make_ca("Forged CA", NULL);
	char *base64;
	char json[8192];
	struct reports reports;

	X509_sign(forged.certificate, root.key, EVP_sha256());
	base64 = pki_base64(forged.certificate);
	snprintf(json, sizeof(json), "[{\"isRootAuthority\": true, \"certificate\": \"%s\"}]",
		base64);
	CU_ASSERT_PTR_NULL(read_in(".", json, &reports));
	CU_ASSERT_PTR_NOT_NULL(strstr(reports.text, "not self-signed"));
	free(base64);
	pki_free(&forged);
}

/* Two certificates of one root, with the members after each. */
static struct trust_store *read_renewed(
	const char *first, const char *second, struct reports *reports)
{
	struct pki_spec spec = {.name = "Root CA",
		.key_of = &root,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage};
	struct pki renewed = pki_make(spec);
	char *base64 = pki_base64(renewed.certificate);
	char json[16384];
	struct trust_store *store;

	snprintf(json, sizeof(json),
		"[{\"isRootAuthority\": true, \"certificate\": \"%s\"%s},"
		" {\"isRootAuthority\": true, \"certificate\": \"%s\"%s}]",
		root_base64, first, base64, second);
	store = read_in(".", json, reports);
	if (store != NULL)
		CU_ASSERT_EQUAL(trust_store_find(store, renewed.certificate), 0);
	free(base64);
	pki_free(&renewed);
	return store;
}

static void test_renewed_authority_has_one_crl_location(void)
{
	static const char url[] = ", \"certificateRevocationListUrl\": \"http://x/y\"";
	struct reports reports;
	struct trust_store *store = read_renewed(url, url, &reports);

	CU_ASSERT_PTR_NOT_NULL_FATAL(store);
	CU_ASSERT_STRING_EQUAL(reports.text, "");
	CU_ASSERT_EQUAL(store->count, 2);
	trust_store_free(store);
	/* Else the one without would be a way around the other's CRL. */
	CU_ASSERT_PTR_NULL(read_renewed("", url, &reports));
	CU_ASSERT_PTR_NOT_NULL(strstr(reports.text, "not that of authority 1"));
	CU_ASSERT_PTR_NULL(read_renewed(url, "", &reports));
}

static void test_one_key_identifier_is_for_one_authority(void)
{
	struct pki_spec spec = {.name = "Another name",
		.key_of = &root,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage};
	struct pki other = pki_make(spec);
	char *base64 = pki_base64(other.certificate);
	char json[16384];
	struct reports reports;

	snprintf(json, sizeof(json),
		"[{\"isRootAuthority\": true, \"certificate\": \"%s\"},"
		" {\"isRootAuthority\": true, \"certificate\": \"%s\"}]",
		root_base64, base64);
	CU_ASSERT_PTR_NULL(read_in(".", json, &reports));
	CU_ASSERT_PTR_NOT_NULL(strstr(reports.text, "its key identifier is that of authority 1"));
	free(base64);
	pki_free(&other);
}

static void test_find_goes_by_name_and_key(void)
{
	struct reports reports;
	struct trust_store *store =
		read_template("{'certificateAuthorities': " GRAPH_AUTHORITIES "}", &reports);
	struct pki twin = pki_make_ca("Issuing CA", &root);

	CU_ASSERT_PTR_NOT_NULL_FATAL(store);
	CU_ASSERT_EQUAL(trust_store_find(store, root.certificate), 0);
	CU_ASSERT_EQUAL(trust_store_find(store, issuing.certificate), 1);
	CU_ASSERT_EQUAL(trust_store_find(store, phone.certificate), -1);
	CU_ASSERT_EQUAL(trust_store_find(store, twin.certificate), -1);
	trust_store_free(store);
	pki_free(&twin);
}

static void test_ski_may_be_written_in_many_ways(void)
{
	const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(issuing.certificate);
	const uint8_t *bytes = ASN1_STRING_get0_data(ski);
	char template[512] = "[" ROOT ", {" ISSUING ", 'issuerSki': '";
	struct reports reports;
	struct trust_store *store;

	for (int i = 0; i < ASN1_STRING_length(ski); i++)
		snprintf(template + strlen(template), 8, i == 0 ? "%02X" : ":%02X", bytes[i]);
	strcat(template, "'}]");
	store = read_template(template, &reports);
	CU_ASSERT_PTR_NOT_NULL_FATAL(store);
	CU_ASSERT_EQUAL(reports.count, 0);
	for (int i = 0; i < ASN1_STRING_length(ski); i++) {
		char digits[3];

		snprintf(digits, sizeof(digits), "%02x", bytes[i]);
		CU_ASSERT_EQUAL(strncmp(store->authorities[1].key_id + 2L * i, digits, 2), 0);
	}
	trust_store_free(store);
	/* A part of it is not it. */
	strcpy(strstr(template, ":"), "'}]");
	store = read_template(template, &reports);
	CU_ASSERT_PTR_NULL(store);
	trust_store_free(store);
}

static void test_certificate_without_key_identifier_gets_that_of_its_key(void)
{
	struct pki ca = pki_make((struct pki_spec){.name = "Old CA",
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage,
		.has_no_key_identifiers = true});
	char *base64 = pki_base64(ca.certificate);
	char json[8192];
	char expected[41] = "";
	uint8_t sha1[20];
	struct reports reports;
	struct trust_store *store;

	snprintf(json, sizeof(json), "[{\"isRootAuthority\": true, \"certificate\": \"%s\"}]",
		base64);
	store = read_in(".", json, &reports);
	CU_ASSERT_PTR_NOT_NULL_FATAL(store);
	X509_pubkey_digest(ca.certificate, EVP_sha1(), sha1, NULL);
	for (int i = 0; i < 20; i++)
		snprintf(expected + 2L * i, 3, "%02x", sha1[i]);
	CU_ASSERT_STRING_EQUAL(store->authorities[0].key_id, expected);
	trust_store_free(store);
	free(base64);
	pki_free(&ca);
}

static void write_file(const char *dir, const char *name, const void *data, size_t len)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_EQUAL(fwrite(data, 1, len, file), len);
	fclose(file);
}

static void remove_files(const char *dir)
{
	static const char *const names[] = {"root.pem", "issuing.der", "both.pem", "trust.json"};
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

static void test_certificates_are_read_from_files_beside_the_store(void)
{
	char dir[] = "/tmp/test-trust-store-XXXXXX";
	char *pem = pki_pem(root.certificate);
	char *both = calloc(1, 2 * strlen(pem) + 1);
	unsigned char *der = NULL;
	int len = i2d_X509(issuing.certificate, &der);
	struct reports reports;
	struct trust_store *store;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	strcat(strcat(both, pem), pem);
	write_file(dir, "root.pem", pem, strlen(pem));
	write_file(dir, "both.pem", both, strlen(both));
	write_file(dir, "issuing.der", der, (size_t)len);
	store = read_in(dir,
		"[{\"isRootAuthority\": true, \"certificateFile\": \"root.pem\"},"
		" {\"isRootAuthority\": false, \"certificateFile\": \"issuing.der\"}]",
		&reports);
	CU_ASSERT_PTR_NOT_NULL_FATAL(store);
	CU_ASSERT_EQUAL(reports.count, 0);
	CU_ASSERT_EQUAL(X509_cmp(store->authorities[0].certificate, root.certificate), 0);
	CU_ASSERT_EQUAL(X509_cmp(store->authorities[1].certificate, issuing.certificate), 0);
	trust_store_free(store);
	store = read_in(
		dir, "[{\"isRootAuthority\": true, \"certificateFile\": \"both.pem\"}]", &reports);
	CU_ASSERT_PTR_NULL(store);
	CU_ASSERT_PTR_NOT_NULL(strstr(reports.text, "both.pem: more than one certificate"));
	remove_files(dir);
	OPENSSL_free(der);
	free(both);
	free(pem);
}

static void test_pem_in_the_store_is_read(void)
{
	char *pem = pki_pem(root.certificate);
	char *base64 = malloc(strlen(pem) * 2);
	char json[16384];
	char escaped[4096];
	char *to = escaped;
	struct reports reports;
	struct trust_store *store;

	for (const char *c = pem; *c != '\0'; c++)
		to = stpcpy(to, *c == '\n' ? "\\n" : (char[]){*c, '\0'});
	EVP_EncodeBlock((unsigned char *)base64, (const unsigned char *)pem, (int)strlen(pem));
	for (int i = 0; i < 2; i++) {
		snprintf(json, sizeof(json),
			"[{\"isRootAuthority\": true, \"certificate\": \"%s\"}]",
			i == 0 ? escaped : base64);
		store = read_in(".", json, &reports);
		CU_ASSERT_PTR_NOT_NULL_FATAL(store);
		CU_ASSERT_EQUAL(X509_cmp(store->authorities[0].certificate, root.certificate), 0);
		trust_store_free(store);
	}
	free(base64);
	free(pem);
}

static void test_configured_file_is_checked(void)
{
	char *good = json_of("{'certificateAuthorities': " GRAPH_AUTHORITIES "}");
	char path[] = "/etc/easproxy/trust.json";
	struct config_file file = {.path = path, .fd = memfd_create("trust", MFD_CLOEXEC)};
	struct reports reports = {0};
	struct trust_store *store;

	CU_ASSERT_EQUAL(write(file.fd, good, strlen(good)), (ssize_t)strlen(good));
	CU_ASSERT_EQUAL(trust_store_config_check(&file, on_report, &reports), 0);
	CU_ASSERT_EQUAL(reports.count, 0);
	/* Workers that are started again read it again. */
	store = trust_store_load(&file, on_report, &reports);
	CU_ASSERT_PTR_NOT_NULL_FATAL(store);
	expect_usual(store);
	trust_store_free(store);
	CU_ASSERT_EQUAL(ftruncate(file.fd, (off_t)strlen(good) - 1), 0);
	CU_ASSERT_EQUAL(trust_store_config_check(&file, on_report, &reports), -1);
	CU_ASSERT_EQUAL(strncmp(reports.text, "/etc/easproxy/trust.json: line 1: ", 34), 0);
	close(file.fd);
	file.fd = -1;
	CU_ASSERT_EQUAL(trust_store_config_check(&file, on_report, &reports), -1);
	CU_ASSERT_EQUAL(reports.count, 2);
	free(good);
}

static const struct check checks[] = {
	{"every form is read", test_every_form_is_read},
	{"faults are reported with their place", test_faults_are_reported_with_their_place},
	{"all faults are reported at once", test_all_faults_are_reported_at_once},
	{"NUL and too much are refused", test_nul_and_too_much_are_refused},
	{"more authorities than are kept are refused",
		test_more_authorities_than_are_kept_are_refused},
	{"what may be meant so is kept with a warning",
		test_what_may_be_meant_so_is_kept_with_a_warning},
	{"an intermediate without its root is warned of",
		test_intermediate_without_its_root_is_warned_of},
	{"a root with a forged signature is refused",
		test_a_root_with_a_forged_signature_is_refused},
	{"a renewed authority has one CRL location", test_renewed_authority_has_one_crl_location},
	{"one key identifier is for one authority", test_one_key_identifier_is_for_one_authority},
	{"find goes by name and key", test_find_goes_by_name_and_key},
	{"the SKI may be written in many ways", test_ski_may_be_written_in_many_ways},
	{"a certificate without key identifier gets that of its key",
		test_certificate_without_key_identifier_gets_that_of_its_key},
	{"certificates are read from files beside the store",
		test_certificates_are_read_from_files_beside_the_store},
	{"a configured file is checked", test_configured_file_is_checked},
	{"PEM in the store is read", test_pem_in_the_store_is_read},
};

int main(void)
{
	int status;

	root = pki_make_ca("Root CA", NULL);
	issuing = pki_make_ca("Issuing CA", &root);
	phone = pki_make(pki_phone(&issuing));
	root_base64 = pki_base64(root.certificate);
	issuing_base64 = pki_base64(issuing.certificate);
	phone_base64 = pki_base64(phone.certificate);
	status = check_run("auth/trust_store", checks, sizeof(checks) / sizeof(checks[0]));
	free(phone_base64);
	free(issuing_base64);
	free(root_base64);
	pki_free(&phone);
	pki_free(&issuing);
	pki_free(&root);
	return status;
}
