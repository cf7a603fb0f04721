#include "query.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const command_names[] = {"Sync", "SendMail", "SmartForward", "SmartReply",
	"GetAttachment", "GetHierarchy", "CreateCollection", "DeleteCollection", "MoveCollection",
	"FolderSync", "FolderCreate", "FolderDelete", "FolderUpdate", "MoveItems",
	"GetItemEstimate", "MeetingResponse", "Search", "Settings", "Ping", "ItemOperations",
	"Provision", "ResolveRecipients", "ValidateCert", "Find"};

enum { COMMAND_COUNT = sizeof(command_names) / sizeof(command_names[0]), QUERY_MAX = 4096 };

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool query_percent_decode(const char *text, size_t len, char *out, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '%') {
			if (len - i < 3 || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0)
				return false;
			c = (char)(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
			i += 2;
		}
		if (c == '\0' || at + 1 >= size)
			return false;
		out[at++] = c;
	}
	out[at] = '\0';
	return true;
}

int query_base64_decode(const char *text, size_t len, uint8_t *data, size_t size)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = 0;
	size_t at = 0;

	while (len > 0 && text[len - 1] == '=')
		len--;
	for (size_t i = 0; i < len; i++) {
		const char *letter = strchr(letters, text[i]);

		if (letter == NULL || *letter == '\0')
			return -1;
		bits = (bits << 6 | (uint32_t)(letter - letters)) & 0xFFFFFF;
		if (i % 4 == 0)
			continue;
		if (at == size)
			return -1;
		data[at++] = (uint8_t)(bits >> (4 - 2 * (i % 4 - 1)));
	}
	return len % 4 == 1 ? -1 : (int)at;
}

static int parameter_read(struct query *query, const char *name, const char *value)
{
	const struct {
		const char *name;
		char *text;
		size_t size;
	} places[] = {
		{"Cmd", query->command, sizeof(query->command)},
		{"User", query->user, sizeof(query->user)},
		{"DeviceId", query->device_id, sizeof(query->device_id)},
		{"DeviceType", query->device_type, sizeof(query->device_type)},
		{"AttachmentName", query->attachment, sizeof(query->attachment)},
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (strcasecmp(name, places[i].name) != 0)
			continue;
		if (places[i].text[0] != '\0' || strlen(value) >= places[i].size)
			return -1;
		snprintf(places[i].text, places[i].size, "%s", value);
	}
	if (strcasecmp(name, "SaveInSent") == 0)
		query->saves_copy = strcmp(value, "T") == 0;
	return 0;
}

static int plain_read(struct query *query, const char *text, struct error *err)
{
	char name[64], value[512];

	while (*text != '\0') {
		size_t len = strcspn(text, "&");
		const char *equals = memchr(text, '=', len);

		if (equals == NULL ||
			!query_percent_decode(text, (size_t)(equals - text), name, sizeof(name)) ||
			!query_percent_decode(equals + 1, len - (size_t)(equals + 1 - text), value,
				sizeof(value)) ||
			parameter_read(query, name, value) != 0)
			return error_set(err, "query parameter %.*s", (int)len, text);
		text += len + (text[len] == '&');
	}
	return 0;
}

/* A length byte and as many bytes of text; raw bytes are shown in hex. */
static bool counted_read(struct span *rest, char *text, size_t size)
{
	size_t len = rest->len > 0 ? rest->data[0] : 0;
	bool is_text = true;

	if (rest->len < 1 + len || 2 * len + 1 > size)
		return false;
	for (size_t i = 1; i <= len; i++)
		is_text = is_text && isprint(rest->data[i]);
	text[0] = '\0';
	for (size_t i = 0; i < len; i++)
		snprintf(text + (is_text ? i : 2 * i), 3, is_text ? "%c" : "%02x",
			rest->data[1 + i]);
	*rest = span_of(rest->data + 1 + len, rest->len - 1 - len);
	return true;
}

static int tagged_read(struct query *query, uint8_t tag, struct span value)
{
	if (tag == 7 && value.len == 1) {
		query->saves_copy = (value.data[0] & 1) != 0;
		query->accepts_multipart = (value.data[0] & 2) != 0;
	} else if (tag == 0) {
		snprintf(query->attachment, sizeof(query->attachment), "%.*s", SPAN_PRINT(value));
	} else if (tag == 8) {
		snprintf(query->user, sizeof(query->user), "%.*s", SPAN_PRINT(value));
	} else if (tag > 8 || tag == 7) {
		return -1;
	}
	return 0;
}

