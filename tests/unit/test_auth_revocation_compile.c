#include <openssl/pem.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/revocation_compile.h"
#include "check.h"
#include "tests/unit/auth_crl_maker.h"

static struct maker_ca ca;

static int memory_file(void)
{
	int fd = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	maker_must(fd != -1, "a memory file");
	return fd;
}

/* The compiler, with issuer as the only authority of the store. */
static int compile_for(X509 *issuer, struct span crl, const struct revocation_facts *previous,
	int fd, struct revocation_facts *facts, struct error *err)
{
	struct authority authority = {.certificate = issuer, .is_root = true};
	const struct trust_store store = {.count = 1, .authorities = &authority};
	const struct revocation_signers signers = {.store = &store, .authority = 0};

	return revocation_compile(crl, &signers, previous, time(NULL), fd, facts, err);
}

static off_t file_size(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_size : -1;
}

/* Compiles and opens the index; NULL with err filled when either fails. The CRL is freed. */
static struct revocation_index *index_of(struct span crl, X509 *issuer, struct error *err)
{
	struct revocation_index *index = NULL;
	struct revocation_facts facts;
	int fd = memory_file();

	err->text[0] = '\0';
	if (compile_for(issuer, crl, NULL, fd, &facts, err) == 0) {
		CU_ASSERT_EQUAL((off_t)facts.mapped_size, file_size(fd));
		index = revocation_index_open(fd, "test", err);
	} else {
		CU_ASSERT_EQUAL(file_size(fd), 0);
	}
	close(fd);
	maker_span_free(&crl);
	return index;
}

static void assert_refused(struct span crl, X509 *issuer, const char *why)
{
	struct error err;
	struct revocation_index *index = index_of(crl, issuer, &err);

	CU_ASSERT_PTR_NULL(index);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, why));
	if (strstr(err.text, why) == NULL)
		fprintf(stderr, "\nwanted \"%s\", got \"%s\"\n", why, err.text);
	revocation_index_close(index);
}

static struct serial serial_of(const void *octets, size_t len, int is_negative)
{
	ASN1_INTEGER *number = ASN1_INTEGER_new();
	struct serial serial;

	ASN1_STRING_set(number, octets, (int)len);
	if (is_negative)
		number->type = V_ASN1_NEG_INTEGER;
	CU_ASSERT_EQUAL(serial_from_asn1(&serial, number), 0);
	ASN1_INTEGER_free(number);
	return serial;
}

static bool is_revoked(const struct revocation_index *index, uint32_t i)
{
	uint8_t octets[16];
	struct serial serial;

	maker_serial(i, octets);
	serial = serial_of(octets, sizeof(octets), 0);
	return revocation_index_find(index, NULL, &serial, NULL);
}

static void check_series(uint32_t count)
{
	X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 7);
	struct revocation_index *index;
	uint32_t found = 0;
	uint32_t wrong = 0;
	struct error err;

	maker_revoke_series(crl, 0, count);
	index = index_of(maker_crl_sign(crl, &ca, EVP_sha256()), ca.certificate, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	CU_ASSERT_EQUAL(revocation_index_facts(index)->entry_count, count);
	for (uint32_t i = 0; i < count; i++)
		found += is_revoked(index, i);
	for (uint32_t i = count; i < 2 * count + 10; i++)
		wrong += is_revoked(index, i);
	CU_ASSERT_EQUAL(found, count);
	CU_ASSERT_EQUAL(wrong, 0);
	revocation_index_close(index);
}

static void test_every_entry_is_found_and_nothing_else(void)
{
	static const uint32_t counts[] = {0, 1, 2, 3, 1000, 100000};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		check_series(counts[i]);
}

static void test_facts_reason_and_date(void)
{
	X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 0x123456);
	const struct revocation_facts *facts;
	struct revocation_index *index;
	struct revocation_finding finding = {.reason = 99};
	struct serial serial;
	uint8_t key[32];
	int64_t now = time(NULL);
	struct error err;

	maker_revoke(crl, "\x05", 1, 0, 1);
	maker_revoke(crl, "\x06", 1, 0, -1);
	index = index_of(maker_crl_sign(crl, &ca, EVP_sha256()), ca.certificate, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	facts = revocation_index_facts(index);
	CU_ASSERT_EQUAL(revocation_authority_key(ca.certificate, key, &err), 0);
	CU_ASSERT_EQUAL(memcmp(facts->authority_key, key, sizeof(key)), 0);
	CU_ASSERT_EQUAL(memcmp(facts->crl_number + 16, "\x00\x12\x34\x56", 4), 0);
	CU_ASSERT_TRUE(facts->this_update >= now - 65 && facts->this_update <= now - 55);
	CU_ASSERT_TRUE(facts->next_update >= now + 3590 && facts->next_update <= now + 3605);
	serial = serial_of("\x05", 1, 0);
	CU_ASSERT_TRUE(revocation_index_find(index, NULL, &serial, &finding));
	CU_ASSERT_EQUAL(finding.reason, 1);
	CU_ASSERT_EQUAL(finding.date, INT64_C(1700000000) / 3600 * 3600);
	serial = serial_of("\x06", 1, 0);
	CU_ASSERT_TRUE(revocation_index_find(index, NULL, &serial, &finding));
	CU_ASSERT_EQUAL(finding.reason, 0);
	revocation_index_close(index);
}

