/*
 * What easproxyctl status shows: one JSON object, put together from the shared counters and from
 * what the revocation process has said. For the control process.
 */
#ifndef PROXY_CONTROL_STATUS_H
#define PROXY_CONTROL_STATUS_H

#include <jansson.h>

#include "proxy/child.h"
#include "proxy/control_crl.h"

/* One line of JSON without its end, for the caller to free. Takes over what is said of the state
 * store and of devices. NULL when memory runs out. */
char *control_status(const struct child *child, const struct control_authority *authorities,
	json_t *state_store, json_t *devices);

#endif
