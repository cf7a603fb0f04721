/*
 * The process that starts, restarts and reloads the others and holds the listening sockets. It
 * reads no byte that came from the network: its inputs are the configuration, signals, and the
 * fixed messages of message.h.
 */
#ifndef PROXY_SUPERVISOR_H
#define PROXY_SUPERVISOR_H

#include <stdbool.h>

#include "config/model.h"

struct supervisor_options {
	const char *config_path;
	const char *pid_file; /* instead of the configured one; NULL: that */
	bool has_sandbox;
};

/* Runs until SIGTERM has been obeyed. Returns the exit status: 0, or 1 when it could not start,
 * which is then said on standard error. */
int supervisor_run(const struct supervisor_options *options);

#endif
