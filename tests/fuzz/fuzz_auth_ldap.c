/*
 * A directory's answer as libcurl writes it: what is decoded lies within the text and is no longer
 * than base64 makes it.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/revocation_ldap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int is_so)
{
	if (!is_so)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *text = malloc(size == 0 ? 1 : size);
	struct span value;
	struct error err;

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	if (revocation_ldap_decode(text, size, &value, &err) == 0) {
		require(value.data >= text && value.data + value.len <= text + size);
		require(value.len <= size / 4 * 3);
		require(revocation_ldap_text_size(value.len) >= value.len);
	}
	free(text);
	return 0;
}
