/*
 * The trust store's JSON: a faulty one is refused with a report of one printable line each; one that
 * is taken has at least one root and finds all that is in it.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/trust_store.h"

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
		root_count += authority->is_root;
	}
	require(store == NULL || root_count > 0);
	trust_store_free(store);
	return 0;
}
