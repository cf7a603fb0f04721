/*
 * Logins on the owner's behalf: that what upstream/login asks for is there, and whole.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/check.h"
#include "config/file.h"
#include "config/pki.h"
#include "config/value.h"

bool check_login_writes_authorization(const struct config_upstream *upstream)
{
	return upstream->login == CONFIG_LOGIN_BASIC || upstream->login == CONFIG_LOGIN_KERBEROS ||
	       upstream->login == CONFIG_LOGIN_BEARER;
}

/* Whether anybody says which account a mailbox has. */
static bool knows_accounts(const struct config *config)
{
	return config->directory.backend == CONFIG_DIRECTORY_LDAP ||
	       config->upstream.login_user[0] != '\0';
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
	if (is_wanted && config->kerberos_count > 1 && upstream->login_user[0] != '\0' &&
		strchr(upstream->login_user, '@') == NULL &&
		strstr(upstream->login_user, "%{mailbox}") == NULL)
		fault_add(check->faults, upstream->place.line,
			"upstream '%s': with several sections kerberos, login-user '%.100s' does "
			"not "
			"say of which realm an account is: write account@REALM",
			upstream->name, upstream->login_user);
	if (is_wanted && !knows_accounts(config))
		fault_add(check->faults, upstream->place.line,
			"upstream '%s': without a directory (backend = ldap) that knows accounts, "
			"login = kerberos needs login-user, such as \"%%{local-part}\"",
			upstream->name);
}

/* Bearer tokens */

/* In the clear the assertion, and the token, would be anybody's on the way. */
static void check_token_endpoint(const struct check *check)
{
	struct config_bearer *bearer = &check->config->bearer;
	struct config_endpoint endpoint = {.text = NULL};
	int line = bearer->place.line;
	struct error err;
	bool is_near;

	if (value_read_endpoint(bearer->endpoint, &endpoint, &err) == -1) {
		fault_add(check->faults, line, "option 'endpoint' in bearer: %s", err.text);
		return;
	}
	bearer->port = endpoint.port;
	is_near = strncmp(endpoint.host, "127.", 4) == 0 || strcmp(endpoint.host, "::1") == 0;
	if (!endpoint.is_tls && !is_near)
		fault_add(check->faults, line,
			"option 'endpoint' in bearer: '%.100s': assertions and tokens would cross "
			"the network in the clear; use https",
			bearer->endpoint);
	else if (!endpoint.is_tls)
		fault_warn(check->faults, line,
			"option 'endpoint' in bearer: '%.100s' is not encrypted", bearer->endpoint);
	free(endpoint.text);
	free(endpoint.host);
	free(endpoint.path_prefix);
}

static void check_client(const struct check *check)
{
	const struct config_bearer *bearer = &check->config->bearer;
	const struct config_file *secret = &bearer->client_secret;
	int line = bearer->place.line;
	bool has_secret = secret->fd != -1;
	struct error err;
	size_t len;
	char *text = has_secret ? config_file_read(secret, &len, &err) : NULL;

	if ((has_secret || bearer->client_assertion) && bearer->client_id[0] == '\0')
		fault_add(check->faults, line,
			"bearer: client-secret-file and client-assertion need client-id");
	if (has_secret && bearer->client_assertion)
		fault_add(check->faults, line,
			"bearer: a client says who it is by client-secret-file or by "
			"client-assertion, not by both (RFC 6749 2.3)");
	if (bearer->client_id[0] == '\0' && bearer->issuer[0] == '\0')
		fault_add(check->faults, line, "bearer: assertions need an issuer, or client-id");
	if (text == NULL)
		return;
	/* Printable ASCII: RFC 6749 Appendix A.2. */
	len = strlen(text) == len ? strcspn(text, "\r\n") : 0;
	if (len == 0 || text[len + strspn(text + len, "\r\n")] != '\0')
		fault_add(check->faults, secret->place.line, "%s: a secret is one line",
			secret->path);
	for (size_t i = 0; i < len; i++)
		if (text[i] < 0x20 || text[i] >= 0x7f) {
			fault_add(check->faults, secret->place.line,
				"%s: a secret has printable ASCII alone", secret->path);
			break;
		}
	file_wipe(text, strlen(text));
}

