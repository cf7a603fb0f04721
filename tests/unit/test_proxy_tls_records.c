#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/tls_aead.h"
#include "proxy/tls_keys.h"
#include "proxy/tls_records.h"
#include "tests/unit/check.h"

enum { WIRE = 4 * TLS_WIRE_MAX };

static const struct {
	int version;
	uint16_t suite;
} suites[] = {
	{TLS1_3_VERSION, 0x1301},
	{TLS1_3_VERSION, 0x1302},
	{TLS1_3_VERSION, 0x1303},
	{TLS1_2_VERSION, 0xc02b},
	{TLS1_2_VERSION, 0xc02c},
	{TLS1_2_VERSION, 0xc02f},
	{TLS1_2_VERSION, 0xc030},
	{TLS1_2_VERSION, 0xcca8},
	{TLS1_2_VERSION, 0xcca9},
};
static const size_t suite_count = sizeof(suites) / sizeof(suites[0]);

/* Two ends of one channel. */
static struct tls_records *phone, *server;
static uint8_t wire[WIRE], content[WIRE];
static struct tls_opened opened;
static struct tls_fault fault;

static struct tls_records *end_make(const struct tls_suite *suite, bool is_server)
{
	static uint8_t secrets[2][TLS_SECRET_MAX];
	static struct tls_keys keys[2];
	struct tls_start start = {.suite = suite,
		.is_server = is_server,
		.content_max = TLS_CONTENT_MAX,
		.explicit_nonce = {
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, is_server ? 0xf0 : 0xff}};

	for (int side = 0; side < 2; side++) {
		memset(secrets[side], 1 + side, TLS_SECRET_MAX);
		memset(&keys[side], 3 + side, sizeof(keys[side]));
		start.secret[side] = secrets[side == is_server];
		start.keys[side] = &keys[side == is_server];
	}
	return tls_records_new(&start);
}

static void ends_make(size_t i)
{
	const struct tls_suite *suite = tls_suite_find(suites[i].version, suites[i].suite);

	CU_ASSERT_PTR_NOT_NULL_FATAL(suite);
	phone = end_make(suite, false);
	server = end_make(suite, true);
	CU_ASSERT_FATAL(phone != NULL && server != NULL);
	fault = (struct tls_fault){.alert = -2};
}

static void ends_free(void)
{
	tls_records_free(phone);
	tls_records_free(server);
}

static enum tls_step open_with(struct tls_records *end, size_t len)
{
	memset(&opened, 0, sizeof(opened));
	return tls_records_open(end, wire, len, content, sizeof(content), &opened, &fault);
}

static bool is_1_3(void)
{
	return tls_suite_at(phone->suite)->is_1_3;
}

/*
 * One record with any plaintext in it and any type on it, as if from the phone; pad: zeros behind it, in
 * TLS 1.3. Made by hand, so that there is something else than tls_records.c to be compared with.
 */
static size_t forge(uint8_t type, const void *data, size_t len, size_t pad)
{
	const struct tls_suite *suite = tls_suite_at(server->suite);
	size_t explicit_len = tls_suite_explicit_nonce(suite);
	size_t inner = suite->is_1_3 ? len + 1 + pad : len, total = explicit_len + inner + TLS_TAG;
	uint8_t nonce[TLS_NONCE], aad[13] = {0}, plain[TLS_WIRE_MAX] = {0};
	uint64_t sequence = server->sequence[TLS_IN];
	struct span data_of_head;
	struct tls_cipher *cipher;
	struct tls_keys keys;
	uint8_t place = 0;

	CU_ASSERT_EQUAL_FATAL(tls_records_keys(server, TLS_IN, &keys), 0);
	cipher = tls_aead_key(&place, suite->aead, &keys);
	CU_ASSERT_PTR_NOT_NULL_FATAL(cipher);
	memcpy(plain, data, len);
	if (suite->is_1_3)
		plain[len] = type;
	wire[0] = suite->is_1_3 ? TLS_APPLICATION_DATA : type;
	wire[1] = wire[2] = 3;
	wire[3] = (uint8_t)(total >> 8);
	wire[4] = (uint8_t)total;
	memcpy(nonce, keys.iv, TLS_NONCE);
	for (size_t i = 0; i < 8; i++) {
		aad[i] = (uint8_t)(sequence >> (56 - 8 * i));
		if (explicit_len == 0)
			nonce[4 + i] ^= aad[i];
		else
			wire[5 + i] = nonce[4 + i] = (uint8_t)(0xa0 + i);
	}
	memcpy(aad + 8, wire, 3);
	aad[11] = (uint8_t)(len >> 8);
	aad[12] = (uint8_t)len;
	data_of_head = suite->is_1_3 ? span_of(wire, 5) : span_of(aad, 13);
	CU_ASSERT_EQUAL(tls_aead_seal(cipher, nonce, data_of_head, plain, inner, -1,
				wire + 5 + explicit_len),
		0);
	tls_aead_forget(&place);
	return 5 + total;
}

