/*
 * Takes a channel over from OpenSSL once its handshake is done: the keys by public interfaces (what is
 * derived in tls_library() or the key-log callback, or master secret and randoms), the bytes that OpenSSL has
 * not read from its wire (tls_wire.h), and the numbers of the next records. The SSL object can go then.
 * For tls*.c.
 */
#ifndef PROXY_TLS_TAKEOVER_H
#define PROXY_TLS_TAKEOVER_H

#include <openssl/ssl.h>

#include "proxy/tls_records.h"

struct tls_wire;

/* Has handshakes of the context, which is one of tls_library() or of OpenSSL's own library context, leave what a
 * takeover needs. */
void tls_takeover_prepare(SSL_CTX *ctx, bool is_in_library);

/* SSL_do_handshake(); what a takeover needs is left in the wire. */
int tls_takeover_step(SSL *ssl, struct tls_wire *wire);

/* A channel whose handshake is done, as records. NULL with *may_stay set: whether ssl can go on by
 * itself (its suite is none of ours, or something is under way in it), or memory ran out. ssl stays the
 * caller's. */
struct tls_records *tls_takeover(SSL *ssl, bool *may_stay);

/* The name that a client asked for, "" without one. */
const char *tls_takeover_server_name(const struct tls_records *records);

/* The peer's certificate and what it sent, NULL without one or once forgotten. */
X509 *tls_takeover_peer(const struct tls_records *records);
STACK_OF(X509) * tls_takeover_peer_chain(const struct tls_records *records);
void tls_takeover_forget_peer(struct tls_records *records);

/* Lets go of what was taken over beside the keys. */
void tls_takeover_release(struct tls_records *records);

#endif