/* "URI = text with %{…}" */
static void check_attribute(const struct check *check, const struct config_word *word)
{
	const char *equals = strchr(word->text, '=');
	struct error err;

	if (equals == NULL || equals == word->text || word->text[0] == ' ' ||
		equals - word->text > 255)
		fault_add(check->faults, word->line,
			"option 'attributes' in bearer: '%.100s' is not like \"URI = %%{upn}\"",
			word->text);
	else if (value_check_login_name(equals + 1, &err) == -1)
		fault_add(check->faults, word->line, "option 'attributes' in bearer: %s", err.text);
}

/* RFC 6749 Appendix A.4 */
static bool is_scope(const char *scope)
{
	for (; *scope != '\0'; scope++)
		if (*scope < 0x20 || *scope >= 0x7f || *scope == '"' || *scope == '\\')
			return false;
	return true;
}

static void check_bearer(const struct check *check)
{
	const struct config *config = check->config;
	const struct config_bearer *bearer = &config->bearer;
	int line = bearer->place.line;
	struct error err;

	if (config->upstream.login != CONFIG_LOGIN_BEARER) {
		if (bearer->endpoint[0] != '\0')
			fault_warn(check->faults, line,
				"bearer says nothing without login = bearer in upstream");
		return;
	}
	if (bearer->endpoint[0] == '\0' || bearer->key.path[0] == '\0')
		fault_add(check->faults, config->upstream.place.line,
			"upstream '%s': login = bearer needs endpoint and key in a section bearer",
			config->upstream.name);
	if (bearer->endpoint[0] != '\0')
		check_token_endpoint(check);
	if (bearer->ca.fd != -1 && pki_check_bundle(&bearer->ca, &err) == -1)
		fault_add(check->faults, bearer->ca.place.line, "%s", err.text);
	check_client(check);
	if (value_check_login_name(bearer->subject, &err) == -1)
		fault_add(check->faults, line, "option 'subject' in bearer: %s", err.text);
	else if (!value_names_somebody(bearer->subject))
		fault_add(check->faults, line,
			"option 'subject' in bearer: '%.100s' would be the same for everybody",
			bearer->subject);
	else if (value_names_account(bearer->subject) && !knows_accounts(config))
		fault_add(check->faults, line,
			"option 'subject' in bearer: nobody says what '%.100s' is; it needs "
			"directory/backend = ldap, or upstream/login-user",
			bearer->subject);
	for (size_t i = 0; i < bearer->attributes.count; i++)
		check_attribute(check, &bearer->attributes.list[i]);
	if (bearer->attributes.count > 0 && bearer->grant != CONFIG_GRANT_SAML)
		fault_warn(check->faults, bearer->attributes.list[0].line,
			"option 'attributes' in bearer says nothing without grant = saml");
	if (!is_scope(bearer->scope))
		fault_add(check->faults, line,
			"option 'scope' in bearer: '%.100s' has characters that no scope has",
			bearer->scope);
}

/* The signed field */

static void check_assertion(const struct check *check)
{
	const struct config *config = check->config;
	const struct config_assertion *assertion = &config->assertion;
	int line = assertion->place.line;
	struct error err;

	if (assertion->header[0] == '\0') {
		if (assertion->key.path[0] != '\0')
			fault_warn(check->faults, line, "assertion says nothing without header");
		return;
	}
	if (assertion->key.path[0] == '\0')
		fault_add(check->faults, line, "assertion: header needs key, to sign it with");
	if (value_check_field_name(assertion->header, &err) == -1)
		fault_add(check->faults, line, "option 'header' in assertion: %s", err.text);
	if (strcasecmp(assertion->header, "authorization") == 0 &&
		check_login_writes_authorization(&config->upstream))
		fault_add(check->faults, line,
			"option 'header' in assertion: the login of upstream writes '%s' itself",
			assertion->header);
	for (size_t i = 0; i < config->upstream.header_count; i++)
		if (strcasecmp(assertion->header, config->upstream.headers[i].name) == 0)
			fault_add(check->faults, line,
				"option 'header' in assertion: '%s' stands in upstream/headers, "
				"too",
				assertion->header);
}

void check_login(const struct check *check)
{
	check_kerberos(check);
	check_minted(check);
	check_bearer(check);
	check_assertion(check);
}
