#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "auth/revocation_compile.h"
#include "auth/verify.h"
#include "config/algorithm.h"
#include "tests/unit/check.h"
#include "tests/unit/test_pki.h"

/* A root, an intermediate that the trust store has, one that only the phone has, and a CA that has
 * nothing to do with them. Made once; keys of RSA take their time. */
static struct pki root;
static struct pki stored;
static struct pki sent;
static struct pki stranger;

static const struct config_trust usual = {.security_level = 2,
	.depth = 4,
	.algorithms = ALGORITHMS_USUAL,
	.needs_client_auth = true,
	.verdict_cache = 8};

/* A trust store without JSON: of the roots, then the intermediates. */
static struct trust_store *make_store(const struct pki *const cas[], size_t count)
{
	struct trust_store *store = calloc(1, sizeof(*store));

	store->authorities = calloc(count, sizeof(*store->authorities));
	for (size_t i = 0; i < count; i++) {
		struct authority *authority = &store->authorities[store->count++];

		X509_up_ref(authority->certificate = cas[i]->certificate);
		authority->is_root = X509_self_signed(cas[i]->certificate, 0) == 1;
		authority->crls[0].url = strdup("");
		authority->crls[0].delta_url = strdup("");
		authority->issuer = strdup("a CA");
	}
	return store;
}

/* The trust store of most tests: the root is authority 0, the stored intermediate 1. */
static struct trust_store *make_usual_store(void)
{
	return make_store((const struct pki *const[]){&root, &stored}, 2);
}

static enum refusal run(struct trust_store *store, const struct config_trust *config,
	const struct pki *leaf, const struct pki *const beside[], int count,
	struct verdict *verdict)
{
	struct error err;
	struct verifier *verifier = verifier_new(store, config, &err);
	STACK_OF(X509) *stack = sk_X509_new_null();
	enum refusal refusal;

	CU_ASSERT_PTR_NOT_NULL_FATAL(verifier);
	for (int i = 0; i < count; i++)
		sk_X509_push(stack, beside[i]->certificate);
	memset(verdict, 0xa5, sizeof(*verdict));
	refusal = verifier_run(
		verifier, leaf->certificate, count > 0 ? stack : NULL, time(NULL), verdict);
	CU_ASSERT_EQUAL(refusal, verdict->refusal);
	CU_ASSERT_EQUAL(refusal == REFUSAL_NONE, verdict->reason[0] == '\0');
	CU_ASSERT_EQUAL(refusal == REFUSAL_NONE, verdict->link_count > 0);
	if (refusal != REFUSAL_NONE) {
		CU_ASSERT_EQUAL(verdict->names.count, 0);
		CU_ASSERT_NOT_EQUAL(verdict->names_refusal, REFUSAL_NONE);
	}
	sk_X509_free(stack);
	verifier_free(verifier);
	return refusal;
}

static enum refusal run_usual(const struct pki *leaf, const struct pki *const beside[], int count,
	struct verdict *verdict)
{
	struct trust_store *store = make_usual_store();
	enum refusal refusal = run(store, &usual, leaf, beside, count, verdict);

	trust_store_free(store);
	return refusal;
}

/* Makes the phone's certificate, verifies it alone, and expects a refusal whose reason has words. */
static void expect_leaf(struct pki_spec spec, enum refusal expected, const char *words)
{
	struct pki leaf = pki_make(spec);
	struct verdict verdict;
	enum refusal refusal = run_usual(&leaf, NULL, 0, &verdict);

	if (refusal != expected || strstr(verdict.reason, words) == NULL)
		fprintf(stderr, "%s: %s (wanted %s: %s)\n", refusal_row(refusal)->name,
			verdict.reason, refusal_row(expected)->name, words);
	CU_ASSERT_EQUAL(refusal, expected);
	CU_ASSERT_PTR_NOT_NULL(strstr(verdict.reason, words));
	pki_free(&leaf);
}

/* The same with a chain: leaf by way of an intermediate that the phone sends. */
static void expect_by_way_of(struct pki_spec ca, enum refusal expected, const char *words)
{
	struct pki intermediate = pki_make(ca);
	struct pki leaf = pki_make(pki_phone(&intermediate));
	struct verdict verdict;
	enum refusal refusal =
		run_usual(&leaf, (const struct pki *const[]){&intermediate}, 1, &verdict);

	if (refusal != expected || strstr(verdict.reason, words) == NULL)
		fprintf(stderr, "%s: %s (wanted %s: %s)\n", refusal_row(refusal)->name,
			verdict.reason, refusal_row(expected)->name, words);
	CU_ASSERT_EQUAL(refusal, expected);
	CU_ASSERT_PTR_NOT_NULL(strstr(verdict.reason, words));
	pki_free(&leaf);
	pki_free(&intermediate);
}

static struct pki_spec ca_spec(const struct pki *issuer)
{
	return (struct pki_spec){.name = "Some CA",
		.issuer = issuer,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage};
}

static void test_path_by_way_of_a_stored_intermediate_holds(void)
{
	struct pki_spec spec = pki_phone(&stored);
	struct verdict verdict;
	struct pki leaf;
	char serial[41];
	uint8_t digest[32];

	spec.serial = 0x1234;
	leaf = pki_make(spec);
	CU_ASSERT_EQUAL_FATAL(run_usual(&leaf, NULL, 0, &verdict), REFUSAL_NONE);
	CU_ASSERT_EQUAL_FATAL(verdict.link_count, 2);
	CU_ASSERT_EQUAL(verdict.links[0].authority, 1);
	CU_ASSERT_EQUAL(verdict.links[1].authority, 0);
	serial_format(&verdict.links[0].serial, serial);
	CU_ASSERT_STRING_EQUAL(serial, "1234");
	X509_digest(leaf.certificate, EVP_sha256(), digest, NULL);
	CU_ASSERT_EQUAL(memcmp(digest, verdict.leaf_sha256, 32), 0);
	CU_ASSERT_STRING_EQUAL(verdict.subject, "CN=Alice");
	CU_ASSERT_STRING_EQUAL(verdict.issuer, "CN=Stored CA");
	CU_ASSERT_EQUAL(verdict.names_refusal, REFUSAL_NONE);
	CU_ASSERT_STRING_EQUAL(
		identity_names_first(&verdict.names, IDENTITY_PRINCIPAL_NAME), "alice@example.com");
	pki_free(&leaf);
}

static void test_path_by_way_of_a_sent_intermediate_holds(void)
{
	struct pki leaf = pki_make(pki_phone(&sent));
	struct verdict verdict;

	CU_ASSERT_EQUAL(
		run_usual(&leaf, (const struct pki *const[]){&leaf, &stranger, &sent}, 3, &verdict),
		REFUSAL_NONE);
	CU_ASSERT_EQUAL_FATAL(verdict.link_count, 2);
	CU_ASSERT_EQUAL(verdict.links[0].authority, -1);
	CU_ASSERT_EQUAL(verdict.links[1].authority, 0);
	CU_ASSERT_EQUAL(run_usual(&leaf, NULL, 0, &verdict), REFUSAL_CERTIFICATE_UNTRUSTED);
	pki_free(&leaf);
}

static void test_leaf_directly_under_the_root_holds(void)
{
	struct pki leaf = pki_make(pki_phone(&root));
	struct verdict verdict;

	CU_ASSERT_EQUAL(run_usual(&leaf, NULL, 0, &verdict), REFUSAL_NONE);
	CU_ASSERT_EQUAL(verdict.link_count, 1);
	CU_ASSERT_EQUAL(verdict.links[0].authority, 0);
	pki_free(&leaf);
}

