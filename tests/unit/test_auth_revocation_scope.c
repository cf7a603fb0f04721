#include "auth/revocation_scope.h"
#include "check.h"
#include "tests/unit/auth_crl_maker.h"

/* A name of one or more common names, each of the kind with which it is written there. */
struct text {
	int kind;
	const char *text;
	size_t len; /* 0: up to its end */
};

static struct name_key key_of(const struct text *texts, size_t count)
{
	X509_NAME *name = X509_NAME_new();
	struct name_key key;

	for (size_t i = 0; i < count; i++)
		maker_must(X509_NAME_add_entry_by_NID(name, NID_commonName, texts[i].kind,
				   (const unsigned char *)texts[i].text,
				   texts[i].len != 0 ? (int)texts[i].len : -1, -1, 0) == 1,
			texts[i].text);
	CU_ASSERT_EQUAL(name_key_of_name(name, &key), 0);
	X509_NAME_free(name);
	return key;
}

static void test_names_compare_as_in_rfc_5280(void)
{
	static const struct {
		struct text a, b;
		bool are_equal;
	} cases[] = {
		{{V_ASN1_UTF8STRING, "CA", 0}, {V_ASN1_UTF8STRING, "CA", 0}, true},
		{{V_ASN1_UTF8STRING, "CA", 0}, {V_ASN1_PRINTABLESTRING, "CA", 0}, true},
		{{V_ASN1_UTF8STRING, "CA", 0}, {V_ASN1_BMPSTRING, "\0C\0A", 4}, true},
		{{V_ASN1_UTF8STRING, "CA", 0}, {V_ASN1_UTF8STRING, "ca", 0}, true},
		{{V_ASN1_UTF8STRING, "a CA", 0}, {V_ASN1_UTF8STRING, "  a   CA ", 0}, true},
		{{V_ASN1_UTF8STRING, "a CA", 0}, {V_ASN1_UTF8STRING, "aCA", 0}, false},
		{{V_ASN1_UTF8STRING, "CA", 0}, {V_ASN1_UTF8STRING, "CB", 0}, false},
		{{V_ASN1_UTF8STRING, "CA", 0}, {V_ASN1_UTF8STRING, "CA1", 0}, false},
		{{V_ASN1_UTF8STRING, "CA", 0}, {V_ASN1_UTF8STRING, "CA\0B", 4}, false},
		{{V_ASN1_UTF8STRING, "\xc3\x84", 0}, {V_ASN1_T61STRING, "\xc4", 0}, true},
		{{V_ASN1_UTF8STRING, "\xc3\x84", 0}, {V_ASN1_UTF8STRING, "\xc3\xa4", 0}, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct name_key a = key_of(&cases[i].a, 1);
		struct name_key b = key_of(&cases[i].b, 1);

		CU_ASSERT_EQUAL(name_key_equal(&a, &b), cases[i].are_equal);
		CU_ASSERT_FALSE(name_key_is_empty(&a));
	}
}

static void test_parts_do_not_run_into_each_other(void)
{
	static const struct text parts[] = {{V_ASN1_UTF8STRING, "a", 0},
		{V_ASN1_UTF8STRING, "b", 0}, {V_ASN1_UTF8STRING, "a", 0}};
	static const struct text whole = {V_ASN1_UTF8STRING, "ab", 0};
	struct name_key a_b = key_of(parts, 2);
	struct name_key b_a = key_of(parts + 1, 2);
	struct name_key ab = key_of(&whole, 1);
	struct name_key none = key_of(NULL, 0);

	CU_ASSERT_FALSE(name_key_equal(&a_b, &b_a));
	CU_ASSERT_FALSE(name_key_equal(&a_b, &ab));
	CU_ASSERT_FALSE(name_key_is_empty(&none));
}

static void test_name_that_cannot_be_decoded_has_no_key(void)
{
	X509_NAME *name = X509_NAME_new();
	struct name_key key;

	maker_must(X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING,
			   (const unsigned char *)"\xff\xfe", 2, -1, 0) == 1,
		"a name");
	CU_ASSERT_EQUAL(name_key_of_name(name, &key), -1);
	CU_ASSERT_TRUE(name_key_is_empty(&key));
	X509_NAME_free(name);
}

static struct name_key general_key(int kind, const char *text)
{
	GENERAL_NAME *name = a2i_GENERAL_NAME(NULL, NULL, NULL, kind, text, 0);
	struct name_key key;

	maker_must(name != NULL, text);
	CU_ASSERT_EQUAL(name_key_of_general_name(name, &key), 0);
	GENERAL_NAME_free(name);
	return key;
}

