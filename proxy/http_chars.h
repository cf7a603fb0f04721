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

/* How many bytes at the start are of the classes; eight at a time while they are of one of them together. */
static inline size_t http_class_length(struct span bytes, unsigned int classes)
{
	size_t at = 0;

	for (; bytes.len - at >= 8; at += 8) {
		const uint8_t *b = bytes.data + at;
		unsigned int common = http_chars[b[0]] & http_chars[b[1]] & http_chars[b[2]] &
				      http_chars[b[3]] & http_chars[b[4]] & http_chars[b[5]] &
				      http_chars[b[6]] & http_chars[b[7]];

		if ((common & classes) == 0)
			break;
	}
	while (at < bytes.len && http_char_is(bytes.data[at], classes))
		at++;
	return at;
}

/* The same for HTTP_CHAR_VALUE, of which nearly all bytes are. */
static inline size_t http_value_length(struct span bytes)
{
	size_t at = 0;

	while (bytes.len - at >= 8) {
		uint64_t octets = octets_load(bytes.data + at);
		uint64_t told = octets_below(octets, ' ') | octets_equal(octets, 0x7f);

		if (told == 0) {
			at += 8;
			continue;
		}
		at += octets_first(told);
		if (!http_char_is(bytes.data[at], HTTP_CHAR_VALUE))
			return at;
		at++; /* a tab */
	}
	while (at < bytes.len && http_char_is(bytes.data[at], HTTP_CHAR_VALUE))
		at++;
	return at;
}

/* Whether all bytes are of the class. */
static inline bool http_chars_are(struct span bytes, unsigned int classes)
{
	return http_class_length(bytes, classes) == bytes.len;
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
