/*
 * What each kind of child may do: Landlock for files and a seccomp filter (libseccomp) for system
 * calls, one table. Called by the child itself once all that needs more is done.
 */
#ifndef PROXY_SANDBOX_H
#define PROXY_SANDBOX_H

#include <sys/types.h>

#include "config/error.h"
#include "proxy/child.h"

/* Who children shall be: the configured user and group, or who we are where none is configured. 0, or -1
 * for an unknown name. */
int sandbox_find_user(const struct config *config, uid_t *uid, gid_t *gid, struct error *err);

/* Gives up root for config->user and group (supplementary groups too), in the child, before its
 * first byte from outside. Without root and with no user configured it does nothing. 0 or -1. */
int sandbox_drop_user(const struct child *child, struct error *err);

/* no_new_privs, Landlock, seccomp (violations end the process). Where the kernel
 * has no Landlock or less of it, a warning is logged and the rest is entered. 0 or -1. */
int sandbox_enter(const struct child *child, struct error *err);

/* The half about files alone (no_new_privs, Landlock), for a child that tries out what a helper will do.
 * 0 or -1. */
int sandbox_enter_files(const struct child *child, struct error *err);

#endif