static void test_negative_and_long_serials(void)
{
	static const struct {
		const char *octets;
		size_t len;
		int is_negative;
	} cases[] = {
		{"\x01", 1, 1},
		{"\x80", 1, 1},
		{"\x80", 1, 0},
		{"\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
			20, 0},
		{"\xc0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
			20, 0},
		{"\x12\x34", 2, 1},
	};
	X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 1);
	struct revocation_index *index;
	struct serial serial;
	struct error err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		maker_revoke(crl, cases[i].octets, cases[i].len, cases[i].is_negative, -1);
	index = index_of(maker_crl_sign(crl, &ca, EVP_sha256()), ca.certificate, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		serial = serial_of(cases[i].octets, cases[i].len, cases[i].is_negative);
		CU_ASSERT_TRUE(revocation_index_find(index, NULL, &serial, NULL));
	}
	serial = serial_of("\x01", 1, 0);
	CU_ASSERT_FALSE(revocation_index_find(index, NULL, &serial, NULL));
	serial = serial_of("\x12\x34", 2, 0);
	CU_ASSERT_FALSE(revocation_index_find(index, NULL, &serial, NULL));
	revocation_index_close(index);
}

static void test_serial_of_21_octets_is_refused(void)
{
	X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 1);

	maker_revoke(crl,
		"\x11\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14"
		"\x15",
		21, 0, -1);
	assert_refused(maker_crl_sign(crl, &ca, EVP_sha256()), ca.certificate, "entry 1");
}

static void test_duplicates_are_kept_once(void)
{
	X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 1);
	struct revocation_index *index;
	struct revocation_finding finding = {.reason = 99};
	struct serial serial;
	struct error err;

	maker_revoke(crl, "\x07", 1, 0, 4);
	maker_revoke(crl, "\x09", 1, 0, -1);
	maker_revoke(crl, "\x07", 1, 0, 1);
	index = index_of(maker_crl_sign(crl, &ca, EVP_sha256()), ca.certificate, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	CU_ASSERT_EQUAL(revocation_index_facts(index)->entry_count, 2);
	serial = serial_of("\x07", 1, 0);
	CU_ASSERT_TRUE(revocation_index_find(index, NULL, &serial, &finding));
	CU_ASSERT_EQUAL(finding.reason, 1);
	revocation_index_close(index);
}

static struct span small_crl(long number)
{
	X509_CRL *crl = maker_crl_new(&ca, -60, 3600, number);

	maker_revoke_series(crl, 0, 3);
	return maker_crl_sign(crl, &ca, EVP_sha256());
}

static void test_bad_signature_is_refused(void)
{
	struct span crl = small_crl(1);

	((uint8_t *)crl.data)[crl.len - 5] ^= 1;
	assert_refused(crl, ca.certificate, "signature does not hold");
}

static void test_changed_entry_is_refused(void)
{
	struct span crl = small_crl(1);
	uint8_t octets[16];
	uint8_t *at;

	maker_serial(1, octets);
	at = memmem(crl.data, crl.len, octets, sizeof(octets));
	maker_must(at != NULL, "the entry");
	at[9] ^= 1;
	assert_refused(crl, ca.certificate, "signature does not hold");
}

static void test_other_issuers_are_refused(void)
{
	struct maker_ca other_key = maker_ca_new("Test CA");
	struct maker_ca other_name = maker_ca_with_key(
		(EVP_PKEY_up_ref(ca.key), ca.key), "Other CA", "critical,cRLSign");

	assert_refused(small_crl(1), other_key.certificate, "signature does not hold");
	assert_refused(small_crl(1), other_name.certificate, "another name");
	maker_ca_free(&other_key);
	maker_ca_free(&other_name);
}

static void test_name_in_other_case_is_the_same_name(void)
{
	struct maker_ca other = maker_ca_with_key(
		(EVP_PKEY_up_ref(ca.key), ca.key), "TEST  ca", "critical,cRLSign");
	struct error err;
	struct revocation_index *index = index_of(small_crl(1), other.certificate, &err);

	CU_ASSERT_PTR_NOT_NULL(index);
	revocation_index_close(index);
	maker_ca_free(&other);
}

