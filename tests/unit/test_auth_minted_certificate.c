#include <fcntl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/binding.h"
#include "auth/minted_certificate.h"
#include "auth/san.h"
#include "auth/x509_text.h"
#include "tests/unit/check.h"
#include "tests/unit/test_pki.h"
#include "tests/unit/test_token.h"

#define SID "S-1-5-21-1004336348-1177238915-682003330-512"

static struct pki root, ca; /* ca signs for users */
static struct config_minted config;
static struct login_secret secret;
static struct login_fault fault;
static bool was_refused;
static struct error err;

static const struct login_subject bob = {.mailbox = "bob@example.com",
	.upn = "bob@corp.example.com",
	.account = "bob",
	.realm = "CORP.EXAMPLE.COM",
	.sid = SID};

/* A configured file as config_load() leaves it. */
static struct config_file file_of(const char *text)
{
	struct config_file file = {.path = "test.pem", .fd = memfd_create("test", MFD_CLOEXEC)};

	PKI_MUST(file.fd != -1 && write(file.fd, text, strlen(text)) == (ssize_t)strlen(text));
	return file;
}

static void put_file(struct config_file *file, const char *text)
{
	if (file->fd != -1)
		close(file->fd);
	*file = file_of(text);
}

static void put_chain(const X509 *first, const X509 *second)
{
	char *one = pki_pem((X509 *)first);
	char *two = second == NULL ? strdup("") : pki_pem((X509 *)second);
	char *both = malloc(strlen(one) + strlen(two) + 1);

	PKI_MUST(both != NULL);
	strcpy(both, one);
	strcat(both, two);
	put_file(&config.issuer, both);
	free(one);
	free(two);
	free(both);
}

static void put_key(EVP_PKEY *key)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *data, *text;
	long len;

	PKI_MUST(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1);
	len = BIO_get_mem_data(out, &data);
	text = strndup(data, (size_t)len);
	PKI_MUST(text != NULL);
	put_file(&config.key, text);
	free(text);
	BIO_free(out);
}

static void set_up(void)
{
	root = pki_make_ca("Root", NULL);
	ca = pki_make_ca("Gateway CA", &root);
	config = (struct config_minted){.issuer.fd = -1,
		.key.fd = -1,
		.pin.fd = -1,
		.key_uri = "",
		.pkcs11_module = "",
		.crl_url = "",
		.life_ms = 3600 * 1000,
		.sid = true};
	put_chain(ca.certificate, root.certificate);
	put_key(ca.key);
}

static void tear_down(void)
{
	pki_free(&root);
	pki_free(&ca);
	close(config.issuer.fd);
	close(config.key.fd);
	if (config.pin.fd != -1)
		close(config.pin.fd);
}

/* What a mail server gets of a secret. */
struct minted {
	EVP_PKEY *key;
	X509 *leaf;
	STACK_OF(X509) * chain;
};

static struct minted read_minted(void)
{
	struct minted minted = {.chain = sk_X509_new_null()};
	BIO *in = BIO_new_mem_buf(secret.bytes, (int)secret.len);
	X509 *next;

	minted.key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	minted.leaf = PEM_read_bio_X509(in, NULL, NULL, NULL);
	while ((next = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL)
		sk_X509_push(minted.chain, next);
	BIO_free(in);
	CU_ASSERT_PTR_NOT_NULL_FATAL(minted.key);
	CU_ASSERT_PTR_NOT_NULL_FATAL(minted.leaf);
	CU_ASSERT_EQUAL(X509_check_private_key(minted.leaf, minted.key), 1);
	return minted;
}

static void minted_free(struct minted *minted)
{
	EVP_PKEY_free(minted->key);
	X509_free(minted->leaf);
	sk_X509_pop_free(minted->chain, X509_free);
}

static struct minted mint(const struct login_subject *subject, int64_t now)
{
	struct minter *minter = minter_new(&config, &was_refused, &err);

	CU_ASSERT_PTR_NOT_NULL_FATAL(minter);
	CU_ASSERT_EQUAL_FATAL(minter_mint(minter, subject, now, &secret, &fault), LOGIN_GIVEN);
	CU_ASSERT_FALSE(minter_is_broken(minter));
	minter_free(minter);
	return read_minted();
}

static enum login_status try_to_mint(const struct login_subject *subject, int64_t now)
{
	struct minter *minter = minter_new(&config, &was_refused, &err);
	enum login_status status;