/* RFC 8448 3: the records of its 1-RTT handshake after the handshake. */
static void test_the_records_of_rfc_8448(void)
{
	static const uint8_t client_secret[] = {0x9e, 0x40, 0x64, 0x6c, 0xe7, 0x9a, 0x7f, 0x9d,
		0xc0, 0x5a, 0xf8, 0x88, 0x9b, 0xce, 0x65, 0x52, 0x87, 0x5a, 0xfa, 0x0b, 0x06, 0xdf,
		0x00, 0x87, 0xf7, 0x92, 0xeb, 0xb7, 0xc1, 0x75, 0x04, 0xa5};
	static const uint8_t server_secret[] = {0xa1, 0x1a, 0xf9, 0xf0, 0x55, 0x31, 0xf8, 0x56,
		0xad, 0x47, 0x11, 0x6b, 0x45, 0xa9, 0x50, 0x32, 0x82, 0x04, 0xb4, 0xf4, 0x4b, 0xfb,
		0x6b, 0x3a, 0x4b, 0x4f, 0x1f, 0x3f, 0xcb, 0x63, 0x16, 0x43};
	static const uint8_t client_key[] = {0x17, 0x42, 0x2d, 0xda, 0x59, 0x6e, 0xd5, 0xd9, 0xac,
		0xd8, 0x90, 0xe3, 0xc6, 0x3f, 0x50, 0x51};
	static const uint8_t client_iv[] = {
		0x5b, 0x78, 0x92, 0x3d, 0xee, 0x08, 0x57, 0x90, 0x33, 0xe5, 0x23, 0xd9};
	static const uint8_t client_data[] = {0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54,
		0xb6, 0x2c, 0x94, 0xd0, 0xaf, 0xfa, 0xfe, 0x82, 0x28, 0xba, 0x55, 0xcb, 0xef, 0xac,
		0xea, 0x42, 0xf9, 0x14, 0xaa, 0x66, 0xbc, 0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8, 0xa5,
		0xb4, 0x6b, 0x39, 0x5b, 0xd5, 0x4a, 0x9a, 0x20, 0x44, 0x1e, 0x2b, 0x62, 0x97, 0x4e,
		0x1f, 0x5a, 0x62, 0x92, 0xa2, 0x97, 0x70, 0x14, 0xbd, 0x1e, 0x3d, 0xea, 0xe6, 0x3a,
		0xee, 0xbb, 0x21, 0x69, 0x49, 0x15, 0xe4};
	static const uint8_t server_data[] = {0x17, 0x03, 0x03, 0x00, 0x43, 0x2e, 0x93, 0x7e, 0x11,
		0xef, 0x4a, 0xc7, 0x40, 0xe5, 0x38, 0xad, 0x36, 0x00, 0x5f, 0xc4, 0xa4, 0x69, 0x32,
		0xfc, 0x32, 0x25, 0xd0, 0x5f, 0x82, 0xaa, 0x1b, 0x36, 0xe3, 0x0e, 0xfa, 0xf9, 0x7d,
		0x90, 0xe6, 0xdf, 0xfc, 0x60, 0x2d, 0xcb, 0x50, 0x1a, 0x59, 0xa8, 0xfc, 0xc4, 0x9c,
		0x4b, 0xf2, 0xe5, 0xf0, 0xa2, 0x1c, 0x00, 0x47, 0xc2, 0xab, 0xf3, 0x32, 0x54, 0x0d,
		0xd0, 0x32, 0xe1, 0x67, 0xc2, 0x95, 0x5d};
	static const uint8_t client_alert[] = {0x17, 0x03, 0x03, 0x00, 0x13, 0xc9, 0x87, 0x27, 0x60,
		0x65, 0x56, 0x66, 0xb7, 0x4d, 0x7f, 0xf1, 0x15, 0x3e, 0xfd, 0x6d, 0xb6, 0xd0, 0xb0,
		0xe3};
	static const uint8_t server_alert[] = {0x17, 0x03, 0x03, 0x00, 0x13, 0xb5, 0x8f, 0xd6, 0x71,
		0x66, 0xeb, 0xf5, 0x99, 0xd2, 0x47, 0x20, 0xcf, 0xbe, 0x7e, 0xfa, 0x7a, 0x88, 0x64,
		0xa9};
	const struct tls_suite *suite = tls_suite_find(TLS1_3_VERSION, 0x1301);
	struct tls_start start = {.suite = suite,
		.is_server = true,
		.content_max = TLS_CONTENT_MAX,
		.secret = {[TLS_IN] = client_secret, [TLS_OUT] = server_secret}};
	struct tls_keys keys;
	uint8_t payload[50];

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)i;
	CU_ASSERT_EQUAL(tls_keys_of_secret(suite, client_secret, &keys), 0);
	CU_ASSERT_EQUAL(memcmp(keys.key, client_key, sizeof(client_key)), 0);
	CU_ASSERT_EQUAL(memcmp(keys.iv, client_iv, sizeof(client_iv)), 0);
	server = tls_records_new(&start);
	CU_ASSERT_PTR_NOT_NULL_FATAL(server);
	server->sequence[TLS_OUT] = 1; /* after its ticket, which we send none of */
	memcpy(wire, client_data, sizeof(client_data));
	CU_ASSERT_EQUAL(open_with(server, sizeof(client_data)), TLS_STEP_CONTENT);
	CU_ASSERT_EQUAL(opened.in_out, sizeof(payload));
	CU_ASSERT_EQUAL(memcmp(content, payload, sizeof(payload)), 0);
	CU_ASSERT_EQUAL(tls_records_seal(server, payload, sizeof(payload), wire, &fault),
		sizeof(server_data));
	CU_ASSERT_EQUAL(memcmp(wire, server_data, sizeof(server_data)), 0);
	CU_ASSERT_EQUAL(
		tls_records_seal_alert(server, SSL_AD_CLOSE_NOTIFY, wire), sizeof(server_alert));
	CU_ASSERT_EQUAL(memcmp(wire, server_alert, sizeof(server_alert)), 0);
	memcpy(wire, client_alert, sizeof(client_alert));
	CU_ASSERT_EQUAL(open_with(server, sizeof(client_alert)), TLS_STEP_END);
	tls_records_free(server);
}

