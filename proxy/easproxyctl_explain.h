/*
 * easproxyctl explain: the way of a certificate through the running configuration, in words.
 */
#ifndef PROXY_EASPROXYCTL_EXPLAIN_H
#define PROXY_EASPROXYCTL_EXPLAIN_H

/* "explain [-s SOCKET] [--device ID] [--json] CERT": 0 when the certificate would come in, 1 when it
 * would not or nobody could be asked, 2 for a wrong command line. */
int ctl_explain(int argc, char **argv);

#endif
