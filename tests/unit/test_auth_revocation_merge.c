#include <sys/stat.h>

#include "check.h"
#include "tests/unit/revocation_world.h"

static struct world world;
static int ca, other;

/* A CRL as a test asks for it; times in seconds from now. */
struct crl_spec {
	long number; /* -1: none */
	long base;   /* 0: a complete CRL, else a delta that starts from that number */
	long this_update, next_update;
	const char *scope; /* NULL: none */
	/* Serials in octets, each with its reason (0: none), up to serial 0. */
	struct {
		uint8_t serial, reason;
	} entries[8];
};

static X509_CRL *crl_of(const struct crl_spec *spec, const struct maker_ca *issuer)
{
	X509_CRL *crl = maker_crl_new(issuer, spec->this_update, spec->next_update, spec->number);

	for (size_t i = 0; spec->entries[i].serial != 0; i++)
		maker_revoke(crl, &spec->entries[i].serial, 1, 0,
			spec->entries[i].reason == 0 ? -1 : spec->entries[i].reason);
	if (spec->base != 0)
		maker_crl_delta(crl, spec->base);
	if (spec->scope != NULL)
		maker_crl_extension(crl, NID_issuing_distribution_point, spec->scope, NULL);
	return crl;
}

static struct revocation_index *base_of(const struct crl_spec *spec)
{
	struct error err;
	struct revocation_index *index =
		world_compile(&world, ca, crl_of(spec, &world.cas[ca]), &world.cas[ca], &err);

	maker_must(index != NULL, err.text);
	return index;
}

/* Merges and opens; NULL with err filled. The CRL is signed and freed. */
static struct revocation_index *merge(const struct revocation_index *base, int authority,
	X509_CRL *delta, const struct maker_ca *signer, const struct revocation_facts *previous,
	struct error *err)
{
	const struct revocation_signers signers = {&world.store, authority};
	struct span der = maker_crl_sign(delta, signer, EVP_sha256());
	int fd = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct revocation_index *index = NULL;
	struct revocation_facts facts;
	struct stat st;

	err->text[0] = '\0';
	if (revocation_merge(base, der, &signers, previous, time(NULL), fd, &facts, err) == 0) {
		index = revocation_index_open(fd, "test", err);
		CU_ASSERT_PTR_NOT_NULL_FATAL(index);
		CU_ASSERT_EQUAL(memcmp(&facts, revocation_index_facts(index), sizeof(facts)), 0);
	} else {
		CU_ASSERT_EQUAL(fstat(fd, &st), 0);
		CU_ASSERT_EQUAL(st.st_size, 0);
	}
	close(fd);
	maker_span_free(&der);
	return index;
}

/* The reason with which a serial is in the index; -1: it is not. */
static int reason_of(const struct revocation_index *index, uint8_t octet)
{
	struct revocation_finding finding;
	struct serial serial = {{0}};

	serial.octets[19] = octet;
	return revocation_index_find(index, NULL, &serial, &finding) ? (int)finding.reason : -1;
}

static const struct crl_spec usual_base = {.number = 10,
	.this_update = -600,
	.next_update = 7200,
	.entries = {{3, 1}, {4, 6}, {5, 0}, {6, 6}, {7, 4}}};

static void test_entries_of_both_are_merged(void)
{
	static const struct crl_spec delta = {.number = 12,
		.base = 10,
		.this_update = -60,
		.next_update = 3600,
		.entries = {{2, 1}, {4, 8}, {5, 4}, {6, 1}, {7, 8}, {8, 6}, {9, 8}}};
	static const struct {
		uint8_t serial;
		int reason;
	} cases[] = {
		{2, 1},  /* new, before all others */
		{3, 1},  /* of the base alone */
		{4, -1}, /* held, and released */
		{5, 4},  /* another reason */
		{6, 1},  /* held, and revoked for good */
		{7, 4},  /* revoked for good: nothing takes that back */
		{8, 6},  /* new, after all others */
		{9, -1}, /* released, and not known before */
		{1, -1},
	};
	struct revocation_index *base = base_of(&usual_base);
	struct error err;
	struct revocation_index *index =
		merge(base, ca, crl_of(&delta, &world.cas[ca]), &world.cas[ca], NULL, &err);

	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(reason_of(index, cases[i].serial), cases[i].reason);
	CU_ASSERT_EQUAL(revocation_index_facts(index)->entry_count, 6);
	revocation_index_close(index);
	revocation_index_close(base);
}

