/* Each way in which a configuration can be wrong, and the line that says so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"
#include "tests/unit/config_fixture.h"

static struct fixture fixture;

/* A configuration without fault. A case puts another text in the place of one line. */
static const char *const good_lines[] = {
	"user = nobody",                              /* 1 */
	"listener phones {",                          /* 2 */
	"	address = {\"127.0.0.1:8443\"}",      /* 3 */
	"	#",                                   /* 4 */
	"	certificate main {",                  /* 5 */
	"		chain = mail.pem",            /* 6 */
	"		key = mail.key",              /* 7 */
	"		#",                           /* 8 */
	"	}",                                   /* 9 */
	"}",                                          /* 10 */
	"limits { }",                                 /* 11 */
	"trust { store = trust.json }",               /* 12 */
	"mailbox { domains = {\"example.com\"} }",    /* 13 */
	"upstream mail {",                            /* 14 */
	"	endpoints = {\"https://mail.test\"}", /* 15 */
	"	headers = {\"x-user: %{mailbox}\"}",  /* 16 */
	"	#",                                   /* 17 */
	"}",                                          /* 18 */
	"#",                                          /* 19 */
};
enum { GOOD_LINES = sizeof(good_lines) / sizeof(good_lines[0]) };

struct faulty {
	int line;
	const char *text;
	const char *reports; /* each ends in "\n" */
};

static void load_with(int line, const char *text, struct config **config)
{
	char whole[4096];
	size_t len = 0;

	for (int i = 0; i < GOOD_LINES; i++)
		len += (size_t)snprintf(whole + len, sizeof(whole) - len, "%s\n",
			i + 1 == line ? text : good_lines[i]);
	*config = fixture_load(&fixture, whole, NULL);
}

static void check_case(const struct faulty *faulty, bool is_loaded)
{
	struct config *config;

	load_with(faulty->line, faulty->text, &config);
	if (strcmp(fixture.reports, faulty->reports) != 0)
		printf("\n%d: %s\n  wanted %s  got    %s", faulty->line, faulty->text,
			faulty->reports, fixture.reports);
	CU_ASSERT_STRING_EQUAL(fixture.reports, faulty->reports);
	CU_ASSERT_EQUAL(config != NULL, is_loaded);
	config_free(config);
}

#define CHECK_CASES(cases, is_loaded)                                                              \
	for (size_t i = 0; i < sizeof(cases) / sizeof((cases)[0]); i++)                            \
	check_case(&(cases)[i], is_loaded)

static void test_good_configuration_has_no_fault(void)
{
	static const struct faulty cases[] = {
		{19, "#", ""},
		{4, "address += {\"127.0.0.1:8444\"}", ""},
		{3, "address = { /* two */ \"127.0.0.1:1\", # one\n // two\n '127.0.0.1:2', }", ""},
		{3, "address = {\"0.0.0.0:8443\", \"127.0.0.1:8443\"}", ""},
		{3, "address = {\"*:443\"}", ""},
		{3, "address = \"[::1]:443\"", ""},
		{7, "key = group.key", ""},
		{8, "server-names = {\"Mail.Example.com\", \"*.m.test\"}", ""},
	};

	CHECK_CASES(cases, true);
}

static void test_broken_grammar_is_the_only_fault(void)
{
	static const struct faulty cases[] = {
		{19, "wrong = 1\nworkers 4", "c:20: missing equal sign after option 'workers'\n"},
		{17, "}", "c:18: unexpected closing brace\n"},
		{18, "", "c:14: section 'upstream' is not closed\n"},
		{9, "", "c:2: section 'listener' is not closed\n"},
		{1, "user = \"nobody", "c:1: this line ends inside of quotes\n"},
		{1, "user = 'no\\body'",
			"c:1: a backslash in quotes can stand before \\, ' alone\n"},
		{1, "user = \"${HOME}\"", "c:1: ${…}: environment variables are not read\n"},
		{1, "user = ${HOME}", "c:1: ${…}: environment variables are not read\n"},
		{3, "address = {*:443}", "c:3: what holds a '*' has to be written in quotes\n"},
		{19, "/* end", "c:19: this comment is not closed\n"},
		{19, "\a", "c:19: a control character (0x07)\n"},
		{19, "= 3", "c:19: unexpected token '='\n"},
		{19, "include(\"/etc/passwd\")", "c:19: no such option 'include'\n"},
		{19, "listener { }", "c:19: missing title for section 'listener'\n"},
		{1, "user += x", "c:1: attempt to append to non-list option 'user'\n"},
	};

	CHECK_CASES(cases, false);
}

