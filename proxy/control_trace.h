/*
 * easproxyctl trace: control tells all workers whom to follow, also those that come later, and passes on
 * what they see, line by line, numbered, with what was lost counted. Bounded in number, in time,
 * and in what waits for a client that reads slowly. For proxy/control*.c alone.
 */
#ifndef PROXY_CONTROL_TRACE_H
#define PROXY_CONTROL_TRACE_H

#include "proxy/control_process.h"
#include "proxy/control_request.h"
#include "proxy/control_workers.h"
#include "proxy/message.h"

/* "trace" of "target", a device id or a mailbox (which has an @), with "time_ms", "bodies", "body_max",
 * "content". */
control_handler control_request_trace;

/* A MESSAGE_TRACED. */
void control_trace_take(
	struct control *control, struct control_worker *worker, const struct message *message);

/* A worker has come, or has gone. */
void control_trace_worker_came(struct control *control, struct control_worker *worker);
void control_trace_worker_gone(struct control *control, const struct control_worker *worker);

/* This process ends: all traces are over, and their clients are told. */
void control_trace_drain(struct control *control);

#endif
