/*
 * Which certificates came: workers report, the state store keeps, easproxyctl seen shows. What comes in
 * one second is written together, so that a storm of strangers costs little.
 */
#ifndef PROXY_CONTROL_SEEN_H
#define PROXY_CONTROL_SEEN_H

#include <stdint.h>

#include "config/error.h"
#include "proxy/control_request.h"
#include "proxy/message.h"
#include "proxy/state_seen.h"

/* 0, or -1 with err filled. */
int control_seen_start(struct control *control, struct error *err);

/* A worker's MESSAGE_SEEN. */
void control_seen_take(struct control *control, const struct message *message);

/* Writes what is waiting, so that the store can be asked, or before the end. */
void control_seen_flush(struct control *control);

/* Reports that were not kept: too many strangers at once, or the store did not take them. */
uint64_t control_seen_dropped(const struct control *control);

/* One certificate as "seen" and "user-show" answer it. */
json_t *control_seen_object(const struct state_seen *seen);

#endif
