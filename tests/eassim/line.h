/*
 * A phone's connection: asks one request at a time over TCP or TLS and reports how it ended. One
 * event, non-blocking, and no buffer of its own while nothing is under way, so that tens of
 * thousands of them fit into a process. TLS is proxy/tls.h's, whose channels sleep deep.
 */
#ifndef EASSIM_LINE_H
#define EASSIM_LINE_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "config/span.h"
#include "identities.h"
#include "proxy/http.h"
#include "proxy/tls.h"
#include "wbxml/buffer.h"

enum { LINE_READ_SIZE = 64 * 1024, LINE_HEAD_MAX = 64 * 1024, LINE_ANSWER_MAX = 32 * 1024 * 1024 };

enum line_end {
	LINE_ANSWER,    /* a whole answer */
	LINE_LOST,      /* closed, reset or timed out before a whole answer */
	LINE_REFUSED,   /* a TLS alert instead of an answer */
	LINE_MALFORMED, /* not HTTP */
	LINE_UNTRUSTED, /* the server's certificate was not accepted */
};

struct line_answer {
	const struct http_head *head;
	struct span content;
	char why[160]; /* for all but LINE_ANSWER */
	bool is_stale; /* LINE_LOST: an idle connection that the server has closed meanwhile */
};

/* What all lines of a fleet have in common. */
struct line_world {
	struct event_base *base;
	struct sockaddr_storage address;
	socklen_t address_len;
	struct tls_client *tls;  /* NULL: plain */
	const char *server_name; /* SNI, and what the server's certificate must be for */
	char *read_buffer;       /* LINE_READ_SIZE */
	uint64_t connects, handshakes;
	void (*on_handshake)(void *arg, uint64_t microseconds);
	void *handshake_arg;
};

enum line_state {
	LINE_CLOSED,
	LINE_CONNECTING,
	LINE_HANDSHAKE,
	LINE_IDLE,
	LINE_ASKING,
	LINE_READING
};

struct line;
typedef void (*line_on_end)(void *arg, enum line_end end, const struct line_answer *answer);

struct line {
	struct line_world *world;
	line_on_end on_end;
	void *arg;
	struct event event;
	struct tls tls;
	enum line_state state;
	bool has_event, is_reused;
	enum http_method method;
	uint32_t timeout_s;
	uint64_t handshake_at_us, asked_at_us;
	struct wbxml_buffer request, answer; /* the head, then the content without framing */
	size_t written, scanned;
	size_t head_len; /* 0 until the head is whole */
	struct http_body body;
	bool keeps_alive;
};

void line_init(struct line *line, struct line_world *world, line_on_end on_end, void *arg);

/* Connects if need be, as the number-th of the identities, and asks. The request's bytes become the
 * line's. source NULL: any. on_end is called from the loop, never from within. */
void line_ask(struct line *line, struct identities *identities, uint32_t number,
	const struct sockaddr *source, enum http_method method, struct wbxml_buffer *request,
	uint32_t timeout_s);
void line_close(struct line *line);

uint64_t now_us(void);

#endif