static void test_content_of_any_length_comes_through(void)
{
	static const size_t lengths[] = {1, 2, 15, 16, 17, 255, 256, 16383, 16384};
	static uint8_t sent[TLS_CONTENT_MAX];

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < suite_count; i++) {
		ends_make(i);
		for (size_t k = 0; k < 2 * sizeof(lengths) / sizeof(lengths[0]); k++) {
			struct tls_records *from = k % 2 == 0 ? phone : server;
			struct tls_records *to = k % 2 == 0 ? server : phone;
			size_t len = lengths[k / 2];
			size_t record = tls_records_seal(from, sent, len, wire, &fault);

			CU_ASSERT_EQUAL(record, len + tls_records_overhead(from));
			CU_ASSERT_EQUAL(open_with(to, record), TLS_STEP_CONTENT);
			CU_ASSERT_EQUAL(opened.used, record);
			CU_ASSERT_EQUAL(opened.in_out, len);
			CU_ASSERT_EQUAL(opened.beyond_len, 0);
			CU_ASSERT_EQUAL(memcmp(content, sent, len), 0);
		}
		ends_free();
	}
}

static void test_what_has_no_room_stays_in_its_place(void)
{
	static const uint8_t sent[] = "twenty bytes and one";

	for (size_t i = 0; i < suite_count; i++)
		for (size_t capacity = 0; capacity <= sizeof(sent); capacity++) {
			size_t record;

			ends_make(i);
			record = tls_records_seal(phone, sent, sizeof(sent), wire, &fault);
			CU_ASSERT_EQUAL(tls_records_open(server, wire, record, content, capacity,
						&opened, &fault),
				TLS_STEP_CONTENT);
			CU_ASSERT_EQUAL(opened.in_out, capacity);
			CU_ASSERT_EQUAL(opened.beyond_len, sizeof(sent) - capacity);
			CU_ASSERT_EQUAL(memcmp(content, sent, capacity), 0);
			CU_ASSERT_EQUAL(
				memcmp(opened.beyond, sent + capacity, opened.beyond_len), 0);
			ends_free();
		}
}

static void test_a_part_of_a_record_is_not_opened(void)
{
	for (size_t i = 0; i < suite_count; i++) {
		size_t record;

		ends_make(i);
		record = tls_records_seal(phone, (const uint8_t *)"content", 7, wire, &fault);
		for (size_t len = 0; len < record; len++) {
			CU_ASSERT_EQUAL(open_with(server, len), TLS_STEP_MORE);
			CU_ASSERT_FALSE(tls_records_can_open(server, wire, len));
		}
		CU_ASSERT_TRUE(tls_records_can_open(server, wire, record));
		CU_ASSERT_EQUAL(open_with(server, record), TLS_STEP_CONTENT);
		ends_free();
	}
}

/* Every bit of a record counts, but for 1.3's version, which is part of what is authenticated. */
static void test_a_changed_byte_is_found(void)
{
	for (size_t i = 0; i < suite_count; i++) {
		size_t record = 1;

		for (size_t at = 0; at < record; at++) {
			bool was_head = at < TLS_HEAD;

			ends_make(i);
			record = tls_records_seal(
				phone, (const uint8_t *)"content", 7, wire, &fault);
			wire[at] ^= at == 3 ? 0x80 : 1;
			memset(content, 'x', 7);
			if (at == 4) { /* as long as before, or a byte of it is missing */
				CU_ASSERT_NOT_EQUAL(
					open_with(server, record + 1), TLS_STEP_CONTENT);
			} else {
				CU_ASSERT_EQUAL(open_with(server, record), TLS_STEP_FAULT);
			}
			if (!was_head)
				CU_ASSERT_EQUAL(fault.alert, SSL_AD_BAD_RECORD_MAC);
			/* What was not authentic is not there to be used. */
			CU_ASSERT_NOT_EQUAL(memcmp(content, "content", 7), 0);
			ends_free();
		}
	}
}

static void test_a_record_that_is_repeated_or_left_out_is_found(void)
{
	for (size_t i = 0; i < suite_count; i++) {
		uint8_t copy[64];
		size_t record;

		ends_make(i);
		record = tls_records_seal(phone, (const uint8_t *)"first", 5, copy, &fault);
		memcpy(wire, copy, record);
		CU_ASSERT_EQUAL(open_with(server, record), TLS_STEP_CONTENT);
		memcpy(wire, copy, record);
		CU_ASSERT_EQUAL(open_with(server, record), TLS_STEP_FAULT);
		CU_ASSERT_EQUAL(fault.alert, SSL_AD_BAD_RECORD_MAC);
		ends_free();
		ends_make(i);
		tls_records_seal(phone, (const uint8_t *)"first", 5, wire, &fault);
		record = tls_records_seal(phone, (const uint8_t *)"second", 6, wire, &fault);
		CU_ASSERT_EQUAL(open_with(server, record), TLS_STEP_FAULT);
		CU_ASSERT_EQUAL(fault.alert, SSL_AD_BAD_RECORD_MAC);
		ends_free();
	}
}

/* RFC 5288 3: what OpenSSL has begun to count is counted on, across its wrap. */
static void test_explicit_nonces_go_on_one_by_one(void)
{
	static const uint8_t first[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf1};

	ends_make(3);
	for (int n = 0; n < 40; n++) {
		uint64_t nonce = 0;

		CU_ASSERT(tls_records_seal(server, (const uint8_t *)"x", 1, wire, &fault) > 0);
		if (n == 0)
			CU_ASSERT_EQUAL(memcmp(wire + TLS_HEAD, first, 8), 0);
		for (size_t k = 0; k < 8; k++)
			nonce = nonce << 8 | wire[TLS_HEAD + k];
		CU_ASSERT_EQUAL(nonce, UINT64_C(0xfffffffffffffff1) + (uint64_t)n);
	}
	ends_free();
}

