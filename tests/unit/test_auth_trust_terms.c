/* What an authority's entry says beside its certificate: each member, each fault, both ways. */
#include <stdlib.h>
#include <string.h>

#include "auth/trust_store.h"
#include "auth/trust_write.h"
#include "tests/unit/check.h"
#include "tests/unit/test_pki.h"

static struct pki root, issuing, signer;
static char *root_base64, *issuing_base64, *signer_base64;

static char reported[16384];

static void on_report(void *context, const char *text)
{
	size_t len = strlen(reported);

	(void)context;
	snprintf(reported + len, sizeof(reported) - len, "%s\n", text);
}

static struct trust_store *read_text(const char *json)
{
	reported[0] = '\0';
	return trust_store_read(span_of_string(json), "trust.json", ".", on_report, NULL);
}

/* A store of the root, and of the issuing CA with these members, where ' stands for ". */
static struct trust_store *read_members(const char *members)
{
	char json[32768];

	snprintf(json, sizeof(json),
		"[{'isRootAuthority': true, 'certificate': '%s'},"
		" {'isRootAuthority': false, 'certificate': '%s'%s%s}]",
		root_base64, issuing_base64, members[0] != '\0' ? ", " : "", members);
	for (char *c = json; *c != '\0'; c++)
		if (*c == '\'')
			*c = '"';
	return read_text(json);
}

static struct trust_store *expect_members(const char *members)
{
	struct trust_store *store = read_members(members);

	if (store == NULL || reported[0] != '\0')
		fprintf(stderr, "%s\n%s", members, reported);
	CU_ASSERT_STRING_EQUAL(reported, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(store);
	CU_ASSERT_EQUAL_FATAL(store->count, 2);
	return store;
}

#define CRL "'certificateRevocationListUrl': 'http://pki/i.crl'"

/* Every member, none of them as by default. */
#define EVERYTHING                                                                                 \
	CRL ", 'deltaCertificateRevocationListUrl': 'file:/d.crl',"                                \
	    " 'additionalCertificateRevocationLists': ["                                           \
	    "  {'certificateRevocationListUrl': 'http://pki/1.crl'},"                              \
	    "  {'certificateRevocationListUrl': 'ldap://pki/cn=2',"                                \
	    "   'deltaCertificateRevocationListUrl': 'http://pki/2+.crl'}],"                       \
	    " 'revocationCheck': 'leaf', 'revocationGrace': '90m',"                                \
	    " 'revocationExemptUntil': '2099-01-01T00:00:00Z',"                                    \
	    " 'revocationExemptReason': 'the CA moves, ticket 17',"                                \
	    " 'crlSizeLimit': '200MB', 'crlTimeLimit': '1500ms',"                                  \
	    " 'ocsp': 'hard', 'ocspUrl': 'http://ocsp/',"                                          \
	    " 'rules': [{'policy': '1.3.6.1.4.1.99999.1', 'domains': ['Example.com', '*'],"        \
	    "            'mailboxes': ['Alice@Example.org']}, {'domains': ['example.net']}]"

static void expect_everything(const struct authority *it)
{
	CU_ASSERT_EQUAL(it->crl_count, 3);
	CU_ASSERT_STRING_EQUAL(it->crls[0].url, "http://pki/i.crl");
	CU_ASSERT_STRING_EQUAL(it->crls[0].delta_url, "file:/d.crl");
	CU_ASSERT_STRING_EQUAL(it->crls[1].url, "http://pki/1.crl");
	CU_ASSERT_STRING_EQUAL(it->crls[1].delta_url, "");
	CU_ASSERT_STRING_EQUAL(it->crls[2].url, "ldap://pki/cn=2");
	CU_ASSERT_STRING_EQUAL(it->crls[2].delta_url, "http://pki/2+.crl");
	CU_ASSERT_EQUAL(it->check, AUTHORITY_CHECK_LEAF);
	CU_ASSERT_EQUAL(it->grace_s, 5400);
	CU_ASSERT_EQUAL(it->exempt_until, INT64_C(4070908800));
	CU_ASSERT_STRING_EQUAL(it->exempt_reason, "the CA moves, ticket 17");
	CU_ASSERT_EQUAL(it->crl_size_limit, UINT64_C(200) << 20);
	CU_ASSERT_EQUAL(it->crl_time_limit_ms, 1500);
	CU_ASSERT_EQUAL(it->ocsp, AUTHORITY_OCSP_HARD);
	CU_ASSERT_STRING_EQUAL(it->ocsp_url, "http://ocsp/");
	CU_ASSERT_EQUAL_FATAL(it->rule_count, 2);
	CU_ASSERT_STRING_EQUAL(it->rules[0].policy, "1.3.6.1.4.1.99999.1");
	CU_ASSERT_EQUAL_FATAL(it->rules[0].domain_count, 2);
	CU_ASSERT_STRING_EQUAL(it->rules[0].domains[0], "example.com");
	CU_ASSERT_STRING_EQUAL(it->rules[0].domains[1], "*");
	CU_ASSERT_EQUAL_FATAL(it->rules[0].mailbox_count, 1);
	CU_ASSERT_STRING_EQUAL(it->rules[0].mailboxes[0], "alice@example.org");
	CU_ASSERT_STRING_EQUAL(it->rules[1].policy, "");
	CU_ASSERT_EQUAL(it->rules[1].mailbox_count, 0);
}

static void test_every_member_is_read(void)
{
	struct trust_store *store = expect_members(EVERYTHING);

	expect_everything(&store->authorities[1]);
	trust_store_free(store);
}

static void test_what_is_not_written_is_as_by_default(void)
{
	struct trust_store *store = expect_members("");
	const struct authority *it = &store->authorities[1];

	CU_ASSERT_EQUAL(it->crl_count, 0);
	CU_ASSERT_STRING_EQUAL(it->crls[0].url, "");
	CU_ASSERT_EQUAL(it->check, AUTHORITY_CHECK_CHAIN);
	CU_ASSERT_EQUAL(it->grace_s, 0);
	CU_ASSERT_EQUAL(it->exempt_until, 0);
	CU_ASSERT_STRING_EQUAL(it->exempt_reason, "");
	CU_ASSERT_EQUAL(it->crl_size_limit, 0);
	CU_ASSERT_EQUAL(it->crl_time_limit_ms, 0);
	CU_ASSERT_EQUAL(it->ocsp, AUTHORITY_OCSP_OFF);
	CU_ASSERT_STRING_EQUAL(it->ocsp_url, "");
	CU_ASSERT_EQUAL(it->rule_count, 0);
	CU_ASSERT_FALSE(it->is_crl_signer);
	trust_store_free(store);
}

/* Writes both authorities and reads them again. */
static struct trust_store *read_again(const struct trust_store *store, enum trust_format format)
{
	json_t *list = json_array();
	struct trust_store *again;
	json_t *document;
	char *text;