static void test_pair_is_as_new_as_the_newer_and_stale_with_the_first(void)
{
	static const struct {
		long base_next, delta_next, next;
	} cases[] = {{7200, 3600, 3600}, {3600, 7200, 3600}, {3600, 3600, 3600}};
	int64_t now = time(NULL);
	struct error err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct crl_spec base_spec = usual_base;
		struct crl_spec delta = {.number = 12,
			.base = 9,
			.this_update = -60,
			.next_update = cases[i].delta_next};
		const struct revocation_facts *facts;
		struct revocation_index *base;
		struct revocation_index *index;

		base_spec.next_update = cases[i].base_next;
		base = base_of(&base_spec);
		index = merge(base, ca, crl_of(&delta, &world.cas[ca]), &world.cas[ca], NULL, &err);
		CU_ASSERT_PTR_NOT_NULL_FATAL(index);
		facts = revocation_index_facts(index);
		CU_ASSERT_TRUE(facts->has_delta && facts->has_number);
		CU_ASSERT_EQUAL(facts->crl_number[19], 10);
		CU_ASSERT_EQUAL(facts->delta_number[19], 12);
		CU_ASSERT_TRUE(facts->this_update >= now - 65 && facts->this_update <= now - 50);
		CU_ASSERT_TRUE(facts->base_this_update >= now - 605 &&
			       facts->base_this_update <= now - 590);
		CU_ASSERT_TRUE(facts->next_update >= now + cases[i].next - 5 &&
			       facts->next_update <= now + cases[i].next + 10);
		CU_ASSERT_TRUE(facts->size_bytes > revocation_index_facts(base)->size_bytes);
		revocation_index_close(index);
		revocation_index_close(base);
	}
}

static const struct {
	const char *what;
	struct crl_spec base, delta;
	const char *why; /* NULL: they fit */
} pair_cases[] = {
	{"from the base itself", {.number = 10}, {.number = 11, .base = 10}, NULL},
	{"from before the base", {.number = 10}, {.number = 11, .base = 3}, NULL},
	{"with the base", {.number = 10}, {.number = 10, .base = 3}, NULL},
	{"from after the base", {.number = 10}, {.number = 12, .base = 11}, "newer than the base"},
	{"older by number", {.number = 10}, {.number = 9, .base = 3}, "older than its base"},
	{"older by time", {.number = 10}, {.number = 11, .base = 3, .this_update = -700},
		"older than its base"},
	{"without a number", {.number = 10}, {.number = -1, .base = 3}, "no CRL number"},
	{"base without a number", {.number = -1}, {.number = 11, .base = 3}, "no CRL number"},
	{"no delta", {.number = 10}, {.number = 11}, "a complete CRL"},
	{"not yet valid", {.number = 10}, {.number = 11, .base = 3, .this_update = 900},
		"in the future"},
	{"the same scope", {.number = 10, .scope = "critical,onlyuser:TRUE"},
		{.number = 11, .base = 10, .scope = "critical,onlyuser:TRUE"}, NULL},
	{"a scope, and none", {.number = 10, .scope = "critical,onlyuser:TRUE"},
		{.number = 11, .base = 10}, "its scope"},
	{"none, and a scope", {.number = 10},
		{.number = 11, .base = 10, .scope = "critical,onlyuser:TRUE"}, "its scope"},
	{"other names", {.number = 10, .scope = "critical,fullname:URI:http://a/1"},
		{.number = 11, .base = 10, .scope = "critical,fullname:URI:http://a/2"},
		"its scope"},
	{"other reasons", {.number = 10, .scope = "critical,onlysomereasons:keyCompromise"},
		{.number = 11, .base = 10, .scope = "critical,onlysomereasons:superseded"},
		"its scope"},
};

static void test_delta_must_fit_its_base(void)
{
	for (size_t i = 0; i < sizeof(pair_cases) / sizeof(pair_cases[0]); i++) {
		struct crl_spec base_spec = pair_cases[i].base;
		struct crl_spec delta = pair_cases[i].delta;
		struct revocation_index *base;
		struct revocation_index *index;
		struct error err;

		base_spec.this_update = -600;
		base_spec.next_update = delta.next_update = 3600;
		if (delta.this_update == 0)
			delta.this_update = -60;
		base = base_of(&base_spec);
		index = merge(base, ca, crl_of(&delta, &world.cas[ca]), &world.cas[ca], NULL, &err);
		CU_ASSERT_EQUAL(index != NULL, pair_cases[i].why == NULL);
		if (pair_cases[i].why != NULL && strstr(err.text, pair_cases[i].why) == NULL) {
			fprintf(stderr, "\n%s: \"%s\"\n", pair_cases[i].what, err.text);
			CU_FAIL("another reason");
		}
		revocation_index_close(index);
		revocation_index_close(base);
	}
}

