/*
 * Which service a Kerberos ticket has to be for, that logs in at an endpoint. For workers, and for control,
 * which shows it.
 */
#ifndef PROXY_UPSTREAM_SERVICE_H
#define PROXY_UPSTREAM_SERVICE_H

#include "auth/login.h"
#include "config/model.h"

/* upstream/spn with %{host} as the endpoint's name (as it is written in its URL), and %% as %. 0, or -1
 * where it does not fit or has another %. */
int upstream_service(const struct config_upstream *upstream, const struct config_endpoint *endpoint,
	char service[LOGIN_SERVICE_MAX + 1]);

#endif
