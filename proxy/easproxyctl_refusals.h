/*
 * easproxyctl refusals: the table of refusal.def, for a person to read and for docs/refusals.md.
 */
#ifndef PROXY_EASPROXYCTL_REFUSALS_H
#define PROXY_EASPROXYCTL_REFUSALS_H

/* Returns the exit status. */
int ctl_refusals(int argc, char **argv);

#endif
