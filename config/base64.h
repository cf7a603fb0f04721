/*
 * Base64 (RFC 4648 section 4), read, and its form for URLs (section 5), written. Who reads it from a stream, or in
 * another dress (a percent-encoded query, opaque data in XML), shares the alphabet. To write the plain form
 * there is OpenSSL's EVP_EncodeBlock(). For every room and every process.
 */
#ifndef CONFIG_BASE64_H
#define CONFIG_BASE64_H

#include "config/span.h"

/* What a character of the alphabet stands for, 0 to 63; -1 for all others. */
static inline int base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Padding is required; blanks and line ends are passed over. bytes has room for text.len / 4 * 3 + 3, and may be
 * where the text is: what comes out is never ahead of what goes in. 0, or -1. */
int base64_decode(struct span text, uint8_t *bytes, size_t *len);

/* With '-' and '_', without padding or a NUL (RFC 7515 2). text has room for (octets.len + 2) / 3 * 4 + 1: OpenSSL
 * writes what is then taken away. Its length, or 0 where size is less. */
size_t base64url_write(struct span octets, char *text, size_t size);

#endif
