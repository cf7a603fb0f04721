/*
 * The last exchanges of a device: all workers are asked, what they say is merged by time, and easproxyctl
 * device history gets it, from those that answered in time. For proxy/control*.c alone.
 */
#ifndef PROXY_CONTROL_HISTORY_H
#define PROXY_CONTROL_HISTORY_H

#include "proxy/control_process.h"
#include "proxy/control_request.h"
#include "proxy/message.h"

/* "device-history" of "device" (and "mailbox"): {"exchanges": […], "unanswered": n}. */
control_handler control_request_device_history;

/* A MESSAGE_HISTORY of the worker in that slot. */
void control_history_take(struct control *control, uint32_t slot, const struct message *message);

#endif