	for (size_t i = 0; i < store->count; i++)
		json_array_append_new(list, trust_write_authority(&store->authorities[i], format));
	document = trust_write_document(list, format);
	text = json_dumps(document, 0);
	again = read_text(text);
	if (again == NULL || reported[0] != '\0')
		fprintf(stderr, "%s\n%s", text, reported);
	free(text);
	json_decref(document);
	return again;
}

static void test_what_is_written_is_read_again(void)
{
	struct trust_store *store = expect_members(EVERYTHING);
	struct trust_store *again = read_again(store, TRUST_FORMAT_OWN);
	uint64_t withdrawn[AUTHORITY_MAX / 64];

	CU_ASSERT_STRING_EQUAL(reported, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(again);
	expect_everything(&again->authorities[1]);
	trust_store_compare(store, again, withdrawn);
	CU_ASSERT_EQUAL(withdrawn[0], 0);
	trust_store_free(again);
	trust_store_free(store);
}

static void test_microsoft_s_formats_keep_microsoft_s_members(void)
{
	static const enum trust_format formats[] = {TRUST_FORMAT_GRAPH, TRUST_FORMAT_OLDER};
	struct trust_store *store = expect_members(EVERYTHING);

	for (size_t i = 0; i < 2; i++) {
		struct trust_store *again = read_again(store, formats[i]);

		CU_ASSERT_STRING_EQUAL(reported, "");
		CU_ASSERT_PTR_NOT_NULL_FATAL(again);
		CU_ASSERT_TRUE(again->authorities[0].is_root);
		CU_ASSERT_FALSE(again->authorities[1].is_root);
		CU_ASSERT_EQUAL(
			X509_cmp(again->authorities[1].certificate, issuing.certificate), 0);
		CU_ASSERT_EQUAL(again->authorities[1].crl_count, 1);
		CU_ASSERT_STRING_EQUAL(again->authorities[1].crls[0].url, "http://pki/i.crl");
		CU_ASSERT_STRING_EQUAL(again->authorities[1].crls[0].delta_url, "file:/d.crl");
		CU_ASSERT_EQUAL(again->authorities[1].rule_count, 0);
		trust_store_free(again);
	}
	trust_store_free(store);
}

static void test_microsoft_s_formats_have_their_own_names_alone(void)
{
	static const char *const graph[] = {"isRootAuthority", "certificate",
		"certificateRevocationListUrl", "deltaCertificateRevocationListUrl", "issuer",
		"issuerSki"};
	static const char *const older[] = {"authorityType", "trustedCertificate",
		"crlDistributionPoint", "deltaCrlDistributionPoint", "trustedIssuer",
		"trustedIssuerSKI"};
	struct trust_store *store = expect_members(EVERYTHING);

	for (size_t i = 0; i < store->count; i++) {
		json_t *object = trust_write_authority(&store->authorities[i], TRUST_FORMAT_GRAPH);

		CU_ASSERT_EQUAL(json_object_size(object), 6);
		for (size_t n = 0; n < 6; n++)
			CU_ASSERT_PTR_NOT_NULL(json_object_get(object, graph[n]));
		json_decref(object);
		object = trust_write_authority(&store->authorities[i], TRUST_FORMAT_OLDER);
		CU_ASSERT_EQUAL(json_object_size(object), 6);
		for (size_t n = 0; n < 6; n++)
			CU_ASSERT_PTR_NOT_NULL(json_object_get(object, older[n]));
		json_decref(object);
	}
	trust_store_free(store);
}

#define MORE(it) CRL ", 'additionalCertificateRevocationLists': " it
#define RULE(it) "'rules': [" it "]"

/* What is said of the members, after "trust.json: authority 2: ". */
static const struct {
	const char *members;
	const char *report;
} faults[] = {
	{"'certificateRevocationListUrl': 'https://pki/i.crl'",
		"certificateRevocationListUrl: must begin with http://host or file:/ or "
		"ldap://host"},
	{"'certificateRevocationListUrl': 'ldap:///cn=x'",
		"certificateRevocationListUrl: must begin with"},
	{MORE("7"), "additionalCertificateRevocationLists: must be a list of objects"},
	{MORE("['http://x/y']"), "additionalCertificateRevocationLists: must be a list of objects"},
	{MORE("[{}]"),
		"additionalCertificateRevocationLists: certificateRevocationListUrl: missing"},
	{MORE("[{'certificateRevocationListUrl': 'x'}]"),
		"certificateRevocationListUrl: must begin"},
	{MORE("[{'certificateRevocationListUrl': 'http://pki/i.crl'}]"),
		"additionalCertificateRevocationLists: http://pki/i.crl: given twice"},
	{MORE("[{'deltaCertificateRevocationListUrl': 'http://pki/i.crl'}]"),
		"additionalCertificateRevocationLists: certificateRevocationListUrl: missing"},
	{MORE("[{'certificateRevocationListUrl': 'http://x/1', 'issuer': 'x'}]"),
		"additionalCertificateRevocationLists: issuer does not belong there"},
	{MORE("[{},{},{},{},{},{},{},{}]"),
		"additionalCertificateRevocationLists: 8 of them, of at most 7"},
	{"'additionalCertificateRevocationLists': [{'certificateRevocationListUrl': 'http://x/1'}]",
		"additionalCertificateRevocationLists: without certificateRevocationListUrl"},
	{"'revocationCheck': 'all'", "revocationCheck: 'all' is not one of chain, leaf, none"},
	{"'revocationCheck': true", "revocationCheck: must be a string"},
	{CRL ", 'revocationGrace': '10'", "revocationGrace: '10' is not a time"},
	{CRL ", 'revocationGrace': 10", "revocationGrace: must be a string"},
	{CRL ", 'revocationGrace': '500ms'", "revocationGrace: must be whole seconds"},
	{CRL ", 'revocationGrace': '367d'", "revocationGrace: '367d' is out of range"},
	{CRL ", 'revocationExemptUntil': 'tomorrow'",
		"revocationExemptUntil: 'tomorrow' is not a moment"},
	{CRL ", 'revocationExemptReason': 'x'",
		"revocationExemptReason: without revocationExemptUntil"},
	{CRL ", 'revocationExemptUntil': '2099-01-01', 'revocationExemptReason': 'a\\u0007'",
		"revocationExemptReason: a control character"},
	{CRL ", 'crlSizeLimit': '20'", "crlSizeLimit: '20' is not a size"},
	{CRL ", 'crlSizeLimit': '1B'", "crlSizeLimit: '1B' is out of range"},
	{CRL ", 'crlTimeLimit': '1ms'", "crlTimeLimit: '1ms' is out of range"},
	{"'ocsp': 'on'", "ocsp: 'on' is not one of off, soft, hard"},
	{"'ocsp': 'soft', 'revocationCheck': 'none'", "ocsp: contradicts revocationCheck none"},
	{"'ocsp': 'soft', 'ocspUrl': 'https://x/'", "ocspUrl: must begin with http://host"},
	{"'rules': {}", "rules: must be a list of 1 to 32 objects"},
	{"'rules': []", "rules: must be a list of 1 to 32 objects"},
	{RULE("7"), "rules: must be a list of objects"},
	{RULE("{}"), "rules: a rule names domains or mailboxes"},
	{RULE("{'policy': '1.2.3'}"), "rules: a rule names domains or mailboxes"},
	{RULE("{'policy': 'medium', 'domains': ['x.y']}"), "rules: policy: must be an object id"},
	{RULE("{'policy': '1.2.03', 'domains': ['x.y']}"), "rules: policy: must be an object id"},
	{RULE("{'policy': 7, 'domains': ['x.y']}"), "rules: policy: must be a string"},
	{RULE("{'policy': '2.5.29.32.0', 'domains': ['x.y']}"), "rules: policy: 2.5.29.32.0 says"},
	{RULE("{'domain': ['x.y']}"), "rules: domain: unknown"},
	{RULE("{'domains': 'x.y'}"), "rules: domains: must be a list of at most 4096 strings"},
	{RULE("{'domains': [7]}"), "rules: domains: must be a list of strings"},
	{RULE("{'domains': ['@x.y']}"), "rules: domains: '@x.y' is not a domain"},
	{RULE("{'domains': ['.x.y']}"), "rules: domains: '.x.y' is not a domain"},
	{RULE("{'domains': ['']}"), "rules: domains: '' is not a domain"},
	{RULE("{'domains': ['*.x.y']}"), "rules: domains: '*.x.y' is not a domain"},
	{RULE("{'mailboxes': ['alice']}"), "rules: mailboxes: 'alice' is not a mailbox"},
	{RULE("{'mailboxes': ['@x.y']}"), "rules: mailboxes: '@x.y' is not a mailbox"},
	{RULE("{'mailboxes': ['a@x y']}"), "rules: mailboxes: 'a@x y' is not a mailbox"},
	{"'isCrlSigner': 'yes'", "isCrlSigner: must be true or false"},
	{"'isCrlSigner': true", "certificate: given as a CRL signer, but it is a CA"},
};

static void test_each_fault_names_authority_and_member(void)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct trust_store *store = read_members(faults[i].members);
		static const char place[] = "trust.json: authority 2: ";
		bool is_said = strncmp(reported, place, strlen(place)) == 0 &&
			       strncmp(reported + strlen(place), faults[i].report,
				       strlen(faults[i].report)) == 0 &&
			       strchr(reported, '\n') == strrchr(reported, '\n');

		if (store != NULL || !is_said)
			fprintf(stderr, "fault %zu: wanted %s\ngot %s", i, faults[i].report,
				reported);
		CU_ASSERT_PTR_NULL(store);
		CU_ASSERT_TRUE(is_said);
		trust_store_free(store);
	}
}