static void test_issuer_must_be_allowed_to_sign_crls(void)
{
	struct maker_ca without_usage =
		maker_ca_with_key((EVP_PKEY_up_ref(ca.key), ca.key), "Test CA", NULL);
	struct maker_ca other_usage = maker_ca_with_key(
		(EVP_PKEY_up_ref(ca.key), ca.key), "Test CA", "critical,keyCertSign");
	struct error err;
	struct revocation_index *index = index_of(small_crl(1), without_usage.certificate, &err);

	CU_ASSERT_PTR_NOT_NULL(index);
	revocation_index_close(index);
	assert_refused(small_crl(1), other_usage.certificate, "key usage");
	maker_ca_free(&without_usage);
	maker_ca_free(&other_usage);
}

static void test_authority_key_identifier_must_be_the_issuers(void)
{
	for (int is_right = 0; is_right < 2; is_right++) {
		X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 1);
		AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();
		struct span der;

		id->keyid = ASN1_STRING_dup(X509_get0_subject_key_id(ca.certificate));
		id->keyid->data[0] ^= (unsigned char)!is_right;
		X509_CRL_add1_ext_i2d(crl, NID_authority_key_identifier, id, 0, 0);
		AUTHORITY_KEYID_free(id);
		der = maker_crl_sign(crl, &ca, EVP_sha256());
		if (is_right) {
			struct error err;
			struct revocation_index *index = index_of(der, ca.certificate, &err);

			CU_ASSERT_PTR_NOT_NULL(index);
			revocation_index_close(index);
		} else {
			assert_refused(der, ca.certificate, "another key");
		}
	}
}

static void test_expired_compiles_and_future_is_refused(void)
{
	struct error err;
	struct revocation_index *index =
		index_of(maker_crl_sign(maker_crl_new(&ca, -7200, -3600, 1), &ca, EVP_sha256()),
			ca.certificate, &err);

	CU_ASSERT_PTR_NOT_NULL(index);
	revocation_index_close(index);
	assert_refused(maker_crl_sign(maker_crl_new(&ca, 400, 3600, 1), &ca, EVP_sha256()),
		ca.certificate, "in the future");
	index = index_of(maker_crl_sign(maker_crl_new(&ca, 200, 3600, 1), &ca, EVP_sha256()),
		ca.certificate, &err);
	CU_ASSERT_PTR_NOT_NULL(index);
	revocation_index_close(index);
}

static void test_replay_is_refused(void)
{
	static const struct {
		long this_update, number;
		int result;
	} cases[] = {
		{-60, 10, 0},   /* the same again */
		{-60, 11, 0},   /* newer */
		{-60, 9, -1},   /* a lower number */
		{-60, -1, -1},  /* suddenly none */
		{-120, 11, -1}, /* older, whatever its number */
	};
	struct revocation_facts previous;
	struct error err;
	int fd = memory_file();
	struct span crl = maker_crl_sign(maker_crl_new(&ca, -60, 3600, 10), &ca, EVP_sha256());

	CU_ASSERT_EQUAL(compile_for(ca.certificate, crl, NULL, fd, &previous, &err), 0);
	maker_span_free(&crl);
	close(fd);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct revocation_facts facts;

		fd = memory_file();
		crl = maker_crl_sign(
			maker_crl_new(&ca, cases[i].this_update + 1, 3600, cases[i].number), &ca,
			EVP_sha256());
		CU_ASSERT_EQUAL(compile_for(ca.certificate, crl, &previous, fd, &facts, &err),
			cases[i].result);
		if (cases[i].result == -1)
			CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "replayed"));
		maker_span_free(&crl);
		close(fd);
	}
}

/* An extension whose content is NULL (05 00), which none of the known ones may be. */
static X509_EXTENSION *odd_extension(const char *oid, int is_critical)
{
	ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension;

	ASN1_OCTET_STRING_set(value, (const unsigned char *)"\x05\x00", 2);
	extension = X509_EXTENSION_create_by_OBJ(NULL, object, is_critical, value);
	maker_must(extension != NULL, oid);
	ASN1_OBJECT_free(object);
	ASN1_OCTET_STRING_free(value);
	return extension;
}

struct extension_case {
	const char *oid;
	int is_critical;
	const char *why; /* NULL: accepted */
};

static void check_extension(const struct extension_case *c, bool is_of_entry)
{
	X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 1);
	X509_REVOKED *entry = maker_revoke(crl, "\x05", 1, 0, 1);
	X509_EXTENSION *extension = odd_extension(c->oid, c->is_critical);
	struct span der;

	if (is_of_entry)
		X509_REVOKED_add_ext(entry, extension, -1);
	else
		X509_CRL_add_ext(crl, extension, -1);
	X509_EXTENSION_free(extension);
	der = maker_crl_sign(crl, &ca, EVP_sha256());
	if (c->why == NULL) {
		struct error err;
		struct revocation_index *index = index_of(der, ca.certificate, &err);

		CU_ASSERT_PTR_NOT_NULL(index);
		revocation_index_close(index);
	} else {
		assert_refused(der, ca.certificate, c->why);
	}
}

