/*
 * The token that a server gives back with its answer to a login by Kerberos: the value of
 * WWW-Authenticate: Negotiate, RFC 4559 4.2. For workers.
 */
#ifndef PROXY_NEGOTIATE_H
#define PROXY_NEGOTIATE_H

#include "proxy/http.h"

enum negotiate_result {
	NEGOTIATE_NO_TOKEN, /* no such challenge, or one without a token */
	NEGOTIATE_TOKEN,
	NEGOTIATE_MALFORMED /* no base64, or too long */
};

/* Of the first challenge that has one. token has room for size bytes. */
enum negotiate_result negotiate_read(
	const struct http_head *head, uint8_t *token, size_t size, size_t *len);

#endif
