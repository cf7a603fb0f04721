#include "proxy/tls_records.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "config/slab.h"
#include "proxy/tls_aead.h"
#include "proxy/tls_messages.h"

static const struct tls_suite *suite_of(const struct tls_records *records)
{
	return tls_suite_at(records->suite);
}

/* What is kept of a direction. */
static size_t secret_len(const struct tls_suite *suite)
{
	return suite->is_1_3 ? tls_hash_len(suite->hash) : (size_t)suite->key_len + TLS_NONCE;
}

static size_t secret_at(const struct tls_records *records, enum tls_direction direction)
{
	return direction == TLS_OUT ? secret_len(suite_of(records)) : 0;
}

static size_t records_size(const struct tls_suite *suite)
{
	return offsetof(struct tls_records, secrets) + 2 * secret_len(suite);
}

int tls_records_keys(
	const struct tls_records *records, enum tls_direction direction, struct tls_keys *keys)
{
	const struct tls_suite *suite = suite_of(records);
	const uint8_t *secret = records->secrets + secret_at(records, direction);

	if (suite->is_1_3)
		return tls_keys_of_secret(suite, secret, keys);
	memcpy(keys->key, secret, suite->key_len);
	memcpy(keys->iv, secret + suite->key_len, TLS_NONCE);
	return 0;
}

/* A context with the direction's key. NULL when OpenSSL cannot. */
static struct tls_cipher *cipher_of(struct tls_records *records, enum tls_direction direction)
{
	uint8_t *place = &records->place[direction];
	struct tls_cipher *cipher = tls_aead_find(place);
	struct tls_keys keys;

	if (cipher != NULL)
		return cipher;
	if (tls_records_keys(records, direction, &keys) == 0)
		cipher = tls_aead_key(place, suite_of(records)->aead, &keys);
	OPENSSL_cleanse(&keys, sizeof(keys));
	return cipher;
}

int tls_records_update_key(struct tls_records *records, enum tls_direction direction)
{
	tls_aead_forget(&records->place[direction]);
	records->sequence[direction] = 0;
	return tls_keys_next_secret(
		suite_of(records), records->secrets + secret_at(records, direction));
}

static void start_direction(
	struct tls_records *records, const struct tls_start *start, enum tls_direction direction)
{
	const struct tls_suite *suite = start->suite;
	uint8_t *secret = records->secrets + secret_at(records, direction);

	if (suite->is_1_3) {
		memcpy(secret, start->secret[direction], secret_len(suite));
		return;
	}
	records->sequence[direction] = 1;
	memcpy(secret, start->keys[direction]->key, suite->key_len);
	memcpy(secret + suite->key_len, start->keys[direction]->iv, TLS_NONCE);
	if (direction == TLS_OUT && tls_suite_explicit_nonce(suite) != 0)
		memcpy(secret + suite->key_len + 4, start->explicit_nonce, 8);
}

struct tls_records *tls_records_new(const struct tls_start *start)
{
	struct tls_records *records = slab_new(records_size(start->suite));

	if (records == NULL)
		return NULL;
	records->suite = tls_suite_number(start->suite);
	records->is_server = start->is_server;
	records->content_max = start->content_max;
	start_direction(records, start, TLS_IN);
	start_direction(records, start, TLS_OUT);
	return records;
}

void tls_records_free(struct tls_records *records)
{
	if (records == NULL)
		return;
	tls_messages_drop(records);
	assert(records->held == NULL); /* whose it is has freed it */
	tls_aead_forget(&records->place[TLS_IN]);
	tls_aead_forget(&records->place[TLS_OUT]);
	OPENSSL_cleanse(records, records_size(suite_of(records)));
	slab_free(records);
}

struct tls_held *tls_records_held(const struct tls_records *records, enum tls_held_kind kind)
{
	struct tls_held *held = records->held;

	while (held != NULL && held->kind != kind)
		held = held->next;
	return held;
}

void tls_records_hold(struct tls_records *records, struct tls_held *held, enum tls_held_kind kind)
{
	held->kind = kind;
	held->next = records->held;
	records->held = held;
}

void tls_records_drop(struct tls_records *records, enum tls_held_kind kind)
{
	for (struct tls_held **at = &records->held; *at != NULL; at = &(*at)->next) {
		struct tls_held *held = *at;

		if (held->kind != kind)
			continue;
		*at = held->next;
		free(held);
		return;
	}
}

/* Both versions */

