#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "auth/openssl_error.h"
#include "proxy/tls.h"
#include "proxy/tls_library.h"
#include "proxy/tls_takeover.h"
#include "proxy/tls_wire.h"

/* RFC 8446 4.4.2 allows 16 MB of certificates; a phone's chain has a few kB. */
enum { PEER_CERTIFICATES_MAX = 48 * 1024 };

struct name_context {
	SSL_CTX *ctx;
	const struct config_certificate *names; /* whose server names choose it */
};

struct tls_server {
	OSSL_LIB_CTX *library;
	tls_judge *judge;
	bool needs_certificate, sleeps_deep;
	size_t context_count;
	struct name_context *contexts; /* the first one is the default */
};

static int owner_index(void)
{
	static int index = -1;

	if (index == -1)
		index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	return index;
}

/* The verification error for which OpenSSL sends the alert that the refusal asks for. */
static int verify_error(int alert)
{
	switch (alert) {
	case SSL_AD_BAD_CERTIFICATE: return X509_V_ERR_CERT_REJECTED;
	case SSL_AD_UNSUPPORTED_CERTIFICATE: return X509_V_ERR_INVALID_PURPOSE;
	case SSL_AD_CERTIFICATE_REVOKED: return X509_V_ERR_CERT_REVOKED;
	case SSL_AD_CERTIFICATE_EXPIRED: return X509_V_ERR_CERT_HAS_EXPIRED;
	case SSL_AD_CERTIFICATE_UNKNOWN: return X509_V_ERR_OCSP_CERT_UNKNOWN;
	case SSL_AD_UNKNOWN_CA: return X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
	default: return X509_V_ERR_APPLICATION_VERIFICATION; /* handshake_failure */
	}
}

/* In the place of OpenSSL's own chain building: the verdict is ours, and cached. */
static int on_certificate(X509_STORE_CTX *store_ctx, void *arg)
{
	const struct tls_server *server = arg;
	SSL *ssl = X509_STORE_CTX_get_ex_data(store_ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	enum refusal refusal = server->judge(SSL_get_ex_data(ssl, owner_index()),
		X509_STORE_CTX_get0_cert(store_ctx), X509_STORE_CTX_get0_untrusted(store_ctx));

	if (refusal == REFUSAL_NONE) {
		X509_STORE_CTX_set_error(store_ctx, X509_V_OK);
		return 1;
	}
	X509_STORE_CTX_set_error(store_ctx, verify_error(refusal_row(refusal)->tls_alert));
	return 0;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *offered, unsigned int offered_len, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *chosen;

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, offered, offered_len) !=
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2 */
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static bool name_matches(const char *pattern, const char *name)
{
	const char *dot;

	if (strncmp(pattern, "*.", 2) != 0)
		return strcasecmp(pattern, name) == 0;
	dot = strchr(name, '.');
	return dot != NULL && dot != name && strcasecmp(pattern + 1, dot) == 0;
}

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_server *server = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	for (size_t i = 0; name != NULL && i < server->context_count; i++) {
		const struct config_certificate *names = server->contexts[i].names;

		for (size_t n = 0; n < names->server_name_count; n++) {
			if (name_matches(names->server_names[n], name)) {
				SSL_set_SSL_CTX(ssl, server->contexts[i].ctx);
				return SSL_TLSEXT_ERR_OK;
			}
		}
	}
	/* Phones that reach us by an address or another name get the default certificate. */
	return SSL_TLSEXT_ERR_NOACK;
}

/* BIO over a copy of the file; *copy is the caller's to wipe and free. */
static BIO *open_file(const struct config_file *file, char **copy, size_t *len, struct error *err)
{
	BIO *bio;

	*copy = config_file_read(file, len, err);
	if (*copy == NULL)
		return NULL;
	bio = *len <= INT32_MAX ? BIO_new_mem_buf(*copy, (int)*len) : NULL;
	if (bio == NULL)
		error_set(err, "reading %s: out of memory", file->path);
	return bio;
}

