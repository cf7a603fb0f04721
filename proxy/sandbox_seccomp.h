/*
 * The sandbox's half about system calls. For sandbox.c alone.
 */
#ifndef PROXY_SANDBOX_SECCOMP_H
#define PROXY_SANDBOX_SECCOMP_H

#include "config/error.h"
#include "proxy/child.h"

/* Takes away all system calls but those of the child's job; another one ends the process with
 * SIGSYS. 0 or -1. */
int sandbox_seccomp(const struct child *child, struct error *err);

#endif
