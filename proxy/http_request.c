/* A request's head: RFC 9112 3, with the checks across fields that RFC 9110 7.2 and 10.1.1 ask. */
#include "proxy/http.h"

#include "proxy/http_chars.h"
#include "proxy/http_parse.h"

/* Stands for any method that is not one of ours: it is refused, but as what it is. */
enum { METHOD_OTHER = HTTP_GET + 1 };

struct host_port {
	struct span host; /* with the brackets of an IPv6 address */
	uint64_t port;    /* 0: not said */
};

static unsigned int method_find(struct span name)
{
	/* RFC 9110 9.1: methods are case-sensitive. */
	for (unsigned int i = 0; i < METHOD_OTHER; i++)
		if (span_equal(name, span_of_string(http_method_name((enum http_method)i))))
			return i;
	return METHOD_OTHER;
}

/* An IPv6 address between brackets, loosely: what it names is nobody's decision here. */
static bool is_ip_literal(struct span host)
{
	if (host.len < 4 || host.data[0] != '[' || host.data[host.len - 1] != ']')
		return false;
	for (size_t i = 1; i + 1 < host.len; i++)
		if (!http_char_is(host.data[i], HTTP_CHAR_HEX) && host.data[i] != ':' &&
			host.data[i] != '.')
			return false;
	return memchr(host.data, ':', host.len) != NULL;
}

/* host [":" port]. Stricter than RFC 3986: no user information, no percent-encoding, no empty
 * host, no empty port. */
static bool authority_parse(struct span text, struct host_port *authority)
{
	size_t host_len = text.len;

	while (host_len > 0 && http_char_is(text.data[host_len - 1], HTTP_CHAR_DIGIT))
		host_len--;
	if (host_len > 0 && text.data[host_len - 1] == ':' &&
		(text.data[0] != '[' || (host_len > 1 && text.data[host_len - 2] == ']'))) {
		struct span port = span_of(text.data + host_len, text.len - host_len);

		if (!http_number_parse(port, UINT16_MAX, &authority->port) || authority->port == 0)
			return false;
		authority->host = span_of(text.data, host_len - 1);
	} else {
		authority->host = text;
		authority->port = 0;
	}
	return is_ip_literal(authority->host) ||
	       (authority->host.len > 0 && http_chars_are(authority->host, HTTP_CHAR_HOST));
}

static bool authorities_equal(
	const struct host_port *a, const struct host_port *b, uint64_t default_port)
{
	uint64_t a_port = a->port == 0 ? default_port : a->port;
	uint64_t b_port = b->port == 0 ? default_port : b->port;

	return a_port == b_port && a->host.len == b->host.len &&
	       strncasecmp((const char *)a->host.data, (const char *)b->host.data, a->host.len) ==
		       0;
}

/* Every "%" has its two digits. */
static bool escapes_are_whole(struct span text)
{
	const uint8_t *at = text.data;
	const uint8_t *end;

	/* An absent query has no data to count from. */
	if (text.len == 0)
		return true;
	end = at + text.len;
	while (at != end && (at = memchr(at, '%', (size_t)(end - at))) != NULL) {
		if (http_escape_value(span_of(at, (size_t)(end - at))) == -1)
			return false;
		at++;
	}
	return true;
}

/* absolute-path [ "?" query ], up to the space behind it. */
static enum refusal origin_take(struct http_cursor *cursor, struct http_head *head)
{
	head->path = http_take(cursor, HTTP_CHAR_PATH);
	if (http_take_text(cursor, "?"))
		head->query = http_take(cursor, HTTP_CHAR_QUERY);
	return escapes_are_whole(head->path) && escapes_are_whole(head->query)
		       ? REFUSAL_NONE
		       : REFUSAL_HTTP_MALFORMED;
}

static bool scheme_take(struct http_cursor *cursor, const char *scheme)
{
	size_t len = strlen(scheme);

	if ((size_t)(cursor->end - cursor->at) < len ||
		strncasecmp((const char *)cursor->at, scheme, len) != 0)
		return false;
	cursor->at += len;
	return true;
}

/* The rest of an absolute-form behind its scheme. */
static enum refusal absolute_take(
	struct http_cursor *cursor, struct http_head *head, struct host_port *target)
{
	const uint8_t *start = cursor->at;
	enum refusal refusal;

	while (cursor->at < cursor->end && *cursor->at != '/' && *cursor->at != '?' &&
		http_char_is(*cursor->at, HTTP_CHAR_VALUE) &&
		!http_char_is(*cursor->at, HTTP_CHAR_SPACE))
		cursor->at++;
	if (!authority_parse(span_of(start, (size_t)(cursor->at - start)), target))
		return REFUSAL_HTTP_HOST;
	refusal = origin_take(cursor, head);
	/* RFC 9110 4.2.3: an empty path is "/"; RFC 9112 3.2.4: or "*" with OPTIONS. */
	if (head->path.len == 0)
		head->path = span_of_string(
			head->method == HTTP_OPTIONS && head->query.data == NULL ? "*" : "/");
	return refusal;
}

