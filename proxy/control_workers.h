/*
 * The control process's channels to the workers: what they send is handed to whom it concerns, and they
 * can be told something. For proxy/control*.c alone.
 */
#ifndef PROXY_CONTROL_WORKERS_H
#define PROXY_CONTROL_WORKERS_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/control_process.h"
#include "proxy/message.h"

struct control_worker; /* one channel */

/* Takes fd over; slot: which worker it is. */
void control_workers_attach(struct control *control, uint32_t slot, int fd);

/* Never blocks. False: the channel is full or gone, and the worker was not told. */
bool control_worker_tell(struct control_worker *worker, const struct message *message);

/* Tells the worker of that slot (of a generation that drains there may be another one with it), or all.
 * How many were told. */
unsigned int control_workers_tell(
	struct control *control, uint32_t slot, const struct message *message);
unsigned int control_workers_tell_all(struct control *control, const struct message *message);

/* Tells the one that came last, or where it cannot be told another one. NULL: nobody could be. */
const struct control_worker *control_workers_tell_one(
	struct control *control, const struct message *message);

uint32_t control_worker_slot(const struct control_worker *worker);
unsigned int control_workers_count(const struct control *control);

#endif
