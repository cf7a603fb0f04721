/*
 * easproxyctl device list|show|allow|block|quarantine|wipe|forget|add: the registry of devices. Called by
 * easproxyctl.c alone; argv[0] is the command's name. Returns the exit status: 0, 1 when it was not done, 2
 * for a wrong command line.
 */
#ifndef PROXY_EASPROXYCTL_DEVICE_H
#define PROXY_EASPROXYCTL_DEVICE_H

int ctl_device(int argc, char **argv);

#endif
