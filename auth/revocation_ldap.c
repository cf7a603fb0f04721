#include "auth/revocation_ldap.h"

#include <string.h>

enum { NAMES_SIZE = 16384, NO_DIGIT = 0xff };

/* Base64, and room for the entry's name and that of the attribute. */
uint64_t revocation_ldap_text_size(uint64_t value_size)
{
	return value_size / 3 * 4 + 4 + NAMES_SIZE;
}

static uint8_t digit_of(uint8_t c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? NO_DIGIT : (uint8_t)(at - digits);
}

/* In place, which works because what comes out is never ahead of what goes in. */
static int base64_decode(uint8_t *text, size_t len, size_t *decoded)
{
	uint32_t bits = 0;
	size_t out = 0, padding = 0;

	if (len == 0 || len % 4 != 0)
		return -1;
	while (padding < 2 && text[len - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < len - padding; i++) {
		uint8_t digit = digit_of(text[i]);

		if (digit == NO_DIGIT)
			return -1;
		bits = bits << 6 | digit;
		if (i % 4 == 0)
			continue;
		text[out++] = (uint8_t)(bits >> (6 - i % 4 * 2));
	}
	*decoded = out;
	return 0;
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

			if (base64_decode(
				    from, line_len - (size_t)(from - (text + at)), &decoded) == -1)
				return error_set(err, "the directory's answer cannot be decoded");
			*value = span_of(from, decoded);
			return 0;
		}
		at += line_len + 1;
	}
	return error_set(err, "the directory's entry has no such attribute; write "
			      "ldap://HOST/NAME?certificateRevocationList;binary");
}