static void test_rsa_holds(void)
{
	struct pki_spec spec = ca_spec(NULL);
	struct verdict verdict;
	struct trust_store *store;
	struct pki ca;
	struct pki leaf;

	spec.rsa_bits = 2048;
	ca = pki_make(spec);
	spec = pki_phone(&ca);
	spec.rsa_bits = 2048;
	leaf = pki_make(spec);
	store = make_store((const struct pki *const[]){&ca}, 1);
	CU_ASSERT_EQUAL(run(store, &usual, &leaf, NULL, 0, &verdict), REFUSAL_NONE);
	trust_store_free(store);
	pki_free(&leaf);
	pki_free(&ca);
}

static void test_unknown_ca_is_untrusted(void)
{
	struct pki_spec self_signed = pki_phone(NULL);
	struct pki leaf = pki_make(pki_phone(&stranger));
	struct verdict verdict;

	/* Sending the root along does not make it one. */
	CU_ASSERT_EQUAL(run_usual(&leaf, (const struct pki *const[]){&stranger}, 1, &verdict),
		REFUSAL_CERTIFICATE_UNTRUSTED);
	pki_free(&leaf);
	expect_leaf(pki_phone(&stranger), REFUSAL_CERTIFICATE_UNTRUSTED, "issuer");
	expect_leaf(self_signed, REFUSAL_CERTIFICATE_UNTRUSTED, "self-signed");
}

static void test_stored_intermediate_is_no_anchor(void)
{
	struct trust_store *store = make_store((const struct pki *const[]){&stored}, 1);
	struct pki leaf = pki_make(pki_phone(&stored));
	struct verdict verdict;

	CU_ASSERT_EQUAL(
		run(store, &usual, &leaf, NULL, 0, &verdict), REFUSAL_CERTIFICATE_UNTRUSTED);
	trust_store_free(store);
	pki_free(&leaf);
}

static void test_ca_of_the_same_name_and_another_key_is_refused(void)
{
	struct pki twin = pki_make_ca("Root CA", NULL);
	struct pki_spec spec = pki_phone(&twin);
	struct pki leaf = pki_make(spec);
	struct verdict verdict;

	CU_ASSERT_EQUAL(run_usual(&leaf, (const struct pki *const[]){&twin}, 1, &verdict),
		REFUSAL_CERTIFICATE_UNTRUSTED);
	pki_free(&leaf);
	/* Without key identifiers nothing but the signature tells them apart. */
	spec.has_no_key_identifiers = true;
	leaf = pki_make(spec);
	CU_ASSERT_EQUAL(run_usual(&leaf, (const struct pki *const[]){&twin}, 1, &verdict),
		REFUSAL_CERTIFICATE_CHAIN);
	CU_ASSERT_EQUAL(verdict.link_count, 0);
	pki_free(&leaf);
	pki_free(&twin);
}

static void test_forged_signature_is_refused(void)
{
	struct pki forger = pki_make((struct pki_spec){.name = "Stored CA",
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage});
	struct pki leaf = pki_make(pki_phone(&stored));
	struct verdict verdict;

	/* The right names and key identifiers, signed by another key. */
	CU_ASSERT_FATAL(X509_sign(leaf.certificate, forger.key, EVP_sha256()) > 0);
	CU_ASSERT_EQUAL(run_usual(&leaf, NULL, 0, &verdict), REFUSAL_CERTIFICATE_CHAIN);
	CU_ASSERT_PTR_NOT_NULL(strstr(verdict.reason, "signature failure at depth 0"));
	pki_free(&leaf);
	pki_free(&forger);
}

