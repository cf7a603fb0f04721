#include "auth/revocation_ldap.h"

#include <string.h>

#include "config/base64.h"

enum { NAMES_SIZE = 16384 };

/* Base64, and room for the entry's name and that of the attribute. */
uint64_t revocation_ldap_text_size(uint64_t value_size)
{
	return value_size / 3 * 4 + 4 + NAMES_SIZE;
}

int revocation_ldap_decode(uint8_t *text, size_t len, struct span *value, struct error *err)
{
	size_t decoded;

	if (len == 0)
		return error_set(err, "the directory has no such entry, or does not show it");
	for (size_t at = 0; at < len;) {
		const uint8_t *line_end = memchr(text + at, '\n', len - at);
		size_t line_len = line_end == NULL ? len - at : (size_t)(line_end - text) - at;
		uint8_t *colon = memchr(text + at, ':', line_len);

		/* "\tname:: base64"; the line with the entry's own name has no tab. */
		if (text[at] == '\t' && colon != NULL &&
			(size_t)(colon - (text + at)) + 3 < line_len && colon[1] == ':' &&
			colon[2] == ' ') {
			uint8_t *from = colon + 3;
			size_t encoded = line_len - (size_t)(from - (text + at));

			/* In its own place. */
			if (base64_decode(span_of(from, encoded), from, &decoded) == -1 ||
				decoded == 0)
				return error_set(err, "the directory's answer cannot be decoded");
			*value = span_of(from, decoded);
			return 0;
		}
		at += line_len + 1;
	}
	return error_set(err, "the directory's entry has no such attribute; write "
			      "ldap://HOST/NAME?certificateRevocationList;binary");
}