static void test_uris_compare_host_without_case(void)
{
	static const struct {
		const char *a, *b;
		bool are_equal;
	} cases[] = {
		{"http://crl.example/a", "HTTP://CRL.EXAMPLE/a", true},
		{"http://crl.example/a", "http://crl.example/A", false},
		{"http://crl.example/a", "http://crl.example/a?B", false},
		{"http://crl.example?q", "http://CRL.example?q", true},
		{"http://crl.example?q", "http://crl.example?Q", false},
		{"http://User@crl.example/", "http://User@CRL.example/", true},
		{"http://User@crl.example/", "http://user@crl.example/", false},
		{"ldap:///CN=a", "LDAP:///CN=a", true},
		{"ldap:///CN=a", "ldap:///cn=a", false},
		{"urn:A", "urn:a", false},
		{"", "http://", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct name_key a = general_key(GEN_URI, cases[i].a);
		struct name_key b = general_key(GEN_URI, cases[i].b);

		CU_ASSERT_EQUAL(name_key_equal(&a, &b), cases[i].are_equal);
	}
}

static void test_kinds_of_names_are_told_apart(void)
{
	struct name_key uri = general_key(GEN_URI, "a");
	struct name_key dns = general_key(GEN_DNS, "a");
	struct name_key email = general_key(GEN_EMAIL, "a");

	CU_ASSERT_FALSE(name_key_equal(&uri, &dns));
	CU_ASSERT_FALSE(name_key_equal(&uri, &email));
	CU_ASSERT_FALSE(name_key_equal(&dns, &email));
}

static void test_directory_name_is_the_name_in_it(void)
{
	struct maker_ca ca = maker_ca_new("CA");
	GENERAL_NAME *general = GENERAL_NAME_new();
	struct name_key a;
	struct name_key b;

	GENERAL_NAME_set0_value(
		general, GEN_DIRNAME, X509_NAME_dup(X509_get_subject_name(ca.certificate)));
	CU_ASSERT_EQUAL(name_key_of_general_name(general, &a), 0);
	CU_ASSERT_EQUAL(name_key_of_name(X509_get_subject_name(ca.certificate), &b), 0);
	CU_ASSERT_TRUE(name_key_equal(&a, &b));
	GENERAL_NAME_free(general);
	maker_ca_free(&ca);
}

static const char *const sections = "[a]\nfullname=URI:http://a/1\n"
				    "[two_names]\nfullname=URI:http://a/1,URI:http://a/2\n"
				    "[reasons]\nfullname=URI:http://a/1\nreasons=keyCompromise\n"
				    "[two_issuers]\nfullname=URI:http://a/1,URI:http://a/2\n"
				    "CRLissuer=dirName:x,dirName:y\n"
				    "[issuer_alone]\nCRLissuer=dirName:x\n"
				    "[relative]\nrelativename=r\nCRLissuer=dirName:x\n"
				    "[relative_to_two]\nrelativename=r\n"
				    "CRLissuer=dirName:x,dirName:y\n"
				    "[x]\nCN=x\n[y]\nCN=y\n[r]\nOU=r\n";

static void test_points_are_read(void)
{
	static const struct {
		const char *points;
		size_t count; /* of names with issuers */
		uint8_t last_point;
		bool has_name, has_issuer;
		uint16_t reasons;
	} cases[] = {
		{NULL, 0, 0, false, false, 0},
		{"a", 1, 0, true, false, REVOCATION_REASONS_ALL},
		{"a,a,a", 3, 2, true, false, REVOCATION_REASONS_ALL},
		{"two_names", 2, 0, true, false, REVOCATION_REASONS_ALL},
		{"a,reasons", 2, 1, true, false, 0x002},
		{"two_issuers", 4, 0, true, true, REVOCATION_REASONS_ALL},
		{"issuer_alone", 1, 0, false, true, REVOCATION_REASONS_ALL},
		{"relative", 1, 0, true, true, REVOCATION_REASONS_ALL},
		{"relative_to_two", 0, 0, false, false, 0},
	};
	struct maker_ca ca = maker_ca_new("CA");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct maker_ca phone = maker_issue(&(struct maker_spec){.name = "phone",
			.issuer = &ca,
			.points = cases[i].points,
			.sections = sections});
		struct revocation_point points[8];
		const struct revocation_point *last;
		size_t count = 0;

		CU_ASSERT_EQUAL(revocation_points_read(phone.certificate, 3, points, 8, &count), 0);
		CU_ASSERT_EQUAL(count, cases[i].count);
		if (count > 0) {
			last = &points[count - 1];
			CU_ASSERT_EQUAL(last->link, 3);
			CU_ASSERT_EQUAL(last->point, cases[i].last_point);
			CU_ASSERT_EQUAL(last->reasons, cases[i].reasons);
			CU_ASSERT_EQUAL(!name_key_is_empty(&last->name), cases[i].has_name);
			CU_ASSERT_EQUAL(!name_key_is_empty(&last->crl_issuer), cases[i].has_issuer);
		}
		maker_ca_free(&phone);
	}
	maker_ca_free(&ca);
}

