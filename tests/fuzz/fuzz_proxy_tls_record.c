/*
 * What a peer may send after the handshake: bytes as they come on the wire, which hardly ever are
 * authentic; and whatever plaintext a peer of ill will could seal, split into records and cut into
 * pieces. The first byte chooses suite and side, the second how.
 */
#include <assert.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/tls_aead.h"
#include "proxy/tls_records.h"

enum { WIRE = 70000 };

static const struct {
	int version;
	uint16_t suite;
} suites[] = {
	{TLS1_3_VERSION, 0x1301},
	{TLS1_3_VERSION, 0x1302},
	{TLS1_3_VERSION, 0x1303},
	{TLS1_2_VERSION, 0xc02b},
	{TLS1_2_VERSION, 0xc030},
	{TLS1_2_VERSION, 0xcca8},
};

static struct tls_records *end_make(size_t suite, bool is_server)
{
	static const uint8_t secret[TLS_SECRET_MAX] = {1, 2, 3};
	static const struct tls_keys keys = {.key = {4, 5, 6}, .iv = {7, 8, 9}};
	const struct tls_start start = {
		.suite = tls_suite_find(suites[suite].version, suites[suite].suite),
		.is_server = is_server,
		.content_max = TLS_CONTENT_MAX,
		.secret = {secret, secret},
		.keys = {&keys, &keys}};
	struct tls_records *records = tls_records_new(&start);

	assert(records != NULL);
	return records;
}

/* Seals the plaintext for records: type and all that is behind it. Returns the record's length. */
static size_t forge(const struct tls_records *records, uint8_t type, const uint8_t *data,
	size_t len, uint8_t *wire)
{
	const struct tls_suite *suite = tls_suite_at(records->suite);
	size_t explicit_len = tls_suite_explicit_nonce(suite);
	size_t inner = len + suite->is_1_3, total = explicit_len + inner + TLS_TAG;
	uint8_t nonce[TLS_NONCE], aad[13] = {0};
	struct tls_cipher *cipher;
	struct tls_keys keys;
	uint8_t place = 0;

	assert(tls_records_keys(records, TLS_IN, &keys) == 0);
	cipher = tls_aead_key(&place, suite->aead, &keys);
	assert(cipher != NULL);
	memcpy(nonce, keys.iv, TLS_NONCE);
	wire[0] = suite->is_1_3 ? TLS_APPLICATION_DATA : type;
	wire[1] = wire[2] = 3;
	wire[3] = (uint8_t)(total >> 8);
	wire[4] = (uint8_t)total;
	for (size_t i = 0; i < 8; i++) {
		aad[i] = (uint8_t)(records->sequence[TLS_IN] >> (56 - 8 * i));
		if (explicit_len == 0)
			nonce[4 + i] ^= aad[i];
		else
			wire[5 + i] = nonce[4 + i] = aad[i];
	}
	memcpy(aad + 8, wire, 3);
	aad[11] = (uint8_t)(len >> 8);
	aad[12] = (uint8_t)len;
	assert(tls_aead_seal(cipher, nonce, suite->is_1_3 ? span_of(wire, 5) : span_of(aad, 13),
		       data, len, suite->is_1_3 ? type : -1, wire + 5 + explicit_len) == 0);
	tls_aead_forget(&place);
	return 5 + total;
}

/* Opens the first record as a caller with so much room would. */
static enum tls_step open_first(
	struct tls_records *records, const uint8_t *wire, size_t len, size_t capacity, size_t *used)
{
	/* Of exactly these sizes, so that a sanitizer sees whatever goes beyond them. */
	uint8_t *copy = malloc(len + 1), *out = malloc(capacity + 1), sealed[TLS_OWED_MAX];
	struct tls_opened opened = {.used = 0};
	struct tls_fault fault = {.alert = -2};
	enum tls_step step;

	assert(copy != NULL && out != NULL);
	memcpy(copy, wire, len);
	assert(tls_records_can_open(records, copy, len) || len < TLS_HEAD ||
		len - TLS_HEAD < (size_t)(copy[3] << 8 | copy[4]));
	step = tls_records_open(records, copy, len, out, capacity, &opened, &fault);
	*used = opened.used;
	switch (step) {
	case TLS_STEP_MORE: assert(opened.used == 0); break;
	case TLS_STEP_CONTENT:
		assert(opened.in_out + opened.beyond_len > 0 && opened.in_out <= capacity);
		assert(opened.in_out + opened.beyond_len <= records->content_max);
		assert(opened.beyond_len == 0 ||
			(opened.beyond >= copy && opened.beyond + opened.beyond_len <= copy + len));
		break;
	case TLS_STEP_FAULT: assert(fault.alert >= -1 && fault.reason != NULL); break;
	case TLS_STEP_NOTHING: break;
	case TLS_STEP_END: assert(records->has_ended); break;
	}
	if (step != TLS_STEP_FAULT && step != TLS_STEP_MORE) {
		assert(opened.used >= TLS_HEAD && opened.used <= len);
		tls_records_seal_owed(records, sealed, &fault);
	}
	free(copy);
	free(out);
	return step;
}

/* Records: type, two bytes of length, that much plaintext. */
static void take_forged(struct tls_records *records, const uint8_t *data, size_t len)
{
	static uint8_t wire[WIRE];
	enum tls_step step = TLS_STEP_NOTHING;

	while (len >= 3 && step != TLS_STEP_FAULT && step != TLS_STEP_END) {
		size_t plain = (size_t)(data[1] << 8 | data[2]), used, record;
		uint8_t type = data[0];

		data += 3;
		len -= 3;
		if (plain > len)
			plain = len;
		record = forge(records, type, data, plain, wire);
		step = open_first(records, wire, record, plain % 50, &used);
		data += plain;
		len -= plain;
	}
}

static void take_raw(struct tls_records *records, const uint8_t *data, size_t len)
{
	size_t used = 0;
	enum tls_step step;

	do
		step = open_first(records, data, len, 100, &used);
	while (step != TLS_STEP_MORE && step != TLS_STEP_FAULT && step != TLS_STEP_END);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_records *records;

	if (size < 2 || size > 40000)
		return 0;
	records = end_make((data[0] >> 1) % (sizeof(suites) / sizeof(suites[0])), data[0] % 2);
	if (data[1] % 2 == 0)
		take_forged(records, data + 2, size - 2);
	else
		take_raw(records, data + 2, size - 2);
	tls_records_free(records);
	return 0;
}
