#include "auth/ticket_login.h"

#include <errno.h>
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/ticket_fault.h"

enum {
	REFUSED_TIME = 30, /* seconds */
	SPARE_TIME = 60,   /* a ticket that ends sooner is as good as none */
};

static int fail(
	struct ticket_login *login, krb5_error_code code, struct error *err, const char *doing)
{
	const char *words = krb5_get_error_message(login->krb5, code);

	error_set(err, "%s %s: %s", doing, login->config->keytab.path, words);
	krb5_free_error_message(login->krb5, words);
	return -1;
}

/* Copies the keys of that principal, as keys of our account. 0 and their number, or a code. */
static krb5_error_code add_keys(
	struct ticket_login *login, krb5_keytab table, krb5_const_principal of, size_t *count)
{
	krb5_kt_cursor cursor;
	krb5_keytab_entry entry;
	krb5_error_code code = krb5_kt_start_seq_get(login->krb5, table, &cursor);

	*count = 0;
	if (code != 0)
		return code;
	while (code == 0 && krb5_kt_next_entry(login->krb5, table, &entry, &cursor) == 0) {
		krb5_principal theirs = entry.principal;

		if (krb5_principal_compare(login->krb5, theirs, of)) {
			entry.principal = login->account;
			code = krb5_kt_add_entry(login->krb5, login->keys, &entry);
			entry.principal = theirs;
			(*count)++;
		}
		krb5_free_keytab_entry_contents(login->krb5, &entry);
	}
	krb5_kt_end_seq_get(login->krb5, table, &cursor);
	return code;
}

/* The principal of all keys in the table; NULL where there are several, or none. */
static krb5_principal find_only(const struct ticket_login *login, krb5_keytab table)
{
	krb5_kt_cursor cursor;
	krb5_keytab_entry entry;
	krb5_principal only = NULL;
	bool is_only = true;

	if (krb5_kt_start_seq_get(login->krb5, table, &cursor) != 0)
		return NULL;
	while (is_only && krb5_kt_next_entry(login->krb5, table, &entry, &cursor) == 0) {
		if (only == NULL)
			is_only = krb5_copy_principal(login->krb5, entry.principal, &only) == 0;
		else
			is_only = krb5_principal_compare(login->krb5, entry.principal, only);
		krb5_free_keytab_entry_contents(login->krb5, &entry);
	}
	krb5_kt_end_seq_get(login->krb5, table, &cursor);
	if (is_only)
		return only;
	krb5_free_principal(login->krb5, only);
	return NULL;
}

/* Whose keys are in the table, each once, as far as they fit. */
static void list_owners(const struct ticket_login *login, krb5_keytab table, char *out, size_t size)
{
	krb5_kt_cursor cursor;
	krb5_keytab_entry entry;
	size_t used = 0;

	out[0] = '\0';
	if (krb5_kt_start_seq_get(login->krb5, table, &cursor) != 0)
		return;
	while (krb5_kt_next_entry(login->krb5, table, &entry, &cursor) == 0) {
		char *name = NULL;

		if (krb5_unparse_name(login->krb5, entry.principal, &name) == 0 &&
			strstr(out, name) == NULL && strlen(name) + used + sizeof(", ") <= size)
			used += (size_t)snprintf(
				out + used, size - used, "%s%s", used > 0 ? ", " : "", name);
		krb5_free_unparsed_name(login->krb5, name);
		krb5_free_keytab_entry_contents(login->krb5, &entry);
	}
	krb5_kt_end_seq_get(login->krb5, table, &cursor);
}

static int copy_keys(struct ticket_login *login, krb5_keytab table, struct error *err)
{
	char owners[200];
	size_t count;
	krb5_error_code code = add_keys(login, table, login->account, &count);
	krb5_principal only = code == 0 && count == 0 ? find_only(login, table) : NULL;

	if (only != NULL && krb5_realm_compare(login->krb5, only, login->account))
		code = add_keys(login, table, only, &count);
	krb5_free_principal(login->krb5, only);
	if (code != 0)
		return fail(login, code, err, "reading the key table");
	if (count > 0)
		return 0;
	list_owners(login, table, owners, sizeof(owners));
	return error_set(err,
		"the key table %s has no key of %s, but of %s: are account and realm right, and "
		"written as there?",
		login->config->keytab.path, login->name, owners[0] != '\0' ? owners : "nobody");
}

static int read_keys(struct ticket_login *login, struct error *err)
{
	char name[80];
	krb5_keytab table = NULL;
	krb5_error_code code;
	int result;

	snprintf(name, sizeof(name), "FILE:/proc/self/fd/%d", login->config->keytab.fd);
	code = krb5_kt_resolve(login->krb5, name, &table);
	if (code != 0)
		return fail(login, code, err, "opening the key table");
	result = copy_keys(login, table, err);
	krb5_kt_close(login->krb5, table);
	return result;
}

