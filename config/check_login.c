/*
 * Logins on the owner's behalf: that what upstream/login asks for is there, and whole.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/check.h"
#include "config/value.h"

bool check_login_writes_authorization(const struct config_upstream *upstream)
{
	return upstream->login == CONFIG_LOGIN_BASIC || upstream->login == CONFIG_LOGIN_KERBEROS ||
	       upstream->login == CONFIG_LOGIN_BEARER;
}

/* Kerberos */

/* A realm of Active Directory is its DNS domain in capitals; others must not break krb5.conf. */
static bool is_realm(const char *realm)
{
	return realm[strspn(realm, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")] == '\0';
}

static void check_realm(
	const struct check *check, const struct config_kerberos *kerberos, size_t nth)
{
	int line = kerberos->place.line;
	struct error err;

	if (!is_realm(kerberos->realm))
		fault_add(check->faults, line,
			"kerberos '%s': a realm is written in capitals, digits, '.' and '-'",
			kerberos->realm);
	if (strpbrk(kerberos->account, "/@ ") != NULL)
		fault_add(check->faults, line,
			"kerberos '%s': account '%s' is no account name (sAMAccountName): write "
			"neither an SPN nor a realm",
			kerberos->realm, kerberos->account);
	for (size_t i = 0; i < nth; i++)
		if (strcmp(kerberos->realm, check->config->kerberos[i].realm) == 0)
			fault_add(
				check->faults, line, "kerberos '%s' stands twice", kerberos->realm);
	for (size_t i = 0; i < kerberos->kdcs.count; i++)
		if (value_check_host(kerberos->kdcs.list[i].text, &err) == -1)
			fault_add(check->faults, kerberos->kdcs.list[i].line,
				"option 'kdcs' in kerberos: %s", err.text);
}

/* "HTTP/%{host}" or "HTTP/mail.example.com". */
static bool is_spn(const char *spn)
{
	static const char host[] = "%{host}";
	const char *slash = strchr(spn, '/');
	const char *name = slash != NULL ? slash + 1 : "";
	struct error ignored;

	if (slash == NULL || slash == spn ||
		strspn(spn, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "abcdefghijklmnopqrstuvwxyz") != (size_t)(slash - spn))
		return false;
	return strcmp(name, host) == 0 ||
	       (name[0] != '\0' && strchr(name, ':') == NULL && strchr(name, '%') == NULL &&
		       value_check_host(name, &ignored) == 0);
}

static void check_kerberos(const struct check *check)
{
	const struct config *config = check->config;
	const struct config_upstream *upstream = &config->upstream;
	bool is_wanted = upstream->login == CONFIG_LOGIN_KERBEROS;

	for (size_t i = 0; i < config->kerberos_count; i++)
		check_realm(check, &config->kerberos[i], i);
	if (is_wanted && config->kerberos_count == 0)
		fault_add(check->faults, upstream->place.line,
			"upstream '%s': login = kerberos needs a section kerberos REALM with "
			"account "
			"and keytab",
			upstream->name);
	if (!is_wanted && config->kerberos_count > 0)
		fault_warn(check->faults, config->kerberos[0].place.line,
			"kerberos '%s' says nothing without login = kerberos in upstream",
			config->kerberos[0].realm);
	if (is_wanted && !is_spn(upstream->spn))
		fault_add(check->faults, upstream->place.line,
			"upstream '%s': spn '%s' is not like HTTP/mail.example.com or "
			"HTTP/%%{host}",
			upstream->name, upstream->spn);
	if (is_wanted && upstream->login_user[0] == '\0' &&
		config->directory.backend != CONFIG_DIRECTORY_LDAP)
		fault_add(check->faults, upstream->place.line,
			"upstream '%s': without a directory (backend = ldap) that knows accounts, "
			"login = kerberos needs login-user, such as \"%%{local-part}\"",
			upstream->name);
}

void check_login(const struct check *check)
{
	check_kerberos(check);
}