static void test_unknown_and_repeated_options_are_named(void)
{
	static const struct faulty cases[] = {
		{19, "wokers = 3", "c:19: unknown option 'wokers'\n"},
		{19, "wokers = {1, 2}", "c:19: unknown option 'wokers'\n"},
		{19, "wokers += {1, 2}", "c:19: unknown option 'wokers'\n"},
		{19, "log|level = info", "c:19: unknown option 'log|level'\n"},
		{19, "chain = mail.pem",
			"c:19: unknown option 'chain'; it belongs in certificate\n"},
		{17, "drain-time = 3s",
			"c:17: unknown option 'drain-time' in upstream; it stands outside of all "
			"sections\n"},
		{11, "limits { head = 3 }", "c:11: unknown option 'head' in limits\n"},
		{19, "cache { a { b = {1} } c = 2 }", "c:19: unknown section 'cache'\n"},
		{19, "cache disk { a = 1 }", "c:19: unknown section 'cache'\n"},
		{19, "user = root", "c:19: option 'user' stands in line 1 already\n"},
		{11, "limits { head-size = 8kB\nhead-size = 9kB }",
			"c:12: option 'head-size' in limits stands in line 11 already\n"},
		{19, "limits { head-size = 1 }",
			"c:19: section 'limits' stands in line 11 already\n"},
		{19, "listener phones { address = {} }",
			"c:19: section 'listener phones' stands in line 2 already\n"},
		{19, "upstream other { endpoints = {\"http://a\"} }",
			"c:19: there can be one upstream only; it may have several endpoints\n"},
	};

	CHECK_CASES(cases, false);
}

