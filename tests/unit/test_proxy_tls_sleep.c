/*
 * Channels that have given up their SSL objects, against real SSL objects of OpenSSL, both ways round.
 * Between the two stands a relay of the test, which splits and merges what goes through it.
 */
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/tls.h"
#include "tests/unit/check.h"
#include "tests/unit/test_pki.h"

enum { TURNS_MAX = 400000, BIG = 200000, ROOM = 32768 };

static const struct {
	const char *suite;
	int version;
	bool is_rsa;
} suites[] = {
	{"TLS_AES_128_GCM_SHA256", TLS1_3_VERSION, false},
	{"TLS_AES_256_GCM_SHA384", TLS1_3_VERSION, false},
	{"TLS_CHACHA20_POLY1305_SHA256", TLS1_3_VERSION, true},
	{"ECDHE-ECDSA-AES128-GCM-SHA256", TLS1_2_VERSION, false},
	{"ECDHE-ECDSA-AES256-GCM-SHA384", TLS1_2_VERSION, false},
	{"ECDHE-ECDSA-CHACHA20-POLY1305", TLS1_2_VERSION, false},
	{"ECDHE-RSA-AES128-GCM-SHA256", TLS1_2_VERSION, true},
	{"ECDHE-RSA-AES256-GCM-SHA384", TLS1_2_VERSION, true},
	{"ECDHE-RSA-CHACHA20-POLY1305", TLS1_2_VERSION, true},
};
static const size_t suite_count = sizeof(suites) / sizeof(suites[0]);

static struct pki ecdsa, rsa;

/* The two ends, and the relay's piece size; 0: all that is there. */
static struct tls ours;
static SSL *theirs;
static int our_pair[2], their_pair[2];
static size_t piece_size;
static uint8_t big[BIG], got[BIG];

static enum refusal judge(void *owner, X509 *leaf, STACK_OF(X509) * sent)
{
	(void)owner;
	(void)leaf;
	(void)sent;
	return REFUSAL_NONE;
}

static struct config_file file_with(const struct pki *pki, bool is_key)
{
	struct config_file file = {
		.path = (char *)"test.pem", .fd = memfd_create("test", MFD_CLOEXEC)};
	FILE *stream = fdopen(fcntl(file.fd, F_DUPFD_CLOEXEC, 0), "w");

	PKI_MUST(stream != NULL);
	PKI_MUST((is_key ? PEM_write_PKCS8PrivateKey(stream, pki->key, NULL, NULL, 0, NULL, NULL)
			 : PEM_write_X509(stream, pki->certificate)) == 1);
	fclose(stream);
	return file;
}

static struct tls_server *our_server(const struct pki *pki, const char *ciphers)
{
	static const struct config_trust trust = {.security_level = 1};
	/* A server looks into its configuration for as long as it lives. */
	static struct config_certificate certificate;
	const struct config_listener listener = {.name = (char *)"phones",
		.certificate_count = 1,
		.certificates = &certificate,
		.tls_min = CONFIG_TLS_1_2,
		.ciphers = (char *)ciphers};
	STACK_OF(X509_NAME) *no_names = sk_X509_NAME_new_null();
	struct error err = {""};
	struct tls_server *server;

	certificate = (struct config_certificate){.name = (char *)"main",
		.chain = file_with(pki, false),
		.key = file_with(pki, true)};
	server = tls_server_new(&listener, &trust, false, true, no_names, judge, &err);
	PKI_MUST(server != NULL);
	sk_X509_NAME_free(no_names);
	close(certificate.chain.fd);
	close(certificate.key.fd);
	return server;
}

static void set_suite(SSL *ssl, size_t i)
{
	PKI_MUST(SSL_set_max_proto_version(ssl, suites[i].version) == 1);
	PKI_MUST((suites[i].version == TLS1_3_VERSION
				 ? SSL_set_ciphersuites(ssl, suites[i].suite)
				 : SSL_set_cipher_list(ssl, suites[i].suite)) == 1);
}

/* From one socket to another, a piece of it. Whether there was something. */
static bool relay(int from, int to)
{
	static uint8_t buffer[64 * 1024];
	ssize_t n = recv(from, buffer, piece_size != 0 ? piece_size : sizeof(buffer), MSG_DONTWAIT);

	if (n == 0)
		shutdown(to, SHUT_WR);
	if (n > 0)
		PKI_MUST(send(to, buffer, (size_t)n, 0) == n);
	return n > 0;
}