static void test_padding_is_taken_off(void)
{
	for (size_t i = 0; i < 3; i++) {
		ends_make(i);
		CU_ASSERT_EQUAL(open_with(server, forge(TLS_APPLICATION_DATA, "text", 4, 300)),
			TLS_STEP_CONTENT);
		CU_ASSERT_EQUAL(opened.in_out, 4);
		CU_ASSERT_EQUAL(opened.beyond_len, 0);
		/* Content may end with zeros. */
		CU_ASSERT_EQUAL(open_with(server, forge(TLS_APPLICATION_DATA, "\0\0", 2, 5)),
			TLS_STEP_CONTENT);
		CU_ASSERT_EQUAL(opened.in_out, 2);
		/* Nothing but padding has no type: RFC 8446 5.4. */
		CU_ASSERT_EQUAL(open_with(server, forge(0, "", 0, 40)), TLS_STEP_FAULT);
		CU_ASSERT_EQUAL(fault.alert, SSL_AD_UNEXPECTED_MESSAGE);
		ends_free();
	}
}

/* What may come after a handshake, and what is said of all else. versions: bit 0 is 1.2, bit 1 is 1.3. */
static const struct message {
	const char *what, *data;
	size_t len;
	enum tls_step step;
	int alert;
	uint8_t type, versions;
	bool to_client;
} messages[] = {
	{"close_notify", "\1\0", 2, TLS_STEP_END, 0, 21, 3, false},
	{"close_notify, wrong level", "\2\0", 2, TLS_STEP_END, 0, 21, 2, false},
	{"close_notify as fatal", "\2\0", 2, TLS_STEP_FAULT, -1, 21, 1, false},
	{"user_canceled", "\1\x5a", 2, TLS_STEP_NOTHING, 0, 21, 3, false},
	{"another warning", "\1\x2a", 2, TLS_STEP_NOTHING, 0, 21, 1, false},
	{"another warning", "\1\x2a", 2, TLS_STEP_FAULT, -1, 21, 2, false},
	{"no_renegotiation", "\1\x64", 2, TLS_STEP_FAULT, SSL_AD_HANDSHAKE_FAILURE, 21, 1, false},
	{"a fatal alert", "\2\x28", 2, TLS_STEP_FAULT, -1, 21, 3, false},
	{"an unknown alert", "\2\xee", 2, TLS_STEP_FAULT, -1, 21, 3, false},
	{"half an alert", "\2", 1, TLS_STEP_FAULT, SSL_AD_UNEXPECTED_MESSAGE, 21, 3, false},
	{"no alert", "", 0, TLS_STEP_FAULT, SSL_AD_UNEXPECTED_MESSAGE, 21, 3, false},
	{"two alerts", "\1\0\1\0", 4, TLS_STEP_FAULT, SSL_AD_UNEXPECTED_MESSAGE, 21, 3, false},
	{"an alert of no level", "\3\x28", 2, TLS_STEP_FAULT, SSL_AD_ILLEGAL_PARAMETER, 21, 1,
		false},
	{"empty content", "", 0, TLS_STEP_NOTHING, 0, 23, 3, false},
	{"empty handshake", "", 0, TLS_STEP_FAULT, SSL_AD_UNEXPECTED_MESSAGE, 22, 3, false},
	{"ChangeCipherSpec", "\1", 1, TLS_STEP_FAULT, SSL_AD_UNEXPECTED_MESSAGE, 20, 3, false},
	{"a heartbeat", "\1\0\1x", 4, TLS_STEP_FAULT, SSL_AD_UNEXPECTED_MESSAGE, 24, 3, false},
	{"an unknown type", "x", 1, TLS_STEP_FAULT, SSL_AD_UNEXPECTED_MESSAGE, 99, 3, false},
	{"KeyUpdate", "\x18\0\0\1\0", 5, TLS_STEP_NOTHING, 0, 22, 2, false},
	{"KeyUpdate with a wish", "\x18\0\0\1\1", 5, TLS_STEP_NOTHING, 0, 22, 2, false},
	{"KeyUpdate in 1.2", "\x18\0\0\1\1", 5, TLS_STEP_FAULT, SSL_AD_UNEXPECTED_MESSAGE, 22, 1,
		false},
	{"KeyUpdate of another value", "\x18\0\0\1\2", 5, TLS_STEP_FAULT, SSL_AD_ILLEGAL_PARAMETER,
		22, 2, false},
	{"empty KeyUpdate", "\x18\0\0\0", 4, TLS_STEP_FAULT, SSL_AD_DECODE_ERROR, 22, 2, false},
	{"long KeyUpdate", "\x18\0\0\2\0\0", 6, TLS_STEP_FAULT, SSL_AD_DECODE_ERROR, 22, 2, false},
	{"two KeyUpdates in one record", "\x18\0\0\1\0\x18\0\0\1\0", 10, TLS_STEP_FAULT,
		SSL_AD_UNEXPECTED_MESSAGE, 22, 2, false},
	{"a ticket for a server", "\4\0\0\1x", 5, TLS_STEP_FAULT, SSL_AD_UNEXPECTED_MESSAGE, 22, 2,
		false},
	{"a ticket", "\4\0\0\1x", 5, TLS_STEP_NOTHING, 0, 22, 2, true},
	{"a ticket too long", "\4\1\0\0x", 5, TLS_STEP_FAULT, SSL_AD_ILLEGAL_PARAMETER, 22, 2,
		true},
	{"two tickets", "\4\0\0\1x\4\0\0\2xy", 11, TLS_STEP_NOTHING, 0, 22, 2, true},
	{"CertificateRequest", "\x0d\0\0\3\0\0\0", 7, TLS_STEP_FAULT, SSL_AD_UNEXPECTED_MESSAGE, 22,
		3, true},
	{"Finished", "\x14\0\0\1x", 5, TLS_STEP_FAULT, SSL_AD_UNEXPECTED_MESSAGE, 22, 3, false},
	{"ClientHello", "\1\0\0\2\3\3", 6, TLS_STEP_NOTHING, 0, 22, 1, false},
	{"ClientHello", "\1\0\0\2\3\3", 6, TLS_STEP_FAULT, SSL_AD_UNEXPECTED_MESSAGE, 22, 2, false},
	{"HelloRequest for a server", "\0\0\0\0", 4, TLS_STEP_FAULT, SSL_AD_UNEXPECTED_MESSAGE, 22,
		1, false},
	{"HelloRequest", "\0\0\0\0", 4, TLS_STEP_NOTHING, 0, 22, 1, true},
	{"HelloRequest with more", "\0\0\0\1x", 5, TLS_STEP_FAULT, SSL_AD_DECODE_ERROR, 22, 1,
		true},
	{"ClientHello for a client", "\1\0\0\2\3\3", 6, TLS_STEP_FAULT, SSL_AD_UNEXPECTED_MESSAGE,
		22, 3, true},
};

