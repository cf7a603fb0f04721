#include "auth/trust_document.h"

#include <string.h>

#include "auth/trust_entry.h"
#include "auth/trust_write.h"

enum { JSON_SIZE_MAX = 16 << 20 }; /* AUTHORITY_MAX of the largest certificates, as base64 */

json_t *trust_document_parse(struct span json, struct error *err)
{
	json_error_t error;
	json_t *document;

	if (json.len > JSON_SIZE_MAX) {
		error_set(err, "larger than %d MiB", JSON_SIZE_MAX >> 20);
		return NULL;
	}
	document = json_loadb((const char *)json.data, json.len, JSON_REJECT_DUPLICATES, &error);
	if (document == NULL)
		error_set(err, "line %d: %s", error.line, error.text);
	return document;
}

static const char authorities_name[] = "certificateAuthorities";

json_t *trust_document_configuration(json_t *document)
{
	json_t *value = json_object_get(document, "value");

	if (json_object_get(document, authorities_name) != NULL)
		return document;
	if (json_is_array(value) && json_array_size(value) == 1 &&
		json_object_get(json_array_get(value, 0), authorities_name) != NULL)
		return json_array_get(value, 0);
	return NULL;
}

json_t *trust_document_list(json_t *document)
{
	json_t *configuration = trust_document_configuration(document);
	json_t *value = json_object_get(document, "value");

	if (configuration != NULL)
		return json_object_get(configuration, authorities_name);
	if (json_is_array(document))
		return document;
	return json_is_array(value) ? value : NULL;
}

static void note_fault(void *context, const char *text)
{
	struct error *err = context;

	if (strncmp(text, "warning: ", strlen("warning: ")) != 0)
		error_set(err, "%s", text);
}

X509 *trust_document_certificate(json_t *entry, const char *base_dir, struct error *err)
{
	struct trust_reader reader = {
		.name = "", .base_dir = base_dir, .report = note_fault, .context = err};
	json_t *members[TRUST_MEMBER_COUNT] = {NULL};

	if (!json_is_object(entry)) {
		error_set(err, "must be an object");
		return NULL;
	}
	trust_members_collect(&reader, entry, members);
	return trust_entry_certificate(&reader, members);
}

/* The name that the object has for a member, NULL where it has none. */
static const char *find_name(json_t *entry, enum trust_member member)
{
	const char *name;
	json_t *value;

	json_object_foreach(entry, name, value) if (trust_member_find(name) == member) return name;
	return NULL;
}

int trust_document_set(json_t *entry, enum trust_member member, json_t *value)
{
	const char *name = find_name(entry, member);

	if (value != NULL)
		return json_object_set_new(
			entry, name != NULL ? name : trust_member_name(member), value);
	if (name != NULL)
		json_object_del(entry, name);
	return 0;
}

json_t *trust_document_get(json_t *entry, enum trust_member member)
{
	const char *name = find_name(entry, member);
	json_t *value = name != NULL ? json_object_get(entry, name) : NULL;

	return json_is_null(value) ? NULL : value;
}

/* An import under way. */
struct import {
	struct trust_reader reader; /* of the imported document */
	json_t *list;
	const char *base_dir;
	bool replaces;
	bool is_met[AUTHORITY_MAX]; /* entries of list that the other document has too */
};

/* Where the certificate stands in the list; the list's size if nowhere. */
static size_t find_entry(const struct import *import, X509 *certificate)
{
	size_t i = 0;

	for (; i < json_array_size(import->list); i++) {
		X509 *other = trust_document_certificate(
			json_array_get(import->list, i), import->base_dir, NULL);
		bool is_same = other != NULL && X509_cmp(other, certificate) == 0;

		X509_free(other);
		if (is_same)
			break;
	}
	return i;
}

static bool is_empty(json_t *value)
{
	return json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0);
}

/* Members that say which authority it is do not change with an import. An empty one counts only where the
 * import replaces all: else a tenant that knows of no CRL would end a check of ours. */
