/* PKCS#11 URIs: what is read stays within its fields, which end. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "config/pkcs11_uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t max)
{
	assert(memchr(text, '\0', max + 1) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct pkcs11_uri uri;
	struct error err;

	assert(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (pkcs11_uri_read(text, &uri, &err) == 0) {
		check_text(uri.token, PKCS11_LABEL_MAX);
		check_text(uri.manufacturer, PKCS11_LABEL_MAX);
		check_text(uri.model, PKCS11_NUMBER_MAX);
		check_text(uri.serial, PKCS11_NUMBER_MAX);
		check_text(uri.object, PKCS11_OBJECT_MAX);
		assert(uri.id_len <= PKCS11_OBJECT_MAX);
	} else {
		assert(memchr(err.text, '\0', sizeof(err.text)) != NULL && err.text[0] != '\0');
	}
	free(text);
	return 0;
}
