#include "proxy/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>

#include "proxy/tls_stream.h"
#include "proxy/tls_takeover.h"
#include "proxy/tls_wire.h"

/* Plain channels */

static enum tls_result plain_result(ssize_t n)
{
	if (n >= 0)
		return TLS_EOF;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? TLS_WANTS_READ
									 : TLS_ERROR;
}

static enum tls_result plain_read(const struct tls *tls, void *data, size_t capacity, size_t *len)
{
	ssize_t n = recv(tls->fd, data, capacity, 0);

	*len = n > 0 ? (size_t)n : 0;
	return n > 0 ? TLS_DONE : plain_result(n);
}

static enum tls_result plain_write(
	const struct tls *tls, const void *data, size_t len, size_t *written)
{
	ssize_t n = send(tls->fd, data, len, MSG_NOSIGNAL);

	*written = n >= 0 ? (size_t)n : 0;
	if (n >= 0)
		return TLS_DONE;
	return plain_result(n) == TLS_WANTS_READ ? TLS_WANTS_WRITE : TLS_ERROR;
}

/* OpenSSL's */

static enum tls_result ssl_result(const struct tls *tls, int returned)
{
	switch (SSL_get_error(tls->ssl, returned)) {
	case SSL_ERROR_WANT_READ: return TLS_WANTS_READ;
	case SSL_ERROR_WANT_WRITE: return TLS_WANTS_WRITE;
	case SSL_ERROR_ZERO_RETURN: return TLS_EOF;
	default: return TLS_ERROR;
	}
}

static enum tls_result ssl_read(const struct tls *tls, void *data, size_t capacity, size_t *len)
{
	int returned;

	*len = 0;
	ERR_clear_error();
	returned = SSL_read_ex(tls->ssl, data, capacity, len);
	return returned == 1 ? TLS_DONE : ssl_result(tls, returned);
}

static enum tls_result ssl_write(
	const struct tls *tls, const void *data, size_t len, size_t *written)
{
	int returned;

	*written = 0;
	ERR_clear_error();
	returned = SSL_write_ex(tls->ssl, data, len, written);
	return returned == 1 ? TLS_DONE : ssl_result(tls, returned);
}

/* The handshake is done: from now on without OpenSSL's state machine, where that is possible. */
static enum tls_result give_up_ssl(struct tls *tls, struct tls_wire *wire)
{
	bool may_stay;
	struct tls_records *records = tls_takeover(tls->ssl, &may_stay);

	if (records == NULL && may_stay) {
		wire->is_direct = true;
		SSL_set_read_ahead(tls->ssl, 1); /* a record in one system call, not two */
		return tls_wire_settle(wire) == 0 ? TLS_DONE : TLS_ERROR;
	}
	if (records == NULL)
		return TLS_ERROR;
	SSL_free(tls->ssl);
	tls->records = records;
	tls->way = TLS_RECORDS;
	return TLS_DONE;
}

enum tls_result tls_handshake(struct tls *tls)
{
	struct tls_wire *wire;
	enum tls_result result;
	int returned;

	if (tls->way != TLS_OPENSSL)
		return TLS_DONE;
	wire = tls_wire_of(tls->ssl);
	ERR_clear_error();
	returned = tls_takeover_step(tls->ssl, wire);
	if (returned == 1)
		return wire != NULL ? give_up_ssl(tls, wire) : TLS_DONE;
	result = ssl_result(tls, returned);
	return wire == NULL || tls_wire_settle(wire) == 0 ? result : TLS_ERROR;
}

/* All of them */

enum tls_result tls_read(struct tls *tls, void *data, size_t capacity, size_t *len)
{
	switch ((enum tls_way)tls->way) {
	case TLS_PLAIN: return plain_read(tls, data, capacity, len);
	case TLS_OPENSSL: return ssl_read(tls, data, capacity, len);
	case TLS_RECORDS: return tls_stream_read(tls->records, tls->fd, data, capacity, len);
	}
	return TLS_ERROR;
}

