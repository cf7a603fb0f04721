/*
 * easproxyctl ca: the certificate authorities that may vouch for phones, see easproxyctl(1).
 */
#ifndef PROXY_EASPROXYCTL_CA_H
#define PROXY_EASPROXYCTL_CA_H

/* Returns the exit status. The same holds for all functions here; argv[0] is the sub-command. */
int ctl_ca(int argc, char **argv);

int ctl_ca_list(int argc, char **argv);
int ctl_ca_export(int argc, char **argv);
int ctl_ca_add(int argc, char **argv);
int ctl_ca_set(int argc, char **argv);
int ctl_ca_remove(int argc, char **argv);
int ctl_ca_import(int argc, char **argv);
int ctl_ca_lint(int argc, char **argv);

/* Says how the sub-command argv[0] is written. Returns the exit status. */
int ctl_ca_usage(int argc, char **argv);

#endif