static void test_extensions_of_the_crl(void)
{
	static const struct extension_case cases[] = {
		{"1.3.6.1.4.1.99999.1", 1, "unknown critical"},
		{"1.3.6.1.4.1.99999.1", 0, NULL},
		{"2.5.29.28", 1, "issuingDistributionPoint"},
		{"2.5.29.28", 0, "issuingDistributionPoint"},
		{"2.5.29.27", 1, "deltaCRLIndicator"},
		{"2.5.29.27", 0, "deltaCRLIndicator"},
		{"2.5.29.46", 0, NULL},
		{"2.5.29.18", 0, NULL},
		{"1.3.6.1.5.5.7.1.1", 0, NULL},
		{"2.5.29.20", 0, "cRLNumber more than once"},
		{"2.5.29.35", 0, "malformed authorityKeyIdentifier"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_extension(&cases[i], false);
}

static void test_extensions_of_entries(void)
{
	static const struct extension_case cases[] = {
		{"1.3.6.1.4.1.99999.1", 1, "unknown critical"},
		{"1.3.6.1.4.1.99999.1", 0, NULL},
		{"2.5.29.29", 1, "indirect"},
		{"2.5.29.29", 0, "indirect"},
		{"2.5.29.24", 0, "malformed invalidityDate"},
		{"2.5.29.23", 0, NULL},
		{"2.5.29.21", 0, "reasonCode more than once"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_extension(&cases[i], true);
}

/* What an issuingDistributionPoint in words of openssl.cnf becomes. */
static void test_scope_is_kept(void)
{
	static const struct {
		const char *value;
		struct revocation_scope scope; /* without the issuer and names */
		const char *why;               /* NULL: accepted */
	} cases[] = {
		{"critical,onlyuser:TRUE", {.only_user = true, .reasons = REVOCATION_REASONS_ALL},
			NULL},
		{"onlyuser:TRUE", {.only_user = true, .reasons = REVOCATION_REASONS_ALL}, NULL},
		{"critical,onlyCA:TRUE", {.only_ca = true, .reasons = REVOCATION_REASONS_ALL},
			NULL},
		{"critical,indirectCRL:TRUE",
			{.is_indirect = true, .reasons = REVOCATION_REASONS_ALL}, NULL},
		{"critical,onlysomereasons:keyCompromise", {.reasons = 0x002}, NULL},
		{"critical,onlysomereasons:AACompromise", {.reasons = 0x100}, NULL},
		{"critical,fullname:URI:http://a/b",
			{.name_count = 1, .reasons = REVOCATION_REASONS_ALL}, NULL},
		{"critical,onlyAA:TRUE", {.reasons = 0}, "for attribute certificates alone"},
		{"critical,onlyuser:TRUE,onlyCA:TRUE", {.reasons = 0},
			"malformed issuingDistributionPoint"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 1);
		struct revocation_index *index;
		struct revocation_scope scope;
		struct error err;

		maker_crl_extension(crl, NID_issuing_distribution_point, cases[i].value, NULL);
		if (cases[i].why != NULL) {
			assert_refused(maker_crl_sign(crl, &ca, EVP_sha256()), ca.certificate,
				cases[i].why);
			continue;
		}
		index = index_of(maker_crl_sign(crl, &ca, EVP_sha256()), ca.certificate, &err);
		CU_ASSERT_PTR_NOT_NULL_FATAL(index);
		scope = revocation_index_facts(index)->scope;
		CU_ASSERT_FALSE(name_key_is_empty(&scope.issuer));
		CU_ASSERT_EQUAL(!name_key_is_empty(&scope.names[0]), cases[i].scope.name_count > 0);
		memset(&scope.issuer, 0, sizeof(scope.issuer));
		memset(scope.names, 0, sizeof(scope.names));
		CU_ASSERT_TRUE(revocation_scope_equal(&scope, &cases[i].scope) ||
			       cases[i].scope.name_count > 0);
		CU_ASSERT_EQUAL(scope.reasons, cases[i].scope.reasons);
		revocation_index_close(index);
	}
}

static void test_scope_of_more_names_than_are_kept_is_refused(void)
{
	static const char *const names = "critical,@scope";

	for (int count = REVOCATION_SCOPE_NAME_MAX; count <= REVOCATION_SCOPE_NAME_MAX + 1;
		count++) {
		X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 1);
		char sections[1024] = "[scope]\nfullname=URI:http://a/0";
		struct revocation_index *index;
		struct error err;

		for (int i = 1; i < count; i++)
			snprintf(sections + strlen(sections), sizeof(sections) - strlen(sections),
				",URI:http://a/%d", i);
		maker_crl_extension(crl, NID_issuing_distribution_point, names, sections);
		index = index_of(maker_crl_sign(crl, &ca, EVP_sha256()), ca.certificate, &err);
		CU_ASSERT_EQUAL(index != NULL, count == REVOCATION_SCOPE_NAME_MAX);
		revocation_index_close(index);
	}
}

/* 1.3.6.1.4.1.311.21.4, as Windows writes it. */
static void test_next_publish_is_kept(void)
{
	static const struct {
		const char *value;
		size_t len;
		int64_t time; /* -1: refused */
	} cases[] = {
		{"\x17\x0d"
		 "231114221320Z",
			15, 1700000000},
		{"\x18\x0f"
		 "20231114221320Z",
			17, 1700000000},
		{"\x17\x0d"
		 "231314221320Z",
			15, -1},
		{"\x05\x00", 2, -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 1);
		ASN1_OBJECT *object = OBJ_txt2obj("1.3.6.1.4.1.311.21.4", 1);
		ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
		X509_EXTENSION *extension;
		struct revocation_index *index;
		struct error err;

		ASN1_OCTET_STRING_set(
			value, (const unsigned char *)cases[i].value, (int)cases[i].len);
		extension = X509_EXTENSION_create_by_OBJ(NULL, object, 0, value);
		X509_CRL_add_ext(crl, extension, -1);
		index = index_of(maker_crl_sign(crl, &ca, EVP_sha256()), ca.certificate, &err);
		CU_ASSERT_EQUAL(index != NULL, cases[i].time != -1);
		if (index != NULL)
			CU_ASSERT_EQUAL(revocation_index_facts(index)->next_publish, cases[i].time);
		revocation_index_close(index);
		X509_EXTENSION_free(extension);
		ASN1_OCTET_STRING_free(value);
		ASN1_OBJECT_free(object);
	}
}

/* Where one certificate is there twice, nothing that could be lifted hides what cannot. */
static void test_duplicates_keep_what_is_final(void)
{
	static const struct {
		int first, second;
		unsigned int kept;
	} cases[] = {{6, 1, 1}, {1, 6, 1}, {6, 9, 9}, {9, 6, 9}, {6, 6, 6}, {4, 1, 1}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 1);
		struct serial serial = serial_of("\x07", 1, 0);
		struct revocation_finding finding = {.reason = 99};
		struct revocation_index *index;
		struct error err;

		maker_revoke(crl, "\x07", 1, 0, cases[i].first);
		maker_revoke(crl, "\x07", 1, 0, cases[i].second);
		index = index_of(maker_crl_sign(crl, &ca, EVP_sha256()), ca.certificate, &err);
		CU_ASSERT_PTR_NOT_NULL_FATAL(index);
		CU_ASSERT_TRUE(revocation_index_find(index, NULL, &serial, &finding));
		CU_ASSERT_EQUAL(finding.reason, cases[i].kept);
		revocation_index_close(index);
	}
}

static void test_certificate_issuer_needs_one_directory_name(void)
{
	static const struct {
		const char *names;
		size_t len;
		const char *why; /* NULL: accepted */
	} cases[] = {
		{"\x30\x00", 2, "not one directory name"},
		{"\x30\x03\x86\x01\x61", 5, "not one directory name"}, /* a URI */
		{"\x30\x04\xa4\x02\x30\x00", 6, NULL},
		{"\x30\x08\xa4\x02\x30\x00\xa4\x02\x30\x00", 10, "not one directory name"},
		{"\x30\x04\xa4\x02\x30\x00\x00", 7, "malformed"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 1);
		X509_REVOKED *entry = maker_revoke(crl, "\x05", 1, 0, 1);
		ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
		X509_EXTENSION *extension;
		struct span der;

		ASN1_OCTET_STRING_set(
			value, (const unsigned char *)cases[i].names, (int)cases[i].len);
		extension = X509_EXTENSION_create_by_NID(NULL, NID_certificate_issuer, 1, value);
		X509_REVOKED_add_ext(entry, extension, -1);
		maker_crl_extension(
			crl, NID_issuing_distribution_point, "critical,indirectCRL:TRUE", NULL);
		der = maker_crl_sign(crl, &ca, EVP_sha256());
		if (cases[i].why == NULL) {
			struct error err;
			struct revocation_index *index = index_of(der, ca.certificate, &err);

			CU_ASSERT_PTR_NOT_NULL(index);
			revocation_index_close(index);
		} else {
			assert_refused(der, ca.certificate, cases[i].why);
		}
		X509_EXTENSION_free(extension);
		ASN1_OCTET_STRING_free(value);
	}
}

/* Issuers of certificates in turn, so that each entry changes the section. */
static void test_many_issuers_in_turn(void)
{
	enum { ISSUERS = 40, ENTRIES = 400 };
	X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 1);
	X509 *issuers[ISSUERS];
	struct revocation_index *index;
	struct error err;
	size_t wrong = 0;

	for (int i = 0; i < ISSUERS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "Issuer %d", i);
		issuers[i] = X509_new();
		X509_NAME_add_entry_by_txt(X509_get_subject_name(issuers[i]), "CN", MBSTRING_UTF8,
			(const unsigned char *)name, -1, -1, 0);
	}
	for (uint32_t i = 0; i < ENTRIES; i++) {
		uint8_t octets[16];

		maker_serial(i, octets);
		maker_entry_issuer(maker_revoke(crl, octets, 16, 0, 1), issuers[i % ISSUERS]);
	}
	maker_crl_extension(crl, NID_issuing_distribution_point, "critical,indirectCRL:TRUE", NULL);
	index = index_of(maker_crl_sign(crl, &ca, EVP_sha256()), ca.certificate, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	for (uint32_t i = 0; i < ENTRIES; i++)
		for (uint32_t j = 0; j < ISSUERS; j++) {
			struct name_key name;
			struct serial serial = {{0}};

			maker_serial(i, serial.octets + 4);
			name_key_of_name(X509_get_subject_name(issuers[j]), &name);
			wrong += revocation_index_find(index, &name, &serial, NULL) !=
				 (i % ISSUERS == j);
		}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_FALSE(is_revoked(index, 0)); /* by the CRL's own issuer */
	for (int i = 0; i < ISSUERS; i++)
		X509_free(issuers[i]);
	revocation_index_close(index);
}

static void test_peek_tells_without_trust(void)
{
	struct maker_ca stranger = maker_ca_new("Stranger");
	X509_CRL *crl = maker_crl_new(&stranger, -60, 3600, 12);
	struct revocation_peek peek;
	struct name_key name;
	struct span der;

	maker_crl_delta(crl, 10);
	maker_crl_extension(crl, NID_issuing_distribution_point, "critical,onlyCA:TRUE", NULL);
	der = maker_crl_sign(crl, &stranger, EVP_sha256());
	CU_ASSERT_TRUE(revocation_crl_peek(der, &peek));
	CU_ASSERT_TRUE(peek.is_delta && peek.has_number && !peek.has_freshest && !peek.is_pem);
	CU_ASSERT_EQUAL(peek.crl_number[19], 12);
	CU_ASSERT_EQUAL(peek.base_number[19], 10);
	CU_ASSERT_EQUAL(peek.next_update - peek.this_update, 3660);
	CU_ASSERT_TRUE(peek.scope.only_ca);
	name_key_of_name(X509_get_subject_name(stranger.certificate), &name);
	CU_ASSERT_TRUE(name_key_equal(&peek.scope.issuer, &name));
	CU_ASSERT_FALSE(revocation_crl_peek(span_of(der.data, der.len - 1), &peek));
	CU_ASSERT_FALSE(revocation_crl_peek(span_of("-----", 5), &peek));
	CU_ASSERT_FALSE(revocation_crl_peek(span_of(NULL, 0), &peek));
	maker_span_free(&der);
	maker_ca_free(&stranger);
}

static void test_remove_from_crl_is_refused(void)
{
	X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 1);

	maker_revoke(crl, "\x05", 1, 0, 8);
	assert_refused(maker_crl_sign(crl, &ca, EVP_sha256()), ca.certificate, "removeFromCRL");
}

