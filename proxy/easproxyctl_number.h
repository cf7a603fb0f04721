/*
 * Times and sizes on the command line, written as in the configuration. (config/option.h and getopt.h
 * do not go together.) For easproxyctl_*.c.
 */
#ifndef PROXY_EASPROXYCTL_NUMBER_H
#define PROXY_EASPROXYCTL_NUMBER_H

#include <stdint.h>

/* "90s" in milliseconds, "64kB" in bytes: 0, or -1 after standard error was told what is wrong. */
int ctl_read_time(const char *text, uint64_t min_ms, uint64_t max_ms, uint64_t *time_ms);
int ctl_read_size(const char *text, uint64_t min, uint64_t max, uint64_t *size);

#endif