static int prepare(struct ticket_login *login, struct error *err)
{
	const char *realm = login->config->realm;
	char keys[64];
	krb5_error_code code;

	/* Memory tables are found by name, and this one is to be found by nobody else. */
	snprintf(keys, sizeof(keys), "MEMORY:%p", (void *)login);
	code = krb5_build_principal(login->krb5, &login->account, (unsigned int)strlen(realm),
		realm, login->config->account, (char *)NULL);
	if (code == 0)
		code = krb5_unparse_name(login->krb5, login->account, &login->name);
	if (code == 0)
		code = krb5_kt_resolve(login->krb5, keys, &login->keys);
	if (code == 0)
		code = krb5_cc_new_unique(login->krb5, "MEMORY", NULL, &login->cache);
	if (code != 0)
		return fail(login, code, err, "preparing a login with");
	return read_keys(login, err);
}

struct ticket_login *ticket_login_new(
	krb5_context krb5, const struct config_kerberos *config, struct error *err)
{
	struct ticket_login *login = calloc(1, sizeof(*login));

	if (login == NULL) {
		error_sys(err, "preparing logins in realm %s", config->realm);
		return NULL;
	}
	login->krb5 = krb5;
	login->config = config;
	if (prepare(login, err) == 0)
		return login;
	ticket_login_free(login);
	return NULL;
}

void ticket_login_free(struct ticket_login *login)
{
	if (login == NULL)
		return;
	ticket_login_forget(login);
	if (login->cache != NULL)
		krb5_cc_destroy(login->krb5, login->cache);
	if (login->keys != NULL)
		krb5_kt_close(login->krb5, login->keys);
	krb5_free_unparsed_name(login->krb5, login->name);
	krb5_free_principal(login->krb5, login->account);
	free(login);
}

void ticket_login_forget(struct ticket_login *login)
{
	OM_uint32 ignored;

	gss_release_cred(&ignored, &login->credential);
	login->begin = login->end = 0;
}

static krb5_error_code ask_for_ticket(struct ticket_login *login, krb5_creds *ticket)
{
	krb5_get_init_creds_opt *options = NULL;
	krb5_error_code code = krb5_get_init_creds_opt_alloc(login->krb5, &options);

	if (code != 0)
		return code;
	/* A ticket-granting ticket that may not be forwarded gives tickets that may not be delegated. */
	krb5_get_init_creds_opt_set_forwardable(options, 1);
	krb5_get_init_creds_opt_set_proxiable(options, 0);
	code = krb5_get_init_creds_keytab(
		login->krb5, ticket, login->account, login->keys, 0, NULL, options);
	krb5_get_init_creds_opt_free(login->krb5, options);
	return code;
}

/* In place of the ticket that was there. */
static krb5_error_code keep_ticket(struct ticket_login *login, krb5_creds *ticket)
{
	OM_uint32 major, minor;
	krb5_error_code code;

	ticket_login_forget(login);
	code = krb5_cc_initialize(login->krb5, login->cache, login->account);
	if (code == 0)
		code = krb5_cc_store_cred(login->krb5, login->cache, ticket);
	if (code != 0)
		return code;
	major = gss_krb5_import_cred(&minor, login->cache, NULL, NULL, &login->credential);
	if (GSS_ERROR(major))
		return minor != 0 ? (krb5_error_code)minor : EINVAL;
	login->begin = (uint32_t)(ticket->times.starttime != 0 ? ticket->times.starttime
							       : ticket->times.authtime);
	login->end = (uint32_t)ticket->times.endtime;
	return 0;
}

static enum login_status log_in(struct ticket_login *login, struct login_fault *fault)
{
	const struct ticket_names names = {.user = login->name,
		.account = login->name,
		.realm = login->config->realm,
		.service = login->config->realm};
	krb5_creds ticket = {0};
	krb5_error_code code = ask_for_ticket(login, &ticket);
	enum login_status status = LOGIN_GIVEN;

	if (code == 0 && (ticket.ticket_flags & TKT_FLG_FORWARDABLE) == 0)
		status = login_fault_set(fault, LOGIN_MISCONFIGURED,
			"It is marked 'sensitive and cannot be delegated', or in Protected Users: "
			"take that away.",
			"our account %s gets no ticket that may be forwarded", login->name);
	else if (code == 0)
		code = keep_ticket(login, &ticket);
	if (code != 0) {
		const char *words = krb5_get_error_message(login->krb5, code);

		status = ticket_fault_set(fault, TICKET_STEP_OWN, code, &names, words);
		krb5_free_error_message(login->krb5, words);
	}
	krb5_free_cred_contents(login->krb5, &ticket);
	return status;
}

enum login_status ticket_login_renew(
	struct ticket_login *login, int64_t now, struct login_fault *fault)
{
	bool is_good = login->credential != GSS_C_NO_CREDENTIAL && login->end - SPARE_TIME > now;
	enum login_status status;

	if (is_good && login->end - now > now - login->begin)
		return LOGIN_GIVEN;
	if (now >= login->refused_until)
		login->refused_status = LOGIN_GIVEN;
	if (login->refused_status == LOGIN_GIVEN) {
		status = log_in(login, &login->refused_fault);
		if (status == LOGIN_GIVEN)
			return status;
		if (status == LOGIN_MISCONFIGURED || is_good) {
			login->refused_status = status;
			login->refused_until = now + REFUSED_TIME;
		}
	} else {
		status = login->refused_status;
	}
	if (is_good)
		return LOGIN_GIVEN;
	*fault = login->refused_fault;
	return status;
}
