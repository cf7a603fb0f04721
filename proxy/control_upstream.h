/*
 * easproxyctl upstream list: the endpoints as the workers see them, and who gives logins for them. For
 * proxy/control*.c alone.
 */
#ifndef PROXY_CONTROL_UPSTREAM_H
#define PROXY_CONTROL_UPSTREAM_H

#include <jansson.h>

#include "config/model.h"
#include "proxy/control_request.h"
#include "proxy/shared.h"

/* "upstream-list": {"upstream": …, "login": …, "endpoints": […], "logins": […], "directory": …}. */
control_handler control_request_upstream_list;

/* Each endpoint, as the workers see it, each for itself. */
json_t *control_endpoints_status(
	const struct shared *shared, const struct config_upstream *upstream);

/* The word of the configuration for upstream/login. */
const char *control_login_name(enum config_login login);

#endif