	CU_ASSERT_PTR_NOT_NULL_FATAL(minter);
	status = minter_mint(minter, subject, now, &secret, &fault);
	CU_ASSERT_EQUAL(secret.len, 0);
	CU_ASSERT_NOT_EQUAL(fault.text[0], '\0');
	CU_ASSERT_NOT_EQUAL(fault.hint[0], '\0');
	minter_free(minter);
	return status;
}

/* As a server with `ssl_verify_client on` does. */
static int verify(const struct minted *minted, X509 *trusted)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int error;

	PKI_MUST(X509_STORE_add_cert(store, trusted) == 1);
	PKI_MUST(X509_STORE_CTX_init(ctx, store, minted->leaf, minted->chain) == 1);
	X509_STORE_CTX_set_default(ctx, "ssl_client");
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_X509_STRICT);
	X509_verify_cert(ctx);
	error = X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return error;
}

static void assert_extension(
	const X509 *certificate, const char *oid, bool is_critical, const void *der, size_t len)
{
	ASN1_OBJECT *kind = OBJ_txt2obj(oid, 1);
	int at = X509_get_ext_by_OBJ(certificate, kind, -1);
	X509_EXTENSION *extension;
	const ASN1_OCTET_STRING *value;

	CU_ASSERT_NOT_EQUAL_FATAL(at, -1);
	CU_ASSERT_EQUAL(X509_get_ext_by_OBJ(certificate, kind, at), -1);
	extension = X509_get_ext(certificate, at);
	value = X509_EXTENSION_get_data(extension);
	CU_ASSERT_EQUAL(X509_EXTENSION_get_critical(extension), is_critical);
	CU_ASSERT_EQUAL_FATAL((size_t)ASN1_STRING_length(value), len);
	CU_ASSERT_EQUAL(memcmp(ASN1_STRING_get0_data(value), der, len), 0);
	ASN1_OBJECT_free(kind);
}

#define ASSERT_EXTENSION(certificate, oid, is_critical, der)                                       \
	assert_extension(certificate, oid, is_critical, der, sizeof(der) - 1)

static void assert_common_name(X509 *certificate, const char *expected)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	char text[200];

	CU_ASSERT_EQUAL_FATAL(X509_NAME_entry_count(subject), 1);
	X509_NAME_get_text_by_NID(subject, NID_commonName, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, expected);
}

/* What our own reader of phones' certificates makes of it. */
static const char *name_in(X509 *certificate, enum identity_kind kind)
{
	static struct identity_names names;
	const char *found;

	CU_ASSERT_EQUAL_FATAL(san_read_certificate(certificate, &names), REFUSAL_NONE);
	CU_ASSERT_EQUAL_FATAL(binding_read_certificate(certificate, &names), REFUSAL_NONE);
	found = identity_names_first(&names, kind);
	return found == NULL ? "(none)" : found;
}

static int64_t start_of(const X509 *certificate)
{
	int64_t seconds;

	CU_ASSERT_EQUAL(x509_time_read(X509_get0_notBefore(certificate), &seconds), 0);
	return seconds;
}

static int64_t end_of(const X509 *certificate)
{
	int64_t seconds;

	CU_ASSERT_EQUAL(x509_time_read(X509_get0_notAfter(certificate), &seconds), 0);
	return seconds;
}

/* Contents */

static void test_a_certificate_says_what_active_directory_maps_by(void)
{
	struct minted minted;

	set_up();
	minted = mint(&bob, time(NULL));
	CU_ASSERT_EQUAL(X509_get_version(minted.leaf), X509_VERSION_3);
	assert_common_name(minted.leaf, "bob@example.com");
	CU_ASSERT_EQUAL(X509_NAME_cmp(X509_get_issuer_name(minted.leaf),
				X509_get_subject_name(ca.certificate)),
		0);
	ASSERT_EXTENSION(minted.leaf, "2.5.29.17", false,
		"\x30\x37\xa0\x24\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03\xa0\x16\x0c\x14"
		"bob@corp.example.com"
		"\x81\x0f"
		"bob@example.com");
	ASSERT_EXTENSION(minted.leaf, "1.3.6.1.4.1.311.25.2", false,
		"\x30\x3e\xa0\x3c\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x19\x02\x01\xa0\x2e\x04"
		"\x2c" SID);
	CU_ASSERT_EQUAL(X509_get_ext_count(minted.leaf), 7);
	minted_free(&minted);
	tear_down();
}

