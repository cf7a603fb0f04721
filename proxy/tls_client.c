#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "auth/openssl_error.h"
#include "proxy/tls.h"
#include "proxy/tls_takeover.h"
#include "proxy/tls_wire.h"

struct tls_client {
	SSL_CTX *ctx;
	bool sleeps_deep;
};

static int trust_bundle(SSL_CTX *ctx, const struct config_file *ca, struct error *err)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	size_t len = 0;
	char *copy = config_file_read(ca, &len, err);
	BIO *bio;
	X509 *certificate;
	int count = 0;

	if (copy == NULL)
		return -1;
	bio = len <= INT32_MAX ? BIO_new_mem_buf(copy, (int)len) : NULL;
	while (bio != NULL && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		count += X509_STORE_add_cert(store, certificate);
		X509_free(certificate);
	}
	ERR_clear_error();
	BIO_free(bio);
	free(copy);
	return count > 0 ? 0 : error_set(err, "%s: no certificate in it", ca->path);
}

struct tls_client *tls_client_new(const struct config_file *ca, bool sleeps_deep, struct error *err)
{
	struct tls_client *client = calloc(1, sizeof(*client));

	if (client == NULL) {
		error_set(err, "setting up TLS towards the upstream: out of memory");
		return NULL;
	}
	client->ctx = SSL_CTX_new(TLS_client_method());
	if (client->ctx == NULL ||
		SSL_CTX_set_min_proto_version(client->ctx, TLS1_2_VERSION) != 1) {
		error_openssl(err, "setting up TLS towards the upstream");
		goto failed;
	}
	SSL_CTX_set_options(client->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(client->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(client->ctx, SSL_SESS_CACHE_OFF);
	client->sleeps_deep = sleeps_deep;
	if (sleeps_deep)
		tls_takeover_prepare(client->ctx, false);
	else
		SSL_CTX_set_read_ahead(client->ctx, 1); /* a record in one system call, not two */
	SSL_CTX_set_verify(client->ctx, SSL_VERIFY_PEER, NULL);
	if (ca->fd != -1) {
		if (trust_bundle(client->ctx, ca, err) != 0)
			goto failed;
	} else if (SSL_CTX_set_default_verify_file(client->ctx) != 1) {
		error_openssl(err, "reading the system's CA certificates");
		goto failed;
	}
	return client;
failed:
	tls_client_free(client);
	return NULL;
}

void tls_client_free(struct tls_client *client)
{
	if (client == NULL)
		return;
	SSL_CTX_free(client->ctx);
	free(client);
}

void tls_client_use_version(struct tls_client *client, enum config_tls_version version)
{
	SSL_CTX_set_min_proto_version(client->ctx, (int)version);
	SSL_CTX_set_max_proto_version(client->ctx, (int)version);
}

static int expect_host(SSL *ssl, const char *host)
{
	unsigned char address[16];

	if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

/* Our own certificate */

struct tls_identity {
	X509 *certificate;
	EVP_PKEY *key;
	STACK_OF(X509) * chain; /* without the certificate */
};

static int read_certificates(struct tls_identity *identity, BIO *bio)
{
	X509 *certificate;

	identity->certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	identity->chain = sk_X509_new_null();
	if (identity->certificate == NULL || identity->chain == NULL)
		return -1;
	while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		if (sk_X509_push(identity->chain, certificate) == 0) {
			X509_free(certificate);
			return -1;
		}
	}
	ERR_clear_error(); /* that there is no further one */
	return 0;
}

struct tls_identity *tls_identity_new(struct span pem, struct error *err)
{
	static char no_password[] = ""; /* without one OpenSSL would ask at a terminal */
	struct tls_identity *identity = calloc(1, sizeof(*identity));
	BIO *bio = pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;

	if (identity == NULL || bio == NULL) {
		error_set(err, "reading a certificate of ours: out of memory");
		goto failed;
	}
	identity->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, no_password);
	if (identity->key == NULL) {
		error_openssl(err, "reading the key of a certificate of ours");
		goto failed;
	}
	if (BIO_reset(bio) != 1 || read_certificates(identity, bio) != 0 ||
		X509_check_private_key(identity->certificate, identity->key) != 1) {
		error_openssl(err, "reading a certificate of ours, and what was issued above it");
		goto failed;
	}
	BIO_free(bio);
	return identity;
failed:
	BIO_free(bio);
	tls_identity_free(identity);
	return NULL;
}

struct tls_identity *tls_identity_of(X509 *certificate, EVP_PKEY *key, STACK_OF(X509) * chain)
{
	struct tls_identity *identity = calloc(1, sizeof(*identity));

	if (identity == NULL)
		return NULL;
	identity->chain = chain != NULL ? X509_chain_up_ref(chain) : sk_X509_new_null();
	if (identity->chain == NULL) {
		free(identity);
		return NULL;
	}
	X509_up_ref(certificate);
	EVP_PKEY_up_ref(key);
	identity->certificate = certificate;
	identity->key = key;
	return identity;
}

void tls_identity_free(struct tls_identity *identity)
{
	if (identity == NULL)
		return;
	EVP_PKEY_free(identity->key); /* wipes it */
	X509_free(identity->certificate);
	sk_X509_pop_free(identity->chain, X509_free);
	free(identity);
}

static int show_identity(SSL *ssl, const struct tls_identity *identity)
{
	return identity == NULL || (SSL_use_certificate(ssl, identity->certificate) == 1 &&
					   SSL_use_PrivateKey(ssl, identity->key) == 1 &&
					   SSL_set1_chain(ssl, identity->chain) == 1);
}

int tls_connect(struct tls *tls, const struct tls_client *client, int fd, const char *host,
	const struct tls_identity *identity)
{
	SSL *ssl = SSL_new(client->ctx);

	*tls = (struct tls){.fd = fd};
	if (ssl == NULL)
		return -1;
	if ((client->sleeps_deep ? tls_wire_attach(ssl, fd) != 0 : SSL_set_fd(ssl, fd) != 1) ||
		expect_host(ssl, host) != 1 || !show_identity(ssl, identity)) {
		ERR_clear_error();
		SSL_free(ssl);
		return -1;
	}
	SSL_set_connect_state(ssl);
	tls->way = TLS_OPENSSL;
	tls->ssl = ssl;
	return 0;
}
