/* What a certificate can be known by, in the words of Active Directory. */
#include <openssl/x509v3.h>
#include <string.h>

#include "auth/binding.h"
#include "auth/distinguished_name.h"
#include "tests/unit/check.h"
#include "tests/unit/test_pki.h"

struct part {
	const char *type;
	const char *value;
	bool shares_set; /* with the part before: a relative name of several values */
};

static const struct {
	const char *text; /* NULL: the name cannot be used */
	struct part parts[4];
} names[] = {
	{"DC=com,DC=contoso,CN=CONTOSO-DC-CA",
		{{"DC", "com", false}, {"DC", "contoso", false}, {"CN", "CONTOSO-DC-CA", false}}},
	{"C=DE,S=Bayern,L=M\xc3\xbcnchen,E=a@b.test",
		{{"C", "DE", false}, {"ST", "Bayern", false}, {"L", "M\xc3\xbcnchen", false},
			{"emailAddress", "a@b.test", false}}},
	{"CN=a+OU=b,O=c", {{"CN", "a", false}, {"OU", "b", true}, {"O", "c", false}}},
	{"CN=\"Miller, Bob\"", {{"CN", "Miller, Bob", false}}},
	{"CN=\"say \"\"hello\"\"\"", {{"CN", "say \"hello\"", false}}},
	/* Nothing in a value can pass for the tags of a binding, or for another part. */
	{"CN=\"a<S>CN=b\"", {{"CN", "a<S>CN=b", false}}},
	{"CN=\"a,CN=b\"", {{"CN", "a,CN=b", false}}},
	{"CN=\"a+CN=b\"", {{"CN", "a+CN=b", false}}},
	{"CN=\" a\"", {{"CN", " a", false}}},
	{"CN=\"a \"", {{"CN", "a ", false}}},
	{"CN=a b", {{"CN", "a b", false}}},
	{"CN=a\\b", {{"CN", "a\\b", false}}},
	{"OID.2.5.4.97=x", {{"2.5.4.97", "x", false}}},
	{NULL, {{"CN", "a\nb", false}}},
	{NULL, {{"CN",
		       "a\xe2\x80\xae"
		       "b\xe2\x80\xac",
		       false}}},
	{NULL, {{"CN",
		       "a\xe2\x80\x8b"
		       "b",
		       false}}},
	{NULL, {{NULL, NULL, false}}},
};

static X509_NAME *make_name(const struct part *parts)
{
	X509_NAME *name = X509_NAME_new();

	for (size_t i = 0; i < 4 && parts[i].type != NULL; i++)
		PKI_MUST(X509_NAME_add_entry_by_txt(name, parts[i].type, MBSTRING_UTF8,
				 (const unsigned char *)parts[i].value, -1, -1,
				 parts[i].shares_set ? -1 : 0) == 1);
	return name;
}

static void test_distinguished_names_are_those_of_windows(void)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		X509_NAME *name = make_name(names[i].parts);
		char text[IDENTITY_NAME_MAX + 1] = "";
		int len = distinguished_name_write(name, text, sizeof(text));

		if (names[i].text == NULL) {
			CU_ASSERT_EQUAL(len, -1);
		} else {
			CU_ASSERT_EQUAL(len, (int)strlen(names[i].text));
			CU_ASSERT_STRING_EQUAL(text, names[i].text);
		}
		X509_NAME_free(name);
	}
}

static void test_distinguished_name_that_does_not_fit_cannot_be_used(void)
{
	const struct part parts[4] = {{"CN", "abcdef", false}};
	X509_NAME *name = make_name(parts);
	char text[16];

	CU_ASSERT_EQUAL(distinguished_name_write(name, text, 10), 9);
	CU_ASSERT_EQUAL(distinguished_name_write(name, text, 9), -1);
	X509_NAME_free(name);
}

