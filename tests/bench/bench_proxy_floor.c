/*
 * The floor under easproxyd: what OpenSSL's own work for a phone takes, without sockets, HTTP and
 * everything that is ours. Prints the primitives of a handshake, whole handshakes of a server that
 * looks at no chain and makes no ticket (what a proxy with OpenSSL cannot do without), and sealing.
 */
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	ROUND_COUNT = 7, /* of which the lowest and the median are printed */
	HANDSHAKE_COUNT = 150,
	RECORD_SIZE = 16384,
	RECORD_COUNT = 640,
	MEGABYTE = 1000000,
	KEY_LEN = 16,
	IV_LEN = 12,
	TAG_LEN = 16
};

static void must(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "bench_proxy_floor: %s failed\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	double of_a = *(const double *)a, of_b = *(const double *)b;

	return (of_a > of_b) - (of_a < of_b);
}

static void print(const char *what, double rounds[ROUND_COUNT], const char *unit)
{
	qsort(rounds, ROUND_COUNT, sizeof(*rounds), compare);
	printf("%-58s %8.1f / %6.1f %s\n", what, rounds[0], rounds[ROUND_COUNT / 2], unit);
}

/* A step that needs nothing but what is set up before; times and returns the lowest round's us. */
static void measure(const char *what, void (*step)(void *), void *of, int count)
{
	double rounds[ROUND_COUNT];

	for (int round = 0; round < ROUND_COUNT; round++) {
		double begun = now_us();

		for (int i = 0; i < count; i++)
			step(of);
		rounds[round] = (now_us() - begun) / count;
	}
	print(what, rounds, "us");
}

struct exchange_pair {
	EVP_PKEY *ours, *theirs;
};

static void make_x25519(void *of)
{
	(void)of;
	EVP_PKEY_free(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"));
}

static void derive_x25519(void *of)
{
	const struct exchange_pair *pair = of;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair->ours, NULL);
	unsigned char secret[32];
	size_t len = sizeof(secret);

	must(EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, pair->theirs) == 1 &&
			EVP_PKEY_derive(ctx, secret, &len) == 1,
		"X25519");
	EVP_PKEY_CTX_free(ctx);
}

struct signature {
	EVP_PKEY *key;
	unsigned char bytes[512];
	size_t len;
};

static const unsigned char message[130] = "TLS 1.3, server CertificateVerify";

static void sign(void *of)
{
	struct signature *signature = of;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	signature->len = sizeof(signature->bytes);
	must(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, signature->key) == 1 &&
			EVP_DigestSign(ctx, signature->bytes, &signature->len, message,
				sizeof(message)) == 1,
		"signing");
	EVP_MD_CTX_free(ctx);
}

static void verify(void *of)
{
	struct signature *signature = of;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	must(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, signature->key) == 1 &&
			EVP_DigestVerify(ctx, signature->bytes, signature->len, message,
				sizeof(message)) == 1,
		"verifying");
	EVP_MD_CTX_free(ctx);
}

static void measure_primitives(EVP_PKEY *ec, EVP_PKEY *rsa)
{
	struct exchange_pair pair = {
		EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), EVP_PKEY_Q_keygen(NULL, NULL, "X25519")};
	struct signature of_ec = {.key = ec}, of_rsa = {.key = rsa};

	measure("X25519, a key pair", make_x25519, NULL, 400);
	measure("X25519, the shared secret", derive_x25519, &pair, 400);
	measure("P-256, signing (the server's proof)", sign, &of_ec, 400);
	measure("P-256, verifying (the phone's proof)", verify, &of_ec, 400);
	measure("RSA-2048, signing", sign, &of_rsa, 60);
	measure("RSA-2048, verifying", verify, &of_rsa, 400);
	EVP_PKEY_free(pair.ours);
	EVP_PKEY_free(pair.theirs);
}

static X509 *self_signed(EVP_PKEY *key)
{
	X509 *certificate = X509_new();
	X509_NAME *name = X509_get_subject_name(certificate);

	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_ASC, (const unsigned char *)"floor", -1, -1, 0);
	X509_set_issuer_name(certificate, name);
	must(X509_set_pubkey(certificate, key) == 1 &&
			X509_sign(certificate, key, EVP_sha256()) > 0,
		"making a certificate");
	return certificate;
}

/* Whose chain it is has been found out before: what is left is the proof of the key. */
static int accept_chain(X509_STORE_CTX *store, void *of)
{
	(void)store;
	(void)of;
	return 1;
}

