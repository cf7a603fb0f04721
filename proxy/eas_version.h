/*
 * The versions of the protocol: 121 is 12.1. For workers.
 */
#ifndef PROXY_EAS_VERSION_H
#define PROXY_EAS_VERSION_H

#include "config/span.h"

/* One of the seven that there are; 0: none of them. */
unsigned int eas_version_of(struct span text);

/* "14.1", static; NULL for a number that is none of them. */
const char *eas_version_name(unsigned int version);

#endif
