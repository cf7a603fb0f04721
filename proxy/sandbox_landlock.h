/*
 * The sandbox's half about files and ports. For sandbox.c alone.
 */
#ifndef PROXY_SANDBOX_LANDLOCK_H
#define PROXY_SANDBOX_LANDLOCK_H

#include "config/error.h"
#include "proxy/child.h"

/* Takes away all files and ports but those of the child's job, as far as the kernel can. 0 or -1. */
int sandbox_landlock(const struct child *child, struct error *err);

#endif
