/* What a request asks: path, query and the header's fields put together. */
#include "proxy/eas.h"

#include "proxy/autodiscover.h"
#include "proxy/eas_command.h"
#include "proxy/eas_query.h"
#include "proxy/eas_version.h"
#include "proxy/http_chars.h"

/* Compares an encoded path with a plain one without case. Escapes of characters that need none
 * (RFC 3986 2.3) are decoded, others are never equal: "%2f" is no "/". */
static bool path_equals(struct span path, const char *text)
{
	size_t at = 0;

	if (path.len > 0 && memchr(path.data, '%', path.len) == NULL)
		return span_equal_nocase(path, text);
	while (at < path.len && *text != '\0') {
		int byte = path.data[at];

		if (byte == '%') {
			byte = http_escape_value(span_of(path.data + at, path.len - at));
			if (byte == -1 || !http_char_is((uint8_t)byte, HTTP_CHAR_HOST))
				return false;
			at += 2;
		}
		at++;
		if (byte >= 'A' && byte <= 'Z')
			byte |= 0x20;
		if (byte != (uint8_t)*text++)
			return false;
	}
	return at == path.len && *text == '\0';
}

enum eas_path eas_path_of(const struct http_head *head)
{
	if (path_equals(head->path, "/microsoft-server-activesync"))
		return EAS_PATH_SYNC;
	if (path_equals(head->path, "/autodiscover/autodiscover.xml"))
		return EAS_PATH_AUTODISCOVER;
	if (autodiscover_is_json_path(head->path))
		return EAS_PATH_AUTODISCOVER_JSON;
	return EAS_PATH_OTHER;
}

/* How often the field came. A name that some server takes for this one, or a field that Connection
 * takes out of what the next server sees, counts as one too many. */
static size_t field_count(const struct http_head *head, enum http_name name, struct span *value)
{
	size_t count = http_field_get(head, name, value);

	if (http_name_is_in(head->resembled, name) ||
		(count > 0 && http_name_is_connections(head, name)))
		return 2;
	return count;
}

/* MS-ASProtocolVersion: asked for with a plain query, and never another than a base64 query's.
 * OPTIONS is how a phone finds out about versions, so it may name one from the future. */
static enum refusal version_read(
	const struct http_head *head, struct eas_request *request, bool is_options)
{
	struct span value;
	size_t count = field_count(head, HTTP_NAME_AS_VERSION, &value);
	unsigned int version = eas_version_of(value);

	if (count > 1)
		return REFUSAL_PROTOCOL_VERSION;
	if (count == 0)
		return request->version != 0 || is_options ? REFUSAL_NONE
							   : REFUSAL_PROTOCOL_VERSION;
	if (request->is_base64)
		return version == request->version ? REFUSAL_NONE : REFUSAL_PROTOCOL_VERSION;
	request->version = version;
	return version != 0 || is_options ? REFUSAL_NONE : REFUSAL_PROTOCOL_VERSION;
}

/* X-MS-PolicyKey: a decimal number of 32 bits, and never another than a base64 query's. */
static enum refusal policy_key_read(const struct http_head *head, struct eas_request *request)
{
	struct span value;
	size_t count = field_count(head, HTTP_NAME_POLICY_KEY, &value);
	uint64_t key;

	if (count == 0)
		return REFUSAL_NONE;
	if (count > 1 || !http_number_parse(value, UINT32_MAX, &key) ||
		(request->has_policy_key && request->policy_key != key))
		return REFUSAL_QUERY_MALFORMED;
	request->has_policy_key = true;
	request->policy_key = (uint32_t)key;
	return REFUSAL_NONE;
}

static enum refusal multipart_read(const struct http_head *head, struct eas_request *request)
{
	struct span value;
	size_t count = field_count(head, HTTP_NAME_AS_MULTIPART, &value);

	if (count == 0)
		return REFUSAL_NONE;
	if (count > 1 || (!span_equal_nocase(value, "T") && !span_equal_nocase(value, "F")))
		return REFUSAL_QUERY_MALFORMED;
	if (span_equal_nocase(value, "T"))
		request->accepts_multipart = true;
	return REFUSAL_NONE;
}

