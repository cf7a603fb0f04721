#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/tls.h"
#include "tests/unit/check.h"
#include "tests/unit/test_pki.h"

enum { TURNS_MAX = 20 }; /* of both sides; a handshake takes three */

static struct pki server_pki, phone_pki;

/* What the judge says, and the alert that the phone got. */
static enum refusal judged;
static int alert;

static enum refusal judge(void *owner, X509 *leaf, STACK_OF(X509) * sent)
{
	(void)sent;
	CU_ASSERT_PTR_EQUAL(owner, &judged);
	CU_ASSERT_EQUAL(X509_cmp(leaf, phone_pki.certificate), 0);
	return judged;
}

static void on_info(const SSL *ssl, int where, int value)
{
	(void)ssl;
	if ((where & SSL_CB_ALERT) != 0 && (where & SSL_CB_READ) != 0)
		alert = value & 0xff;
}

/* A configured file with the certificate or the key in PEM. */
static struct config_file file_with(const struct pki *pki, bool is_key)
{
	struct config_file file = {
		.path = (char *)"test.pem", .fd = memfd_create("test", MFD_CLOEXEC)};
	FILE *stream = fdopen(fcntl(file.fd, F_DUPFD_CLOEXEC, 0), "w");

	PKI_MUST(stream != NULL);
	if (is_key)
		PKI_MUST(PEM_write_PKCS8PrivateKey(stream, pki->key, NULL, NULL, 0, NULL, NULL) ==
			 1);
	else
		PKI_MUST(PEM_write_X509(stream, pki->certificate) == 1);
	fclose(stream);
	return file;
}

/* Whether servers give up their SSL objects. */
static bool sleeps_deep = true;

static struct tls_server *server_make(bool needs_certificate)
{
	static const struct config_trust trust = {.security_level = 2};
	struct config_certificate certificate = {.name = (char *)"main",
		.chain = file_with(&server_pki, false),
		.key = file_with(&server_pki, true)};
	const struct config_listener listener = {.name = (char *)"phones",
		.certificate_count = 1,
		.certificates = &certificate,
		.tls_min = CONFIG_TLS_1_2,
		.ciphers = (char *)"ECDHE+AESGCM"};
	STACK_OF(X509_NAME) *no_names = sk_X509_NAME_new_null();
	struct error err = {""};
	struct tls_server *server = tls_server_new(
		&listener, &trust, needs_certificate, sleeps_deep, no_names, judge, &err);

	CU_ASSERT_STRING_EQUAL(err.text, "");
	PKI_MUST(server != NULL);
	sk_X509_NAME_free(no_names);
	close(certificate.chain.fd);
	close(certificate.key.fd);
	return server;
}

static SSL *phone_make(int fd, int version, bool has_certificate)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;

	PKI_MUST(ctx != NULL);
	SSL_CTX_set_max_proto_version(ctx, version);
	SSL_CTX_set_info_callback(ctx, on_info);
	if (has_certificate)
		PKI_MUST(SSL_CTX_use_certificate(ctx, phone_pki.certificate) == 1 &&
			 SSL_CTX_use_PrivateKey(ctx, phone_pki.key) == 1);
	ssl = SSL_new(ctx);
	PKI_MUST(ssl != NULL && SSL_set_fd(ssl, fd) == 1);
	SSL_set_connect_state(ssl);
	SSL_CTX_free(ctx);
	return ssl;
}

/* What becomes of a handshake on the server's side; alert has what the phone was told. */
static enum tls_result shake_hands(
	const struct tls_server *server, int version, bool has_certificate)
{
	enum tls_result result = TLS_WANTS_READ;
	struct tls tls;
	int pair[2];
	char byte;
	SSL *phone;

	alert = 0;
	PKI_MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	phone = phone_make(pair[1], version, has_certificate);
	PKI_MUST(tls_accept(&tls, server, pair[0], &judged) == 0);
	for (int i = 0; i < TURNS_MAX; i++) {
		SSL_read(phone, &byte, 1);
		if (result == TLS_WANTS_READ)
			result = tls_handshake(&tls);
	}
	tls_close(&tls);
	SSL_free(phone);
	close(pair[0]);
	close(pair[1]);
	return result;
}

static void test_each_refusal_gets_the_alert_of_its_row(void)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	struct tls_server *server = server_make(true);
	int count = 0;

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
		for (int code = REFUSAL_NONE + 1; code < REFUSAL_COUNT; code++) {
			int wanted = refusal_row((enum refusal)code)->tls_alert;

			if (wanted == 0 || code == REFUSAL_CERTIFICATE_MISSING)
				continue;
			judged = (enum refusal)code;
			CU_ASSERT_EQUAL(shake_hands(server, versions[i], true), TLS_ERROR);
			CU_ASSERT_EQUAL(alert, wanted);
			count++;
		}
	CU_ASSERT(count >= 18);
	tls_server_free(server);
}

static void test_who_is_not_refused_comes_in(void)
{
	struct tls_server *server = server_make(true);

	judged = REFUSAL_NONE;
	CU_ASSERT_EQUAL(shake_hands(server, TLS1_2_VERSION, true), TLS_DONE);
	CU_ASSERT_EQUAL(alert, SSL3_AD_CLOSE_NOTIFY); /* of tls_close() */
	CU_ASSERT_EQUAL(shake_hands(server, TLS1_3_VERSION, true), TLS_DONE);
	tls_server_free(server);
}

static void test_a_certificate_is_required_where_that_is_asked_for(void)
{
	struct tls_server *server = server_make(true);

	judged = REFUSAL_NONE;
	CU_ASSERT_EQUAL(shake_hands(server, TLS1_3_VERSION, false), TLS_ERROR);
	CU_ASSERT_EQUAL(alert, refusal_row(REFUSAL_CERTIFICATE_MISSING)->tls_alert);
	tls_server_free(server);
	server = server_make(false);
	CU_ASSERT_EQUAL(shake_hands(server, TLS1_3_VERSION, false), TLS_DONE);
	tls_server_free(server);
}

static const struct check checks[] = {
	{"each refusal gets the alert of its row", test_each_refusal_gets_the_alert_of_its_row},
	{"who is not refused comes in", test_who_is_not_refused_comes_in},
	{"a certificate is required where that is asked for",
		test_a_certificate_is_required_where_that_is_asked_for},
};

int main(void)
{
	int status;

	server_pki = pki_make((struct pki_spec){.name = "mail.example.com"});
	phone_pki = pki_make((struct pki_spec){.name = "Alice"});
	status = check_run("proxy/tls", checks, sizeof(checks) / sizeof(checks[0]));
	sleeps_deep = false;
	if (status == 0)
		status = check_run(
			"proxy/tls with OpenSSL alone", checks, sizeof(checks) / sizeof(checks[0]));
	pki_free(&server_pki);
	pki_free(&phone_pki);
	return status;
}