static void test_purpose_of_the_leaf(void)
{
	static const struct {
		const char *key_usage;
		const char *extended_key_usage;
		const char *basic_constraints;
		enum refusal refusal;
		const char *words;
	} cases[] = {
		{NULL, "clientAuth", NULL, REFUSAL_NONE, ""},
		{"digitalSignature", "serverAuth,clientAuth", "CA:FALSE", REFUSAL_NONE, ""},
		{"digitalSignature,keyEncipherment", "clientAuth,1.3.6.1.4.1.311.20.2.2",
			"CA:FALSE", REFUSAL_NONE, ""},
		{"digitalSignature", "anyExtendedKeyUsage", "CA:FALSE", REFUSAL_NONE, ""},
		{"digitalSignature", NULL, "CA:FALSE", REFUSAL_CERTIFICATE_PURPOSE,
			"no extended key usage"},
		{"digitalSignature", "serverAuth", "CA:FALSE", REFUSAL_CERTIFICATE_PURPOSE,
			"without clientAuth"},
		{"digitalSignature", "emailProtection,codeSigning", "CA:FALSE",
			REFUSAL_CERTIFICATE_PURPOSE, "without clientAuth"},
		{"keyAgreement", "clientAuth", "CA:FALSE", REFUSAL_CERTIFICATE_PURPOSE,
			"without digitalSignature"},
		{"keyCertSign,digitalSignature", "clientAuth", "critical,CA:TRUE",
			REFUSAL_CERTIFICATE_PURPOSE, "a CA certificate"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pki_spec spec = pki_phone(&stored);

		spec.key_usage = cases[i].key_usage;
		spec.extended_key_usage = cases[i].extended_key_usage;
		spec.basic_constraints = cases[i].basic_constraints;
		expect_leaf(spec, cases[i].refusal, cases[i].words);
	}
}

static void test_authority_itself_is_no_phone(void)
{
	struct verdict verdict;

	CU_ASSERT_EQUAL(run_usual(&root, NULL, 0, &verdict), REFUSAL_CERTIFICATE_PURPOSE);
	CU_ASSERT_EQUAL(run_usual(&stored, NULL, 0, &verdict), REFUSAL_CERTIFICATE_PURPOSE);
}

static void test_intermediate_must_be_a_ca(void)
{
	struct pki_spec spec = ca_spec(&root);

	spec.basic_constraints = "critical,CA:FALSE";
	spec.key_usage = "digitalSignature";
	expect_by_way_of(spec, REFUSAL_CERTIFICATE_CHAIN, "at depth 1");
	spec = ca_spec(&root);
	spec.basic_constraints = NULL;
	spec.key_usage = NULL;
	expect_by_way_of(spec, REFUSAL_CERTIFICATE_CHAIN, "at depth 1");
	spec = ca_spec(&root);
	spec.key_usage = "critical,cRLSign";
	expect_by_way_of(spec, REFUSAL_CERTIFICATE_CHAIN, "at depth 1");
	/* A phone's certificate cannot vouch for another phone. */
	expect_by_way_of(pki_phone(&stored), REFUSAL_CERTIFICATE_CHAIN, "at depth 1");
}

/* As the trust store warns of them. */
static void test_root_that_is_no_strict_ca_is_refused(void)
{
	struct pki_spec specs[2];
	struct verdict verdict;

	for (size_t i = 0; i < 2; i++)
		specs[i] = ca_spec(NULL);
	specs[0].key_usage = NULL;
	specs[1].has_no_key_identifiers = true;
	for (size_t i = 0; i < 2; i++) {
		struct pki ca = pki_make(specs[i]);
		struct pki_spec spec = pki_phone(&ca);
		struct trust_store *store = make_store((const struct pki *const[]){&ca}, 1);
		struct pki leaf;

		spec.has_no_key_identifiers = specs[i].has_no_key_identifiers;
		leaf = pki_make(spec);
		CU_ASSERT_EQUAL(
			run(store, &usual, &leaf, NULL, 0, &verdict), REFUSAL_CERTIFICATE_CHAIN);
		trust_store_free(store);
		pki_free(&leaf);
		pki_free(&ca);
	}
}

/* RFC 5280 4.2.1.9 binds authorities to it, not those who verify. */
static void test_basic_constraints_need_not_be_critical(void)
{
	struct pki_spec spec = ca_spec(&root);

	spec.basic_constraints = "CA:TRUE";
	expect_by_way_of(spec, REFUSAL_NONE, "");
	spec.basic_constraints = "CA:FALSE";
	expect_by_way_of(spec, REFUSAL_CERTIFICATE_CHAIN, "at depth 1");
}

static void test_intermediate_purpose_binds(void)
{
	struct pki_spec spec = ca_spec(&root);

	spec.extended_key_usage = "serverAuth";
	expect_by_way_of(spec, REFUSAL_CERTIFICATE_PURPOSE, "at depth 1");
	spec.extended_key_usage = "clientAuth";
	expect_by_way_of(spec, REFUSAL_NONE, "");
	spec.extended_key_usage = "anyExtendedKeyUsage";
	expect_by_way_of(spec, REFUSAL_NONE, "");
	spec.key_usage = "critical,cRLSign";
	expect_by_way_of(spec, REFUSAL_CERTIFICATE_CHAIN, "at depth 1");
}

static void test_path_length_binds(void)
{
	struct pki_spec spec = ca_spec(&root);
	struct pki short_ca;
	struct pki below;
	struct pki leaf;
	struct verdict verdict;

	spec.basic_constraints = "critical,CA:TRUE,pathlen:0";
	expect_by_way_of(spec, REFUSAL_NONE, "");
	short_ca = pki_make(spec);
	below = pki_make_ca("Below", &short_ca);
	leaf = pki_make(pki_phone(&below));
	CU_ASSERT_EQUAL(
		run_usual(&leaf, (const struct pki *const[]){&below, &short_ca}, 2, &verdict),
		REFUSAL_CERTIFICATE_CHAIN);
	CU_ASSERT_PTR_NOT_NULL(strstr(verdict.reason, "path length"));
	pki_free(&leaf);
	pki_free(&below);
	pki_free(&short_ca);
}

static void test_name_constraints_bind(void)
{
	struct pki_spec spec = ca_spec(&root);
	struct pki ca;
	struct pki_spec phone;
	struct pki leaf;
	struct verdict verdict;

	spec.name_constraints = "critical,permitted;email:example.org";
	ca = pki_make(spec);
	phone = pki_phone(&ca);
	phone.san = "email:alice@example.com";
	leaf = pki_make(phone);
	CU_ASSERT_EQUAL(run_usual(&leaf, (const struct pki *const[]){&ca}, 1, &verdict),
		REFUSAL_CERTIFICATE_CHAIN);
	CU_ASSERT_PTR_NOT_NULL(strstr(verdict.reason, "subtree violation"));
	pki_free(&leaf);
	phone.san = "email:alice@example.org";
	leaf = pki_make(phone);
	CU_ASSERT_EQUAL(
		run_usual(&leaf, (const struct pki *const[]){&ca}, 1, &verdict), REFUSAL_NONE);
	pki_free(&leaf);
	pki_free(&ca);
}

static void test_required_policy_binds(void)
{
	static const struct {
		const char *policies;
		enum refusal refusal;
	} cases[] = {
		{"1.2.3.4", REFUSAL_NONE},
		{"1.2.3.5", REFUSAL_CERTIFICATE_CHAIN},
		{NULL, REFUSAL_CERTIFICATE_CHAIN},
	};
	struct pki_spec spec = ca_spec(&root);
	struct verdict verdict;
	struct pki ca;

	spec.policies = "1.2.3.4";
	spec.policy_constraints = "critical,requireExplicitPolicy:0";
	ca = pki_make(spec);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pki_spec phone = pki_phone(&ca);
		struct pki leaf;

		phone.policies = cases[i].policies;
		leaf = pki_make(phone);
		CU_ASSERT_EQUAL(run_usual(&leaf, (const struct pki *const[]){&ca}, 1, &verdict),
			cases[i].refusal);
		if (cases[i].refusal != REFUSAL_NONE)
			CU_ASSERT_PTR_NOT_NULL(strstr(verdict.reason, "explicit policy"));
		pki_free(&leaf);
	}
	pki_free(&ca);
}

