/*
 * The quarantine room: what room_quarantine_reply.h says, with the message of the configuration. For
 * workers.
 */
#ifndef PROXY_ROOM_QUARANTINE_H
#define PROXY_ROOM_QUARANTINE_H

#include <stdbool.h>

#include "proxy/room_quarantine_reply.h"

struct exchange;

/* is_over: a long poll whose wait is over. */
void room_quarantine_answer(struct exchange *exchange, bool is_over);

#endif
