#include <stdio.h>
#include <string.h>

#include "check.h"
#include "proxy/identity_login_subject.h"

static struct {
	struct config config;
	struct config_kerberos realms[2];
	struct directory_answer answer;
	struct login_subject subject;
	struct login_fault fault;
} it;

static const char alice[] = "alice@mail.contoso.test";

static void set(char *text, size_t size, const char *value)
{
	snprintf(text, size, "%s", value);
}

static void set_up(enum config_directory_backend backend, char *login_user)
{
	memset(&it, 0, sizeof(it));
	it.config.directory.backend = backend;
	it.config.upstream.login_user = login_user;
	it.config.bearer.subject = "%{mailbox}";
	it.config.kerberos = it.realms;
	it.config.kerberos_count = 1;
	it.realms[0].realm = "CONTOSO.TEST";
	it.realms[1].realm = "FABRIKAM.TEST";
	it.answer.status = DIRECTORY_FOUND;
	set(it.answer.mailbox, sizeof(it.answer.mailbox), alice);
	set(it.answer.account, sizeof(it.answer.account), "AliceA");
	set(it.answer.realm, sizeof(it.answer.realm), "AD.CONTOSO.TEST");
	set(it.answer.upn, sizeof(it.answer.upn), "alice@contoso.test");
	set(it.answer.sid, sizeof(it.answer.sid), "S-1-5-21-1-2-3-1104");
}

static enum login_status by_answer(enum login_kind kind)
{
	return login_subject_fill(&it.config, kind, alice, &it.answer, &it.subject, &it.fault);
}

static enum login_status without(enum login_kind kind)
{
	return login_subject_fill(&it.config, kind, alice, NULL, &it.subject, &it.fault);
}

static void test_the_account_is_the_directorys(void)
{
	char name[64];

	set_up(CONFIG_DIRECTORY_LDAP, "");
	CU_ASSERT_TRUE(login_subject_needs_directory(&it.config, LOGIN_KERBEROS));
	CU_ASSERT_EQUAL(by_answer(LOGIN_KERBEROS), LOGIN_GIVEN);
	CU_ASSERT_STRING_EQUAL(it.subject.mailbox, alice);
	CU_ASSERT_STRING_EQUAL(it.subject.account, "AliceA");
	CU_ASSERT_STRING_EQUAL(it.subject.realm, "AD.CONTOSO.TEST");
	CU_ASSERT_STRING_EQUAL(it.subject.upn, "alice@contoso.test");
	CU_ASSERT_STRING_EQUAL(it.subject.sid, "S-1-5-21-1-2-3-1104");
	login_subject_name(&it.subject, name, sizeof(name));
	CU_ASSERT_STRING_EQUAL(name, "AliceA@AD.CONTOSO.TEST");
}

