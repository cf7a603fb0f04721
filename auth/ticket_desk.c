#include "auth/ticket_desk.h"

#include <errno.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/ticket_fault.h"
#include "auth/ticket_login.h"
#include "auth/ticket_settings.h"

struct ticket_desk {
	krb5_context krb5;
	size_t count;
	struct ticket_login **logins; /* one for each section, in their order */
};

/* One ticket on its way. */
struct fetch {
	struct ticket_login *login;
	krb5_context krb5;
	struct ticket_names names;
	char *user_name; /* account@REALM */
	krb5_principal user, service;
	krb5_creds evidence; /* the user's ticket to ourselves */
	int32_t code;        /* of what failed; 0: nothing, or nothing that the library said */
	struct login_fault *fault;
};

struct ticket_desk *ticket_desk_new(const struct config *config, struct error *err)
{
	struct ticket_desk *desk = calloc(1, sizeof(*desk));

	if (desk == NULL) {
		error_sys(err, "preparing Kerberos logins");
		return NULL;
	}
	desk->logins = calloc(config->kerberos_count, sizeof(struct ticket_login *));
	if (desk->logins == NULL)
		error_sys(err, "preparing Kerberos logins");
	else if (ticket_settings_ask(config, err) == 0 && krb5_init_context(&desk->krb5) != 0)
		error_set(err, "starting the Kerberos library: it cannot read %s",
			getenv("KRB5_CONFIG"));
	while (desk->krb5 != NULL && desk->count < config->kerberos_count) {
		struct ticket_login *login =
			ticket_login_new(desk->krb5, &config->kerberos[desk->count], err);

		if (login == NULL)
			break;
		desk->logins[desk->count++] = login;
	}
	if (desk->krb5 != NULL && desk->count == config->kerberos_count)
		return desk;
	ticket_desk_free(desk);
	return NULL;
}

void ticket_desk_free(struct ticket_desk *desk)
{
	if (desk == NULL)
		return;
	for (size_t i = 0; i < desk->count; i++)
		ticket_login_free(desk->logins[i]);
	free((void *)desk->logins);
	if (desk->krb5 != NULL)
		krb5_free_context(desk->krb5);
	free(desk);
}

int ticket_desk_check(const struct config *config, config_report *report, void *report_context)
{
	int result = 0;

	if (config->upstream.login != CONFIG_LOGIN_KERBEROS)
		return 0;
	for (size_t i = 0; i < config->kerberos_count; i++) {
		const struct config one = {.kerberos_count = 1, .kerberos = &config->kerberos[i]};
		const struct config_place *place = &config->kerberos[i].place;
		char text[sizeof(struct error) + 4200];
		struct error err;
		struct ticket_desk *desk = ticket_desk_new(&one, &err);

		if (desk == NULL) {
			snprintf(text, sizeof(text), "%s:%d: kerberos '%s': %s", place->file,
				place->line, config->kerberos[i].realm, err.text);
			report(report_context, text);
			result = -1;
		}
		ticket_desk_free(desk);
	}
	return result;
}

/* A realm without a section of its own may trust the only one there is. */
static struct ticket_login *find_login(struct ticket_desk *desk, const char *realm)
{
	for (size_t i = 0; i < desk->count; i++)
		if (strcmp(desk->logins[i]->config->realm, realm) == 0)
			return desk->logins[i];
	return desk->count == 1 ? desk->logins[0] : NULL;
}

static enum login_status fail(struct fetch *fetch, enum ticket_step step, krb5_error_code code)
{
	const char *words = krb5_get_error_message(fetch->krb5, code);
	enum login_status status = ticket_fault_set(fetch->fault, step, code, &fetch->names, words);

	krb5_free_error_message(fetch->krb5, words);
	fetch->code = code;
	return status;
}

/* GSSAPI keeps the words of the library's code to itself. */
static enum login_status fail_gss(struct fetch *fetch, enum ticket_step step, OM_uint32 minor)
{
	OM_uint32 more = 0, ignored;
	gss_buffer_desc words = GSS_C_EMPTY_BUFFER;
	char text[LOGIN_TEXT_MAX + 1] = "no reason is given";

