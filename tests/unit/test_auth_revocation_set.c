#include "check.h"
#include "tests/unit/revocation_world.h"

/* Sections for distribution points in the manner of openssl.cnf. */
static const char *const sections = "[a]\n"
				    "fullname=URI:http://crl.example/a.crl\n"
				    "[b]\n"
				    "fullname=URI:http://crl.example/b.crl\n"
				    "[a_in_capitals]\n"
				    "fullname=URI:HTTP://CRL.Example/a.crl\n"
				    "[a_with_other_path]\n"
				    "fullname=URI:http://crl.example/A.crl\n"
				    "[a_for_some]\n"
				    "fullname=URI:http://crl.example/a.crl\n"
				    "reasons=keyCompromise\n"
				    "[b_for_others]\n"
				    "fullname=URI:http://crl.example/b.crl\n"
				    "reasons=CACompromise,affiliationChanged,superseded,"
				    "cessationOfOperation,certificateHold,privilegeWithdrawn,"
				    "AACompromise\n"
				    "[a_and_b]\n"
				    "fullname=URI:http://crl.example/b.crl,"
				    "URI:http://crl.example/a.crl\n"
				    "[dir]\n"
				    "fullname=dirName:dir_name\n"
				    "[dir_name]\n"
				    "CN=CA\n"
				    "[part]\n"
				    "fullname=dirName:part_name\n"
				    "[part_name]\n"
				    "1.CN=CA\n"
				    "2.OU=part\n"
				    "[relative]\n"
				    "relativename=relative_name\n"
				    "[relative_name]\n"
				    "OU=Part\n"
				    "[elsewhere]\n"
				    "CRLissuer=dirName:elsewhere_name\n"
				    "[elsewhere_name]\n"
				    "CN=CRL signer\n";

struct scope_case {
	const char *what;
	const char *scopes[2]; /* of the CRLs; "": none; NULL: no such CRL */
	const char *points;    /* of the certificate */
	bool is_ca;
	uint8_t serial; /* 5 is on the first CRL, 6 on the second */
	enum refusal refusal;
};

static const struct scope_case scope_cases[] = {
	{"nothing yet", {NULL, NULL}, NULL, false, 7, REFUSAL_REVOCATION_UNAVAILABLE},
	{"a CRL for all", {"", NULL}, NULL, false, 7, REFUSAL_NONE},
	{"a CRL for all", {"", NULL}, NULL, true, 7, REFUSAL_NONE},
	{"a CRL for all", {"", NULL}, NULL, false, 5, REFUSAL_CERTIFICATE_REVOKED},
	{"a CRL for all, a point", {"", NULL}, "a", false, 7, REFUSAL_NONE},
	{"a CRL for all, a point for a reason", {"", NULL}, "a_for_some", false, 7, REFUSAL_NONE},
	{"users only", {"onlyuser:TRUE", NULL}, NULL, false, 7, REFUSAL_NONE},
	{"users only, revoked", {"onlyuser:TRUE", NULL}, NULL, false, 5,
		REFUSAL_CERTIFICATE_REVOKED},
	{"users only", {"onlyuser:TRUE", NULL}, NULL, true, 7, REFUSAL_REVOCATION_UNKNOWN},
	{"users only", {"onlyuser:TRUE", NULL}, NULL, true, 5, REFUSAL_REVOCATION_UNKNOWN},
	{"CAs only", {"onlyCA:TRUE", NULL}, NULL, false, 7, REFUSAL_REVOCATION_UNKNOWN},
	{"CAs only", {"onlyCA:TRUE", NULL}, NULL, true, 7, REFUSAL_NONE},
	{"CAs only, revoked", {"onlyCA:TRUE", NULL}, NULL, true, 5, REFUSAL_CERTIFICATE_REVOKED},
	{"users, CAs", {"onlyuser:TRUE", "onlyCA:TRUE"}, NULL, false, 7, REFUSAL_NONE},
	{"users, CAs", {"onlyuser:TRUE", "onlyCA:TRUE"}, NULL, true, 7, REFUSAL_NONE},
	{"users, CAs, revoked", {"onlyuser:TRUE", "onlyCA:TRUE"}, NULL, true, 6,
		REFUSAL_CERTIFICATE_REVOKED},
	{"a CA's serial for a user", {"onlyuser:TRUE", "onlyCA:TRUE"}, NULL, false, 6,
		REFUSAL_NONE},
	{"one reason", {"onlysomereasons:keyCompromise", NULL}, NULL, false, 7,
		REFUSAL_REVOCATION_UNKNOWN},
	{"one reason, revoked for it", {"onlysomereasons:keyCompromise", NULL}, NULL, false, 5,
		REFUSAL_CERTIFICATE_REVOKED},
	{"a name, the same point", {"fullname:URI:http://crl.example/a.crl", NULL}, "a", false, 7,
		REFUSAL_NONE},
	{"a name, revoked", {"fullname:URI:http://crl.example/a.crl", NULL}, "a", false, 5,
		REFUSAL_CERTIFICATE_REVOKED},
	{"a name, in another case", {"fullname:URI:http://crl.example/a.crl", NULL},
		"a_in_capitals", false, 7, REFUSAL_NONE},
	{"a name, of another path", {"fullname:URI:http://crl.example/a.crl", NULL},
		"a_with_other_path", false, 7, REFUSAL_REVOCATION_UNKNOWN},
	{"a name, another point", {"fullname:URI:http://crl.example/a.crl", NULL}, "b", false, 7,
		REFUSAL_REVOCATION_UNKNOWN},
	{"another point, and on the list", {"fullname:URI:http://crl.example/a.crl", NULL}, "b",
		false, 5, REFUSAL_REVOCATION_UNKNOWN},
	{"a name, no point", {"fullname:URI:http://crl.example/a.crl", NULL}, NULL, false, 7,
		REFUSAL_REVOCATION_UNKNOWN},
	{"a name, one of two", {"fullname:URI:http://crl.example/a.crl", NULL}, "a_and_b", false, 7,
		REFUSAL_NONE},
	{"a name, one of two points", {"fullname:URI:http://crl.example/a.crl", NULL}, "b,a", false,
		7, REFUSAL_NONE},
	{"two names, two CRLs",
		{"fullname:URI:http://crl.example/a.crl", "fullname:URI:http://crl.example/b.crl"},
		"b", false, 6, REFUSAL_CERTIFICATE_REVOKED},
	{"two names, two CRLs",
		{"fullname:URI:http://crl.example/a.crl", "fullname:URI:http://crl.example/b.crl"},
		"b", false, 5, REFUSAL_NONE},
	{"a point for a reason", {"fullname:URI:http://crl.example/a.crl", NULL}, "a_for_some",
		false, 7, REFUSAL_REVOCATION_UNKNOWN},
	{"two points for all reasons",
		{"fullname:URI:http://crl.example/a.crl", "fullname:URI:http://crl.example/b.crl"},
		"a_for_some,b_for_others", false, 7, REFUSAL_NONE},
	{"two points for all reasons, one CRL", {"fullname:URI:http://crl.example/b.crl", NULL},
		"a_for_some,b_for_others", false, 7, REFUSAL_REVOCATION_UNKNOWN},
	{"the issuer as name, no point", {"fullname:dirName:dir_name", NULL}, NULL, false, 7,
		REFUSAL_NONE},
	{"the issuer as name, as point", {"fullname:dirName:dir_name", NULL}, "dir", false, 7,
		REFUSAL_NONE},
	{"a relative name, in full", {"relativename:relative_name", NULL}, "part", false, 7,
		REFUSAL_NONE},
	{"a relative name, relative", {"relativename:relative_name", NULL}, "relative", false, 7,
		REFUSAL_NONE},
	{"a full name, relative", {"fullname:dirName:part_name", NULL}, "relative", false, 5,
		REFUSAL_CERTIFICATE_REVOKED},
	{"a relative name, another", {"relativename:relative_name", NULL}, "dir", false, 7,
		REFUSAL_REVOCATION_UNKNOWN},
	{"a point of another issuer", {"", NULL}, "elsewhere", false, 7, REFUSAL_NONE},
	{"a point of another issuer, a name", {"fullname:URI:http://crl.example/a.crl", NULL},
		"elsewhere", false, 7, REFUSAL_REVOCATION_UNKNOWN},
};

