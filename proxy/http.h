/*
 * HTTP/1.1 by RFC 9110 and 9112, with every ambiguity refused: heads, body framing, and writing
 * anew what is passed on. No I/O, no allocation; a parsed head points into the bytes it was parsed
 * from. For workers and eassim.
 */
#ifndef PROXY_HTTP_H
#define PROXY_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/refusal.h"
#include "config/span.h"
#include "proxy/http_name.h"

enum { HTTP_FIELD_MAX = 64 };

enum http_result { HTTP_REFUSED = -1, HTTP_MORE = 0, HTTP_DONE = 1 };

enum http_method { HTTP_OPTIONS, HTTP_POST, HTTP_GET };

enum http_framing {
	HTTP_NO_BODY,
	HTTP_LENGTH, /* Content-Length */
	HTTP_CHUNKED,
	HTTP_UNTIL_CLOSE /* answers only */
};

struct http_field {
	struct span name, value; /* value without the white space around it */
	uint8_t number;          /* enum http_name: what it is */
	uint8_t like;            /* the same, or what some server could take it for */
};

struct http_head {
	/* requests */
	enum http_method method;
	struct span path;  /* of the origin-form, still percent-encoded, starts with "/"; "*" is
			      possible with OPTIONS */
	struct span query; /* after "?", still encoded; len 0 and data NULL without one */
	struct span host;  /* Host's value */
	bool expects_continue;
	/* answers */
	unsigned int status;
	struct span reason;
	/* both */
	unsigned int minor_version; /* 0 or 1 */
	bool keeps_alive;           /* by version and Connection; RFC 9112 9.3 */
	bool connection_names;      /* Connection has other words than close and keep-alive */
	enum http_framing framing;
	uint64_t content_length; /* with HTTP_LENGTH */
	uint64_t resembled; /* the names that came in another spelling, HTTP_NAME_BIT() of each */
	size_t field_count;
	uint8_t counts[HTTP_NAME_COUNT]; /* how often each came as itself; OTHER: not counted */
	uint8_t places[HTTP_NAME_COUNT]; /* of those that came the first one's, in fields */
	struct http_field fields[HTTP_FIELD_MAX];
	enum refusal refusal; /* why HTTP_REFUSED was returned; for answers UPSTREAM_MALFORMED */
};

/*
 * Looks for the end of a head in bytes that arrive in pieces. *scanned starts at 0 and remembers
 * how far was looked, so that no byte is looked at twice. HTTP_DONE: *head_len is the length with
 * the empty line. HTTP_REFUSED: a bare LF, a NUL, or a first byte that no head can have, without
 * waiting for more. (Other faults, a bare CR among them, are left to the parser.) One empty line
 * (CRLF) before a request line is passed over, RFC 9112 2.2; it counts into *head_len. The caller
 * bounds len.
 */
enum http_result http_head_find_end(
	const char *data, size_t len, size_t *scanned, size_t *head_len);

/*
 * Parses a whole head, as http_head_find_end() found it. HTTP_DONE or HTTP_REFUSED. Refused: both
 * Content-Length and Transfer-Encoding; Content-Length repeated, listed, signed or past 2^63-1;
 * any Transfer-Encoding but exactly "chunked", or with HTTP/1.0; white space before a colon; obs-
 * fold; bare CR or LF; NUL and other control characters; a field name that is not a token;
 * missing, repeated or malformed Host; absolute-form for another host than Host's; CONNECT and the
 * other methods (METHOD_NOT_ALLOWED: a well-formed request with an unwanted method); fragments and
 * bytes outside RFC 3986 in the target; Expect but 100-continue; a GET with content; a Connection
 * that names a field which is acted on here (Host, Content-Length, Content-Type, …), so that no
 * later server can see another request than we did.
 */
enum http_result http_request_parse(struct http_head *head, const char *data, size_t head_len);

/* The same for a status line and its fields. request_method decides whether a body follows: none
 * after 1xx, 204, 304. Refused as well: 101, and 1xx or 204 with content. */
enum http_result http_answer_parse(
	struct http_head *head, const char *data, size_t head_len, enum http_method request_method);

/* Whether content follows a parsed head, as far as that can say. */
static inline bool http_has_content(const struct http_head *head)
{
	return head->framing != HTTP_NO_BODY &&
	       !(head->framing == HTTP_LENGTH && head->content_length == 0);
}

/* Puts a field, of any bytes, behind the others of a head that has less than HTTP_FIELD_MAX. Returns what its
 * name is. */
enum http_name http_field_add(struct http_head *head, struct span name, struct span value);

/* Takes the fields of a set of names (HTTP_NAME_BIT()) out of a parsed head. */
void http_fields_remove(struct http_head *head, uint64_t names);