static void test_wrong_values_say_what_would_be_right(void)
{
	static const struct faulty cases[] = {
		{11, "limits { head-time = 20x }",
			"c:11: option 'head-time' in limits: '20x' is not a time; write a number "
			"with ms, s, m, h or d, such as 20s\n"},
		{11, "limits { head-size = 16000 }",
			"c:11: option 'head-size' in limits: '16000' is not a size; write a number "
			"with B, kB, MB or GB, such as 20MB\n"},
		{11, "limits { connections = -1 }",
			"c:11: option 'connections' in limits: '-1' is not a number\n"},
		{11, "limits { head-time = 11m }",
			"c:11: option 'head-time' in limits: '11m' is out of range; from 100ms to "
			"10m "
			"is possible\n"},
		{11, "limits { body-size = 2GB }",
			"c:11: option 'body-size' in limits: '2GB' is out of range; from 1kB to "
			"1GB "
			"is possible\n"},
		{11, "limits { wbxml-depth = 65 }",
			"c:11: option 'wbxml-depth' in limits: '65' is out of range; from 8 to 64 "
			"is possible\n"},
		{19, "log { format = xml }",
			"c:19: option 'format' in log: 'xml' is not one of json, logfmt\n"},
		{17, "request-buffering = maybe",
			"c:17: option 'request-buffering' in upstream: 'maybe' is not one of on, "
			"off, "
			"yes, no, true, false\n"},
		{4, "ciphers = NONSENSE",
			"c:4: option 'ciphers' in listener: 'NONSENSE' is not a list of ciphers as "
			"in "
			"openssl-ciphers(1)\n"},
		{4, "health-path = healthz",
			"c:4: option 'health-path' in listener: 'healthz' is not a path; it begins "
			"with / and has letters, digits, -, ., _, ~ and /\n"},
		{13, "mailbox { domains = {\"exam ple\", a, A} }",
			"c:13: option 'domains' in mailbox: 'exam ple' is not a host name\n"
			"c:13: option 'domains' in mailbox: 'a' stands twice\n"},
		{13, "mailbox { domains = a names = {upn} }",
			"c:13: option 'names' in mailbox: 'upn' is not one of principal-name, "
			"rfc822-name, smtp-utf8-mailbox, ski, sha1-public-key, "
			"issuer-and-serial-number, issuer-and-subject, subject, sid\n"},
		{13, "mailbox { domains = a names = {\"principal-name\", ski} }",
			"c:13: option 'names' in mailbox: 'ski' is not an address, so it needs a "
			"directory to be looked up in; set directory/backend\n"},
		{13, "mailbox { domains = a affinity = high }",
			"c:13: option 'affinity' in mailbox: with high nobody comes in, as 'names' "
			"has none of ski, sha1-public-key, issuer-and-serial-number and sid\n"},
		{13, "mailbox { domains = {\"b\xff.test\"} }",
			"c:13: option 'domains' in mailbox: 'b\xff.test' is not a domain: string "
			"encoding error\n"},
		{13, "mailbox { domains = a } directory { backend = file }",
			"c:13: directory: backend = file needs file, the path of one\n"},
		{13, "mailbox { domains = a } directory { backend = ldap bind = none }",
			"c:13: directory: backend = ldap needs urls, such as "
			"{\"ldaps://dc1.example.com\"}\n"},
		{13,
			"mailbox { domains = a } directory { backend = ldap urls = "
			"{\"ldap://dc1.test\"} start-tls = off "
			"bind-name = x bind-password-file = password }",
			"c:13: 'ldap://dc1.test': the password would cross the network in the "
			"clear; use ldaps, or start-tls = on\n"},
		{13,
			"mailbox { domains = a } directory { backend = ldap urls = "
			"{\"http://dc1.test\"} bind = none }",
			"c:13: option 'urls' in directory: 'http://dc1.test' is not the URL of an "
			"LDAP server; write ldaps:// or ldap://, a host, and a port if need be\n"
			"c:13: directory: backend = ldap needs urls, such as "
			"{\"ldaps://dc1.example.com\"}\n"},
		{13,
			"mailbox { domains = a } directory { backend = ldap urls = "
			"{\"ldaps://a.test\"} }",
			"c:13: directory: bind = simple needs bind-name and bind-password-file; "
			"write bind = none for a server that answers anybody\n"},
		{13,
			"mailbox { domains = a } directory { filter = \"(a=b)(c=d)\" "
			"mail-attribute = \"a=b\" }",
			"c:13: option 'filter' in directory: '(a=b)(c=d)' is not one filter; write "
			"all of it in parentheses, such as (objectClass=user)\n"
			"c:13: option 'mail-attribute' in directory: 'a=b' is not the name of an "
			"LDAP attribute\n"},
		{13, "mailbox { domains = a } directory { filter = \"(a=\\\\2)\" }",
			"c:13: option 'filter' in directory: '(a=\\2)': after a "
			"backslash come two hexadecimal digits (RFC 4515)\n"},
		{13,
			"mailbox { domains = a } activesync { min-protocol = 16.0 max-protocol = "
			"14.1 }",
			"c:13: activesync: min-protocol is newer than max-protocol, so that no "
			"phone could speak to easproxyd\n"},
		{13,
			"mailbox { domains = a } activesync { heartbeat-min = 5m heartbeat-max = "
			"4m }",
			"c:13: activesync: heartbeat-min is longer than heartbeat-max\n"},
		{13,
			"mailbox { domains = a } activesync { closed-commands = {Find, search, "
			"Find} }",
			"c:13: option 'closed-commands' in activesync: 'search' is not the name of "
			"a command, such as Search, as the specification writes it\n"
			"c:13: option 'closed-commands' in activesync: 'Find' stands twice\n"},
		{13, "mailbox { domains = a } autodiscover { url = \"http://a.test\" }",
			"c:13: option 'url' in autodiscover: 'http://a.test' is not where phones "
			"find a host; write https://, a name, and a port if need be\n"},
		{13, "mailbox { domains = a } autodiscover { url = \"https://a.test/x\" }",
			"c:13: option 'url' in autodiscover: 'https://a.test/x': 'a.test/x' is not "
			"a host name\n"},
		{13,
			"mailbox { domains = a } autodiscover { redirects = {\"a\", \"b: b\", "
			"\"c: d\", \"C: e\"} }",
			"c:13: option 'redirects' in autodiscover: 'a' is not a pair of domains; "
			"write \"from.example: to.example\"\n"
			"c:13: option 'redirects' in autodiscover: 'b: b': a domain cannot lead to "
			"itself\n"
			"c:13: option 'redirects' in autodiscover: 'C: e': the first domain stands "
			"twice\n"},
		{8, "server-names = {\"a.*.b\"}",
			"c:8: option 'server-names' in certificate: 'a.*.b' is not a host name\n"},
		{2, "listener \"a b\" {",
			"c:2: listener: 'a b' is not a name; it has 1 to 64 letters, digits, -, _ "
			"and .\n"},
	};

	CHECK_CASES(cases, false);
}

static void test_missing_options_are_reported_where_they_would_stand(void)
{
	static const struct faulty cases[] = {
		{3, "",
			"c:2: option 'address' in listener is missing: Addresses and ports to "
			"listen "
			"on.\n"},
		{3, "address = {}",
			"c:2: option 'address' in listener is missing: Addresses and ports to "
			"listen "
			"on.\n"},
		{12, "\n",
			"c:20: option 'store' in trust is missing: JSON file with the certificate "
			"authorities that may vouch for phones.\n"},
		{13, "mailbox { }",
			"c:13: option 'domains' in mailbox is missing: Mail domains whose "
			"mailboxes "
			"are behind this proxy.\n"},
		{16, "",
			"c:14: upstream 'mail': login = header needs a field with %{mailbox} in "
			"headers, such as \"x-remote-user: %{mailbox}\"\n"},
		{16, "headers = {\"x-user: %%{mailbox}\"}",
			"c:16: upstream 'mail': login = header needs a field with %{mailbox} in "
			"headers, such as \"x-remote-user: %{mailbox}\"\n"},
		{19, "listener b { address = {\"127.0.0.1:9\"} }",
			"c:19: listener 'b' has no certificate\n"},
	};

	CHECK_CASES(cases, false);
}

