/*
 * What easproxyctl status shows: one JSON object, put together from the shared counters and from
 * what the revocation process has said. For the control process.
 */
#ifndef PROXY_CONTROL_STATUS_H
#define PROXY_CONTROL_STATUS_H

struct control;

/* One line of JSON without its end, for the caller to free. NULL when memory runs out. */
char *control_status(struct control *control);

#endif