static void test_what_is_not_content_is_done_with_as_its_rfc_has_it(void)
{
	for (size_t m = 0; m < sizeof(messages) / sizeof(messages[0]); m++)
		for (size_t i = 0; i < suite_count; i++) {
			const struct message *message = &messages[m];
			size_t record;
			enum tls_step step;

			ends_make(i);
			server->is_server = !message->to_client;
			record = forge(message->type, message->data, message->len, 0);
			step = open_with(server, record);
			if ((message->versions & (is_1_3() ? 2 : 1)) != 0 &&
				(step != message->step || (step == TLS_STEP_FAULT &&
								  fault.alert != message->alert))) {
				fprintf(stderr, "%s: %d, alert %d\n", message->what, (int)step,
					fault.alert);
				CU_FAIL("another step or alert");
			}
			ends_free();
		}
}

/* The same through a caller that has room for nothing. */
static void test_messages_do_not_need_the_callers_room(void)
{
	for (size_t i = 0; i < suite_count; i++) {
		ends_make(i);
		CU_ASSERT_EQUAL(tls_records_open(server, wire, forge(21, "\1\0", 2, 9), content, 1,
					&opened, &fault),
			TLS_STEP_END);
		ends_free();
	}
}

static void test_heads_are_refused_before_the_record_is_there(void)
{
	static const struct {
		uint8_t head[TLS_HEAD];
		int alert_1_2, alert_1_3; /* 0: none */
	} cases[] = {
		{{23, 3, 3, 0x48, 1}, SSL_AD_RECORD_OVERFLOW, SSL_AD_RECORD_OVERFLOW},
		{{23, 3, 3, 0x48, 0}, 0, SSL_AD_RECORD_OVERFLOW},
		{{23, 3, 3, 0x41, 1}, 0, SSL_AD_RECORD_OVERFLOW},
		{{23, 3, 3, 0x41, 0}, 0, 0},
		{{22, 3, 3, 0, 30}, 0, SSL_AD_UNEXPECTED_MESSAGE},
		{{20, 3, 3, 0, 1}, SSL_AD_UNEXPECTED_MESSAGE, SSL_AD_UNEXPECTED_MESSAGE},
		{{24, 3, 3, 0, 30}, SSL_AD_UNEXPECTED_MESSAGE, SSL_AD_UNEXPECTED_MESSAGE},
		{{23, 3, 1, 0, 30}, SSL_AD_PROTOCOL_VERSION, 0},
		{{'G', 'E', 'T', ' ', '/'}, SSL_AD_UNEXPECTED_MESSAGE, SSL_AD_UNEXPECTED_MESSAGE},
	};

	for (size_t i = 0; i < suite_count; i++)
		for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
			int alert;

			ends_make(i);
			alert = is_1_3() ? cases[c].alert_1_3 : cases[c].alert_1_2;
			memcpy(wire, cases[c].head, TLS_HEAD);
			CU_ASSERT_EQUAL(open_with(server, TLS_HEAD),
				alert != 0 ? TLS_STEP_FAULT : TLS_STEP_MORE);
			CU_ASSERT_EQUAL(tls_records_can_open(server, wire, TLS_HEAD), alert != 0);
			if (alert != 0)
				CU_ASSERT_EQUAL(fault.alert, alert);
			ends_free();
		}
}

static void test_too_much_content_is_refused(void)
{
	static uint8_t much[TLS_CONTENT_MAX + 1];

	for (size_t i = 0; i < suite_count; i++) {
		memset(much, 'x', sizeof(much));
		ends_make(i);
		CU_ASSERT_EQUAL(
			open_with(server, forge(23, much, TLS_CONTENT_MAX, 0)), TLS_STEP_CONTENT);
		CU_ASSERT_EQUAL(
			open_with(server, forge(23, much, sizeof(much), 0)), TLS_STEP_FAULT);
		CU_ASSERT_EQUAL(fault.alert, SSL_AD_RECORD_OVERFLOW);
		ends_free();
		/* With padding, too: RFC 8446 5.4. */
		ends_make(0);
		CU_ASSERT_EQUAL(
			open_with(server, forge(23, much, TLS_CONTENT_MAX, 1)), TLS_STEP_FAULT);
		CU_ASSERT_EQUAL(fault.alert, SSL_AD_RECORD_OVERFLOW);
		ends_free();
		/* RFC 6066 4. */
		ends_make(i);
		server->content_max = 512;
		CU_ASSERT_EQUAL(open_with(server, forge(23, much, 512, 0)), TLS_STEP_CONTENT);
		CU_ASSERT_EQUAL(open_with(server, forge(23, much, 513, 0)), TLS_STEP_FAULT);
		ends_free();
	}
	for (size_t i = 0; i < suite_count; i++) {
		ends_make(i);
		memset(wire, 0, 64);
		memcpy(wire, "\x17\3\3\0\xf", TLS_HEAD); /* no room for a tag */
		CU_ASSERT_EQUAL(open_with(server, TLS_HEAD + 15), TLS_STEP_FAULT);
		CU_ASSERT_EQUAL(fault.alert, SSL_AD_BAD_RECORD_MAC);
		ends_free();
	}
}

