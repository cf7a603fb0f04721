/*
 * A worker's answer to easproxyctl device history. For worker_control.c.
 */
#ifndef PROXY_WORKER_HISTORY_H
#define PROXY_WORKER_HISTORY_H

#include "proxy/message.h"
#include "proxy/worker.h"

/* Answers a MESSAGE_HISTORY_QUERY with what there is, and at last with a message that says so. Where
 * the channel is full the rest is left out: whoever asked waits for the last message in vain. */
void worker_history_answer(struct worker *worker, const struct message *query);

#endif