static void test_delta_by_another_is_refused(void)
{
	static const struct crl_spec delta = {
		.number = 12, .base = 10, .this_update = -60, .next_update = 3600};
	struct revocation_index *base = base_of(&usual_base);
	struct error err;

	/* By the same name with another key, which may sign CRLs, but did not sign the base. */
	CU_ASSERT_PTR_NULL(
		merge(base, ca, crl_of(&delta, &world.cas[other]), &world.cas[other], NULL, &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "another key than its base"));
	/* For another authority's slot. */
	CU_ASSERT_PTR_NULL(merge(
		base, other, crl_of(&delta, &world.cas[other]), &world.cas[other], NULL, &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "another authority's"));
	revocation_index_close(base);
}

static void test_replayed_delta_is_refused(void)
{
	static const struct {
		long number, this_update;
		const char *why;
	} cases[] = {
		{12, -60, NULL},
		{13, -30, NULL},
		{11, -30, "replayed"},
		{13, -90, "replayed"},
	};
	struct crl_spec delta = {.number = 12, .base = 10, .this_update = -61, .next_update = 3600};
	struct revocation_index *base = base_of(&usual_base);
	struct error err;
	struct revocation_index *before =
		merge(base, ca, crl_of(&delta, &world.cas[ca]), &world.cas[ca], NULL, &err);

	CU_ASSERT_PTR_NOT_NULL_FATAL(before);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct revocation_index *index;

		delta.number = cases[i].number;
		delta.this_update = cases[i].this_update;
		index = merge(base, ca, crl_of(&delta, &world.cas[ca]), &world.cas[ca],
			revocation_index_facts(before), &err);
		CU_ASSERT_EQUAL(index != NULL, cases[i].why == NULL);
		if (cases[i].why != NULL)
			CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i].why));
		revocation_index_close(index);
	}
	/* A merged index is no base: what the first delta held could not be told from the base. */
	CU_ASSERT_PTR_NULL(
		merge(before, ca, crl_of(&delta, &world.cas[ca]), &world.cas[ca], NULL, &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "delta merged into it already"));
	revocation_index_close(before);
	revocation_index_close(base);
}

static void test_delta_is_no_complete_crl(void)
{
	static const struct crl_spec delta = {
		.number = 12, .base = 10, .this_update = -60, .next_update = 3600};
	struct error err;

	CU_ASSERT_PTR_NULL(
		world_compile(&world, ca, crl_of(&delta, &world.cas[ca]), &world.cas[ca], &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "a delta CRL where a complete one was expected"));
}

