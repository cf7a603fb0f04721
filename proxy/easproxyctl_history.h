/*
 * easproxyctl device history: the last exchanges of a device, as all workers remember them.
 */
#ifndef PROXY_EASPROXYCTL_HISTORY_H
#define PROXY_EASPROXYCTL_HISTORY_H

/* argv[0] is "history". Returns the exit status: 0, 1 when it failed, 2 for a wrong command line. */
int ctl_device_history(int argc, char **argv);

#endif
