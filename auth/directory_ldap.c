/*
 * The directory over LDAP, blocking, with one connection. In helper processes of the identity process,
 * which are killed when a call takes too long: neither libldap nor what it resolves names with keeps
 * to time limits everywhere.
 *
 * No results in pages (RFC 2696): nothing is ever listed. A question has one answer; where a server
 * finds more entries than a few, the answer is that it is ambiguous.
 */
#include <errno.h>
#include <ldap.h>
#include <openssl/crypto.h>
#include <sasl/sasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "auth/address.h"
#include "auth/directory.h"
#include "auth/directory_groups.h"
#include "auth/directory_ldap_groups.h"
#include "auth/directory_match.h"
#include "auth/unicode.h"

enum {
	ENTRIES_MAX = 4,      /* one that matches, and some that only the server takes for it */
	ATTRIBUTES_MAX = 16,  /* seven, and the binding attributes */
	ACCOUNT_DISABLED = 2, /* MS-ADTS 2.2.16 */
	SEALED_SSF = 56, /* so strong at least, when Kerberos protects a connection without TLS */
};

static const char system_ca[] = "/etc/ssl/certs/ca-certificates.crt";

struct ldap_state {
	const struct config_directory *config;
	struct directory_groups *groups;
	char *password;
	size_t password_len;
	LDAP *connection; /* NULL: none */
	size_t server;    /* which of config->urls is tried first */
	const char *attributes[ATTRIBUTES_MAX + 1];
};

static struct timeval timeval_of(uint32_t time_ms)
{
	return (struct timeval){
		.tv_sec = time_ms / 1000, .tv_usec = (suseconds_t)(time_ms % 1000) * 1000};
}

/* Opening */

/* The files are read now, into what libldap makes connections from later on, in the sandbox. */
static int prepare_tls(const struct config_directory *config, struct error *err)
{
	char path[64];
	int demand = LDAP_OPT_X_TLS_DEMAND, oldest = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2, client = 0;
	const char *ca = system_ca;

	if (config->ca.fd != -1) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", config->ca.fd);
		ca = path;
	}
	if (ldap_set_option(NULL, LDAP_OPT_X_TLS_CACERTFILE, ca) != LDAP_OPT_SUCCESS ||
		ldap_set_option(NULL, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand) != LDAP_OPT_SUCCESS ||
		ldap_set_option(NULL, LDAP_OPT_X_TLS_PROTOCOL_MIN, &oldest) != LDAP_OPT_SUCCESS ||
		ldap_set_option(NULL, LDAP_OPT_X_TLS_NEWCTX, &client) != LDAP_OPT_SUCCESS)
		return error_set(err, "directory: preparing TLS with the authorities of %s",
			config->ca.fd != -1 ? config->ca.path : system_ca);
	return 0;
}

static int prepare_bind(struct ldap_state *state, struct error *err)
{
	const struct config_directory *config = state->config;
	int result;

	if (config->bind == CONFIG_BIND_SIMPLE) {
		state->password =
			config_file_read(&config->bind_password, &state->password_len, err);
		if (state->password == NULL)
			return -1;
		state->password[strcspn(state->password, "\r\n")] = '\0';
		return 0;
	}
	if (config->bind != CONFIG_BIND_GSSAPI)
		return 0;
	/* Tickets live in memory, got with the key table's key whenever there is none. */
	if (setenv("KRB5_CLIENT_KTNAME", config->keytab, 1) == -1 ||
		setenv("KRB5CCNAME", "MEMORY:easproxy-directory", 1) == -1)
		return error_sys(err, "directory: preparing Kerberos");
	/* Loads its plug-ins, which cannot be done in the sandbox. */
	result = sasl_client_init(NULL);
	if (result != SASL_OK)
		return error_set(
			err, "directory: preparing SASL: %s", sasl_errstring(result, NULL, NULL));
	return 0;
}

