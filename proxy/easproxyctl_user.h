/*
 * easproxyctl user revoke|allow|show|list, and easproxyctl seen: who may not come in any more, and who came
 * with which certificate. Called by easproxyctl.c alone; argv[0] is the command's name. Each returns
 * the exit status: 0, 1 when it was not done, 2 for a wrong command line.
 */
#ifndef PROXY_EASPROXYCTL_USER_H
#define PROXY_EASPROXYCTL_USER_H

int ctl_user(int argc, char **argv);
int ctl_seen(int argc, char **argv);

#endif
