/*
 * May this certificate still come in? Times, trust, revocation and users as the worker knows them at
 * this moment. Asked in the handshake, at the start and the end of every request, and of every open
 * session when something has changed. No heap, no system call. For workers.
 *
 * Every request is judged. All that it is judged by is the worker's own memory, changed by the thread
 * that judges, in two functions of worker.c: so a session may remember under which number of the
 * worker's grounds its chain was found good, and the indexes are not searched again while the number is
 * the same. It goes up with every index and every list of withdrawn authorities that is taken over, and
 * at each second at which a CRL or an authority's certificate begins or ends to count; a clock that is
 * set back ends it, too. Only that all is well is remembered, and nothing but the chain: the
 * certificate's own times, the users who are out and what OCSP says are asked each time.
 */
#ifndef PROXY_WORKER_JUDGE_H
#define PROXY_WORKER_JUDGE_H

#include "proxy/credential.h"
#include "proxy/worker.h"

struct log_line;

/* A certificate that was accepted, in its handshake. */
enum refusal worker_judge_links(const struct worker *worker, const struct verdict_links *links);

/* A session's certificate; once its mailbox is known, also whether its user is out. */
enum refusal worker_judge_credential(
	const struct worker *worker, const struct credential *credential);

/* The same for one that asks again and again. good_by is kept beside it, and is 0 at first and whenever it is
 * given another certificate. */
enum refusal worker_judge_again(
	struct worker *worker, const struct credential *credential, uint32_t *good_by);

/* What chains are judged by has changed: nothing that was remembered holds any more. */
void worker_judge_anew(struct worker *worker);

/* Whether a certificate that is CERTIFICATE_REVOKED may come in to be told to wipe, and to nothing else
 * (trust/revoked-certificates): a CRL has it itself, with one of the reasons that are configured, and
 * nothing else is wrong with its chain. */
bool worker_may_be_wiped(const struct worker *worker, const struct verdict_links *links);

/* What an operator wants to know of a refusal: which certificate of the chain was revoked by which
 * authority, when and why (RFC 5280 5.3), or whose revocation is not known. Nothing for other refusals. */
void worker_log_grounds(const struct worker *worker, struct log_line *line, enum refusal refusal,
	const struct verdict_links *links);

#endif
