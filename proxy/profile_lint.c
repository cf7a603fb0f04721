#include "proxy/profile_lint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/address.h"
#include "proxy/http_chars.h"
#include "proxy/plist.h"
#include "proxy/profile_keys.h"

static const char account_type[] = "com.apple.eas.account";
static const char pkcs12_type[] = "com.apple.security.pkcs12";

static const char *text_or(const struct plist *payload, const char *key, const char *otherwise)
{
	const char *text = plist_text(payload, key);

	return text != NULL ? text : otherwise;
}

/* How a payload is called in what is told. */
static const char *name_of(const struct plist *payload)
{
	return text_or(payload, "PayloadType", "a payload without a type");
}

static void look_at_key(const struct profile_report *report, const struct plist *payload,
	const struct plist *member)
{
	const struct profile_key *row = profile_key_find(name_of(payload), member->key);

	if (row == NULL) {
		profile_tell(report, PROFILE_WARNING, "%s: the key '%s' is unknown here",
			name_of(payload), member->key);
		return;
	}
	if (row->kind != PROFILE_KIND_ANY && (enum plist_kind)row->kind != member->kind)
		profile_tell(report, PROFILE_PROBLEM,
			"%s: '%s' has to be of the kind %s, and is %s", name_of(payload),
			member->key, plist_kind_name((enum plist_kind)row->kind),
			plist_kind_name(member->kind));
	if (row->need == PROFILE_SECRET)
		profile_tell(report, PROFILE_WARNING,
			"%s: '%s' is in it: whoever gets the file has the password",
			name_of(payload), member->key);
	if (row->need == PROFILE_OLD)
		profile_tell(report, PROFILE_WARNING, "%s: '%s' is not for newer systems any more",
			name_of(payload), member->key);
}

static void look_at_keys(const struct profile_report *report, const struct plist *payload)
{
	const char *type = name_of(payload);

	for (const struct plist *member = payload->first; member != NULL; member = member->next)
		if (profile_payload_is_known(type) || profile_key_find(type, member->key) != NULL)
			look_at_key(report, payload, member);
	for (size_t i = 0; i < profile_key_count; i++) {
		const struct profile_key *row = &profile_keys[i];

		if (row->need == PROFILE_REQUIRED &&
			(row->payload[0] == '\0' || strcmp(row->payload, type) == 0) &&
			plist_get(payload, row->key) == NULL)
			profile_tell(
				report, PROFILE_PROBLEM, "%s: '%s' is missing", type, row->key);
	}
}

/* HOST[:PORT], as it stands in a profile. */
static bool is_host(const char *text)
{
	size_t len = strcspn(text, ":");
	const char *port = text + len;

	if (len == 0 || len > 253 || !http_chars_are(span_of(text, len), HTTP_CHAR_HOST))
		return false;
	return *port == '\0' ||
	       (strspn(port + 1, "0123456789") == strlen(port + 1) && strlen(port + 1) > 0 &&
		       strlen(port + 1) <= 5 && atoi(port + 1) > 0 && atoi(port + 1) <= 65535);
}

static void look_at_host(const struct profile_lint *lint, const struct plist *account)
{
	const char *host = plist_text(account, "Host");

	if (host == NULL)
		return; /* told already */
	if (!is_host(host))
		profile_tell(&lint->report, PROFILE_PROBLEM,
			"%s: Host is '%s'; it has to be a name, and a port if need be",
			account_type, host);
	else if (lint->host != NULL && strcasecmp(host, lint->host) != 0)
		profile_tell(&lint->report, PROFILE_WARNING,
			"%s: Host is '%s', and autodiscover/url in the configuration leads to '%s'",
			account_type, host, lint->host);
}

static void look_at_what_it_syncs(const struct profile_report *report, const struct plist *account)
{
	static const char *const keys[] = {"EnableMail", "EnableContacts", "EnableCalendars",
		"EnableReminders", "EnableNotes"};
	static const int64_t days[] = {0, 1, 3, 7, 14, 31};
	const struct plist *past = plist_get(account, "MailNumberOfPastDaysToSync");
	bool is_any = false, is_known = past == NULL || past->kind != PLIST_INTEGER;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct plist *value = plist_get(account, keys[i]);

		is_any |= value == NULL || value->number != 0;
	}
	if (!is_any)
		profile_tell(report, PROFILE_PROBLEM,
			"%s: nothing is switched on, neither mail nor anything else", account_type);
	for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++)
		is_known |= past != NULL && past->number == days[i];
	if (!is_known)
		profile_tell(report, PROFILE_PROBLEM,
			"%s: MailNumberOfPastDaysToSync has to be 0, 1, 3, 7, 14 or 31",
			account_type);
}

static const struct plist *find_payload(const struct plist *content, const char *uuid)
{
	for (const struct plist *payload = content->first; payload != NULL; payload = payload->next)
		if (strcasecmp(text_or(payload, "PayloadUUID", ""), uuid) == 0)
			return payload;
	return NULL;
}

static bool is_identity(const char *type)
{
	return strcmp(type, pkcs12_type) == 0 || strcmp(type, "com.apple.security.scep") == 0 ||
	       strcmp(type, "com.apple.security.acme") == 0;
}

static void use_identity(const struct profile_lint *lint, const struct plist *content,
	const char *password, const char *address)
{
	if (content != NULL && content->kind == PLIST_DATA && lint->identity != NULL)
		lint->identity(
			lint->context, span_of(content->bytes, content->len), password, address);
}

