/*
 * One event of a trace, for a person to read. For easproxyctl_trace.c.
 */
#ifndef PROXY_EASPROXYCTL_TRACE_PRINT_H
#define PROXY_EASPROXYCTL_TRACE_PRINT_H

#include <jansson.h>

void ctl_print_traced(const json_t *event);

#endif