static void expect(const char *what, enum refusal got, enum refusal wanted)
{
	if (got != wanted)
		fprintf(stderr, "\n%s: %s, not %s\n", what, refusal_row(got)->name,
			refusal_row(wanted)->name);
	CU_ASSERT_EQUAL(got, wanted);
}

static void check_scope(const struct scope_case *c)
{
	struct world world = {0};
	int root = world_add(&world, &(struct maker_spec){.name = "Root"}, 0);
	int ca = world_add(
		&world, &(struct maker_spec){.name = "CA", .issuer = &world.cas[root]}, 2);
	struct maker_ca phone = maker_issue(&(struct maker_spec){.name = "phone",
		.issuer = &world.cas[ca],
		.is_no_ca = true,
		.points = c->points,
		.sections = sections});

	world_begin(&world);
	for (int place = 0; place < 2; place++) {
		const uint8_t revoked = (uint8_t)(5 + place);
		X509_CRL *crl;

		if (c->scopes[place] == NULL)
			continue;
		crl = maker_crl_new(&world.cas[ca], -60, 3600, 1);
		maker_revoke(crl, &revoked, 1, 0, 1);
		if (c->scopes[place][0] != '\0') {
			char value[128];
			snprintf(value, sizeof(value), "critical,%s", c->scopes[place]);
			maker_crl_extension(crl, NID_issuing_distribution_point, value, sections);
		}
		CU_ASSERT_STRING_EQUAL(world_put(&world, ca, place, crl, &world.cas[ca]), "");
	}
	expect(c->what, world_ask(&world, ca, c->serial, c->is_ca, phone.certificate), c->refusal);
	maker_ca_free(&phone);
	world_free(&world);
}

static void test_scopes_and_points_meet_as_in_rfc_5280(void)
{
	for (size_t i = 0; i < sizeof(scope_cases) / sizeof(scope_cases[0]); i++)
		check_scope(&scope_cases[i]);
}

/* CRLs for parts of the reasons, which openssl.cnf can only give in one value with commas. */
static X509_CRL *crl_with_reasons(const struct maker_ca *ca, unsigned int mask, uint8_t revoked)
{
	X509_CRL *crl = maker_crl_new(ca, -60, 3600, 1);
	ISSUING_DIST_POINT *idp = ISSUING_DIST_POINT_new();

	idp->onlysomereasons = ASN1_BIT_STRING_new();
	for (int bit = 0; bit < 9; bit++)
		if ((mask & 1u << bit) != 0)
			ASN1_BIT_STRING_set_bit(idp->onlysomereasons, bit, 1);
	maker_must(X509_CRL_add1_ext_i2d(crl, NID_issuing_distribution_point, idp, 1, 0) == 1,
		"reasons");
	ISSUING_DIST_POINT_free(idp);
	maker_revoke(crl, &revoked, 1, 0, 1);
	return crl;
}

