/*
 * What was seen of a body, as fields of a request's log line: counts and names, no content; an IMEI
 * but for its last digits. For workers.
 */
#ifndef PROXY_EAS_BODY_LOG_H
#define PROXY_EAS_BODY_LOG_H

#include "proxy/eas_body.h"
#include "proxy/log.h"

/* body NULL: nothing. The fields of an answer have names of their own. */
void eas_body_log(struct log_line *line, const struct eas_body *body, bool is_answer);

#endif