#define REALM(name) "}\nkerberos " name " { account = svc keytab = mail.key "

static void test_kerberos_knows_the_realm_of_each_account(void)
{
	static const struct faulty good[] = {
		{17, "login = kerberos login-user = \"%{local-part}\" " REALM("A.TEST"), ""},
		{17,
			"login = kerberos login-user = \"%{mailbox}\" " REALM("A.TEST")
				REALM("B.TEST"),
			""},
		{17,
			"login = kerberos login-user = \"%{local-part}@B.TEST\" " REALM("A.TEST")
				REALM("B.TEST"),
			""},
	};
	static const struct faulty bad[] = {
		{17,
			"login = kerberos login-user = \"%{local-part}\" " REALM("A.TEST")
				REALM("B.TEST"),
			"c:14: upstream 'mail': with several sections kerberos, login-user "
			"'%{local-part}' does not say of which realm an account is: write "
			"account@REALM\n"},
		{17, "login = kerberos login-user = \"%{mailbox}\" " REALM("a.test"),
			"c:18: kerberos 'a.test': a realm is written in capitals, digits, '.' and "
			"'-'\n"},
		{17, "login = kerberos " REALM("A.TEST"),
			"c:14: upstream 'mail': without a directory (backend = ldap) that knows "
			"accounts, login = kerberos needs login-user, such as "
			"\"%{local-part}\"\n"},
	};

	CHECK_CASES(good, true);
	CHECK_CASES(bad, false);
}

#define BEARER "login = bearer }\nbearer { endpoint = \"https://l.test/t\" key = mail.key "

static void test_bearer_tokens_are_asked_for_in_a_whole_way(void)
{
	static const struct faulty good[] = {
		{17, BEARER "client-id = a", ""},
		{17, BEARER "issuer = a client-id = b client-secret-file = password ca = ca.pem",
			""},
		{17,
			"login-user = \"%{mailbox}\" " BEARER
			"client-id = a client-assertion = on grant = saml subject = "
			"\"%{account}@%{realm}\" attributes = {\"urn:a = %{upn}\"}",
			""},
		{17,
			"login = bearer }\nbearer { endpoint = \"http://127.0.0.1:8/t\" key = "
			"mail.key client-id = a",
			"c:18: warning: option 'endpoint' in bearer: 'http://127.0.0.1:8/t' is not "
			"encrypted\n"},
		{17, BEARER "client-id = a attributes = {\"urn:a = %{upn}\"}",
			"c:18: warning: option 'attributes' in bearer says nothing without grant = "
			"saml\n"},
		{17, "}\nbearer { endpoint = \"https://l.test/t\"",
			"c:18: warning: bearer says nothing without login = bearer in upstream\n"},
	};
	static const struct faulty bad[] = {
		{17, "login = bearer",
			"c:14: upstream 'mail': login = bearer needs endpoint and key in a section "
			"bearer\n"
			"c:19: bearer: assertions need an issuer, or client-id\n"},
		{17,
			"login = bearer }\nbearer { endpoint = \"http://l.test/t\" key = mail.key "
			"client-id = a",
			"c:18: option 'endpoint' in bearer: 'http://l.test/t': assertions and "
			"tokens "
			"would cross the network in the clear; use https\n"},
		{17,
			"login = bearer }\nbearer { endpoint = \"l.test/t\" key = mail.key "
			"client-id "
			"= a",
			"c:18: option 'endpoint' in bearer: 'l.test/t' is not an endpoint; write "
			"http:// or https://, a host, and a port if need be\n"},
		{17, BEARER "client-id = a ca = junk.pem",
			"c:18: junk.pem has no certificate (PEM)\n"},
		{17, BEARER "issuer = a client-secret-file = password",
			"c:18: bearer: client-secret-file and client-assertion need client-id\n"},
		{17, BEARER "client-id = a client-secret-file = password client-assertion = on",
			"c:18: bearer: a client says who it is by client-secret-file or by "
			"client-assertion, not by both (RFC 6749 2.3)\n"},
		{17, BEARER "client-id = a client-secret-file = two-lines",
			"c:18: two-lines: a secret is one line\n"},
		{17, BEARER "client-id = a subject = everybody",
			"c:18: option 'subject' in bearer: 'everybody' would be the same for "
			"everybody\n"},
		{17, BEARER "client-id = a subject = \"%{upn}\"",
			"c:18: option 'subject' in bearer: nobody says what '%{upn}' is; it needs "
			"directory/backend = ldap, or upstream/login-user\n"},
		{17, BEARER "client-id = a subject = \"%{mailbox} %{device-id}\"",
			"c:18: option 'subject' in bearer: %{device-id} is unknown; there are "
			"%{mailbox}, %{local-part}, %{domain}, %{account}, %{realm}, %{upn} and "
			"%{sid}\n"},
		{17,
			BEARER "client-id = a grant = saml attributes = {\"urn:a\", \"= %{upn}\", "
			       "\"urn:a = %{x}\"}",
			"c:18: option 'attributes' in bearer: 'urn:a' is not like \"URI = "
			"%{upn}\"\n"
			"c:18: option 'attributes' in bearer: '= %{upn}' is not like \"URI = "
			"%{upn}\"\n"
			"c:18: option 'attributes' in bearer: %{x} is unknown; there are "
			"%{mailbox}, %{local-part}, %{domain}, %{account}, %{realm}, %{upn} and "
			"%{sid}\n"},
		{17, BEARER "client-id = a scope = \"a\\\\b\"",
			"c:18: option 'scope' in bearer: 'a\\b' has characters that no scope "
			"has\n"},
	};

	CHECK_CASES(good, true);
	CHECK_CASES(bad, false);
}