static void test_every_reason_must_be_covered(void)
{
	static const struct {
		unsigned int first, second;
		uint8_t serial;
		enum refusal refusal;
	} cases[] = {
		{0x002, 0x1fc, 7, REFUSAL_NONE},
		{0x002, 0x1fc, 6, REFUSAL_CERTIFICATE_REVOKED},
		{0x002, 0x1fc, 5, REFUSAL_CERTIFICATE_REVOKED},
		{0x003, 0x1fc, 7, REFUSAL_NONE}, /* bit 0 means nothing */
		{0x0fe, 0x1ce, 7, REFUSAL_NONE}, /* some twice */
		{0x002, 0x1f8, 7, REFUSAL_REVOCATION_UNKNOWN},
		{0x0fe, 0x0fe, 7, REFUSAL_REVOCATION_UNKNOWN},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world world = {0};
		int ca = world_add(&world, &(struct maker_spec){.name = "CA"}, 2);
		const struct maker_ca *signer = &world.cas[ca];

		world_begin(&world);
		CU_ASSERT_STRING_EQUAL(world_put(&world, ca, 0,
					       crl_with_reasons(signer, cases[i].first, 5), signer),
			"");
		expect("one of two", world_ask(&world, ca, 7, false, NULL),
			REFUSAL_REVOCATION_UNKNOWN);
		CU_ASSERT_STRING_EQUAL(
			world_put(&world, ca, 1, crl_with_reasons(signer, cases[i].second, 6),
				signer),
			"");
		expect("two parts", world_ask(&world, ca, cases[i].serial, false, NULL),
			cases[i].refusal);
		world_free(&world);
	}
}

/* A root with a CA, another CA, and a certificate that signs CRLs for both. */
struct elsewhere {
	struct world world;
	int root, ca, other, signer;
	struct maker_ca phone; /* of ca, whose point names the signer */
};

static void elsewhere_begin(struct elsewhere *it, const struct maker_spec *signer_spec)
{
	struct maker_spec spec = *signer_spec;

	memset(it, 0, sizeof(*it));
	it->root = world_add(&it->world, &(struct maker_spec){.name = "Root"}, 1);
	it->ca = world_add(
		&it->world, &(struct maker_spec){.name = "CA", .issuer = &it->world.cas[0]}, 1);
	it->other = world_add(
		&it->world, &(struct maker_spec){.name = "Other", .issuer = &it->world.cas[0]}, 1);
	spec.name = "CRL signer";
	spec.issuer = &it->world.cas[it->root];
	spec.serial = 9;
	it->signer = world_add(&it->world, &spec, 0);
	it->phone = maker_issue(&(struct maker_spec){.name = "phone",
		.issuer = &it->world.cas[it->ca],
		.is_no_ca = true,
		.points = "elsewhere",
		.sections = sections});
	world_begin(&it->world);
}

static void elsewhere_free(struct elsewhere *it)
{
	maker_ca_free(&it->phone);
	world_free(&it->world);
}

/* 4 by the signer itself, 5 and 6 by CA, 7 by Other. */
static X509_CRL *indirect_crl(const struct elsewhere *it, const char *scope)
{
	const struct maker_ca *cas = it->world.cas;
	X509_CRL *crl = maker_crl_new(&cas[it->signer], -60, 3600, 1);

	maker_revoke(crl, "\x04", 1, 0, 1);
	maker_entry_issuer(maker_revoke(crl, "\x05", 1, 0, 1), cas[it->ca].certificate);
	maker_revoke(crl, "\x06", 1, 0, 1);
	maker_entry_issuer(maker_revoke(crl, "\x07", 1, 0, 1), cas[it->other].certificate);
	maker_crl_extension(crl, NID_issuing_distribution_point, scope, sections);
	return crl;
}

/* The root's own CRL, with the serial on it. */
static const char *put_root_crl(struct elsewhere *it, uint8_t serial)
{
	X509_CRL *crl = maker_crl_new(&it->world.cas[it->root], -60, 3600, 1);

	maker_revoke(crl, &serial, 1, 0, 1);
	return world_put(&it->world, it->root, 0, crl, &it->world.cas[it->root]);
}

static const struct maker_spec plain_signer = {.is_no_ca = true, .usage = "critical,cRLSign"};

static void test_indirect_crl_speaks_for_issuers_by_name(void)
{
	struct elsewhere it;
	const struct maker_ca *cas = it.world.cas;

	elsewhere_begin(&it, &plain_signer);
	CU_ASSERT_STRING_EQUAL(put_root_crl(&it, 99), "");
	CU_ASSERT_STRING_EQUAL(
		world_put(&it.world, it.ca, 0, indirect_crl(&it, "critical,indirectCRL:TRUE"),
			&cas[it.signer]),
		"");
	CU_ASSERT_STRING_EQUAL(
		world_put(&it.world, it.other, 0, indirect_crl(&it, "critical,indirectCRL:TRUE"),
			&cas[it.signer]),
		"");
	for (uint8_t serial = 4; serial < 9; serial++)
		expect("of CA", world_ask(&it.world, it.ca, serial, false, it.phone.certificate),
			serial == 5 || serial == 6 ? REFUSAL_CERTIFICATE_REVOKED : REFUSAL_NONE);
	for (uint8_t serial = 4; serial < 9; serial++)
		expect("of Other",
			world_ask(&it.world, it.other, serial, false, it.phone.certificate),
			serial == 7 ? REFUSAL_CERTIFICATE_REVOKED : REFUSAL_NONE);
	/* A certificate that does not name that issuer is not answered by it. */
	expect("no point", world_ask(&it.world, it.ca, 8, false, NULL), REFUSAL_REVOCATION_UNKNOWN);
	expect("no point, on the list", world_ask(&it.world, it.ca, 5, false, NULL),
		REFUSAL_REVOCATION_UNKNOWN);
	elsewhere_free(&it);
}

