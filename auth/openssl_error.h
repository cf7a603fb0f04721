/*
 * Errors of OpenSSL in words for an operator. For every room that calls OpenSSL, in every process.
 */
#ifndef AUTH_OPENSSL_ERROR_H
#define AUTH_OPENSSL_ERROR_H

#include "config/error.h"

/* Like error_set(), followed by ": " and the reason of the oldest entry in OpenSSL's error queue,
 * the one nearest to the cause, if there is any. The queue is empty afterwards. Returns -1 always. */
int error_openssl(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
