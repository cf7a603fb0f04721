/*
 * Encrypted channels to phones and to endpoints, and plain ones to endpoints, behind one interface:
 * what is above reads and writes bytes and never sees an SSL object. OpenSSL does the handshake; after
 * it a record layer of our own takes the place of the SSL object ("deep sleep", docs/deep-sleep.md)
 * where that is wanted and the cipher suite is one of its own.
 *
 * For workers alone.
 */
#ifndef PROXY_TLS_H
#define PROXY_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/error.h"
#include "config/model.h"
#include "config/refusal.h"
#include "config/span.h"

enum { TLS_RECORD_MAX = 16 * 1024 }; /* content of one record, RFC 8446 5.1 */

enum tls_result {
	TLS_DONE,        /* the call did what it was asked */
	TLS_WANTS_READ,  /* again when the socket is readable */
	TLS_WANTS_WRITE, /* again when it is writable */
	TLS_EOF,         /* the peer has ended its stream */
	TLS_ERROR        /* the channel is of no further use */
};

struct tls_records;

enum tls_way {
	TLS_PLAIN,
	TLS_OPENSSL, /* during the handshake, and for those that do not sleep deep */
	TLS_RECORDS
};

/* A channel: plain unless told otherwise. It does not own the descriptor. Only proxy/tls*.c looks at
 * what stands in the union. */
struct tls {
	int fd;
	uint8_t way; /* an enum tls_way */
	union {
		SSL *ssl;
		struct tls_records *records;
	};
};

/*
 * Asked once per handshake, in the middle of it: may this certificate come in? leaf and sent are
 * OpenSSL's. The refusal decides the alert. owner is what tls_accept() was given.
 */
typedef enum refusal tls_judge(void *owner, X509 *leaf, STACK_OF(X509) * sent);

/* A listener's contexts: one per set of server names, with every certificate for these names. */
struct tls_server;

/* ca_names: sent in the CertificateRequest (RFC 8446 4.2.4); borrowed for the call. A client
 * certificate is required, unless needs_certificate is false. sleeps_deep: its channels give up their
 * SSL objects. NULL with err filled. */
struct tls_server *tls_server_new(const struct config_listener *listener,
	const struct config_trust *trust, bool needs_certificate, bool sleeps_deep,
	const STACK_OF(X509_NAME) * ca_names, tls_judge *judge, struct error *err);
void tls_server_free(struct tls_server *server);

/* Begins the server's side on an accepted socket. 0, or -1 when memory runs out. */
int tls_accept(struct tls *tls, const struct tls_server *server, int fd, void *owner);

/* The client's side towards HTTPS endpoints. */
struct tls_client;

/* ca: trusted roots; path "" for the system's. sleeps_deep: as above. NULL with err filled. */
struct tls_client *tls_client_new(
	const struct config_file *ca, bool sleeps_deep, struct error *err);
void tls_client_free(struct tls_client *client);
/* No other version than this one from now on. */
void tls_client_use_version(struct tls_client *client, enum config_tls_version version);

/* A certificate of ours with its key, to show to an endpoint that asks for one. */
struct tls_identity;

/* From PEM: the private key, the certificate, and what was issued above it. NULL with err filled. */
struct tls_identity *tls_identity_new(struct span pem, struct error *err);
/* The same from what is at hand, which stays the caller's; chain may be NULL. NULL when memory runs
 * out. */
struct tls_identity *tls_identity_of(X509 *certificate, EVP_PKEY *key, STACK_OF(X509) * chain);
/* Channels that were begun with it keep what they need of it until they are closed. */
void tls_identity_free(struct tls_identity *identity); /* NULL is allowed */

/* Begins it on a connected socket; the peer must prove to be host (RFC 9525). identity NULL: we have
 * no certificate to show. 0 or -1. */
int tls_connect(struct tls *tls, const struct tls_client *client, int fd, const char *host,
	const struct tls_identity *identity);

/* Whether it is not encrypted, so that what is written may be gathered by sendmsg(). */
bool tls_is_plain(const struct tls *tls);

/* One step of the handshake. */
enum tls_result tls_handshake(struct tls *tls);

/* Reads what is there, at most capacity bytes. TLS_DONE with *len > 0. */
enum tls_result tls_read(struct tls *tls, void *data, size_t capacity, size_t *len);

/* Writes what fits; *written may be less than len with TLS_DONE. After TLS_WANTS_*, the next call
 * must offer the same bytes first (they may have moved). */
enum tls_result tls_write(struct tls *tls, const void *data, size_t len, size_t *written);

/* True while something that was received waits inside (content, or the end), so that the socket will not
 * announce it. */
bool tls_has_pending(const struct tls *tls);

/* Whether it is encrypted, and whether its SSL object is gone. */
bool tls_is_encrypted(const struct tls *tls);
bool tls_sleeps_deep(const struct tls *tls);

/* Sends close_notify, if that is possible now, and frees all but the descriptor. What is used
 * afterwards is a plain channel. */
void tls_close(struct tls *tls);

/* For logs: "TLSv1.3", "TLS_AES_128_GCM_SHA256" (both static), the name that a client has asked a server
 * of ours for ("" without one), and the reason of the last failure ("" without one). Valid until the
 * channel is used again. */
const char *tls_version(const struct tls *tls);
const char *tls_cipher(const struct tls *tls);
const char *tls_server_name(const struct tls *tls);
const char *tls_failure(const struct tls *tls);

/* Whether the last failure was that the peer has sent no certificate. */
bool tls_lacks_certificate(void);

/* The peer's certificate and what it sent beside it, borrowed; NULL without one, or once it has been
 * forgotten: whoever has no more questions about it should do that, for it is large. */
X509 *tls_peer(const struct tls *tls);
STACK_OF(X509) * tls_peer_chain(const struct tls *tls);
void tls_forget_peer(struct tls *tls);

#endif
