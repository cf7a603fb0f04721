/*
 * The wipe room: what room_wipe_reply.h says, sent, logged, and told to the control process. For workers.
 */
#ifndef PROXY_ROOM_WIPE_H
#define PROXY_ROOM_WIPE_H

struct exchange;

void room_wipe_answer(struct exchange *exchange);

#endif
