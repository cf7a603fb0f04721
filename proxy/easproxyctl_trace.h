/*
 * easproxyctl trace: follows a phone, or all phones of a mailbox, for a while. argv[0] is the command's
 * name. Returns the exit status: 0, 1 when it failed, 2 for a wrong command line.
 */
#ifndef PROXY_EASPROXYCTL_TRACE_H
#define PROXY_EASPROXYCTL_TRACE_H

int ctl_trace(int argc, char **argv);

#endif