static int base64_query_read(struct query *query, const char *text, struct error *err)
{
	char encoded[QUERY_MAX] = "";
	uint8_t bytes[QUERY_MAX];
	char device_id[512], device_type[512];
	struct span rest;
	int len;

	if (!query_percent_decode(text, strlen(text), encoded, sizeof(encoded)) ||
		(len = query_base64_decode(encoded, strlen(encoded), bytes, sizeof(bytes))) < 7)
		return error_set(err, "the query is neither plain nor base64");
	query->is_base64 = true;
	query->version = bytes[0];
	if (bytes[1] >= COMMAND_COUNT)
		return error_set(err, "unknown command code %u", bytes[1]);
	snprintf(query->command, sizeof(query->command), "%s", command_names[bytes[1]]);
	rest = span_of(bytes + 4, (size_t)len - 4);
	if (!counted_read(&rest, device_id, sizeof(device_id)) || strlen(device_id) > 64 ||
		rest.len < 1 || (rest.data[0] != 0 && rest.data[0] != 4) ||
		rest.len < 1u + rest.data[0])
		return error_set(err, "device id or policy key of the base64 query");
	snprintf(query->device_id, sizeof(query->device_id), "%.64s", device_id);
	query->has_policy_key = rest.data[0] == 4;
	if (query->has_policy_key)
		query->policy_key = (uint32_t)rest.data[1] | (uint32_t)rest.data[2] << 8 |
				    (uint32_t)rest.data[3] << 16 | (uint32_t)rest.data[4] << 24;
	rest = span_of(rest.data + 1 + rest.data[0], rest.len - 1 - rest.data[0]);
	if (!counted_read(&rest, device_type, sizeof(device_type)) || strlen(device_type) > 64)
		return error_set(err, "device type of the base64 query");
	snprintf(query->device_type, sizeof(query->device_type), "%.64s", device_type);
	while (rest.len > 0) {
		if (rest.len < 2 || rest.len < 2u + rest.data[1] ||
			tagged_read(query, rest.data[0], span_of(rest.data + 2, rest.data[1])) != 0)
			return error_set(err, "parameters of the base64 query");
		rest = span_of(rest.data + 2 + rest.data[1], rest.len - 2 - rest.data[1]);
	}
	return 0;
}

static int header_read(const struct server_request *request, struct query *query, struct error *err)
{
	const char *version = server_field_find(request, "MS-ASProtocolVersion", NULL);
	const char *key = server_field_find(request, "X-MS-PolicyKey", NULL);
	const char *multipart = server_field_find(request, "MS-ASAcceptMultiPart", NULL);

	if (query->is_base64)
		return 0;
	if (version == NULL)
		return error_set(err, "no MS-ASProtocolVersion");
	for (const char *c = version; *c != '\0'; c++)
		if (isdigit((unsigned char)*c))
			query->version = query->version * 10 % 10000 + (unsigned int)(*c - '0');
	query->has_policy_key = key != NULL;
	if (key != NULL)
		query->policy_key = (uint32_t)strtoul(key, NULL, 10);
	query->accepts_multipart = multipart != NULL && strcmp(multipart, "T") == 0;
	return 0;
}

static bool version_is_known(unsigned int version)
{
	static const unsigned int versions[] = {25, 120, 121, 140, 141, 160, 161};

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
		if (versions[i] == version)
			return true;
	return false;
}

int query_read(const struct server_request *request, struct query *query, struct error *err)
{
	const char *text = strchr(request->target, '?');

	*query = (struct query){0};
	if (text == NULL)
		return error_set(err, "no query");
	text++;
	if ((strcasestr(text, "Cmd=") != NULL ? plain_read(query, text, err)
					      : base64_query_read(query, text, err)) != 0 ||
		header_read(request, query, err) != 0)
		return -1;
	if (!version_is_known(query->version))
		return error_set(err, "unknown protocol version %u", query->version);
	if (query->command[0] == '\0' || query->device_id[0] == '\0')
		return error_set(err, "the query names no command or no device");
	return 0;
}
