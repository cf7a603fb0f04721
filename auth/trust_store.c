#include "auth/trust_store.h"

#include <jansson.h>
#include <libgen.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <string.h>

#include "auth/authority.h"
#include "auth/trust_entry.h"
#include "auth/trust_reader.h"

enum { JSON_SIZE_MAX = 16 << 20 }; /* AUTHORITY_MAX of the largest certificates, as base64 */

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

/* One certificateBasedAuthConfiguration. */
static void read_configuration(struct trust_reader *reader, json_t *object)
{
	json_t *list = NULL;
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		if (strcmp(name, "certificateAuthorities") == 0)
			list = value;
		else if (strcmp(name, "id") != 0)
			trust_reader_warn_unknown(reader, name);
	}
	read_authorities(reader, list);
}

/* A configuration, Graph's envelope around one, or a bare list of authorities. */
static void read_document(struct trust_reader *reader, json_t *root)
{
	json_t *value = json_object_get(root, "value");

	if (json_object_get(root, "certificateAuthorities") != NULL)
		read_configuration(reader, root);
	else if (json_is_array(root))
		read_authorities(reader, root);
	else if (json_is_array(value) && json_array_size(value) == 1 &&
		 json_object_get(json_array_get(value, 0), "certificateAuthorities") != NULL)
		read_configuration(reader, json_array_get(value, 0));
	else if (json_is_array(value))
		read_authorities(reader, value);
	else
		trust_reader_fault(reader, "certificateAuthorities: missing");
}

static int make_paths(
	const struct trust_store *store, X509_STORE *roots, STACK_OF(X509) * intermediates)
{
	for (size_t i = 0; i < store->count; i++) {
		X509 *certificate = store->authorities[i].certificate;

		if (store->authorities[i].is_root ? X509_STORE_add_cert(roots, certificate) != 1
						  : sk_X509_push(intermediates, certificate) <= 0)
			return -1;
	}
	return X509_STORE_set_flags(roots, X509_V_FLAG_X509_STRICT | X509_V_FLAG_NO_CHECK_TIME) == 1
		       ? 0
		       : -1;
}

/* Phones of an intermediate without a path, or with one that breaks RFC 5280, will all be refused:
 * better known now than from their owners. */
static void check_path(struct trust_reader *reader, X509_STORE *roots,
	STACK_OF(X509) * intermediates, X509 *certificate)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();

	if (ctx == NULL || X509_STORE_CTX_init(ctx, roots, certificate, intermediates) != 1)
		trust_reader_fault(reader, "certificate: out of memory");
	else if (X509_verify_cert(ctx) != 1)
		trust_reader_warn(reader, "certificate: no valid path to a root: %s (depth %d)",
			X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)),
			X509_STORE_CTX_get_error_depth(ctx));
	X509_STORE_CTX_free(ctx);
}

static void check_paths(struct trust_reader *reader)
{
	X509_STORE *roots = X509_STORE_new();
	STACK_OF(X509) *intermediates = sk_X509_new_null();

	if (roots == NULL || intermediates == NULL ||
		make_paths(reader->store, roots, intermediates) == -1) {
		trust_reader_fault(reader, "out of memory");
		goto out;
	}
	for (size_t i = 0; i < reader->store->count; i++) {
		if (reader->store->authorities[i].is_root)
			continue;
		reader->number = i + 1;
		check_path(reader, roots, intermediates, reader->store->authorities[i].certificate);
	}
	reader->number = 0;
out:
	sk_X509_free(intermediates);
	X509_STORE_free(roots);
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
	json_error_t error;
	json_t *root;

	if (json.len > JSON_SIZE_MAX) {
		trust_reader_fault(reader, "larger than %d MiB", JSON_SIZE_MAX >> 20);
		return;
	}
	root = json_loadb((const char *)json.data, json.len, JSON_REJECT_DUPLICATES, &error);
	if (root == NULL) {
		trust_reader_fault(reader, "line %d: %s", error.line, error.text);
		return;
	}
	read_document(reader, root);
	reader->number = 0;
	if (reader->fault_count == 0)
		check_store(reader);
	json_decref(root);
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