enum tls_result tls_write(struct tls *tls, const void *data, size_t len, size_t *written)
{
	switch ((enum tls_way)tls->way) {
	case TLS_PLAIN: return plain_write(tls, data, len, written);
	case TLS_OPENSSL: return ssl_write(tls, data, len, written);
	case TLS_RECORDS: return tls_stream_write(tls->records, tls->fd, data, len, written);
	}
	return TLS_ERROR;
}

bool tls_has_pending(const struct tls *tls)
{
	const struct tls_wire *wire;

	switch ((enum tls_way)tls->way) {
	case TLS_PLAIN: return false;
	case TLS_OPENSSL:
		wire = tls_wire_of(tls->ssl);
		return SSL_has_pending(tls->ssl) == 1 || (wire != NULL && wire->rest_len > 0);
	case TLS_RECORDS: return tls_stream_has_pending(tls->records);
	}
	return false;
}

bool tls_is_encrypted(const struct tls *tls)
{
	return tls->way != TLS_PLAIN;
}

bool tls_sleeps_deep(const struct tls *tls)
{
	return tls->way == TLS_RECORDS;
}

void tls_close(struct tls *tls)
{
	switch ((enum tls_way)tls->way) {
	case TLS_PLAIN: return;
	case TLS_OPENSSL:
		/* RFC 8446 6.1 wants close_notify, and wants nobody to wait for the peer's. */
		if (SSL_is_init_finished(tls->ssl)) {
			ERR_clear_error();
			SSL_shutdown(tls->ssl);
		}
		SSL_free(tls->ssl);
		break;
	case TLS_RECORDS:
		tls_stream_close(tls->records, tls->fd);
		tls_takeover_release(tls->records);
		tls_records_free(tls->records);
		break;
	}
	tls->way = TLS_PLAIN;
	tls->ssl = NULL;
}

/* For logs */

const char *tls_version(const struct tls *tls)
{
	if (tls->way == TLS_RECORDS)
		return tls_suite_at(tls->records->suite)->is_1_3 ? "TLSv1.3" : "TLSv1.2";
	return tls->way == TLS_OPENSSL ? SSL_get_version(tls->ssl) : "";
}

const char *tls_cipher(const struct tls *tls)
{
	if (tls->way == TLS_RECORDS)
		return tls_suite_at(tls->records->suite)->name;
	return tls->way == TLS_OPENSSL ? SSL_get_cipher_name(tls->ssl) : "";
}

const char *tls_server_name(const struct tls *tls)
{
	const char *name = NULL;

	if (tls->way == TLS_RECORDS)
		return tls_takeover_server_name(tls->records);
	if (tls->way == TLS_OPENSSL)
		name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
	return name != NULL ? name : "";
}

const char *tls_failure(const struct tls *tls)
{
	unsigned long code = ERR_peek_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
	long verified = X509_V_OK;

	if (tls->way == TLS_RECORDS)
		reason = tls_stream_failure();
	/* What a client says of a server's certificate is more than "certificate verify failed". */
	if (tls->way == TLS_OPENSSL && !SSL_is_server(tls->ssl))
		verified = SSL_get_verify_result(tls->ssl);
	if (verified != X509_V_OK)
		return X509_verify_cert_error_string(verified);
	return reason != NULL && reason[0] != '\0' ? reason : "closed by the peer";
}

bool tls_lacks_certificate(void)
{
	return ERR_GET_REASON(ERR_peek_error()) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
}

X509 *tls_peer(const struct tls *tls)
{
	if (tls->way == TLS_RECORDS)
		return tls_takeover_peer(tls->records);
	return tls->way == TLS_OPENSSL ? SSL_get0_peer_certificate(tls->ssl) : NULL;
}

STACK_OF(X509) * tls_peer_chain(const struct tls *tls)
{
	if (tls->way == TLS_RECORDS)
		return tls_takeover_peer_chain(tls->records);
	return tls->way == TLS_OPENSSL ? SSL_get_peer_cert_chain(tls->ssl) : NULL;
}

void tls_forget_peer(struct tls *tls)
{
	if (tls->way == TLS_RECORDS)
		tls_takeover_forget_peer(tls->records);
}

bool tls_is_plain(const struct tls *tls)
{
	return tls->ssl == NULL;
}
