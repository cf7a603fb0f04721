/* Writing heads anew. What goes out is checked by the same table as what comes in, so no value,
 * wherever it came from, can end its line early. */
#include "proxy/http.h"

#include "proxy/http_chars.h"

static void writer_append(struct http_writer *writer, const void *bytes, size_t len)
{
	if (writer->has_failed || len > writer->capacity - writer->len) {
		writer->has_failed = true;
		return;
	}
	if (len > 0)
		memcpy(writer->data + writer->len, bytes, len);
	writer->len += len;
}

/* Inline: the compiler knows how long a text is that stands in the code. */
static inline void writer_append_text(struct http_writer *writer, const char *text)
{
	writer_append(writer, text, strlen(text));
}

/* Appends bytes of these classes; others fail the writer. */
static void writer_append_checked(
	struct http_writer *writer, struct span bytes, unsigned int classes)
{
	bool is_good = classes == HTTP_CHAR_VALUE ? http_value_length(bytes) == bytes.len
						  : http_chars_are(bytes, classes);

	if (!is_good)
		writer->has_failed = true;
	writer_append(writer, bytes.data, bytes.len);
}

void http_write_request_line(struct http_writer *writer, enum http_method method,
	struct span prefix, struct span path, struct span query)
{
	bool is_asterisk = method == HTTP_OPTIONS && prefix.len == 0 && query.data == NULL &&
			   path.len == 1 && path.data[0] == '*';
	struct span start = prefix.len > 0 ? prefix : path;

	if (!is_asterisk && (start.len == 0 || start.data[0] != '/'))
		writer->has_failed = true;
	writer_append_text(writer, http_method_name(method));
	writer_append_text(writer, " ");
	writer_append_checked(writer, prefix, HTTP_CHAR_PATH);
	writer_append_checked(writer, path, HTTP_CHAR_PATH);
	if (query.data != NULL) {
		writer_append_text(writer, "?");
		writer_append_checked(writer, query, HTTP_CHAR_QUERY);
	}
	writer_append_text(writer, " HTTP/1.1\r\n");
}

void http_write_status_line(struct http_writer *writer, unsigned int status, struct span reason)
{
	char text[] = "HTTP/1.1 000 ";

	if (status < 100 || status > 599)
		writer->has_failed = true;
	text[9] = (char)('0' + status / 100 % 10);
	text[10] = (char)('0' + status / 10 % 10);
	text[11] = (char)('0' + status % 10);
	writer_append_text(writer, text);
	writer_append_checked(writer, reason, HTTP_CHAR_VALUE);
	writer_append_text(writer, "\r\n");
}

void http_write_field(struct http_writer *writer, struct span name, struct span value)
{
	if (name.len == 0)
		writer->has_failed = true;
	writer_append_checked(writer, name, HTTP_CHAR_TOKEN);
	writer_append_text(writer, ": ");
	writer_append_checked(writer, value, HTTP_CHAR_VALUE);
	writer_append_text(writer, "\r\n");
}

void http_write_field_again(struct http_writer *writer, const struct http_field *field)
{
	size_t name_len = field->name.len, value_len = field->value.len;
	char *at = writer->data + writer->len;

	/* Both are of one head, so their sum is no larger than it. */
	if (writer->has_failed || name_len + value_len + 4 > writer->capacity - writer->len) {
		writer->has_failed = true;
		return;
	}
	memcpy(at, field->name.data, name_len);
	at += name_len;
	*at++ = ':';
	*at++ = ' ';
	if (value_len > 0)
		memcpy(at, field->value.data, value_len);
	at += value_len;
	*at++ = '\r';
	*at++ = '\n';
	writer->len = (size_t)(at - writer->data);
}

void http_write_field_text(struct http_writer *writer, const char *name, const char *value)
{
	http_write_field(writer, span_of_string(name), span_of_string(value));
}

void http_write_field_number(struct http_writer *writer, const char *name, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);
	struct http_field field = {.name = span_of_string(name)};

	do
		digits[--at] = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	field.value = span_of(digits + at, sizeof(digits) - at);
	http_write_field_again(writer, &field); /* the name is one of ours */
}

void http_write_end(struct http_writer *writer)
{
	writer_append_text(writer, "\r\n");
}

size_t http_chunk_head(char text[20], size_t chunk_len)
{
	size_t digits = 1;

	while (digits < sizeof(chunk_len) * 2 && chunk_len >> (4 * digits) > 0)
		digits++;
	for (size_t i = 0; i < digits; i++)
		text[i] = "0123456789abcdef"[chunk_len >> (4 * (digits - 1 - i)) & 15];
	text[digits] = '\r';
	text[digits + 1] = '\n';
	text[digits + 2] = '\0';
	return digits + 2;
}

const char *http_method_name(enum http_method method)
{
	static const char *const names[] = {
		[HTTP_OPTIONS] = "OPTIONS", [HTTP_POST] = "POST", [HTTP_GET] = "GET"};

	return names[method];
}

const char *http_reason(unsigned int status)
{
	static const struct {
		unsigned int status;
		const char *reason;
	} rows[] = {
		{100, "Continue"},
		{200, "OK"},
		{302, "Found"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{411, "Length Required"},
		{413, "Content Too Large"},
		{415, "Unsupported Media Type"},
		{417, "Expectation Failed"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{449, "Retry after sending a PROVISION command"},
		{451, "Redirect"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
		{507, "Insufficient Storage"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].status == status)
			return rows[i].reason;
	return "";
}
