/*
 * What a handler of the control socket's requests gets, and how it answers. Handlers are rows of
 * the table in control_requests.c; each runs on the control process's loop and must not block.
 */
#ifndef PROXY_CONTROL_REQUEST_H
#define PROXY_CONTROL_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct control;        /* the process: proxy/control_process.h */
struct control_client; /* one connection, with its one request */

/* Borrowed, as are all its members, until the handler returns. */
struct control_request {
	const char *name;
	json_t *arguments; /* the object that was sent; an empty one after a bare word */
	uid_t user_id;     /* of the process at the other end */
};

/* Answers exactly once, at once or later; the client must not be touched after that. */
typedef void control_handler(struct control *control, struct control_client *client,
	const struct control_request *request);

/* A member of the arguments; NULL where it is missing or no string. */
const char *control_argument(const struct control_request *request, const char *name);

/* Takes the object over and adds "ok": true to it. NULL, for want of memory, ends the connection
 * without an answer. */
void control_answer(struct control_client *client, json_t *answer);
void control_answer_done(struct control_client *client);
void control_answer_error(struct control_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Takes over one line of JSON without its line feed, from malloc(). */
void control_answer_text(struct control_client *client, char *text);

/* Instead of an answer, many lines of it. gone is called, with context, when the client has hung up or gone
 * wrong: it must not be touched after that, nor after control_stream_end(). */
void control_stream_begin(
	struct control_client *client, void (*gone)(void *context), void *context);

/* Takes over one line of JSON without its line feed, from malloc(). False: too much waits already for a
 * client that does not read, and the line was dropped; with must, it never is. Calls nobody. */
bool control_stream_line(struct control_client *client, char *text, bool must);

/* No more lines come; what waits is still sent, for CONTROL_TIME_MS. */
void control_stream_end(struct control_client *client);

/* What a client waits for whose answer comes later. */
enum control_wait {
	CONTROL_WAIT_NONE,
	CONTROL_WAIT_RELOAD,
	CONTROL_WAIT_EXPLANATION,
	CONTROL_WAIT_CRL,
	CONTROL_WAIT_HISTORY
};

/* Instead of an answer: the handler returns, and whoever has the answer looks for the client again. After
 * time_ms the client is told too_late (a constant) as an error. Returns a number, never 0, which no other
 * client gets. A client that hangs up is gone, and is not found any more. */
uint64_t control_await(struct control_client *client, enum control_wait wait, uint32_t time_ms,
	const char *too_late);

/* The client that waits for it with that number (0: any of them); NULL: nobody does. */
struct control_client *control_find_waiting(
	const struct control *control, enum control_wait wait, uint64_t number);

/* The handlers, each in the file that is named for it. */
control_handler control_request_status; /* control_requests.c */
control_handler control_request_reload;
control_handler control_request_refresh;
control_handler control_request_user_revoke; /* control_users.c */
control_handler control_request_user_allow;
control_handler control_request_user_show;
control_handler control_request_user_list;
control_handler control_request_seen; /* control_seen.c */

/* Finds the handler, logs who asks for what, and runs it. */
void control_request_run(struct control *control, struct control_client *client,
	const struct control_request *request);

#endif