static void test_a_signed_field_is_one_of_its_own(void)
{
	static const struct faulty good[] = {
		{19, "assertion { header = X-Signed key = mail.key }", ""},
		{19, "assertion { header = Authorization key = mail.key }", ""},
		{19, "assertion { key = mail.key }",
			"c:19: warning: assertion says nothing without header\n"},
	};
	static const struct faulty bad[] = {
		{19, "assertion { header = X-Signed }",
			"c:19: assertion: header needs key, to sign it with\n"},
		{19, "assertion { header = \"X Signed\" key = mail.key }",
			"c:19: option 'header' in assertion: 'X Signed' is not the name of a "
			"field\n"},
		{19, "assertion { header = Host key = mail.key }",
			"c:19: option 'header' in assertion: the field 'Host' belongs to HTTP and "
			"is "
			"not configurable\n"},
		{19, "assertion { header = X-User key = mail.key }",
			"c:19: option 'header' in assertion: 'X-User' stands in upstream/headers, "
			"too\n"},
		{17, BEARER "client-id = a }\nassertion { header = Authorization key = mail.key",
			"c:19: option 'header' in assertion: the login of upstream writes "
			"'Authorization' itself\n"},
	};

	CHECK_CASES(good, true);
	CHECK_CASES(bad, false);
}

static void test_an_empty_file_lacks_all_that_is_required(void)
{
	struct config *config = fixture_load(&fixture, "user = nobody\n", NULL);

	CU_ASSERT_PTR_NULL(config);
	CU_ASSERT_STRING_EQUAL(fixture.reports,
		"c:1: option 'store' in trust is missing: JSON file with the certificate "
		"authorities that may vouch for phones.\n"
		"c:1: option 'domains' in mailbox is missing: Mail domains whose mailboxes are "
		"behind this proxy.\n"
		"c:1: there is no listener; add one with an address and a certificate\n"
		"c:1: there is no upstream; add one with the endpoints of the mail server\n");
	config_free(config);
}

static void test_files_that_cannot_be_used_are_named(void)
{
	static const struct faulty cases[] = {
		{6, "chain = none.pem",
			"c:6: option 'chain' in certificate: opening none.pem: No such file or "
			"directory\n"},
		{6, "chain = /dev",
			"c:6: option 'chain' in certificate: /dev is a directory, not a file\n"},
		{6, "chain = /dev/null",
			"c:6: option 'chain' in certificate: /dev/null is not a regular file\n"},
		{6, "chain = empty.pem",
			"c:6: option 'chain' in certificate: empty.pem is empty\n"},
		{6, "chain = junk.pem", "c:6: junk.pem has no certificate (PEM)\n"},
		{6, "chain = disorder.pem",
			"c:6: disorder.pem: certificate 2 is not the issuer of certificate 1; the "
			"server's comes first, then each one's issuer\n"},
		{7, "key = rsa.key",
			"c:7: rsa.key is not the key of the first certificate in "
			"mail.pem\n"},
		{7, "key = locked.key",
			"c:7: locked.key is encrypted, and nobody is there to type its passphrase; "
			"decrypt it (openssl pkey) and protect it by its mode\n"},
		{7, "key = open.key",
			"c:7: option 'key' in certificate: open.key holds a secret, but its mode "
			"0644 "
			"lets others at it; chmod 0600 or 0640 it\n"},
		{17, "ca = junk.pem", "c:17: junk.pem has no certificate (PEM)\n"},
	};

	CHECK_CASES(cases, false);
}