static void test_pem_is_read(void)
{
	struct span der = small_crl(1);
	const unsigned char *at = der.data;
	X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)der.len);
	struct revocation_index *index;
	BIO *bio = BIO_new(BIO_s_mem());
	struct error err;
	char *pem;
	long len;
	char *copy;

	BIO_puts(bio, "a CRL as text:\n");
	PEM_write_bio_X509_CRL(bio, crl);
	len = BIO_get_mem_data(bio, &pem);
	copy = OPENSSL_memdup(pem, (size_t)len);
	index = index_of(span_of(copy, (size_t)len), ca.certificate, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	CU_ASSERT_EQUAL(revocation_index_facts(index)->entry_count, 3);
	revocation_index_close(index);
	BIO_free(bio);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, ca.certificate);
	len = BIO_get_mem_data(bio, &pem);
	copy = OPENSSL_memdup(pem, (size_t)len);
	assert_refused(span_of(copy, (size_t)len), ca.certificate, "neither DER nor PEM");
	BIO_free(bio);
	X509_CRL_free(crl);
	maker_span_free(&der);
}

static void test_truncated_or_longer_is_refused(void)
{
	struct span crl = small_crl(1);
	struct revocation_facts facts;
	int fd = memory_file();
	struct error err;

	for (size_t len = 0; len < crl.len; len++) {
		uint8_t *copy = malloc(len + 1); /* so that a sanitizer sees the end */

		memcpy(copy, crl.data, len);
		CU_ASSERT_EQUAL(
			compile_for(ca.certificate, span_of(copy, len), NULL, fd, &facts, &err),
			-1);
		copy[len] = 0;
		free(copy);
	}
	{
		uint8_t *copy = calloc(1, crl.len + 1);

		memcpy(copy, crl.data, crl.len);
		CU_ASSERT_EQUAL(compile_for(ca.certificate, span_of(copy, crl.len + 1), NULL, fd,
					&facts, &err),
			-1);
		free(copy);
	}
	CU_ASSERT_EQUAL(file_size(fd), 0);
	close(fd);
	maker_span_free(&crl);
}