/* easproxyd lets nobody in without a certificate, so that an account without one leads nowhere. */
static void look_at_identity(
	const struct profile_lint *lint, const struct plist *content, const struct plist *account)
{
	const char *uuid = plist_text(account, "PayloadCertificateUUID");
	const char *address = plist_text(account, "EmailAddress");
	const struct plist *payload;

	if (uuid == NULL) {
		if (plist_get(account, "Certificate") == NULL)
			profile_tell(&lint->report, PROFILE_PROBLEM,
				"%s: it has no certificate: PayloadCertificateUUID is missing",
				account_type);
		use_identity(lint, plist_get(account, "Certificate"),
			plist_text(account, "CertificatePassword"), address);
		return;
	}
	payload = find_payload(content, uuid);
	if (payload == NULL) {
		profile_tell(&lint->report, PROFILE_PROBLEM,
			"%s: PayloadCertificateUUID is '%s', and no payload has that PayloadUUID",
			account_type, uuid);
	} else if (!is_identity(name_of(payload))) {
		profile_tell(&lint->report, PROFILE_PROBLEM,
			"%s: PayloadCertificateUUID leads to %s, which is no certificate with a "
			"key",
			account_type, name_of(payload));
	} else if (strcmp(name_of(payload), pkcs12_type) == 0) {
		use_identity(lint, plist_get(payload, "PayloadContent"),
			plist_text(payload, "Password"), address);
	} else {
		profile_tell(&lint->report, PROFILE_NOTE,
			"%s: the phone gets its certificate from a server; it was not looked at",
			name_of(payload));
	}
}

static void look_at_account(
	const struct profile_lint *lint, const struct plist *content, const struct plist *account)
{
	const struct plist *ssl = plist_get(account, "SSL");
	const char *address = plist_text(account, "EmailAddress");

	if (ssl != NULL && ssl->kind == PLIST_BOOLEAN && ssl->number == 0)
		profile_tell(&lint->report, PROFILE_PROBLEM,
			"%s: SSL is false: the phone would not use TLS", account_type);
	if (address == NULL)
		profile_tell(&lint->report, PROFILE_WARNING,
			"%s: without EmailAddress the user is asked for it", account_type);
	else if (!address_is_sound(span_of_string(address), ADDRESS_UTF8))
		profile_tell(&lint->report, PROFILE_PROBLEM,
			"%s: EmailAddress is '%s', which is no address", account_type, address);
	look_at_host(lint, account);
	look_at_what_it_syncs(&lint->report, account);
	look_at_identity(lint, content, account);
}

static bool is_authority(const char *type)
{
	return strcmp(type, "com.apple.security.root") == 0 ||
	       strcmp(type, "com.apple.security.pkcs1") == 0 ||
	       strcmp(type, "com.apple.security.pem") == 0;
}

/* True: it is an account. */
static bool look_at_payload(
	const struct profile_lint *lint, const struct plist *content, const struct plist *payload)
{
	const char *uuid = plist_text(payload, "PayloadUUID");
	const struct plist *data = plist_get(payload, "PayloadContent");

	if (payload->kind != PLIST_DICT) {
		profile_tell(&lint->report, PROFILE_PROBLEM, "a payload that is no dictionary");
		return false;
	}
	look_at_keys(&lint->report, payload);
	if (uuid != NULL && find_payload(content, uuid) != payload)
		profile_tell(&lint->report, PROFILE_PROBLEM,
			"%s: its PayloadUUID '%s' is that of another payload too", name_of(payload),
			uuid);
	if (!profile_payload_is_known(name_of(payload)) && !is_identity(name_of(payload)))
		profile_tell(&lint->report, PROFILE_NOTE,
			"%s: not about ActiveSync; it was not looked at", name_of(payload));
	if (is_authority(name_of(payload)) && data != NULL && data->kind == PLIST_DATA &&
		lint->authority != NULL)
		lint->authority(lint->context, span_of(data->bytes, data->len));
	if (strcmp(name_of(payload), account_type) != 0)
		return false;
	look_at_account(lint, content, payload);
	return true;
}

static void look_at_profile(const struct profile_lint *lint, const struct plist *root)
{
	const struct plist *content = plist_get(root, "PayloadContent");
	unsigned int accounts = 0;

	if (plist_get(root, "EncryptedPayloadContent") != NULL) {
		profile_tell(&lint->report, PROFILE_NOTE,
			"it is encrypted for one device; what is inside cannot be looked at");
		return;
	}
	if (strcmp(name_of(root), "Configuration") != 0) {
		profile_tell(&lint->report, PROFILE_PROBLEM,
			"it is no configuration profile: its PayloadType is '%s'", name_of(root));
		return;
	}
	look_at_keys(&lint->report, root);
	if (content == NULL || content->kind != PLIST_ARRAY)
		return; /* told already */
	for (const struct plist *payload = content->first; payload != NULL; payload = payload->next)
		accounts += look_at_payload(lint, content, payload);
	if (accounts == 0)
		profile_tell(&lint->report, PROFILE_PROBLEM, "it has no ActiveSync account (%s)",
			account_type);
}

int profile_lint(struct span document, const struct profile_lint *lint, struct error *err)
{
	struct plist *root;

	if (document.len >= 8 && memcmp(document.data, "bplist00", 8) == 0)
		return error_set(err,
			"it is a binary property list; make XML of it with plutil -convert xml1");
	root = plist_read(document, err);
	if (root == NULL)
		return -1;
	if (root->kind == PLIST_DICT)
		look_at_profile(lint, root);
	else
		profile_tell(&lint->report, PROFILE_PROBLEM, "it is no dictionary");
	plist_free(root);
	return 0;
}