static void put_number(uint8_t *at, uint64_t number, size_t len)
{
	for (size_t i = len; i > 0; i--) {
		at[i - 1] = (uint8_t)number;
		number >>= 8;
	}
}

static uint64_t get_number(const uint8_t *at, size_t len)
{
	uint64_t number = 0;

	for (size_t i = 0; i < len; i++)
		number = number << 8 | at[i];
	return number;
}

static size_t length_in(const uint8_t *head)
{
	return (size_t)get_number(head + 3, 2);
}

static void put_head(uint8_t *head, uint8_t type, size_t len)
{
	head[0] = type;
	head[1] = 3;
	head[2] = 3;
	put_number(head + 3, len, 2);
}

/* RFC 8446 5.3, RFC 7905 2: the IV, with the sequence number over its end. */
static void nonce_of_sequence(
	const struct tls_cipher *cipher, uint64_t sequence, uint8_t nonce[TLS_NONCE])
{
	memcpy(nonce, cipher->iv, 4);
	put_number(nonce + 4, get_number(cipher->iv + 4, 8) ^ sequence, 8);
}

/* RFC 5288 3: the salt, and eight bytes that are in the record. */
static void nonce_of_record(
	const struct tls_cipher *cipher, const uint8_t *explicit_nonce, uint8_t nonce[TLS_NONCE])
{
	memcpy(nonce, cipher->iv, 4);
	memcpy(nonce + 4, explicit_nonce, 8);
}

enum { AAD_MAX = 13 };

/* 1.3: the record's head as it is (RFC 8446 5.2). 1.2: sequence, type and version, and the content's
 * length (RFC 5246 6.2.3.3). */
static struct span aad_of(const struct tls_records *records, enum tls_direction direction,
	const uint8_t *head, size_t inner_len, uint8_t aad[AAD_MAX])
{
	if (suite_of(records)->is_1_3)
		return span_of(head, TLS_HEAD);
	put_number(aad, records->sequence[direction], 8);
	memcpy(aad + 8, head, 3);
	put_number(aad + 11, inner_len, 2);
	return span_of(aad, AAD_MAX);
}

size_t tls_records_overhead(const struct tls_records *records)
{
	const struct tls_suite *suite = suite_of(records);

	/* 1.3 has the type of the content behind it. */
	return TLS_HEAD + tls_suite_explicit_nonce(suite) + (suite->is_1_3 ? 1U : 0U) + TLS_TAG;
}

static bool is_gcm(const struct tls_records *records)
{
	return suite_of(records)->aead != TLS_AEAD_CHACHA20_POLY1305;
}

/* Receiving */

static int fail(struct tls_fault *fault, int alert, const char *reason)
{
	*fault = (struct tls_fault){.alert = alert, .reason = reason};
	return -1;
}

/* What the first five bytes of a record tell. 0 or -1. */
static int check_head(
	const struct tls_records *records, const uint8_t *head, struct tls_fault *fault)
{
	bool is_1_3 = suite_of(records)->is_1_3;

	/* All of 1.3's records say that they are application data; its version means nothing (RFC 8446
	 * 5.1, 5.2). A ChangeCipherSpec is no longer overlooked (5). */
	if (is_1_3 ? head[0] != TLS_APPLICATION_DATA
		   : head[0] < TLS_ALERT || head[0] > TLS_APPLICATION_DATA)
		return fail(fault, SSL_AD_UNEXPECTED_MESSAGE, "unexpected record");
	if (!is_1_3 && (head[1] != 3 || head[2] != 3))
		return fail(fault, SSL_AD_PROTOCOL_VERSION, "wrong version number");
	if (length_in(head) > TLS_CONTENT_MAX + (is_1_3 ? 256 : 2048))
		return fail(fault, SSL_AD_RECORD_OVERFLOW, "encrypted length too long");
	return 0;
}

bool tls_records_can_open(const struct tls_records *records, const uint8_t *wire, size_t len)
{
	struct tls_fault fault;

	return len >= TLS_HEAD &&
	       (len - TLS_HEAD >= length_in(wire) || check_head(records, wire, &fault) != 0);
}

/* A record while it is opened. */
struct opening {
	uint8_t type;
	uint8_t *in,
		*out; /* what is decrypted: split bytes in out, the others in their place in in */
	size_t len, split; /* len: first of all that is encrypted, then of the content */
};

static uint8_t byte_at(const struct opening *opening, size_t at)
{
	return at < opening->split ? opening->out[at] : opening->in[at];
}