	if (!GSS_ERROR(gss_display_status(
		    &ignored, minor, GSS_C_MECH_CODE, (gss_OID)gss_mech_krb5, &more, &words)))
		snprintf(text, sizeof(text), "%.*s", (int)words.length, (char *)words.value);
	gss_release_buffer(&ignored, &words);
	fetch->code = (int32_t)minor;
	return ticket_fault_set(fetch->fault, step, fetch->code, &fetch->names, text);
}

static enum ticket_step self_step(const struct fetch *fetch)
{
	return krb5_realm_compare(fetch->krb5, fetch->user, fetch->login->account)
		       ? TICKET_STEP_SELF
		       : TICKET_STEP_ABROAD;
}

static enum login_status make_names(
	struct fetch *fetch, const struct login_subject *subject, const char *service)
{
	const char *realm =
		subject->realm[0] != '\0' ? subject->realm : fetch->login->config->realm;
	krb5_error_code code = krb5_build_principal(fetch->krb5, &fetch->user,
		(unsigned int)strlen(realm), realm, subject->account, (char *)NULL);

	if (code == 0)
		code = krb5_unparse_name(fetch->krb5, fetch->user, &fetch->user_name);
	if (code != 0)
		return fail(fetch, TICKET_STEP_SELF, code);
	fetch->names.user = fetch->user_name;
	code = krb5_parse_name_flags(
		fetch->krb5, service, KRB5_PRINCIPAL_PARSE_NO_DEF_REALM, &fetch->service);
	if (code == 0 && fetch->service->realm.length == 0)
		code = krb5_set_principal_realm(
			fetch->krb5, fetch->service, fetch->login->config->realm);
	return code == 0 ? LOGIN_GIVEN : fail(fetch, TICKET_STEP_PROXY, code);
}

/* The user's ticket to our account, out of the user's cache, in which our ticket-granting ticket is, too. The
 * KDC may write the name with other capitals. */
static krb5_error_code find_evidence(struct fetch *fetch, krb5_ccache cache)
{
	krb5_creds pattern = {.server = fetch->login->account};
	krb5_error_code code = krb5_cc_get_principal(fetch->krb5, cache, &pattern.client);

	if (code != 0)
		return code;
	code = KRB5_KDCREP_MODIFIED;
	if (krb5_principal_compare_flags(
		    fetch->krb5, pattern.client, fetch->user, KRB5_PRINCIPAL_COMPARE_CASEFOLD))
		code = krb5_cc_retrieve_cred(fetch->krb5, cache, 0, &pattern, &fetch->evidence);
	krb5_free_principal(fetch->krb5, pattern.client);
	return code;
}

static krb5_error_code take_evidence(struct fetch *fetch, gss_cred_id_t credential)
{
	gss_key_value_element_desc element = {.key = "ccache"};
	const gss_key_value_set_desc store = {.count = 1, .elements = &element};
	krb5_ccache cache = NULL;
	char *name = NULL;
	OM_uint32 major, minor;
	krb5_error_code code = krb5_cc_new_unique(fetch->krb5, "MEMORY", NULL, &cache);

	if (code == 0)
		code = krb5_cc_get_full_name(fetch->krb5, cache, &name);
	if (code == 0) {
		element.value = name;
		major = gss_store_cred_into(&minor, credential, GSS_C_INITIATE,
			(gss_OID)gss_mech_krb5, 1, 0, &store, NULL, NULL);
		code = GSS_ERROR(major) ? (krb5_error_code)minor : 0;
		if (code == 0 && GSS_ERROR(major))
			code = EINVAL;
	}
	if (code == 0)
		code = find_evidence(fetch, cache);
	krb5_free_string(fetch->krb5, name);
	if (cache != NULL)
		krb5_cc_destroy(fetch->krb5, cache);
	return code;
}

/* S4U2Self. The mechanism is Kerberos itself: under SPNEGO the KDC's code would be lost. */
static enum login_status ask_for_evidence(struct fetch *fetch)
{
	gss_buffer_desc text = {.length = strlen(fetch->user_name), .value = fetch->user_name};
	gss_OID_set_desc mechanisms = {.count = 1, .elements = (gss_OID)gss_mech_krb5};
	gss_cred_id_t credential = GSS_C_NO_CREDENTIAL;
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 minor, ignored,
		major = gss_import_name(&minor, &text, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, &name);
	enum login_status status = LOGIN_GIVEN;

