/* Where a head ends, and the field lines that requests and answers share: RFC 9112 2 to 6. */
#include "proxy/http.h"

#include "proxy/http_chars.h"
#include "proxy/http_parse.h"

/* A request starts with a method and an answer with "HTTP": a token either way. One empty line may
 * stand before it. */
static bool head_start_is_possible(const uint8_t *bytes, size_t len)
{
	if (len == 0 || http_char_is(bytes[0], HTTP_CHAR_TOKEN))
		return true;
	if (bytes[0] != '\r' || (len > 1 && bytes[1] != '\n'))
		return false;
	return len < 3 || http_char_is(bytes[2], HTTP_CHAR_TOKEN);
}

enum http_result http_head_find_end(const char *data, size_t len, size_t *scanned, size_t *head_len)
{
	const uint8_t *bytes = (const uint8_t *)data;
	enum http_result result = HTTP_MORE;
	size_t from = *scanned, at = *scanned;

	if (len <= from)
		return HTTP_MORE;
	if (from < 3 && !head_start_is_possible(bytes, len))
		return HTTP_REFUSED;
	while (result == HTTP_MORE && at < len) {
		const uint8_t *feed = memchr(bytes + at, '\n', len - at);

		if (feed == NULL) {
			at = len;
			break;
		}
		at = (size_t)(feed - bytes) + 1;
		if (at < 2 || feed[-1] != '\r')
			return HTTP_REFUSED;
		/* at 2 is the empty line before a request line. */
		if (at > 2 && feed[-2] == '\n')
			result = HTTP_DONE;
	}
	/* One look for all new bytes of the head; the body behind it may hold NULs. */
	if (memchr(bytes + from, '\0', at - from) != NULL)
		return HTTP_REFUSED;
	*scanned = at;
	*head_len = at;
	return result;
}

struct span http_take(struct http_cursor *cursor, unsigned int classes)
{
	const uint8_t *start = cursor->at;

	cursor->at += http_class_length(span_of(start, (size_t)(cursor->end - start)), classes);
	return span_of(start, (size_t)(cursor->at - start));
}

static bool take_line_end(struct http_cursor *cursor)
{
	if (cursor->end - cursor->at < 2 || cursor->at[0] != '\r' || cursor->at[1] != '\n')
		return false;
	cursor->at += 2;
	return true;
}

struct span http_take_value(struct http_cursor *cursor)
{
	const uint8_t *start = cursor->at;

	cursor->at += http_value_length(span_of(start, (size_t)(cursor->end - start)));
	return span_of(start, (size_t)(cursor->at - start));
}

enum refusal http_take_version(struct http_cursor *cursor, unsigned int *minor_version)
{
	const uint8_t *digits;

	/* RFC 9112 2.3: the name is case-sensitive; one digit, a dot, one digit. */
	if (!http_take_text(cursor, "HTTP/") || cursor->end - cursor->at < 4)
		return REFUSAL_HTTP_MALFORMED;
	digits = cursor->at;
	if (!http_char_is(digits[0], HTTP_CHAR_DIGIT) || digits[1] != '.' ||
		!http_char_is(digits[2], HTTP_CHAR_DIGIT) ||
		http_char_is(digits[3], HTTP_CHAR_TOKEN))
		return REFUSAL_HTTP_MALFORMED;
	if (digits[0] != '1' || digits[2] > '1')
		return REFUSAL_HTTP_VERSION;
	*minor_version = digits[2] - (unsigned int)'0';
	cursor->at += 3;
	return REFUSAL_NONE;
}

/* The rest up to the first ":", or all of it. */
static struct span before_colon(const struct http_cursor *cursor)
{
	const uint8_t *at = cursor->at;

	for (; cursor->end - at >= 8; at += 8) {
		uint64_t colons = octets_equal(octets_load(at), ':');

		if (colons != 0)
			return span_of(
				cursor->at, (size_t)(at - cursor->at) + octets_first(colons));
	}
	while (at < cursor->end && *at != ':')
		at++;
	return span_of(cursor->at, (size_t)(at - cursor->at));
}

/* field-line = field-name ":" OWS field-value OWS CRLF; a name starts the line, so obs-fold and
 * white space before the colon do not fit. */
static bool field_take(struct http_cursor *cursor, struct http_head *head)
{
	struct span name = before_colon(cursor), value;

	cursor->at += name.len;
	if (cursor->at == cursor->end)
		return false;
	cursor->at++;
	while (cursor->at < cursor->end && http_char_is(*cursor->at, HTTP_CHAR_SPACE))
		cursor->at++;
	value = http_take_value(cursor);
	while (value.len > 0 && http_char_is(value.data[value.len - 1], HTTP_CHAR_SPACE))
		value.len--;
	/* A name that has a number is a token. */
	if (http_field_add(head, name, value) == HTTP_NAME_OTHER &&
		(name.len == 0 || !http_chars_are(name, HTTP_CHAR_TOKEN)))
		return false;
	return take_line_end(cursor);
}

enum refusal http_take_fields(struct http_cursor *cursor, struct http_head *head)
{
	while (!take_line_end(cursor)) {
		if (head->field_count == HTTP_FIELD_MAX)
			return REFUSAL_HEAD_TOO_LARGE;
		if (!field_take(cursor, head))
			return REFUSAL_HTTP_MALFORMED;
	}
	return cursor->at == cursor->end ? REFUSAL_NONE : REFUSAL_HTTP_MALFORMED;
}

enum refusal http_framing_read(struct http_head *head)
{
	struct span length, coding;
	size_t lengths = http_field_get(head, HTTP_NAME_CONTENT_LENGTH, &length);
	size_t codings = http_field_get(head, HTTP_NAME_TRANSFER_ENCODING, &coding);

	/* Also two equal lengths: RFC 9112 6.3 allows to take them for one, nobody sends them. */
	if (lengths + codings > 1)
		return REFUSAL_HTTP_FRAMING;
	if (lengths == 1) {
		if (!http_number_parse(length, INT64_MAX, &head->content_length))
			return REFUSAL_HTTP_FRAMING;
		head->framing = HTTP_LENGTH;
	}
	if (codings == 1) {
		if (head->minor_version == 0 || !span_equal_nocase(coding, "chunked"))
			return REFUSAL_HTTP_FRAMING;
		head->framing = HTTP_CHUNKED;
	}
	return REFUSAL_NONE;
}
