/* Which process gets which of the configured files: none gets what another one needs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "proxy/child_files.h"

/* Descriptors that nobody opens: a number for each file. */
enum {
	STORE = 100,
	CHAIN,
	KEY,
	UPSTREAM_CA,
	BASIC_PASSWORD,
	TEXT,
	DIRECTORY_CA,
	BIND_PASSWORD,
	KEYTAB,
	OTHER_KEYTAB,
	ISSUER,
	ISSUING_KEY,
	PIN,
	BEARER_CA,
	BEARER_CERTIFICATE,
	BEARER_KEY,
	CLIENT_SECRET,
	ASSERTION_KEY,
	FILES_MAX = 64,
};

static struct config_certificate certificate = {.chain = {.fd = CHAIN}, .key = {.fd = KEY}};
static struct config_listener listener = {.certificate_count = 1, .certificates = &certificate};
static struct config_kerberos realms[] = {
	{.keytab = {.fd = KEYTAB}},
	{.keytab = {.fd = OTHER_KEYTAB}},
};

static struct config config_with(enum config_login login)
{
	return (struct config){
		.trust = {.store = {.fd = STORE}},
		.listener_count = 1,
		.listeners = &listener,
		.upstream = {.login = login,
			.ca = {.fd = UPSTREAM_CA},
			.basic_password = {.fd = BASIC_PASSWORD}},
		.devices = {.quarantine_text = {.fd = TEXT}},
		.directory = {.backend = CONFIG_DIRECTORY_LDAP,
			.ca = {.fd = DIRECTORY_CA},
			.bind_password = {.fd = BIND_PASSWORD}},
		.kerberos_count = 2,
		.kerberos = realms,
		.minted = {.issuer = {.fd = ISSUER},
			.key = {.fd = ISSUING_KEY},
			.pin = {.fd = PIN}},
		.bearer = {.ca = {.fd = BEARER_CA},
			.certificate = {.fd = BEARER_CERTIFICATE},
			.key = {.fd = BEARER_KEY},
			.client_secret = {.fd = CLIENT_SECRET}},
		.assertion = {.header = (char *)"X-Signed", .key = {.fd = ASSERTION_KEY}},
	};
}

/* Which of them somebody has, as "104 107 ". */
static void describe(
	const struct config *config, enum role role, enum child_part part, char *text, size_t size)
{
	int fds[FILES_MAX];
	size_t count = child_files(config, role, part, fds, FILES_MAX), len = 0;

	text[0] = '\0';
	for (int fd = STORE; fd <= ASSERTION_KEY; fd++)
		for (size_t i = 0; i < count; i++)
			if (fds[i] == fd)
				len += (size_t)snprintf(text + len, size - len, "%d ", fd);
}

static void test_each_has_its_own_alone(void)
{
	static const struct {
		enum config_login login;
		enum role role;
		enum child_part part;
		const char *files;
	} cases[] = {
		{CONFIG_LOGIN_HEADER, ROLE_WORKER, PART_MAIN, "101 102 103 105 "},
		{CONFIG_LOGIN_BASIC, ROLE_WORKER, PART_MAIN, "101 102 103 104 105 "},
		{CONFIG_LOGIN_KERBEROS, ROLE_WORKER, PART_MAIN, "101 102 103 105 "},
		{CONFIG_LOGIN_MINTED, ROLE_WORKER, PART_MAIN, "101 102 103 105 "},
		{CONFIG_LOGIN_BEARER, ROLE_WORKER, PART_MAIN, "101 102 103 105 "},
		{CONFIG_LOGIN_BEARER, ROLE_CONTROL, PART_MAIN, ""},
		{CONFIG_LOGIN_BEARER, ROLE_REVOCATION, PART_MAIN, ""},
		{CONFIG_LOGIN_KERBEROS, ROLE_IDENTITY, PART_DIRECTORY, "106 107 "},
		{CONFIG_LOGIN_KERBEROS, ROLE_IDENTITY, PART_TICKET, "108 109 "},
		{CONFIG_LOGIN_KERBEROS, ROLE_IDENTITY, PART_TOKENS, ""},
		{CONFIG_LOGIN_KERBEROS, ROLE_IDENTITY, PART_MINTER, ""},
		{CONFIG_LOGIN_KERBEROS, ROLE_IDENTITY, PART_BEARER, ""},
		{CONFIG_LOGIN_MINTED, ROLE_IDENTITY, PART_MINTER, "110 111 112 "},
		{CONFIG_LOGIN_MINTED, ROLE_IDENTITY, PART_TICKET, ""},
		{CONFIG_LOGIN_BEARER, ROLE_IDENTITY, PART_BEARER, "113 114 115 116 "},
		{CONFIG_LOGIN_BEARER, ROLE_IDENTITY, PART_SIGNER, "117 "},
	};
	char text[FILES_MAX * 8];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct config config = config_with(cases[i].login);

		describe(&config, cases[i].role, cases[i].part, text, sizeof(text));
		if (strcmp(text, cases[i].files) != 0)
			fprintf(stderr, "login %d, role %d, part %d: %s\n", (int)cases[i].login,
				(int)cases[i].role, (int)cases[i].part, text);
		CU_ASSERT_STRING_EQUAL(text, cases[i].files);
	}
}

static void test_identity_is_born_with_those_of_its_parts(void)
{
	const struct config config = config_with(CONFIG_LOGIN_KERBEROS);
	char text[FILES_MAX * 8];

	describe(&config, ROLE_IDENTITY, PART_MAIN, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "106 107 108 109 117 ");
}

static void test_what_is_not_configured_is_nobodys(void)
{
	struct config config = config_with(CONFIG_LOGIN_MINTED);
	char text[FILES_MAX * 8];

	config.minted.pin.fd = -1;
	config.directory.backend = CONFIG_DIRECTORY_FILE;
	config.assertion.header = (char *)"";
	describe(&config, ROLE_IDENTITY, PART_MAIN, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "110 111 ");
}

int main(void)
{
	static const struct check checks[] = {
		{"each has its own alone", test_each_has_its_own_alone},
		{"identity is born with those of its parts",
			test_identity_is_born_with_those_of_its_parts},
		{"what is not configured is nobody's", test_what_is_not_configured_is_nobodys},
	};

	return check_run("proxy/child_files", checks, sizeof(checks) / sizeof(checks[0]));
}