static int refuse_passphrase(char *text, int size, int writing, void *arg)
{
	(void)text;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static int use_chain(SSL_CTX *ctx, const struct config_file *file, struct error *err)
{
	char *copy = NULL;
	size_t len = 0;
	BIO *bio = open_file(file, &copy, &len, err);
	X509 *certificate = NULL;
	int status = -1;

	if (bio == NULL)
		goto out;
	certificate = PEM_read_bio_X509(bio, NULL, refuse_passphrase, NULL);
	if (certificate == NULL || SSL_CTX_use_certificate(ctx, certificate) != 1) {
		error_openssl(err, "using the certificate of %s", file->path);
		goto out;
	}
	for (;;) {
		X509_free(certificate);
		certificate = PEM_read_bio_X509(bio, NULL, refuse_passphrase, NULL);
		if (certificate == NULL)
			break;
		if (SSL_CTX_add1_chain_cert(ctx, certificate) != 1) {
			error_openssl(err, "using the chain of %s", file->path);
			goto out;
		}
	}
	ERR_clear_error(); /* the end of the file */
	status = 0;
out:
	X509_free(certificate);
	BIO_free(bio);
	free(copy);
	return status;
}

static int use_key(SSL_CTX *ctx, const struct config_file *file, struct error *err)
{
	char *copy = NULL;
	size_t len = 0;
	BIO *bio = open_file(file, &copy, &len, err);
	EVP_PKEY *key = NULL;
	int status = -1;

	if (bio == NULL)
		goto out;
	key = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL);
	if (key == NULL || SSL_CTX_use_PrivateKey(ctx, key) != 1)
		error_openssl(err, "using the key %s", file->path);
	else
		status = 0;
out:
	EVP_PKEY_free(key);
	BIO_free(bio);
	if (copy != NULL)
		OPENSSL_cleanse(copy, len);
	free(copy);
	return status;
}

/* How many cipher suites there are; -1: it cannot be told. */
static int count_suites(OSSL_LIB_CTX *library, const char *ciphers)
{
	SSL_CTX *ctx = SSL_CTX_new_ex(library, NULL, TLS_server_method());
	int count = -1;

	if (ctx != NULL && (ciphers[0] == '\0' || SSL_CTX_set_cipher_list(ctx, ciphers) == 1))
		count = sk_SSL_CIPHER_num(SSL_CTX_get_ciphers(ctx));
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return count;
}

/* The lean library, unless it lacks a suite that is configured. */
static OSSL_LIB_CTX *library_for(const char *ciphers)
{
	return count_suites(tls_library(), ciphers) == count_suites(NULL, ciphers) ? tls_library()
										   : NULL;
}

static SSL_CTX *context_new(struct tls_server *server, const struct config_listener *listener,
	const struct config_trust *trust, const STACK_OF(X509_NAME) * ca_names, struct error *err)
{
	SSL_CTX *ctx = SSL_CTX_new_ex(server->library, NULL, TLS_server_method());
	/* SHA-256 makes the key schedule a third cheaper than SHA-384 does. Who prefers ChaCha20, for
	 * want of AES in hardware, gets it. */
	static const char suites[] =
		"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
	STACK_OF(X509_NAME) *names = NULL;
	int verify = SSL_VERIFY_PEER;

	if (ctx == NULL)
		goto failed;
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (server->sleeps_deep)
		tls_takeover_prepare(ctx, server->library != NULL);
	else
		SSL_CTX_set_read_ahead(ctx, 1); /* a record in one system call, not two */
	SSL_CTX_set_security_level(ctx, (int)trust->security_level);
	SSL_CTX_set_max_cert_list(ctx, PEER_CERTIFICATES_MAX);
	if (SSL_CTX_set_num_tickets(ctx, 0) != 1 ||
		SSL_CTX_set_min_proto_version(ctx, (int)listener->tls_min) != 1 ||
		SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
		SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") != 1 ||
		SSL_CTX_set_ciphersuites(ctx, suites) != 1)
		goto failed;
	if (listener->ciphers[0] != '\0' && SSL_CTX_set_cipher_list(ctx, listener->ciphers) != 1)
		goto failed;
	if (server->needs_certificate)
		verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ctx, verify, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, on_certificate, server);
	names = SSL_dup_CA_list(ca_names);
	if (names == NULL)
		goto failed;
	SSL_CTX_set_client_CA_list(ctx, names);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
	SSL_CTX_set_tlsext_servername_arg(ctx, server);
	return ctx;
