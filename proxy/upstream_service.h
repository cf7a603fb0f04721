/*
 * What an endpoint is called, and which service a Kerberos ticket has to be for, that logs in there. For
 * workers, and for control, which shows it.
 */
#ifndef PROXY_UPSTREAM_SERVICE_H
#define PROXY_UPSTREAM_SERVICE_H

#include "auth/login.h"
#include "config/model.h"

/* The name that it is asked for, in SNI and by its certificate: that of upstream/host, or its own, with
 * neither port nor brackets. Cut where it does not fit. */
void upstream_name(const struct config_upstream *upstream, const struct config_endpoint *endpoint,
	char *name, size_t size);

/* upstream/spn with %{host} as that name, and %% as %. 0, or -1 where it does not fit or has another %. */
int upstream_service(const struct config_upstream *upstream, const struct config_endpoint *endpoint,
	char service[LOGIN_SERVICE_MAX + 1]);

#endif
