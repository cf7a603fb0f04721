/*
 * An exchange that easproxyctl trace follows: the beginnings of its bodies are copied as they pass, and at
 * its end it is told as one event, its documents decoded and redacted here, so that nothing
 * secret leaves the worker. For exchange*.c.
 */
#ifndef PROXY_EXCHANGE_TRACE_H
#define PROXY_EXCHANGE_TRACE_H

#include "proxy/exchange.h"

/* Whom it is from is known: an event where somebody follows that, and copies from then on. */
void exchange_trace_begin(struct exchange *exchange);

/* What the phone sends and gets, piece by piece. */
void exchange_trace_copy(struct exchange *exchange, struct span content, bool is_answer);

/* What was taken for the phone's answer does not get there. */
void exchange_trace_forget_answer(struct exchange *exchange);

/* A whole answer of ours, with its head. */
void exchange_trace_own_answer(struct exchange *exchange, struct span message);

/* It is over: an event, also of one that had begun before anybody followed. Before
 * exchange_gate_leave(). */
void exchange_trace_end(struct exchange *exchange);

/* Lets go of the copies. */
void exchange_trace_free(struct exchange *exchange);

/* What it costs where nobody follows. */
static inline void exchange_trace_request(struct exchange *exchange, struct span content)
{
	if (exchange->traced != NULL)
		exchange_trace_copy(exchange, content, false);
}

static inline void exchange_trace_answer(struct exchange *exchange, struct span content)
{
	if (exchange->traced != NULL)
		exchange_trace_copy(exchange, content, true);
}

#endif
