/*
 * The command "easproxyctl crl": CRLs as the running easproxyd has them.
 */
#ifndef PROXY_EASPROXYCTL_CRL_H
#define PROXY_EASPROXYCTL_CRL_H

/* argv[0] is "crl". Returns the exit status. */
int ctl_crl(int argc, char **argv);

#endif
