/*
 * The revocation process's answers to workers about OCSP: auth/ocsp_engine.h behind one channel for
 * each worker.
 */
#ifndef PROXY_REVOCATION_OCSP_H
#define PROXY_REVOCATION_OCSP_H

#include <event2/event.h>

#include "proxy/child.h"

struct revocation_ocsp; /* opaque */

/* NULL with err filled. */
struct revocation_ocsp *revocation_ocsp_new(
	struct event_base *base, const struct child *child, struct error *err);

/* Takes over the channel to another worker. */
void revocation_ocsp_attach(struct revocation_ocsp *ocsp, int fd);

#endif
