#include "proxy/tls_takeover.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/tls_library.h"
#include "proxy/tls_stream.h"
#include "proxy/tls_wire.h"

enum { CLIENT, SERVER };

/* The traffic secrets of TLS 1.3 */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads hexadecimal digits up to the end of text. Returns the bytes, 0 when they are not that. */
static size_t read_hex(const char *text, uint8_t *out, size_t size)
{
	size_t len = 0;

	for (; text[0] != '\0'; text += 2) {
		int high = hex_value(text[0]), low = high != -1 ? hex_value(text[1]) : -1;

		if (low == -1 || len == size)
			return 0;
		out[len++] = (uint8_t)(high << 4 | low);
	}
	return len;
}

/* "CLIENT_TRAFFIC_SECRET_0 RANDOM SECRET", in SSLKEYLOGFILE's format. OpenSSL wipes the line. */
static void on_keys(const SSL *ssl, const char *line)
{
	static const char *const labels[] = {
		[CLIENT] = "CLIENT_TRAFFIC_SECRET_0 ", [SERVER] = "SERVER_TRAFFIC_SECRET_0 "};
	struct tls_wire *wire = tls_wire_of(ssl);
	const char *secret = strrchr(line, ' ');

	for (int side = CLIENT; wire != NULL && secret != NULL && side <= SERVER; side++)
		if (strncmp(line, labels[side], strlen(labels[side])) == 0)
			wire->secret_len[side] =
				read_hex(secret + 1, wire->secret[side], TLS_SECRET_MAX);
}

static struct tls_wire *current; /* of the handshake that is taking a step; NULL: none */

static void on_secret(const void *label, size_t label_len, const uint8_t *secret, size_t len)
{
	static const char *const labels[] = {[CLIENT] = "c ap traffic", [SERVER] = "s ap traffic"};

	for (int side = CLIENT; current != NULL && side <= SERVER; side++) {
		if (label_len != strlen(labels[side]) || len > TLS_SECRET_MAX ||
			memcmp(label, labels[side], label_len) != 0)
			continue;
		memcpy(current->secret[side], secret, len);
		current->secret_len[side] = len;
	}
}

void tls_takeover_prepare(SSL_CTX *ctx, bool is_in_library)
{
	if (!is_in_library || !tls_library_listen(on_secret))
		SSL_CTX_set_keylog_callback(ctx, on_keys);
}

int tls_takeover_step(SSL *ssl, struct tls_wire *wire)
{
	int returned;

	current = wire;
	returned = SSL_do_handshake(ssl);
	current = NULL;
	return returned;
}

/* The server's name: phones nearly all ask for the same */

struct tls_server_name {
	size_t holders;
	char text[];
};

static struct tls_server_name *latest_name; /* held, too */

static void name_release(struct tls_server_name *name)
{
	if (name != NULL && --name->holders == 0)
		free(name);
}

static struct tls_server_name *name_take(const char *text)
{
	struct tls_server_name *name = latest_name;

	if (name == NULL || strcmp(name->text, text) != 0) {
		name = malloc(sizeof(*name) + strlen(text) + 1);
		if (name == NULL)
			return NULL;
		name->holders = 1;
		memcpy(name->text, text, strlen(text) + 1);
		name_release(latest_name);
		latest_name = name;
	}
	name->holders++;
	return name;
}

const char *tls_takeover_server_name(const struct tls_records *records)
{
	return records->name != NULL ? records->name->text : "";
}

/* The peer's certificates, for as long as they are of use */

struct tls_peer {
	struct tls_held held;
	X509 *leaf;
	STACK_OF(X509) * chain;
};

static struct tls_peer *peer_of(const struct tls_records *records)
{
	return (struct tls_peer *)tls_records_held(records, TLS_HELD_PEER);
}

void tls_takeover_forget_peer(struct tls_records *records)
{
	struct tls_peer *peer = peer_of(records);

	if (peer == NULL)
		return;
	X509_free(peer->leaf);
	sk_X509_pop_free(peer->chain, X509_free);
	tls_records_drop(records, TLS_HELD_PEER);
}

static int take_peer(struct tls_records *records, SSL *ssl)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	struct tls_peer *peer;

	if (SSL_get0_peer_certificate(ssl) == NULL)
		return 0;
	peer = calloc(1, sizeof(*peer));
	if (peer == NULL)
		return -1;
	tls_records_hold(records, &peer->held, TLS_HELD_PEER);
	peer->leaf = SSL_get1_peer_certificate(ssl);
	if (chain != NULL)
		peer->chain = X509_chain_up_ref(chain);
	return chain == NULL || peer->chain != NULL ? 0 : -1;
}

