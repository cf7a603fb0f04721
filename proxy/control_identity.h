/*
 * The control process's channel to the identity process: whose mailbox would these names open? Asked
 * on an operator's behalf, in the same words as workers ask.
 */
#ifndef PROXY_CONTROL_IDENTITY_H
#define PROXY_CONTROL_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/identity_names.h"
#include "proxy/control_process.h"

/* There is no channel yet. */
void control_identity_init(struct control *control);

/* Takes a channel over, closing an older one. */
void control_identity_attach(struct control *control, int fd);

/* Asks; control_upstream_test_identified() or control_explain_identified() gets the answer with that id, as
 * it is of one of control_await()'s numbers. False: nobody listens. */
bool control_identity_ask(struct control *control, uint64_t id, const struct identity_names *names);

#endif