/* RFC 8446 5.2 and 5.4: zeros, before them the type, before that the content. 0 or -1. */
static int strip_padding(struct opening *opening, struct tls_fault *fault)
{
	size_t end = opening->len;

	if (end > TLS_CONTENT_MAX + 1)
		return fail(fault, SSL_AD_RECORD_OVERFLOW, "data length too long");
	while (end > 0 && byte_at(opening, end - 1) == 0)
		end--;
	if (end == 0)
		return fail(fault, SSL_AD_UNEXPECTED_MESSAGE, "record without a type of content");
	opening->type = byte_at(opening, end - 1);
	opening->len = end - 1;
	if (opening->split > opening->len)
		opening->split = opening->len;
	return 0;
}

static int decrypt(struct tls_records *records, uint8_t *wire, struct opening *opening,
	size_t capacity, struct tls_fault *fault)
{
	const struct tls_suite *suite = suite_of(records);
	size_t explicit_len = tls_suite_explicit_nonce(suite);
	size_t len = length_in(wire);
	struct tls_cipher *cipher;
	uint8_t nonce[TLS_NONCE], aad[AAD_MAX];
	struct span data;

	if (len < explicit_len + TLS_TAG)
		return fail(fault, SSL_AD_BAD_RECORD_MAC, "decryption failed or bad record mac");
	if (is_gcm(records) && records->sequence[TLS_IN] >= TLS_RECORDS_MAX)
		return fail(fault, SSL_AD_CLOSE_NOTIFY, "the peer has used its key for too long");
	cipher = cipher_of(records, TLS_IN);
	if (cipher == NULL)
		return fail(fault, SSL_AD_INTERNAL_ERROR, "OpenSSL could not set a key");
	opening->type = wire[0];
	opening->in = wire + TLS_HEAD + explicit_len;
	opening->len = len - explicit_len - TLS_TAG;
	/* In 1.2 what is not for the caller never gets to it. */
	opening->split = suite->is_1_3 || opening->type == TLS_APPLICATION_DATA ? capacity : 0;
	if (opening->split > opening->len)
		opening->split = opening->len;
	if (explicit_len != 0)
		nonce_of_record(cipher, wire + TLS_HEAD, nonce);
	else
		nonce_of_sequence(cipher, records->sequence[TLS_IN], nonce);
	data = aad_of(records, TLS_IN, wire, opening->len, aad);
	if (tls_aead_open(cipher, nonce, data, opening->in, opening->len, opening->out,
		    opening->split) != 0)
		return fail(fault, SSL_AD_BAD_RECORD_MAC, "decryption failed or bad record mac");
	records->sequence[TLS_IN]++;
	return suite->is_1_3 ? strip_padding(opening, fault) : 0;
}

/* What is not content, whole in its place in wire again. */
static struct span gather(const struct opening *opening)
{
	if (opening->split > 0)
		memcpy(opening->in, opening->out, opening->split);
	return span_of(opening->in, opening->len);
}

static enum tls_step take(
	struct tls_records *records, struct opening *opening, struct tls_fault *fault)
{
	if (opening->len > records->content_max) {
		fail(fault, SSL_AD_RECORD_OVERFLOW, "data length too long");
		return TLS_STEP_FAULT;
	}
	if (opening->type != TLS_APPLICATION_DATA)
		return tls_messages_take(records, opening->type, gather(opening), fault);
	if (suite_of(records)->is_1_3 && tls_messages_are_incomplete(records)) {
		fail(fault, SSL_AD_UNEXPECTED_MESSAGE, "content within a handshake message");
		return TLS_STEP_FAULT;
	}
	if (opening->len == 0)
		return tls_messages_count_idle(records, fault);
	records->idle_records = 0;
	records->warnings = 0;
	return TLS_STEP_CONTENT;
}

enum tls_step tls_records_open(struct tls_records *records, uint8_t *wire, size_t len, uint8_t *out,
	size_t capacity, struct tls_opened *opened, struct tls_fault *fault)
{
	struct opening opening = {.out = out};
	enum tls_step step = TLS_STEP_FAULT;

	if (len < TLS_HEAD)
		return TLS_STEP_MORE;
	if (check_head(records, wire, fault) != 0)
		return TLS_STEP_FAULT;
	if (len - TLS_HEAD < length_in(wire))
		return TLS_STEP_MORE;
	if (decrypt(records, wire, &opening, capacity, fault) == 0)
		step = take(records, &opening, fault);
	if (step == TLS_STEP_FAULT)
		return step;
	*opened = (struct tls_opened){.used = TLS_HEAD + length_in(wire)};
	if (step == TLS_STEP_CONTENT) {
		opened->in_out = opening.split;
		opened->beyond = opening.in + opening.split;
		opened->beyond_len = opening.len - opening.split;
	}
	/* The peer's key is used up soon, and only the peer can take another. */
	if (is_gcm(records) && suite_of(records)->is_1_3 && !records->has_asked &&
		records->sequence[TLS_IN] >= TLS_RECORDS_BEFORE_UPDATE) {
		records->owes_request = true;
		records->has_asked = true;
	}
	return step;
}

