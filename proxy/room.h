/*
 * Requests that easproxyd answers itself, instead of the mail server: of them no byte goes there. A request
 * in a room is read and decoded to its end, and then answered by exchange_answer_own() or
 * exchange_refuse(). For workers.
 */
#ifndef PROXY_ROOM_H
#define PROXY_ROOM_H

struct exchange;

enum room {
	ROOM_UPSTREAM, /* none: the mail server answers */
	ROOM_WIPE,
	ROOM_QUARANTINE,
	ROOM_AUTODISCOVER
};

enum { ROOM_BODY_MAX = 64 * 1024 }; /* of a body that is kept whole, exchange->collected */

/* Answers the request, which is read to its end. Once this returns it is answered, or waits for a timer of
 * the room's own. */
void room_answer(struct exchange *exchange);

#endif
