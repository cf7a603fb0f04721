/*
 * login = minted-certificate: that there is an authority, and one key of it, in a file or in a token. A
 * token is asked later: by `easproxyd -t` in a process of its own, and by the helper that signs.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "config/check.h"
#include "config/file.h"
#include "config/pkcs11_uri.h"
#include "config/pki.h"

static void check_pin(const struct check *check, const struct config_file *file)
{
	struct error err;
	size_t len, line_len;
	char *text = file->fd == -1 ? NULL : config_file_read(file, &len, &err);

	if (text == NULL)
		return;
	line_len = strcspn(text, "\r\n");
	if (line_len == 0 || strlen(text) != len ||
		text[line_len + strspn(text + line_len, "\r\n")] != '\0')
		fault_add(check->faults, file->place.line, "%s: a PIN is one line", file->path);
	file_wipe(text, len);
}

static void check_module(const struct check *check, const struct config_minted *minted)
{
	struct stat st;

	if (minted->pkcs11_module[0] == '\0')
		fault_add(check->faults, minted->place.line,
			"minted-certificate: key-uri needs pkcs11-module, the module that knows "
			"the "
			"token, such as \"/usr/lib/softhsm/libsofthsm2.so\"");
	else if (stat(minted->pkcs11_module, &st) == -1)
		fault_add(check->faults, minted->place.line,
			"minted-certificate: pkcs11-module %s: %s", minted->pkcs11_module,
			strerror(errno));
	else if (!S_ISREG(st.st_mode))
		fault_add(check->faults, minted->place.line,
			"minted-certificate: pkcs11-module %s is not a file",
			minted->pkcs11_module);
}

static void check_token(const struct check *check, const struct config_minted *minted)
{
	struct pkcs11_uri uri;
	struct error err;

	if (pkcs11_uri_read(minted->key_uri, &uri, &err) == -1)
		fault_add(check->faults, minted->place.line, "minted-certificate: key-uri: %s",
			err.text);
	check_module(check, minted);
	for (size_t i = 0; i < minted->pkcs11_paths.count; i++)
		if (minted->pkcs11_paths.list[i].text[0] != '/')
			fault_add(check->faults, minted->pkcs11_paths.list[i].line,
				"option 'pkcs11-paths' in minted-certificate: '%.200s' does not "
				"begin with '/'",
				minted->pkcs11_paths.list[i].text);
	check_pin(check, &minted->pin);
}

/* RFC 5280 4.2.1.13: http or ldap, as nobody could check the chain of an https server by it. */
static void check_crl_url(const struct check *check, const struct config_minted *minted)
{
	const char *url = minted->crl_url;
	bool is_good = strncmp(url, "http://", 7) == 0 || strncmp(url, "ldap://", 7) == 0;

	for (const char *c = url; *c != '\0'; c++)
		is_good = is_good && *c > 0x20 && *c < 0x7f;
	if (url[0] != '\0' && !is_good)
		fault_add(check->faults, minted->place.line,
			"minted-certificate: crl-url is not a URL that begins with http:// or "
			"ldap://, in ASCII without blanks");
}

/* KB5014754: without one a domain controller takes no certificate any more. */
static void check_sid(const struct check *check, const struct config_minted *minted)
{
	const struct config *config = check->config;

	if (minted->sid && (config->directory.backend != CONFIG_DIRECTORY_LDAP ||
				   config->upstream.login_user[0] != '\0'))
		fault_warn(check->faults, minted->place.line,
			"minted-certificate: sid: certificates will have none, which Exchange "
			"asks for, as %s; for other servers set sid = off",
			config->upstream.login_user[0] != '\0'
				? "upstream/login-user is asked instead of the directory"
				: "there is no directory with backend = ldap");
}

static void check_endpoints(const struct check *check)
{
	const struct config_upstream *upstream = &check->config->upstream;

	for (size_t i = 0; i < upstream->endpoint_count; i++)
		if (!upstream->endpoints[i].is_tls)
			fault_add(check->faults, upstream->endpoints[i].place.line,
				"endpoint '%s': login = minted-certificate needs https, as client "
				"certificates are shown in TLS",
				upstream->endpoints[i].text);
}

void check_minted(const struct check *check)
{
	const struct config_minted *minted = &check->config->minted;
	bool has_file = minted->key.path[0] != '\0';
	bool has_token = minted->key_uri[0] != '\0';
	int line = minted->place.line;

	if (check->config->upstream.login != CONFIG_LOGIN_MINTED) {
		if (minted->issuer.path[0] != '\0')
			fault_warn(check->faults, line,
				"minted-certificate says nothing without login = "
				"minted-certificate in upstream");
		return;
	}
	check_endpoints(check);
	if (minted->issuer.path[0] == '\0')
		fault_add(check->faults, line,
			"minted-certificate needs issuer, the certificate of the authority that "
			"signs");
	if (has_file == has_token)
		fault_add(check->faults, line,
			"minted-certificate needs the authority's key once: key, a file, or "
			"key-uri, where it is in a token");
	if (has_token)
		check_token(check, minted);
	else if (minted->pkcs11_module[0] != '\0' || minted->pin.path[0] != '\0')
		fault_warn(check->faults, line,
			"minted-certificate: pkcs11-module and pin-file say nothing without "
			"key-uri");
	check_crl_url(check, minted);
	check_sid(check, minted);
	pki_check_issuer(minted, check->faults);
}
