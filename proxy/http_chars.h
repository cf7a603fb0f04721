/*
 * What a byte may be in HTTP, one look-up per byte. Private to proxy/http*.c and the query reader,
 * who share the grammar of RFC 9110 5.6.2 and RFC 3986.
 */
#ifndef PROXY_HTTP_CHARS_H
#define PROXY_HTTP_CHARS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/octets.h"
#include "config/span.h"

enum {
	HTTP_CHAR_TOKEN = 0x01, /* tchar */
	HTTP_CHAR_VALUE = 0x02, /* in a field value or reason: HTAB, SP, visible, obs-text */
	HTTP_CHAR_PATH = 0x04,  /* pchar and "/"; "%" too, its digits are checked apart */
	HTTP_CHAR_QUERY = 0x08, /* the same and "?" */
	HTTP_CHAR_HOST = 0x10,  /* in a host name as DNS has them, and "_" */
	HTTP_CHAR_DIGIT = 0x20,
	HTTP_CHAR_HEX = 0x40,
	HTTP_CHAR_SPACE = 0x80, /* SP and HTAB */
};

extern const uint8_t http_chars[256];

static inline bool http_char_is(uint8_t byte, unsigned int classes)
{
	return (http_chars[byte] & classes) != 0;
}

/* How many bytes at the start may stand in a value; HTTP_CHAR_VALUE, eight at a time. */
static inline size_t http_value_length(struct span bytes)
{
	size_t at = 0;

	while (at < bytes.len) {
		uint64_t octets;

		while (bytes.len - at >= sizeof(octets)) {
			octets = octets_load(bytes.data + at);
			if ((octets_below(octets, ' ') | octets_equal(octets, 0x7f)) != 0)
				break;
			at += sizeof(octets);
		}
		/* The last few, or those among which there is a tab, as a rule the value's end. */
		for (size_t i = 0; i < sizeof(octets) && at < bytes.len; i++, at++)
			if (!http_char_is(bytes.data[at], HTTP_CHAR_VALUE))
				return at;
	}
	return at;
}

/* Whether all bytes are of the class. */
static inline bool http_chars_are(struct span bytes, unsigned int classes)
{
	for (size_t i = 0; i < bytes.len; i++)
		if (!http_char_is(bytes.data[i], classes))
			return false;
	return true;
}

/* The value of a hexadecimal digit, for bytes of HTTP_CHAR_HEX alone. */
static inline unsigned int http_hex_value(uint8_t byte)
{
	return byte <= '9' ? byte - (unsigned int)'0' : (byte | 0x20u) - 'a' + 10u;
}

/* The byte that the "%" at the start of text stands for with its two digits; -1 where they are not
 * there (RFC 3986 2.1). */
static inline int http_escape_value(struct span text)
{
	if (text.len < 3 || !http_char_is(text.data[1], HTTP_CHAR_HEX) ||
		!http_char_is(text.data[2], HTTP_CHAR_HEX))
		return -1;
	return (int)(http_hex_value(text.data[1]) << 4 | http_hex_value(text.data[2]));
}

/* Digits alone, no sign, at least one, at most limit. */
static inline bool http_number_parse(struct span text, uint64_t limit, uint64_t *number)
{
	*number = 0;
	for (size_t i = 0; i < text.len; i++) {
		uint64_t digit = (uint64_t)text.data[i] - '0';

		if (!http_char_is(text.data[i], HTTP_CHAR_DIGIT) || digit > limit ||
			*number > (limit - digit) / 10)
			return false;
		*number = *number * 10 + digit;
	}
	return text.len > 0;
}

#endif
