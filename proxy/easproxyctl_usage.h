/*
 * How the commands of easproxyctl say what they take.
 */
#ifndef PROXY_EASPROXYCTL_USAGE_H
#define PROXY_EASPROXYCTL_USAGE_H

#include <stdbool.h>
#include <stdio.h>

/* Whether a command line asks how it is written, by --help or -h. */
bool ctl_asks_for_help(int argc, char **argv);

/* Where that is said: on standard output where it was asked for, else on standard error. */
FILE *ctl_usage_stream(int argc, char **argv);

/* The exit status after it was said: 0 where it was asked for, else 2. */
int ctl_usage_status(int argc, char **argv);

/* Says "usage: easproxyctl TEXT" there. Returns the exit status. */
int ctl_usage(int argc, char **argv, const char *text);

#endif