static void test_it_is_for_tls_clients_and_nothing_else(void)
{
	struct minted minted;

	set_up();
	minted = mint(&bob, time(NULL));
	ASSERT_EXTENSION(minted.leaf, "2.5.29.19", true, "\x30\x00");
	ASSERT_EXTENSION(minted.leaf, "2.5.29.15", true, "\x03\x02\x07\x80");
	ASSERT_EXTENSION(minted.leaf, "2.5.29.37", false,
		"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02");
	minted_free(&minted);
	tear_down();
}

static void test_key_identifiers_lead_to_the_issuer(void)
{
	struct minted minted;
	const ASN1_OCTET_STRING *authority, *issuer;

	set_up();
	minted = mint(&bob, time(NULL));
	authority = X509_get0_authority_key_id(minted.leaf);
	issuer = X509_get0_subject_key_id(ca.certificate);
	CU_ASSERT_PTR_NOT_NULL_FATAL(authority);
	CU_ASSERT_EQUAL(ASN1_OCTET_STRING_cmp(authority, issuer), 0);
	CU_ASSERT_EQUAL(ASN1_STRING_length(X509_get0_subject_key_id(minted.leaf)), 20);
	minted_free(&minted);
	tear_down();
}

static void test_an_issuer_without_key_identifier_is_still_named(void)
{
	struct minted minted;

	set_up();
	pki_free(&ca);
	ca = pki_make((struct pki_spec){.name = "Gateway CA",
		.issuer = &root,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage,
		.has_no_key_identifiers = true});
	put_chain(ca.certificate, NULL);
	put_key(ca.key);
	minted = mint(&bob, time(NULL));
	CU_ASSERT_PTR_NOT_NULL(X509_get0_authority_key_id(minted.leaf));
	minted_free(&minted);
	tear_down();
}

static void test_serials_are_long_positive_and_random(void)
{
	struct minter *minter;
	struct minted first, second;
	const ASN1_INTEGER *serial;

	set_up();
	minter = minter_new(&config, &was_refused, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(minter);
	CU_ASSERT_EQUAL(minter_mint(minter, &bob, time(NULL), &secret, &fault), LOGIN_GIVEN);
	first = read_minted();
	CU_ASSERT_EQUAL(minter_mint(minter, &bob, time(NULL), &secret, &fault), LOGIN_GIVEN);
	second = read_minted();
	serial = X509_get0_serialNumber(first.leaf);
	CU_ASSERT_EQUAL(ASN1_STRING_type(serial), V_ASN1_INTEGER);
	CU_ASSERT_EQUAL(ASN1_STRING_length(serial), 20);
	CU_ASSERT_EQUAL(ASN1_STRING_get0_data(serial)[0] & 0x80, 0);
	CU_ASSERT_NOT_EQUAL(ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(second.leaf)), 0);
	minter_free(minter);
	minted_free(&first);
	minted_free(&second);
	tear_down();
}

/* Names */

static void test_without_a_upn_the_account_and_its_domain_are_the_principal(void)
{
	struct login_subject subject = bob;
	struct minted minted;

	set_up();
	subject.upn[0] = '\0';
	minted = mint(&subject, time(NULL));
	CU_ASSERT_STRING_EQUAL(
		name_in(minted.leaf, IDENTITY_PRINCIPAL_NAME), "bob@corp.example.com");
	minted_free(&minted);
	tear_down();
}

static void test_without_a_directory_the_mailbox_is_the_principal(void)
{
	static const struct login_subject subject = {.mailbox = "bob@example.com"};
	struct minted minted;

	set_up();
	minted = mint(&subject, time(NULL));
	CU_ASSERT_STRING_EQUAL(name_in(minted.leaf, IDENTITY_PRINCIPAL_NAME), "bob@example.com");
	CU_ASSERT_STRING_EQUAL(name_in(minted.leaf, IDENTITY_RFC822_NAME), "bob@example.com");
	CU_ASSERT_STRING_EQUAL(name_in(minted.leaf, IDENTITY_SID), "(none)");
	CU_ASSERT_EQUAL(X509_get_ext_count(minted.leaf), 6);
	minted_free(&minted);
	tear_down();
}

