/*
 * The fields of a request that log its owner in: what a token, an access token or an assertion looks like in
 * it. For workers.
 */
#ifndef PROXY_LOGIN_FIELDS_H
#define PROXY_LOGIN_FIELDS_H

#include "config/model.h"
#include "proxy/http.h"
#include "proxy/login_table.h"

/* "Negotiate …" of a token, RFC 4559 4.2, for login_fields_negotiate_free(). NULL when memory runs out. */
char *login_fields_negotiate(struct span token);
void login_fields_negotiate_free(char *value); /* wipes it; NULL is allowed */

/* Writes what the configuration wants: negotiate, unless it is NULL, and what the login keeps. has_failed
 * where it does not have that. */
void login_fields_write(struct http_writer *writer, const struct config *config,
	const struct login *login, const char *negotiate);

#endif
