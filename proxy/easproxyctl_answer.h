/*
 * JSON as easproxyctl shows it: what stands in the answers of easproxyd, and its own. For easproxyctl_*.c.
 */
#ifndef PROXY_EASPROXYCTL_ANSWER_H
#define PROXY_EASPROXYCTL_ANSWER_H

#include <jansson.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "config/moment.h"

/* Borrowed; "" where there is none. */
const char *answer_text(const json_t *object, const char *key);

/* 0 where there is none. */
long long answer_number(const json_t *object, const char *key);

bool answer_is_true(const json_t *object, const char *key);

/* The number of a CRL that stands there as key and key_hex: "2748 (0x0abc)", "none". Returns text. */
enum { ANSWER_CRL_NUMBER_SIZE = 112 };
const char *answer_crl_number(
	const json_t *object, const char *key, char text[ANSWER_CRL_NUMBER_SIZE]);

/* As moment_write() has it; "-" for 0. Returns text. */
const char *answer_moment(int64_t moment, char text[MOMENT_TEXT_SIZE]);

/* A certificate that stands there as base64 of its DER, for the caller to free. NULL: it is none. */
X509 *answer_certificate(const json_t *base64);

/* On one line, or indented for people, to standard output. */
void answer_print(const json_t *value, size_t flags);

#endif