/* An extension of Active Directory's CA, with an otherName of that string type. */
static void add_sid(X509 *certificate, unsigned char tag, const char *sid)
{
	static const unsigned char oid[] = {
		0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x19, 0x02, 0x01};
	unsigned char bytes[256];
	size_t sid_len = strlen(sid), at = 0;
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	ASN1_OBJECT *type = OBJ_txt2obj("1.3.6.1.4.1.311.25.2", 1);
	X509_EXTENSION *extension;

	bytes[at++] = 0x30;
	bytes[at++] = (unsigned char)(sid_len + 18);
	bytes[at++] = 0xa0;
	bytes[at++] = (unsigned char)(sid_len + 16);
	memcpy(bytes + at, oid, sizeof(oid));
	at += sizeof(oid);
	bytes[at++] = 0xa0;
	bytes[at++] = (unsigned char)(sid_len + 2);
	bytes[at++] = tag;
	bytes[at++] = (unsigned char)sid_len;
	for (size_t i = 0; i < sid_len; i++)
		bytes[at + i] = (unsigned char)sid[i];
	at += sid_len;
	ASN1_OCTET_STRING_set(value, bytes, (int)at);
	extension = X509_EXTENSION_create_by_OBJ(NULL, type, 0, value);
	PKI_MUST(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
	X509_EXTENSION_free(extension);
	ASN1_OBJECT_free(type);
	ASN1_OCTET_STRING_free(value);
}

static const struct {
	const char *sid;
	bool is_good;
} sids[] = {
	{"S-1-5-21-1111111111-2222222222-3333333333-1104", true},
	{"S-1-5-32", true},
	{"S-1-5", false},
	{"S-1-", false},
	{"", false},
	{"S-1-5-", false},
	{"S-1-5--1", false},
	{"S-2-5-21", false},
	{"s-1-5-21", false},
	{"S-1-5-21 ", false},
	{"S-1-5-21-x", false},
	{"S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15", true},
	{"S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16", false},
	{"S-1-5-1234567890123456", false},
};

static void test_sid_is_taken_or_remembered_as_unusable(void)
{
	for (size_t i = 0; i < sizeof(sids) / sizeof(sids[0]); i++) {
		struct pki leaf = pki_make((struct pki_spec){.name = "Alice"});
		struct identity_names read;

		add_sid(leaf.certificate, 0x04, sids[i].sid);
		CU_ASSERT_EQUAL(identity_names_read(leaf.certificate, &read), REFUSAL_NONE);
		CU_ASSERT_STRING_EQUAL(identity_names_first(&read, IDENTITY_SID),
			sids[i].is_good ? sids[i].sid : "");
		pki_free(&leaf);
	}
}

static void test_sid_of_another_string_type_or_twice_is_refused(void)
{
	struct pki leaf = pki_make((struct pki_spec){.name = "Alice"});
	struct directory_question question;
	struct identity_names read;

	add_sid(leaf.certificate, 0x0c, "S-1-5-21-1");
	CU_ASSERT_EQUAL(identity_names_read(leaf.certificate, &read), REFUSAL_NONE);
	CU_ASSERT_EQUAL(binding_question(&read, CONFIG_NAME_SID, 0, &question), -1);
	add_sid(leaf.certificate, 0x04, "S-1-5-21-1");
	CU_ASSERT_EQUAL(
		identity_names_read(leaf.certificate, &read), REFUSAL_CERTIFICATE_UNREADABLE);
	CU_ASSERT_EQUAL(read.count, 0);
	pki_free(&leaf);
}

static void expect_question(
	const struct identity_names *read, enum config_name_kind kind, const char *value)
{
	struct directory_question question;

	CU_ASSERT_EQUAL(binding_question(read, kind, 0, &question), 1);
	CU_ASSERT_EQUAL(question.kind, kind);
	CU_ASSERT_STRING_EQUAL(question.value, value);
	CU_ASSERT_EQUAL(binding_question(read, kind, 1, &question), 0);
	if (strncmp(value, "X509:", 5) == 0)
		CU_ASSERT_TRUE(binding_is_value(span_of_string(value)));
}

static void write_hex(const unsigned char *bytes, size_t len, char *hex)
{
	for (size_t i = 0; i < len; i++)
		sprintf(hex + 2 * i, "%02x", bytes[i]);
}

static void test_questions_are_those_of_alt_security_identities(void)
{
	struct pki ca = pki_make_ca("Issuing CA", NULL);
	struct pki leaf = pki_make((struct pki_spec){.name = "Alice",
		.issuer = &ca,
		.serial = 0xa1b2c3,
		.san = "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:Alice@Corp.example,"
		       "email:ALICE@example.com"});
	const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(leaf.certificate);
	unsigned char sha1[EVP_MAX_MD_SIZE];
	char value[256] = "X509:<SKI>";
	struct identity_names read;

	CU_ASSERT_EQUAL_FATAL(identity_names_read(leaf.certificate, &read), REFUSAL_NONE);
	CU_ASSERT_TRUE(identity_names_are_sound(&read));
	expect_question(&read, CONFIG_NAME_PRINCIPAL, "alice@corp.example");
	expect_question(&read, CONFIG_NAME_RFC822, "alice@example.com");
	/* The last byte first: A1B2C3 is c3b2a1. The zero byte that keeps it positive is no part. */
	expect_question(&read, CONFIG_NAME_ISSUER_SERIAL, "X509:<I>CN=Issuing CA<SR>c3b2a1");
	expect_question(&read, CONFIG_NAME_ISSUER_SUBJECT, "X509:<I>CN=Issuing CA<S>CN=Alice");
	expect_question(&read, CONFIG_NAME_SUBJECT, "X509:<S>CN=Alice");
	write_hex(ASN1_STRING_get0_data(ski), (size_t)ASN1_STRING_length(ski), value + 10);
	expect_question(&read, CONFIG_NAME_SKI, value);
	CU_ASSERT_EQUAL(X509_pubkey_digest(leaf.certificate, EVP_sha1(), sha1, NULL), 1);
	strcpy(value, "X509:<SHA1-PUKEY>");
	write_hex(sha1, 20, value + 17);
	expect_question(&read, CONFIG_NAME_KEY_SHA1, value);
	pki_free(&leaf);
	pki_free(&ca);
}

static void test_name_that_cannot_be_used_is_no_other_name(void)
{
	struct pki leaf = pki_make((struct pki_spec){.name = "a\xe2\x80\xae"
							     "b\xe2\x80\xac",
		.san = "email:a@b.c"});
	struct directory_question question;
	struct identity_names read;

	CU_ASSERT_EQUAL(identity_names_read(leaf.certificate, &read), REFUSAL_NONE);
	CU_ASSERT_EQUAL(binding_question(&read, CONFIG_NAME_SUBJECT, 0, &question), -1);
	CU_ASSERT_EQUAL(binding_question(&read, CONFIG_NAME_ISSUER_SUBJECT, 0, &question), -1);
	CU_ASSERT_EQUAL(binding_question(&read, CONFIG_NAME_ISSUER_SERIAL, 0, &question), -1);
	CU_ASSERT_EQUAL(binding_question(&read, CONFIG_NAME_RFC822, 0, &question), 1);
	CU_ASSERT_EQUAL(binding_question(&read, CONFIG_NAME_SID, 0, &question), 0);
	pki_free(&leaf);
}

static const struct {
	const char *text;
	bool is_good;
} values[] = {
	{"X509:<SKI>0123456789abcdefABCDEF", true},
	{"x509:<ski>01", true},
	{"X509:<SHA1-PUKEY>0011", true},
	{"X509:<I>CN=a<SR>00ff", true},
	{"X509:<I>CN=a<S>CN=b", true},
	{"X509:<S>CN=b", true},
	{"X509:<I>CN=a <S> b<SR>01", true},
	{"X509:<SKI>", false},
	{"X509:<SKI>012", false},
	{"X509:<SKI>xy", false},
	{"X509:<SKI>01 ", false},
	{"X509:<I>CN=a", false},
	{"X509:<I><S>CN=b", false},
	{"X509:<I><SR>01", false},
	{"X509:<I>CN=a<SR>", false},
	{"X509:<I>CN=a<SR>xy", false},
	{"X509:<I>CN=a<S>", false},
	{"X509:<S>", false},
	{"X509:", false},
	{"X509", false},
	{"", false},
	{"X509:<PN>a@b.c", false},
	{"Kerberos:alice@CONTOSO.TEST", false},
	{"X509:<S>CN=a\nb", false},
	{"X509:<S>CN=a\xff", false},
};

static void test_values_of_directories_are_checked(void)
{
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		bool is_good = binding_is_value(span_of_string(values[i].text));

		if (is_good != values[i].is_good)
			fprintf(stderr, "%s\n", values[i].text);
		CU_ASSERT_EQUAL(is_good, values[i].is_good);
	}
}

int main(void)
{
	static const struct check checks[] = {
		{"distinguished names are those of Windows",
			test_distinguished_names_are_those_of_windows},
		{"a distinguished name that does not fit cannot be used",
			test_distinguished_name_that_does_not_fit_cannot_be_used},
		{"a SID is taken, or remembered as unusable",
			test_sid_is_taken_or_remembered_as_unusable},
		{"a SID of another string type, or twice, is refused",
			test_sid_of_another_string_type_or_twice_is_refused},
		{"questions are those of altSecurityIdentities",
			test_questions_are_those_of_alt_security_identities},
		{"a name that cannot be used is no other name",
			test_name_that_cannot_be_used_is_no_other_name},
		{"values of directories are checked", test_values_of_directories_are_checked},
	};

	return check_run("auth/binding", checks, sizeof(checks) / sizeof(checks[0]));
}