static void test_the_sid_is_left_out_where_it_is_not_wanted(void)
{
	struct minted minted;

	set_up();
	config.sid = false;
	minted = mint(&bob, time(NULL));
	CU_ASSERT_STRING_EQUAL(name_in(minted.leaf, IDENTITY_SID), "(none)");
	minted_free(&minted);
	tear_down();
}

static void test_it_names_the_crl_of_its_issuer_where_that_is_configured(void)
{
	struct minted minted;

	set_up();
	config.crl_url = "http://pki.test/a.crl";
	minted = mint(&bob, time(NULL));
	ASSERT_EXTENSION(minted.leaf, "2.5.29.31", false,
		"\x30\x1d\x30\x1b\xa0\x19\xa0\x17\x86\x15"
		"http://pki.test/a.crl");
	CU_ASSERT_EQUAL(verify(&minted, root.certificate), X509_V_OK);
	minted_free(&minted);
	tear_down();
}

static void test_our_own_reader_finds_the_owner(void)
{
	struct minted minted;

	set_up();
	minted = mint(&bob, time(NULL));
	CU_ASSERT_STRING_EQUAL(
		name_in(minted.leaf, IDENTITY_PRINCIPAL_NAME), "bob@corp.example.com");
	CU_ASSERT_STRING_EQUAL(name_in(minted.leaf, IDENTITY_RFC822_NAME), "bob@example.com");
	CU_ASSERT_STRING_EQUAL(name_in(minted.leaf, IDENTITY_SID), SID);
	minted_free(&minted);
	tear_down();
}

static void test_a_mailbox_beyond_ascii_has_a_name_of_its_own_kind(void)
{
	static const struct login_subject subject = {
		.mailbox = "j\xc3\xb6rg@example.com", .upn = "joerg@example.com"};
	struct minted minted;

	set_up();
	minted = mint(&subject, time(NULL));
	CU_ASSERT_STRING_EQUAL(name_in(minted.leaf, IDENTITY_SMTP_UTF8_MAILBOX), subject.mailbox);
	CU_ASSERT_STRING_EQUAL(name_in(minted.leaf, IDENTITY_RFC822_NAME), "(none)");
	assert_common_name(minted.leaf, subject.mailbox);
	minted_free(&minted);
	tear_down();
}

#define LONG_DOMAIN "abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz.example.com"

static void test_a_name_too_long_for_the_subject_is_not_cut(void)
{
	struct login_subject subject = {
		.mailbox = "bob@" LONG_DOMAIN, .upn = "bob@" LONG_DOMAIN, .account = "bob"};
	struct minted minted;

	set_up();
	minted = mint(&subject, time(NULL));
	assert_common_name(minted.leaf, "bob");
	minted_free(&minted);
	subject.account[0] = '\0';
	minted = mint(&subject, time(NULL));
	CU_ASSERT_EQUAL(X509_NAME_entry_count(X509_get_subject_name(minted.leaf)), 0);
	CU_ASSERT_EQUAL(X509_EXTENSION_get_critical(X509_get_ext(minted.leaf,
				X509_get_ext_by_NID(minted.leaf, NID_subject_alt_name, -1))),
		1);
	CU_ASSERT_EQUAL(verify(&minted, root.certificate), X509_V_OK);
	minted_free(&minted);
	tear_down();
}

static void test_names_that_cannot_stand_in_a_certificate_are_refused(void)
{
	static const struct {
		struct login_subject subject;
		const char *reason;
	} cases[] = {
		{{.mailbox = ""}, "mailbox"},
		{{.mailbox = "bob"}, "mailbox"},
		{{.mailbox = "bob@exam\nple.com"}, "mailbox"},
		{{.mailbox = "bob@example.com", .upn = "bob"}, "principal"},
		{{.mailbox = "bob@example.com", .upn = "b\x01@example.com"}, "principal"},
		{{.mailbox = "bob@example.com", .account = "b@b", .realm = "EXAMPLE.COM"},
			"principal"},
		{{.mailbox = "bob@example.com", .sid = "S-1-5-21-x"}, "SID"},
		{{.mailbox = "bob@example.com", .sid = "bob"}, "SID"},
	};

	set_up();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(try_to_mint(&cases[i].subject, time(NULL)), LOGIN_REFUSED);
		CU_ASSERT_PTR_NOT_NULL(strstr(fault.text, cases[i].reason));
	}
	tear_down();
}

