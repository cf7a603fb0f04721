/*
 * `easproxyctl verify`: the judgement of a certificate without a running easproxyd. Returns the exit
 * status: 0 accepted, 1 refused, 2 for a wrong command line or files that cannot be read.
 */
#ifndef PROXY_EASPROXYCTL_VERIFY_H
#define PROXY_EASPROXYCTL_VERIFY_H

int ctl_verify(int argc, char **argv);

#endif