static void test_crl_of_another_name_must_be_indirect(void)
{
	struct elsewhere it;
	const char *why;

	elsewhere_begin(&it, &plain_signer);
	why = world_put(&it.world, it.ca, 0, maker_crl_new(&it.world.cas[it.signer], -60, 3600, 1),
		&it.world.cas[it.signer]);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "in another name"));
	why = world_put(&it.world, it.ca, 0, maker_crl_new(&it.world.cas[it.other], -60, 3600, 1),
		&it.world.cas[it.other]);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "in another name"));
	elsewhere_free(&it);
}

static void test_signer_must_stand_itself(void)
{
	static const struct {
		const char *what;
		long not_after; /* of the signer */
		int revoked;    /* by the root; -1: the root has no CRL yet */
		int later;      /* seconds from now */
		enum refusal refusal;
	} cases[] = {
		{"a good signer", 0, 99, 0, REFUSAL_NONE},
		{"the signer is revoked", 0, 9, 0, REFUSAL_REVOCATION_UNAVAILABLE},
		{"nothing is known of the signer", 0, -1, 0, REFUSAL_REVOCATION_UNAVAILABLE},
		{"the signer is valid", 600, 99, 500, REFUSAL_NONE},
		{"the signer has expired", 600, 99, 700, REFUSAL_REVOCATION_UNAVAILABLE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct maker_spec spec = plain_signer;
		struct elsewhere it;

		spec.not_after = cases[i].not_after;
		elsewhere_begin(&it, &spec);
		if (cases[i].revoked >= 0)
			CU_ASSERT_STRING_EQUAL(put_root_crl(&it, (uint8_t)cases[i].revoked), "");
		CU_ASSERT_STRING_EQUAL(world_put(&it.world, it.ca, 0,
					       indirect_crl(&it, "critical,indirectCRL:TRUE"),
					       &it.world.cas[it.signer]),
			"");
		expect(cases[i].what,
			world_ask_at(&it.world, it.ca, 8, false, it.phone.certificate,
				time(NULL) + cases[i].later, NULL),
			cases[i].refusal);
		elsewhere_free(&it);
	}
}

/* Whether a signer may speak for itself: its own certificate is on the CRL that it signs. */
static void test_signer_speaks_for_itself_only_where_named(void)
{
	for (int is_named = 0; is_named < 2; is_named++) {
		struct maker_spec spec = plain_signer;
		struct elsewhere it;
		X509_CRL *crl;

		spec.points = is_named ? "elsewhere" : NULL;
		spec.sections = sections;
		elsewhere_begin(&it, &spec);
		/* The root's slot holds nothing but what the signer says. */
		crl = maker_crl_new(&it.world.cas[it.signer], -60, 3600, 1);
		maker_entry_issuer(
			maker_revoke(crl, "\x05", 1, 0, 1), it.world.cas[it.root].certificate);
		maker_crl_extension(
			crl, NID_issuing_distribution_point, "critical,indirectCRL:TRUE", NULL);
		CU_ASSERT_STRING_EQUAL(
			world_put(&it.world, it.root, 0, crl, &it.world.cas[it.signer]), "");
		CU_ASSERT_STRING_EQUAL(world_put(&it.world, it.ca, 0,
					       indirect_crl(&it, "critical,indirectCRL:TRUE"),
					       &it.world.cas[it.signer]),
			"");
		expect(is_named ? "named" : "not named",
			world_ask(&it.world, it.ca, 8, false, it.phone.certificate),
			is_named ? REFUSAL_NONE : REFUSAL_REVOCATION_UNAVAILABLE);
		elsewhere_free(&it);
	}
}

/* A key of its own for CRLs, certified by the CA itself in its own name. The CRL that it signs does
 * not speak for it. */
static void test_separate_crl_key_of_the_same_name(void)
{
	static const struct {
		const char *what;
		enum refusal refusal;
		bool has_other_crl; /* by the CA's own key, which speaks for the CRL key */
		uint8_t revoked;    /* on that one */
	} cases[] = {
		{"no CRL for the CRL key", REFUSAL_REVOCATION_UNAVAILABLE, false, 0},
		{"a CRL for the CRL key", REFUSAL_NONE, true, 99},
		{"the CRL key is revoked", REFUSAL_REVOCATION_UNKNOWN, true, 9},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world world = {0};
		int root = world_add(&world, &(struct maker_spec){.name = "Root"}, 0);
		int ca = world_add(
			&world, &(struct maker_spec){.name = "CA", .issuer = &world.cas[root]}, 2);
		int signer = world_add(&world,
			&(struct maker_spec){.name = "CA",
				.issuer = &world.cas[ca],
				.is_no_ca = true,
				.usage = "critical,cRLSign",
				.serial = 9,
				.points = "part",
				.sections = sections},
			0);
		X509_CRL *crl;

		world_begin(&world);
		CU_ASSERT_STRING_EQUAL(
			world_put(&world, ca, 0, maker_crl_new(&world.cas[ca], -60, 3600, 1),
				&world.cas[signer]),
			"");
		if (cases[i].has_other_crl) {
			crl = maker_crl_new(&world.cas[ca], -60, 3600, 1);
			maker_revoke(crl, &cases[i].revoked, 1, 0, 1);
			maker_crl_extension(crl, NID_issuing_distribution_point,
				"critical,fullname:dirName:part_name", sections);
			CU_ASSERT_STRING_EQUAL(world_put(&world, ca, 1, crl, &world.cas[ca]), "");
		}
		expect(cases[i].what, world_ask(&world, ca, 8, false, NULL), cases[i].refusal);
		world_free(&world);
	}
}

static void test_signers_that_may_not_are_refused(void)
{
	static const struct {
		const char *what;
		struct maker_spec spec;
		const char *why;
	} cases[] = {
		{"no cRLSign", {.is_no_ca = true, .usage = "critical,digitalSignature"},
			"key usage does not allow"},
		{"a CA without cRLSign", {.usage = "critical,keyCertSign"},
			"key usage does not allow"},
		{"expired", {.is_no_ca = true, .usage = "critical,cRLSign", .not_after = -60},
			"no valid path"},
		{"not valid yet",
			{.is_no_ca = true, .usage = "critical,cRLSign", .not_before = 600},
			"no valid path"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct elsewhere it;
		const char *why;

		elsewhere_begin(&it, &cases[i].spec);
		why = world_put(&it.world, it.ca, 0, indirect_crl(&it, "critical,indirectCRL:TRUE"),
			&it.world.cas[it.signer]);
		if (strstr(why, cases[i].why) == NULL)
			fprintf(stderr, "\n%s: \"%s\"\n", cases[i].what, why);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, cases[i].why));
		elsewhere_free(&it);
	}
}