static void relay_both(void)
{
	relay(our_pair[1], their_pair[1]);
	relay(their_pair[1], our_pair[1]);
}

static void open_sockets(void)
{
	PKI_MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, our_pair) == 0);
	PKI_MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, their_pair) == 0);
}

static void shake_hands(void)
{
	enum tls_result mine = TLS_WANTS_READ;
	int other = 0;

	for (int i = 0; i < TURNS_MAX && (mine != TLS_DONE || other != 1); i++) {
		if (other != 1)
			other = SSL_do_handshake(theirs);
		if (mine == TLS_WANTS_READ)
			mine = tls_handshake(&ours);
		relay_both();
	}
	CU_ASSERT_EQUAL_FATAL(mine, TLS_DONE);
	CU_ASSERT_EQUAL_FATAL(other, 1);
}

/* We are the server of suite i. */
static void meet_phone(size_t i)
{
	struct tls_server *server = our_server(suites[i].is_rsa ? &rsa : &ecdsa,
		suites[i].version == TLS1_2_VERSION ? suites[i].suite : "ECDHE+AESGCM");
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	open_sockets();
	theirs = SSL_new(ctx);
	SSL_CTX_free(ctx);
	PKI_MUST(theirs != NULL && SSL_set_fd(theirs, their_pair[0]) == 1);
	set_suite(theirs, i);
	PKI_MUST(SSL_set_tlsext_host_name(theirs, "mail.example.com") == 1);
	SSL_set_connect_state(theirs);
	PKI_MUST(tls_accept(&ours, server, our_pair[0], NULL) == 0);
	shake_hands();
	tls_server_free(server);
}

/* We are its client. */
static void meet_endpoint(size_t i)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	const struct pki *pki = suites[i].is_rsa ? &rsa : &ecdsa;
	struct config_file ca = file_with(pki, false);
	struct error err = {""};
	struct tls_client *client = tls_client_new(&ca, true, &err);

	close(ca.fd);
	PKI_MUST(client != NULL && ctx != NULL);
	PKI_MUST(SSL_CTX_use_certificate(ctx, pki->certificate) == 1 &&
		 SSL_CTX_use_PrivateKey(ctx, pki->key) == 1);
	open_sockets();
	theirs = SSL_new(ctx);
	SSL_CTX_free(ctx);
	PKI_MUST(theirs != NULL && SSL_set_fd(theirs, their_pair[0]) == 1);
	set_suite(theirs, i);
	SSL_set_accept_state(theirs);
	PKI_MUST(tls_connect(&ours, client, our_pair[0], "mail.example.com", NULL) == 0);
	shake_hands();
	tls_client_free(client);
}

static void meet(size_t i, bool is_server)
{
	if (is_server)
		meet_phone(i);
	else
		meet_endpoint(i);
	CU_ASSERT_TRUE(tls_sleeps_deep(&ours));
	CU_ASSERT_STRING_EQUAL(tls_cipher(&ours), suites[i].suite);
	CU_ASSERT_STRING_EQUAL(tls_cipher(&ours), SSL_get_cipher_name(theirs));
	CU_ASSERT_STRING_EQUAL(tls_version(&ours), SSL_get_version(theirs));
}

static void part(void)
{
	tls_close(&ours);
	SSL_free(theirs);
	for (int i = 0; i < 2; i++) {
		close(our_pair[i]);
		close(their_pair[i]);
	}
	piece_size = 0;
}

/* From us to them, each write of at most step bytes. */
static void send_ours(size_t len, size_t step)
{
	size_t sent = 0, there = 0;

	for (int i = 0; i < TURNS_MAX && there < len; i++) {
		size_t written = 0, n = 0;

		if (sent < len) {
			size_t offered = len - sent < step ? len - sent : step;
			enum tls_result result = tls_write(&ours, big + sent, offered, &written);

			CU_ASSERT_FATAL(result == TLS_DONE || result == TLS_WANTS_WRITE);
			CU_ASSERT_FATAL(written <= offered);
			CU_ASSERT_EQUAL(result == TLS_DONE, written > 0);
			sent += written;
		}
		relay_both();
		if (SSL_read_ex(theirs, got + there, BIG - there, &n) == 1)
			there += n;
	}
	CU_ASSERT_EQUAL(there, len);
	CU_ASSERT_EQUAL(memcmp(got, big, len), 0);
}

