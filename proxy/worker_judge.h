/*
 * May this certificate still come in? Times, trust, revocation and users as the worker knows them at
 * this moment. Asked in the handshake, at the start and the end of every request, and of every open
 * session when something has changed. No heap, no system call. For workers.
 *
 * A request is judged anew, and not by an epoch that says whether something has changed: all that it
 * is judged by is the worker's own memory, taken over by the thread that judges, so that an epoch in
 * shared memory could only tell of what the worker does not have yet; and what it would save is a few
 * binary searches. With no verdict kept beside the session, none can be left standing by mistake.
 */
#ifndef PROXY_WORKER_JUDGE_H
#define PROXY_WORKER_JUDGE_H

#include "proxy/credential.h"
#include "proxy/worker.h"

struct log_line;

/* A verdict that was found or made in the handshake. */
enum refusal worker_judge_verdict(const struct worker *worker, const struct verdict *verdict);

/* A session's certificate; once its mailbox is known, also whether its user is out. */
enum refusal worker_judge_credential(
	const struct worker *worker, const struct credential *credential);

/* Whether a certificate that is CERTIFICATE_REVOKED may come in to be told to wipe, and to nothing else
 * (trust/revoked-certificates): a CRL has it itself, with one of the reasons that are configured, and
 * nothing else is wrong with its chain. */
bool worker_may_be_wiped(const struct worker *worker, const struct verdict_links *links);

/* What an operator wants to know of a refusal: which certificate of the chain was revoked by which
 * authority, when and why (RFC 5280 5.3), or whose revocation is not known. Nothing for other refusals. */
void worker_log_grounds(const struct worker *worker, struct log_line *line, enum refusal refusal,
	const struct verdict_links *links);

#endif