failed:
	error_openssl(err, "setting up TLS for listener %s", listener->name);
	SSL_CTX_free(ctx);
	return NULL;
}

static bool has_same_names(const struct config_certificate *a, const struct config_certificate *b)
{
	if (a->server_name_count != b->server_name_count)
		return false;
	for (size_t i = 0; i < a->server_name_count; i++) {
		bool found = false;

		for (size_t k = 0; k < b->server_name_count && !found; k++)
			found = strcasecmp(a->server_names[i], b->server_names[k]) == 0;
		if (!found)
			return false;
	}
	return true;
}

/* The context for these names: the one that another certificate has made already, or a new one. */
static SSL_CTX *context_for(struct tls_server *server, const struct config_certificate *certificate,
	const struct config_listener *listener, const struct config_trust *trust,
	const STACK_OF(X509_NAME) * ca_names, struct error *err)
{
	struct name_context *context;

	for (size_t i = 0; i < server->context_count; i++)
		if (has_same_names(server->contexts[i].names, certificate))
			return server->contexts[i].ctx;
	context = &server->contexts[server->context_count];
	context->ctx = context_new(server, listener, trust, ca_names, err);
	context->names = certificate;
	if (context->ctx == NULL)
		return NULL;
	server->context_count++;
	return context->ctx;
}

static void put_default_first(struct tls_server *server)
{
	for (size_t i = 1; i < server->context_count; i++) {
		if (server->contexts[i].names->server_name_count == 0) {
			struct name_context first = server->contexts[0];

			server->contexts[0] = server->contexts[i];
			server->contexts[i] = first;
			return;
		}
	}
}

struct tls_server *tls_server_new(const struct config_listener *listener,
	const struct config_trust *trust, bool needs_certificate, bool sleeps_deep,
	const STACK_OF(X509_NAME) * ca_names, tls_judge *judge, struct error *err)
{
	struct tls_server *server = calloc(1, sizeof(*server));

	if (server != NULL)
		server->contexts = calloc(listener->certificate_count, sizeof(*server->contexts));
	if (server == NULL || server->contexts == NULL || owner_index() == -1) {
		error_set(err, "setting up TLS for listener %s: out of memory", listener->name);
		goto failed;
	}
	server->library = library_for(listener->ciphers);
	server->judge = judge;
	server->needs_certificate = needs_certificate;
	server->sleeps_deep = sleeps_deep;
	for (size_t i = 0; i < listener->certificate_count; i++) {
		const struct config_certificate *certificate = &listener->certificates[i];
		SSL_CTX *ctx = context_for(server, certificate, listener, trust, ca_names, err);

		if (ctx == NULL || use_chain(ctx, &certificate->chain, err) != 0 ||
			use_key(ctx, &certificate->key, err) != 0)
			goto failed;
	}
	put_default_first(server);
	return server;
failed:
	tls_server_free(server);
	return NULL;
}

void tls_server_free(struct tls_server *server)
{
	if (server == NULL)
		return;
	for (size_t i = 0; i < server->context_count; i++)
		SSL_CTX_free(server->contexts[i].ctx);
	free(server->contexts);
	free(server);
}

int tls_accept(struct tls *tls, const struct tls_server *server, int fd, void *owner)
{
	SSL *ssl = SSL_new(server->contexts[0].ctx);

	*tls = (struct tls){.fd = fd};
	if (ssl == NULL)
		return -1;
	if ((server->sleeps_deep ? tls_wire_attach(ssl, fd) != 0 : SSL_set_fd(ssl, fd) != 1) ||
		SSL_set_ex_data(ssl, owner_index(), owner) != 1) {
		SSL_free(ssl);
		return -1;
	}
	SSL_set_accept_state(ssl);
	tls->way = TLS_OPENSSL;
	tls->ssl = ssl;
	return 0;
}
