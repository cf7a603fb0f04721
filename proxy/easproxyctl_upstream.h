/* easproxyctl upstream: the mail server's endpoints, and the whole way to one of them. For easproxyctl.c. */
#ifndef PROXY_EASPROXYCTL_UPSTREAM_H
#define PROXY_EASPROXYCTL_UPSTREAM_H

#include <jansson.h>

int ctl_upstream(int argc, char **argv);

/* "state connections failures endpoint" of each, with the service that a ticket is for; for status too. */
void ctl_print_endpoints(const json_t *endpoints);

/* Who gives logins, and the directory: one line each, with the reason where it is down; for status. */
void ctl_print_logins(const json_t *logins, const json_t *directory);

#endif