/* RFC 5280 6.3.3 (f): the CRL's signer and the certificate must have the same trust anchor. */
static void test_signer_under_another_root_is_refused(void)
{
	struct world world = {0};
	int root = world_add(&world, &(struct maker_spec){.name = "Root"}, 0);
	int ca = world_add(
		&world, &(struct maker_spec){.name = "CA", .issuer = &world.cas[root]}, 1);
	int root_2 = world_add(&world, &(struct maker_spec){.name = "Root 2"}, 0);
	int ca_2 = world_add(
		&world, &(struct maker_spec){.name = "CA", .issuer = &world.cas[root_2]}, 1);
	const char *why;

	world_begin(&world);
	why = world_put(
		&world, ca, 0, maker_crl_new(&world.cas[ca], -60, 3600, 1), &world.cas[ca_2]);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "no valid path"));
	CU_ASSERT_STRING_EQUAL(world_put(&world, ca, 0, maker_crl_new(&world.cas[ca], -60, 3600, 1),
				       &world.cas[ca]),
		"");
	world_free(&world);
}

/* The same name, another key, the same root: the old key and the new one of a rollover. */
static void test_either_key_of_a_rollover_signs(void)
{
	struct world world = {0};
	int root = world_add(&world, &(struct maker_spec){.name = "Root"}, 0);
	int old = world_add(
		&world, &(struct maker_spec){.name = "CA", .issuer = &world.cas[root]}, 1);
	int new = world_add(
		&world, &(struct maker_spec){.name = "CA", .issuer = &world.cas[root]}, 1);
	X509_CRL *crl;

	world_begin(&world);
	crl = maker_crl_new(&world.cas[new], -60, 3600, 1);
	maker_revoke(crl, "\x05", 1, 0, 1);
	CU_ASSERT_STRING_EQUAL(world_put(&world, old, 0, crl, &world.cas[new]), "");
	expect("on the list", world_ask(&world, old, 5, false, NULL), REFUSAL_CERTIFICATE_REVOKED);
	expect("not on it", world_ask(&world, old, 6, false, NULL), REFUSAL_NONE);
	CU_ASSERT_EQUAL(memcmp(revocation_index_facts(world.set.slots[old].indexes[0])->signer_key,
				world.set.slots[new].authority_key, 32),
		0);
	world_free(&world);
}

static void test_indirect_crl_by_the_authority_itself(void)
{
	struct world world = {0};
	int ca = world_add(&world, &(struct maker_spec){.name = "CA"}, 1);
	struct maker_ca other = maker_ca_new("Other");
	X509_CRL *crl;

	world_begin(&world);
	crl = maker_crl_new(&world.cas[ca], -60, 3600, 1);
	maker_revoke(crl, "\x04", 1, 0, 1);
	maker_entry_issuer(maker_revoke(crl, "\x05", 1, 0, 1), other.certificate);
	maker_entry_issuer(maker_revoke(crl, "\x06", 1, 0, 1), world.cas[ca].certificate);
	maker_crl_extension(crl, NID_issuing_distribution_point, "critical,indirectCRL:TRUE", NULL);
	CU_ASSERT_STRING_EQUAL(world_put(&world, ca, 0, crl, &world.cas[ca]), "");
	expect("4", world_ask(&world, ca, 4, false, NULL), REFUSAL_CERTIFICATE_REVOKED);
	expect("5", world_ask(&world, ca, 5, false, NULL), REFUSAL_NONE);
	expect("6", world_ask(&world, ca, 6, false, NULL), REFUSAL_CERTIFICATE_REVOKED);
	maker_ca_free(&other);
	world_free(&world);
}