/* Times */

static void test_it_begins_a_little_back_and_lives_as_long_as_configured(void)
{
	int64_t now = time(NULL);
	struct minted minted;

	set_up();
	minted = mint(&bob, now);
	CU_ASSERT_EQUAL(start_of(minted.leaf), now - 300);
	CU_ASSERT_EQUAL(end_of(minted.leaf), now + 3600);
	CU_ASSERT_EQUAL(secret.valid_until, now + 3600);
	minted_free(&minted);
	tear_down();
}

static void test_it_never_outlives_its_issuer_or_one_above(void)
{
	struct minted minted;
	int64_t issuer_end;

	set_up();
	issuer_end = end_of(ca.certificate);
	minted = mint(&bob, issuer_end - 60);
	CU_ASSERT_EQUAL(end_of(minted.leaf), issuer_end);
	CU_ASSERT_EQUAL(secret.valid_until, issuer_end);
	minted_free(&minted);

	/* A root that ends before the CA that it has signed. */
	pki_free(&root);
	root = pki_make((struct pki_spec){.name = "Root",
		.not_after = 1800,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage});
	pki_free(&ca);
	ca = pki_make_ca("Gateway CA", &root);
	put_chain(ca.certificate, root.certificate);
	put_key(ca.key);
	minted = mint(&bob, time(NULL));
	CU_ASSERT_EQUAL(end_of(minted.leaf), end_of(root.certificate));
	minted_free(&minted);
	tear_down();
}

static void test_it_begins_no_earlier_than_its_issuer(void)
{
	struct minted minted;

	set_up();
	minted = mint(&bob, start_of(ca.certificate) + 10);
	CU_ASSERT_EQUAL(start_of(minted.leaf), start_of(ca.certificate));
	minted_free(&minted);
	tear_down();
}

static void test_an_issuer_that_is_not_valid_now_signs_nothing(void)
{
	set_up();
	CU_ASSERT_EQUAL(try_to_mint(&bob, end_of(ca.certificate)), LOGIN_MISCONFIGURED);
	CU_ASSERT_PTR_NOT_NULL(strstr(fault.text, "expired"));
	CU_ASSERT_EQUAL(try_to_mint(&bob, start_of(ca.certificate) - 1), LOGIN_MISCONFIGURED);
	CU_ASSERT_PTR_NOT_NULL(strstr(fault.text, "not valid yet"));
	tear_down();
}

static void test_times_beyond_2049_are_written_as_such(void)
{
	static const int64_t year_2051 = 2556144000;
	struct minted minted;

	set_up();
	pki_free(&root);
	root = pki_make((struct pki_spec){.name = "Root",
		.not_after = 40L * 365 * 86400,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage});
	put_chain(root.certificate, NULL);
	put_key(root.key);
	minted = mint(&bob, year_2051);
	CU_ASSERT_EQUAL(ASN1_STRING_type(X509_get0_notAfter(minted.leaf)), V_ASN1_GENERALIZEDTIME);
	CU_ASSERT_EQUAL(end_of(minted.leaf), year_2051 + 3600);
	minted_free(&minted);
	minted = mint(&bob, time(NULL));
	CU_ASSERT_EQUAL(ASN1_STRING_type(X509_get0_notAfter(minted.leaf)), V_ASN1_UTCTIME);
	minted_free(&minted);
	tear_down();
}

/* Keys and chains */

static void test_a_server_verifies_it_and_gets_no_root(void)
{
	struct minted minted;

	set_up();
	minted = mint(&bob, time(NULL));
	CU_ASSERT_EQUAL(verify(&minted, root.certificate), X509_V_OK);
	CU_ASSERT_EQUAL_FATAL(sk_X509_num(minted.chain), 1);
	CU_ASSERT_EQUAL(X509_cmp(sk_X509_value(minted.chain, 0), ca.certificate), 0);
	minted_free(&minted);
	tear_down();
}

