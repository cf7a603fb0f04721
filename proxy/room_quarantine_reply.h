/*
 * The quarantine room, without I/O: a small mailbox of easproxyd's own, the same for every phone, with
 * a few empty folders and one message that says what to do (docs/devices.md). For workers.
 *
 *	Provision	there is no policy for this phone: nothing that a key of ours could be taken for
 *			when it is let in
 *	FolderSync	the folders; another key than ours has the phone start over (Status 9)
 *	Sync		the message, once; then nothing new, at once or when the heartbeat is over
 *	Ping		nothing new, when the heartbeat is over
 *	ItemOperations	the message; others are not there
 *	Settings	what the phone says of itself is taken, its address is told
 *	GetItemEstimate	how many there are
 *	all else	is refused
 *
 * Keys and folders are easily told from those of any mail server: room_quarantine_is_ours(). A phone
 * that is let in comes with them, and room_quarantine_release() has it look at its folders again from
 * the start.
 */
#ifndef PROXY_ROOM_QUARANTINE_REPLY_H
#define PROXY_ROOM_QUARANTINE_REPLY_H

#include "proxy/room_reply.h"

enum { ROOM_HEARTBEAT_MIN = 60, ROOM_HEARTBEAT_MAX = 3540 }; /* seconds, MS-ASCMD 2.2.3.79.1 */

struct room_message {
	const char *mailbox; /* whose it is: "alice@example.com" */
	const char *from;    /* "postmaster@example.com" */
	const char *subject; /* UTF-8 */
	const char *text;    /* UTF-8, lines end with "\n" or "\r\n" */
	int64_t received;    /* UNIX seconds; within any FilterType, so: now */
};

/* Whether a SyncKey or a folder's id was given out in quarantine. */
bool room_quarantine_is_ours(struct span key_or_folder);

/* is_over: the wait of an earlier ROOM_HOLD is over. reply is empty ({0}); free it in any case. */
void room_quarantine_reply(const struct room_message *message, const struct room_question *question,
	bool is_over, struct room_reply *reply);

/* The device was let in. False: the request has nothing of ours, and the mail server may have it. True:
 * the reply has the phone look at its folders again: FolderSync and its kin Status 9, Sync Status 12,
 * Ping Status 7; a Sync with one of our keys for a folder of the server's Status 3. */
bool room_quarantine_release(const struct room_question *question, struct room_reply *reply);

#endif