static void test_what_has_no_effect_is_warned_of(void)
{
	static const struct {
		const char *members, *words;
	} warnings[] = {
		{"'revocationGrace': '1h'", "revocationGrace: says nothing without cert"},
		{"'crlSizeLimit': '1MB'", "crlSizeLimit: says nothing without cert"},
		{"'crlTimeLimit': '1s'", "crlTimeLimit: says nothing without cert"},
		{"'ocspUrl': 'http://x/'", "ocspUrl: says nothing while ocsp is off"},
		{CRL ", 'revocationExemptUntil': '2020-01-01'", "revocationExemptUntil: is over"},
		{"'revocationChek': 'leaf'", "revocationChek: unknown, not used"},
	};

	for (size_t i = 0; i < sizeof(warnings) / sizeof(warnings[0]); i++) {
		struct trust_store *store = read_members(warnings[i].members);

		CU_ASSERT_PTR_NOT_NULL(store);
		CU_ASSERT_EQUAL(strncmp(reported, "warning: trust.json: authority 2: ", 34), 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(reported, warnings[i].words));
		trust_store_free(store);
	}
}

static struct trust_store *read_signer(const char *members)
{
	char json[32768];

	snprintf(json, sizeof(json),
		"[{\"isRootAuthority\": true, \"certificate\": \"%s\"},"
		" {\"isRootAuthority\": false, \"isCrlSigner\": true, \"certificate\": \"%s\"%s}]",
		root_base64, signer_base64, members);
	return read_text(json);
}

