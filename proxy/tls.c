#include "proxy/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>

static enum tls_result plain_result(ssize_t n)
{
	if (n >= 0)
		return TLS_EOF;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? TLS_WANTS_READ
									 : TLS_ERROR;
}

static enum tls_result ssl_result(const struct tls *tls, int returned)
{
	switch (SSL_get_error(tls->ssl, returned)) {
	case SSL_ERROR_WANT_READ: return TLS_WANTS_READ;
	case SSL_ERROR_WANT_WRITE: return TLS_WANTS_WRITE;
	case SSL_ERROR_ZERO_RETURN: return TLS_EOF;
	default: return TLS_ERROR;
	}
}

enum tls_result tls_handshake(struct tls *tls)
{
	int returned;

	if (tls->ssl == NULL)
		return TLS_DONE;
	ERR_clear_error();
	returned = SSL_do_handshake(tls->ssl);
	return returned == 1 ? TLS_DONE : ssl_result(tls, returned);
}

enum tls_result tls_read(struct tls *tls, void *data, size_t capacity, size_t *len)
{
	ssize_t n;
	int returned;

	*len = 0;
	if (tls->ssl == NULL) {
		n = recv(tls->fd, data, capacity, 0);
		if (n <= 0)
			return plain_result(n);
		*len = (size_t)n;
		return TLS_DONE;
	}
	ERR_clear_error();
	returned = SSL_read_ex(tls->ssl, data, capacity, len);
	return returned == 1 ? TLS_DONE : ssl_result(tls, returned);
}

enum tls_result tls_write(struct tls *tls, const void *data, size_t len, size_t *written)
{
	ssize_t n;
	int returned;

	*written = 0;
	if (tls->ssl == NULL) {
		n = send(tls->fd, data, len, MSG_NOSIGNAL);
		if (n >= 0) {
			*written = (size_t)n;
			return TLS_DONE;
		}
		return plain_result(n) == TLS_WANTS_READ ? TLS_WANTS_WRITE : TLS_ERROR;
	}
	ERR_clear_error();
	returned = SSL_write_ex(tls->ssl, data, len, written);
	return returned == 1 ? TLS_DONE : ssl_result(tls, returned);
}

bool tls_has_pending(const struct tls *tls)
{
	return tls->ssl != NULL && SSL_has_pending(tls->ssl) == 1;
}

void tls_close(struct tls *tls)
{
	if (tls->ssl == NULL)
		return;
	/* RFC 8446 6.1 wants close_notify, and wants nobody to wait for the peer's. */
	if (SSL_is_init_finished(tls->ssl)) {
		ERR_clear_error();
		SSL_shutdown(tls->ssl);
	}
	SSL_free(tls->ssl);
	tls->ssl = NULL;
}

const char *tls_version(const struct tls *tls)
{
	return tls->ssl != NULL ? SSL_get_version(tls->ssl) : "";
}

const char *tls_cipher(const struct tls *tls)
{
	return tls->ssl != NULL ? SSL_get_cipher_name(tls->ssl) : "";
}

const char *tls_server_name(const struct tls *tls)
{
	const char *name = NULL;

	if (tls->ssl != NULL)
		name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
	return name != NULL ? name : "";
}

const char *tls_failure(const struct tls *tls)
{
	unsigned long code = ERR_peek_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
	long verified = X509_V_OK;

	/* What a client says of a server's certificate is more than "certificate verify failed". */
	if (tls->ssl != NULL && !SSL_is_server(tls->ssl))
		verified = SSL_get_verify_result(tls->ssl);
	if (verified != X509_V_OK)
		return X509_verify_cert_error_string(verified);
	return reason != NULL ? reason : "closed by the peer";
}

bool tls_lacks_certificate(void)
{
	return ERR_GET_REASON(ERR_peek_error()) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
}

X509 *tls_peer(const struct tls *tls)
{
	return tls->ssl != NULL ? SSL_get0_peer_certificate(tls->ssl) : NULL;
}

STACK_OF(X509) * tls_peer_chain(const struct tls *tls)
{
	return tls->ssl != NULL ? SSL_get_peer_cert_chain(tls->ssl) : NULL;
}
