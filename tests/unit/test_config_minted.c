/* login = minted-certificate: what is said of an authority that cannot sign for users. */
#include "tests/unit/check.h"
#include "tests/unit/config_fixture.h"
#include "tests/unit/test_pki.h"

static struct fixture fixture;

static const struct pki_spec authority = {.name = "Gateway CA",
	.basic_constraints = "critical,CA:TRUE",
	.key_usage = "critical,keyCertSign"};

/* Writes NAME.pem and NAME.key. */
static void write_issuer(const char *name, struct pki_spec spec)
{
	struct pki made = pki_make(spec);
	char file[32], path[128];

	snprintf(file, sizeof(file), "%s.pem", name);
	fixture_path(&fixture, file, path);
	write_certificates(path, made.certificate, NULL);
	snprintf(file, sizeof(file), "%s.key", name);
	fixture_path(&fixture, file, path);
	write_key(path, made.key, NULL);
	pki_free(&made);
}

static void set_up(void)
{
	struct pki_spec spec = authority;

	fixture_begin(&fixture);
	write_issuer("good", authority);
	write_issuer("other", authority);
	spec.basic_constraints = "critical,CA:FALSE";
	write_issuer("leaf", spec);
	spec = authority;
	spec.key_usage = "critical,cRLSign";
	write_issuer("crl", spec);
	spec = authority;
	spec.extended_key_usage = "serverAuth";
	write_issuer("server", spec);
	spec = authority;
	spec.not_before = -7200;
	spec.not_after = -3600;
	write_issuer("old", spec);
	spec.not_before = 3600;
	spec.not_after = 7200;
	write_issuer("early", spec);
	fixture_write(&fixture, "pin", "1234\n", 0600);
	fixture_write(&fixture, "pins", "1234\n5678\n", 0600);
	fixture_write(&fixture, "public-pin", "1234\n", 0644);
	fixture_write(&fixture, "module.so", "", 0644);
}

/* Line 9 is minted-certificate, 10 its content. */
static void load(const char *endpoint, const char *login, const char *minted)
{
	char text[2048];

	snprintf(text, sizeof(text),
		"user = nobody\n"
		"listener phones {\n"
		"address = \"127.0.0.1:8443\"\n"
		"certificate main { chain = mail.pem key = mail.key }\n"
		"}\n"
		"trust { store = trust.json }\n"
		"mailbox { domains = {\"example.com\"} }\n"
		"upstream exchange { endpoints = {\"%s\"} login = %s headers = {\"a: "
		"%%{mailbox}\"} }\n"
		"minted-certificate { %s\n%s\n}\n",
		endpoint, login, strstr(minted, "sid") == NULL ? "sid = off" : "", minted);
	config_free(fixture_load(&fixture, text, NULL));
}

struct faulty {
	const char *minted;
	const char *reports;
};

static void check_cases(const struct faulty *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		load("https://127.0.0.1", "minted-certificate", cases[i].minted);
		if (strcmp(fixture.reports, cases[i].reports) != 0)
			printf("\n%s\n  wanted %s  got    %s", cases[i].minted, cases[i].reports,
				fixture.reports);
		CU_ASSERT_STRING_EQUAL(fixture.reports, cases[i].reports);
	}
}