static void test_a_crl_signer_needs_no_ca_certificate_and_has_no_terms(void)
{
	struct trust_store *store = read_signer("");
	struct trust_store *again;

	CU_ASSERT_STRING_EQUAL(reported, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(store);
	CU_ASSERT_TRUE(store->authorities[1].is_crl_signer);
	again = read_again(store, TRUST_FORMAT_OWN);
	CU_ASSERT_PTR_NOT_NULL_FATAL(again);
	CU_ASSERT_TRUE(again->authorities[1].is_crl_signer);
	trust_store_free(again);
	trust_store_free(store);
	CU_ASSERT_PTR_NULL(read_signer(", \"certificateRevocationListUrl\": \"http://x/y\""));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(reported, "certificateRevocationListUrl: not for a CRL signer"));
}

static void test_two_certificates_of_one_authority_have_one_set_of_terms(void)
{
	struct pki renewed = pki_make((struct pki_spec){.name = "Issuing CA",
		.issuer = &root,
		.key_of = &issuing,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage});
	char *base64 = pki_base64(renewed.certificate);
	char json[32768];

	snprintf(json, sizeof(json),
		"[{\"isRootAuthority\": true, \"certificate\": \"%s\"},"
		" {\"isRootAuthority\": false, \"certificate\": \"%s\","
		"  \"rules\": [{\"domains\": [\"a.example\"]}]},"
		" {\"isRootAuthority\": false, \"certificate\": \"%s\"}]",
		root_base64, issuing_base64, base64);
	CU_ASSERT_PTR_NULL(read_text(json));
	CU_ASSERT_PTR_NOT_NULL(strstr(reported, "authority 3: rules: not that of authority 2"));
	free(base64);
	pki_free(&renewed);
}