static void list_attributes(struct ldap_state *state)
{
	const struct config_directory *config = state->config;
	const char *const single[] = {config->address_attribute, config->mail_attribute,
		config->upn_attribute, config->sid_attribute, config->control_attribute,
		config->account_attribute, config->group_count > 0 ? config->group_attribute : ""};
	size_t count = 0;

	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++)
		if (single[i][0] != '\0')
			state->attributes[count++] = single[i];
	for (size_t i = 0; i < config->binding_attribute_count && count < ATTRIBUTES_MAX; i++)
		state->attributes[count++] = config->binding_attributes[i];
	if (count == 0)
		state->attributes[count++] = LDAP_NO_ATTRS;
}

static void disconnect(struct ldap_state *state)
{
	if (state->connection != NULL)
		ldap_unbind_ext_s(state->connection, NULL, NULL);
	state->connection = NULL;
}

static void ldap_backend_close(void *opaque)
{
	struct ldap_state *state = opaque;

	disconnect(state);
	if (state->password != NULL)
		OPENSSL_cleanse(state->password, state->password_len);
	free(state->password);
	directory_groups_free(state->groups);
	free(state);
}

static void *ldap_backend_open(const struct config_directory *config, struct error *err)
{
	struct ldap_state *state = calloc(1, sizeof(*state));

	if (state == NULL) {
		error_sys(err, "opening the directory");
		return NULL;
	}
	state->config = config;
	list_attributes(state);
	state->groups = directory_groups_new(config->group_count, config->groups, err);
	if (state->groups == NULL) {
		free(state);
		return NULL;
	}
	/* What stands in ldap.conf and the environment is for people's tools. */
	if (setenv("LDAPNOINIT", "1", 1) == -1) {
		error_sys(err, "opening the directory");
	} else if (prepare_tls(config, err) == 0 && prepare_bind(state, err) == 0) {
		return state;
	}
	ldap_backend_close(state);
	return NULL;
}

/* Connecting */

/* libldap's own words, with what the other side or the TLS library had to say. */
static int fail(struct error *err, LDAP *connection, const char *doing, const char *url, int result)
{
	char *detail = NULL;

	if (connection != NULL)
		ldap_get_option(connection, LDAP_OPT_DIAGNOSTIC_MESSAGE, &detail);
	error_set(err, "%s %s: %s%s%.200s", doing, url, ldap_err2string(result),
		detail != NULL && detail[0] != '\0' ? ": " : "", detail != NULL ? detail : "");
	ldap_memfree(detail);
	return -1;
}

static int set_options(LDAP *connection, const struct config_directory *config)
{
	struct timeval connect = timeval_of(config->connect_time_ms);
	int version = LDAP_VERSION3;

	if (ldap_set_option(connection, LDAP_OPT_PROTOCOL_VERSION, &version) != LDAP_OPT_SUCCESS ||
		ldap_set_option(connection, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) != LDAP_OPT_SUCCESS ||
		ldap_set_option(connection, LDAP_OPT_RESTART, LDAP_OPT_ON) != LDAP_OPT_SUCCESS ||
		ldap_set_option(connection, LDAP_OPT_NETWORK_TIMEOUT, &connect) !=
			LDAP_OPT_SUCCESS ||
		ldap_set_option(connection, LDAP_OPT_TIMEOUT, &connect) != LDAP_OPT_SUCCESS ||
		/* The name in the URL is the server's: no resolver is asked for another. */
		ldap_set_option(connection, LDAP_OPT_X_SASL_NOCANON, LDAP_OPT_ON) !=
			LDAP_OPT_SUCCESS)
		return -1;
	return 0;
}

/* GSSAPI asks nothing that it does not know from the ticket. */
static int answer_nothing(LDAP *connection, unsigned int flags, void *defaults, void *questions)
{
	(void)connection;
	(void)flags;
	(void)defaults;
	for (sasl_interact_t *q = questions; q->id != SASL_CB_LIST_END; q++) {
		q->result = "";
		q->len = 0;
	}
	return LDAP_SUCCESS;
}