static void test_every_changed_byte_is_refused(void)
{
	struct span crl = small_crl(1);
	uint8_t *bytes = (uint8_t *)crl.data;
	struct revocation_facts facts;
	int fd = memory_file();
	struct error err;
	size_t accepted = 0;

	for (size_t i = 0; i < crl.len; i++) {
		bytes[i] ^= 0x41;
		accepted += compile_for(ca.certificate, crl, NULL, fd, &facts, &err) == 0;
		bytes[i] ^= 0x41;
	}
	CU_ASSERT_EQUAL(accepted, 0);
	CU_ASSERT_EQUAL(compile_for(ca.certificate, crl, NULL, fd, &facts, &err), 0);
	close(fd);
	maker_span_free(&crl);
}

/* Without a version, which is what makes version 1, and without nextUpdate. */
static X509_CRL *bare_crl(void)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *when = ASN1_TIME_set(NULL, time(NULL) - 60);

	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca.certificate));
	X509_CRL_set1_lastUpdate(crl, when);
	ASN1_TIME_free(when);
	return crl;
}

static X509_CRL *version_1_crl(void)
{
	X509_CRL *crl = bare_crl();
	ASN1_TIME *when = ASN1_TIME_set(NULL, time(NULL) + 3600);

	X509_CRL_set1_nextUpdate(crl, when);
	ASN1_TIME_free(when);
	return crl;
}

