#include "proxy/answer_field.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proxy/eas_command.h"
#include "proxy/eas_version.h"
#include "proxy/http_chars.h"

static struct span trim(struct span text)
{
	while (text.len > 0 && http_char_is(text.data[0], HTTP_CHAR_SPACE))
		text = span_of(text.data + 1, text.len - 1);
	while (text.len > 0 && http_char_is(text.data[text.len - 1], HTTP_CHAR_SPACE))
		text.len--;
	return text;
}

/* Takes what stands before the next separator off rest. */
static struct span take_part(struct span *rest, char separator)
{
	const uint8_t *end = rest->len > 0 ? memchr(rest->data, separator, rest->len) : NULL;
	size_t len = end != NULL ? (size_t)(end - rest->data) : rest->len;
	struct span part = span_of(rest->data, len);

	*rest = end != NULL ? span_of(end + 1, rest->len - len - 1) : span_of(NULL, 0);
	return trim(part);
}

/* "a,b": false where it does not fit. */
static bool append(char *text, size_t size, const char *separator, struct span part)
{
	size_t len = strlen(text);
	int added = snprintf(
		text + len, size - len, "%s%.*s", len > 0 ? separator : "", SPAN_PRINT(part));

	return added >= 0 && (size_t)added < size - len;
}

bool answer_field_versions(
	struct span list, unsigned int min, unsigned int max, char *text, size_t size)
{
	text[0] = '\0';
	while (list.len > 0) {
		struct span part = take_part(&list, ',');
		unsigned int version = eas_version_of(part);

		if (version != 0 && version >= min && version <= max &&
			!append(text, size, ",", part))
			return false;
	}
	return text[0] != '\0';
}

bool answer_field_commands(struct span list, uint32_t closed, char *text, size_t size)
{
	text[0] = '\0';
	while (list.len > 0) {
		struct span part = take_part(&list, ',');
		enum eas_command command = eas_command_find(part);

		if (command != EAS_NO_COMMAND && (closed >> command & 1) == 0 &&
			!append(text, size, ",", part))
			return false;
	}
	return text[0] != '\0';
}

static bool is_ours_to_say(struct span attribute)
{
	struct span rest = attribute;
	struct span name = take_part(&rest, '=');

	return span_equal_nocase(name, "domain") || span_equal_nocase(name, "path") ||
	       span_equal_nocase(name, "secure") || span_equal_nocase(name, "httponly");
}

bool answer_field_cookie(struct span cookie, char *text, size_t size)
{
	struct span pair = take_part(&cookie, ';');

	text[0] = '\0';
	if (pair.len == 0 || memchr(pair.data, '=', pair.len) == NULL ||
		!append(text, size, "", pair))
		return false;
	while (cookie.len > 0) {
		struct span attribute = take_part(&cookie, ';');

		if (attribute.len > 0 && !is_ours_to_say(attribute) &&
			!append(text, size, "; ", attribute))
			return false;
	}
	return append(text, size, "; ", span_of_string("Path=/; Secure; HttpOnly"));
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", RFC 9110 5.6.7. */
static bool is_date(struct span value)
{
	static const uint8_t form[] = "Aaa, 00 Aaa 0000 00:00:00 GMT";

	if (value.len != sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		uint8_t c = value.data[i];

		switch (form[i]) {
		case '0':
			if (!http_char_is(c, HTTP_CHAR_DIGIT))
				return false;
			break;
		case 'A':
		case 'a':
			if (!isalpha(c))
				return false;
			break;
		default:
			if (c != form[i])
				return false;
		}
	}
	return true;
}

bool answer_field_is_retry(struct span value)
{
	enum { DAY_S = 24 * 60 * 60 };
	uint64_t seconds;

	return http_number_parse(value, DAY_S, &seconds) || is_date(value);
}

static bool is_of_a_name(uint8_t c)
{
	return http_char_is(c, HTTP_CHAR_HOST) && c != '.';
}

/* How many bytes at the start are certainly not this letter in either case; eight at a time. */
static size_t passed_over(struct span value, uint8_t letter)
{
	size_t at = 0;

	while (value.len - at >= sizeof(uint64_t) &&
		octets_equal(octets_load(value.data + at) | octets_each(0x20), letter) == 0)
		at += sizeof(uint64_t);
	return at;
}

static bool has_word(struct span value, const char *word)
{
	size_t len = strlen(word);
	int first = word[0] | 0x20; /* a letter in lower case; digits stay as they are */

	for (size_t at = 0; at + len <= value.len; at++) {
		const uint8_t *found;

		at += passed_over(span_of(value.data + at, value.len - at), (uint8_t)first);
		if (at + len > value.len)
			break;
		found = value.data + at;
		if ((found[0] | 0x20) != first ||
			strncasecmp((const char *)found, word, len) != 0 ||
			(at > 0 && is_of_a_name(found[-1])) ||
			(at + len < value.len && is_of_a_name(found[len])))
			continue;
		return true;
	}
	return false;
}

bool answer_field_names_endpoint(struct span value, const struct config_upstream *upstream)
{
	for (size_t i = 0; i < upstream->endpoint_count; i++)
		if (has_word(value, upstream->endpoints[i].host))
			return true;
	return false;
}