/* Both ends go on to new keys, in both directions, as often as somebody wishes. */
static void test_keys_are_updated_in_both_directions(void)
{
	for (size_t i = 0; i < 3; i++) {
		struct tls_keys before, after;

		ends_make(i);
		for (int n = 0; n < 20; n++) {
			size_t record;

			CU_ASSERT_EQUAL(tls_records_keys(server, TLS_IN, &before), 0);
			phone->owes_request = true;
			record = tls_records_seal_owed(phone, wire, &fault);
			CU_ASSERT(record > 0);
			CU_ASSERT_EQUAL(phone->sequence[TLS_OUT], 0);
			CU_ASSERT_EQUAL(open_with(server, record), TLS_STEP_NOTHING);
			CU_ASSERT_EQUAL(tls_records_keys(server, TLS_IN, &after), 0);
			CU_ASSERT_NOT_EQUAL(memcmp(before.key, after.key, 16), 0);
			CU_ASSERT_NOT_EQUAL(memcmp(before.iv, after.iv, TLS_NONCE), 0);
			record = tls_records_seal(phone, (const uint8_t *)"new", 3, wire, &fault);
			CU_ASSERT_EQUAL(open_with(server, record), TLS_STEP_CONTENT);
			record = tls_records_seal_owed(server, wire, &fault);
			CU_ASSERT(record > 0);
			CU_ASSERT_EQUAL(open_with(phone, record), TLS_STEP_NOTHING);
			CU_ASSERT_EQUAL(tls_records_seal_owed(server, wire, &fault), 0);
			CU_ASSERT_EQUAL(tls_records_seal_owed(phone, wire, &fault), 0);
			record = tls_records_seal(server, (const uint8_t *)"new", 3, wire, &fault);
			CU_ASSERT_EQUAL(open_with(phone, record), TLS_STEP_CONTENT);
		}
		ends_free();
	}
}

static void test_a_message_may_come_in_pieces_but_with_nothing_between(void)
{
	static const uint8_t update[] = {24, 0, 0, 1, 0};

	for (size_t i = 0; i < 3; i++) {
		ends_make(i);
		for (size_t at = 0; at < sizeof(update); at++)
			CU_ASSERT_EQUAL(
				open_with(server, forge(22, update + at, 1, 0)), TLS_STEP_NOTHING);
		CU_ASSERT_EQUAL(server->sequence[TLS_IN], 0); /* of the new key */
		CU_ASSERT_EQUAL(open_with(server, forge(22, update, 2, 0)), TLS_STEP_NOTHING);
		CU_ASSERT_EQUAL(open_with(server, forge(23, "x", 1, 0)), TLS_STEP_FAULT);
		CU_ASSERT_EQUAL(fault.alert, SSL_AD_UNEXPECTED_MESSAGE);
		ends_free();
		ends_make(i);
		open_with(server, forge(22, update, 2, 0));
		CU_ASSERT_EQUAL(open_with(server, forge(21, "\1\0", 2, 0)), TLS_STEP_FAULT);
		ends_free();
	}
}

static void test_renegotiation_is_declined_and_all_goes_on(void)
{
	for (size_t i = 3; i < suite_count; i++) {
		static const uint8_t hello[] = {1, 0, 0, 3, 3, 3, 9};
		size_t record;

		ends_make(i);
		for (size_t at = 0; at < sizeof(hello); at++)
			CU_ASSERT_EQUAL(
				open_with(server, forge(22, hello + at, 1, 0)), TLS_STEP_NOTHING);
		record = tls_records_seal_owed(server, wire, &fault);
		CU_ASSERT(record > 0);
		/* Our other end would have asked for nothing, so it says so. */
		CU_ASSERT_EQUAL(open_with(phone, record), TLS_STEP_FAULT);
		CU_ASSERT_STRING_EQUAL(fault.reason, "no renegotiation");
		CU_ASSERT_EQUAL(tls_records_seal_owed(server, wire, &fault), 0);
		CU_ASSERT_EQUAL(open_with(server, forge(23, "on", 2, 0)), TLS_STEP_CONTENT);
		ends_free();
	}
}

static void test_floods_without_content_end(void)
{
	static const struct {
		uint8_t type;
		const char *data;
		size_t len;
		int allowed, version;
	} floods[] = {
		{23, "", 0, TLS_IDLE_RECORDS_MAX, 0},
		{22, "\x18\0\0\1\1", 5, TLS_IDLE_RECORDS_MAX, TLS1_3_VERSION},
		{22, "\1\0\0\0", 4, TLS_IDLE_RECORDS_MAX, TLS1_2_VERSION},
		{21, "\1\x5a", 2, TLS_WARNINGS_MAX, 0},
	};

	for (size_t i = 0; i < suite_count; i++)
		for (size_t f = 0; f < sizeof(floods) / sizeof(floods[0]); f++) {
			if (floods[f].version != 0 && floods[f].version != suites[i].version)
				continue;
			ends_make(i);
			for (int round = 0; round < 2; round++) {
				for (int n = 0; n < floods[f].allowed; n++)
					CU_ASSERT_EQUAL(
						open_with(server,
							forge(floods[f].type, floods[f].data,
								floods[f].len, 0)),
						TLS_STEP_NOTHING);
				/* Content in between, and it may begin anew. */
				if (round == 0)
					CU_ASSERT_EQUAL(open_with(server, forge(23, "x", 1, 0)),
						TLS_STEP_CONTENT);
			}
			CU_ASSERT_EQUAL(open_with(server, forge(floods[f].type, floods[f].data,
								  floods[f].len, 0)),
				TLS_STEP_FAULT);
			CU_ASSERT_EQUAL(fault.alert, SSL_AD_UNEXPECTED_MESSAGE);
			ends_free();
		}
}

