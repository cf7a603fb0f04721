/*
 * The trust store's JSON: a faulty one is refused with a report of one printable line each; one that
 * is taken has at least one root, finds all that is in it, and is the same when it is written and read
 * again. An import of it adds each certificate once, and a second one changes nothing.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/trust_document.h"
#include "auth/trust_store.h"
#include "auth/trust_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int is_so)
{
	if (!is_so)
		abort();
}

static void on_report(void *context, const char *text)
{
	size_t *fault_count = context;

	require(text[0] != '\0');
	for (const char *c = text; *c != '\0'; c++)
		require((unsigned char)*c >= 0x20 && *c != 0x7f);
	if (strncmp(text, "warning: ", 9) != 0)
		(*fault_count)++;
}

static void write_and_read_again(const struct trust_store *store)
{
	json_t *list = json_array();
	uint64_t withdrawn[AUTHORITY_MAX / 64];
	struct trust_store *again;
	size_t fault_count = 0;
	json_t *document;
	char *text;

	for (size_t i = 0; i < store->count; i++)
		json_array_append_new(
			list, trust_write_authority(&store->authorities[i], TRUST_FORMAT_OWN));
	document = trust_write_document(list, TRUST_FORMAT_OWN);
	text = json_dumps(document, 0);
	require(text != NULL);
	again = trust_store_read(
		span_of_string(text), "trust.json", "/nonexistent", on_report, &fault_count);
	require(again != NULL && again->count == store->count);
	trust_store_compare(store, again, withdrawn);
	for (size_t i = 0; i < AUTHORITY_MAX / 64; i++)
		require(withdrawn[i] == 0);
	trust_store_free(again);
	free(text);
	json_decref(document);
}

static void check_terms(const struct authority *authority)
{
	require(authority->crls[0].url != NULL && authority->crls[0].delta_url != NULL);
	for (size_t i = 0; i < authority->crl_count; i++)
		require(authority->crls[i].url[0] != '\0' && authority->crls[i].delta_url != NULL);
	require(authority->rule_count <= AUTHORITY_RULE_MAX);
	for (size_t i = 0; i < authority->rule_count; i++)
		require(authority->rules[i].domain_count + authority->rules[i].mailbox_count > 0);
	trust_rules_allow(authority, UINT32_MAX, "alice@example.com");
	require(authority->rule_count == 0 || !trust_rules_allow(authority, 0, "a@example.com"));
}

static int import(json_t *list, json_t *document)
{
	size_t fault_count = 0;

	return trust_document_import(list, "/nonexistent", document, "import.json", "/nonexistent",
		false, on_report, &fault_count);
}

static void import_twice(struct span json)
{
	json_t *document = trust_document_parse(json, NULL);
	json_t *list = json_array();
	json_t *again;

	if (document != NULL && import(list, document) == 0) {
		for (size_t i = 0; i < json_array_size(list); i++) {
			X509 *certificate = trust_document_certificate(
				json_array_get(list, i), "/nonexistent", NULL);

			require(certificate != NULL);
			X509_free(certificate);
		}
		again = json_deep_copy(list);
		require(import(again, document) == 0 &&
			json_array_size(again) == json_array_size(list));
		json_decref(again);
	}
	json_decref(list);
	json_decref(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t fault_count = 0;
	size_t root_count = 0;
	struct trust_store *store = trust_store_read(
		span_of(data, size), "trust.json", "/nonexistent", on_report, &fault_count);

	require((store == NULL) == (fault_count > 0));
	for (size_t i = 0; store != NULL && i < store->count; i++) {
		const struct authority *authority = &store->authorities[i];
		int found = trust_store_find(store, authority->certificate);

		require(found >= 0 && (size_t)found <= i);
		require(strcmp(store->authorities[found].crls[0].url, authority->crls[0].url) == 0);
		require(authority->key_id[0] != '\0');
		check_terms(authority);
		root_count += authority->is_root;
	}
	require(store == NULL || root_count > 0);
	if (store != NULL)
		write_and_read_again(store);
	trust_store_free(store);
	import_twice(span_of(data, size));
	return 0;
}
