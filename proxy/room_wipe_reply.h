/*
 * The wipe room, without I/O: what a phone under a wipe order is answered, whatever it asks (MS-ASPROV
 * 3.1.5.1.2.1 and 3.2.5.1.2.2; docs/devices.md). For workers.
 *
 *	any command	Status 140 from 14.0 on; before, HTTP 449 to a request with a policy key,
 *			403 to one without
 *	Provision	the directive; its acknowledgement is answered with Status 1, and one that says
 *			that the wipe failed (Status 2) with the directive again
 *	OPTIONS		what easproxyd can do, so that the phone gets as far as Provision
 *
 * A phone that cannot do what is ordered, because it speaks a version before 16.1 and only the account
 * is to go, is refused as blocked. One that has acknowledged is refused as wiped, but for Provision,
 * which has nothing to say any more: it may be somebody's phone anew, under the same device id.
 */
#ifndef PROXY_ROOM_WIPE_REPLY_H
#define PROXY_ROOM_WIPE_REPLY_H

#include "proxy/room_reply.h"

struct room_wipe_order {
	enum room_wipe_kind kind; /* not NONE, unless is_done */
	bool is_done;             /* acknowledged with Status 1 */
};

/* Whether the phone can do what is ordered: AccountOnlyRemoteWipe is of 16.1. */
bool room_wipe_is_possible(const struct room_wipe_order *order, unsigned int version);

/* reply is empty ({0}); free it in any case. */
void room_wipe_reply(const struct room_wipe_order *order, const struct room_question *question,
	struct room_reply *reply);

#endif