static void test_unknown_critical_extension_is_refused(void)
{
	struct pki leaf = pki_make(pki_phone(&stored));
	ASN1_OBJECT *object = OBJ_txt2obj("1.2.3.4.5", 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension;
	struct verdict verdict;

	ASN1_OCTET_STRING_set(value, (const unsigned char *)"\x05\x00", 2);
	extension = X509_EXTENSION_create_by_OBJ(NULL, object, 1, value);
	X509_add_ext(leaf.certificate, extension, -1);
	X509_sign(leaf.certificate, stored.key, EVP_sha256());
	CU_ASSERT_EQUAL(run_usual(&leaf, NULL, 0, &verdict), REFUSAL_CERTIFICATE_CHAIN);
	CU_ASSERT_PTR_NOT_NULL(strstr(verdict.reason, "critical extension"));
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(object);
	pki_free(&leaf);
}

static void test_weak_keys_and_digests_are_refused(void)
{
	struct pki_spec spec = pki_phone(&stored);
	struct config_trust lenient = usual;
	struct trust_store *store = make_usual_store();
	struct verdict verdict;
	struct pki leaf;

	spec.rsa_bits = 1024;
	expect_leaf(spec, REFUSAL_CERTIFICATE_WEAK, "at depth 0");
	/* It is the configured level that decides. */
	lenient.security_level = 1;
	lenient.algorithms |= 1 << ALGORITHM_RSA_1024;
	leaf = pki_make(spec);
	CU_ASSERT_EQUAL(run(store, &lenient, &leaf, NULL, 0, &verdict), REFUSAL_NONE);
	pki_free(&leaf);
	trust_store_free(store);
	spec = pki_phone(&stored);
	spec.digest = EVP_sha1();
	expect_leaf(spec, REFUSAL_CERTIFICATE_WEAK, "at depth 0");
	spec = ca_spec(&root);
	spec.digest = EVP_sha1();
	expect_by_way_of(spec, REFUSAL_CERTIFICATE_WEAK, "at depth 1");
	spec = ca_spec(&root);
	spec.rsa_bits = 1024;
	expect_by_way_of(spec, REFUSAL_CERTIFICATE_WEAK, "at depth 1");
}

/* A leaf with such a key under a CA with another, of its own root. */
static const struct {
	const char *leaf, *ca;
	int leaf_rsa;
	uint32_t algorithms;
	enum refusal refusal;
	const char *words;
} algorithm_cases[] = {
	{"ED25519", "ED25519", 0, ALGORITHMS_USUAL, REFUSAL_NONE, ""},
	{"ED448", "P-384", 0, ALGORITHMS_USUAL, REFUSAL_NONE, ""},
	{"P-521", "P-256", 0, ALGORITHMS_USUAL, REFUSAL_NONE, ""},
	{NULL, "P-256", 3072, ALGORITHMS_USUAL, REFUSAL_NONE, ""},
	{"secp256k1", "P-256", 0, ALGORITHMS_USUAL, REFUSAL_CERTIFICATE_WEAK,
		"an EC key of secp256k1"},
	{"brainpoolP256r1", "P-256", 0, ALGORITHMS_USUAL, REFUSAL_CERTIFICATE_WEAK,
		"an EC key of brainpoolP256r1"},
	{"P-256", "brainpoolP256r1", 0, ALGORITHMS_USUAL, REFUSAL_CERTIFICATE_WEAK,
		"trust/algorithms does not allow, at depth 1"},
	{"P-256", "P-384", 0, 1 << ALGORITHM_ECDSA_P384, REFUSAL_CERTIFICATE_WEAK,
		"an EC key of prime256v1, which trust/algorithms does not allow, at depth 0"},
	{"P-384", "P-256", 0, 1 << ALGORITHM_ECDSA_P384, REFUSAL_CERTIFICATE_WEAK, "at depth 1"},
	{"ED25519", "P-256", 0, 1 << ALGORITHM_ECDSA_P256, REFUSAL_CERTIFICATE_WEAK,
		"an Ed25519 key"},
	{"ED448", "P-256", 0, 1 << ALGORITHM_ECDSA_P256, REFUSAL_CERTIFICATE_WEAK, "an Ed448 key"},
	{NULL, "P-256", 2048, 1 << ALGORITHM_ECDSA_P256 | 1 << ALGORITHM_RSA_3072,
		REFUSAL_CERTIFICATE_WEAK, "an RSA key of 2048 bits"},
	{NULL, "P-256", 2048, 1 << ALGORITHM_ECDSA_P256 | 1 << ALGORITHM_RSA_2048, REFUSAL_NONE,
		""},
};

static void test_allowed_algorithms_are_those_configured(void)
{
	for (size_t i = 0; i < sizeof(algorithm_cases) / sizeof(algorithm_cases[0]); i++) {
		struct pki_spec spec = ca_spec(NULL);
		struct config_trust config = usual;
		struct trust_store *store;
		struct verdict verdict;
		struct pki ca;
		struct pki leaf;

		spec.key_type = algorithm_cases[i].ca;
		ca = pki_make(spec);
		spec = pki_phone(&ca);
		spec.key_type = algorithm_cases[i].leaf;
		spec.rsa_bits = algorithm_cases[i].leaf_rsa;
		leaf = pki_make(spec);
		store = make_store((const struct pki *const[]){&ca}, 1);
		config.algorithms = algorithm_cases[i].algorithms;
		CU_ASSERT_EQUAL(
			run(store, &config, &leaf, NULL, 0, &verdict), algorithm_cases[i].refusal);
		if (strstr(verdict.reason, algorithm_cases[i].words) == NULL)
			fprintf(stderr, "%s\n", verdict.reason);
		CU_ASSERT_PTR_NOT_NULL(strstr(verdict.reason, algorithm_cases[i].words));
		trust_store_free(store);
		pki_free(&leaf);
		pki_free(&ca);
	}
}

/* Not at any security level, and not under whatever is configured. */
static void test_old_digests_are_refused_at_every_level(void)
{
	struct pki_spec spec = ca_spec(NULL);
	struct config_trust config = usual;
	struct trust_store *store;
	struct verdict verdict;
	struct pki ca;
	struct pki leaf;

	/* What a root signs of itself says nothing. */
	spec.digest = EVP_sha1();
	ca = pki_make(spec);
	store = make_store((const struct pki *const[]){&ca}, 1);
	config.algorithms = (1 << ALGORITHM_COUNT) - 1;
	leaf = pki_make(pki_phone(&ca));
	CU_ASSERT_EQUAL(run(store, &usual, &leaf, NULL, 0, &verdict), REFUSAL_NONE);
	pki_free(&leaf);
	spec = pki_phone(&ca);
	for (config.security_level = 0; config.security_level < 3; config.security_level++) {
		spec.digest = config.security_level == 1 ? EVP_sha224() : EVP_sha1();
		leaf = pki_make(spec);
		CU_ASSERT_EQUAL(
			run(store, &config, &leaf, NULL, 0, &verdict), REFUSAL_CERTIFICATE_WEAK);
		CU_ASSERT_PTR_NOT_NULL(strstr(verdict.reason, "at depth 0"));
		pki_free(&leaf);
	}
	trust_store_free(store);
	pki_free(&ca);
}

static void test_purpose_need_not_be_said_where_configured_so(void)
{
	struct config_trust lenient = usual;
	struct trust_store *store = make_usual_store();
	struct pki_spec spec = pki_phone(&stored);
	struct verdict verdict;
	struct pki leaf;

	lenient.needs_client_auth = false;
	spec.extended_key_usage = NULL;
	leaf = pki_make(spec);
	CU_ASSERT_EQUAL(run(store, &lenient, &leaf, NULL, 0, &verdict), REFUSAL_NONE);
	pki_free(&leaf);
	/* Another purpose is still another purpose, and a CA no phone. */
	spec.extended_key_usage = "serverAuth";
	leaf = pki_make(spec);
	CU_ASSERT_EQUAL(
		run(store, &lenient, &leaf, NULL, 0, &verdict), REFUSAL_CERTIFICATE_PURPOSE);
	pki_free(&leaf);
	CU_ASSERT_EQUAL(
		run(store, &lenient, &stored, NULL, 0, &verdict), REFUSAL_CERTIFICATE_PURPOSE);
	lenient.is_any_leaf = true;
	CU_ASSERT_EQUAL(run(store, &lenient, &stored, NULL, 0, &verdict), REFUSAL_NONE);
	trust_store_free(store);
}

static void test_policies_are_those_configured(void)
{
	static char *one[] = {(char *)"1.2.3.4"};
	static char *another[] = {(char *)"1.2.3.5", (char *)"1.2.3.6"};
	static const struct {
		const char *policies;
		char **accepted;
		size_t count;
		bool is_explicit, inhibits_any;
		enum refusal refusal;
	} cases[] = {
		{NULL, NULL, 0, false, false, REFUSAL_NONE},
		{NULL, NULL, 0, true, false, REFUSAL_CERTIFICATE_CHAIN},
		{"1.2.3.4", NULL, 0, true, false, REFUSAL_NONE},
		{"1.2.3.4", one, 1, true, false, REFUSAL_NONE},
		{"1.2.3.4", another, 2, true, false, REFUSAL_CERTIFICATE_CHAIN},
		{"1.2.3.6", another, 2, true, false, REFUSAL_NONE},
		{"2.5.29.32.0", one, 1, true, false, REFUSAL_NONE},
		{"2.5.29.32.0", one, 1, true, true, REFUSAL_CERTIFICATE_CHAIN},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config_trust config = usual;
		struct pki_spec spec = pki_phone(&root);
		struct trust_store *store = make_usual_store();
		struct verdict verdict;
		struct pki leaf;

		spec.policies = cases[i].policies;
		leaf = pki_make(spec);
		config.policies = cases[i].accepted;
		config.policy_count = cases[i].count;
		config.explicit_policy = cases[i].is_explicit;
		config.inhibit_any_policy = cases[i].inhibits_any;
		CU_ASSERT_EQUAL(run(store, &config, &leaf, NULL, 0, &verdict), cases[i].refusal);
		trust_store_free(store);
		pki_free(&leaf);
	}
}

/* A rule speaks of a certificate only where the chain above lets it have the policy. */
static void test_rules_follow_the_valid_policies(void)
{
	static struct authority_rule rules[] = {{.policy = (char *)""},
		{.policy = (char *)"1.2.3.4"}, {.policy = (char *)"1.2.3.5"}};
	struct pki_spec spec = ca_spec(&root);
	struct trust_store *store;
	struct verdict verdict;
	struct pki ca;
	struct pki leaf;

	spec.policies = "1.2.3.4";
	ca = pki_make(spec);
	spec = pki_phone(&ca);
	spec.policies = "1.2.3.4,1.2.3.5";
	leaf = pki_make(spec);
	store = make_store((const struct pki *const[]){&root, &ca}, 2);
	CU_ASSERT_EQUAL(run(store, &usual, &leaf, NULL, 0, &verdict), REFUSAL_NONE);
	CU_ASSERT_EQUAL(verdict.rules, 0);
	store->authorities[1].rules = rules;
	store->authorities[1].rule_count = 3;
	CU_ASSERT_EQUAL(run(store, &usual, &leaf, NULL, 0, &verdict), REFUSAL_NONE);
	CU_ASSERT_EQUAL(verdict.rules, 3); /* 1.2.3.5 is the leaf's own claim */
	store->authorities[1].rules = NULL;
	store->authorities[1].rule_count = 0;
	trust_store_free(store);
	pki_free(&leaf);
	pki_free(&ca);
}

static void test_places_of_revocation_are_remembered(void)
{
	struct pki_spec spec = ca_spec(&root);
	struct verdict verdict;
	struct pki ca;
	struct pki leaf;

	spec.crl_points = "URI:http://crl.example.com/root.crl";
	ca = pki_make(spec);
	spec = pki_phone(&ca);
	spec.crl_points = "URI:http://crl.example.com/a.crl,URI:http://crl.example.com/b.crl";
	spec.authority_info = "caIssuers;URI:http://x.example.com/ca.cer,OCSP;URI:ldap://x,"
			      "OCSP;URI:http://ocsp.example.com/,OCSP;URI:http://other";
	leaf = pki_make(spec);
	CU_ASSERT_EQUAL_FATAL(
		run_usual(&leaf, (const struct pki *const[]){&ca}, 1, &verdict), REFUSAL_NONE);
	CU_ASSERT_STRING_EQUAL(verdict.ocsp_url, "http://ocsp.example.com/");
	CU_ASSERT_EQUAL_FATAL(verdict.point_count, 3);
	CU_ASSERT_EQUAL(verdict.points[0].link, 0);
	CU_ASSERT_EQUAL(verdict.points[1].link, 0);
	CU_ASSERT_EQUAL(verdict.points[2].link, 1);
	CU_ASSERT_EQUAL(verdict.points[2].reasons, REVOCATION_REASONS_ALL);
	CU_ASSERT_FALSE(name_key_equal(&verdict.points[0].name, &verdict.points[1].name));
	CU_ASSERT_TRUE(name_key_is_empty(&verdict.points[0].crl_issuer));
	pki_free(&leaf);
	pki_free(&ca);
}

static void test_unusable_responders_are_passed_over(void)
{
	static const char *const infos[] = {NULL, "OCSP;URI:ldap://x", "OCSP;URI:http://a b",
		"OCSP;URI:http://a\x01", "OCSP;email:x@example.com"};

	for (size_t i = 0; i < sizeof(infos) / sizeof(infos[0]); i++) {
		struct pki_spec spec = pki_phone(&root);
		struct verdict verdict;
		struct pki leaf;

		spec.authority_info = infos[i];
		leaf = pki_make(spec);
		CU_ASSERT_EQUAL(run_usual(&leaf, NULL, 0, &verdict), REFUSAL_NONE);
		CU_ASSERT_STRING_EQUAL(verdict.ocsp_url, "");
		pki_free(&leaf);
	}
}

static void test_names_fault_leaves_the_path(void)
{
	struct pki_spec spec = pki_phone(&stored);
	struct pki leaf;
	struct verdict verdict;

	spec.san = "otherName:1.3.6.1.4.1.311.20.2.3;BMP:alice@example.com";
	leaf = pki_make(spec);
	CU_ASSERT_EQUAL(run_usual(&leaf, NULL, 0, &verdict), REFUSAL_NONE);
	CU_ASSERT_EQUAL(verdict.names_refusal, REFUSAL_NAME_INVALID);
	CU_ASSERT_EQUAL(verdict.names.count, 0);
	pki_free(&leaf);
}

static void test_repeated_extension_is_unreadable(void)
{
	struct pki leaf = pki_make(pki_phone(&stored));
	X509_EXTENSION *second = X509_EXTENSION_dup(X509_get_ext(
		leaf.certificate, X509_get_ext_by_NID(leaf.certificate, NID_subject_alt_name, -1)));
	struct verdict verdict;
	unsigned char *der = NULL;
	const unsigned char *at;
	X509 *fresh;
	int len;

	X509_add_ext(leaf.certificate, second, -1);
	X509_sign(leaf.certificate, stored.key, EVP_sha256());
	/* Read again, as OpenSSL looks at the extensions of an object only once. */
	len = i2d_X509(leaf.certificate, &der);
	at = der;
	fresh = d2i_X509(NULL, &at, len);
	X509_free(leaf.certificate);
	leaf.certificate = fresh;
	CU_ASSERT_EQUAL(run_usual(&leaf, NULL, 0, &verdict), REFUSAL_CERTIFICATE_UNREADABLE);
	OPENSSL_free(der);
	X509_EXTENSION_free(second);
	pki_free(&leaf);
}

static void test_depth_is_bounded(void)
{
	struct config_trust config = usual;
	struct trust_store *store = make_store((const struct pki *const[]){&root}, 1);
	struct pki cas[VERDICT_CHAIN_MAX];
	const struct pki *beside[VERDICT_CHAIN_MAX];
	struct verdict verdict;
	struct pki leaf;

	for (int i = 0; i < VERDICT_CHAIN_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "CA %d", i);
		cas[i] = pki_make_ca(name, i == 0 ? &root : &cas[i - 1]);
		beside[i] = &cas[i];
	}
	/* As many as the verdict has links for, whatever is configured. */
	config.depth = 1000;
	leaf = pki_make(pki_phone(&cas[VERDICT_CHAIN_MAX - 2]));
	CU_ASSERT_EQUAL(
		run(store, &config, &leaf, beside, VERDICT_CHAIN_MAX - 1, &verdict), REFUSAL_NONE);
	CU_ASSERT_EQUAL(verdict.link_count, VERDICT_CHAIN_MAX);
	pki_free(&leaf);
	leaf = pki_make(pki_phone(&cas[VERDICT_CHAIN_MAX - 1]));
	CU_ASSERT_EQUAL(run(store, &config, &leaf, beside, VERDICT_CHAIN_MAX, &verdict),
		REFUSAL_CERTIFICATE_CHAIN);
	CU_ASSERT_PTR_NOT_NULL(strstr(verdict.reason, "too long"));
	pki_free(&leaf);
	config.depth = 1;
	leaf = pki_make(pki_phone(&cas[0]));
	CU_ASSERT_EQUAL(run(store, &config, &leaf, beside, 1, &verdict), REFUSAL_NONE);
	pki_free(&leaf);
	leaf = pki_make(pki_phone(&cas[1]));
	CU_ASSERT_EQUAL(run(store, &config, &leaf, beside, 2, &verdict), REFUSAL_CERTIFICATE_CHAIN);
	pki_free(&leaf);
	for (int i = 0; i < VERDICT_CHAIN_MAX; i++)
		pki_free(&cas[i]);
	trust_store_free(store);
}