static void test_a_root_may_sign_for_users_itself(void)
{
	struct minted minted;

	set_up();
	put_chain(root.certificate, NULL);
	put_key(root.key);
	minted = mint(&bob, time(NULL));
	CU_ASSERT_EQUAL(verify(&minted, root.certificate), X509_V_OK);
	CU_ASSERT_EQUAL(sk_X509_num(minted.chain), 0);
	minted_free(&minted);
	tear_down();
}

static void test_issuers_of_all_kinds_of_keys_sign(void)
{
	static const struct {
		const char *key_type;
		int rsa_bits, signature;
	} kinds[] = {
		{NULL, 2048, NID_sha256WithRSAEncryption},
		{"P-384", 0, NID_ecdsa_with_SHA384},
		{"P-521", 0, NID_ecdsa_with_SHA512},
		{"ED25519", 0, NID_ED25519},
	};

	set_up();
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct pki_spec spec = {
			.key_type = kinds[i].key_type, .rsa_bits = kinds[i].rsa_bits};
		struct minted minted;

		spec.name = "Gateway CA";
		spec.issuer = &root;
		spec.basic_constraints = pki_ca_constraints;
		spec.key_usage = pki_ca_usage;
		pki_free(&ca);
		ca = pki_make(spec);
		put_chain(ca.certificate, root.certificate);
		put_key(ca.key);
		minted = mint(&bob, time(NULL));
		CU_ASSERT_EQUAL(X509_get_signature_nid(minted.leaf), kinds[i].signature);
		CU_ASSERT_EQUAL(verify(&minted, root.certificate), X509_V_OK);
		minted_free(&minted);
	}
	tear_down();
}

