/*
 * Users in the control process: the state store is opened, workers hear from it (through the supervisor) who is
 * out, and easproxyctl user … is answered.
 */
#ifndef PROXY_CONTROL_USERS_H
#define PROXY_CONTROL_USERS_H

#include "config/error.h"
#include "proxy/control_process.h"
#include "proxy/control_request.h"

/* Compiles who is out and sends it, and looks every second whether somebody else has changed it: during
 * a reload there are two control processes. 0, or -1 with err filled. */
int control_users_start(struct control *control, struct error *err);

/* What status says of the state store. */
json_t *control_users_status(struct control *control);

/* The store would not do something: said in the log, once for each trouble, and by status until it
 * does. text "": it has. */
void control_store_trouble(struct control *control, enum control_trouble which, const char *text);

#endif
