/*
 * OCSP for all workers: asks responders (libcurl), believes what ocsp.h lets pass, and remembers it
 * until it ends. For the revocation process.
 *
 * One question per certificate is under way at a time, however many ask. A responder gets a few
 * questions at a time, the others queue; one that has failed several times in a row is left alone
 * for a while, and who asks meanwhile hears at once that there is no answer. So a responder that is
 * dead, or that takes questions and says nothing, costs those under it little and others nothing.
 * An answer that is older than the one at hand (a replay, or a responder behind) is not taken.
 */
#ifndef AUTH_OCSP_ENGINE_H
#define AUTH_OCSP_ENGINE_H

#include <event2/event.h>

#include "auth/ocsp.h"
#include "auth/trust_store.h"
#include "config/model.h"

struct ocsp_engine; /* opaque */

struct ocsp_question {
	uint32_t authority; /* the issuer, by its number in the trust store */
	struct serial serial;
	const char *url; /* from the certificate (ocsp_url_read()); used where the authority has no
			    responder configured */
};

/* An answer. asked_at: UNIX seconds at which the responder gave it. status UNAVAILABLE: there is none,
 * and for a few seconds there will be none. REVOKED may be past its end, when there is no newer one. */
typedef void ocsp_engine_done(void *asker, const uint8_t leaf_sha256[32],
	const struct ocsp_result *result, int64_t asked_at);

/* What an operator should know of a responder: text NULL: it answers again. Said once per outage. */
typedef void ocsp_engine_report(void *context, const char *responder, const char *text);

/* All pointers are borrowed and must live as long. NULL with err filled. */
struct ocsp_engine *ocsp_engine_new(struct event_base *base, const struct trust_store *store,
	const struct config_revocation *config, ocsp_engine_done *done, ocsp_engine_report *report,
	void *report_context, struct error *err);

/* Ends what is under way without calling done. NULL is allowed. */
void ocsp_engine_free(struct ocsp_engine *engine);

/* done(asker, leaf_sha256, …) is called once, perhaps from here, at the latest after twice
 * revocation/ocsp-time-limit (in the queue, and on the wire). An asker that asks the same again before
 * gets one answer. */
void ocsp_engine_ask(struct ocsp_engine *engine, const struct ocsp_question *question, void *asker,
	const uint8_t leaf_sha256[32]);

/* The asker has gone: done is not called for it any more. */
void ocsp_engine_forget(struct ocsp_engine *engine, const void *asker);

#endif
