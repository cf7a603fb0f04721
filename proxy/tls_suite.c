#include "proxy/tls_suite.h"

#include <openssl/tls1.h>
#include <stddef.h>

#define AES_128  .aead = TLS_AEAD_AES_128_GCM, .key_len = 16
#define AES_256  .aead = TLS_AEAD_AES_256_GCM, .key_len = 32
#define CHACHA20 .aead = TLS_AEAD_CHACHA20_POLY1305, .key_len = 32

/* RFC 8446 B.4; RFC 5289 3.2; RFC 7905 2. */
static const struct tls_suite suites[] = {
	{"TLS_AES_128_GCM_SHA256", 0x1301, true, AES_128, .hash = TLS_SHA256},
	{"TLS_AES_256_GCM_SHA384", 0x1302, true, AES_256, .hash = TLS_SHA384},
	{"TLS_CHACHA20_POLY1305_SHA256", 0x1303, true, CHACHA20, .hash = TLS_SHA256},
	{"ECDHE-ECDSA-AES128-GCM-SHA256", 0xc02b, false, AES_128, .hash = TLS_SHA256},
	{"ECDHE-ECDSA-AES256-GCM-SHA384", 0xc02c, false, AES_256, .hash = TLS_SHA384},
	{"ECDHE-RSA-AES128-GCM-SHA256", 0xc02f, false, AES_128, .hash = TLS_SHA256},
	{"ECDHE-RSA-AES256-GCM-SHA384", 0xc030, false, AES_256, .hash = TLS_SHA384},
	{"ECDHE-RSA-CHACHA20-POLY1305", 0xcca8, false, CHACHA20, .hash = TLS_SHA256},
	{"ECDHE-ECDSA-CHACHA20-POLY1305", 0xcca9, false, CHACHA20, .hash = TLS_SHA256},
};

uint8_t tls_hash_len(enum tls_hash hash)
{
	return hash == TLS_SHA384 ? 48 : 32;
}

uint8_t tls_suite_explicit_nonce(const struct tls_suite *suite)
{
	return !suite->is_1_3 && suite->aead != TLS_AEAD_CHACHA20_POLY1305 ? 8 : 0;
}

const struct tls_suite *tls_suite_find(int version, uint16_t id)
{
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		if (suites[i].id == id &&
			version == (suites[i].is_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION))
			return &suites[i];
	return NULL;
}

uint8_t tls_suite_number(const struct tls_suite *suite)
{
	return (uint8_t)(suite - suites);
}

const struct tls_suite *tls_suite_at(uint8_t number)
{
	return &suites[number];
}