static void test_what_is_configured_decides(void)
{
	static const struct {
		const char *what;
		enum authority_check check;
		uint32_t grace_s;
		int exempt_for; /* seconds from now */
		int later;      /* the CRL is good for 3600 */
		enum refusal refusal;
		bool is_ca;
		uint8_t serial;
	} cases[] = {
		{"as usual", AUTHORITY_CHECK_CHAIN, 0, 0, 0, REFUSAL_CERTIFICATE_REVOKED, false, 5},
		{"a CA, whole chain", AUTHORITY_CHECK_CHAIN, 0, 0, 0, REFUSAL_CERTIFICATE_REVOKED,
			true, 5},
		{"a CA, leaf only", AUTHORITY_CHECK_LEAF, 0, 0, 0, REFUSAL_NONE, true, 5},
		{"a phone, leaf only", AUTHORITY_CHECK_LEAF, 0, 0, 0, REFUSAL_CERTIFICATE_REVOKED,
			false, 5},
		{"no check", AUTHORITY_CHECK_NONE, 0, 0, 0, REFUSAL_NONE, false, 5},
		{"exempt", AUTHORITY_CHECK_CHAIN, 0, 60, 0, REFUSAL_NONE, false, 5},
		{"exempt no more", AUTHORITY_CHECK_CHAIN, 0, 60, 61, REFUSAL_CERTIFICATE_REVOKED,
			false, 5},
		{"stale", AUTHORITY_CHECK_CHAIN, 0, 0, 3700, REFUSAL_REVOCATION_UNAVAILABLE, false,
			6},
		{"stale and revoked", AUTHORITY_CHECK_CHAIN, 0, 0, 3700,
			REFUSAL_REVOCATION_UNAVAILABLE, false, 5},
		{"in grace", AUTHORITY_CHECK_CHAIN, 200, 0, 3700, REFUSAL_NONE, false, 6},
		{"in grace, revoked", AUTHORITY_CHECK_CHAIN, 200, 0, 3700,
			REFUSAL_CERTIFICATE_REVOKED, false, 5},
		{"past grace", AUTHORITY_CHECK_CHAIN, 200, 0, 3900, REFUSAL_REVOCATION_UNAVAILABLE,
			false, 6},
		{"long before", AUTHORITY_CHECK_CHAIN, 0, 0, -1000, REFUSAL_REVOCATION_UNAVAILABLE,
			false, 6},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world world = {0};
		int ca = world_add(&world, &(struct maker_spec){.name = "CA"}, 1);
		int64_t now = time(NULL);
		X509_CRL *crl;

		world.authorities[ca].check = cases[i].check;
		world.authorities[ca].grace_s = cases[i].grace_s;
		world.authorities[ca].exempt_until =
			cases[i].exempt_for == 0 ? 0 : now + cases[i].exempt_for;
		world_begin(&world);
		crl = maker_crl_new(&world.cas[ca], -60, 3600, 1);
		maker_revoke(crl, "\x05", 1, 0, 1);
		CU_ASSERT_STRING_EQUAL(world_put(&world, ca, 0, crl, &world.cas[ca]), "");
		expect(cases[i].what,
			world_ask_at(&world, ca, cases[i].serial, cases[i].is_ca, NULL,
				now + cases[i].later, NULL),
			cases[i].refusal);
		world_free(&world);
	}
}

/* Asked at each moment that is foretold, the answers change then, and not a second before. */
static void test_changes_by_time_are_foretold(void)
{
	struct world world = {0};
	int ca = world_add(&world, &(struct maker_spec){.name = "CA"}, 2);
	int64_t now = time(NULL), next;
	X509_CRL *crl;

	world.authorities[ca].grace_s = 200;
	world.authorities[ca].exempt_until = now + 60;
	world_begin(&world);
	next = revocation_set_next_change(&world.set, now);
	CU_ASSERT_EQUAL(next, now + 60);
	CU_ASSERT_EQUAL(world_ask_at(&world, ca, 6, false, NULL, next - 1, NULL), REFUSAL_NONE);
	CU_ASSERT_EQUAL(world_ask_at(&world, ca, 6, false, NULL, next, NULL),
		REFUSAL_REVOCATION_UNAVAILABLE);

	crl = maker_crl_new(&world.cas[ca], -60, 3600, 1);
	CU_ASSERT_STRING_EQUAL(world_put(&world, ca, 0, crl, &world.cas[ca]), "");
	CU_ASSERT_EQUAL(revocation_set_next_change(&world.set, now), now + 60);
	next = revocation_set_next_change(&world.set, now + 60);
	CU_ASSERT_TRUE(next >= now + 3800 && next <= now + 3805);
	CU_ASSERT_EQUAL(world_ask_at(&world, ca, 6, false, NULL, next - 1, NULL), REFUSAL_NONE);
	CU_ASSERT_EQUAL(world_ask_at(&world, ca, 6, false, NULL, next, NULL),
		REFUSAL_REVOCATION_UNAVAILABLE);

	/* The first of several counts. */
	crl = maker_crl_new(&world.cas[ca], -60, 1800, 2);
	CU_ASSERT_STRING_EQUAL(world_put(&world, ca, 1, crl, &world.cas[ca]), "");
	next = revocation_set_next_change(&world.set, now + 60);
	CU_ASSERT_TRUE(next >= now + 2000 && next <= now + 2005);

	/* Or an authority that is not valid yet, and may have signed a CRL. */
	world.set.slots[ca].not_before = now + 1000;
	CU_ASSERT_EQUAL(revocation_set_next_change(&world.set, now + 60), now + 1000);
	world.set.slots[ca].not_before = now - 1000;

	/* Then only the authority itself is left to expire, and after that nothing. */
	next = revocation_set_next_change(&world.set, now + 4000);
	CU_ASSERT_EQUAL(next, world.set.slots[ca].not_after + 1);
	CU_ASSERT_EQUAL(revocation_set_next_change(&world.set, next), INT64_MAX);
	world_free(&world);
}

static void test_finding_tells_where_why_and_when(void)
{
	struct world world = {0};
	int ca = world_add(&world, &(struct maker_spec){.name = "CA"}, 3);
	struct revocation_finding finding = {.place = 99};
	ASN1_GENERALIZEDTIME *when = ASN1_GENERALIZEDTIME_set(NULL, 1699999999);
	X509_CRL *crl;

	world_begin(&world);
	crl = maker_crl_new(&world.cas[ca], -60, 3600, 1);
	maker_must(X509_REVOKED_add1_ext_i2d(maker_revoke(crl, "\x05", 1, 0, 6),
			   NID_invalidity_date, when, 0, 0) == 1,
		"an invalidity date");
	maker_revoke(crl, "\x04", 1, 0, 1);
	CU_ASSERT_STRING_EQUAL(world_put(&world, ca, 2, crl, &world.cas[ca]), "");
	expect("held", world_ask_at(&world, ca, 5, false, NULL, time(NULL), &finding),
		REFUSAL_CERTIFICATE_REVOKED);
	CU_ASSERT_EQUAL(finding.place, 2);
	CU_ASSERT_EQUAL(finding.reason, 6);
	CU_ASSERT_EQUAL(finding.date, INT64_C(1700000000) / 3600 * 3600);
	CU_ASSERT_EQUAL(finding.invalidity_date, 1699999999);
	expect("no date", world_ask_at(&world, ca, 4, false, NULL, time(NULL), &finding),
		REFUSAL_CERTIFICATE_REVOKED);
	CU_ASSERT_EQUAL(finding.invalidity_date, 0);
	ASN1_GENERALIZEDTIME_free(when);
	world_free(&world);
}

