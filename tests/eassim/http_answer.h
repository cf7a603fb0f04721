/* How an answer looks on the wire, in any framing and in all the ways of going wrong. */
#ifndef EASSIM_HTTP_ANSWER_H
#define EASSIM_HTTP_ANSWER_H

#include <event2/buffer.h>

#include "http_server.h"

/* Appends the answer in that manner; true: the connection ends with it. ANSWER_HANG is the caller's. */
bool http_answer_write(
	const struct server_answer *answer, enum answer_manner manner, struct evbuffer *out);

#endif