static int bind_to(const struct ldap_state *state, LDAP *connection, bool is_encrypted)
{
	const struct config_directory *config = state->config;
	struct berval password = {.bv_val = state->password};
	char properties[32];

	switch (config->bind) {
	case CONFIG_BIND_SIMPLE:
		password.bv_len = strlen(state->password);
		return ldap_sasl_bind_s(connection, config->bind_name, LDAP_SASL_SIMPLE, &password,
			NULL, NULL, NULL);
	case CONFIG_BIND_GSSAPI:
		/* One layer of protection, and always one (Active Directory takes no second). */
		snprintf(properties, sizeof(properties), is_encrypted ? "maxssf=0" : "minssf=%d",
			SEALED_SSF);
		if (ldap_set_option(connection, LDAP_OPT_X_SASL_SECPROPS, properties) !=
			LDAP_OPT_SUCCESS)
			return LDAP_LOCAL_ERROR;
		return ldap_sasl_interactive_bind_s(connection, NULL, "GSSAPI", NULL, NULL,
			LDAP_SASL_QUIET, answer_nothing, NULL);
	default: return LDAP_SUCCESS;
	}
}

static int connect_to(
	struct ldap_state *state, const struct config_endpoint *url, struct error *err)
{
	bool wants_start_tls = !url->is_tls && state->config->start_tls;
	LDAP *connection = NULL;
	int result = ldap_initialize(&connection, url->text);

	if (result == LDAP_SUCCESS && set_options(connection, state->config) == -1)
		result = LDAP_LOCAL_ERROR;
	if (result != LDAP_SUCCESS) {
		fail(err, connection, "preparing a connection to", url->text, result);
		goto fail;
	}
	if (wants_start_tls) {
		result = ldap_start_tls_s(connection, NULL, NULL);
		if (result != LDAP_SUCCESS) {
			fail(err, connection, "starting TLS with", url->text, result);
			goto fail;
		}
	}
	result = bind_to(state, connection, url->is_tls || wants_start_tls);
	if (result != LDAP_SUCCESS) {
		fail(err, connection, "logging in to", url->text, result);
		goto fail;
	}
	state->connection = connection;
	return 0;

fail:
	if (connection != NULL)
		ldap_unbind_ext_s(connection, NULL, NULL);
	return -1;
}

/* The first server that takes us, beginning with the one that did the last time. */
static int connect_to_any(struct ldap_state *state, struct error *err)
{
	size_t count = state->config->url_count;

	for (size_t i = 0; i < count; i++) {
		size_t server = (state->server + i) % count;

		if (connect_to(state, &state->config->urls[server], err) == 0) {
			state->server = server;
			return 0;
		}
	}
	return -1;
}

/* Answers */

static bool entry_matches(const struct ldap_state *state, LDAPMessage *entry,
	const struct directory_question *question)
{
	bool matches = false;

	for (size_t i = 0; !matches && state->attributes[i] != NULL; i++) {
		struct berval **values =
			ldap_get_values_len(state->connection, entry, state->attributes[i]);

		for (size_t j = 0; values != NULL && values[j] != NULL && !matches; j++)
			matches = directory_value_matches(state->config, question,
				state->attributes[i],
				span_of(values[j]->bv_val, values[j]->bv_len));
		ldap_value_free_len(values);
	}
	return matches;
}

/* How many addresses of the attribute are mailboxes, and the last of them. */
static size_t find_mailbox(const struct ldap_state *state, LDAPMessage *entry,
	const char *attribute, bool only_primary, char mailbox[IDENTITY_ADDRESS_MAX + 1])
{
	struct berval **values;
	size_t count = 0;

	if (attribute[0] == '\0')
		return 0;
	values = ldap_get_values_len(state->connection, entry, attribute);
	for (size_t i = 0; values != NULL && values[i] != NULL; i++) {
		struct span address = span_of(values[i]->bv_val, values[i]->bv_len);

		if (only_primary && !directory_is_primary(address, &address))
			continue;
		if (address_fold(address, mailbox) == 0)
			count++;
	}
	ldap_value_free_len(values);
	return count;
}