	if (!GSS_ERROR(major))
		major = gss_acquire_cred_impersonate_name(&minor, fetch->login->credential, name,
			GSS_C_INDEFINITE, &mechanisms, GSS_C_INITIATE, &credential, NULL, NULL);
	if (GSS_ERROR(major)) {
		status = fail_gss(fetch, self_step(fetch), minor);
	} else {
		krb5_error_code code = take_evidence(fetch, credential);

		if (code != 0)
			status = fail(fetch, self_step(fetch), code);
	}
	gss_release_cred(&ignored, &credential);
	gss_release_name(&ignored, &name);
	return status;
}

static bool is_forwardable(const krb5_creds *ticket)
{
	return (ticket->ticket_flags & TKT_FLG_FORWARDABLE) != 0;
}

/* Why the KDC would not do S4U2Proxy. That the ticket to ourselves was not good for it is looked at only now:
 * where the mail server's account says who may delegate to it, such a ticket will do. If others got a better
 * one, it is about this user. If nobody has yet, it may be about our account as well; but it counts as being about
 * the user all the same, lest one who is never to be delegated keep everybody out by coming first. */
static enum login_status fail_proxy(struct fetch *fetch, krb5_error_code code)
{
	if (code != KRB5KDC_ERR_BADOPTION || is_forwardable(&fetch->evidence))
		return fail(fetch, TICKET_STEP_PROXY, code);
	fetch->code = code;
	if (fetch->login->may_transition)
		return login_fault_set(fetch->fault, LOGIN_REFUSED,
			"It is marked 'sensitive and cannot be delegated', or in Protected Users.",
			"the KDC lets nobody log in to other servers in the name of %s",
			fetch->names.user);
	return login_fault_set(fetch->fault, LOGIN_REFUSED,
		"Delegation tab of our account: specified services only, any authentication "
		"protocol, this SPN in the list. If others get in: is the user 'sensitive', or in "
		"Protected Users?",
		"our account %s may not log in to %s in the name of %s", fetch->names.account,
		fetch->names.service, fetch->names.user);
}

static enum login_status write_parts(
	struct fetch *fetch, const krb5_creds *given, struct ticket *ticket)
{
	struct ticket_parts parts = {.key_type = given->keyblock.enctype,
		.flags = (uint32_t)given->ticket_flags,
		.login_time = (uint32_t)given->times.authtime,
		.begin_time = (uint32_t)given->times.starttime,
		.end_time = (uint32_t)given->times.endtime,
		.key = span_of(given->keyblock.contents, given->keyblock.length),
		.encrypted = span_of(given->ticket.data, given->ticket.length)};
	enum login_status status = LOGIN_GIVEN;
	char *user = NULL, *service = NULL;
	krb5_error_code code = krb5_unparse_name(fetch->krb5, given->client, &user);

	if (code == 0)
		code = krb5_unparse_name(fetch->krb5, given->server, &service);
	if (code == 0) {
		parts.user = span_of_string(user);
		parts.service = span_of_string(service);
	}
	if (code != 0)
		status = fail(fetch, TICKET_STEP_PROXY, code);
	else if (ticket_write(&parts, ticket) == -1)
		status = fail(fetch, TICKET_STEP_PROXY, KRB5_KDCREP_MODIFIED);
	krb5_free_unparsed_name(fetch->krb5, service);
	krb5_free_unparsed_name(fetch->krb5, user);
	return status;
}

static enum login_status pack(struct fetch *fetch, const krb5_creds *given, struct ticket *ticket)
{
	/* The library has seen to it that the answer is to what was asked; whose ticket it is says who
	 * will be let in, and is looked at twice. */
	if (!krb5_principal_compare(fetch->krb5, given->client, fetch->evidence.client))
		return fail(fetch, TICKET_STEP_PROXY, KRB5_KDCREP_MODIFIED);
	if (given->ticket.length > TICKET_ENCRYPTED_MAX)
		return login_fault_set(fetch->fault, LOGIN_REFUSED,
			"Take it out of groups that it does not need.",
			"the ticket of %s is larger than %d bytes: it is in too many groups",
			fetch->names.user, TICKET_ENCRYPTED_MAX);
	return write_parts(fetch, given, ticket);
}

