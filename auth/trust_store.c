#include "auth/trust_store.h"

#include <jansson.h>
#include <libgen.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "auth/authority.h"
#include "auth/trust_document.h"
#include "auth/trust_entry.h"
#include "auth/trust_path.h"
#include "auth/trust_reader.h"

static void read_authorities(struct trust_reader *reader, json_t *list)
{
	if (!json_is_array(list)) {
		trust_reader_fault(reader, "certificateAuthorities: must be a list");
		return;
	}
	if (json_array_size(list) > AUTHORITY_MAX) {
		trust_reader_fault(reader, "certificateAuthorities: %zu of them, of at most %d",
			json_array_size(list), AUTHORITY_MAX);
		return;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		reader->number++;
		trust_entry_read(reader, json_array_get(list, i));
	}
	reader->number = 0;
}

static void warn_of_configuration(struct trust_reader *reader, json_t *configuration)
{
	const char *name;
	json_t *value;

	json_object_foreach(configuration, name,
		value) if (strcmp(name, "certificateAuthorities") != 0 && strcmp(name, "id") != 0)
		trust_reader_warn_unknown(reader, name);
}

static void check_paths(struct trust_reader *reader)
{
	struct trust_paths paths;
	struct error err;

	if (trust_paths_make(&paths, reader->store) == -1) {
		trust_reader_fault(reader, "out of memory");
		goto out;
	}
	/* Phones of an intermediate without a path, or with one that breaks RFC 5280, will all be
	 * refused: better known now than from their owners. */
	for (size_t i = 0; i < reader->store->count; i++) {
		if (reader->store->authorities[i].is_root)
			continue;
		reader->number = i + 1;
		if (trust_paths_check(&paths, reader->store->authorities[i].certificate, &err) ==
			-1)
			trust_reader_warn(reader, "certificate: %s", err.text);
	}
	reader->number = 0;
out:
	trust_paths_clear(&paths);
}

static void check_store(struct trust_reader *reader)
{
	size_t root_count = 0;

	for (size_t i = 0; i < reader->store->count; i++)
		if (reader->store->authorities[i].is_root)
			root_count++;
	if (root_count == 0)
		trust_reader_fault(
			reader, "no root authority, so that no certificate could be trusted");
	else
		check_paths(reader);
}

static void read_text(struct trust_reader *reader, struct span json)
{
	struct error err;
	json_t *document = trust_document_parse(json, &err);
	json_t *list = trust_document_list(document);

	if (document == NULL) {
		trust_reader_fault(reader, "%s", err.text);
		return;
	}
	warn_of_configuration(reader, trust_document_configuration(document));
	if (list == NULL)
		trust_reader_fault(reader, "certificateAuthorities: missing");
	else
		read_authorities(reader, list);
	if (reader->fault_count == 0)
		check_store(reader);
	json_decref(document);
}

struct trust_store *trust_store_read(struct span json, const char *name, const char *base_dir,
	trust_store_report *report, void *context)
{
	struct trust_reader reader = {
		.name = name, .base_dir = base_dir, .report = report, .context = context};

	reader.store = calloc(1, sizeof(*reader.store));
	if (reader.store != NULL)
		reader.store->authorities =
			calloc(AUTHORITY_MAX, sizeof(*reader.store->authorities));
	if (reader.store == NULL || reader.store->authorities == NULL)
		trust_reader_fault(&reader, "out of memory");
	else
		read_text(&reader, json);
	ERR_clear_error();
	if (reader.fault_count == 0)
		return reader.store;
	trust_store_free(reader.store);
	return NULL;
}

void trust_store_free(struct trust_store *store)
{
	if (store == NULL)
		return;
	for (size_t i = 0; i < store->count; i++)
		trust_entry_clear(&store->authorities[i]);
	free(store->authorities);
	free(store);
}

int trust_store_find(const struct trust_store *store, X509 *certificate)
{
	for (size_t i = 0; i < store->count; i++)
		if (authority_is_same(store->authorities[i].certificate, certificate))
			return (int)i;
	return -1;
}

struct trust_store *trust_store_load(
	const struct config_file *file, trust_store_report *report, void *context)
{
	struct trust_store *store = NULL;
	char *content = NULL;
	char *base_dir = strdup(file->path);
	struct error err;
	size_t len;

	if (base_dir != NULL)
		content = config_file_read(file, &len, &err);
	else
		error_sys(&err, "reading %s", file->path);
	if (content != NULL) {
		store = trust_store_read(
			span_of(content, len), file->path, dirname(base_dir), report, context);
	} else {
		report(context, err.text);
	}
	free(content);
	free(base_dir);
	return store;
}

int trust_store_config_check(const struct config_file *file, config_report *report, void *context)
{
	struct trust_store *store = trust_store_load(file, report, context);
	bool is_good = store != NULL;

	trust_store_free(store);
	return is_good ? 0 : -1;
}
