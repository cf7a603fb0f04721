/*
 * What requests and answers have in common while their heads are parsed. Private to
 * proxy/http_head.c, http_request.c and http_answer.c.
 */
#ifndef PROXY_HTTP_PARSE_H
#define PROXY_HTTP_PARSE_H

#include "proxy/http.h"

struct http_cursor {
	const uint8_t *at, *end;
};

/* Takes the run of bytes of the given class off the cursor. */
struct span http_take(struct http_cursor *cursor, unsigned int classes);

/* The same for HTTP_CHAR_VALUE. */
struct span http_take_value(struct http_cursor *cursor);

/* Takes exactly this text; false when something else stands there. */
static inline bool http_take_text(struct http_cursor *cursor, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(cursor->end - cursor->at) < len || memcmp(cursor->at, text, len) != 0)
		return false;
	cursor->at += len;
	return true;
}

/* "HTTP/1.1": NONE, HTTP_VERSION for another version, HTTP_MALFORMED for another text. */
enum refusal http_take_version(struct http_cursor *cursor, unsigned int *minor_version);

/* All field lines and the empty line, which must be the end of the input. */
enum refusal http_take_fields(struct http_cursor *cursor, struct http_head *head);

/* Content-Length, Transfer-Encoding: fills framing (HTTP_NO_BODY where neither is there) and
 * content_length; NONE or HTTP_FRAMING. */
enum refusal http_framing_read(struct http_head *head);

/* Fills keeps_alive, as if there were a body with an end (RFC 9112 9.3), and connection_names. */
void http_connection_read(struct http_head *head);

#endif