/* Whether authority 2 of a store with the members is withdrawn by one with the others. */
static bool is_withdrawn(const char *before, const char *after)
{
	struct trust_store *old = read_members(before);
	struct trust_store *now = read_members(after);
	uint64_t withdrawn[AUTHORITY_MAX / 64];
	bool is_so;

	CU_ASSERT_PTR_NOT_NULL_FATAL(old);
	CU_ASSERT_PTR_NOT_NULL_FATAL(now);
	memset(withdrawn, 0xff, sizeof(withdrawn));
	trust_store_compare(old, now, withdrawn);
	CU_ASSERT_EQUAL(withdrawn[0] & 1, 0);
	for (size_t i = 1; i < AUTHORITY_MAX / 64; i++)
		CU_ASSERT_EQUAL(withdrawn[i], 0);
	is_so = withdrawn[0] == 2;
	CU_ASSERT_TRUE(is_so || withdrawn[0] == 0);
	trust_store_free(now);
	trust_store_free(old);
	return is_so;
}

static void test_other_terms_withdraw_an_authority(void)
{
	static const char *const members[] = {"", CRL,
		CRL ", 'deltaCertificateRevocationListUrl': 'http://x/d'",
		MORE("[{'certificateRevocationListUrl': 'http://x/1'}]"),
		MORE("[{'certificateRevocationListUrl': 'http://x/2'}]"),
		CRL ", 'revocationCheck': 'leaf'", CRL ", 'revocationGrace': '1h'",
		CRL ", 'revocationExemptUntil': '2099-01-01'", CRL ", 'ocsp': 'soft'",
		CRL ", 'ocsp': 'soft', 'ocspUrl': 'http://x/'", RULE("{'domains': ['x.y']}"),
		RULE("{'domains': ['x.z']}"), RULE("{'mailboxes': ['a@x.z']}"),
		RULE("{'policy': '1.2.3', 'domains': ['x.z']}")};
	const size_t count = sizeof(members) / sizeof(members[0]);

	for (size_t i = 0; i < count; i++)
		for (size_t n = 0; n < count; n++)
			CU_ASSERT_EQUAL(is_withdrawn(members[i], members[n]), i != n);
}

