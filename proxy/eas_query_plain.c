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

/* How many bytes at the start are themselves: no escapes, and nothing to refuse. */
static size_t plain_length(struct span bytes)
{
	size_t at = 0;

	for (; bytes.len - at >= 8; at += 8) {
		uint64_t octets = octets_load(bytes.data + at);
		uint64_t told = octets_below(octets, ' ') | octets_equal(octets, 0x7f) |
				octets_equal(octets, '%');

		if (told != 0)
			return at + octets_first(told);
	}
	while (at < bytes.len && bytes.data[at] >= ' ' && bytes.data[at] != 0x7f &&
		bytes.data[at] != '%')
		at++;
	return at;
}

/* Decodes into text[capacity], or gives what needs no decoding as it is; text NULL: only checks, any length.
 * Refuses broken escapes, control characters (decoded or not) and what does not fit. "+" is no space
 * here: a real one stands in addresses. */
static bool percent_decode(struct span encoded, char *text, size_t capacity, struct span *decoded)
{
	size_t plain = plain_length(encoded), len = 0;

	*decoded = encoded;
	if (plain == encoded.len)
		return text == NULL || plain <= capacity;
	while (plain < encoded.len) {
		int byte = encoded.data[plain] == '%'
				   ? http_escape_value(
					     span_of(encoded.data + plain, encoded.len - plain))
				   : -1;

		if (byte < ' ' || byte == 0x7f || (text != NULL && plain >= capacity - len))
			return false;
		if (text != NULL) {
			memcpy(text + len, encoded.data, plain);
			text[len + plain] = (char)byte;
			len += plain + 1;
		}
		encoded = span_of(encoded.data + plain + 3, encoded.len - plain - 3);
		plain = plain_length(encoded);
	}
	if (text != NULL) {
		if (plain > capacity - len)
			return false;
		memcpy(text + len, encoded.data, plain);
		len += plain;
	}
	*decoded = span_of(text, len);
	return true;
}

/* Each has a length of its own. */
static enum parameter parameter_find(struct span name)
{
	switch (name.len) {
	case 3: return span_equal_nocase(name, "Cmd") ? PARAMETER_CMD : PARAMETER_OTHER;
	case 4: return span_equal_nocase(name, "User") ? PARAMETER_USER : PARAMETER_OTHER;
	case 8: return span_equal_nocase(name, "DeviceId") ? PARAMETER_DEVICE_ID : PARAMETER_OTHER;
	case 10:
		return span_equal_nocase(name, "DeviceType") ? PARAMETER_DEVICE_TYPE
							     : PARAMETER_OTHER;
	default: return PARAMETER_OTHER;
	}
}

/* A name of letters, digits, "-", "_" and ".", so that no server can see another name in it. text holds it
 * where it had to be decoded. */
static bool name_decode(struct span encoded, char text[NAME_MAX_LEN], struct span *name)
{
	return percent_decode(encoded, text, NAME_MAX_LEN, name) && name->len > 0 &&
	       http_chars_are(*name, HTTP_CHAR_HOST);
}

bool eas_query_is_plain(struct span query)
{
	char text[NAME_MAX_LEN];
	struct span name;

	while (query.len > 0) {
		struct span parameter = part_take(&query, '&');

		if (memchr(parameter.data, '=', parameter.len) != NULL &&
			name_decode(part_take(&parameter, '='), text, &name) &&
			parameter_find(name) != PARAMETER_OTHER)
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
	char name_text[NAME_MAX_LEN], value_text[EAS_USER_MAX];
	const uint8_t *start = text.data;
	struct span encoded_name = part_take(&text, '='), name, value;
	bool has_value = text.data != start + encoded_name.len;
	enum parameter parameter;

	if (!name_decode(encoded_name, name_text, &name))
		return REFUSAL_QUERY_MALFORMED;
	parameter = parameter_find(name);
	if (parameter == PARAMETER_OTHER)
		return percent_decode(text, NULL, 0, &value) ? REFUSAL_NONE
							     : REFUSAL_QUERY_MALFORMED;
	if (!has_value || (*seen & 1u << parameter) != 0 ||
		!percent_decode(text, value_text, sizeof(value_text), &value))
		return REFUSAL_QUERY_MALFORMED;
	*seen |= 1u << parameter;
	return parameter_set(request, parameter, value);
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
