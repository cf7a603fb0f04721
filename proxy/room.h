/*
 * Requests that easproxyd answers itself, instead of the mail server: of them no byte goes there. A request
 * in a room is read and decoded to its end, and then answered by exchange_answer_own() or
 * exchange_refuse(). For workers.
 */
#ifndef PROXY_ROOM_H
#define PROXY_ROOM_H

#include <stdbool.h>

#include "config/refusal.h"

struct exchange;
struct room_reply;

enum room {
	ROOM_UPSTREAM, /* none: the mail server answers */
	ROOM_WIPE,
	ROOM_QUARANTINE,
	ROOM_AUTODISCOVER
};

enum { ROOM_BODY_MAX = 64 * 1024 }; /* of a body that is kept whole, exchange->collected */

/* Chooses the room by what the device is (exchange->device->grant), or, for a session that may only be
 * told to wipe, by that. REFUSAL_NONE, or why there is none. Asked once that is known. */
enum refusal room_choose(struct exchange *exchange);

/* Answers the request, which is read to its end. Once this returns it is answered, or waits for a timer of
 * the room's own. */
void room_answer(struct exchange *exchange);

/* The request is whole and goes to the mail server, unless it has something of the quarantine's in it, from
 * when the device was there: then the phone is told to look at its folders again. True: answered. */
bool room_release(struct exchange *exchange);

/* The wait of a long poll in a room is over: it is answered. False: it is none. */
bool room_wait_over(struct exchange *exchange);

/* What the device is has changed while its request is under way. Answers it so that the phone asks
 * again, and meets what it is now; in a room it has waited, and hears at once. Where it cannot be answered any
 * more its connection ends. Nothing where it may go on. */
void room_recheck(struct exchange *exchange);

/* For the rooms: sends it, and frees it. */
void room_send(struct exchange *exchange, struct room_reply *reply);

#endif