static void test_longer_serials_in_the_delta(void)
{
	struct revocation_index *base = base_of(&usual_base);
	X509_CRL *delta = maker_crl_new(&world.cas[ca], -60, 3600, 11);
	struct serial serial = {{0}};
	struct revocation_index *index;
	struct error err;

	maker_crl_delta(delta, 10);
	maker_revoke_series(delta, 0, 100);
	index = merge(base, ca, delta, &world.cas[ca], NULL, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	CU_ASSERT_EQUAL(revocation_index_facts(index)->entry_count, 105);
	for (uint32_t i = 0; i < 101; i++) {
		maker_serial(i, serial.octets + 4);
		CU_ASSERT_EQUAL(revocation_index_find(index, NULL, &serial, NULL), i < 100);
	}
	CU_ASSERT_EQUAL(reason_of(index, 3), 1);
	revocation_index_close(index);
	revocation_index_close(base);
}

/* An entry of CA's or Third's indirect CRL. */
static void revoke_of(X509_CRL *crl, uint8_t serial, int reason, X509 *issuer)
{
	maker_entry_issuer(maker_revoke(crl, &serial, 1, 0, reason), issuer);
}

static void test_indirect_crls_merge_by_issuer(void)
{
	static const char *const scope = "critical,indirectCRL:TRUE";
	struct maker_ca second = maker_ca_new("Second");
	struct maker_ca third = maker_ca_new("Third");
	struct name_key names[2];
	X509_CRL *crl = maker_crl_new(&world.cas[ca], -600, 3600, 10);
	struct revocation_index *base;
	struct revocation_index *index;
	struct error err;

	name_key_of_name(X509_get_subject_name(second.certificate), &names[0]);
	name_key_of_name(X509_get_subject_name(third.certificate), &names[1]);
	maker_crl_extension(crl, NID_issuing_distribution_point, scope, NULL);
	maker_revoke(crl, "\x03", 1, 0, 6);
	revoke_of(crl, 4, 6, second.certificate);
	revoke_of(crl, 5, 6, second.certificate);
	base = world_compile(&world, ca, crl, &world.cas[ca], &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(base);
	crl = maker_crl_new(&world.cas[ca], -60, 3600, 11);
	maker_crl_delta(crl, 10);
	maker_crl_extension(crl, NID_issuing_distribution_point, scope, NULL);
	revoke_of(crl, 4, 1, third.certificate);  /* not that of Second */
	revoke_of(crl, 3, 8, second.certificate); /* nor that of CA */
	revoke_of(crl, 5, 8, second.certificate);
	index = merge(base, ca, crl, &world.cas[ca], NULL, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	for (uint8_t octet = 3; octet < 6; octet++) {
		struct serial serial = {{0}};

		serial.octets[19] = octet;
		CU_ASSERT_EQUAL(revocation_index_find(index, NULL, &serial, NULL), octet == 3);
		CU_ASSERT_EQUAL(revocation_index_find(index, &names[0], &serial, NULL), octet == 4);
		CU_ASSERT_EQUAL(revocation_index_find(index, &names[1], &serial, NULL), octet == 4);
	}
	CU_ASSERT_EQUAL(revocation_index_facts(index)->entry_count, 3);
	revocation_index_close(index);
	revocation_index_close(base);
	maker_ca_free(&second);
	maker_ca_free(&third);
}

static void test_invalidity_dates_survive(void)
{
	struct crl_spec spec = usual_base;
	ASN1_GENERALIZEDTIME *when = ASN1_GENERALIZEDTIME_set(NULL, 1600000000);
	X509_CRL *crl;
	struct revocation_finding finding;
	struct revocation_index *base;
	struct revocation_index *index;
	struct serial serial = {{0}};
	struct error err;

	spec.entries[0].serial = 0;
	crl = crl_of(&spec, &world.cas[ca]);
	X509_REVOKED_add1_ext_i2d(
		maker_revoke(crl, "\x05", 1, 0, 1), NID_invalidity_date, when, 0, 0);
	maker_revoke(crl, "\x04", 1, 0, 1);
	base = world_compile(&world, ca, crl, &world.cas[ca], &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(base);
	crl = maker_crl_new(&world.cas[ca], -60, 3600, 11);
	maker_crl_delta(crl, 10);
	maker_revoke(crl, "\x03", 1, 0, 1);
	X509_REVOKED_add1_ext_i2d(
		maker_revoke(crl, "\x06", 1, 0, 1), NID_invalidity_date, when, 0, 0);
	index = merge(base, ca, crl, &world.cas[ca], NULL, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	for (uint8_t octet = 3; octet <= 6; octet++) {
		serial.octets[19] = octet;
		CU_ASSERT_TRUE(revocation_index_find(index, NULL, &serial, &finding));
		CU_ASSERT_EQUAL(finding.invalidity_date, octet >= 5 ? 1600000000 : 0);
	}
	revocation_index_close(index);
	revocation_index_close(base);
	ASN1_GENERALIZEDTIME_free(when);
}

static void test_everything_released_leaves_an_empty_index(void)
{
	static const struct crl_spec base_spec = {
		.number = 10, .this_update = -600, .next_update = 3600, .entries = {{4, 6}}};
	static const struct crl_spec delta = {.number = 11,
		.base = 10,
		.this_update = -60,
		.next_update = 3600,
		.entries = {{4, 8}}};
	struct revocation_index *base = base_of(&base_spec);
	struct error err;
	struct revocation_index *index =
		merge(base, ca, crl_of(&delta, &world.cas[ca]), &world.cas[ca], NULL, &err);

	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	CU_ASSERT_EQUAL(revocation_index_facts(index)->entry_count, 0);
	CU_ASSERT_EQUAL(reason_of(index, 4), -1);
	revocation_index_close(index);
	revocation_index_close(base);
}

int main(void)
{
	static const struct check checks[] = {
		{"entries of both are merged", test_entries_of_both_are_merged},
		{"a pair is as new as the newer, and stale with the first",
			test_pair_is_as_new_as_the_newer_and_stale_with_the_first},
		{"a delta must fit its base", test_delta_must_fit_its_base},
		{"a delta by another is refused", test_delta_by_another_is_refused},
		{"a replayed delta is refused", test_replayed_delta_is_refused},
		{"a delta is no complete CRL", test_delta_is_no_complete_crl},
		{"longer serials in the delta", test_longer_serials_in_the_delta},
		{"indirect CRLs merge by issuer", test_indirect_crls_merge_by_issuer},
		{"invalidity dates survive", test_invalidity_dates_survive},
		{"everything released leaves an empty index",
			test_everything_released_leaves_an_empty_index},
	};
	int status;
	int root = world_add(&world, &(struct maker_spec){.name = "Root"}, 0);

	ca = world_add(&world, &(struct maker_spec){.name = "CA", .issuer = &world.cas[root]}, 1);
	other = world_add(
		&world, &(struct maker_spec){.name = "CA", .issuer = &world.cas[root]}, 1);
	world_begin(&world);
	status = check_run("auth/revocation_merge", checks, sizeof(checks) / sizeof(checks[0]));
	world_free(&world);
	return status;
}
