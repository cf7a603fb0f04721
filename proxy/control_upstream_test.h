/*
 * easproxyctl upstream test: control asks the identity process whose mailbox it is, then has a worker go the
 * whole way to one endpoint after the other, and passes on what became of each step. Bounded in number and in
 * time; a worker that ends ends the test. For proxy/control*.c alone.
 */
#ifndef PROXY_CONTROL_UPSTREAM_TEST_H
#define PROXY_CONTROL_UPSTREAM_TEST_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/control_process.h"
#include "proxy/control_request.h"
#include "proxy/control_workers.h"
#include "proxy/message.h"

/* "upstream-test" of "mailbox" (and "endpoint", a URL as it stands in the configuration): a stream of
 * {"event": "test" | "step" | "over", …}. */
control_handler control_request_upstream_test;

/* A MESSAGE_UPSTREAM_STEP. */
void control_upstream_test_take(struct control *control, const struct control_worker *worker,
	const struct message *message);

/* An answer of the identity process; false: it is not for a test. */
bool control_upstream_test_identified(struct control *control, const struct mailbox_answer *found);

/* A worker has gone. */
void control_upstream_test_worker_gone(
	struct control *control, const struct control_worker *worker);

/* This process ends: all tests are over, and their clients are told. */
void control_upstream_test_drain(struct control *control);

#endif
