/*
 * A worker's side of OCSP: what the revocation process has said of each certificate that is in use
 * here, for as long as it holds. Sessions of one certificate hang on one entry. For workers.
 *
 * The question goes out in the middle of the handshake and the answer is waited for after it, since
 * OpenSSL 3.0 cannot halt a server's handshake at the client's certificate (SSL_set_retry_verify()
 * is for clients). What is known already is used in the handshake.
 *
 * Answers in use are renewed before they end, at least every revocation/ocsp-refresh, without anyone
 * waiting; one that has become worse ends the sessions, sleeping Pings included. That a certificate
 * is revoked is remembered until a good answer says otherwise, also when no responder can be asked.
 */
#ifndef PROXY_OCSP_CLIENT_H
#define PROXY_OCSP_CLIENT_H

#include "auth/accepted.h"
#include "proxy/worker.h"

struct ocsp_client;
struct ocsp_entry;

/* NULL when memory runs out. There is no channel yet. */
struct ocsp_client *ocsp_client_new(struct worker *worker);

/* All sessions have left. */
void ocsp_client_free(struct ocsp_client *client);

/* Takes a channel over (closing an older one), and asks again what is unanswered. */
void ocsp_client_attach(struct ocsp_client *client, int fd);

/* A session comes in with a certificate that was accepted. Asks if need be. CERTIFICATE_REVOKED is
 * known already; NONE else, also where the authority of the certificate has no OCSP. INTERNAL: no
 * memory. */
enum refusal ocsp_client_join(
	struct ocsp_client *client, struct session *session, const struct accepted *accepted);

/* The session ends. */
void ocsp_client_leave(struct session *session);

/* Whether the first answer is still awaited. */
bool ocsp_client_is_waiting(const struct session *session);

/* What is known now: NONE, CERTIFICATE_REVOKED, or OCSP_UNAVAILABLE where the authority's mode is hard
 * and there is no good answer, which is then asked for again. */
enum refusal ocsp_client_check(const struct session *session);

#endif
