/* The base64 query: the plain one packed, for 12.1 and later (MS-ASHTTP 2.2.1.1.1.1). */
#include <openssl/evp.h>

#include "config/base64.h"
#include "config/hex.h"
#include "proxy/eas_query.h"

#include "proxy/http_chars.h"

/* Head, id and type take up to 520 bytes, the nine parameters up to 257 each. */
enum { QUERY_MAX = 2944 };

enum parameter_tag { TAG_OPTIONS = 7, TAG_USER = 8, TAG_LAST = 8 };
enum { OPTION_ACCEPT_MULTIPART = 0x02 };

/* Takes one character off the query, percent-decoded; -1 for a broken escape. */
static int character_take(struct span *query)
{
	size_t len = query->data[0] == '%' ? 3 : 1;
	int byte = len == 3 ? http_escape_value(*query) : query->data[0];

	if (byte == -1)
		return -1;
	query->data += len;
	query->len -= len;
	return byte;
}

/* Groups of four, "=" only where the last group needs it, and no bits left over that are set: one
 * byte string has one base64 text. */
static bool query_decode(struct span query, uint8_t *bytes, size_t capacity, size_t *len)
{
	uint32_t bits = 0;
	unsigned int count = 0, padding = 0;

	*len = 0;
	while (query.len > 0) {
		int character = character_take(&query);
		int value;

		if (character == '=') {
			padding++;
			continue;
		}
		if (character < 0 || padding > 0 || (value = base64_value((uint8_t)character)) < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		if (++count % 4 == 0) {
			if (capacity - *len < 3)
				return false;
			bytes[(*len)++] = (uint8_t)(bits >> 16);
			bytes[(*len)++] = (uint8_t)(bits >> 8);
			bytes[(*len)++] = (uint8_t)bits;
		}
	}
	if (capacity - *len < 2 || padding != (4 - count % 4) % 4 || padding > 2)
		return false;
	if (padding == 2) {
		bytes[(*len)++] = (uint8_t)(bits >> 4);
		return (bits & 0x0f) == 0;
	}
	if (padding == 1) {
		bytes[(*len)++] = (uint8_t)(bits >> 10);
		bytes[(*len)++] = (uint8_t)(bits >> 2);
		return (bits & 0x03) == 0;
	}
	return true;
}

static bool bytes_take(struct span *bytes, size_t len, struct span *taken)
{
	if (bytes->len < len)
		return false;
	*taken = span_of(bytes->data, len);
	bytes->data += len;
	bytes->len -= len;
	return true;
}

/* A length of one byte, and so many bytes. */
static bool counted_take(struct span *bytes, struct span *taken)
{
	struct span length;

	return bytes_take(bytes, 1, &length) && bytes_take(bytes, length.data[0], taken);
}

static bool version_is_known(unsigned int version)
{
	return version == 121 || version == 140 || version == 141 || version == 160 ||
	       version == 161;
}

/* Text as it is, raw bytes in hex, as Exchange shows them. */
static bool device_id_set(struct eas_request *request, struct span id)
{
	if (eas_device_id_is_text(id)) {
		memcpy(request->device_id, id.data, id.len);
		return true;
	}
	if (id.len == 0 || id.len > EAS_DEVICE_ID_MAX / 2)
		return false;
	hex_write(id, request->device_id);
	return true;
}

static bool policy_key_set(struct eas_request *request, struct span key)
{
	if (key.len != 0 && key.len != 4)
		return false;
	request->has_policy_key = key.len == 4;
	for (size_t i = key.len; i > 0; i--) /* little endian */
		request->policy_key = request->policy_key << 8 | key.data[i - 1];
	return true;
}

static bool user_set(struct eas_request *request, struct span user)
{
	for (size_t i = 0; i < user.len; i++)
		if (user.data[i] < ' ' || user.data[i] == 0x7f)
			return false;
	if (user.len > EAS_USER_MAX)
		return false;
	memcpy(request->user, user.data, user.len);
	return true;
}

/* Tag, length, value, to the end. Tags that are not known pass, known ones come once. */
static bool parameters_read(struct eas_request *request, struct span bytes)
{
	unsigned int seen = 0;

	while (bytes.len > 0) {
		struct span tag, value;

		if (!bytes_take(&bytes, 1, &tag) || !counted_take(&bytes, &value))
			return false;
		if (tag.data[0] > TAG_LAST)
			continue;
		if ((seen & 1u << tag.data[0]) != 0)
			return false;
		seen |= 1u << tag.data[0];
		if (tag.data[0] == TAG_OPTIONS) {
			if (value.len != 1)
				return false;
			request->accepts_multipart = (value.data[0] & OPTION_ACCEPT_MULTIPART) != 0;
		}
		if (tag.data[0] == TAG_USER && !user_set(request, value))
			return false;
	}
	return true;
}

enum refusal eas_query_read_base64(struct span query, struct eas_request *request)
{
	uint8_t decoded[QUERY_MAX] = {0};
	struct span bytes = span_of(decoded, 0), head, id, key, type;

	if (!query_decode(query, decoded, sizeof(decoded), &bytes.len) ||
		!bytes_take(&bytes, 4, &head) /* version, command, locale */
		|| !counted_take(&bytes, &id) || !counted_take(&bytes, &key) ||
		!counted_take(&bytes, &type) || !policy_key_set(request, key) ||
		!eas_device_type_set(request, type) || !parameters_read(request, bytes))
		return REFUSAL_QUERY_MALFORMED;
	if (!version_is_known(head.data[0]))
		return REFUSAL_PROTOCOL_VERSION;
	request->version = head.data[0];
	if (head.data[1] >= EAS_COMMAND_COUNT)
		return REFUSAL_COMMAND_UNKNOWN;
	request->command = (enum eas_command)head.data[1];
	return device_id_set(request, id) ? REFUSAL_NONE : REFUSAL_DEVICE_ID;
}

/* Where the byte of options is; 0: nowhere. */
static size_t options_find(struct span query)
{
	struct span bytes = query, head, id, key, type, tag, value;

	if (!bytes_take(&bytes, 4, &head) || !counted_take(&bytes, &id) ||
		!counted_take(&bytes, &key) || !counted_take(&bytes, &type))
		return 0;
	while (bytes_take(&bytes, 1, &tag) && counted_take(&bytes, &value))
		if (tag.data[0] == TAG_OPTIONS && value.len == 1)
			return (size_t)(value.data - query.data);
	return 0;
}

void eas_query_refuse_multipart(char *query)
{
	uint8_t decoded[QUERY_MAX] = {0};
	size_t len = 0, at;

	if (eas_query_is_plain(span_of_string(query)) ||
		!query_decode(span_of_string(query), decoded, sizeof(decoded), &len))
		return;
	at = options_find(span_of(decoded, len));
	if (at == 0)
		return;
	decoded[at] &= (uint8_t)~OPTION_ACCEPT_MULTIPART;
	/* It was base64 of as many bytes, or that percent-encoded: it fits. */
	EVP_EncodeBlock((unsigned char *)query, decoded, (int)len);
}