static void test_addresses_are_checked(void)
{
	static const struct faulty cases[] = {
		{3, "address = 127.0.0.1",
			"c:3: option 'address' in listener: '127.0.0.1' is not an address; write "
			"HOST:PORT, such as 0.0.0.0:443, [::]:443 or *:443\n"},
		{3, "address = \"127.0.0.1:0\"",
			"c:3: option 'address' in listener: '127.0.0.1:0' is not an address; write "
			"HOST:PORT, such as 0.0.0.0:443, [::]:443 or *:443\n"},
		{3, "address = \"::1:443\"",
			"c:3: option 'address' in listener: '::1:443': an IPv6 address is written "
			"in "
			"brackets, [::1]:443\n"},
		{3, "address = \":443\"",
			"c:3: option 'address' in listener: ':443' has no host; write *:443 for "
			"all "
			"addresses\n"},
		{3, "address = \"256.1.1.1:443\"",
			"c:3: option 'address' in listener: '256.1.1.1:443' cannot be resolved: "
			"Name "
			"or service not known\n"},
		{4, "address += {\"127.0.0.1:8443\"}",
			"c:4: option 'address' in listener: '127.0.0.1:8443' is listened on "
			"already, "
			"line 3\n"},
		{19,
			"listener b { address = {\"127.0.0.1:8443\"} certificate a { chain = "
			"rsa.pem "
			"key = rsa.key } }",
			"c:19: option 'address' in listener: '127.0.0.1:8443' is listened on "
			"already, "
			"line 3\n"},
	};

	CHECK_CASES(cases, false);
}

static void test_source_addresses_are_checked(void)
{
#define SOURCES "c:17: option 'source-addresses' in upstream: "
	static const struct faulty cases[] = {
		{17, "source-addresses = {\"127.0.0.1:80\"}",
			SOURCES
			"'127.0.0.1:80' is not an address; write it without a port or brackets, "
			"such as 192.0.2.7 or 2001:db8::7\n"},
		{17, "source-addresses = {\"mail.test\"}",
			SOURCES
			"'mail.test' is not an address; write it without a port or brackets, "
			"such as 192.0.2.7 or 2001:db8::7\n"},
		{17, "source-addresses = {\"0.0.0.0\"}",
			SOURCES "'0.0.0.0' is no single address that a connection can come from\n"},
		{17, "source-addresses = {\"ff02::1\"}",
			SOURCES "'ff02::1' is no single address that a connection can come from\n"},
		{17, "source-addresses = {\"::ffff:192.0.2.7\"}",
			SOURCES
			"'::ffff:192.0.2.7' is an IPv4 address written as an IPv6 one; write "
			"192.0.2.7\n"},
		{17, "source-addresses = {\"127.0.0.1\", \"127.0.0.1\"}",
			SOURCES "'127.0.0.1' stands twice\n"},
	};
	static const struct faulty elsewhere = {17, "source-addresses = {\"192.0.2.7\"}",
		"c:17: warning: option 'source-addresses' in upstream: '192.0.2.7' is not an "
		"address of "
		"this machine now\n"};
	static const struct faulty link_local = {17, "source-addresses = {\"fe80::7\"}",
		"c:17: warning: option 'source-addresses' in upstream: no connection comes from "
		"'fe80::7', which is link-local\n"};
#undef SOURCES

	CHECK_CASES(cases, false);
	/* One that may come later, from another machine, is said and no more. */
	check_case(&elsewhere, true);
	check_case(&link_local, true);
}

static void test_endpoints_are_checked(void)
{
#define ENDPOINT "c:15: option 'endpoints' in upstream: "
	static const struct faulty cases[] = {
		{15, "endpoints = \"ftp://a\"",
			ENDPOINT
			"'ftp://a' is not an endpoint; write http:// or https://, a host, and "
			"a port if need be\n"},
		{15, "endpoints = \"http://u:p@a\"",
			ENDPOINT "'http://u:p@a': user names and passwords do not belong here\n"},
		{15, "endpoints = \"http://a/b?c\"",
			ENDPOINT "'http://a/b?c': an endpoint has no query and no fragment\n"},
		{15, "endpoints = \"http://a/../b\"",
			ENDPOINT
			"'http://a/../b': the path may have letters, digits, -, ., _, ~ and "
			"single slashes\n"},
		{15, "endpoints = \"http://a:0\"",
			ENDPOINT "'http://a:0': '0' is not a port from 1 to 65535\n"},
		{15, "endpoints = \"http://a:65536\"",
			ENDPOINT "'http://a:65536': '65536' is not a port from 1 to 65535\n"},
		{15, "endpoints = \"http://\"", ENDPOINT "'http://': '' is not a host name\n"},
		{15, "endpoints = \"http://[::x]\"",
			ENDPOINT "'http://[::x]': '::x' is not an IPv6 address\n"},
		{15, "endpoints = {\"https://a\", \"https://a\"}",
			ENDPOINT "'https://a' stands twice\n"},
		{17, "host = \"a/b\"",
			"c:17: option 'host' in upstream: 'a/b' is not a host name\n"},
	};

	CHECK_CASES(cases, false);
}