static void test_loop_of_cross_certificates_ends(void)
{
	/* A and B vouch for each other; no root vouches for either. */
	struct pki a = pki_make_ca("A", NULL);
	struct pki b = pki_make_ca("B", &a);
	struct pki_spec crossed = ca_spec(&b);
	struct pki leaf;
	struct pki a_by_b;
	struct verdict verdict;

	crossed.name = "A";
	crossed.key_of = &a;
	a_by_b = pki_make(crossed);
	leaf = pki_make(pki_phone(&a));
	CU_ASSERT_EQUAL(run_usual(&leaf, (const struct pki *const[]){&a_by_b, &b}, 2, &verdict),
		REFUSAL_CERTIFICATE_UNTRUSTED);
	pki_free(&leaf);
	pki_free(&a_by_b);
	pki_free(&b);
	pki_free(&a);
}

static void test_what_the_phone_sends_is_bounded(void)
{
	const struct pki *many[VERDICT_CHAIN_MAX + 2];
	struct pki leaf = pki_make(pki_phone(&stored));
	struct pki_spec spec = pki_phone(&stored);
	struct verdict verdict;
	char *san = calloc(1, 20000);

	for (int i = 0; i < VERDICT_CHAIN_MAX + 2; i++)
		many[i] = &stranger;
	CU_ASSERT_EQUAL(run_usual(&leaf, many, VERDICT_CHAIN_MAX + 1, &verdict), REFUSAL_NONE);
	CU_ASSERT_EQUAL(
		run_usual(&leaf, many, VERDICT_CHAIN_MAX + 2, &verdict), REFUSAL_CERTIFICATE_CHAIN);
	CU_ASSERT_STRING_EQUAL(verdict.reason, "too many certificates sent");
	pki_free(&leaf);
	memcpy(san, "URI:urn:", 8);
	memset(san + 8, 'x', 17000);
	spec.san = san;
	leaf = pki_make(spec);
	CU_ASSERT_EQUAL(run_usual(&leaf, NULL, 0, &verdict), REFUSAL_CERTIFICATE_CHAIN);
	CU_ASSERT_STRING_EQUAL(verdict.reason, "a certificate sent is too large");
	pki_free(&leaf);
	free(san);
}

