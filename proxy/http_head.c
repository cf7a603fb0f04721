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

	while (cursor->at < cursor->end && http_char_is(*cursor->at, classes))
		cursor->at++;
	return span_of(start, (size_t)(cursor->at - start));
}

static bool take_byte(struct http_cursor *cursor, uint8_t byte)
{
	if (cursor->at == cursor->end || *cursor->at != byte)
		return false;
	cursor->at++;
	return true;
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

bool http_take_text(struct http_cursor *cursor, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(cursor->end - cursor->at) < len || memcmp(cursor->at, text, len) != 0)
		return false;
	cursor->at += len;
	return true;
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

static void special_note(struct http_specials *specials, const struct http_field *field)
{
	/* All have different lengths, so a length picks the one name to compare with. */
	static const struct {
		const char *name;
		enum http_special special;
	} by_length[] = {
		[4] = {"Host", HTTP_SPECIAL_HOST},
		[6] = {"Expect", HTTP_SPECIAL_EXPECT},
		[10] = {"Connection", HTTP_SPECIAL_CONNECTION},
		[14] = {"Content-Length", HTTP_SPECIAL_CONTENT_LENGTH},
		[17] = {"Transfer-Encoding", HTTP_SPECIAL_TRANSFER_ENCODING},
	};
	enum http_special special;

	if (field->name.len >= sizeof(by_length) / sizeof(by_length[0]) ||
		by_length[field->name.len].name == NULL ||
		(field->name.data[0] | 0x20) != (by_length[field->name.len].name[0] | 0x20) ||
		!span_equal_nocase(field->name, by_length[field->name.len].name))
		return;
	special = by_length[field->name.len].special;
	if (specials->counts[special]++ == 0)
		specials->values[special] = field->value;
}

/* field-line = field-name ":" OWS field-value OWS CRLF; a name starts the line, so obs-fold and
 * white space before the colon do not fit. */
static bool field_take(struct http_cursor *cursor, struct http_field *field)
{
	field->name = http_take(cursor, HTTP_CHAR_TOKEN);
	if (field->name.len == 0 || !take_byte(cursor, ':'))
		return false;
	while (cursor->at < cursor->end && http_char_is(*cursor->at, HTTP_CHAR_SPACE))
		cursor->at++;
	field->value = http_take_value(cursor);
	while (field->value.len > 0 &&
		http_char_is(field->value.data[field->value.len - 1], HTTP_CHAR_SPACE))
		field->value.len--;
	return take_line_end(cursor);
}

enum refusal http_take_fields(
	struct http_cursor *cursor, struct http_head *head, struct http_specials *specials)
{
	while (!take_line_end(cursor)) {
		if (head->field_count == HTTP_FIELD_MAX)
			return REFUSAL_HEAD_TOO_LARGE;
		if (!field_take(cursor, &head->fields[head->field_count]))
			return REFUSAL_HTTP_MALFORMED;
		special_note(specials, &head->fields[head->field_count]);
		head->field_count++;
	}
	return cursor->at == cursor->end ? REFUSAL_NONE : REFUSAL_HTTP_MALFORMED;
}

enum refusal http_framing_read(struct http_head *head, const struct http_specials *specials)
{
	unsigned int lengths = specials->counts[HTTP_SPECIAL_CONTENT_LENGTH];
	unsigned int codings = specials->counts[HTTP_SPECIAL_TRANSFER_ENCODING];

	/* Also two equal lengths: RFC 9112 6.3 allows to take them for one, nobody sends them. */
	if (lengths + codings > 1)
		return REFUSAL_HTTP_FRAMING;
	if (lengths == 1) {
		if (!http_number_parse(specials->values[HTTP_SPECIAL_CONTENT_LENGTH], INT64_MAX,
			    &head->content_length))
			return REFUSAL_HTTP_FRAMING;
		head->framing = HTTP_LENGTH;
	}
	if (codings == 1) {
		if (head->minor_version == 0 ||
			!span_equal_nocase(
				specials->values[HTTP_SPECIAL_TRANSFER_ENCODING], "chunked"))
			return REFUSAL_HTTP_FRAMING;
		head->framing = HTTP_CHUNKED;
	}
	return REFUSAL_NONE;
}
