/*
 * A worker's side of its channel to the control process: reports and questions go there, orders and
 * answers come. For workers.
 */
#ifndef PROXY_WORKER_CONTROL_H
#define PROXY_WORKER_CONTROL_H

#include <stdbool.h>

#include "proxy/message.h"
#include "proxy/worker.h"

/* Takes over the channel to control, closing the one before. */
void worker_control_attach(struct worker *worker, int fd);

/* Never blocks. False: there is no channel now, or it is full, and control was not told. The supervisor
 * starts another control process where one has ended, and sends us the channel to it. */
bool worker_control_tell(struct worker *worker, const struct message *message);

#endif