/* default_port: 0 unless the target is in absolute-form; then target is its authority. */
static enum refusal target_take(struct http_cursor *cursor, struct http_head *head,
	unsigned int method, struct host_port *target, uint64_t *default_port)
{
	if (cursor->at < cursor->end && *cursor->at == '/')
		return origin_take(cursor, head);
	if (method == HTTP_OPTIONS && cursor->at < cursor->end && *cursor->at == '*') {
		head->path = span_of(cursor->at++, 1);
		return REFUSAL_NONE;
	}
	if (scheme_take(cursor, "https://"))
		*default_port = 443;
	else if (scheme_take(cursor, "http://"))
		*default_port = 80;
	if (*default_port != 0)
		return absolute_take(cursor, head, target);
	/* CONNECT's authority-form, taken so that it is refused for its method. */
	if (method == METHOD_OTHER && http_take(cursor, HTTP_CHAR_PATH).len > 0)
		return REFUSAL_NONE;
	return REFUSAL_HTTP_MALFORMED;
}

static enum refusal host_read(
	struct http_head *head, const struct host_port *target, uint64_t default_port)
{
	struct host_port host;

	if (http_field_get(head, HTTP_NAME_HOST, &head->host) != 1 ||
		!authority_parse(head->host, &host))
		return REFUSAL_HTTP_HOST;
	/* RFC 9112 3.2.2 lets the target win; two names for one server are refused instead. */
	if (default_port != 0 && !authorities_equal(target, &host, default_port))
		return REFUSAL_HTTP_HOST;
	return REFUSAL_NONE;
}

static enum refusal expect_read(struct http_head *head)
{
	struct span expectation;
	size_t count = http_field_get(head, HTTP_NAME_EXPECT, &expectation);

	if (count == 0)
		return REFUSAL_NONE;
	if (count > 1 || !span_equal_nocase(expectation, "100-continue"))
		return REFUSAL_EXPECTATION;
	/* RFC 9110 10.1.1: not for HTTP/1.0, and without content there is nothing to wait for. */
	head->expects_continue = head->minor_version == 1 && http_has_content(head);
	return REFUSAL_NONE;
}

/* RFC 9110 7.6.1: a field that is meant for all recipients is never a connection option. Taking
 * such a field out for the next server, after it was acted on here, would make two requests of
 * one. */
static enum refusal connection_read(struct http_head *head)
{
	static const enum http_name names[] = {HTTP_NAME_HOST, HTTP_NAME_CONTENT_LENGTH,
		HTTP_NAME_CONTENT_TYPE, HTTP_NAME_CONTENT_ENCODING, HTTP_NAME_EXPECT,
		HTTP_NAME_AUTHORIZATION, HTTP_NAME_COOKIE};

	http_connection_read(head);
	if (!head->connection_names)
		return REFUSAL_NONE;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (http_name_is_connections(head, names[i]))
			return REFUSAL_HTTP_MALFORMED;
	return REFUSAL_NONE;
}

static enum refusal request_line_take(struct http_cursor *cursor, struct http_head *head,
	unsigned int *method, struct host_port *target, uint64_t *default_port)
{
	struct span name;
	enum refusal refusal;

	http_take_text(cursor, "\r\n"); /* RFC 9112 2.2 */
	name = http_take(cursor, HTTP_CHAR_TOKEN);
	if (name.len == 0 || !http_take_text(cursor, " "))
		return REFUSAL_HTTP_MALFORMED;
	*method = method_find(name);
	if (*method != METHOD_OTHER)
		head->method = (enum http_method) * method;
	refusal = target_take(cursor, head, *method, target, default_port);
	if (refusal != REFUSAL_NONE)
		return refusal;
	if (!http_take_text(cursor, " "))
		return REFUSAL_HTTP_MALFORMED;
	refusal = http_take_version(cursor, &head->minor_version);
	if (refusal != REFUSAL_NONE)
		return refusal;
	return http_take_text(cursor, "\r\n") ? REFUSAL_NONE : REFUSAL_HTTP_MALFORMED;
}

static enum refusal request_take(struct http_cursor *cursor, struct http_head *head)
{
	struct host_port target = {.port = 0};
	unsigned int method = METHOD_OTHER;
	uint64_t default_port = 0;
	enum refusal refusal;

	if ((refusal = request_line_take(cursor, head, &method, &target, &default_port)) != 0 ||
		(refusal = http_take_fields(cursor, head)) != 0 ||
		(refusal = http_framing_read(head)) != 0 ||
		(refusal = host_read(head, &target, default_port)) != 0 ||
		(refusal = connection_read(head)) != 0)
		return refusal;
	if (method == METHOD_OTHER)
		return REFUSAL_METHOD_NOT_ALLOWED;
	/* RFC 9110 9.3.1: content in a GET has no meaning, and servers differ about its end. */
	if (head->method == HTTP_GET && (head->framing == HTTP_CHUNKED || head->content_length > 0))
		return REFUSAL_HTTP_FRAMING;
	return expect_read(head);
}

enum http_result http_request_parse(struct http_head *head, const char *data, size_t head_len)
{
	const uint8_t *bytes = (const uint8_t *)data;
	struct http_cursor cursor = {.at = bytes, .end = bytes + head_len};
	static const struct http_head nothing;

	/* All but the fields, of which field_count says how many hold. */
	memcpy(head, &nothing, offsetof(struct http_head, fields));
	head->refusal = request_take(&cursor, head);
	return head->refusal == REFUSAL_NONE ? HTTP_DONE : HTTP_REFUSED;
}