static void test_subject_is_safe_to_log(void)
{
	struct pki_spec spec = pki_phone(&stored);
	struct pki leaf;
	struct verdict verdict;
	char name[65];

	spec.name = "a\nb,\"\x7f\xc3\xa4";
	leaf = pki_make(spec);
	CU_ASSERT_EQUAL(run_usual(&leaf, NULL, 0, &verdict), REFUSAL_NONE);
	CU_ASSERT_STRING_EQUAL(verdict.subject, "CN=a\\0Ab\\,\\\"\\7F\\C3\\A4");
	pki_free(&leaf);
	memset(name, 1, sizeof(name) - 1);
	name[64] = '\0';
	spec.name = name;
	leaf = pki_make(spec);
	CU_ASSERT_EQUAL(run_usual(&leaf, NULL, 0, &verdict), REFUSAL_NONE);
	CU_ASSERT_EQUAL(strlen(verdict.subject), 3 + 64 * 3);
	for (size_t i = 0; verdict.subject[i] != '\0'; i++)
		CU_ASSERT(verdict.subject[i] >= 0x20 && verdict.subject[i] < 0x7f);
	pki_free(&leaf);
}

static enum refusal check_at(const struct verdict *verdict, long from_now)
{
	struct trust_store *store = make_usual_store();
	struct revocation_set set = {0};
	enum refusal refusal = verdict_check(verdict, store, &set, time(NULL) + from_now);

	trust_store_free(store);
	return refusal;
}

static void test_times_are_judged_when_asked(void)
{
	struct pki_spec spec = pki_phone(&stored);
	struct verdict verdict;
	struct pki leaf;

	spec.not_before = 1000;
	spec.not_after = 2000;
	leaf = pki_make(spec);
	CU_ASSERT_EQUAL(run_usual(&leaf, NULL, 0, &verdict), REFUSAL_NONE);
	CU_ASSERT_EQUAL(check_at(&verdict, 0), REFUSAL_CERTIFICATE_NOT_YET_VALID);
	CU_ASSERT_EQUAL(check_at(&verdict, 900), REFUSAL_CERTIFICATE_NOT_YET_VALID);
	CU_ASSERT_EQUAL(check_at(&verdict, 1500), REFUSAL_NONE);
	CU_ASSERT_EQUAL(check_at(&verdict, 2100), REFUSAL_CERTIFICATE_EXPIRED);
	pki_free(&leaf);
	spec.not_before = -2000;
	spec.not_after = -1000;
	leaf = pki_make(spec);
	CU_ASSERT_EQUAL(run_usual(&leaf, NULL, 0, &verdict), REFUSAL_NONE);
	CU_ASSERT_EQUAL(check_at(&verdict, 0), REFUSAL_CERTIFICATE_EXPIRED);
	CU_ASSERT_EQUAL(verdict.not_after - verdict.not_before, 1000);
	CU_ASSERT_EQUAL(verdict_check(&verdict, &(struct trust_store){0},
				&(struct revocation_set){0}, verdict.not_after + 1),
		REFUSAL_CERTIFICATE_EXPIRED);
	pki_free(&leaf);
}

static void test_times_of_every_certificate_count(void)
{
	struct pki_spec spec = ca_spec(&root);
	struct verdict verdict;
	struct pki ca;
	struct pki leaf;

	spec.not_before = -5000;
	spec.not_after = -100;
	ca = pki_make(spec);
	leaf = pki_make(pki_phone(&ca));
	CU_ASSERT_EQUAL(
		run_usual(&leaf, (const struct pki *const[]){&ca}, 1, &verdict), REFUSAL_NONE);
	CU_ASSERT_EQUAL(check_at(&verdict, 0), REFUSAL_CERTIFICATE_EXPIRED);
	CU_ASSERT_EQUAL(check_at(&verdict, -200), REFUSAL_NONE);
	pki_free(&leaf);
	pki_free(&ca);
	spec = ca_spec(NULL);
	spec.not_before = 500;
	ca = pki_make(spec);
	leaf = pki_make(pki_phone(&ca));
	{
		struct trust_store *store = make_store((const struct pki *const[]){&ca}, 1);

		CU_ASSERT_EQUAL(run(store, &usual, &leaf, NULL, 0, &verdict), REFUSAL_NONE);
		CU_ASSERT_EQUAL(check_at(&verdict, 0), REFUSAL_CERTIFICATE_NOT_YET_VALID);
		CU_ASSERT_EQUAL(check_at(&verdict, 1000), REFUSAL_NONE);
		trust_store_free(store);
	}
	pki_free(&leaf);
	pki_free(&ca);
}

