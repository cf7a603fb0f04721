/*
 * The templates of upstream/headers and upstream/basic-user: text with %{mailbox}, %{local-part},
 * %{domain}, %{device-id}, %{device-type}, %{request-id}, %{client-address} and %%. The configuration
 * has checked their names. For workers.
 */
#ifndef PROXY_TEMPLATE_H
#define PROXY_TEMPLATE_H

#include <stddef.h>

struct template_values {
	const char *mailbox;
	const char *device_id;
	const char *device_type;
	const char *request_id;
	const char *client_address;
};

/* Fills text, NUL-terminated. 0, or -1 where it does not fit or a name is unknown: the request must
 * not be sent then. */
int template_fill(
	const char *template, const struct template_values *values, char *text, size_t size);

#endif