static void test_version_1_is_read_without_extensions(void)
{
	X509_CRL *crl = version_1_crl();
	struct revocation_index *index;
	struct error err;

	maker_revoke(crl, "\x05", 1, 0, -1);
	index = index_of(maker_crl_sign(crl, &ca, EVP_sha256()), ca.certificate, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	CU_ASSERT_EQUAL(revocation_index_facts(index)->entry_count, 1);
	revocation_index_close(index);
	crl = version_1_crl();
	maker_revoke(crl, "\x05", 1, 0, 1);
	assert_refused(maker_crl_sign(crl, &ca, EVP_sha256()), ca.certificate, "entry 1");
}

static void test_missing_next_update_is_refused(void)
{
	assert_refused(maker_crl_sign(bare_crl(), &ca, EVP_sha256()), ca.certificate,
		"without nextUpdate");
}

/* mask: of PSS; NULL: the digest. */
static void check_signature(
	EVP_PKEY *key, const EVP_MD *digest, const EVP_MD *mask, int pss_salt, const char *why)
{
	struct maker_ca own = maker_ca_with_key(key, "Other algorithm", "cRLSign");
	X509_CRL *crl = maker_crl_new(&own, -60, 3600, 1);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *parameters;
	unsigned char *der = NULL;
	struct span span;
	int len;

	maker_revoke_series(crl, 0, 3);
	maker_must(EVP_DigestSignInit(context, &parameters, digest, NULL, key) == 1, "a signature");
	if (pss_salt > 0) {
		EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, pss_salt);
		EVP_PKEY_CTX_set_rsa_mgf1_md(parameters, mask != NULL ? mask : digest);
	}
	maker_must(X509_CRL_sign_ctx(crl, context) > 0, "a signature");
	len = i2d_X509_CRL(crl, &der);
	span = span_of(der, (size_t)len);
	if (why == NULL) {
		struct error err;
		struct revocation_index *index = index_of(span, own.certificate, &err);

		CU_ASSERT_PTR_NOT_NULL(index);
		revocation_index_close(index);
	} else {
		assert_refused(span, own.certificate, why);
	}
	EVP_MD_CTX_free(context);
	X509_CRL_free(crl);
	maker_ca_free(&own);
}

static void test_signature_algorithms(void)
{
	check_signature(EVP_RSA_gen(2048), EVP_sha256(), NULL, 0, NULL);
	check_signature(EVP_RSA_gen(2048), EVP_sha512(), NULL, 0, NULL);
	check_signature(EVP_RSA_gen(2048), EVP_sha256(), NULL, 32, NULL);
	check_signature(EVP_RSA_gen(2048), EVP_sha384(), NULL, 48, NULL);
	check_signature(EVP_EC_gen("P-384"), EVP_sha384(), NULL, 0, NULL);
	check_signature(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL, NULL, 0, NULL);
	check_signature(EVP_RSA_gen(2048), EVP_sha1(), NULL, 0, "too weak");
	check_signature(EVP_RSA_gen(2048), EVP_sha1(), NULL, 20, "too weak");
	check_signature(EVP_RSA_gen(2048), EVP_md5(), NULL, 0, "too weak");
	check_signature(EVP_EC_gen("P-256"), EVP_sha1(), NULL, 0, "too weak");
	check_signature(EVP_RSA_gen(2048), EVP_sha256(), EVP_sha512(), 32, NULL);
	check_signature(EVP_RSA_gen(2048), EVP_sha256(), EVP_sha1(), 32, "too weak");
	check_signature(EVP_RSA_gen(2048), EVP_sha256(), NULL, 100, "too weak");
}

