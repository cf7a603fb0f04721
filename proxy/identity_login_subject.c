#include "proxy/identity_login_subject.h"

#include <assert.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proxy/template.h"

/* What a template of bearer may say beside the mailbox. */
static bool names_account(const char *template)
{
	static const char *const names[] = {"%{account}", "%{realm}", "%{upn}", "%{sid}"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasestr(template, names[i]) != NULL)
			return true;
	return false;
}

static bool bearer_names_account(const struct config_bearer *bearer)
{
	for (size_t i = 0; i < bearer->attributes.count; i++)
		if (names_account(bearer->attributes.list[i].text))
			return true;
	return names_account(bearer->subject);
}

bool login_subject_needs_directory(const struct config *config, enum login_kind kind)
{
	if (config->directory.backend == CONFIG_DIRECTORY_NONE ||
		config->upstream.login_user[0] != '\0')
		return false;
	switch (kind) {
	case LOGIN_KERBEROS:
	case LOGIN_MINTED: return true;
	case LOGIN_BEARER: return bearer_names_account(&config->bearer);
	default: return false;
	}
}

static enum login_status take_answer(const struct directory_answer *answer,
	struct login_subject *subject, struct login_fault *fault)
{
	if (answer->status == DIRECTORY_UNAVAILABLE)
		return login_fault_set(fault, LOGIN_UNAVAILABLE,
			"see whether the directory can be reached from here",
			"the directory does not say whose account it is: %s", answer->entry);
	if (answer->status != DIRECTORY_FOUND)
		return login_fault_set(fault, LOGIN_REFUSED,
			"easproxyctl explain says what the directory has for this mailbox",
			"the directory has no account for it: %s", answer->entry);
	/* An alias of somebody else's is not this mailbox. */
	if (strcmp(answer->mailbox, subject->mailbox) != 0)
		return login_fault_set(fault, LOGIN_REFUSED,
			"two entries of the directory may have this address",
			"the directory leads to another mailbox, %s", answer->mailbox);
	memcpy(subject->account, answer->account, sizeof(subject->account));
	memcpy(subject->realm, answer->realm, sizeof(subject->realm));
	memcpy(subject->upn, answer->upn, sizeof(subject->upn));
	memcpy(subject->sid, answer->sid, sizeof(subject->sid));
	return LOGIN_GIVEN;
}

/* "account", or "account@realm", which is taken for the UPN as well. */
static enum login_status take_template(
	const char *template, struct login_subject *subject, struct login_fault *fault)
{
	const struct template_values values = {.mailbox = subject->mailbox,
		.device_id = "",
		.device_type = "",
		.request_id = "",
		.client_address = ""};
	size_t account_len;
	const char *at;

	if (template_fill(template, &values, subject->upn, sizeof(subject->upn)) == -1)
		return login_fault_set(fault, LOGIN_REFUSED, "see upstream/login-user",
			"the name that upstream/login-user makes of it is too long");
	at = strrchr(subject->upn, '@');
	account_len = at != NULL ? (size_t)(at - subject->upn) : strlen(subject->upn);
	if (account_len == 0 || account_len > DIRECTORY_ACCOUNT_MAX ||
		(at != NULL && strlen(at + 1) > DIRECTORY_REALM_MAX))
		return login_fault_set(fault, LOGIN_REFUSED, "see upstream/login-user",
			"what upstream/login-user makes of it is not the name of an account");
	memcpy(subject->account, subject->upn, account_len);
	subject->account[account_len] = '\0';
	if (at == NULL) {
		subject->upn[0] = '\0';
		return LOGIN_GIVEN;
	}
	memcpy(subject->realm, at + 1, strlen(at + 1) + 1);
	for (char *c = subject->realm; *c != '\0'; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	return LOGIN_GIVEN;
}

/* Kerberos has to know the account, and where. */
static enum login_status check_kerberos(
	const struct config *config, struct login_subject *subject, struct login_fault *fault)
{
	if (subject->account[0] == '\0')
		return login_fault_set(fault, LOGIN_REFUSED,
			"see directory/account-attribute, or set upstream/login-user",
			"the directory has no account name for it");
	if (subject->realm[0] == '\0' && config->kerberos_count == 1)
		snprintf(subject->realm, sizeof(subject->realm), "%s", config->kerberos[0].realm);
	if (subject->realm[0] == '\0')
		return login_fault_set(fault, LOGIN_REFUSED,
			"with several realms, upstream/login-user can name it after an @",
			"it is not known of which realm the account is");
	return LOGIN_GIVEN;
}

enum login_status login_subject_fill(const struct config *config, enum login_kind kind,
	const char *mailbox, const struct directory_answer *answer, struct login_subject *subject,
	struct login_fault *fault)
{
	enum login_status status = LOGIN_GIVEN;

	memset(subject, 0, sizeof(*subject));
	snprintf(subject->mailbox, sizeof(subject->mailbox), "%s", mailbox);
	if (answer != NULL)
		status = take_answer(answer, subject, fault);
	else if (config->upstream.login_user[0] != '\0' && kind != LOGIN_ASSERTION)
		status = take_template(config->upstream.login_user, subject, fault);
	if (status == LOGIN_GIVEN && kind == LOGIN_KERBEROS)
		status = check_kerberos(config, subject, fault);
	return status;
}

void login_subject_name(const struct login_subject *subject, char *name, size_t size)
{
	if (subject->account[0] != '\0')
		snprintf(name, size, "%s%s%s", subject->account,
			subject->realm[0] != '\0' ? "@" : "", subject->realm);
	else
		snprintf(name, size, "%s",
			subject->upn[0] != '\0' ? subject->upn : subject->mailbox);
}

void login_subject_hash(const struct login_subject *subject, uint8_t hash[LOGIN_SUBJECT_HASH_SIZE])
{
	char text[sizeof(*subject) + 4];
	int len = snprintf(text, sizeof(text), "%s\n%s\n%s\n%s", subject->account, subject->realm,
		subject->upn, subject->sid);

	static_assert(LOGIN_SUBJECT_HASH_SIZE == SHA256_DIGEST_LENGTH, "one is the other");
	SHA256((const unsigned char *)text, (size_t)len, hash);
}
