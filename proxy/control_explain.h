/*
 * The request "explain": the whole way of a certificate through the running configuration, step by
 * step, by the code that workers judge phones with. For the control process.
 */
#ifndef PROXY_CONTROL_EXPLAIN_H
#define PROXY_CONTROL_EXPLAIN_H

#include "proxy/control_process.h"
#include "proxy/control_request.h"
#include "proxy/message.h"

/* What explain needs, beside what control has anyway. 0, or -1 with err filled. */
int control_explain_start(struct control *control, struct error *err);

/* An index has come from the supervisor; fd stays the caller's. */
void control_explain_take_index(struct control *control, const struct message *message, int fd);

/* The identity process has answered. */
void control_explain_identified(struct control *control, const struct mailbox_answer *found);

/* What a responder says of the certificate that was asked about; both NULL: the revocation process has
 * gone, and nobody answers any more. */
void control_explain_ocsp(
	struct control *control, const uint8_t leaf_sha256[32], const struct ocsp_result *result);

/* {"request": "explain", "chain": ["base64 of DER", …], "device": "…"}: the certificate, then what
 * its phone would send beside it. The answer is described by easproxyctl_explain.c, which prints it. */
control_handler control_request_explain;

#endif