static void test_each_certificate_of_ec_has_a_key_of_its_own(void)
{
	struct minter *minter;
	struct minted first, second;

	set_up();
	minter = minter_new(&config, &was_refused, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(minter);
	minter_mint(minter, &bob, time(NULL), &secret, &fault);
	first = read_minted();
	minter_mint(minter, &bob, time(NULL), &secret, &fault);
	second = read_minted();
	CU_ASSERT_EQUAL(EVP_PKEY_get_bits(first.key), 256);
	CU_ASSERT_TRUE(EVP_PKEY_is_a(first.key, "EC"));
	CU_ASSERT_NOT_EQUAL(EVP_PKEY_eq(first.key, second.key), 1);
	minter_free(minter);
	minted_free(&first);
	minted_free(&second);
	tear_down();
}

static void test_a_key_of_rsa_is_used_for_an_hour(void)
{
	int64_t now = time(NULL);
	const int64_t times[] = {now, now + 3599, now + 3600, now + 3599};
	struct minter *minter;
	struct minted minted[4];

	set_up();
	config.key_type = CONFIG_KEY_RSA;
	minter = minter_new(&config, &was_refused, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(minter);
	for (size_t i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL_FATAL(
			minter_mint(minter, &bob, times[i], &secret, &fault), LOGIN_GIVEN);
		minted[i] = read_minted();
	}
	CU_ASSERT_TRUE(EVP_PKEY_is_a(minted[0].key, "RSA"));
	CU_ASSERT_EQUAL(EVP_PKEY_get_bits(minted[0].key), 2048);
	CU_ASSERT_EQUAL(verify(&minted[0], root.certificate), X509_V_OK);
	CU_ASSERT_EQUAL(EVP_PKEY_eq(minted[0].key, minted[1].key), 1);
	CU_ASSERT_NOT_EQUAL(EVP_PKEY_eq(minted[1].key, minted[2].key), 1);
	/* A clock that was set back. */
	CU_ASSERT_NOT_EQUAL(EVP_PKEY_eq(minted[2].key, minted[3].key), 1);
	for (size_t i = 0; i < 4; i++)
		minted_free(&minted[i]);
	minter_free(minter);
	tear_down();
}

static void test_what_is_no_issuer_or_not_its_key_is_told(void)
{
	char *encrypted;

	set_up();
	put_key(root.key);
	CU_ASSERT_PTR_NULL(minter_new(&config, &was_refused, &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "is not that of the first certificate"));
	put_file(&config.key, "nothing");
	CU_ASSERT_PTR_NULL(minter_new(&config, &was_refused, &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "no private key"));
	put_file(&config.issuer, "nothing");
	CU_ASSERT_PTR_NULL(minter_new(&config, &was_refused, &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "no certificate"));
	encrypted = strdup("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGj\n"
			   "-----END ENCRYPTED PRIVATE KEY-----\n");
	put_chain(ca.certificate, NULL);
	put_file(&config.key, encrypted);
	CU_ASSERT_PTR_NULL(minter_new(&config, &was_refused, &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "no private key"));
	free(encrypted);
	tear_down();
}

static void test_more_chain_than_a_login_may_have_is_told(void)
{
	struct pki above[40];
	char *text = calloc(40, 2048);

	PKI_MUST(text != NULL);
	set_up();
	for (size_t i = 0; i < 40; i++) {
		char *pem;

		above[i] = pki_make_ca("Some CA", &root);
		pem = pki_pem(above[i].certificate);
		strcat(text, pem);
		free(pem);
	}
	put_file(&config.issuer, text);
	put_key(above[0].key);
	CU_ASSERT_PTR_NULL(minter_new(&config, &was_refused, &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "leave out"));
	for (size_t i = 0; i < 40; i++)
		pki_free(&above[i]);
	free(text);
	tear_down();
}

/* Tokens */

static struct token token;

static void set_up_token(void)
{
	set_up();
	token_begin(&token, ca.key);
	config.pkcs11_module = TOKEN_MODULE;
	config.key_uri = "pkcs11:token=gateway;object=issuer;type=private";
	put_file(&config.pin, TOKEN_PIN "\n");
}

static void tear_down_token(void)
{
	tear_down();
	token_end(&token);
}

static void test_a_token_signs_by_label_and_by_id(void)
{
	struct minted minted;

	set_up_token();
	minted = mint(&bob, time(NULL));
	CU_ASSERT_EQUAL(verify(&minted, root.certificate), X509_V_OK);
	minted_free(&minted);
	config.key_uri = "pkcs11:token=gateway;id=%01";
	minted = mint(&bob, time(NULL));
	CU_ASSERT_EQUAL(verify(&minted, root.certificate), X509_V_OK);
	minted_free(&minted);
	tear_down_token();
}

static void test_a_token_with_a_key_of_rsa_signs(void)
{
	struct minted minted;

	set_up_token();
	pki_free(&ca);
	ca = pki_make((struct pki_spec){.name = "Gateway CA",
		.issuer = &root,
		.rsa_bits = 2048,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage});
	put_chain(ca.certificate, NULL);
	token_import(&token, ca.key, "rsa", "03");
	config.key_uri = "pkcs11:token=gateway;object=rsa";
	minted = mint(&bob, time(NULL));
	CU_ASSERT_EQUAL(verify(&minted, root.certificate), X509_V_OK);
	minted_free(&minted);
	tear_down_token();
}

static void test_what_is_wrong_with_a_token_is_told(void)
{
	static const struct {
		const char *uri, *module, *pin, *reason;
	} cases[] = {
		{"pkcs11:token=gateway;object=issuer", "/nonexistent.so", "1234",
			"starting the PKCS#11"},
		{"pkcs11:token=nowhere;object=issuer", TOKEN_MODULE, "1234", "no token"},
		{"pkcs11:object=issuer", TOKEN_MODULE, "1234", "more than one token"},
		{"pkcs11:token=gateway;object=nothing", TOKEN_MODULE, "1234", "no private key"},
		{"pkcs11:token=gateway", TOKEN_MODULE, "1234", "more than one private key"},
		{"pkcs11:token=gateway;object=issuer", TOKEN_MODULE, "9182", "logging in"},
		{"pkcs11:token=gateway;object=issuer", TOKEN_MODULE, "", "wants a PIN"},
		{"pkcs11:token=gateway;object=other", TOKEN_MODULE, "1234",
			"not that of the first"},
		{"pkcs11:object", TOKEN_MODULE, "1234", "PKCS#11 URI"},
	};

	set_up_token();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		config.key_uri = (char *)cases[i].uri;
		config.pkcs11_module = (char *)cases[i].module;
		put_file(&config.pin, cases[i].pin);
		CU_ASSERT_PTR_NULL(minter_new(&config, &was_refused, &err));
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i].reason));
		if (strstr(err.text, cases[i].reason) == NULL)
			fprintf(stderr, "%s: %s\n", cases[i].uri, err.text);
		CU_ASSERT_PTR_NULL(strstr(err.text, "9182"));
		CU_ASSERT_EQUAL(was_refused, strcmp(cases[i].pin, "9182") == 0);
	}
	tear_down_token();
}