static void test_effective_date_is_that_of_complete_news(void)
{
	static const struct {
		const char *what;
		const char *scopes[2];
		long updates[2]; /* 0: no CRL */
		long effective;  /* 0: none */
	} cases[] = {
		{"nothing", {"", ""}, {0, 0}, 0},
		{"complete ones", {"", ""}, {-60, -50}, -50},
		{"one of two complete", {"", ""}, {-60, 0}, -60},
		{"complete and a part", {"", "fullname:URI:http://a/b"}, {-60, -50}, -60},
		{"two parts", {"fullname:URI:http://a/a", "fullname:URI:http://a/b"}, {-60, -50},
			-60},
		{"a part is missing", {"fullname:URI:http://a/a", ""}, {-60, 0}, 0},
		{"for CAs", {"", "onlyCA:TRUE"}, {-60, -50}, -60},
		{"for CAs, and a part", {"fullname:URI:http://a/a", "onlyCA:TRUE"}, {-60, -500},
			-60},
		{"for users", {"onlyuser:TRUE", "onlyCA:TRUE"}, {-60, -50}, -60},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world world = {0};
		int ca = world_add(&world, &(struct maker_spec){.name = "CA"}, 2);
		int64_t now = time(NULL);
		int64_t effective;

		world_begin(&world);
		for (int place = 0; place < 2; place++) {
			X509_CRL *crl;

			if (cases[i].updates[place] == 0)
				continue;
			crl = maker_crl_new(&world.cas[ca], cases[i].updates[place], 3600, 1);
			if (cases[i].scopes[place][0] != '\0')
				maker_crl_extension(crl, NID_issuing_distribution_point,
					cases[i].scopes[place], NULL);
			CU_ASSERT_STRING_EQUAL(
				world_put(&world, ca, place, crl, &world.cas[ca]), "");
		}
		effective = revocation_set_effective(&world.set, ca, now);
		if (cases[i].effective == 0) {
			CU_ASSERT_EQUAL(effective, INT64_MIN);
		} else {
			CU_ASSERT_TRUE(effective >= now + cases[i].effective - 1 &&
				       effective <= now + cases[i].effective + 5);
		}
		CU_ASSERT_EQUAL(revocation_set_effective(&world.set, -1, now), INT64_MIN);
		CU_ASSERT_EQUAL(revocation_set_effective(&world.set, 1, now), INT64_MIN);
		world_free(&world);
	}
}

