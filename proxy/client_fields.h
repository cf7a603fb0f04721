/*
 * What an endpoint is told of a phone's certificate with login client-cert: the fields of RFC 9440,
 * written once, for the certificate does not stay. For workers.
 */
#ifndef PROXY_CLIENT_FIELDS_H
#define PROXY_CLIENT_FIELDS_H

#include <openssl/x509.h>

#include "proxy/http.h"

struct client_fields;

/* chain: what the phone sent, with or without its own certificate. free() it. NULL: memory ran out, or the
 * certificate is too long for a field. */
struct client_fields *client_fields_new(X509 *leaf, const STACK_OF(X509) * chain);

void client_fields_write(const struct client_fields *fields, struct http_writer *writer);

#endif
