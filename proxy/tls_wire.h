/*
 * The socket as OpenSSL sees it during a handshake that is to be taken over: one recv() takes all that
 * is there and OpenSSL is given just what it asks for, so that afterwards the bytes that it has not
 * read are known to the last one. For tls_takeover.c.
 */
#ifndef PROXY_TLS_WIRE_H
#define PROXY_TLS_WIRE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/tls_keys.h"

enum {
	TLS_WIRE_HEAD = 5,                  /* of a record */
	TLS_WIRE_NOTED = TLS_WIRE_HEAD + 8, /* and with 1.2's AES-GCM its nonce */
};

/* Belongs to a BIO, and is wiped with it. */
struct tls_wire {
	int fd;
	bool has_ended; /* the peer sends nothing more */
	bool is_direct; /* what OpenSSL asks for it gets from the socket: it goes on by itself */
	uint8_t *rest;  /* received, and not asked for yet */
	size_t rest_len;
	uint8_t *kept;                /* what rest points into between calls; NULL: nothing */
	uint8_t sent[TLS_WIRE_NOTED]; /* how the last record that was sent begins */
	size_t sent_len;
	size_t sent_left; /* bytes of it that are not sent yet */
	/* tls_takeover.c: the first traffic secrets of TLS 1.3, the client's and the server's. */
	uint8_t secret[2][TLS_SECRET_MAX];
	size_t secret_len[2];
};

/* Has OpenSSL use fd through a wire of its own. 0, or -1 when memory runs out. */
int tls_wire_attach(SSL *ssl, int fd);

/* The wire of an SSL object; NULL: it has another kind of BIO. */
struct tls_wire *tls_wire_of(const SSL *ssl);

/* The end of a step: what is left is kept until the next one. 0, or -1 when memory runs out. */
int tls_wire_settle(struct tls_wire *wire);

#endif