/* From them to us, with room for capacity bytes each time. */
static void send_theirs(size_t len, size_t capacity)
{
	size_t sent = 0, there = 0;

	for (int i = 0; i < TURNS_MAX && there < len; i++) {
		size_t n = 0;

		if (sent < len && SSL_write_ex(theirs, big + sent, len - sent, &n) == 1)
			sent += n;
		relay_both();
		do {
			size_t room = BIG - there < capacity ? BIG - there : capacity;
			enum tls_result result = tls_read(&ours, got + there, room, &n);

			CU_ASSERT_FATAL(result == TLS_DONE || result == TLS_WANTS_READ);
			CU_ASSERT_FATAL(n <= room);
			CU_ASSERT_EQUAL(result == TLS_DONE, n > 0);
			there += n;
		} while (there < BIG && tls_has_pending(&ours));
	}
	CU_ASSERT_EQUAL(there, len);
	CU_ASSERT_EQUAL(memcmp(got, big, len), 0);
}

static void test_every_suite_talks_in_both_directions(void)
{
	static const size_t lengths[] = {1, 100, 16383, 16384, 16385, 70000, BIG};

	for (size_t i = 0; i < 2 * suite_count; i++) {
		meet(i / 2, i % 2 == 0);
		for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
			send_ours(lengths[k], BIG);
			send_theirs(lengths[k], ROOM);
		}
		part();
	}
}

static void test_records_may_be_split_anywhere(void)
{
	for (size_t i = 0; i < 2 * suite_count; i++) {
		for (piece_size = 1; piece_size < 80; piece_size += piece_size < 8 ? 1 : 7) {
			size_t kept = piece_size;

			meet(i / 2, i % 2 == 0);
			send_ours(150, 50);
			send_theirs(150, ROOM);
			send_theirs(150, 1);
			part();
			piece_size = kept;
		}
		piece_size = 0;
	}
}

/* The first piece ends after every byte of two records in turn, the rest comes in one. */
static void test_a_cut_after_each_byte_of_two_records(void)
{
	for (size_t i = 0; i < suite_count; i += 4) {
		meet(i, true);
		for (size_t cut = 1; cut < 90; cut++) {
			uint8_t buffer[200];
			size_t n = 0, there = 0;
			ssize_t len;

			SSL_write_ex(theirs, "one", 3, &n);
			SSL_write_ex(theirs, "twotwo", 6, &n);
			len = recv(their_pair[1], buffer, sizeof(buffer), MSG_DONTWAIT);
			PKI_MUST(len > 0);
			if (cut > (size_t)len)
				cut = (size_t)len;
			send(our_pair[1], buffer, cut, 0);
			if (tls_read(&ours, got, BIG, &n) == TLS_DONE)
				there = n;
			CU_ASSERT_FALSE(tls_has_pending(&ours));
			send(our_pair[1], buffer + cut, (size_t)len - cut, 0);
			if (there < 9 && tls_read(&ours, got + there, BIG, &n) == TLS_DONE)
				there += n;
			CU_ASSERT_EQUAL(there, 9);
			CU_ASSERT_EQUAL(memcmp(got, "onetwotwo", 9), 0);
			if (cut == (size_t)len)
				break;
		}
		part();
	}
}

static void test_little_room_is_enough(void)
{
	static const size_t capacities[] = {1, 7, 100, 16383, 16384, 16385, 20000};

	for (size_t i = 0; i < 2 * suite_count; i++) {
		meet(i / 2, i % 2 == 0);
		for (size_t k = 0; k < sizeof(capacities) / sizeof(capacities[0]); k++)
			send_theirs(capacities[k] < 10 ? 3000 : 50000, capacities[k]);
		part();
	}
}