static bool is_disabled(const struct ldap_state *state, LDAPMessage *entry)
{
	const char *attribute = state->config->control_attribute;
	struct berval **values;
	bool is_off = false;

	if (attribute[0] == '\0')
		return false;
	values = ldap_get_values_len(state->connection, entry, attribute);
	if (values != NULL && values[0] != NULL) {
		char *end;
		long flags;

		errno = 0;
		flags = strtol(values[0]->bv_val, &end, 10);
		/* What is no number might be meant to keep somebody out. */
		is_off = errno != 0 || end == values[0]->bv_val || *end != '\0' ||
			 (flags & ACCOUNT_DISABLED) != 0;
	}
	ldap_value_free_len(values);
	return is_off;
}

static void add_users(const struct ldap_state *state, LDAPMessage *entry, const char *attribute,
	struct directory_answer *answer)
{
	struct berval **values;

	if (attribute[0] == '\0')
		return;
	values = ldap_get_values_len(state->connection, entry, attribute);
	for (size_t i = 0; values != NULL && values[i] != NULL; i++) {
		struct span name = span_of(values[i]->bv_val, values[i]->bv_len);

		directory_skip_smtp(&name);
		directory_answer_add_user(answer, name);
	}
	ldap_value_free_len(values);
}

/* The attribute's first value, where it shows and fits; else "". */
static void copy_text(const struct ldap_state *state, LDAPMessage *entry, const char *attribute,
	char *text, size_t size)
{
	struct berval **values;

	text[0] = '\0';
	if (attribute[0] == '\0')
		return;
	values = ldap_get_values_len(state->connection, entry, attribute);
	if (values != NULL && values[0] != NULL && values[0]->bv_len < size &&
		unicode_is_plain(span_of(values[0]->bv_val, values[0]->bv_len), false)) {
		memcpy(text, values[0]->bv_val, values[0]->bv_len);
		text[values[0]->bv_len] = '\0';
	}
	ldap_value_free_len(values);
}

static void copy_sid(
	const struct ldap_state *state, LDAPMessage *entry, struct directory_answer *answer)
{
	const char *attribute = state->config->sid_attribute;
	struct berval **values;

	if (attribute[0] == '\0')
		return;
	values = ldap_get_values_len(state->connection, entry, attribute);
	if (values == NULL || values[0] == NULL ||
		directory_sid_text(span_of(values[0]->bv_val, values[0]->bv_len), answer->sid,
			sizeof(answer->sid)) == -1)
		answer->sid[0] = '\0';
	ldap_value_free_len(values);
}

static void answer_found(const struct ldap_state *state, LDAPMessage *entry, const char *mailbox,
	const char *who, struct directory_answer *answer)
{
	const struct config_directory *config = state->config;
	struct error err;

	directory_answer_set(answer, DIRECTORY_FOUND, mailbox, "%s", who);
	/* A rule may keep the members of a group out: who may be in it is not let in. */
	if (directory_ldap_groups(
		    state->connection, entry, config, state->groups, &answer->groups, &err) == -1) {
		directory_answer_set(answer, DIRECTORY_UNAVAILABLE, "", "%s", err.text);
		return;
	}
	/* What phones are most likely to have comes first: there may be no room for all. */
	add_users(state, entry, config->upn_attribute, answer);
	add_users(state, entry, config->account_attribute, answer);
	add_users(state, entry, config->mail_attribute, answer);
	add_users(state, entry, config->address_attribute, answer);
	copy_text(
		state, entry, config->account_attribute, answer->account, sizeof(answer->account));
	copy_text(state, entry, config->upn_attribute, answer->upn, sizeof(answer->upn));
	copy_sid(state, entry, answer);
	directory_realm(who, answer->realm, sizeof(answer->realm));
}

static void describe_entry(
	const struct ldap_state *state, LDAPMessage *entry, struct directory_answer *answer)
{
	char *dn = ldap_get_dn(state->connection, entry);
	const char *who = dn != NULL ? dn : "an entry without a DN";
	char mailbox[IDENTITY_ADDRESS_MAX + 1];
	size_t count = find_mailbox(state, entry, state->config->address_attribute, true, mailbox);

	if (count == 0)
		count = find_mailbox(state, entry, state->config->mail_attribute, false, mailbox);
	if (is_disabled(state, entry))
		directory_answer_set(answer, DIRECTORY_DISABLED, "", "disabled: %s", who);
	else if (count == 1)
		answer_found(state, entry, mailbox, who, answer);
	else
		directory_answer_set(answer, DIRECTORY_NO_MAILBOX, "", "%s: %s",
			count == 0 ? "no address" : "several primary addresses", who);
	ldap_memfree(dn);
}