/* Sending */

/* One record. Returns its length, or 0. */
static size_t seal(
	struct tls_records *records, uint8_t type, const uint8_t *data, size_t len, uint8_t *out)
{
	const struct tls_suite *suite = suite_of(records);
	struct tls_cipher *cipher;
	size_t explicit_len = tls_suite_explicit_nonce(suite);
	size_t record_len = tls_records_overhead(records) + len;
	uint8_t nonce[TLS_NONCE], aad[AAD_MAX];

	/* No nonce twice, whatever else happens. */
	if (records->sequence[TLS_OUT] == UINT64_MAX)
		return 0;
	cipher = cipher_of(records, TLS_OUT);
	if (cipher == NULL)
		return 0;
	put_head(out, suite->is_1_3 ? TLS_APPLICATION_DATA : type, record_len - TLS_HEAD);
	if (explicit_len != 0) {
		put_number(out + TLS_HEAD,
			get_number(cipher->iv + 4, 8) + records->sequence[TLS_OUT], 8);
		nonce_of_record(cipher, out + TLS_HEAD, nonce);
	} else {
		nonce_of_sequence(cipher, records->sequence[TLS_OUT], nonce);
	}
	if (tls_aead_seal(cipher, nonce, aad_of(records, TLS_OUT, out, len, aad), data, len,
		    suite->is_1_3 ? type : -1, out + TLS_HEAD + explicit_len) != 0)
		return 0;
	records->sequence[TLS_OUT]++;
	return record_len;
}

size_t tls_records_seal(struct tls_records *records, const uint8_t *data, size_t len, uint8_t *out,
	struct tls_fault *fault)
{
	size_t record_len;

	if (is_gcm(records) && records->sequence[TLS_OUT] >= TLS_RECORDS_MAX) {
		fail(fault, SSL_AD_CLOSE_NOTIFY, "our key has been used for too long");
		return 0;
	}
	record_len = seal(records, TLS_APPLICATION_DATA, data, len, out);
	if (record_len == 0)
		fail(fault, -1, "OpenSSL could not encrypt");
	return record_len;
}

/* RFC 8446 4.6.3. The record is the last one under the old key. Returns its length, or 0. */
static size_t seal_key_update(struct tls_records *records, uint8_t *out)
{
	const uint8_t message[] = {SSL3_MT_KEY_UPDATE, 0, 0, 1, records->owes_request ? 1 : 0};
	size_t len = seal(records, TLS_HANDSHAKE, message, sizeof(message), out);

	if (len == 0 || tls_records_update_key(records, TLS_OUT) != 0)
		return 0;
	records->owes_update = false;
	records->owes_request = false;
	return len;
}

static bool needs_key_update(const struct tls_records *records)
{
	return records->owes_update || records->owes_request ||
	       (suite_of(records)->is_1_3 && is_gcm(records) &&
		       records->sequence[TLS_OUT] >= TLS_RECORDS_BEFORE_UPDATE);
}

size_t tls_records_seal_owed(struct tls_records *records, uint8_t *out, struct tls_fault *fault)
{
	static const uint8_t warning[] = {SSL3_AL_WARNING, SSL_AD_NO_RENEGOTIATION};
	size_t len;

	fault->reason = NULL;
	if (!records->owes_warning && !needs_key_update(records))
		return 0;
	/* The one is of TLS 1.2, the other of 1.3. */
	if (records->owes_warning) {
		len = seal(records, TLS_ALERT, warning, sizeof(warning), out);
		records->owes_warning = false;
	} else {
		len = seal_key_update(records, out);
	}
	if (len == 0)
		fail(fault, -1, "OpenSSL could not encrypt");
	return len;
}

size_t tls_records_seal_alert(struct tls_records *records, int alert, uint8_t *out)
{
	const uint8_t message[] = {
		alert == SSL_AD_CLOSE_NOTIFY ? SSL3_AL_WARNING : SSL3_AL_FATAL, (uint8_t)alert};

	return seal(records, TLS_ALERT, message, sizeof(message), out);
}
