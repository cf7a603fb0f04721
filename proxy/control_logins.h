/*
 * What an operator is told of logins at the mail server and of the directory: up or down, since when and
 * why, and what the identity process has counted. For proxy/control*.c alone.
 */
#ifndef PROXY_CONTROL_LOGINS_H
#define PROXY_CONTROL_LOGINS_H

#include <jansson.h>

#include "auth/login.h"
#include "proxy/control_process.h"
#include "proxy/message.h"

struct control_logins; /* opaque: one of control's */

/* Begins to take samples of the counters, for rates. 0, or -1 with err filled. */
int control_logins_start(struct control *control, struct error *err);

/* A MESSAGE_LOGIN_STATE: why somebody is down. */
void control_logins_take(struct control *control, const struct message *message);

/* The ways to log in that the configuration uses and for which somebody has to be asked: a list, empty
 * where there are none. */
json_t *control_logins_status(const struct control *control);

/* The directory that is asked over a network; null where there is none. */
json_t *control_directory_status(const struct control *control);

#endif