static void test_renewed_authority_is_preferred_to_its_expired_one(void)
{
	struct pki_spec spec = ca_spec(NULL);
	struct verdict verdict;

	for (int is_old_first = 0; is_old_first < 2; is_old_first++) {
		struct trust_store *store;
		struct pki renewed;
		struct pki old;
		struct pki leaf;

		spec.not_before = -5000;
		spec.not_after = -100;
		spec.key_of = NULL;
		old = pki_make(spec);
		spec.not_after = 5000;
		spec.key_of = &old;
		renewed = pki_make(spec);
		leaf = pki_make(pki_phone(&old));
		store = make_store(is_old_first ? (const struct pki *const[]){&old, &renewed}
						: (const struct pki *const[]){&renewed, &old},
			2);
		CU_ASSERT_EQUAL(run(store, &usual, &leaf, NULL, 0, &verdict), REFUSAL_NONE);
		CU_ASSERT_EQUAL(check_at(&verdict, 0), REFUSAL_NONE);
		CU_ASSERT_EQUAL(verdict.links[0].authority, 0);
		trust_store_free(store);
		pki_free(&leaf);
		pki_free(&renewed);
		pki_free(&old);
	}
}

static void test_refused_and_empty_verdicts_stay_refused(void)
{
	struct pki leaf = pki_make(pki_phone(&stranger));
	struct verdict verdict;

	run_usual(&leaf, NULL, 0, &verdict);
	CU_ASSERT_EQUAL(check_at(&verdict, 0), REFUSAL_CERTIFICATE_UNTRUSTED);
	memset(&verdict, 0, sizeof(verdict));
	verdict.not_after = INT64_MAX;
	CU_ASSERT_EQUAL(check_at(&verdict, 0), REFUSAL_INTERNAL);
	pki_free(&leaf);
}

static void set_crl_url(struct trust_store *store, int authority, const char *url)
{
	free(store->authorities[authority].crls[0].url);
	store->authorities[authority].crls[0].url = strdup(url);
}

static void test_no_revocation_news_of_a_location_refuses(void)
{
	struct trust_store *store = make_usual_store();
	struct revocation_slot slots[2] = {{.is_configured = false}, {.is_configured = false}};
	struct revocation_set set = {.count = 2, .slots = slots};
	struct pki leaf = pki_make(pki_phone(&stored));
	struct verdict verdict;
	int64_t now = time(NULL);

	CU_ASSERT_EQUAL(run(store, &usual, &leaf, NULL, 0, &verdict), REFUSAL_NONE);
	CU_ASSERT_EQUAL(verdict_check(&verdict, store, &set, now), REFUSAL_NONE);
	/* Of the leaf's issuer, or of the one above: both count. */
	for (int authority = 0; authority < 2; authority++) {
		set_crl_url(store, authority, "http://crl.example.com/ca.crl");
		slots[authority].is_configured = true;
		CU_ASSERT_EQUAL(
			verdict_check(&verdict, store, &set, now), REFUSAL_REVOCATION_UNAVAILABLE);
		/* A set that is not of this trust store is no excuse. */
		slots[authority].is_configured = false;
		CU_ASSERT_EQUAL(
			verdict_check(&verdict, store, &set, now), REFUSAL_REVOCATION_UNAVAILABLE);
		set.count = 0;
		CU_ASSERT_EQUAL(
			verdict_check(&verdict, store, &set, now), REFUSAL_REVOCATION_UNAVAILABLE);
		set.count = 2;
		set_crl_url(store, authority, "");
	}
	verdict.links[0].authority = 2;
	CU_ASSERT_EQUAL(verdict_check(&verdict, store, &set, now), REFUSAL_INTERNAL);
	trust_store_free(store);
	pki_free(&leaf);
}

/* An index as the revocation process makes it, of a CRL of ca with one serial on it (0: none). */
static struct revocation_index *make_index(const struct trust_store *store, int authority,
	const struct pki *ca, long revoked, long next_update)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *when = X509_gmtime_adj(NULL, -60);
	int fd = memfd_create("index", 0);
	struct revocation_index *index = NULL;
	struct revocation_facts facts;
	unsigned char *der = NULL;
	struct error err = {""};
	int len;

	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->certificate));
	X509_CRL_set1_lastUpdate(crl, when);
	X509_gmtime_adj(when, next_update);
	X509_CRL_set1_nextUpdate(crl, when);
	if (revoked != 0) {
		X509_REVOKED *entry = X509_REVOKED_new();
		ASN1_INTEGER *serial = ASN1_INTEGER_new();

		ASN1_INTEGER_set(serial, revoked);
		X509_REVOKED_set_serialNumber(entry, serial);
		X509_gmtime_adj(when, -120);
		X509_REVOKED_set_revocationDate(entry, when);
		X509_CRL_add0_revoked(crl, entry);
		ASN1_INTEGER_free(serial);
	}
	X509_CRL_sign(crl, ca->key, EVP_sha256());
	len = i2d_X509_CRL(crl, &der);
	if (len > 0 && revocation_compile(span_of(der, (size_t)len),
			       &(struct revocation_signers){store, authority}, NULL, time(NULL), fd,
			       &facts, &err) == 0)
		index = revocation_index_open(fd, "a CA", &err);
	if (index == NULL)
		fprintf(stderr, "%s\n", err.text);
	close(fd);
	OPENSSL_free(der);
	ASN1_TIME_free(when);
	X509_CRL_free(crl);
	return index;
}

/* An intermediate that only the phone has may not lead around the revocation of a CA. */
static void test_unknown_issuer_below_a_location_is_refused(void)
{
	struct trust_store *store = make_usual_store();
	struct revocation_set set = {0};
	struct pki leaf = pki_make(pki_phone(&sent));
	struct verdict verdict;
	int64_t now = time(NULL);

	CU_ASSERT_EQUAL(run(store, &usual, &leaf, (const struct pki *const[]){&sent}, 1, &verdict),
		REFUSAL_NONE);
	CU_ASSERT_FALSE(verdict.links[0].is_ca);
	CU_ASSERT_TRUE(verdict.links[1].is_ca);
	CU_ASSERT_EQUAL(verdict_check(&verdict, store, &set, now), REFUSAL_NONE);
	set_crl_url(store, 1, "http://crl.example.com/other.crl");
	CU_ASSERT_EQUAL(verdict_check(&verdict, store, &set, now), REFUSAL_NONE);
	set_crl_url(store, 0, "http://crl.example.com/root.crl");
	CU_ASSERT_EQUAL_FATAL(revocation_set_init(&set, store, NULL), 0);
	CU_ASSERT_EQUAL(verdict_check(&verdict, store, &set, now), REFUSAL_REVOCATION_UNAVAILABLE);
	CU_ASSERT_EQUAL(
		revocation_set_put(&set, 0, 0, make_index(store, 0, &root, 0, 1000), NULL), 0);
	CU_ASSERT_EQUAL(verdict_check(&verdict, store, &set, now), REFUSAL_ISSUER_UNKNOWN);
	revocation_set_clear(&set);
	trust_store_free(store);
	pki_free(&leaf);
}

static const struct {
	const char *what;
	long revoked_by_root,
		revoked_by_stored; /* a serial on their CRL; 0: none, -1: no CRL yet */
	long after;                /* seconds from now; the CRLs are good for 1000 */
	enum refusal refusal;
} revocation_cases[] = {
	{"neither", 0, 0, 0, REFUSAL_NONE},
	{"another leaf", 0, 78, 0, REFUSAL_NONE},
	{"the leaf", 0, 77, 0, REFUSAL_CERTIFICATE_REVOKED},
	{"its serial at another authority", 77, 0, 0, REFUSAL_NONE},
	{"the intermediate", 55, 0, 0, REFUSAL_CERTIFICATE_REVOKED},
	{"no CRL of the issuer", 0, -1, 0, REFUSAL_REVOCATION_UNAVAILABLE},
	{"no CRL of the root", -1, 0, 0, REFUSAL_REVOCATION_UNAVAILABLE},
	{"past nextUpdate", 0, 0, 1100, REFUSAL_REVOCATION_UNAVAILABLE},
};