static bool same_content(int a, int b)
{
	off_t size = file_size(a);
	uint8_t *of_a = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, a, 0);
	uint8_t *of_b = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, b, 0);
	bool same;

	maker_must(of_a != MAP_FAILED && of_b != MAP_FAILED, "a mapping");
	same = file_size(b) == size && memcmp(of_a, of_b, (size_t)size) == 0;
	munmap(of_a, (size_t)size);
	munmap(of_b, (size_t)size);
	return same;
}

/* How many of the whole pages of some bytes are in memory, as a share. */
static double resident_share(struct span bytes)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const uint8_t *begin = bytes.data + (page - (uintptr_t)bytes.data % page) % page;
	size_t count = (bytes.len - page) / page, resident = 0;
	unsigned char *is_there = malloc(count);

	maker_must(
		is_there != NULL && mincore((void *)begin, count * page, is_there) == 0, "pages");
	for (size_t i = 0; i < count; i++)
		resident += is_there[i] & 1;
	free(is_there);
	return (double)resident / (double)count;
}

static void test_a_crl_that_nobody_needs_any_more_is_given_back_while_it_is_read(void)
{
	struct authority authority = {.certificate = ca.certificate, .is_root = true};
	const struct trust_store store = {.count = 1, .authorities = &authority};
	const struct revocation_signers signers = {.store = &store, .authority = 0};
	X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 1);
	int kept = memory_file(), last = memory_file();
	struct revocation_facts facts;
	struct error err = {""};
	struct span der;

	maker_revoke_series(crl, 0, 150000);
	der = maker_crl_sign(crl, &ca, EVP_sha256());
	CU_ASSERT_EQUAL_FATAL(
		revocation_compile(der, &signers, NULL, time(NULL), kept, &facts, &err), 0);
	CU_ASSERT(resident_share(der) > 0.99);
	CU_ASSERT_EQUAL_FATAL(
		revocation_compile_last(der, &signers, NULL, time(NULL), last, &facts, &err), 0);
	CU_ASSERT(resident_share(der) < 0.5);
	CU_ASSERT(same_content(kept, last));
	close(kept);
	close(last);
	maker_span_free(&der);
}

int main(void)
{
	static const struct check checks[] = {
		{"every entry is found and nothing else",
			test_every_entry_is_found_and_nothing_else},
		{"facts, reason and date are those of the CRL", test_facts_reason_and_date},
		{"negative and long serials", test_negative_and_long_serials},
		{"a serial of 21 octets is refused", test_serial_of_21_octets_is_refused},
		{"duplicates are kept once", test_duplicates_are_kept_once},
		{"a bad signature is refused", test_bad_signature_is_refused},
		{"a changed entry is refused", test_changed_entry_is_refused},
		{"other issuers are refused", test_other_issuers_are_refused},
		{"a name in other case is the same name", test_name_in_other_case_is_the_same_name},
		{"the issuer must be allowed to sign CRLs",
			test_issuer_must_be_allowed_to_sign_crls},
		{"authorityKeyIdentifier must be the issuer's",
			test_authority_key_identifier_must_be_the_issuers},
		{"expired compiles, future is refused",
			test_expired_compiles_and_future_is_refused},
		{"a replay is refused", test_replay_is_refused},
		{"extensions of the CRL", test_extensions_of_the_crl},
		{"extensions of entries", test_extensions_of_entries},
		{"the scope is kept", test_scope_is_kept},
		{"a scope of more names than are kept is refused",
			test_scope_of_more_names_than_are_kept_is_refused},
		{"Next Publish is kept", test_next_publish_is_kept},
		{"duplicates keep what is final", test_duplicates_keep_what_is_final},
		{"certificateIssuer needs one directory name",
			test_certificate_issuer_needs_one_directory_name},
		{"many issuers in turn", test_many_issuers_in_turn},
		{"a peek tells without trust", test_peek_tells_without_trust},
		{"removeFromCRL is refused", test_remove_from_crl_is_refused},
		{"PEM is read", test_pem_is_read},
		{"truncated or longer is refused", test_truncated_or_longer_is_refused},
		{"every changed byte is refused", test_every_changed_byte_is_refused},
		{"version 1 is read", test_version_1_is_read_without_extensions},
		{"a missing nextUpdate is refused", test_missing_next_update_is_refused},
		{"signature algorithms", test_signature_algorithms},
		{"a CRL that nobody needs any more is given back while it is read",
			test_a_crl_that_nobody_needs_any_more_is_given_back_while_it_is_read},
	};
	int status;

	ca = maker_ca_new("Test CA");
	status = check_run("auth/revocation_compile", checks, sizeof(checks) / sizeof(checks[0]));
	maker_ca_free(&ca);
	return status;
}