static int lay_over(const struct import *import, json_t *entry, json_t *imported)
{
	const char *name;
	json_t *value;

	json_object_foreach(imported, name, value)
	{
		enum trust_member member = trust_member_find(name);

		if (member == TRUST_MEMBER_COUNT || member == TRUST_IS_ROOT ||
			member == TRUST_TYPE || member == TRUST_CERTIFICATE ||
			member == TRUST_CERTIFICATE_FILE)
			continue;
		if (is_empty(value) && !import->replaces)
			continue;
		if (trust_document_set(
			    entry, member, is_empty(value) ? NULL : json_incref(value)) == -1)
			return -1;
	}
	return 0;
}

/* isRootAuthority in an entry under either name, by the imported object's. */
static int set_type(json_t *entry, bool is_root)
{
	if (find_name(entry, TRUST_TYPE) != NULL)
		json_object_del(entry, find_name(entry, TRUST_TYPE));
	return trust_document_set(entry, TRUST_IS_ROOT, json_boolean(is_root));
}

static json_t *make_entry(X509 *certificate, bool is_root)
{
	json_t *entry = json_object();

	if (trust_document_set(entry, TRUST_IS_ROOT, json_boolean(is_root)) == 0 &&
		trust_document_set(
			entry, TRUST_CERTIFICATE, trust_write_certificate(certificate)) == 0)
		return entry;
	json_decref(entry);
	return NULL;
}

static bool has_type(json_t *entry, bool is_root)
{
	struct trust_reader reader = {.name = ""};
	json_t *members[TRUST_MEMBER_COUNT] = {NULL};
	bool is_same;

	trust_members_collect(&reader, entry, members);
	return trust_entry_type(&reader, members, &is_same) == 0 && is_same == is_root;
}

static int import_certificate(
	struct import *import, json_t *imported, X509 *certificate, bool is_root)
{
	size_t place = find_entry(import, certificate);
	json_t *entry = json_array_get(import->list, place);

	if (entry == NULL) {
		entry = make_entry(certificate, is_root);
		if (entry == NULL || json_array_append_new(import->list, entry) == -1)
			return -1;
	} else if (!has_type(entry, is_root) && set_type(entry, is_root) == -1) {
		return -1;
	}
	if (place < AUTHORITY_MAX)
		import->is_met[place] = true;
	return lay_over(import, entry, imported);
}

static void import_entry(struct import *import, json_t *imported)
{
	json_t *members[TRUST_MEMBER_COUNT] = {NULL};
	X509 *certificate;
	bool is_root;

	if (!json_is_object(imported)) {
		trust_reader_fault(&import->reader, "must be an object");
		return;
	}
	trust_members_collect(&import->reader, imported, members);
	certificate = trust_entry_certificate(&import->reader, members);
	if (trust_entry_type(&import->reader, members, &is_root) == 0 && certificate != NULL &&
		import_certificate(import, imported, certificate, is_root) == -1)
		trust_reader_fault(&import->reader, "out of memory");
	X509_free(certificate);
}

int trust_document_import(json_t *list, const char *base_dir, json_t *imported,
	const char *import_name, const char *import_dir, bool replaces, trust_store_report *report,
	void *context)
{
	struct import import = {
		.reader = {.name = import_name,
			.base_dir = import_dir,
			.report = report,
			.context = context},
		.list = list,
		.base_dir = base_dir,
		.replaces = replaces,
	};
	json_t *others = trust_document_list(imported);

	if (!json_is_array(others) || json_array_size(others) > AUTHORITY_MAX) {
		trust_reader_fault(&import.reader,
			"certificateAuthorities: must be a list of at most %d", AUTHORITY_MAX);
		return -1;
	}
	for (size_t i = 0; i < json_array_size(others); i++) {
		import.reader.number = i + 1;
		import_entry(&import, json_array_get(others, i));
	}
	for (size_t i = json_array_size(list); replaces && i-- > 0;)
		if (i >= AUTHORITY_MAX || !import.is_met[i])
			json_array_remove(list, i);
	return import.reader.fault_count == 0 ? 0 : -1;
}