static void read_entries(const struct ldap_state *state, LDAPMessage *result,
	const struct directory_question *question, struct directory_answer *answer)
{
	LDAPMessage *found = NULL;
	size_t count = 0;

	for (LDAPMessage *entry = ldap_first_entry(state->connection, result); entry != NULL;
		entry = ldap_next_entry(state->connection, entry)) {
		if (!entry_matches(state, entry, question))
			continue;
		found = entry;
		count++;
	}
	if (count == 1)
		describe_entry(state, found, answer);
	else if (count == 0)
		directory_answer_set(answer, DIRECTORY_NOT_FOUND, "", "no entry has it");
	else
		directory_answer_set(answer, DIRECTORY_AMBIGUOUS, "", "several entries have it");
}

/* 0 with the answer filled; -1 with err filled, and no connection any more. *is_stale: it was an old
 * one that the server has closed since. */
static int search(struct ldap_state *state, const char *filter,
	const struct directory_question *question, struct directory_answer *answer, bool *is_stale,
	struct error *err)
{
	static const int scopes[] = {
		[CONFIG_SCOPE_SUB] = LDAP_SCOPE_SUBTREE,
		[CONFIG_SCOPE_ONE] = LDAP_SCOPE_ONELEVEL,
		[CONFIG_SCOPE_BASE] = LDAP_SCOPE_BASE,
	};
	const struct config_directory *config = state->config;
	struct timeval limit = timeval_of(config->answer_time_ms);
	bool was_connected = state->connection != NULL;
	LDAPMessage *found = NULL;
	int result;

	*is_stale = false;
	if (!was_connected && connect_to_any(state, err) == -1)
		return -1;
	result = ldap_search_ext_s(state->connection, config->base, scopes[config->scope], filter,
		(char **)state->attributes, 0, NULL, NULL, &limit, ENTRIES_MAX, &found);
	if (result == LDAP_SUCCESS) {
		read_entries(state, found, question, answer);
		if (answer->status == DIRECTORY_UNAVAILABLE)
			disconnect(state);
	} else if (result == LDAP_SIZELIMIT_EXCEEDED) {
		directory_answer_set(answer, DIRECTORY_AMBIGUOUS, "", "many entries have it");
	} else {
		fail(err, state->connection, "asking", config->urls[state->server].text, result);
		disconnect(state);
		*is_stale = was_connected && result == LDAP_SERVER_DOWN;
	}
	ldap_msgfree(found);
	return result == LDAP_SUCCESS || result == LDAP_SIZELIMIT_EXCEEDED ? 0 : -1;
}

static void ldap_backend_ask(
	void *opaque, const struct directory_question *question, struct directory_answer *answer)
{
	struct ldap_state *state = opaque;
	char *filter = malloc(DIRECTORY_FILTER_SIZE);
	struct error err = {"out of memory"};
	bool is_stale = false;
	int result = -1;

	if (filter != NULL && directory_filter_write(state->config, question, filter,
				      DIRECTORY_FILTER_SIZE) == -1) {
		directory_answer_set(answer, DIRECTORY_NOT_FOUND, "",
			"no attribute is configured to look it up in");
		free(filter);
		return;
	}
	if (filter != NULL)
		result = search(state, filter, question, answer, &is_stale, &err);
	/* Servers close connections that were idle: that is no fault yet. */
	if (result == -1 && is_stale)
		result = search(state, filter, question, answer, &is_stale, &err);
	free(filter);
	if (result == -1)
		directory_answer_set(answer, DIRECTORY_UNAVAILABLE, "", "%s", err.text);
}

const struct directory_backend directory_ldap = {
	.open = ldap_backend_open, .close = ldap_backend_close, .ask = ldap_backend_ask};
