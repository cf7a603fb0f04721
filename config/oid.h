/*
 * Object identifiers as text. For every room, in every process.
 */
#ifndef CONFIG_OID_H
#define CONFIG_OID_H

#include "config/error.h"

/* Whether it is one in dotted decimal, "1.3.6.1.4.1.311.21.8", written the one way that compares. 0, or -1
 * with err filled. */
int oid_check(const char *text, struct error *err);

#endif
