/*
 * What OCSP has to say of a session's certificate: awaited after the handshake, before the mailbox is
 * looked for, and heard again whenever it changes.
 */
#include "proxy/ocsp_client.h"
#include "proxy/session.h"
#include "proxy/worker_seen.h"

/* The handshake is over, so there is no alert any more that could say why. Whether to refuse for want
 * of an answer each request asks anew. */
static void session_ocsp_answered(struct session *session)
{
	enum refusal refusal = ocsp_client_check(session);

	if (refusal != REFUSAL_CERTIFICATE_REVOKED) {
		session_identify(session);
		return;
	}
	worker_seen(session->worker, session->credential->accepted->leaf_sha256, refusal, "",
		tls_peer(&session->tls), tls_peer_chain(&session->tls));
	session_shut_out(session, refusal, "its authority's OCSP responder says so");
}

void session_admit(struct session *session)
{
	if (!ocsp_client_is_waiting(session)) {
		session_ocsp_answered(session);
		return;
	}
	session_enter(session, SESSION_OCSP);
	session_set_timer(session, session->worker->config->limits.handshake_time_ms);
	session_update_events(session);
}

void session_ocsp_changed(struct session *session)
{
	switch (session->state) {
	case SESSION_HANDSHAKE: return; /* session_admit() looks */
	case SESSION_OCSP:
		if (!ocsp_client_is_waiting(session))
			session_ocsp_answered(session);
		return;
	default: session_recheck(session); return;
	}
}