static void test_a_token_that_is_gone_is_told_and_asks_for_a_new_process(void)
{
	struct minter *minter;

	set_up_token();
	minter = minter_new(&config, &was_refused, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(minter);
	CU_ASSERT_EQUAL(minter_mint(minter, &bob, time(NULL), &secret, &fault), LOGIN_GIVEN);
	token_run(&token, "rm -r */");
	CU_ASSERT_EQUAL(minter_mint(minter, &bob, time(NULL), &secret, &fault), LOGIN_UNAVAILABLE);
	CU_ASSERT_EQUAL(secret.len, 0);
	CU_ASSERT_TRUE(minter_is_broken(minter));
	minter_free(minter);
	tear_down_token();
}

int main(void)
{
	static const struct check checks[] = {
		{"a certificate says what Active Directory maps by",
			test_a_certificate_says_what_active_directory_maps_by},
		{"it is for TLS clients and nothing else",
			test_it_is_for_tls_clients_and_nothing_else},
		{"key identifiers lead to the issuer", test_key_identifiers_lead_to_the_issuer},
		{"an issuer without key identifier is still named",
			test_an_issuer_without_key_identifier_is_still_named},
		{"serials are long, positive and random",
			test_serials_are_long_positive_and_random},
		{"without a UPN the account and its domain are the principal",
			test_without_a_upn_the_account_and_its_domain_are_the_principal},
		{"without a directory the mailbox is the principal",
			test_without_a_directory_the_mailbox_is_the_principal},
		{"the SID is left out where it is not wanted",
			test_the_sid_is_left_out_where_it_is_not_wanted},
		{"it names the CRL of its issuer, where that is configured",
			test_it_names_the_crl_of_its_issuer_where_that_is_configured},
		{"our own reader finds the owner", test_our_own_reader_finds_the_owner},
		{"a mailbox beyond ASCII has a name of its own kind",
			test_a_mailbox_beyond_ascii_has_a_name_of_its_own_kind},
		{"a name too long for the subject is not cut",
			test_a_name_too_long_for_the_subject_is_not_cut},
		{"names that cannot stand in a certificate are refused",
			test_names_that_cannot_stand_in_a_certificate_are_refused},
		{"it begins a little back and lives as long as configured",
			test_it_begins_a_little_back_and_lives_as_long_as_configured},
		{"it never outlives its issuer, or one above",
			test_it_never_outlives_its_issuer_or_one_above},
		{"it begins no earlier than its issuer", test_it_begins_no_earlier_than_its_issuer},
		{"an issuer that is not valid now signs nothing",
			test_an_issuer_that_is_not_valid_now_signs_nothing},
		{"times beyond 2049 are written as such",
			test_times_beyond_2049_are_written_as_such},
		{"a server verifies it, and gets no root",
			test_a_server_verifies_it_and_gets_no_root},
		{"a root may sign itself", test_a_root_may_sign_for_users_itself},
		{"issuers of all kinds of keys sign", test_issuers_of_all_kinds_of_keys_sign},
		{"each certificate of EC has a key of its own",
			test_each_certificate_of_ec_has_a_key_of_its_own},
		{"a key of RSA is used for an hour", test_a_key_of_rsa_is_used_for_an_hour},
		{"what is no issuer, or not its key, is told",
			test_what_is_no_issuer_or_not_its_key_is_told},
		{"more chain than a login may have is told",
			test_more_chain_than_a_login_may_have_is_told},
		{"a token signs, by label and by id", test_a_token_signs_by_label_and_by_id},
		{"a token with a key of RSA signs", test_a_token_with_a_key_of_rsa_signs},
		{"what is wrong with a token is told", test_what_is_wrong_with_a_token_is_told},
		{"a token that is gone is told, and asks for a new process",
			test_a_token_that_is_gone_is_told_and_asks_for_a_new_process},
	};

	return check_run("auth/minted_certificate", checks, sizeof(checks) / sizeof(checks[0]));
}