/* The socket takes a few kB at a time, and the caller offers pieces smaller than before. */
static void test_a_slow_peer_gets_all_of_it(void)
{
	for (size_t i = 0; i < 2 * suite_count; i++) {
		int small = 4096;

		piece_size = 1500;
		meet(i / 2, i % 2 == 0);
		setsockopt(our_pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
		send_ours(BIG, BIG);
		send_ours(BIG / 2, ROOM / 2);
		send_ours(BIG / 4, 1000);
		part();
	}
}

static void test_keys_are_updated_on_either_sides_wish(void)
{
	for (size_t i = 0; i < 6; i++) {
		meet(i / 2, i % 2 == 0);
		for (int n = 0; n < 100; n++) {
			PKI_MUST(SSL_key_update(
					 theirs, n % 2 == 0 ? SSL_KEY_UPDATE_REQUESTED
							    : SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
			send_theirs(20 + (size_t)n, ROOM);
			send_ours(20 + (size_t)n, BIG);
			send_theirs(20, 5);
		}
		part();
	}
}

/* RFC 5246 7.2.2. OpenSSL's client gives up, which others need not. */
static void test_renegotiation_is_declined_with_a_warning(void)
{
	for (size_t i = 3; i < suite_count; i++) {
		size_t n = 0;
		char byte;

		meet(i, true);
		PKI_MUST(SSL_renegotiate(theirs) == 1);
		SSL_do_handshake(theirs);
		relay_both();
		CU_ASSERT_EQUAL(tls_read(&ours, got, BIG, &n), TLS_WANTS_READ);
		relay_both();
		ERR_clear_error();
		CU_ASSERT_NOT_EQUAL(SSL_read_ex(theirs, &byte, 1, &n), 1);
		CU_ASSERT_EQUAL(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
		part();
		/* The same of an endpoint, which takes it well. */
		meet(i, false);
		PKI_MUST(SSL_renegotiate(theirs) == 1);
		SSL_do_handshake(theirs);
		relay_both();
		CU_ASSERT_EQUAL(tls_read(&ours, got, BIG, &n), TLS_WANTS_READ);
		part();
	}
}

static void test_either_side_may_say_that_it_ends(void)
{
	for (size_t i = 0; i < 2 * suite_count; i++) {
		size_t n = 0;
		char byte;

		meet(i / 2, i % 2 == 0);
		/* They end; we have still something to say. */
		send_theirs(10, BIG);
		SSL_write_ex(theirs, "last", 4, &n);
		SSL_shutdown(theirs);
		relay_both();
		CU_ASSERT_EQUAL(tls_read(&ours, got, BIG, &n), TLS_DONE);
		CU_ASSERT_EQUAL(n, 4);
		CU_ASSERT_TRUE(tls_has_pending(&ours));
		CU_ASSERT_EQUAL(tls_read(&ours, got, BIG, &n), TLS_EOF);
		CU_ASSERT_EQUAL(tls_read(&ours, got, BIG, &n), TLS_EOF);
		CU_ASSERT_EQUAL(tls_write(&ours, "answer", 6, &n), TLS_DONE);
		relay_both();
		CU_ASSERT_EQUAL(SSL_read(theirs, got, 6), 6);
		tls_close(&ours);
		relay_both();
		CU_ASSERT_EQUAL(SSL_shutdown(theirs), 1);
		part();
		/* We end. */
		meet(i / 2, i % 2 == 0);
		tls_close(&ours);
		relay_both();
		CU_ASSERT_EQUAL(SSL_read(theirs, &byte, 1), 0);
		CU_ASSERT_EQUAL(SSL_get_error(theirs, 0), SSL_ERROR_ZERO_RETURN);
		part();
	}
}

/* A phone may go without a word; an endpoint may not, for then its answer could have been cut. */
static void test_an_end_without_close_notify(void)
{
	for (size_t i = 0; i < 2 * suite_count; i++) {
		size_t n = 0;

		meet(i / 2, i % 2 == 0);
		shutdown(our_pair[1], SHUT_WR);
		/* An endpoint's tickets come first. */
		if (i % 2 == 1 && suites[i / 2].version == TLS1_3_VERSION)
			CU_ASSERT_EQUAL(tls_read(&ours, got, BIG, &n), TLS_WANTS_READ);
		CU_ASSERT_EQUAL(tls_read(&ours, got, BIG, &n), i % 2 == 0 ? TLS_EOF : TLS_ERROR);
		if (i % 2 == 1)
			CU_ASSERT_STRING_EQUAL(tls_failure(&ours), "unexpected eof while reading");
		part();
	}
}

static void test_a_broken_record_is_answered_with_its_alert(void)
{
	for (size_t i = 0; i < 2 * suite_count; i++) {
		size_t n = 0;
		char byte;

		meet(i / 2, i % 2 == 0);
		send(our_pair[1], "\x17\3\3\0\x20 nobody could have made this one", 37, 0);
		CU_ASSERT_EQUAL(tls_read(&ours, got, BIG, &n), TLS_ERROR);
		CU_ASSERT_STRING_EQUAL(tls_failure(&ours), "decryption failed or bad record mac");
		CU_ASSERT_EQUAL(tls_read(&ours, got, BIG, &n), TLS_ERROR);
		CU_ASSERT_EQUAL(tls_write(&ours, "x", 1, &n), TLS_ERROR);
		relay_both();
		ERR_clear_error();
		CU_ASSERT_NOT_EQUAL(SSL_read_ex(theirs, &byte, 1, &n), 1);
		CU_ASSERT_EQUAL(ERR_GET_REASON(ERR_peek_error()), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
		/* Nothing is said after it. */
		tls_close(&ours);
		CU_ASSERT_FALSE(relay(our_pair[1], their_pair[1]));
		part();
	}
}

/* An endpoint may have said why it hung up; our record may be cut, and nothing goes out behind it. */
static void test_after_a_write_that_failed_the_peer_can_still_be_heard(void)
{
	size_t n = 0;

	meet(0, false);
	SSL_write_ex(theirs, "why", 3, &n);
	relay_both();
	shutdown(our_pair[0], SHUT_WR);
	CU_ASSERT_EQUAL(tls_write(&ours, "x", 1, &n), TLS_ERROR);
	CU_ASSERT_EQUAL(tls_read(&ours, got, BIG, &n), TLS_DONE);
	CU_ASSERT_EQUAL(n, 3);
	CU_ASSERT_EQUAL(tls_write(&ours, "x", 1, &n), TLS_ERROR);
	part();
}

/* What came before a fault still counts, and then the fault. */
static void test_content_before_a_fault_is_not_lost(void)
{
	size_t n = 0;

	meet(0, true);
	SSL_write_ex(theirs, "good", 4, &n);
	relay_both();
	send(our_pair[1], "\x14\3\3\0\1\1", 6, 0);
	CU_ASSERT_EQUAL(tls_read(&ours, got, BIG, &n), TLS_DONE);
	CU_ASSERT_EQUAL(n, 4);
	CU_ASSERT_TRUE(tls_has_pending(&ours));
	CU_ASSERT_EQUAL(tls_read(&ours, got, BIG, &n), TLS_ERROR);
	CU_ASSERT_STRING_EQUAL(tls_failure(&ours), "unexpected record");
	part();
}

/* RFC 6066 4: records of at most so much, in both directions. */
static void test_a_phone_may_ask_for_small_records(void)
{
	struct tls_server *server = our_server(&ecdsa, "ECDHE+AESGCM");

	for (size_t i = 0; i < 4; i += 3)
		for (uint8_t code = 1; code <= 4; code++) {
			SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

			open_sockets();
			PKI_MUST(SSL_CTX_set_tlsext_max_fragment_length(ctx, code) == 1);
			theirs = SSL_new(ctx);
			SSL_CTX_free(ctx);
			PKI_MUST(theirs != NULL && SSL_set_fd(theirs, their_pair[0]) == 1);
			set_suite(theirs, i);
			SSL_set_connect_state(theirs);
			PKI_MUST(tls_accept(&ours, server, our_pair[0], NULL) == 0);
			shake_hands();
			CU_ASSERT_TRUE(tls_sleeps_deep(&ours));
			/* OpenSSL refuses longer ones. */
			send_ours(20000, BIG);
			send_theirs(20000, BIG);
			part();
		}
	tls_server_free(server);
}

static void test_other_suites_keep_openssl(void)
{
	struct tls_server *server =
		our_server(&ecdsa, "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-CCM");
	static const char *const others[] = {"ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-CCM"};

	for (size_t i = 0; i < 2; i++) {
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

		open_sockets();
		theirs = SSL_new(ctx);
		SSL_CTX_free(ctx);
		PKI_MUST(SSL_set_fd(theirs, their_pair[0]) == 1 &&
			 SSL_set_max_proto_version(theirs, TLS1_2_VERSION) == 1 &&
			 SSL_set_cipher_list(theirs, others[i]) == 1);
		SSL_set_connect_state(theirs);
		PKI_MUST(tls_accept(&ours, server, our_pair[0], NULL) == 0);
		shake_hands();
		CU_ASSERT_FALSE(tls_sleeps_deep(&ours));
		CU_ASSERT_STRING_EQUAL(tls_cipher(&ours), others[i]);
		send_ours(50000, BIG);
		send_theirs(50000, ROOM);
		part();
	}
	tls_server_free(server);
}

/* The phone's first request comes in one piece with the end of its handshake. */
static void test_what_comes_with_the_handshake_is_not_lost(void)
{
	for (size_t i = 0; i < suite_count; i++) {
		struct tls_server *server = our_server(suites[i].is_rsa ? &rsa : &ecdsa,
			suites[i].version == TLS1_2_VERSION ? suites[i].suite : "ECDHE+AESGCM");
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
		enum tls_result result = TLS_WANTS_READ;
		size_t n = 0;
		int done = 0;

		open_sockets();
		theirs = SSL_new(ctx);
		SSL_CTX_free(ctx);
		PKI_MUST(SSL_set_fd(theirs, their_pair[0]) == 1);
		set_suite(theirs, i);
		SSL_set_connect_state(theirs);
		PKI_MUST(tls_accept(&ours, server, our_pair[0], NULL) == 0);
		for (int turn = 0; turn < 20 && result != TLS_DONE; turn++) {
			if (done != 1)
				done = SSL_do_handshake(theirs);
			if (done == 1 && n == 0)
				SSL_write_ex(theirs, "request", 7, &n);
			relay(their_pair[1], our_pair[1]);
			result = tls_handshake(&ours);
			relay(our_pair[1], their_pair[1]);
			/* In 1.2 the server's Finished is the last. */
			if (result == TLS_DONE && done != 1)
				done = SSL_do_handshake(theirs);
		}
		CU_ASSERT_EQUAL(result, TLS_DONE);
		if (n == 0)
			SSL_write_ex(theirs, "request", 7, &n);
		else
			CU_ASSERT_TRUE(tls_has_pending(&ours));
		relay_both();
		CU_ASSERT_EQUAL(tls_read(&ours, got, BIG, &n), TLS_DONE);
		CU_ASSERT_EQUAL(n, 7);
		part();
		tls_server_free(server);
	}
}

static void test_logs_learn_what_they_did(void)
{
	meet(0, true);
	CU_ASSERT_STRING_EQUAL(tls_server_name(&ours), "mail.example.com");
	CU_ASSERT_PTR_NULL(tls_peer(&ours));
	CU_ASSERT_TRUE(tls_is_encrypted(&ours));
	part();
	CU_ASSERT_FALSE(tls_is_encrypted(&ours));
	meet(1, false);
	CU_ASSERT_PTR_NOT_NULL_FATAL(tls_peer(&ours));
	CU_ASSERT_EQUAL(X509_cmp(tls_peer(&ours), ecdsa.certificate), 0);
	tls_forget_peer(&ours);
	CU_ASSERT_PTR_NULL(tls_peer(&ours));
	part();
}

static const struct check checks[] = {
	{"every suite talks in both directions", test_every_suite_talks_in_both_directions},
	{"records may be split anywhere", test_records_may_be_split_anywhere},
	{"a cut after each byte of two records", test_a_cut_after_each_byte_of_two_records},
	{"little room is enough", test_little_room_is_enough},
	{"a slow peer gets all of it", test_a_slow_peer_gets_all_of_it},
	{"keys are updated on either side's wish", test_keys_are_updated_on_either_sides_wish},
	{"renegotiation is declined with a warning", test_renegotiation_is_declined_with_a_warning},
	{"either side may say that it ends", test_either_side_may_say_that_it_ends},
	{"an end without close_notify", test_an_end_without_close_notify},
	{"after a write that failed the peer can still be heard",
		test_after_a_write_that_failed_the_peer_can_still_be_heard},
	{"a broken record is answered with its alert",
		test_a_broken_record_is_answered_with_its_alert},
	{"content before a fault is not lost", test_content_before_a_fault_is_not_lost},
	{"a phone may ask for small records", test_a_phone_may_ask_for_small_records},
	{"other suites keep OpenSSL", test_other_suites_keep_openssl},
	{"what comes with the handshake is not lost",
		test_what_comes_with_the_handshake_is_not_lost},
	{"logs learn what they did", test_logs_learn_what_they_did},
};

int main(void)
{
	int status;

	for (size_t i = 0; i < BIG; i++)
		big[i] = (uint8_t)(i * 131 + i / 251);
	ecdsa = pki_make(
		(struct pki_spec){.name = "mail.example.com", .san = "DNS:mail.example.com"});
	rsa = pki_make((struct pki_spec){
		.name = "mail.example.com", .san = "DNS:mail.example.com", .rsa_bits = 2048});
	status = check_run("proxy/tls_sleep", checks, sizeof(checks) / sizeof(checks[0]));
	pki_free(&ecdsa);
	pki_free(&rsa);
	return status;
}