static void test_points_that_do_not_fit_are_left_out(void)
{
	struct maker_ca ca = maker_ca_new("CA");
	struct maker_ca phone = maker_issue(&(struct maker_spec){
		.name = "phone", .issuer = &ca, .points = "two_issuers,a", .sections = sections});
	struct revocation_point points[3];
	size_t count = 0;

	CU_ASSERT_EQUAL(revocation_points_read(phone.certificate, 0, points, 3, &count), 0);
	CU_ASSERT_EQUAL(count, 3);
	CU_ASSERT_EQUAL(revocation_points_read(phone.certificate, 0, points, 3, &count), 0);
	CU_ASSERT_EQUAL(count, 3);
	maker_ca_free(&phone);
	maker_ca_free(&ca);
}

static void test_malformed_or_repeated_points_are_faults(void)
{
	struct maker_ca ca = maker_ca_new("CA");
	struct revocation_point points[8];
	X509_EXTENSION *extension;
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509 *certificate = X509_dup(ca.certificate);
	size_t count = 0;

	ASN1_OCTET_STRING_set(value, (const unsigned char *)"\x05\x00", 2);
	extension = X509_EXTENSION_create_by_NID(NULL, NID_crl_distribution_points, 0, value);
	X509_add_ext(certificate, extension, -1);
	CU_ASSERT_EQUAL(revocation_points_read(certificate, 0, points, 8, &count), -1);
	X509_EXTENSION_free(extension);
	X509_free(certificate);
	certificate = X509_dup(ca.certificate);
	extension = maker_extension_of(NID_crl_distribution_points, "a", sections, NULL, NULL);
	X509_add_ext(certificate, extension, -1);
	X509_add_ext(certificate, extension, -1);
	CU_ASSERT_EQUAL(revocation_points_read(certificate, 0, points, 8, &count), -1);
	CU_ASSERT_EQUAL(count, 0);
	X509_EXTENSION_free(extension);
	X509_free(certificate);
	ASN1_OCTET_STRING_free(value);
	maker_ca_free(&ca);
}

static void test_scopes_that_mean_nothing_are_refused(void)
{
	static const struct {
		const char *der;
		size_t len;
		bool is_read;
	} cases[] = {
		{"\x30\x00", 2, true},
		{"\x30\x03\x81\x01\xff", 5, true},
		{"\x30\x06\x81\x01\xff\x82\x01\xff", 8, false}, /* users alone and CAs alone */
		{"\x30\x06\x81\x01\xff\x85\x01\xff", 8, false}, /* and attributes alone */
		{"\x30\x04\x83\x02\x06\x40", 6, true},          /* keyCompromise */
		{"\x30\x04\x83\x02\x07\x80", 6, false},         /* "unused" alone */
		{"\x30\x05\x83\x03\x06\x00\x40", 7, false},     /* bit 9: unknown */
		{"\x30\x03\x83\x01\x00", 5, false},             /* no reason at all */
		{"\x30\x04\xa0\x02\xa0\x00", 6, false},         /* a point without a name */
		{"\x30\x03\x81\x01\xff\x00", 6, false},         /* more than one element */
		{"\x05\x00", 2, false},
		{"", 0, false},
	};
	X509_NAME *issuer = X509_NAME_new();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct revocation_scope scope = {0};
		int result =
			revocation_scope_read(span_of(cases[i].der, cases[i].len), issuer, &scope);

		if ((result == 0) != cases[i].is_read)
			fprintf(stderr, "\nscope %zu\n", i);
		CU_ASSERT_EQUAL(result == 0, cases[i].is_read);
	}
	X509_NAME_free(issuer);
}

int main(void)
{
	static const struct check checks[] = {
		{"names compare as in RFC 5280", test_names_compare_as_in_rfc_5280},
		{"parts do not run into each other", test_parts_do_not_run_into_each_other},
		{"a name that cannot be decoded has no key",
			test_name_that_cannot_be_decoded_has_no_key},
		{"URIs compare scheme and host without case", test_uris_compare_host_without_case},
		{"kinds of names are told apart", test_kinds_of_names_are_told_apart},
		{"a directory name is the name in it", test_directory_name_is_the_name_in_it},
		{"points are read", test_points_are_read},
		{"points that do not fit are left out", test_points_that_do_not_fit_are_left_out},
		{"malformed or repeated points are faults",
			test_malformed_or_repeated_points_are_faults},
		{"scopes that mean nothing are refused", test_scopes_that_mean_nothing_are_refused},
	};

	return check_run("auth/revocation_scope", checks, sizeof(checks) / sizeof(checks[0]));
}