/* RFC 8446 5.5. */
static void test_a_key_is_not_used_for_too_long(void)
{
	for (size_t i = 0; i < suite_count; i++) {
		bool is_gcm, can_update;
		size_t record;

		ends_make(i);
		is_gcm = tls_suite_at(server->suite)->aead != TLS_AEAD_CHACHA20_POLY1305;
		can_update = is_gcm && is_1_3();
		/* Ours: another one in time, where the version has that. */
		server->sequence[TLS_OUT] = TLS_RECORDS_BEFORE_UPDATE - 1;
		CU_ASSERT_EQUAL(tls_records_seal_owed(server, wire, &fault), 0);
		server->sequence[TLS_OUT]++;
		CU_ASSERT_EQUAL(tls_records_seal_owed(server, wire, &fault) > 0, can_update);
		/* And else an end. */
		server->sequence[TLS_OUT] = TLS_RECORDS_MAX;
		CU_ASSERT_EQUAL(tls_records_seal(server, wire, 1, content, &fault) == 0, is_gcm);
		if (is_gcm)
			CU_ASSERT_EQUAL(fault.alert, SSL_AD_CLOSE_NOTIFY);
		CU_ASSERT(tls_records_seal_alert(server, SSL_AD_CLOSE_NOTIFY, wire) > 0);
		server->sequence[TLS_OUT] = UINT64_MAX;
		CU_ASSERT_EQUAL(tls_records_seal(server, wire, 1, content, &fault), 0);
		CU_ASSERT_EQUAL(tls_records_seal_alert(server, SSL_AD_CLOSE_NOTIFY, wire), 0);
		ends_free();
		/* The peer's: it is asked, once, and not trusted for ever. */
		ends_make(i);
		server->sequence[TLS_IN] = TLS_RECORDS_BEFORE_UPDATE - 1;
		CU_ASSERT_EQUAL(open_with(server, forge(23, "x", 1, 0)), TLS_STEP_CONTENT);
		record = tls_records_seal_owed(server, wire, &fault);
		CU_ASSERT_EQUAL(record > 0, can_update);
		if (can_update) {
			CU_ASSERT_EQUAL(open_with(phone, record), TLS_STEP_NOTHING);
			CU_ASSERT_TRUE(phone->owes_update);
		}
		CU_ASSERT_EQUAL(open_with(server, forge(23, "x", 1, 0)), TLS_STEP_CONTENT);
		CU_ASSERT_EQUAL(tls_records_seal_owed(server, wire, &fault), 0);
		server->sequence[TLS_IN] = TLS_RECORDS_MAX;
		CU_ASSERT_EQUAL(open_with(server, forge(23, "x", 1, 0)),
			is_gcm ? TLS_STEP_FAULT : TLS_STEP_CONTENT);
		ends_free();
	}
}

/* Gives the direction from phone to server another secret than all others have. */
static void channel_mark(size_t number)
{
	const struct tls_suite *suite = tls_suite_at(phone->suite);
	size_t len = suite->is_1_3 ? tls_hash_len(suite->hash) : (size_t)suite->key_len + TLS_NONCE;
	uint8_t *out = phone->secrets + len;

	memset(out, (int)(number % 251), suite->key_len);
	out[0] = (uint8_t)(number / 251);
	memcpy(server->secrets, out, len);
}

/* More channels than there are contexts for: each has its own key each time. */
static void test_channels_do_not_get_each_others_keys(void)
{
	enum { CHANNELS = 400 };
	static struct tls_records *phones[CHANNELS], *servers[CHANNELS];

	for (size_t i = 0; i < CHANNELS; i++) {
		ends_make(i % suite_count);
		channel_mark(i);
		phones[i] = phone;
		servers[i] = server;
	}
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < CHANNELS; i++) {
			size_t record = tls_records_seal(
				phones[i], (const uint8_t *)"mine", 4, wire, &fault);
			size_t other = (i + suite_count) % (CHANNELS - CHANNELS % suite_count);
			uint8_t copy[64];

			memcpy(copy, wire, record);
			if (other != i && tls_suite_at(servers[other]->suite) ==
						  tls_suite_at(servers[i]->suite)) {
				CU_ASSERT_EQUAL(open_with(servers[other], record), TLS_STEP_FAULT);
				memcpy(wire, copy, record);
			}
			CU_ASSERT_EQUAL(open_with(servers[i], record), TLS_STEP_CONTENT);
		}
	for (size_t i = 0; i < CHANNELS; i++) {
		tls_records_free(phones[i]);
		tls_records_free(servers[i]);
	}
}