X509 *tls_takeover_peer(const struct tls_records *records)
{
	const struct tls_peer *peer = peer_of(records);

	return peer != NULL ? peer->leaf : NULL;
}

STACK_OF(X509) * tls_takeover_peer_chain(const struct tls_records *records)
{
	const struct tls_peer *peer = peer_of(records);

	return peer != NULL ? peer->chain : NULL;
}

void tls_takeover_release(struct tls_records *records)
{
	tls_takeover_forget_peer(records);
	name_release(records->name);
	records->name = NULL;
}

/* The takeover */

/* Whether OpenSSL is between two records in both directions, with nothing on its mind. */
static bool is_at_rest(SSL *ssl)
{
	return SSL_is_init_finished(ssl) == 1 && SSL_has_pending(ssl) == 0 &&
	       SSL_renegotiate_pending(ssl) == 0 &&
	       SSL_get_key_update_type(ssl) == SSL_KEY_UPDATE_NONE && SSL_get_shutdown(ssl) == 0 &&
	       SSL_get_current_compression(ssl) == NULL;
}

/* RFC 6066 4: codes for 2^9 to 2^12. */
static uint16_t content_max(const SSL *ssl)
{
	uint8_t code = SSL_SESSION_get_max_fragment_length(SSL_get_session(ssl));

	if (code == TLSEXT_max_fragment_length_DISABLED)
		return TLS_CONTENT_MAX;
	return (uint16_t)(256U << code);
}

static struct tls_records *take_1_3(
	const struct tls_wire *wire, struct tls_start *start, bool *may_stay)
{
	size_t len = tls_hash_len(start->suite->hash);

	*may_stay = wire->secret_len[CLIENT] != len || wire->secret_len[SERVER] != len;
	if (*may_stay)
		return NULL;
	start->secret[TLS_IN] = wire->secret[start->is_server ? CLIENT : SERVER];
	start->secret[TLS_OUT] = wire->secret[start->is_server ? SERVER : CLIENT];
	return tls_records_new(start);
}

/* Our Finished is the last record that OpenSSL has sent: whole, and of the right type. */
static bool has_sent_finished(const struct tls_wire *wire)
{
	return wire->sent_len == TLS_WIRE_NOTED && wire->sent_left == 0 &&
	       wire->sent[0] == TLS_HANDSHAKE;
}

static struct tls_records *take_1_2(
	const struct tls_wire *wire, SSL *ssl, const struct tls_start *start, bool *may_stay)
{
	uint8_t master[TLS_MASTER_SECRET], client_random[TLS_RANDOM], server_random[TLS_RANDOM];
	struct tls_keys client, server;
	struct tls_start with_keys = *start;
	struct tls_records *records = NULL;

	*may_stay = !has_sent_finished(wire) ||
		    SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof(master)) !=
			    sizeof(master) ||
		    SSL_get_client_random(ssl, client_random, TLS_RANDOM) != TLS_RANDOM ||
		    SSL_get_server_random(ssl, server_random, TLS_RANDOM) != TLS_RANDOM;
	if (!*may_stay && tls_keys_of_master(start->suite, master, client_random, server_random,
				  &client, &server) == 0) {
		with_keys.keys[TLS_IN] = start->is_server ? &client : &server;
		with_keys.keys[TLS_OUT] = start->is_server ? &server : &client;
		memcpy(with_keys.explicit_nonce, wire->sent + TLS_WIRE_HEAD, 8);
		records = tls_records_new(&with_keys);
	}
	OPENSSL_cleanse(master, sizeof(master));
	OPENSSL_cleanse(&client, sizeof(client));
	OPENSSL_cleanse(&server, sizeof(server));
	return records;
}

struct tls_records *tls_takeover(SSL *ssl, bool *may_stay)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
	const struct tls_wire *wire = tls_wire_of(ssl);
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct tls_start start = {.is_server = SSL_is_server(ssl) == 1};
	struct tls_records *records;

	*may_stay = true;
	if (wire == NULL || cipher == NULL || SSL_get_session(ssl) == NULL || !is_at_rest(ssl))
		return NULL;
	start.suite = tls_suite_find(SSL_version(ssl), SSL_CIPHER_get_protocol_id(cipher));
	if (start.suite == NULL)
		return NULL;
	start.content_max = content_max(ssl);
	records = start.suite->is_1_3 ? take_1_3(wire, &start, may_stay)
				      : take_1_2(wire, ssl, &start, may_stay);
	if (records == NULL)
		return NULL;
	if (start.is_server && name != NULL)
		records->name = name_take(name);
	if (take_peer(records, ssl) == 0 &&
		tls_stream_give(records, wire->rest, wire->rest_len) == 0)
		return records;
	tls_takeover_release(records);
	tls_records_free(records);
	return NULL;
}