/* Who is out until a CRL decides must not come in by one that is not asked. */
static void test_a_crl_that_is_not_asked_decides_nothing(void)
{
	static const struct {
		const char *what;
		enum authority_check check;
		int exempt_for;
		bool decides;
	} cases[] = {
		{"as usual", AUTHORITY_CHECK_CHAIN, 0, true},
		{"leaf only", AUTHORITY_CHECK_LEAF, 0, true},
		{"no check", AUTHORITY_CHECK_NONE, 0, false},
		{"exempt", AUTHORITY_CHECK_CHAIN, 60, false},
		{"exempt no more", AUTHORITY_CHECK_CHAIN, -60, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world world = {0};
		int ca = world_add(&world, &(struct maker_spec){.name = "CA"}, 1);
		int64_t now = time(NULL);
		bool decides;

		world.authorities[ca].check = cases[i].check;
		if (cases[i].exempt_for != 0)
			world.authorities[ca].exempt_until = now + cases[i].exempt_for;
		world_begin(&world);
		CU_ASSERT_STRING_EQUAL(
			world_put(&world, ca, 0, maker_crl_new(&world.cas[ca], -60, 3600, 1),
				&world.cas[ca]),
			"");
		decides = revocation_set_effective(&world.set, ca, now) != INT64_MIN;
		if (decides != cases[i].decides)
			fprintf(stderr, "\n%s\n", cases[i].what);
		CU_ASSERT_EQUAL(decides, cases[i].decides);
		world_free(&world);
	}
}

/* Else it would be enough to keep us from one of two locations, and the other need not be as new. */
static void test_what_was_revoked_stays_so_until_newer_news(void)
{
	static const struct {
		const char *what;
		long updates[2];
		const char *scopes[2];
		int later;
		enum refusal refusal;
		uint8_t serial;
	} cases[] = {
		{"both current", {-60, -90}, {"", ""}, 0, REFUSAL_CERTIFICATE_REVOKED, 5},
		{"the newer one has ended", {-60, -90}, {"", ""}, 3700, REFUSAL_CERTIFICATE_REVOKED,
			5},
		{"the newer one has ended", {-60, -90}, {"", ""}, 3700, REFUSAL_NONE, 6},
		{"the older one has ended", {-90, -60}, {"", ""}, 3700, REFUSAL_NONE, 5},
		{"both have ended", {-60, -90}, {"", ""}, 7300, REFUSAL_REVOCATION_UNAVAILABLE, 5},
		{"that of others has ended", {-60, -90}, {"onlyCA:TRUE", ""}, 3700, REFUSAL_NONE,
			5},
		{"newer news of other reasons", {-60, -30}, {"", "onlysomereasons:keyCompromise"},
			3700, REFUSAL_REVOCATION_UNKNOWN, 5},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world world = {0};
		int ca = world_add(&world, &(struct maker_spec){.name = "CA"}, 2);
		struct revocation_finding finding = {.place = 99};
		int64_t now = time(NULL);

		world_begin(&world);
		for (int place = 0; place < 2; place++) {
			X509_CRL *crl = maker_crl_new(&world.cas[ca], cases[i].updates[place],
				place == 0 ? 3600 : 7200, 1);

			if (place == 0)
				maker_revoke(crl, "\x05", 1, 0, 1);
			if (cases[i].scopes[place][0] != '\0')
				maker_crl_extension(crl, NID_issuing_distribution_point,
					cases[i].scopes[place], NULL);
			CU_ASSERT_STRING_EQUAL(
				world_put(&world, ca, place, crl, &world.cas[ca]), "");
		}
		expect(cases[i].what,
			world_ask_at(&world, ca, cases[i].serial, false, NULL, now + cases[i].later,
				&finding),
			cases[i].refusal);
		if (cases[i].refusal == REFUSAL_CERTIFICATE_REVOKED) {
			CU_ASSERT_EQUAL(finding.place, 0);
			CU_ASSERT_EQUAL(finding.reason, 1);
		}
		world_free(&world);
	}
}

static void test_places_are_kept_apart(void)
{
	struct world world = {0};
	int ca = world_add(&world, &(struct maker_spec){.name = "CA"}, 2);
	const struct maker_ca *signer = &world.cas[ca];

	world_begin(&world);
	CU_ASSERT_STRING_EQUAL(
		world_put(&world, ca, 0, maker_crl_new(signer, -60, 3600, 1), signer), "");
	/* Older than the one in the other place, which is none of its business. */
	CU_ASSERT_STRING_EQUAL(
		world_put(&world, ca, 1, maker_crl_new(signer, -90, 3600, 1), signer), "");
	CU_ASSERT_STRING_NOT_EQUAL(
		world_put(&world, ca, 0, maker_crl_new(signer, -90, 3600, 2), signer), "");
	CU_ASSERT_STRING_NOT_EQUAL(
		world_put(&world, ca, 2, maker_crl_new(signer, -60, 3600, 1), signer), "");
	CU_ASSERT_STRING_NOT_EQUAL(
		world_put(&world, ca, -1, maker_crl_new(signer, -60, 3600, 1), signer), "");
	CU_ASSERT_STRING_NOT_EQUAL(world_put(&world, ca, CRL_LOCATION_MAX,
					   maker_crl_new(signer, -60, 3600, 1), signer),
		"");
	world_free(&world);
}

static void test_replaced_indexes_are_given_back(void)
{
	struct world world = {0};
	int ca = world_add(&world, &(struct maker_spec){.name = "CA"}, 1);
	const struct maker_ca *signer = &world.cas[ca];

	world_begin(&world);
	CU_ASSERT_FALSE(revocation_set_tidy(&world.set));
	for (int i = 0; i < REVOCATION_RETIRED_MAX + 3; i++)
		CU_ASSERT_STRING_EQUAL(
			world_put(&world, ca, 0, maker_crl_new(signer, -60, 3600, 1), signer), "");
	for (int i = 0; i < REVOCATION_RETIRED_MAX - 1; i++)
		CU_ASSERT_TRUE(revocation_set_tidy(&world.set));
	CU_ASSERT_FALSE(revocation_set_tidy(&world.set));
	expect("the last one", world_ask(&world, ca, 5, false, NULL), REFUSAL_NONE);
	/* And without a call the set gives them back when it ends. */
	CU_ASSERT_STRING_EQUAL(
		world_put(&world, ca, 0, maker_crl_new(signer, -60, 3600, 1), signer), "");
	world_free(&world);
}

int main(void)
{
	static const struct check checks[] = {
		{"scopes and points meet as in RFC 5280",
			test_scopes_and_points_meet_as_in_rfc_5280},
		{"every reason must be covered", test_every_reason_must_be_covered},
		{"an indirect CRL speaks for issuers by name",
			test_indirect_crl_speaks_for_issuers_by_name},
		{"a CRL of another name must be indirect",
			test_crl_of_another_name_must_be_indirect},
		{"the signer must stand itself", test_signer_must_stand_itself},
		{"a signer speaks for itself only where it is named",
			test_signer_speaks_for_itself_only_where_named},
		{"a separate CRL key of the same name", test_separate_crl_key_of_the_same_name},
		{"signers that may not are refused", test_signers_that_may_not_are_refused},
		{"a signer under another root is refused",
			test_signer_under_another_root_is_refused},
		{"either key of a rollover signs", test_either_key_of_a_rollover_signs},
		{"an indirect CRL by the authority itself",
			test_indirect_crl_by_the_authority_itself},
		{"what is configured decides", test_what_is_configured_decides},
		{"changes by time are foretold", test_changes_by_time_are_foretold},
		{"a finding tells where, why and when", test_finding_tells_where_why_and_when},
		{"the effective date is that of complete news",
			test_effective_date_is_that_of_complete_news},
		{"a CRL that is not asked decides nothing",
			test_a_crl_that_is_not_asked_decides_nothing},
		{"what was revoked stays so until newer news",
			test_what_was_revoked_stays_so_until_newer_news},
		{"places are kept apart", test_places_are_kept_apart},
		{"replaced indexes are given back", test_replaced_indexes_are_given_back},
	};

	return check_run("auth/revocation_set", checks, sizeof(checks) / sizeof(checks[0]));
}