/* How many fields of a name there are, not HTTP_NAME_OTHER; *value is that of the first. */
static inline size_t http_field_get(
	const struct http_head *head, enum http_name name, struct span *value)
{
	*value = head->counts[name] > 0 ? head->fields[head->places[name]].value : span_of(NULL, 0);
	return head->counts[name];
}

/* The value of the only field of that name (without case). Returns how many there are; *value is
 * that of the first. */
size_t http_field_find_span(const struct http_head *head, struct span name, struct span *value);

/* The same; inline, because the compiler knows how long a name is that stands in the code. */
static inline size_t http_field_find(
	const struct http_head *head, const char *name, struct span *value)
{
	return http_field_find_span(head, span_of_string(name), value);
}

/* Whether a list field (comma separated, all fields of the name) has the token, without case. */
bool http_field_has_token(const struct http_head *head, const char *name, const char *token);

/* Whether the value of a Content-Type has this type and subtype, without case, whatever its
 * parameters. */
bool http_media_type_is(struct span value, const char *type);

/* Whether a field must not be passed on by a proxy: RFC 9110 7.6.1's and 11.7's with all that
 * resembles them, Trailer, and those that Connection names. */
bool http_field_is_hop_by_hop(const struct http_head *head, const struct http_field *field);

/* Whether Connection names this field: RFC 9110 7.6.1. */
bool http_field_is_connections(const struct http_head *head, const struct http_field *field);

/* The same for a name that is not HTTP_NAME_OTHER. */
bool http_name_is_connections(const struct http_head *head, enum http_name name);

/* http_field_resembles() of names that are as long as each other. */
bool http_names_resemble(struct span field_name, const char *name);

/* Whether a field's name could be taken for `name` by some server: letters without case, and "_",
 * "." and " " read as "-". Most names are told apart by their first letters. */
static inline bool http_field_resembles(struct span field_name, const char *name)
{
	if (field_name.len == 0)
		return name[0] == '\0';
	return http_letter_folded(field_name.data[0]) == http_letter_folded((uint8_t)name[0]) &&
	       field_name.len == strlen(name) && http_names_resemble(field_name, name);
}

/* The framing of one body: how far it has come. Plain values; copied freely. */
struct http_body {
	enum http_framing framing;
	uint64_t left;  /* of the body (LENGTH) or of the chunk (CHUNKED) */
	uint64_t total; /* bytes of content seen */
	uint8_t state;
	uint16_t line_bytes;    /* of the chunk-size or trailer line under way */
	uint32_t trailer_bytes; /* of trailers and chunk extensions, together */
};

void http_body_begin(struct http_body *body, const struct http_head *head);

/*
 * Takes the next bytes off *data and *len. HTTP_DONE: the body is at its end, what is left over
 * belongs to the next message. HTTP_MORE with content->len > 0: a piece of content, in place; call
 * again. HTTP_MORE with content->len 0: all is used up. HTTP_REFUSED: bad chunk size (white space,
 * over 16 digits, past 2^63-1), extension (over 256 bytes in a line, white space) or trailer; both
 * together over 4 KiB in a body. Trailer fields are dropped. With HTTP_UNTIL_CLOSE it is never
 * done.
 */
enum http_result http_body_next(
	struct http_body *body, const char **data, size_t *len, struct span *content);

bool http_body_is_done(const struct http_body *body);

/* Writes heads and chunk lines into a fixed buffer. What does not fit, or would break the grammar
 * (CR, LF or NUL in a value), sets has_failed, and the whole must not be sent. */
struct http_writer {
	char *data;
	size_t len, capacity;
	bool has_failed;
};

void http_write_request_line(struct http_writer *writer, enum http_method method,
	struct span prefix, struct span path, struct span query);
void http_write_status_line(struct http_writer *writer, unsigned int status, struct span reason);
void http_write_field(struct http_writer *writer, struct span name, struct span value);
/* A field of a parsed head, which is not looked at again. */
void http_write_field_again(struct http_writer *writer, const struct http_field *field);
void http_write_field_text(struct http_writer *writer, const char *name, const char *value);
void http_write_field_number(struct http_writer *writer, const char *name, uint64_t value);
void http_write_end(struct http_writer *writer); /* the empty line */

/* "1f40\r\n" into text; returns its length. After the chunk's content comes "\r\n". */
size_t http_chunk_head(char text[20], size_t chunk_len);

/* "POST", static. */
const char *http_method_name(enum http_method method);

/* The reason phrase for the statuses that easproxy and EAS use (449: "Retry after sending a
 * PROVISION command"), "" for others. */
const char *http_reason(unsigned int status);

#endif