static void test_an_authority_with_its_key_is_good(void)
{
	static const struct faulty cases[] = {
		{"issuer = good.pem key = good.key", ""},
		{"issuer = good.pem key = good.key crl-url = \"http://pki.test/a.crl\"", ""},
		{"issuer = good.pem key-uri = \"pkcs11:object=a\" pkcs11-module = module.so "
		 "pin-file = pin",
			""},
		{"issuer = good.pem key-uri = \"pkcs11:object=a\" pkcs11-module = module.so "
		 "pkcs11-paths = {\"/opt/hsm\"}",
			""},
	};

	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_an_authority_that_cannot_sign_for_users_is_a_fault(void)
{
	static const struct faulty cases[] = {
		{"issuer = leaf.pem key = leaf.key",
			"c:10: leaf.pem: the first certificate is not that of an authority (basic "
			"constraints, key usage), so nobody would take what it signs\n"},
		{"issuer = crl.pem key = crl.key",
			"c:10: crl.pem: the first certificate is not that of an authority (basic "
			"constraints, key usage), so nobody would take what it signs\n"},
		{"issuer = server.pem key = server.key",
			"c:10: server.pem: the first certificate may not sign certificates of TLS "
			"clients (extended key usage)\n"},
		{"issuer = old.pem key = old.key",
			"c:10: old.pem: the first certificate has expired\n"},
		{"issuer = early.pem key = early.key",
			"c:10: early.pem: the first certificate is not valid yet\n"},
		{"issuer = good.pem key = other.key",
			"c:10: other.key is not the key of the first certificate in good.pem\n"},
		{"issuer = good.pem key = good.key crl-url = \"https://pki.test/a.crl\"",
			"c:9: minted-certificate: crl-url is not a URL that begins with http:// or "
			"ldap://, in ASCII without blanks\n"},
		{"issuer = pin key = good.key", "c:10: pin has no certificate (PEM)\n"},
	};

	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_its_key_is_in_one_place(void)
{
	static const struct faulty cases[] = {
		{"", "c:9: minted-certificate needs issuer, the certificate of the authority that "
		     "signs\n"
		     "c:9: minted-certificate needs the authority's key once: key, a file, or "
		     "key-uri, where it is in a token\n"},
		{"issuer = good.pem key = good.key key-uri = \"pkcs11:object=a\" pkcs11-module = "
		 "module.so",
			"c:9: minted-certificate needs the authority's key once: key, a file, or "
			"key-uri, where it is in a token\n"},
		{"issuer = good.pem key = good.key pin-file = pin",
			"c:9: warning: minted-certificate: pkcs11-module and pin-file say nothing "
			"without key-uri\n"},
	};

	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_what_leads_to_no_token_is_a_fault(void)
{
	static const struct faulty cases[] = {
		{"issuer = good.pem key-uri = \"pkcs11:object=a\"",
			"c:9: minted-certificate: key-uri needs pkcs11-module, the module that "
			"knows the token, such as \"/usr/lib/softhsm/libsofthsm2.so\"\n"},
		{"issuer = good.pem key-uri = \"pkcs11:object=a\" pkcs11-module = nothing.so",
			"c:9: minted-certificate: pkcs11-module nothing.so: No such file or "
			"directory\n"},
		{"issuer = good.pem key-uri = \"pkcs11:object=a?pin-value=9182\" pkcs11-module = "
		 "module.so",
			"c:9: minted-certificate: key-uri: a PKCS#11 URI has a '?' here, and "
			"nothing after it is read: the module stands in pkcs11-module, the PIN in "
			"pin-file\n"},
		{"issuer = good.pem key-uri = \"pkcs11:object=a\" pkcs11-module = module.so "
		 "pin-file = pins",
			"c:10: pins: a PIN is one line\n"},
		{"issuer = good.pem key-uri = \"pkcs11:object=a\" pkcs11-module = module.so "
		 "pin-file = public-pin",
			"c:10: option 'pin-file' in minted-certificate: public-pin holds a secret, "
			"but its mode 0644 lets others at it; chmod 0600 or 0640 it\n"},
		{"issuer = good.pem key-uri = \"pkcs11:object=a\" pkcs11-module = module.so "
		 "pkcs11-paths = {\"opt\"}",
			"c:10: option 'pkcs11-paths' in minted-certificate: 'opt' does not begin "
			"with '/'\n"},
	};

	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_certificates_are_not_shown_in_the_clear(void)
{
	load("http://127.0.0.1", "minted-certificate", "issuer = good.pem key = good.key");
	CU_ASSERT_STRING_EQUAL(fixture.reports,
		"c:8: endpoint 'http://127.0.0.1': login = minted-certificate needs https, as "
		"client certificates are shown in TLS\n");
}

static void test_a_sid_that_nobody_knows_is_told(void)
{
	load("https://127.0.0.1", "minted-certificate",
		"issuer = good.pem key = good.key sid = on");
	CU_ASSERT_STRING_EQUAL(fixture.reports,
		"c:9: warning: minted-certificate: sid: certificates will have none, which "
		"Exchange asks for, as there is no directory with backend = ldap; for other "
		"servers set sid = off\n");
	load("https://127.0.0.1", "minted-certificate login-user = \"%{local-part}\"",
		"issuer = good.pem key = good.key sid = on");
	CU_ASSERT_STRING_EQUAL(fixture.reports,
		"c:9: warning: minted-certificate: sid: certificates will have none, which "
		"Exchange asks for, as upstream/login-user is asked instead of the directory; for "
		"other servers set sid = off\n");
}

static void test_another_login_leaves_the_section_unread(void)
{
	load("https://127.0.0.1", "header", "issuer = leaf.pem key = other.key");
	CU_ASSERT_STRING_EQUAL(fixture.reports,
		"c:9: warning: minted-certificate says nothing without login = "
		"minted-certificate in upstream\n");
}

int main(void)
{
	static const struct check checks[] = {
		{"an authority with its key is good", test_an_authority_with_its_key_is_good},
		{"an authority that cannot sign for users is a fault",
			test_an_authority_that_cannot_sign_for_users_is_a_fault},
		{"its key is in one place", test_its_key_is_in_one_place},
		{"what leads to no token is a fault", test_what_leads_to_no_token_is_a_fault},
		{"certificates are not shown in the clear",
			test_certificates_are_not_shown_in_the_clear},
		{"a SID that nobody knows is told", test_a_sid_that_nobody_knows_is_told},
		{"another login leaves the section unread",
			test_another_login_leaves_the_section_unread},
	};
	int status;

	set_up();
	status = check_run("config/minted", checks, sizeof(checks) / sizeof(checks[0]));
	fixture_end(&fixture);
	return status;
}
