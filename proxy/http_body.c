/* Where a body ends: RFC 9112 6 and 7.1. Content is never copied, framing never passed on. */
#include "proxy/http.h"

#include "proxy/http_chars.h"

enum {
	SIZE_DIGITS_MAX = 16,
	EXTENSION_MAX = 256, /* bytes in one chunk-size line */
	OVERHEAD_MAX = 4096, /* bytes of extensions and trailers in the whole body */
};

enum body_state {
	BODY_SIZE, /* at or in the digits of a chunk's size */
	BODY_EXTENSION_START,
	BODY_EXTENSION,
	BODY_SIZE_LF,
	BODY_DATA, /* also all of a body by length, or until close */
	BODY_DATA_CR,
	BODY_DATA_LF,
	BODY_TRAILER_START,
	BODY_TRAILER_NAME,
	BODY_TRAILER_VALUE,
	BODY_TRAILER_LF,
	BODY_LAST_LF,
	BODY_DONE,
	BODY_REFUSED
};

void http_body_begin(struct http_body *body, const struct http_head *head)
{
	*body = (struct http_body){.framing = head->framing, .state = BODY_DATA};
	if (head->framing == HTTP_CHUNKED)
		body->state = BODY_SIZE;
	if (head->framing == HTTP_LENGTH)
		body->left = head->content_length;
	if (head->framing == HTTP_NO_BODY || (head->framing == HTTP_LENGTH && body->left == 0))
		body->state = BODY_DONE;
}

bool http_body_is_done(const struct http_body *body)
{
	return body->state == BODY_DONE;
}

static enum body_state size_end(struct http_body *body)
{
	body->line_bytes = 0;
	return body->left > 0 ? BODY_DATA : BODY_TRAILER_START;
}

static enum body_state size_take(struct http_body *body, uint8_t byte)
{
	if (http_char_is(byte, HTTP_CHAR_HEX)) {
		/* 16 digits fit into left; more than a length may say is refused all the same. */
		if (body->line_bytes == SIZE_DIGITS_MAX)
			return BODY_REFUSED;
		body->line_bytes++;
		body->left = body->left << 4 | http_hex_value(byte);
		return body->left > INT64_MAX ? BODY_REFUSED : BODY_SIZE;
	}
	if (body->line_bytes == 0)
		return BODY_REFUSED;
	if (byte == '\r')
		return BODY_SIZE_LF;
	if (byte != ';')
		return BODY_REFUSED;
	body->line_bytes = 0;
	return BODY_EXTENSION_START;
}

/* Visible bytes alone: the white space that RFC 9112 7.1.1 calls bad is, and quoted strings with
 * spaces are nobody's. */
static enum body_state extension_take(struct http_body *body, uint8_t byte)
{
	if (byte == '\r' && body->state == BODY_EXTENSION)
		return BODY_SIZE_LF;
	if (++body->line_bytes > EXTENSION_MAX || ++body->trailer_bytes > OVERHEAD_MAX)
		return BODY_REFUSED;
	if (body->state == BODY_EXTENSION_START)
		return http_char_is(byte, HTTP_CHAR_TOKEN) ? BODY_EXTENSION : BODY_REFUSED;
	if (byte == ';')
		return BODY_EXTENSION_START;
	return byte > ' ' && byte < 0x7f ? BODY_EXTENSION : BODY_REFUSED;
}

static enum body_state trailer_take(struct http_body *body, uint8_t byte)
{
	if (++body->trailer_bytes > OVERHEAD_MAX)
		return BODY_REFUSED;
	switch (body->state) {
	case BODY_TRAILER_START:
		return http_char_is(byte, HTTP_CHAR_TOKEN) ? BODY_TRAILER_NAME : BODY_REFUSED;
	case BODY_TRAILER_NAME:
		if (byte == ':')
			return BODY_TRAILER_VALUE;
		return http_char_is(byte, HTTP_CHAR_TOKEN) ? BODY_TRAILER_NAME : BODY_REFUSED;
	default:
		if (byte == '\r')
			return BODY_TRAILER_LF;
		return http_char_is(byte, HTTP_CHAR_VALUE) ? BODY_TRAILER_VALUE : BODY_REFUSED;
	}
}

/* One byte of framing: the state after it. */
static enum body_state framing_take(struct http_body *body, uint8_t byte)
{
	switch ((enum body_state)body->state) {
	case BODY_SIZE: return size_take(body, byte);
	case BODY_EXTENSION_START:
	case BODY_EXTENSION: return extension_take(body, byte);
	case BODY_SIZE_LF: return byte == '\n' ? size_end(body) : BODY_REFUSED;
	case BODY_DATA_CR: return byte == '\r' ? BODY_DATA_LF : BODY_REFUSED;
	case BODY_DATA_LF: return byte == '\n' ? BODY_SIZE : BODY_REFUSED;
	case BODY_TRAILER_START:
		if (byte == '\r')
			return BODY_LAST_LF;
		return trailer_take(body, byte);
	case BODY_TRAILER_NAME:
	case BODY_TRAILER_VALUE: return trailer_take(body, byte);
	case BODY_TRAILER_LF: return byte == '\n' ? BODY_TRAILER_START : BODY_REFUSED;
	case BODY_LAST_LF: return byte == '\n' ? BODY_DONE : BODY_REFUSED;
	case BODY_DATA:
	case BODY_DONE:
	case BODY_REFUSED: break;
	}
	return BODY_REFUSED;
}

/* As much of the content as there is. */
static void content_take(
	struct http_body *body, const char **data, size_t *len, struct span *content)
{
	size_t taken = *len;

	if (body->framing != HTTP_UNTIL_CLOSE) {
		if (taken > body->left)
			taken = (size_t)body->left;
		body->left -= taken;
		if (body->left == 0)
			body->state = body->framing == HTTP_CHUNKED ? BODY_DATA_CR : BODY_DONE;
	}
	*content = span_of(*data, taken);
	body->total += taken;
	*data += taken;
	*len -= taken;
}

enum http_result http_body_next(
	struct http_body *body, const char **data, size_t *len, struct span *content)
{
	*content = span_of(NULL, 0);
	while (*len > 0 && body->state != BODY_DONE && body->state != BODY_REFUSED) {
		if (body->state == BODY_DATA) {
			content_take(body, data, len, content);
			return HTTP_MORE;
		}
		body->state = (uint8_t)framing_take(body, (uint8_t) * *data);
		++*data;
		--*len;
	}
	if (body->state == BODY_REFUSED)
		return HTTP_REFUSED;
	return body->state == BODY_DONE ? HTTP_DONE : HTTP_MORE;
}