static void test_other_limits_and_remarks_withdraw_nothing(void)
{
	CU_ASSERT_FALSE(is_withdrawn(CRL, CRL ", 'crlSizeLimit': '1MB', 'crlTimeLimit': '1s'"));
	CU_ASSERT_FALSE(is_withdrawn(CRL ", 'revocationExemptUntil': '2099-01-01'",
		CRL ", 'revocationExemptUntil': '2099-01-01', 'revocationExemptReason': 'x'"));
}

static void test_a_missing_authority_is_withdrawn_and_a_moved_one_is_not(void)
{
	struct trust_store *old = expect_members(CRL);
	uint64_t withdrawn[AUTHORITY_MAX / 64];
	struct trust_store *now;
	char json[32768];

	snprintf(json, sizeof(json),
		"[{\"isRootAuthority\": false, \"certificate\": \"%s\","
		"  \"certificateRevocationListUrl\": \"http://pki/i.crl\"},"
		" {\"isRootAuthority\": true, \"certificate\": \"%s\"}]",
		issuing_base64, root_base64);
	now = read_text(json);
	CU_ASSERT_PTR_NOT_NULL_FATAL(now);
	trust_store_compare(old, now, withdrawn);
	CU_ASSERT_EQUAL(withdrawn[0], 0);
	trust_store_free(now);
	snprintf(json, sizeof(json), "[{\"isRootAuthority\": true, \"certificate\": \"%s\"}]",
		root_base64);
	now = read_text(json);
	CU_ASSERT_PTR_NOT_NULL_FATAL(now);
	trust_store_compare(old, now, withdrawn);
	CU_ASSERT_EQUAL(withdrawn[0], 2);
	trust_store_compare(now, old, withdrawn);
	CU_ASSERT_EQUAL(withdrawn[0], 0);
	trust_store_free(now);
	trust_store_free(old);
}

static X509 *make_phone(const char *policies)
{
	struct pki_spec spec = pki_phone(&issuing);
	struct pki phone;

	spec.policies = policies;
	phone = pki_make(spec);
	EVP_PKEY_free(phone.key);
	return phone.certificate;
}

static void test_rules_apply_by_policy(void)
{
	static const struct {
		const char *policies;
		uint32_t rules;
	} cases[] = {
		{NULL, 2},
		{"1.2.3.4", 3},
		{"1.2.3.40", 2},
		{"1.2.3.5, 1.2.3.4", 7},
		/* anyPolicy is for CAs: here it would open every door. */
		{"2.5.29.32.0", 2},
	};
	struct trust_store *store =
		expect_members("'rules': [{'policy': '1.2.3.4', 'domains': ['x.y']},"
			       " {'domains': ['x.y']}, {'policy': '1.2.3.5', 'domains': ['x.y']}]");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		X509 *phone = make_phone(cases[i].policies);

		CU_ASSERT_EQUAL(trust_rules_match(&store->authorities[1], phone), cases[i].rules);
		CU_ASSERT_EQUAL(trust_rules_match(&store->authorities[0], phone), 0);
		X509_free(phone);
	}
	trust_store_free(store);
}