static void test_fields_and_templates_are_checked(void)
{
#define HEADERS "c:16: option 'headers' in upstream: "
	static const struct faulty cases[] = {
		{16, "headers = {\"x: %{mailbox}\", \"X: b\"}", HEADERS "'X' stands twice\n"},
		{16, "headers = {\"x: %{mailbox}\", \"y\"}",
			HEADERS "'y' is not a field; write its name, a colon and its value\n"},
		{16, "headers = {\"x: %{mailbox}\", \"a b: c\"}",
			HEADERS "'a b' is not the name of a field\n"},
		{16, "headers = {\"x: %{mailbox}\", \"content-length: 3\"}",
			HEADERS
			"the field 'content-length' belongs to HTTP and is not configurable\n"},
		{16, "headers = {\"x: %{mailbox}\", \"y: \"}",
			HEADERS
			"'y: ': the value of a field is not empty, ends in no space and has at "
			"most 1,000 characters\n"},
		{16, "headers = {\"x: %{mailbox}\", \"y: 5%\"}",
			HEADERS
			"'5%': after % comes {mailbox} or another name; a percent sign itself "
			"is %%\n"},
		{16, "headers = {\"x: %{mailbox}\", \"y: ä\"}",
			HEADERS "'ä' has characters other than printable ASCII\n"},
		{16, "headers = {\"x: %{mailbox}\", \"y: %{serial}\"}",
			HEADERS
			"%{serial} is unknown; there are %{mailbox}, %{local-part}, %{domain}, "
			"%{device-id}, %{device-type}, %{request-id} and %{client-address}\n"},
		{19, "identity-headers = {\"transfer-encoding\"}",
			"c:19: option 'identity-headers': the field 'transfer-encoding' belongs to "
			"HTTP "
			"and is not configurable\n"},
		{17, "login = basic",
			"c:14: upstream 'mail': login = basic needs basic-user\n"
			"c:14: upstream 'mail': login = basic needs basic-password-file\n"},
		{17, "login = basic basic-user = \"a:b\" basic-password-file = two-lines",
			"c:14: upstream 'mail': basic-user cannot have a colon (RFC 7617)\n"
			"c:17: two-lines: a password is one line\n"},
	};

	CHECK_CASES(cases, false);
}

static void test_warnings_do_not_fail_the_load(void)
{
	static const struct faulty cases[] = {
		{6, "chain = expired.pem",
			"c:6: warning: expired.pem: the certificate has expired\n"},
		{6, "chain = future.pem",
			"c:6: warning: future.pem: the certificate is not valid yet\n"},
		{8, "server-names = {\"mail.example.org\"}",
			"c:6: warning: mail.pem: the certificate is not valid for "
			"'mail.example.org'\n"},
		{15, "endpoints = {\"http://127.0.0.1:1\", \"http://mail.test\"}",
			"c:15: warning: endpoint 'http://mail.test': mails and logins cross the "
			"network "
			"in the clear; use https\n"},
		{15, "endpoints = {\"https://a\", \"https://mail.invalid:444/x\"}",
			"c:15: warning: endpoint 'https://mail.invalid:444/x': its name cannot be "
			"resolved now: Name or service not known\n"},
		{15, "endpoints = \"http://localhost\" ca = ca.pem",
			"c:15: warning: upstream 'mail': ca says nothing without an https "
			"endpoint\n"},
		{17, "login = none",
			"c:14: warning: upstream 'mail': with login = none the mail server is not "
			"told "
			"whose mailbox it is\n"},
		{17, "redirects = rewrite",
			"c:14: warning: upstream 'mail': redirects = rewrite sends phones to the "
			"url of autodiscover; as that is not set, they are refused\n"},
		{13, "mailbox { domains = a } activesync { closed-commands = Provision }",
			"c:13: warning: activesync: with Provision among closed-commands phones "
			"keep no policy, and many then do not synchronize\n"},
		{17, "basic-user = a",
			"c:14: warning: upstream 'mail': basic-user and basic-password-file say "
			"nothing without login = basic\n"},
	};

	CHECK_CASES(cases, true);
}

static void test_two_certificates_for_the_same_use_are_a_fault(void)
{
	static const struct faulty bad[] = {
		{9, "} certificate other { chain = mail.pem key = mail.key }",
			"c:9: certificate 'other' is for the same names (all) and kind of key as "
			"'main'\n"},
	};
	static const struct faulty good[] = {
		{9, "} certificate other { chain = rsa.pem key = rsa.key }", ""},
		{9,
			"} certificate o { chain = mail.pem key = mail.key server-names = "
			"\"a.m.test\" }",
			""},
	};

	CHECK_CASES(bad, false);
	CHECK_CASES(good, true);
}

