/*
 * easproxyctl status: what a running easproxyd says of itself, for a person to read.
 */
#ifndef PROXY_EASPROXYCTL_STATUS_H
#define PROXY_EASPROXYCTL_STATUS_H

/* Returns the exit status. */
int ctl_status(int argc, char **argv);

#endif