static void test_malformed_policies_match_no_rule(void)
{
	struct trust_store *store = expect_members(RULE("{'domains': ['x.y']}"));
	X509 *phone = make_phone("1.2.3.4");
	X509_EXTENSION *extension =
		X509_get_ext(phone, X509_get_ext_by_NID(phone, NID_certificate_policies, -1));

	CU_ASSERT_EQUAL(trust_rules_match(&store->authorities[1], phone), 1);
	CU_ASSERT_EQUAL(X509_add_ext(phone, extension, -1), 1);
	CU_ASSERT_EQUAL(trust_rules_match(&store->authorities[1], phone), 0);
	X509_free(phone);
	trust_store_free(store);
}

static void test_rules_allow_the_mailboxes_that_they_name(void)
{
	struct trust_store *store =
		expect_members("'rules': [{'domains': ['example.com']},"
			       " {'policy': '1.2.3', 'mailboxes': ['alice@example.org']},"
			       " {'policy': '1.2.4', 'domains': ['*']}]");
	const struct authority *it = &store->authorities[1];

	CU_ASSERT_TRUE(trust_rules_allow(it, 1, "bob@example.com"));
	CU_ASSERT_TRUE(trust_rules_allow(it, 1, "BOB@Example.COM"));
	CU_ASSERT_FALSE(trust_rules_allow(it, 1, "bob@mail.example.com"));
	CU_ASSERT_FALSE(trust_rules_allow(it, 1, "bob@notexample.com"));
	CU_ASSERT_FALSE(trust_rules_allow(it, 1, "example.com"));
	CU_ASSERT_FALSE(trust_rules_allow(it, 1, "alice@example.org"));
	CU_ASSERT_TRUE(trust_rules_allow(it, 3, "alice@example.org"));
	CU_ASSERT_FALSE(trust_rules_allow(it, 3, "bob@example.org"));
	CU_ASSERT_TRUE(trust_rules_allow(it, 4, "anybody@anywhere.example"));
	CU_ASSERT_FALSE(trust_rules_allow(it, 0, "bob@example.com"));
	CU_ASSERT_FALSE(trust_rules_allow(it, 0, ""));
	/* Without rules an authority may vouch for everybody. */
	CU_ASSERT_TRUE(trust_rules_allow(&store->authorities[0], 0, "bob@example.net"));
	trust_store_free(store);
}

static const struct check checks[] = {
	{"every member is read", test_every_member_is_read},
	{"what is not written is as by default", test_what_is_not_written_is_as_by_default},
	{"what is written is read again", test_what_is_written_is_read_again},
	{"Microsoft's formats keep Microsoft's members",
		test_microsoft_s_formats_keep_microsoft_s_members},
	{"Microsoft's formats have their own names alone",
		test_microsoft_s_formats_have_their_own_names_alone},
	{"each fault names authority and member", test_each_fault_names_authority_and_member},
	{"what has no effect is warned of", test_what_has_no_effect_is_warned_of},
	{"a CRL signer needs no CA certificate and has no terms",
		test_a_crl_signer_needs_no_ca_certificate_and_has_no_terms},
	{"two certificates of one authority have one set of terms",
		test_two_certificates_of_one_authority_have_one_set_of_terms},
	{"other terms withdraw an authority", test_other_terms_withdraw_an_authority},
	{"other limits and remarks withdraw nothing",
		test_other_limits_and_remarks_withdraw_nothing},
	{"a missing authority is withdrawn, and a moved one is not",
		test_a_missing_authority_is_withdrawn_and_a_moved_one_is_not},
	{"rules apply by policy", test_rules_apply_by_policy},
	{"malformed policies match no rule", test_malformed_policies_match_no_rule},
	{"rules allow the mailboxes that they name", test_rules_allow_the_mailboxes_that_they_name},
};

int main(void)
{
	int status;

	root = pki_make_ca("Root CA", NULL);
	issuing = pki_make_ca("Issuing CA", &root);
	signer = pki_make((struct pki_spec){.name = "Root CA",
		.issuer = &root,
		.basic_constraints = "critical,CA:FALSE",
		.key_usage = "critical,cRLSign"});
	root_base64 = pki_base64(root.certificate);
	issuing_base64 = pki_base64(issuing.certificate);
	signer_base64 = pki_base64(signer.certificate);
	status = check_run("auth/trust_terms", checks, sizeof(checks) / sizeof(checks[0]));
	free(signer_base64);
	free(issuing_base64);
	free(root_base64);
	pki_free(&signer);
	pki_free(&issuing);
	pki_free(&root);
	return status;
}