/* S4U2Proxy: our own ticket, with the user's to ourselves beside it. */
static enum login_status ask_for_ticket(struct fetch *fetch, struct ticket *ticket)
{
	krb5_creds wanted = {.client = fetch->login->account,
		.server = fetch->service,
		.second_ticket = fetch->evidence.ticket};
	krb5_creds *given = NULL;
	krb5_error_code code =
		krb5_get_credentials(fetch->krb5, KRB5_GC_CONSTRAINED_DELEGATION | KRB5_GC_NO_STORE,
			fetch->login->cache, &wanted, &given);
	enum login_status status;

	if (code != 0)
		return fail_proxy(fetch, code);
	status = pack(fetch, given, ticket);
	krb5_free_creds(fetch->krb5, given);
	return status;
}

static enum login_status fetch_once(struct fetch *fetch, struct ticket *ticket)
{
	enum login_status status = ticket_login_renew(fetch->login, time(NULL), fetch->fault);

	fetch->code = 0;
	if (status == LOGIN_GIVEN)
		status = ask_for_evidence(fetch);
	if (status != LOGIN_GIVEN)
		return status;
	fetch->login->may_transition |= is_forwardable(&fetch->evidence);
	status = ask_for_ticket(fetch, ticket);
	krb5_free_cred_contents(fetch->krb5, &fetch->evidence);
	fetch->evidence = (krb5_creds){0};
	return status;
}

/* What a KDC says to a ticket-granting ticket that it does not take (any more): it has another key since, or
 * our account another password. */
static bool is_own_ticket_bad(int32_t code)
{
	static const int32_t codes[] = {KRB5KRB_AP_ERR_BAD_INTEGRITY, KRB5KRB_AP_ERR_MODIFIED,
		KRB5KRB_AP_ERR_BADKEYVER, KRB5KRB_AP_ERR_NOKEY, KRB5KRB_AP_ERR_TKT_EXPIRED,
		KRB5KRB_AP_ERR_TKT_NYV, KRB5KRB_AP_ERR_NOT_US, KRB5KDC_ERR_TGT_REVOKED,
		KRB5KDC_ERR_NEVER_VALID};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i] == code)
			return true;
	return false;
}

enum login_status ticket_desk_fetch(struct ticket_desk *desk, const struct login_subject *subject,
	const char *service, struct ticket *ticket, struct login_fault *fault)
{
	struct fetch fetch = {.krb5 = desk->krb5, .fault = fault};
	enum login_status status;

	*ticket = (struct ticket){0};
	fetch.login = find_login(desk, subject->realm);
	if (fetch.login == NULL)
		return login_fault_set(fault, LOGIN_REFUSED,
			"Add a section kerberos REALM with an account of that domain.",
			"the account %s is in realm '%s', for which there is no section kerberos",
			subject->account, subject->realm);
	if (subject->account[0] == '\0')
		return login_fault_set(fault, LOGIN_REFUSED,
			"directory/account-attribute names it (sAMAccountName), or "
			"upstream/login-user.",
			"the directory has no account name for %s", subject->mailbox);
	fetch.names = (struct ticket_names){.user = subject->account,
		.account = fetch.login->name,
		.realm = fetch.login->config->realm,
		.service = service};
	status = make_names(&fetch, subject, service);
	if (status == LOGIN_GIVEN)
		status = fetch_once(&fetch, ticket);
	if (status != LOGIN_GIVEN && is_own_ticket_bad(fetch.code)) {
		ticket_login_forget(fetch.login);
		status = fetch_once(&fetch, ticket);
	}
	krb5_free_principal(desk->krb5, fetch.service);
	krb5_free_principal(desk->krb5, fetch.user);
	krb5_free_unparsed_name(desk->krb5, fetch.user_name);
	return status;
}
