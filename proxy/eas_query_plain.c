/*
 * The plain query: Cmd=Sync&User=…&DeviceId=…&DeviceType=… (MS-ASHTTP 2.2.1.1.1.2).
 *
 * Servers take queries apart in different ways: some let a "[" or a leading space in a name count
 * for the bare name, some end names at a NUL, some split at ";", some take the first and some the
 * last of two. A query that two of them could read differently is refused.
 */
#include "proxy/eas_query.h"

#include "proxy/eas_command.h"
#include "proxy/http_chars.h"

enum { NAME_MAX_LEN = 64 };

enum parameter {
	PARAMETER_CMD,
	PARAMETER_USER,
	PARAMETER_DEVICE_ID,
	PARAMETER_DEVICE_TYPE,
	PARAMETER_OTHER
};

/* Takes what stands before the separator, and the separator. */
static struct span part_take(struct span *rest, char separator)
{
	const uint8_t *end = rest->len == 0 ? NULL : memchr(rest->data, separator, rest->len);
	struct span part = *rest;

	if (end == NULL) {
		rest->data += rest->len;
		rest->len = 0;
	} else {
		part.len = (size_t)(end - part.data);
		rest->data = end + 1;
		rest->len -= part.len + 1;
	}
	return part;
}

/* No escapes, and nothing to refuse. */
static bool is_as_it_is(struct span encoded)
{
	return encoded.len == 0 || (http_value_length(encoded) == encoded.len &&
					   memchr(encoded.data, '%', encoded.len) == NULL &&
					   memchr(encoded.data, '\t', encoded.len) == NULL);
}

/* Decodes into text[capacity]; NULL: only checks. Refuses broken escapes, control characters
 * (decoded or not) and what does not fit. "+" is no space here: a real one stands in addresses. */
static bool percent_decode(struct span encoded, char *text, size_t capacity, size_t *len)
{
	if (is_as_it_is(encoded) && (text == NULL || encoded.len <= capacity)) {
		*len = encoded.len;
		if (text != NULL && encoded.len > 0)
			memcpy(text, encoded.data, encoded.len);
		return true;
	}
	*len = 0;
	for (size_t i = 0; i < encoded.len; i++) {
		int byte = encoded.data[i];

		if (byte == '%') {
			byte = http_escape_value(span_of(encoded.data + i, encoded.len - i));
			i += 2;
		}
		if (byte < ' ' || byte == 0x7f || (text != NULL && *len == capacity))
			return false;
		if (text != NULL)
			text[*len] = (char)byte;
		++*len;
	}
	return true;
}

static enum parameter parameter_find(struct span name)
{
	static const char *const names[PARAMETER_OTHER] = {[PARAMETER_CMD] = "Cmd",
		[PARAMETER_USER] = "User",
		[PARAMETER_DEVICE_ID] = "DeviceId",
		[PARAMETER_DEVICE_TYPE] = "DeviceType"};

	for (unsigned int i = 0; i < PARAMETER_OTHER; i++)
		if (span_equal_nocase(name, names[i]))
			return (enum parameter)i;
	return PARAMETER_OTHER;
}

/* A name of letters, digits, "-", "_" and ".", so that no server can see another name in it. */
static bool name_decode(struct span encoded, char name[NAME_MAX_LEN], size_t *len)
{
	return percent_decode(encoded, name, NAME_MAX_LEN, len) && *len > 0 &&
	       http_chars_are(span_of(name, *len), HTTP_CHAR_HOST);
}

bool eas_query_is_plain(struct span query)
{
	char name[NAME_MAX_LEN];
	size_t len;

	while (query.len > 0) {
		struct span parameter = part_take(&query, '&');

		if (memchr(parameter.data, '=', parameter.len) != NULL &&
			name_decode(part_take(&parameter, '='), name, &len) &&
			parameter_find(span_of(name, len)) != PARAMETER_OTHER)
			return true;
	}
	return false;
}

bool eas_device_type_set(struct eas_request *request, struct span type)
{
	if (type.len > EAS_DEVICE_TYPE_MAX)
		return false;
	memcpy(request->device_type, type.data, type.len);
	for (char *at = request->device_type; at < request->device_type + type.len; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	return true;
}

bool eas_device_id_is_text(struct span id)
{
	if (id.len < 1 || id.len > 32)
		return false;
	for (size_t i = 0; i < id.len; i++) {
		uint8_t letter = id.data[i] | 0x20;

		if (!http_char_is(id.data[i], HTTP_CHAR_DIGIT) && (letter < 'a' || letter > 'z'))
			return false;
	}
	return true;
}

static enum refusal parameter_set(
	struct eas_request *request, enum parameter parameter, struct span value)
{
	switch (parameter) {
	case PARAMETER_CMD:
		request->command = eas_command_find(value);
		return request->command == EAS_NO_COMMAND ? REFUSAL_COMMAND_UNKNOWN : REFUSAL_NONE;
	case PARAMETER_USER: memcpy(request->user, value.data, value.len); return REFUSAL_NONE;
	case PARAMETER_DEVICE_ID:
		if (!eas_device_id_is_text(value))
			return REFUSAL_DEVICE_ID;
		memcpy(request->device_id, value.data, value.len);
		return REFUSAL_NONE;
	case PARAMETER_DEVICE_TYPE:
		return eas_device_type_set(request, value) ? REFUSAL_NONE : REFUSAL_QUERY_MALFORMED;
	case PARAMETER_OTHER: break;
	}
	return REFUSAL_NONE;
}

/* One name=value; *seen has a bit for each of ours that has come. */
static enum refusal parameter_read(
	struct eas_request *request, struct span text, unsigned int *seen)
{
	char name[NAME_MAX_LEN], value[EAS_USER_MAX];
	bool has_value = memchr(text.data, '=', text.len) != NULL;
	struct span encoded_name = part_take(&text, '=');
	enum parameter parameter;
	size_t len;

	if (!name_decode(encoded_name, name, &len))
		return REFUSAL_QUERY_MALFORMED;
	parameter = parameter_find(span_of(name, len));
	if (parameter == PARAMETER_OTHER)
		return percent_decode(text, NULL, 0, &len) ? REFUSAL_NONE : REFUSAL_QUERY_MALFORMED;
	if (!has_value || (*seen & 1u << parameter) != 0 ||
		!percent_decode(text, value, sizeof(value), &len))
		return REFUSAL_QUERY_MALFORMED;
	*seen |= 1u << parameter;
	return parameter_set(request, parameter, span_of(value, len));
}

enum refusal eas_query_read_plain(struct span query, struct eas_request *request)
{
	enum refusal first = REFUSAL_NONE;
	unsigned int seen = 0;

	if (query.len > 0 && memchr(query.data, ';', query.len) != NULL)
		return REFUSAL_QUERY_MALFORMED;
	while (query.len > 0) {
		struct span parameter = part_take(&query, '&');
		enum refusal refusal = REFUSAL_NONE;

		if (parameter.len > 0) /* "a=1&&b=2", "a=1&": nothing is said, nothing is meant */
			refusal = parameter_read(request, parameter, &seen);
		if (refusal == REFUSAL_QUERY_MALFORMED)
			return refusal;
		if (first == REFUSAL_NONE)
			first = refusal;
	}
	return first;
}
