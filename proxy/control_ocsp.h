/*
 * The control process's side of the channel to the revocation process: what a responder says of a
 * certificate that is explained.
 */
#ifndef PROXY_CONTROL_OCSP_H
#define PROXY_CONTROL_OCSP_H

#include <stdbool.h>

#include "auth/revocation_index.h"
#include "proxy/control_process.h"

/* There is no channel yet. */
void control_ocsp_init(struct control *control);

/* Takes over a new channel, in place of the one before. */
void control_ocsp_attach(struct control *control, int fd);

/* Asks about a certificate of that authority; control_explain_ocsp() gets the answer, at the latest after
 * twice revocation/ocsp-time-limit. url: the responder that the certificate names, or "". False when
 * nobody can be asked now. */
bool control_ocsp_ask(struct control *control, const uint8_t leaf_sha256[32], uint32_t authority,
	const struct serial *serial, const char *url);

#endif