static void test_whoever_the_directory_does_not_find_gets_no_login(void)
{
	static const struct {
		enum directory_status status;
		enum login_status login;
	} cases[] = {
		{DIRECTORY_NOT_FOUND, LOGIN_REFUSED},
		{DIRECTORY_AMBIGUOUS, LOGIN_REFUSED},
		{DIRECTORY_DISABLED, LOGIN_REFUSED},
		{DIRECTORY_NO_MAILBOX, LOGIN_REFUSED},
		{DIRECTORY_UNAVAILABLE, LOGIN_UNAVAILABLE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_up(CONFIG_DIRECTORY_LDAP, "");
		it.answer.status = cases[i].status;
		CU_ASSERT_EQUAL(by_answer(LOGIN_KERBEROS), cases[i].login);
		CU_ASSERT_STRING_EQUAL(it.subject.account, "");
	}
}

static void test_an_alias_of_another_mailbox_is_not_that_mailbox(void)
{
	set_up(CONFIG_DIRECTORY_LDAP, "");
	set(it.answer.mailbox, sizeof(it.answer.mailbox), "bob@contoso.test");
	CU_ASSERT_EQUAL(by_answer(LOGIN_KERBEROS), LOGIN_REFUSED);
	CU_ASSERT_STRING_EQUAL(it.subject.account, "");
}

static void test_kerberos_needs_an_account_and_a_realm(void)
{
	set_up(CONFIG_DIRECTORY_LDAP, "");
	it.answer.account[0] = '\0';
	CU_ASSERT_EQUAL(by_answer(LOGIN_KERBEROS), LOGIN_REFUSED);
	CU_ASSERT_EQUAL(by_answer(LOGIN_MINTED), LOGIN_GIVEN);
	set(it.answer.account, sizeof(it.answer.account), "alice");
	it.answer.realm[0] = '\0';
	CU_ASSERT_EQUAL(by_answer(LOGIN_KERBEROS), LOGIN_GIVEN);
	CU_ASSERT_STRING_EQUAL(it.subject.realm, "CONTOSO.TEST"); /* the only one */
	it.config.kerberos_count = 2;
	CU_ASSERT_EQUAL(by_answer(LOGIN_KERBEROS), LOGIN_REFUSED);
}

static void test_login_user_names_the_account_without_the_directory(void)
{
	set_up(CONFIG_DIRECTORY_LDAP, "%{local-part}@ad.contoso.test");
	CU_ASSERT_FALSE(login_subject_needs_directory(&it.config, LOGIN_KERBEROS));
	CU_ASSERT_FALSE(login_subject_needs_directory(&it.config, LOGIN_MINTED));
	CU_ASSERT_EQUAL(without(LOGIN_KERBEROS), LOGIN_GIVEN);
	CU_ASSERT_STRING_EQUAL(it.subject.account, "alice");
	CU_ASSERT_STRING_EQUAL(it.subject.realm, "AD.CONTOSO.TEST");
	CU_ASSERT_STRING_EQUAL(it.subject.upn, "alice@ad.contoso.test");
	CU_ASSERT_STRING_EQUAL(it.subject.sid, "");
	set_up(CONFIG_DIRECTORY_LDAP, "%{local-part}");
	CU_ASSERT_EQUAL(without(LOGIN_KERBEROS), LOGIN_GIVEN);
	CU_ASSERT_STRING_EQUAL(it.subject.account, "alice");
	CU_ASSERT_STRING_EQUAL(it.subject.realm, "CONTOSO.TEST");
	CU_ASSERT_STRING_EQUAL(it.subject.upn, "");
}

static void test_login_user_that_makes_no_name_gives_no_login(void)
{
	static char long_name[160];

	set_up(CONFIG_DIRECTORY_LDAP, "@contoso.test");
	CU_ASSERT_EQUAL(without(LOGIN_KERBEROS), LOGIN_REFUSED);
	memset(long_name, 'a', sizeof(long_name) - 1);
	set_up(CONFIG_DIRECTORY_LDAP, long_name);
	CU_ASSERT_EQUAL(without(LOGIN_KERBEROS), LOGIN_REFUSED);
}

static void test_what_is_about_the_mailbox_alone_asks_nobody(void)
{
	set_up(CONFIG_DIRECTORY_LDAP, "");
	CU_ASSERT_TRUE(login_subject_needs_directory(&it.config, LOGIN_MINTED));
	CU_ASSERT_FALSE(login_subject_needs_directory(&it.config, LOGIN_BEARER));
	CU_ASSERT_FALSE(login_subject_needs_directory(&it.config, LOGIN_ASSERTION));
	it.config.bearer.subject = "%{upn}";
	CU_ASSERT_TRUE(login_subject_needs_directory(&it.config, LOGIN_BEARER));
	set_up(CONFIG_DIRECTORY_NONE, "");
	CU_ASSERT_FALSE(login_subject_needs_directory(&it.config, LOGIN_MINTED));
	CU_ASSERT_EQUAL(without(LOGIN_ASSERTION), LOGIN_GIVEN);
	CU_ASSERT_EQUAL(without(LOGIN_BEARER), LOGIN_GIVEN);
	CU_ASSERT_STRING_EQUAL(it.subject.mailbox, alice);
	CU_ASSERT_EQUAL(without(LOGIN_KERBEROS), LOGIN_REFUSED);
}

int main(void)
{
	static const struct check checks[] = {
		{"the account is the directory's", test_the_account_is_the_directorys},
		{"whoever the directory does not find gets no login",
			test_whoever_the_directory_does_not_find_gets_no_login},
		{"an alias of another mailbox is not that mailbox",
			test_an_alias_of_another_mailbox_is_not_that_mailbox},
		{"Kerberos needs an account and a realm",
			test_kerberos_needs_an_account_and_a_realm},
		{"login-user names the account without the directory",
			test_login_user_names_the_account_without_the_directory},
		{"login-user that makes no name gives no login",
			test_login_user_that_makes_no_name_gives_no_login},
		{"what is about the mailbox alone asks nobody",
			test_what_is_about_the_mailbox_alone_asks_nobody},
	};

	return check_run(
		"proxy/identity_login_subject", checks, sizeof(checks) / sizeof(checks[0]));
}