static enum refusal query_read(
	const struct http_head *head, struct eas_request *request, bool is_options)
{
	enum refusal refusal = REFUSAL_NONE;

	if (head->query.len > 0) {
		request->is_base64 = !eas_query_is_plain(head->query);
		refusal = request->is_base64 ? eas_query_read_base64(head->query, request)
					     : eas_query_read_plain(head->query, request);
	}
	if (refusal != REFUSAL_NONE)
		return refusal;
	if (is_options) {
		request->command = EAS_NO_COMMAND;
		return REFUSAL_NONE;
	}
	if (request->command == EAS_NO_COMMAND)
		return REFUSAL_QUERY_MALFORMED;
	return request->device_id[0] == '\0' ? REFUSAL_DEVICE_ID : REFUSAL_NONE;
}

enum refusal eas_request_read(const struct http_head *head, struct eas_request *request)
{
	bool is_options = head->method == HTTP_OPTIONS;
	enum refusal of_query, of_field;

	*request = (struct eas_request){.path = eas_path_of(head), .command = EAS_NO_COMMAND};
	if (request->path == EAS_PATH_OTHER || request->path == EAS_PATH_AUTODISCOVER_JSON)
		return REFUSAL_PATH_NOT_FOUND;
	if (head->method == HTTP_GET)
		return REFUSAL_METHOD_NOT_ALLOWED;
	if (request->path == EAS_PATH_AUTODISCOVER)
		return head->query.len == 0 ? REFUSAL_NONE : REFUSAL_QUERY_MALFORMED;
	/* All is read before the first refusal is given, so that its answer knows the version. */
	of_query = query_read(head, request, is_options);
	if ((of_field = version_read(head, request, is_options)) == REFUSAL_NONE &&
		(of_field = policy_key_read(head, request)) == REFUSAL_NONE)
		of_field = multipart_read(head, request);
	return of_query != REFUSAL_NONE ? of_query : of_field;
}

static bool media_type_fits(struct span value, enum eas_body_kind kind)
{
	switch (kind) {
	case EAS_BODY_WBXML:
		return http_media_type_is(value, "application/vnd.ms-sync.wbxml") ||
		       http_media_type_is(value, "application/vnd.ms-sync");
	case EAS_BODY_MIME: return http_media_type_is(value, "message/rfc822");
	case EAS_BODY_XML:
		return http_media_type_is(value, "text/xml") ||
		       http_media_type_is(value, "application/xml");
	case EAS_BODY_MULTIPART:
	case EAS_BODY_NONE: break;
	}
	return false;
}

/* What the command wants when there is a body. */
static enum eas_body_kind kind_wanted(const struct eas_request *request, bool is_options)
{
	const struct eas_command_row *row = eas_command_row(request->command);

	if (is_options)
		return EAS_BODY_NONE;
	if (row == NULL)
		return request->path == EAS_PATH_AUTODISCOVER ? EAS_BODY_XML : EAS_BODY_NONE;
	if (row->form == EAS_FORM_NONE)
		return EAS_BODY_NONE;
	return row->form == EAS_FORM_MIME && request->version < 140 ? EAS_BODY_MIME
								    : EAS_BODY_WBXML;
}

static bool may_be_empty(const struct eas_request *request, enum eas_body_kind wanted)
{
	const struct eas_command_row *row = eas_command_row(request->command);

	if (wanted == EAS_BODY_NONE)
		return true;
	return row != NULL && row->form == EAS_FORM_WBXML_OR_NOTHING &&
	       request->version >= row->empty_since;
}

enum refusal eas_request_body_kind(
	const struct eas_request *request, const struct http_head *head, enum eas_body_kind *kind)
{
	enum eas_body_kind wanted = kind_wanted(request, head->method == HTTP_OPTIONS);
	struct span value;
	size_t codings = field_count(head, HTTP_NAME_CONTENT_ENCODING, &value);

	*kind = EAS_BODY_NONE;
	if (codings > 1 || (codings == 1 && !span_equal_nocase(value, "identity")))
		return REFUSAL_MEDIA_TYPE;
	if (!http_has_content(head))
		return may_be_empty(request, wanted) ? REFUSAL_NONE : REFUSAL_MEDIA_TYPE;
	if (field_count(head, HTTP_NAME_CONTENT_TYPE, &value) != 1 ||
		!media_type_fits(value, wanted))
		return REFUSAL_MEDIA_TYPE;
	*kind = wanted;
	return REFUSAL_NONE;
}
