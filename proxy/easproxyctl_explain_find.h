/*
 * The certificate that easproxyctl explain is asked about: from a file, or one of those that easproxyd
 * has seen, by what its log says of it.
 */
#ifndef PROXY_EASPROXYCTL_EXPLAIN_FIND_H
#define PROXY_EASPROXYCTL_EXPLAIN_FIND_H

#include <jansson.h>

#include "config/error.h"

/* name: a file (PEM, DER or PKCS#7), or where there is none, the beginning of a serial number or SHA-256
 * in hex. Returns the chain as a list of base64, the phone's certificate first, for the caller to let go;
 * NULL with err filled. */
json_t *ctl_explain_find(const char *socket_path, const char *name, struct error *err);

#endif