static void test_all_faults_come_in_one_run_and_in_order(void)
{
	struct config *config = fixture_load(&fixture,
		"wrong = 1\n"
		"user = nobody\n"
		"upstream mail {\n"
		"  login = magic\n"
		"  endpoints = {\"https://a\", \"gopher://b\"}\n"
		"}\n"
		"mailbox { domains = {\"-\"} }\n"
		"trust { store = none.json }\n"
		"listener phones {\n"
		"  address = {\"127.0.0.1:1\"}\n"
		"  certificate main {\n"
		"    chain = mail.pem\n"
		"    key = rsa.key\n"
		"    colour = red\n"
		"  }\n"
		"}\n"
		"workers = many\n",
		NULL);

	CU_ASSERT_PTR_NULL(config);
	CU_ASSERT_STRING_EQUAL(fixture.reports,
		"c:1: unknown option 'wrong'\n"
		"c:3: upstream 'mail': login = header needs a field with %{mailbox} in headers, "
		"such "
		"as \"x-remote-user: %{mailbox}\"\n"
		"c:4: option 'login' in upstream: 'magic' is not one of none, header, client-cert, "
		"basic, kerberos, minted-certificate, bearer\n"
		"c:5: option 'endpoints' in upstream: 'gopher://b' is not an endpoint; write "
		"http:// "
		"or https://, a host, and a port if need be\n"
		"c:7: option 'domains' in mailbox: '-' is not a host name\n"
		"c:8: option 'store' in trust: opening none.json: No such file or directory\n"
		"c:13: rsa.key is not the key of the first certificate in mail.pem\n"
		"c:14: unknown option 'colour' in certificate\n"
		"c:17: option 'workers': 'many' is not a number\n");
	config_free(config);
}

static int refuse_store(
	const struct config_file *store, config_report *report, void *report_context)
{
	(void)store;
	report(report_context, "trust.json: authority 2: not a CA");
	return -1;
}

static void test_faults_of_the_trust_store_stand_in_their_place(void)
{
	struct config *config = fixture_load(&fixture,
		"user = nobody\n"
		"trust { store = trust.json }\n"
		"wrong = 1\n",
		refuse_store);

	CU_ASSERT_PTR_NULL(config);
	CU_ASSERT_PTR_NOT_NULL(strstr(fixture.reports,
		"trust.json: authority 2: not a CA\nc:3: unknown option 'wrong'\n"));
	config_free(config);
}

static void test_a_configuration_that_is_no_file_is_refused(void)
{
	char path[128];

	fixture_path(&fixture, "missing", path);
	fixture.reports[0] = '\0';
	CU_ASSERT_PTR_NULL(config_load(path, NULL, fixture_report, &fixture));
	CU_ASSERT_STRING_EQUAL(
		fixture.reports, "missing: opening the configuration: No such file or directory\n");
	fixture.reports[0] = '\0';
	CU_ASSERT_PTR_NULL(config_load("/dev", NULL, fixture_report, &fixture));
	CU_ASSERT_STRING_EQUAL(
		fixture.reports, "/dev: this is a directory, not a configuration file\n");
	fixture.reports[0] = '\0';
	CU_ASSERT_PTR_NULL(config_load("/dev/zero", NULL, fixture_report, &fixture));
	CU_ASSERT_STRING_EQUAL(
		fixture.reports, "/dev/zero: the configuration is larger than 1 MB\n");
}

static const struct check checks[] = {
	{"a good configuration has no fault", test_good_configuration_has_no_fault},
	{"broken grammar is the only fault", test_broken_grammar_is_the_only_fault},
	{"unknown and repeated options are named", test_unknown_and_repeated_options_are_named},
	{"wrong values say what would be right", test_wrong_values_say_what_would_be_right},
	{"what is missing is reported where it would stand",
		test_missing_options_are_reported_where_they_would_stand},
	{"kerberos knows the realm of each account", test_kerberos_knows_the_realm_of_each_account},
	{"bearer tokens are asked for in a whole way",
		test_bearer_tokens_are_asked_for_in_a_whole_way},
	{"a signed field is one of its own", test_a_signed_field_is_one_of_its_own},
	{"an empty file lacks all that is required", test_an_empty_file_lacks_all_that_is_required},
	{"files that cannot be used are named", test_files_that_cannot_be_used_are_named},
	{"addresses are checked", test_addresses_are_checked},
	{"source addresses are checked", test_source_addresses_are_checked},
	{"endpoints are checked", test_endpoints_are_checked},
	{"fields and templates are checked", test_fields_and_templates_are_checked},
	{"two certificates for the same use are a fault",
		test_two_certificates_for_the_same_use_are_a_fault},
	{"warnings do not fail the load", test_warnings_do_not_fail_the_load},
	{"all faults come in one run and in order", test_all_faults_come_in_one_run_and_in_order},
	{"faults of the trust store stand in their place",
		test_faults_of_the_trust_store_stand_in_their_place},
	{"a configuration that is no file is refused",
		test_a_configuration_that_is_no_file_is_refused},
};

int main(void)
{
	int status;

	fixture_begin(&fixture);
	status = check_run("config/faults", checks, sizeof(checks) / sizeof(checks[0]));
	fixture_end(&fixture);
	return status;
}