static void test_revocation_of_every_link_counts(void)
{
	struct pki_spec spec = ca_spec(&root);
	struct verdict verdict;
	struct pki ca;
	struct pki leaf;
	struct trust_store *store;

	spec.serial = 55;
	ca = pki_make(spec);
	spec = pki_phone(&ca);
	spec.serial = 77;
	leaf = pki_make(spec);
	store = make_store((const struct pki *const[]){&root, &ca}, 2);
	set_crl_url(store, 0, "http://crl.example.com/root.crl");
	set_crl_url(store, 1, "http://crl.example.com/ca.crl");
	CU_ASSERT_EQUAL(run(store, &usual, &leaf, NULL, 0, &verdict), REFUSAL_NONE);
	for (size_t i = 0; i < sizeof(revocation_cases) / sizeof(revocation_cases[0]); i++) {
		const long revoked[] = {
			revocation_cases[i].revoked_by_root, revocation_cases[i].revoked_by_stored};
		const struct pki *const cas[] = {&root, &ca};
		struct revocation_set set;
		enum refusal refusal;

		CU_ASSERT_EQUAL_FATAL(revocation_set_init(&set, store, NULL), 0);
		for (int a = 0; a < 2; a++)
			if (revoked[a] >= 0)
				CU_ASSERT_EQUAL(
					revocation_set_put(&set, a, 0,
						make_index(store, a, cas[a], revoked[a], 1000),
						NULL),
					0);
		refusal = verdict_check(
			&verdict, store, &set, time(NULL) + revocation_cases[i].after);
		if (refusal != revocation_cases[i].refusal)
			fprintf(stderr, "%s: %s\n", revocation_cases[i].what,
				refusal_row(refusal)->name);
		CU_ASSERT_EQUAL(refusal, revocation_cases[i].refusal);
		revocation_set_clear(&set);
	}
	trust_store_free(store);
	pki_free(&leaf);
	pki_free(&ca);
}

static void test_ca_names_are_those_of_the_store(void)
{
	struct pki_spec renewed_spec = ca_spec(NULL);
	struct pki renewed;
	struct trust_store *store;
	struct verifier *verifier;
	STACK_OF(X509_NAME) * names;

	renewed_spec.name = "Root CA";
	renewed_spec.key_of = &root;
	renewed = pki_make(renewed_spec);
	store = make_store((const struct pki *const[]){&root, &stored, &renewed}, 3);
	verifier = verifier_new(store, &usual, NULL);
	names = verifier_ca_names(verifier);
	CU_ASSERT_EQUAL_FATAL(sk_X509_NAME_num(names), 2);
	CU_ASSERT_EQUAL(X509_NAME_cmp(sk_X509_NAME_value(names, 0),
				X509_get_subject_name(root.certificate)),
		0);
	CU_ASSERT_EQUAL(X509_NAME_cmp(sk_X509_NAME_value(names, 1),
				X509_get_subject_name(stored.certificate)),
		0);
	sk_X509_NAME_pop_free(names, X509_NAME_free);
	/* One that signs CRLs alone issues to nobody. */
	store->authorities[1].is_crl_signer = true;
	names = verifier_ca_names(verifier);
	CU_ASSERT_EQUAL(sk_X509_NAME_num(names), 1);
	sk_X509_NAME_pop_free(names, X509_NAME_free);
	verifier_free(verifier);
	trust_store_free(store);
	pki_free(&renewed);
}

static const struct check checks[] = {
	{"a path by way of a stored intermediate holds",
		test_path_by_way_of_a_stored_intermediate_holds},
	{"a path by way of a sent intermediate holds",
		test_path_by_way_of_a_sent_intermediate_holds},
	{"a leaf directly under the root holds", test_leaf_directly_under_the_root_holds},
	{"RSA holds", test_rsa_holds},
	{"an unknown CA is untrusted", test_unknown_ca_is_untrusted},
	{"a stored intermediate is no anchor", test_stored_intermediate_is_no_anchor},
	{"a CA of the same name and another key is refused",
		test_ca_of_the_same_name_and_another_key_is_refused},
	{"a forged signature is refused", test_forged_signature_is_refused},
	{"the leaf's purpose", test_purpose_of_the_leaf},
	{"an authority itself is no phone", test_authority_itself_is_no_phone},
	{"an intermediate must be a CA", test_intermediate_must_be_a_ca},
	{"a root that is no strict CA is refused", test_root_that_is_no_strict_ca_is_refused},
	{"basic constraints need not be critical", test_basic_constraints_need_not_be_critical},
	{"an intermediate's purpose binds", test_intermediate_purpose_binds},
	{"path length binds", test_path_length_binds},
	{"name constraints bind", test_name_constraints_bind},
	{"a required policy binds", test_required_policy_binds},
	{"an unknown critical extension is refused", test_unknown_critical_extension_is_refused},
	{"weak keys and digests are refused", test_weak_keys_and_digests_are_refused},
	{"allowed algorithms are those configured", test_allowed_algorithms_are_those_configured},
	{"old digests are refused at every level", test_old_digests_are_refused_at_every_level},
	{"a purpose need not be said where configured so",
		test_purpose_need_not_be_said_where_configured_so},
	{"policies are those configured", test_policies_are_those_configured},
	{"rules follow the valid policies", test_rules_follow_the_valid_policies},
	{"places of revocation are remembered", test_places_of_revocation_are_remembered},
	{"unusable responders are passed over", test_unusable_responders_are_passed_over},
	{"a fault in the names leaves the path", test_names_fault_leaves_the_path},
	{"a repeated extension is unreadable", test_repeated_extension_is_unreadable},
	{"depth is bounded", test_depth_is_bounded},
	{"a loop of cross certificates ends", test_loop_of_cross_certificates_ends},
	{"what the phone sends is bounded", test_what_the_phone_sends_is_bounded},
	{"the subject is safe to log", test_subject_is_safe_to_log},
	{"times are judged when asked", test_times_are_judged_when_asked},
	{"times of every certificate count", test_times_of_every_certificate_count},
	{"a renewed authority is preferred to its expired one",
		test_renewed_authority_is_preferred_to_its_expired_one},
	{"refused and empty verdicts stay refused", test_refused_and_empty_verdicts_stay_refused},
	{"no revocation news of a location refuses", test_no_revocation_news_of_a_location_refuses},
	{"an unknown issuer below a location is refused",
		test_unknown_issuer_below_a_location_is_refused},
	{"revocation of every link counts", test_revocation_of_every_link_counts},
	{"CA names are those of the store", test_ca_names_are_those_of_the_store},
};

int main(void)
{
	int status;

	root = pki_make_ca("Root CA", NULL);
	stored = pki_make_ca("Stored CA", &root);
	sent = pki_make_ca("Sent CA", &root);
	stranger = pki_make_ca("Stranger CA", NULL);
	status = check_run("auth/verify", checks, sizeof(checks) / sizeof(checks[0]));
	pki_free(&stranger);
	pki_free(&sent);
	pki_free(&stored);
	pki_free(&root);
	return status;
}