/* A hundred and more directions that take turns, and between them others that come for one record. */
static void test_who_is_busy_keeps_its_context(void)
{
	enum { BUSY = 60, OTHERS = 60 };
	static struct tls_records *phones[BUSY + OTHERS], *servers[BUSY + OTHERS];

	for (size_t n = 0; n < 20UL * BUSY; n++)
		for (size_t k = 0; k < 2; k++) {
			size_t i = k == 0 ? n % BUSY : BUSY + n % OTHERS, record;
			uint8_t place[2] = {0, 0};

			if (n < BUSY || k == 1) {
				tls_records_free(phones[i]);
				tls_records_free(servers[i]);
				ends_make(n % suite_count);
				channel_mark(2 * n + k);
				phones[i] = phone;
				servers[i] = server;
			} else {
				place[0] = phones[i]->place[TLS_OUT];
				place[1] = servers[i]->place[TLS_IN];
				CU_ASSERT(place[0] != 0 && place[1] != 0);
			}
			record = tls_records_seal(
				phones[i], (const uint8_t *)"mine", 4, wire, &fault);
			CU_ASSERT_EQUAL(open_with(servers[i], record), TLS_STEP_CONTENT);
			CU_ASSERT(place[0] == 0 || place[0] == phones[i]->place[TLS_OUT]);
			CU_ASSERT(place[1] == 0 || place[1] == servers[i]->place[TLS_IN]);
		}
	for (size_t i = 0; i < BUSY + OTHERS; i++) {
		tls_records_free(phones[i]);
		tls_records_free(servers[i]);
	}
}

/* Who has not been used for longest loses its context, and knows. */
static void test_who_rests_loses_its_context(void)
{
	static uint8_t places[TLS_CIPHERS_MAX + 2];
	static const struct tls_keys keys = {.key = {1}, .iv = {2}};
	const size_t last = TLS_CIPHERS_MAX;

	for (size_t i = 0; i < last; i++)
		CU_ASSERT_PTR_NOT_NULL(tls_aead_key(&places[i], i % TLS_AEAD_COUNT, &keys));
	CU_ASSERT_PTR_NOT_NULL(tls_aead_find(&places[0]));
	CU_ASSERT_PTR_NOT_NULL(tls_aead_key(&places[last], TLS_AEAD_AES_256_GCM, &keys));
	CU_ASSERT_EQUAL(places[1], 0);
	CU_ASSERT_PTR_NULL(tls_aead_find(&places[1]));
	CU_ASSERT_PTR_NOT_NULL(tls_aead_find(&places[0]));
	/* What somebody gives back is taken before anybody loses one. */
	tls_aead_forget(&places[7]);
	CU_ASSERT_PTR_NOT_NULL(tls_aead_key(&places[last + 1], TLS_AEAD_AES_128_GCM, &keys));
	CU_ASSERT_PTR_NOT_NULL(tls_aead_find(&places[2]));
	CU_ASSERT_PTR_NULL(tls_aead_find(&places[7]));
	for (size_t i = 0; i < sizeof(places); i++)
		tls_aead_forget(&places[i]);
	for (size_t i = 0; i < sizeof(places); i++)
		CU_ASSERT_EQUAL(places[i], 0);
}

static void test_a_channel_is_small(void)
{
	CU_ASSERT(offsetof(struct tls_records, secrets) <= 40);
}

static void test_suites_that_are_not_ours_stay_with_openssl(void)
{
	CU_ASSERT_PTR_NULL(tls_suite_find(TLS1_2_VERSION, 0xc027)); /* CBC */
	CU_ASSERT_PTR_NULL(tls_suite_find(TLS1_2_VERSION, 0x009c)); /* RSA key exchange */
	CU_ASSERT_PTR_NULL(tls_suite_find(TLS1_2_VERSION, 0x1301));
	CU_ASSERT_PTR_NULL(tls_suite_find(TLS1_3_VERSION, 0xc02b));
	CU_ASSERT_PTR_NULL(tls_suite_find(TLS1_3_VERSION, 0x1304)); /* CCM */
	CU_ASSERT_PTR_NULL(tls_suite_find(TLS1_1_VERSION, 0xc02b));
}

static const struct check checks[] = {
	{"the records of RFC 8448", test_the_records_of_rfc_8448},
	{"content of any length comes through", test_content_of_any_length_comes_through},
	{"what has no room stays in its place", test_what_has_no_room_stays_in_its_place},
	{"a part of a record is not opened", test_a_part_of_a_record_is_not_opened},
	{"a changed byte is found", test_a_changed_byte_is_found},
	{"a record that is repeated or left out is found",
		test_a_record_that_is_repeated_or_left_out_is_found},
	{"explicit nonces go on one by one", test_explicit_nonces_go_on_one_by_one},
	{"padding is taken off", test_padding_is_taken_off},
	{"what is not content is done with as its RFC has it",
		test_what_is_not_content_is_done_with_as_its_rfc_has_it},
	{"messages do not need the caller's room", test_messages_do_not_need_the_callers_room},
	{"heads are refused before the record is there",
		test_heads_are_refused_before_the_record_is_there},
	{"too much content is refused", test_too_much_content_is_refused},
	{"keys are updated in both directions", test_keys_are_updated_in_both_directions},
	{"a message may come in pieces, but with nothing between",
		test_a_message_may_come_in_pieces_but_with_nothing_between},
	{"renegotiation is declined and all goes on",
		test_renegotiation_is_declined_and_all_goes_on},
	{"floods without content end", test_floods_without_content_end},
	{"a key is not used for too long", test_a_key_is_not_used_for_too_long},
	{"channels do not get each other's keys", test_channels_do_not_get_each_others_keys},
	{"who is busy keeps its context", test_who_is_busy_keeps_its_context},
	{"who rests loses its context", test_who_rests_loses_its_context},
	{"a channel is small", test_a_channel_is_small},
	{"suites that are not ours stay with OpenSSL",
		test_suites_that_are_not_ours_stay_with_openssl},
};

int main(void)
{
	return check_run("proxy/tls_records", checks, sizeof(checks) / sizeof(checks[0]));
}
