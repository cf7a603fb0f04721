/*
 * Reports to the control process which certificates have come, and what became of them. A report that
 * the channel has no room for is dropped and counted. For workers.
 */
#ifndef PROXY_WORKER_SEEN_H
#define PROXY_WORKER_SEEN_H

#include "proxy/worker.h"

/* refusal NONE: it has come in. mailbox "": not known. leaf NULL: nothing is reported; sent may be
 * NULL. Never blocks. */
void worker_seen(struct worker *worker, const uint8_t sha256[32], enum refusal refusal,
	const char *mailbox, X509 *leaf, const STACK_OF(X509) * sent);

#endif
