/*
 * easproxyctl's side of the control socket; see control.h for the protocol.
 */
#ifndef PROXY_EASPROXYCTL_CLIENT_H
#define PROXY_EASPROXYCTL_CLIENT_H

#include <jansson.h>
#include <stdint.h>

#include "config/error.h"

#define CTL_DEFAULT_SOCKET "/run/easproxy/control.sock"

/* Sends a line (a word, or a JSON object) and returns the answer: one line of JSON, for the caller
 * to free. NULL with err filled when easproxyd cannot be reached. */
char *ctl_ask(const char *socket_path, const char *line, struct error *err);

/* Sends {"request": "…", …}, which it takes over, and returns the answer {"ok": true, …} for the
 * caller to let go. NULL with err filled when easproxyd cannot be reached or says no. */
json_t *ctl_request(const char *socket_path, json_t *request, struct error *err);

/* Called for each line of a stream, without its line feed. */
typedef void ctl_line(void *context, const char *line);

/* Sends the request, which it takes over, and hands every line of the answer to take, until there are no
 * more; time_ms is how long nothing may come. 0, or -1 with err filled when easproxyd cannot be reached or
 * a line is too long. */
int ctl_stream(const char *socket_path, json_t *request, uint32_t time_ms, ctl_line *take,
	void *context, struct error *err);

/* A command "WORD [-s SOCKET]" whose answer says only whether it was done: prints done, or why not. Returns
 * the exit status. */
int ctl_simple_request(int argc, char **argv, const char *done);

#endif
