/*
 * A socket that connects to one address of an endpoint, from upstream/source-addresses where there are some.
 * For link_connect.c, in workers.
 */
#ifndef PROXY_DIAL_H
#define PROXY_DIAL_H

#include <sys/socket.h>

struct upstream;

/* A non-blocking socket whose connection is under way: it can be written to once that is decided. The caller's.
 * -1 with errno set; EADDRNOTAVAIL or EADDRINUSE: no source address has a port left. */
int dial_address(struct upstream *upstream, const struct sockaddr *to, socklen_t to_len);

#endif