static SSL_CTX *context_new(const SSL_METHOD *method, int version, EVP_PKEY *key)
{
	SSL_CTX *ctx = SSL_CTX_new(method);
	X509 *certificate = self_signed(key);

	must(ctx != NULL && SSL_CTX_use_certificate(ctx, certificate) == 1 &&
			SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
			SSL_CTX_set_min_proto_version(ctx, version) == 1 &&
			SSL_CTX_set_max_proto_version(ctx, version) == 1 &&
			SSL_CTX_set1_groups_list(ctx, "X25519:P-256") == 1,
		"a TLS context");
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, accept_chain, NULL);
	X509_free(certificate);
	return ctx;
}

/* One handshake in memory: the microseconds that the server's side took. */
static double handshake(SSL_CTX *server_ctx, SSL_CTX *client_ctx)
{
	double begun = now_us(), used;
	SSL *server = SSL_new(server_ctx), *client;
	BIO *to_server = NULL, *to_client = NULL;
	int is_over = 0;

	must(server != NULL, "SSL_new");
	used = now_us() - begun;
	client = SSL_new(client_ctx);
	must(client != NULL && BIO_new_bio_pair(&to_server, 32768, &to_client, 32768) == 1,
		"a pair of BIOs");
	SSL_set_bio(server, to_server, to_server);
	SSL_set_bio(client, to_client, to_client);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	for (int i = 0; i < 8 && !is_over; i++) {
		int of_client = SSL_do_handshake(client), of_server;

		begun = now_us();
		of_server = SSL_do_handshake(server);
		used += now_us() - begun;
		is_over = of_client == 1 && of_server == 1;
	}
	must(is_over, "a handshake");
	SSL_free(client);
	begun = now_us();
	SSL_free(server);
	return used + now_us() - begun;
}

static void measure_handshake(
	const char *what, int version, EVP_PKEY *server_key, EVP_PKEY *phone_key)
{
	SSL_CTX *server = context_new(TLS_server_method(), version, server_key);
	SSL_CTX *client = context_new(TLS_client_method(), version, phone_key);
	double rounds[ROUND_COUNT];

	for (int round = 0; round < ROUND_COUNT; round++) {
		rounds[round] = 0;
		for (int i = 0; i < HANDSHAKE_COUNT; i++)
			rounds[round] += handshake(server, client) / HANDSHAKE_COUNT;
	}
	print(what, rounds, "us");
	SSL_CTX_free(client);
	SSL_CTX_free(server);
}

static void measure_sealing(const char *what, const EVP_CIPHER *cipher)
{
	static unsigned char record[RECORD_SIZE], sealed[RECORD_SIZE];
	unsigned char key[2 * KEY_LEN], iv[IV_LEN], tag[TAG_LEN];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	double rounds[ROUND_COUNT];
	int len;

	RAND_bytes(key, sizeof(key));
	RAND_bytes(iv, sizeof(iv));
	for (int round = 0; round < ROUND_COUNT; round++) {
		double begun = now_us();

		for (int i = 0; i < RECORD_COUNT; i++) {
			must(EVP_EncryptInit_ex(ctx, cipher, NULL, key, iv) == 1 &&
					EVP_EncryptUpdate(ctx, sealed, &len, record, RECORD_SIZE) ==
						1 &&
					EVP_EncryptFinal_ex(ctx, sealed, &len) == 1 &&
					EVP_CIPHER_CTX_ctrl(
						ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) == 1,
				"sealing");
		}
		rounds[round] = (now_us() - begun) * MEGABYTE / RECORD_SIZE / RECORD_COUNT;
	}
	print(what, rounds, "us a MB");
	EVP_CIPHER_CTX_free(ctx);
}

int main(void)
{
	EVP_PKEY *ec = EVP_EC_gen("P-256"), *rsa = EVP_RSA_gen(2048);

	must(ec != NULL && rsa != NULL, "making keys");
	printf("%-58s %8s / %6s\n", "what OpenSSL alone takes", "lowest", "median");
	measure_primitives(ec, rsa);
	measure_handshake("TLS 1.3, server P-256, phone P-256", TLS1_3_VERSION, ec, ec);
	measure_handshake("TLS 1.2, server P-256, phone P-256", TLS1_2_VERSION, ec, ec);
	measure_handshake("TLS 1.3, server RSA-2048, phone RSA-2048", TLS1_3_VERSION, rsa, rsa);
	measure_handshake("TLS 1.2, server RSA-2048, phone RSA-2048", TLS1_2_VERSION, rsa, rsa);
	measure_sealing("AES-256-GCM, records of 16 kB", EVP_aes_256_gcm());
	measure_sealing("AES-128-GCM, records of 16 kB", EVP_aes_128_gcm());
	measure_sealing("ChaCha20-Poly1305, records of 16 kB", EVP_chacha20_poly1305());
	EVP_PKEY_free(ec);
	EVP_PKEY_free(rsa);
	return 0;
}
