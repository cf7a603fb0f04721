/* Managed configurations of Android's mail programs, as a mobile device management takes them. What is
 * known of their keys differs; the notes say how well. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/easproxyctl_profile.h"

enum value {
	VALUE_MAILBOX,
	VALUE_HOST,      /* with a port if there is one */
	VALUE_HOST_NAME, /* without */
	VALUE_PORT,
	VALUE_ALIAS,
	VALUE_DEVICE_ID,    /* left out where there is none */
	VALUE_ORGANIZATION, /* the same */
	VALUE_TRUE,
	VALUE_FALSE,
	VALUE_TEXT, /* as it stands in the row */
};

struct row {
	const char *key;
	enum value value;
	const char *text;
};

static const struct row gmail[] = {
	{"email_address", VALUE_MAILBOX, NULL},
	{"exchange_host", VALUE_HOST, NULL},
	{"exchange_username", VALUE_MAILBOX, NULL},
	{"exchange_device_id", VALUE_DEVICE_ID, NULL},
	{"exchange_login_certificate_alias", VALUE_ALIAS, NULL},
	{"exchange_ssl_required", VALUE_TRUE, NULL},
	{"exchange_trust_all_certificates", VALUE_FALSE, NULL},
	{NULL, VALUE_TEXT, NULL},
};

static const struct row nine[] = {
	{"AppServicePublisher", VALUE_ORGANIZATION, NULL},
	{"AppServiceHost", VALUE_HOST_NAME, NULL},
	{"AppServicePort", VALUE_PORT, NULL},
	{"AppServiceUseSSL", VALUE_TRUE, NULL},
	{"UserName", VALUE_MAILBOX, NULL},
	{"UserEmail", VALUE_MAILBOX, NULL},
	{"AppUseLoginCertificate", VALUE_TRUE, NULL},
	{NULL, VALUE_TEXT, NULL},
};

static const struct row outlook[] = {
	{"com.microsoft.outlook.EmailProfile.EmailAccountName", VALUE_MAILBOX, NULL},
	{"com.microsoft.outlook.EmailProfile.EmailAddress", VALUE_MAILBOX, NULL},
	{"com.microsoft.outlook.EmailProfile.EmailUPN", VALUE_MAILBOX, NULL},
	{"com.microsoft.outlook.EmailProfile.ServerHostName", VALUE_HOST_NAME, NULL},
	{"com.microsoft.outlook.EmailProfile.ServerAuthentication", VALUE_TEXT, "Certificates"},
	{"com.microsoft.outlook.EmailProfile.AccountType", VALUE_TEXT, "BasicAuth"},
	{NULL, VALUE_TEXT, NULL},
};

static const struct {
	const char *name, *package, *note;
	const struct row *rows;
} programs[] = {
	{"Gmail", "com.google.android.gm",
		"The certificate comes into the work profile's key store by the device management, "
		"under the alias. With exchange_device_id the device can be registered before it "
		"comes.",
		gmail},
	{"Nine", "com.ninefolders.hd3",
		"The certificate comes by the device management. Some of them want the switches as "
		"texts, \"True\". AppServicePublisher is required (--organization).",
		nine},
	{"Outlook", "com.microsoft.office.outlook",
		"Do not count on it: present documentation knows user name and password alone for "
		"such servers, and texts of 2018 the value Certificates. easproxyd lets nobody in "
		"without a certificate.",
		outlook},
};

static json_t *value_of(const struct row *row, const struct profile_android *android)
{
	size_t name_len = strcspn(android->host, ":");

	switch (row->value) {
	case VALUE_MAILBOX: return json_string(android->mailbox);
	case VALUE_HOST: return json_string(android->host);
	case VALUE_HOST_NAME: return json_stringn(android->host, name_len);
	case VALUE_PORT:
		return json_integer(android->host[name_len] == ':'
					    ? strtol(android->host + name_len + 1, NULL, 10)
					    : 443);
	case VALUE_ALIAS: return json_string(android->alias);
	case VALUE_DEVICE_ID:
		return android->device_id != NULL ? json_string(android->device_id) : NULL;
	case VALUE_ORGANIZATION:
		return android->organization != NULL ? json_string(android->organization) : NULL;
	case VALUE_TRUE: return json_true();
	case VALUE_FALSE: return json_false();
	case VALUE_TEXT: break;
	}
	return json_string(row->text);
}

static json_t *configuration_of(const struct row *row, const struct profile_android *android)
{
	json_t *object = json_object();

	for (; row->key != NULL; row++) {
		json_t *value = value_of(row, android);

		if (value != NULL)
			json_object_set_new(object, row->key, value);
	}
	return object;
}

int profile_android(const struct profile_android *android, const char *path, struct error *err)
{
	json_t *list = json_array();
	char *text;
	int status;

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:o, s:s}", "name", programs[i].name, "package",
				      programs[i].package, "configuration",
				      configuration_of(programs[i].rows, android), "note",
				      programs[i].note));
	text = json_dumps(list, JSON_INDENT(2));
	json_decref(list);
	if (text == NULL)
		return error_set(err, "writing JSON: out of memory");
	status = profile_save(path, span_of_string(text), err);
	if (status == 0 && strcmp(path, "-") == 0)
		putchar('\n');
	free(text);
	return status;
}
